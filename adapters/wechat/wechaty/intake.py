"""Messages: from the ids that the event stream brings to events that are handed in.

Rules of this file:
- payloads are fetched side by side, events are handed in one after the other, in the order of the stream. A message
  that takes too long loses its place: it comes when it is there, and the others do not wait;
- nothing is ever brought again: a payload that cannot be had is asked for some more times, then it is skipped with a
  line in the log, and so is a message that cannot be read or is not taken in;
- puppets replay what they have when somebody logs in: a message that is half an hour old is not answered any more. What
  was taken in before, the store knows by its id.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from adapters.wechat.wechaty.client import Gateway, PuppetError
from adapters.wechat.wechaty.events import parse
from adapters.wechat.wechaty.lookup import Lookup
from adapters.wechat.wechaty.schema import Type, WxLink, WxMessage
from bridge.model import AnyEvent, BridgeError, Receive, Unsure

log = logging.getLogger(__name__)

TRY = 5.0
"""Seconds for one try to learn what a message is."""
PAUSES = (0.5, 2.0, 5.0)
"""Seconds before the other tries."""
PLACE = 3.0
"""Seconds for which the messages after it wait for one."""
STALE = 1800.0
"""Seconds after which a message is not answered any more."""


class Intake:
    """Takes messages in while it is open."""

    def __init__(self, bot: str, gateway: Gateway, lookup: Lookup) -> None:
        self._bot = bot
        self._gateway = gateway
        self._lookup = lookup
        self._line: asyncio.Queue[tuple[asyncio.Task[AnyEvent | None], float]] = asyncio.Queue()
        """What is to be handed in next, and until when the others wait for it."""
        self._tasks: set[asyncio.Task[Any]] = set()

    @asynccontextmanager
    async def open(self, receive: Receive) -> AsyncIterator[None]:
        """Hand the messages to ``receive`` within this block."""
        self._spawn(self._in_order(receive))
        try:
            yield
        finally:
            tasks = tuple(self._tasks)
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    def take(self, me: str, name: str, message_id: str) -> None:
        """A message has come to the account with the id ``me``, called ``name``."""
        place = asyncio.get_running_loop().time() + PLACE
        self._line.put_nowait((self._spawn(self._read(me, name, message_id)), place))

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    # ------------------------------------------------------------ in

    async def _in_order(self, receive: Receive) -> None:
        while True:
            reading, place = await self._line.get()
            await asyncio.wait([reading], timeout=max(0.0, place - asyncio.get_running_loop().time()))
            if reading.done():
                await self._hand_in(receive, reading.result())
            else:
                self._spawn(self._late(receive, reading))

    async def _late(self, receive: Receive, reading: asyncio.Task[AnyEvent | None]) -> None:
        await self._hand_in(receive, await reading)

    async def _hand_in(self, receive: Receive, event: AnyEvent | None) -> None:
        if event is None:
            return
        for pause in (*PAUSES, None):  # no gateway brings it again
            try:
                await receive(event)
                return
            except BridgeError as error:
                if pause is None:
                    log.error("bot %s: message %s was not taken in and is lost: %s", self._bot, event.id, error)
                    return
            except Exception:
                log.exception("bot %s: message %s cannot be taken in and is skipped", self._bot, event.id)
                return
            await asyncio.sleep(pause)

    # ------------------------------------------------------------ out of the gateway

    async def _read(self, me: str, name: str, message_id: str) -> AnyEvent | None:
        """The event, if it is one for us; never raises."""
        for pause in (*PAUSES, None):
            try:
                return await self._event(me, name, message_id)
            except BridgeError as error:
                if pause is None:
                    log.error("bot %s: message %s cannot be had and is skipped: %s", self._bot, message_id, error)
                    return None
            except Exception:
                log.exception("bot %s: message %s cannot be read and is skipped", self._bot, message_id)
                return None
            await asyncio.sleep(pause)
        raise AssertionError("the last try returns")

    async def _event(self, me: str, name: str, message_id: str) -> AnyEvent | None:
        """Raises a BridgeError: it may be tried again."""
        try:
            async with asyncio.timeout(TRY):
                message = await self._gateway.message(message_id)
                link = await self._link(message)
        except TimeoutError:
            raise Unsure(f"the gateway did not tell it within {TRY:.0f} s") from None
        if (age := time.time() - message.timestamp) > STALE:
            log.warning("bot %s: message %s is dropped: it is %.0f s old", self._bot, message_id, age)
            return None
        names = (name, *await self._lookup.written(message.room_id, me)) if _may_mention(me, message) else (name,)
        return parse(self._bot, me, names, message, link)

    async def _link(self, message: WxMessage) -> WxLink | None:
        if message.type != Type.URL:
            return None
        try:
            return await self._gateway.link(message.id)
        except PuppetError as error:
            log.info("bot %s: where the link in message %s leads is not known: %s", self._bot, message.id, error)
            return None


def _may_mention(me: str, message: WxMessage) -> bool:
    """Does it matter how we are written in the room? It does in mentions, and in quotes of what we said."""
    others = bool(message.mention_ids) and me not in message.mention_ids
    return bool(message.room_id) and not others and any(mark in message.text for mark in "@＠「")
