"""Telegram: private chats, groups and topics, by long polling.

Rules of this folder:
- an update is confirmed (the next ``offset``) only after every event of its batch is committed. The library's own
  Updater confirms what is merely in memory, and a crash loses it;
- no cursor is kept: what is unconfirmed comes again and the store drops what it knows. A stored offset could swallow
  messages, because Telegram starts update ids anew after a quiet week;
- updates.py (events in), render.py (Markdown out) are pure; api.py makes the calls; surface.py is one answer.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import AsyncIterator
from typing import Any, Literal

import msgspec

from adapters.telegram.api import Api, Conflict, NotFound
from adapters.telegram.render import fits
from adapters.telegram.surface import MessageSurface
from adapters.telegram.updates import ALLOWED, TgUser, parse
from bridge.model import (
    AnyEvent,
    Attachment,
    BridgeError,
    Caps,
    Fatal,
    Finding,
    Host,
    Press,
    Rate,
    RateLimited,
    Receive,
    State,
    Surface,
)

log = logging.getLogger(__name__)

POLL = 50
"""Seconds that a poll waits on the server."""
BACKOFF = 1.0, 30.0
QUIET = 6 * 86400.0
"""Seconds without an update after which the offset is dropped: ids may start anew."""
PRIVATE, GROUP = Rate(60, 60), Rate(18, 60)
"""Calls that a chat bears: one a second in private, 20 a minute in a group, less a margin (bots FAQ, tdlib/td#2592)."""
COMMANDS = {
    "": {"new": "New conversation", "stop": "Stop the answer", "retry": "Ask again", "help": "Help"},
    "zh": {"new": "新对话", "stop": "停止回答", "retry": "重新回答", "help": "帮助"},
}


class Options(msgspec.Struct, frozen=True, kw_only=True):
    token: str
    api_base: str = "https://api.telegram.org"
    mode: Literal["polling"] = "polling"
    stream: Literal["auto", "edit", "off"] = "auto"
    calls_per_second: float = 30

    def __repr__(self) -> str:
        return f"Options(api_base={self.api_base!r})"

    def __post_init__(self) -> None:
        number, colon, secret = self.token.partition(":")
        if not (number.isdigit() and colon and len(secret) >= 3):
            raise ValueError("token: is not a bot token (123456:ABC…); get it from @BotFather")


class Adapter:
    """See bridge.model.Adapter."""

    def __init__(self, name: str, options: Options, host: Host) -> None:
        self._name = name
        self._host = host
        self._api = Api(options.token, options.api_base, *host.connection(options.api_base))
        self._me = TgUser(0)
        self._connected = False
        self._presses: set[asyncio.Task[None]] = set()
        bot_rate = Rate(options.calls_per_second, 1.0) if options.calls_per_second else None
        interval = math.inf if options.stream == "off" else 1.0
        self._private, self._group = (
            Caps(fits=fits, live=True, interval=interval, rate=rate, bot_rate=bot_rate) for rate in (PRIVATE, GROUP)
        )

    def caps(self, to: AnyEvent) -> Caps:
        return self._private if to.conversation.kind == "private" else self._group

    def answer(self, to: AnyEvent, turn: str, resume: str | None = None) -> Surface:
        place = to.conversation
        reply_to = to.id if place.kind == "group" and not isinstance(to, Press) else ""
        return MessageSurface(self._api, place.chat, place.thread, reply_to, resume)

    async def typing(self, to: AnyEvent) -> None:
        action: dict[str, Any] = {"chat_id": int(to.conversation.chat), "action": "typing"}
        if to.conversation.thread:
            action["message_thread_id"] = int(to.conversation.thread)
        await self._api.call("sendChatAction", action)

    async def probe(self) -> list[Finding]:
        return []

    async def fetch(self, what: Attachment) -> AsyncIterator[bytes]:
        raise BridgeError("Telegram files are not fetched yet")
        yield b""

    # ------------------------------------------------------------ receiving

    async def run(self, receive: Receive) -> None:
        self._host.state(State("connecting"))
        try:
            self._me = msgspec.convert(await self._patiently("getMe", {}), TgUser)
        except NotFound as error:
            raise Fatal(str(error)) from None
        offset, heard, failures = 0, time.monotonic(), 0
        commands = asyncio.create_task(self._offer_commands())
        try:
            while True:
                if time.monotonic() - heard > QUIET:
                    offset = 0
                updates = await self._patiently("getUpdates", self._poll(offset))
                self._connected = True
                self._host.state(State("connected", f"@{self._me.username}"))
                if not updates:
                    continue
                heard = time.monotonic()
                results = await asyncio.gather(
                    *(self._take(receive, update) for update in updates), return_exceptions=True
                )
                failed = [result for result in results if isinstance(result, BaseException)]
                if failed:  # not committed, so not confirmed: the batch comes again
                    failures += 1
                    log.error(
                        "bot %s: %d of %d updates not taken in: %s", self._name, len(failed), len(updates), failed[0]
                    )
                    await asyncio.sleep(_backoff(failures))
                    continue
                failures = 0
                offset = max(int(update["update_id"]) for update in updates) + 1
        finally:
            commands.cancel()

    def _poll(self, offset: int) -> dict[str, Any]:
        """The first poll after a fault does not wait: it tells whether all is well again."""
        body: dict[str, Any] = {"timeout": POLL if self._connected else 0, "allowed_updates": list(ALLOWED)}
        return body | {"offset": offset} if offset else body

    async def _take(self, receive: Receive, update: dict[str, Any]) -> None:
        try:
            event = parse(self._name, self._me, update, time.time())
        except (msgspec.ValidationError, UnicodeError) as error:
            log.error("bot %s: update %s cannot be read and is skipped: %s", self._name, update.get("update_id"), error)
            return
        if event is None:
            return
        try:
            toast = await receive(event)
        except BridgeError:
            raise  # not committed: the batch comes again
        except Exception:  # a bug that meets it each time must not block everybody behind it
            log.exception("bot %s: event %s cannot be taken in and is skipped", self._name, event.id)
            return
        if isinstance(event, Press):  # beside the poll: a slow answer must not hold up everybody else's messages
            task = asyncio.create_task(self._answer_press(event, toast))
            self._presses.add(task)
            task.add_done_callback(self._presses.discard)

    async def _answer_press(self, event: Press, toast: str | None) -> None:
        """Telegram shows a spinner on the button until then. A failure costs no more than that."""
        body = {"callback_query_id": event.id, **({"text": toast} if toast else {})}
        try:
            await self._api.call("answerCallbackQuery", body)
        except BridgeError as error:
            log.info("bot %s: a press was not answered: %s", self._name, error)

    async def _offer_commands(self) -> None:
        for language, menu in COMMANDS.items():
            commands = [{"command": name, "description": text} for name, text in menu.items()]
            try:
                await self._api.call("setMyCommands", {"commands": commands, "language_code": language})
            except BridgeError as error:
                log.info("bot %s: the command menu was not set: %s", self._name, error)

    async def _patiently(self, method: str, body: dict[str, Any]) -> Any:
        """A call that is repeated until it succeeds. Raises Fatal when the token is wrong."""
        failures = 0
        while True:
            try:
                return await self._api.call(method, body, timeout=POLL + 10.0)
            except Fatal:
                raise
            except NotFound as error:
                if not self._me.id:
                    raise
                body = self._fault(body)
                self._host.state(State("connecting", str(error)))
                await asyncio.sleep(BACKOFF[1])
            except RateLimited as limit:
                await asyncio.sleep(limit.retry_after)
            except Conflict as conflict:
                failures += 1
                body = self._fault(body)
                await self._conflict(str(conflict), failures)
                await asyncio.sleep(min(5.0, _backoff(failures)))
            except BridgeError as error:
                failures += 1
                body = self._fault(body)
                self._host.state(State("connecting", str(error)))
                if failures in (1, 10, 100):
                    log.warning("bot %s: %s (try %d)", self._name, error, failures)
                await asyncio.sleep(_backoff(failures))

    def _fault(self, body: dict[str, Any]) -> dict[str, Any]:
        self._connected = False
        return {**body, "timeout": 0} if "timeout" in body else body

    async def _conflict(self, reason: str, failures: int) -> None:
        if "webhook" in reason:
            if failures in (1, 10, 100):
                log.warning("bot %s: a webhook is set for this token; it is removed, as mode is polling", self._name)
            try:
                await self._api.call("deleteWebhook", {"drop_pending_updates": False})
            except BridgeError as error:
                log.warning("bot %s: the webhook was not removed: %s", self._name, error)
            return
        detail = "another program polls with this bot's token: each takes messages from the other; stop one of them"
        self._host.state(State("connecting", detail))
        if failures in (1, 10, 100):
            log.error("bot %s: %s", self._name, detail)


def _backoff(failures: int) -> float:
    first, most = BACKOFF
    return min(most, first * 2.0 ** min(failures - 1, 10))
