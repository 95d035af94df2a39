"""The WeChat behind the fake gateway: its messages, the one event stream, and what the bot does.

Rules of this file:
- no gRPC: what the bot is told is put into the event stream when a client holds it, and is lost otherwise;
- a puppet that throws raises PuppetFailed, with the words of the real one (measured on wechaty-puppet-mock 1.19.4).
"""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Sequence
from typing import Any

from tests.fakes.wechat import boxes
from tests.fakes.wechat.things import (
    ATTACHMENT,
    DONG,
    HEARTBEAT,
    LOGIN,
    LOGOUT,
    ME,
    MESSAGE,
    QRCODE,
    READY,
    SCAN,
    TEXT,
    WAITING,
    Faults,
    File,
    Happened,
    Memory,
    Said,
)
from tests.fakes.wechat.watch import Sent, Watch


class PuppetFailed(Exception):
    """The puppet threw."""


class World(Watch):
    """One account, and the puppet that holds it."""

    me = ME

    def __init__(self) -> None:
        super().__init__()
        self.memory = Memory()
        self.faults = Faults()
        self.complaints: list[str] = []
        """What a client did that would have ended the real gateway. Empty for a good one."""
        self.logged_in = False
        self.running = False
        """The puppet is started."""
        self.scanned: Happened | None = None
        """The QR code that is waiting: a new event stream begins with it."""
        self.uploads: dict[str, bytes] = {}
        """UUID -> bytes; it dies with the gateway."""
        self._stream: asyncio.Queue[Happened | None] | None = None

    # ------------------------------------------------------------------ the event stream

    def emit(self, number: int, **payload: Any) -> None:
        """One event (any number of the proto, or none of them); lost when nobody listens."""
        if self._stream is not None:
            self._stream.put_nowait(Happened(number, json.dumps(payload)))
        self.changed()

    def listen(self) -> asyncio.Queue[Happened | None]:
        """The event stream, opened: it begins with what a newcomer has to know, and ends with None."""
        self._stream = asyncio.Queue()
        self.listening = True
        self.emit(HEARTBEAT, data="Wechaty Puppet gRPC stream connect successfully")
        if self.logged_in:
            self.emit(LOGIN, contactId=ME)
            self.emit(READY, data="ready")
        if self.scanned:
            self._stream.put_nowait(self.scanned)
        return self._stream

    def unlisten(self) -> None:
        """The client has gone."""
        self._stream, self.listening = None, False
        self.changed()

    def scan(self, qrcode: str, status: int = WAITING) -> None:
        """There is a QR code, or a phone did something with it (2 waiting, 3 scanned, 4 confirmed, 5 timeout)."""
        self.scanned = Happened(SCAN, json.dumps({"qrcode": qrcode, "status": status}))
        self.emit(SCAN, qrcode=qrcode, status=status)

    def logout(self, reason: str = "test") -> None:
        """The session has ended: by the phone, or because the bot asked for it."""
        if self.logged_in:
            self.emit(LOGOUT, contactId=ME, data=reason)
        self.logged_in = False

    # ------------------------------------------------------------------ what the bot does

    def start(self) -> None:
        """Start the puppet: it shows a QR code when nobody is logged in. One that runs just goes on."""
        self.started += 1
        if not self.running and not self.logged_in:
            self.scan(QRCODE)
        self.running = True
        self.changed()

    def stop(self) -> None:
        """Stop the puppet: the event stream ends in good order. Whoever was logged in still is."""
        if self._stream is not None:
            self._stream.put_nowait(None)
        self.running = False
        self.changed()

    def ding(self, data: str) -> None:
        """A sign of life, asked for; the real puppet takes a second over it."""
        self.emit(DONG, data=data)

    def sends(
        self, conversation: str, text: str, mentions: Sequence[str] = (), file: tuple[str, bytes] | None = None
    ) -> str:
        """The bot sends, by the account that is logged in; the message comes back as an event, before the answer."""
        if self.faults.failures > 0:
            self.faults.failures -= 1
            raise PuppetFailed(self.faults.message)
        if not self.logged_in:
            raise PuppetFailed("not logged in")
        known, kind = (self.memory.rooms, "Room") if "@" in conversation else (self.memory.people, "Contact")
        if conversation not in known:
            raise PuppetFailed(f"Mock{kind}.load(): {conversation} not exist.")
        said = Said(conversation, ME, text, tuple(mentions), ATTACHMENT if file else TEXT)
        if file:
            self.memory.files[said.id] = File(*file)
        self.sent.append(Sent(said.id, conversation, said.at, text, said.mentions, file))
        return self.add(said)

    def box(self, message_id: str) -> str:
        """The file of a message, as the gateway passes it on."""
        file = self.memory.files.get(message_id)
        if not file:
            raise PuppetFailed("no filebox cache")
        if file.box == "url":
            return boxes.linked(file.name, file.url)
        if file.box == "base64" and len(file.data) <= boxes.INLINE_MOST:
            return boxes.inline(file.name, file.data)
        size = len(file.data) if file.box == "base64" else -1
        return boxes.stored(file.name, size, self.upload(file.data))

    def upload(self, data: bytes) -> str:
        """Keep bytes under a new UUID."""
        key = str(uuid.uuid4())
        self.uploads[key] = data
        return key

    def uploaded(self, key: str) -> bytes:
        """What was kept under a UUID."""
        if key not in self.uploads:
            raise PuppetFailed(f"ENOENT: no such file or directory, open '/tmp/{key}.dat'")
        return self.uploads[key]

    def add(self, said: Said) -> str:
        """A message is there, and the bot is told of it; returns its id."""
        self.memory.messages[said.id] = said
        self.emit(MESSAGE, messageId=said.id)
        return said.id
