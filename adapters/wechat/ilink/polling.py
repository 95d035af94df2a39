"""Messages by long polling.

Rules of this file:
- the cursor is saved only after every message before it is committed: what came before a crash comes again;
- iLink brings a message twice now and then, and not always under one id. The store knows ids; the rest is known by its
  fingerprint, which stands in the cursor's row, so that a restart in between forgets neither;
- "connected" is only told of a poll that iLink has taken. It answers after half a minute, but refuses at once: a poll
  that is held for a moment is taken.

Source: npm @tencent-weixin/openclaw-weixin 2.4.9 (getupdates, notifystart, notifystop); its issues #66 and #239
(messages that come twice) and #204 (an answer arrives within a day of its question, or never).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from adapters.wechat.ilink.account import Account
from adapters.wechat.ilink.api import LoginNeeded, TimedOut
from adapters.wechat.ilink.events import fingerprint
from bridge.model import BridgeError, Exhausted, Host, Rejected, State, Unreachable

log = logging.getLogger(__name__)

KEY = "cursor"
POLL = 35.0
"""Seconds that a poll waits on the server, until it names others."""
LEAST, MOST = 5.0, 120.0
"""Between these they are believed."""
GRACE = 5.0
"""Seconds that we wait longer than the server."""
HELD = 2.0
"""Seconds after which a poll without an answer was taken."""
PAUSE = 1.0
"""Least seconds from one poll to the next when it brought nothing."""
CALL, FAREWELL = 10.0, 1.0
"""Seconds for notifystart, and for notifystop, which the end of the service waits for."""
TWICE = 60.0
"""Seconds in which a message can come again under another id."""
WINDOW = 86400.0
"""Seconds after a message in which it can be answered."""

Raw = dict[str, Any]
Take = Callable[[list[Raw]], Awaitable[None]]


class Place(msgspec.Struct, frozen=True, omit_defaults=True):
    """How far the messages have been taken in: the row in the store."""

    bot_id: str = ""
    """Whose messages: another login starts anew."""
    cursor: str = ""
    recent: dict[str, float] = {}
    """Fingerprint -> Unix seconds when it came first; those of the last minute."""


class Polling:
    """Brings messages to ``take``, in order; it returns when all that it was given are committed."""

    def __init__(self, account: Account, take: Take, host: Host) -> None:
        self._account = account
        self._take = take
        self._host = host
        self._place = Place()
        self._seconds = POLL
        self._greeted = False
        """iLink has just answered: a poll that is held is not lost on the way."""
        self._connected = False
        """It was told, and nothing has failed since."""
        self._failed = False
        """A poll, or what it brought, has failed, and none has been well since."""

    async def run(self) -> None:
        """Poll until cancelled."""
        try:
            while True:
                try:
                    await self._round()
                except LoginNeeded:
                    self._greeted = self._connected = self._failed = False
                    await self._account.expired()
                except BridgeError as error:
                    await self._trouble(error)
        finally:
            if self._connected:
                with contextlib.suppress(BridgeError):
                    await self._account.api.call("msg/notifystop", {}, timeout=FAREWELL)

    async def _round(self) -> None:
        if not self._greeted:
            await self._greet()
        started = time.monotonic()
        try:
            answer = await self._poll()
        except TimedOut:  # the same as an empty answer, if iLink is still there
            if not self._greeted:
                raise
            self._greeted = False
            return
        milliseconds = answer.get("longpolling_timeout_ms")
        if isinstance(milliseconds, (int, float)):
            self._seconds = min(MOST, max(LEAST, milliseconds / 1000))
        brought = await self._hand_in(answer)
        self._well()
        if not brought:
            await asyncio.sleep(max(0.0, started + PAUSE - time.monotonic()))

    async def _greet(self) -> None:
        """Tell iLink that we begin, which it can do without, and see that it is there."""
        if self._place.bot_id != self._account.bot_id:
            self._place = await self._stored()
        try:
            await self._account.api.call("msg/notifystart", {}, timeout=CALL)
        except (LoginNeeded, Unreachable):
            raise
        except BridgeError as error:
            log.info("bot %s: notifystart: %s", self._account.bot, error)
            if not isinstance(error, (Rejected, Exhausted)):  # these are answers, too
                return
        self._greeted = True
        if not self._failed:
            self._well()

    async def _poll(self) -> Raw:
        taken = asyncio.get_running_loop().call_later(HELD, self._held)
        try:
            return await self._account.api.call(
                "getupdates", {"get_updates_buf": self._place.cursor}, timeout=self._seconds + GRACE
            )
        finally:
            taken.cancel()

    async def _hand_in(self, answer: Raw) -> bool:
        """Hand a batch in and save its cursor, again and again until both succeed. False = it was the same."""
        fresh, recent = self._sift(answer.get("msgs"))
        cursor = answer.get("get_updates_buf") or self._place.cursor
        place = Place(self._place.bot_id, str(cursor), recent)
        while True:
            try:
                if fresh:
                    await self._take(fresh)
                if place != self._place:
                    await self._host.save(KEY, msgspec.json.encode(place))
            except BridgeError as error:
                await self._trouble(error)
            except Exception as error:  # of a bug, whose words may quote a message
                await self._trouble(BridgeError(f"messages cannot be taken in ({type(error).__name__})"))
            else:
                moved = place.cursor != self._place.cursor
                self._place = place
                return moved

    def _sift(self, messages: Any) -> tuple[list[Raw], dict[str, float]]:
        """What of a batch is worth handing in, and the fingerprints of the last minute, these among them."""
        now = time.time()
        fresh: list[Raw] = []
        recent = {mark: at for mark, at in self._place.recent.items() if abs(now - at) < TWICE}
        for message in messages if isinstance(messages, list) else []:
            if not isinstance(message, dict):
                continue
            created, mark = message.get("create_time_ms"), _mark(message)
            if isinstance(created, (int, float)) and 0 < created < (now - WINDOW) * 1000:
                self._dropped(message, "is more than a day old and cannot be answered any more")
            elif mark and mark in recent:
                self._dropped(message, "came before, perhaps under another id")
            else:
                fresh.append(message)
                if mark:
                    recent[mark] = now
        return fresh, recent

    def _dropped(self, message: Raw, reason: str) -> None:
        id = str(message.get("message_id"))
        log.warning("bot %s: message %s is dropped: it %s", self._account.bot, id if id.isdecimal() else "?", reason)

    async def _stored(self) -> Place:
        row = await self._host.load(KEY)
        place = msgspec.json.decode(row, type=Place) if row else Place()
        return place if place.bot_id == self._account.bot_id else Place(self._account.bot_id)

    # ------------------------------------------------------------ where the bot stands

    def _held(self) -> None:
        if self._greeted:
            self._well()

    def _well(self) -> None:
        self._failed = False
        if not self._connected:
            self._connected = True
            self._host.state(State("connected", self._account.bot_id))

    async def _trouble(self, error: BridgeError) -> None:
        self._greeted = self._connected = False
        self._failed = True
        await self._host.failed(error)


def _mark(message: Raw) -> str:
    """Its fingerprint; empty when it has none, or cannot be read: that is for ``take`` to say."""
    try:
        return fingerprint(message)
    except Exception:  # whatever it is: the other messages of the batch must not suffer
        return ""
