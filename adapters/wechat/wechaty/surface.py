"""One answer on WeChat's screen: each part is a message, or a file.

Rules of this file:
- nothing can be changed once it was sent, so a Show is sent when it is final, and once;
- answers to one conversation are sent one after the other;
- in a room the first message mentions whoever asked, where we know how they are written there;
- a puppet that throws does not say why: the call is repeated, but not for ever. It may be that the bot was removed
  from the room, and other questions wait behind this answer;
- a file that was fetched is kept until it is sent or given up. One that cannot be had is refused: its link stands in
  the text.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import NamedTuple
from urllib.parse import urlsplit

import msgspec

from adapters.wechat.plain import plain
from adapters.wechat.wechaty.client import Gateway
from adapters.wechat.wechaty.connection import Connection
from adapters.wechat.wechaty.lookup import Lookup
from bridge.model import BridgeError, Download, File, Rejected, Show, Shown

FILE_MOST = 100 * 2**20
"""Bytes of a file that we send: WeChat's own limit."""

Fetch = Callable[[File, int], Awaitable[Download]]
"""``Host.download``."""


class Place(NamedTuple):
    """Where an answer goes: a room or a contact, and in a room whom it mentions (an id, or nothing). ``turn`` is held
    while something is sent there."""

    chat: str
    asker: str
    turn: asyncio.Lock


class Ref(msgspec.Struct):
    """``Shown.ref``, as JSON: the message ids so far, of puppets that tell them."""

    ids: list[str] = []


class AnswerSurface:
    """``resume`` is the ``Shown.ref`` of before a restart."""

    def __init__(
        self,
        gateway: Gateway,
        connection: Connection,
        lookup: Lookup,
        place: Place,
        resume: str | None,
        fetch: Fetch,
    ) -> None:
        self._gateway = gateway
        self._connection = connection
        self._lookup = lookup
        self._place = place
        self._ref = msgspec.json.decode(resume, type=Ref) if resume else Ref()
        self._fetch = fetch
        self._fetched: tuple[File, Download] | None = None

    async def show(self, op: Show) -> Shown:
        """See bridge.model.Surface. Raises Unreachable, Unsure, PuppetError and Rejected."""
        if not op.final or not (op.files or plain(op.text)):  # an empty code block is no message
            return self._shown(calls=0)
        self._connection.check()
        send = await (self._file(op.files[0]) if op.files else self._words(op))
        async with self._place.turn:
            message_id = await send()
        self._fetched = None
        if message_id:
            self._ref.ids.append(message_id)
        return self._shown(calls=1)

    def _shown(self, calls: int) -> Shown:
        return Shown(msgspec.json.encode(self._ref).decode(), tuple(self._ref.ids), calls)

    async def _words(self, op: Show) -> Callable[[], Awaitable[str]]:
        text, mentions = plain(op.text), self._mentions(op)
        if mentions and (names := await self._lookup.written(self._place.chat, self._place.asker)):
            text = f"@{names[0]}\u2005{text}"
        else:
            mentions = ()
        return partial(self._gateway.send_text, self._place.chat, text, mentions)

    def _mentions(self, op: Show) -> Sequence[str]:
        return (self._place.asker,) if self._place.asker and op.part == 0 else ()

    async def _file(self, file: File) -> Callable[[], Awaitable[str]]:
        if self._fetched is None or self._fetched[0] != file:
            try:
                self._fetched = file, await self._fetch(file, FILE_MOST)
            except BridgeError as error:
                host = urlsplit(file.url).hostname or "the app"
                raise Rejected(f"a file of {host} cannot be had: {error}") from None
        found = self._fetched[1]
        return partial(self._gateway.send_file, self._place.chat, found.name, found.data)
