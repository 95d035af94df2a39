"""Personal WeChat (or WeCom) by a wechaty gateway: private chats and rooms.

- in: connection.py reads the gateway's event stream, intake.py fetches the messages, events.py makes events of them
  (pure, as is schema.py); lookup.py asks for names;
- out: surface.py sends an answer, a message a part;
- client.py makes the calls, boxes.py packs and unpacks files;
- login.py is for ``login``, probe.py for ``check --online``, note.py is what they learn from the running bridge.

It speaks the puppet protocol through the ``wechaty-grpc`` package: the full ``wechaty`` package cannot be imported on
Python 3.11 or newer.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import closing
from weakref import WeakValueDictionary

from adapters.wechat.options import Options
from adapters.wechat.plain import fits
from adapters.wechat.wechaty.client import Gateway
from adapters.wechat.wechaty.connection import Connection
from adapters.wechat.wechaty.login import log_in
from adapters.wechat.wechaty.lookup import Lookup
from adapters.wechat.wechaty.probe import findings
from adapters.wechat.wechaty.surface import FILE_MOST, AnswerSurface, Place
from bridge.model import AnyEvent, Attachment, Caps, File, Finding, Host, Message, Rate, Receive, Surface

__all__ = ["Door"]

TEXT_MOST = 2000
"""UTF-16 units of a message: WeChat's own client takes more, puppets differ."""
CHAT, BOT = Rate(3, 3), Rate(60, 30)
"""Messages to one conversation, and of the whole bot. Nobody publishes a limit: these are our own guess at what does
not look like a machine, since accounts are banned for that."""


class Door:
    """See bridge.model.Adapter and Login."""

    def __init__(self, name: str, options: Options, host: Host) -> None:
        self._name = name
        self._options = options
        self._host = host
        self._gateway = self._open()
        host.at_end(self._gateway.close)
        self._lookup = Lookup(self._gateway)
        self._connection = Connection(name, self._gateway, self._lookup, host)
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._caps = Caps(
            fits=fits(TEXT_MOST),
            live=False,
            sends=options.sends,
            buttons=False,
            rate=CHAT,
            bot_rate=BOT,
            inbound=frozenset({"image", "file", "video"}),
            files=frozenset({"image", "file"}),
        )

    def _open(self) -> Gateway:
        options = self._options
        return Gateway(options.endpoint, options.token, tls=options.tls, ca=options.ca)

    async def run(self, receive: Receive) -> None:
        await self._connection.run(receive)

    def caps(self, to: AnyEvent) -> Caps:
        return self._caps

    def answer(self, to: AnyEvent, turn: str, resume: str | None = None) -> Surface:
        chat = to.conversation
        asker = to.user.id if chat.kind == "group" else ""
        place = Place(chat.chat, asker, self._turns.setdefault(chat.chat, asyncio.Lock()))
        return AnswerSurface(self._gateway, self._connection, self._lookup, place, resume, self._host.download)

    async def typing(self, to: AnyEvent) -> None:
        """Wechaty has no such sign."""

    def fetch(self, what: Attachment) -> AsyncIterator[bytes]:
        message_id, _, kind = what.ref.rpartition("/")
        return self._gateway.file(message_id, kind, self._download)

    async def _download(self, url: str) -> bytes:
        return (await self._host.download(File(url, ""), FILE_MOST)).data

    async def complete(self, message: Message) -> Message:
        return await self._lookup.complete(message)

    async def probe(self) -> list[Finding]:
        with closing(self._open()) as gateway:
            return await findings(gateway, self._host, self._name, self._options.endpoint)

    async def login(self, qr: Callable[[str], Awaitable[None]], ask: Callable[[str], Awaitable[str]]) -> None:
        with closing(self._open()) as gateway:
            await log_in(gateway, self._host, qr)
