"""Names: of users, of rooms, and how the bot and the asker are written in a room.

Rules of this file:
- nobody waits long for a name, and no failure leaves this file: what cannot be had is empty, or as it was before;
- names of users and rooms are kept for a day. How somebody is called in a room is kept for some minutes only: whoever
  is mentioned by a new alias is meant at once. What could not be had is not asked for again for a minute.

Source: ``contactPayload``, ``roomPayload``, ``roomMemberPayload`` of the puppet protocol.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

import msgspec

from adapters.wechat.wechaty.client import Gateway
from bridge.model import BridgeError, Message

log = logging.getLogger(__name__)

PATIENCE = 3.0
"""Seconds for one look-up."""
NAMES, MEMBERS, UNKNOWN = 24 * 3600.0, 600.0, 60.0
"""Seconds for which a name, a name in a room and a failure are kept."""
MOST = 5_000
"""Names of each kind."""

_T = TypeVar("_T")


class Lookup:
    """The names at one gateway. ``clock`` counts seconds."""

    def __init__(self, gateway: Gateway, clock: Callable[[], float] = time.monotonic) -> None:
        async def contact(contact_id: str) -> str:
            return (await gateway.contact(contact_id)).name

        async def topic(room_id: str) -> str:
            return (await gateway.room(room_id)).topic

        async def member(room_id: str, contact_id: str) -> tuple[str, ...]:
            found = await gateway.member(room_id, contact_id)
            return tuple(name for name in (found.room_alias, found.name) if name)

        self._contacts = _Kept(contact, "", NAMES, clock)
        self._topics = _Kept(topic, "", NAMES, clock)
        self._members: _Kept[tuple[str, ...]] = _Kept(member, (), MEMBERS, clock)

    async def name(self, contact_id: str) -> str:
        """What the user is called, or nothing."""
        return await self._contacts.of(contact_id)

    async def written(self, room_id: str, contact_id: str) -> tuple[str, ...]:
        """How the user may be written in the room, best first: the alias there, if there is one, and the name."""
        return await self._members.of(room_id, contact_id)

    def forget(self, id: str) -> None:
        """A user or a room with this id has changed."""
        for kept in (self._contacts, self._topics, self._members):
            kept.forget(id)

    async def complete(self, message: Message) -> Message:
        """The message with the name of its user and of its room."""
        user, place = message.user, message.conversation
        in_room = place.kind == "group" and not place.name
        name, topic = await asyncio.gather(
            _as_it_is(user.name) if user.name or not user.id else self.name(user.id),
            self._topics.of(place.chat) if in_room else _as_it_is(place.name),
        )
        return msgspec.structs.replace(
            message,
            user=msgspec.structs.replace(user, name=name),
            conversation=msgspec.structs.replace(place, name=topic),
        )


async def _as_it_is(name: str) -> str:
    return name


class _Kept(Generic[_T]):
    """What ``find`` brings for a key, those asked for last; ``nothing`` where it brings nothing or fails."""

    def __init__(
        self, find: Callable[..., Awaitable[_T]], nothing: _T, seconds: float, clock: Callable[[], float]
    ) -> None:
        self._find = find
        self._nothing = nothing
        self._seconds = seconds
        self._clock = clock
        self._known: OrderedDict[tuple[str, ...], tuple[float, _T]] = OrderedDict()
        """Each with the time until which it holds."""
        self._asked: dict[tuple[str, ...], asyncio.Task[_T]] = {}

    async def of(self, *key: str) -> _T:
        """Whoever asks for what is being asked for already waits for the same call."""
        until, value = self._known.get(key, (-math.inf, self._nothing))
        if self._clock() < until:
            self._known.move_to_end(key)
            return value
        task = self._asked.get(key)
        if task is None:
            task = self._asked[key] = asyncio.create_task(self._found(key, value))
            task.add_done_callback(lambda _: self._asked.pop(key))
        return await asyncio.shield(task)

    def forget(self, part: str) -> None:
        for key in [key for key in self._known if part in key]:
            del self._known[key]

    async def _found(self, key: tuple[str, ...], before: _T) -> _T:
        value = self._nothing
        try:
            async with asyncio.timeout(PATIENCE):
                value = await self._find(*key)
        except (BridgeError, TimeoutError) as error:
            log.debug("a name is not known: %s", error)
        seconds = self._seconds if value != self._nothing else UNKNOWN
        value = value or before
        self._known[key] = self._clock() + seconds, value
        self._known.move_to_end(key)
        if len(self._known) > MOST:
            self._known.popitem(last=False)
        return value
