"""What iLink remembers of one bot and its one user, and the switches a test can set on it.

Rules of this file: no HTTP and no rules of single calls; whoever changes something says ``changed()``, so that
``until`` and the long polls look again.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from typing import Literal
from urllib.parse import urlencode

import msgspec

from tests.fakes.wechat.ilink_cdn import Cdn
from tests.fakes.wechat.ilink_rules import Json

HOLD = 5.0
"""Seconds that a long poll is held; the platform's 35 would be long for a test."""


class Sent(msgspec.Struct, frozen=True):
    """A message of the bot, as the user has it; ``length``: of its text in characters, before the cut."""

    id: str
    to: str
    context_token: str
    client_id: str
    text: str = ""
    length: int = 0
    kind: str = "text"
    """Else image, voice, file or video."""
    name: str = ""
    data: bytes | None = None
    """The file, decrypted; None when it cannot be opened."""

    @property
    def seen(self) -> str:
        """What stands on the screen."""
        if self.kind == "text":
            return self.text
        label = f"{self.kind} {self.name}".strip()
        return f"[{label}]" if self.data is not None else f"[{label} cannot be opened]"


class Context:
    """A ``context_token``: whose it is, and how many sends it has had."""

    __slots__ = ("sends", "user")

    def __init__(self, user: str) -> None:
        self.user, self.sends = user, 0


class State:
    """The memory of one bot."""

    user = "u1@im.wechat"
    """Who has scanned the code; the only person that the bot serves."""
    bot_id = "abc@im.bot"

    def __init__(self) -> None:
        self.token = "tok-1"
        self.port = 0
        self.baseurl = ""
        """The address that clients are told, for calls and files; empty: ``url``."""
        self.full_urls = True
        """Files come with their whole address; else a client builds it from the CDN that it knows."""
        self.budget = 10
        self.repeats: Literal["known", "refused", "shown"] = "refused"
        """What becomes of a message whose client_id was used before; nobody knows what the platform does."""
        """Sends for each ``context_token``."""
        self.hold = HOLD
        self.complaints: list[str] = []
        """Calls that no client should make, with the reason."""
        self.calls: list[tuple[str, Json]] = []
        """The calls so far: path without ``ilink/bot/``, and body (or query)."""
        self.sent: list[Sent] = []
        self.typing: list[int] = []
        """1 typing, 2 not any more; in order."""
        self.incoming: list[Json] = []
        """The messages for the bot, as ``getupdates`` gives them."""
        self.contexts: dict[str, Context] = {}
        self.tickets: dict[str, str] = {}
        """Typing ticket -> user."""
        self.cdn = Cdn()
        self.confirmed = 0
        """How many messages the client has confirmed, by a cursor that it has sent back."""
        self.swallowed = 0
        """Sends that will still be swallowed."""
        self._keys_handed_out = 0
        self.expired = False
        self.closing = False
        self.ids = itertools.count(7_600_000_000_000_000_001)
        """uint64 as the platform's: more than a float can hold."""
        self._change = asyncio.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def address(self) -> str:
        """What clients are told."""
        return self.baseurl or self.url

    def cdn_url(self, path: str, **query: str) -> str:
        """The whole address of a file, or of the place for one."""
        return f"{self.address}/c2c/{path}?{urlencode(query)}"

    def changed(self) -> None:
        self._change.set()
        self._change = asyncio.Event()

    async def until(self, predicate: Callable[[], object], timeout: float = 5.0) -> None:
        """Wait until this is true after some change. Raises TimeoutError with what has happened so far."""
        try:
            async with asyncio.timeout(timeout):
                while not predicate():
                    await self._change.wait()
        except TimeoutError:
            calls = ", ".join(path for path, _ in self.calls[-12:])
            seen = [message.seen[:80] for message in self.sent]
            raise TimeoutError(f"not within {timeout:g} s; sent: {seen}; calls: {calls}") from None

    async def held(self, predicate: Callable[[], object]) -> None:
        """Hold a long poll until this is true, its time is over or the server ends."""
        try:
            await self.until(lambda: self.closing or predicate(), self.hold)
        except TimeoutError:
            return

    # -------------------------------------------------------------- switches

    def expire(self) -> None:
        """The login has ended: -14 from now on, and at once for the poll that waits."""
        self.expired = True
        self.changed()

    def renew(self, token: str) -> None:
        """The user is bound anew, and has one bot only: this token is handed out and accepted, the old one is not."""
        self.token, self.expired = token, False
        self.changed()

    def swallow(self, times: int = 1) -> None:
        """The next sends are answered with ret 0 and no ``message_id``, and nobody sees them."""
        self.swallowed += times

    def unconfirmed(self) -> int:
        """How many messages are not behind a cursor that the client has sent back."""
        return len(self.incoming) - self.confirmed
