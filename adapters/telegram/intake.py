"""The one way in for updates, however they reach us.

Rules of this file:
- ``take`` returns after the durable commit; whoever brought the update confirms it then, and not before;
- an update that cannot be read, or that meets a bug, is logged and skipped: it would come again for ever and hold up
  everybody behind it. Only a designed error, such as a store that does not write, asks for it again;
- a group that became a supergroup has another chat id: where it went is saved before the update that tells it is
  confirmed, because Telegram tells it once.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from adapters.telegram.account import Account
from adapters.telegram.updates import Moved, left, parse
from bridge.model import BridgeError, Host, Receive

log = logging.getLogger(__name__)

KEY = "moved"
PRESS_WITHIN = 2.0
"""Seconds that the answer to a press may wait for the budget; the button shows a spinner until then."""


class Closed(BridgeError):
    """The bot is starting or stopping."""


class Intake:
    """Takes updates in while it is open."""

    def __init__(self, account: Account, host: Host) -> None:
        self._account = account
        self._host = host
        self._receive: Receive | None = None
        self._moved: dict[str, str] = {}  # old chat id -> new one
        self._before: dict[str, str] = {}  # the other way round
        self._presses: set[asyncio.Task[None]] = set()

    def now_at(self, chat: str) -> str:
        """The id that a chat has today."""
        return self._moved.get(chat, chat)

    @asynccontextmanager
    async def open(self, receive: Receive) -> AsyncIterator[None]:
        """Hand the events to ``receive`` within this block."""
        if saved := await self._host.load(KEY):
            self._moved = msgspec.json.decode(saved, type=dict[str, str])
            self._before = {new: old for old, new in self._moved.items()}
        self._receive = receive
        try:
            yield
        finally:
            self._receive = None

    async def take(self, update: dict[str, Any]) -> None:
        """Take one update in. Raises BridgeError when it was not: bring it again."""
        if self._receive is None:
            raise Closed
        try:
            toast = await self._take(update, self._receive)
        except BridgeError:
            raise
        except Exception:
            log.exception(
                "bot %s: update %s cannot be taken in and is skipped", self._account.bot, update.get("update_id")
            )
            return
        if "callback_query" in update:  # beside the confirmation: a slow answer must not hold up everybody else
            task = asyncio.create_task(self._answer_press(update["callback_query"], toast))
            self._presses.add(task)
            task.add_done_callback(self._presses.discard)

    async def _take(self, update: dict[str, Any], receive: Receive) -> str | None:
        bot = self._account.bot
        try:
            found = parse(bot, self._account.me, update, time.time(), self._before)
            gone = left(update)
        except (msgspec.ValidationError, UnicodeError) as error:
            log.error("bot %s: update %s cannot be read and is skipped: %s", bot, update.get("update_id"), error)
            return None
        if gone:
            log.info("bot %s: blocked by, or removed from, chat %s", bot, gone)
        if isinstance(found, Moved):
            self._moved[found.old], self._before[found.new] = found.new, found.old
            await self._host.save(KEY, msgspec.json.encode(self._moved))
            log.info("bot %s: chat %s is %s now", bot, found.old, found.new)
            return None
        return None if found is None else await receive(found)

    async def _answer_press(self, query: Any, toast: str | None) -> None:
        """Take the spinner off the button. A failure costs no more than that."""
        try:
            body = {"callback_query_id": query["id"], **({"text": toast} if toast else {})}
            await self._account.call("answerCallbackQuery", body, within=PRESS_WITHIN)
        except BridgeError as error:
            log.info("bot %s: a press was not answered: %s", self._account.bot, error)
