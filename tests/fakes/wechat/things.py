"""What a WeChat account holds, as plain data, and the numbers that wechaty gives to things.

Rules of this file:
- data only; message types are wechaty-puppet's own numbers (the gateway passes them on), not those of the proto.
"""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from tests.fakes.wechat import boxes

ME = "bot"
ROOM = "r1@chatroom"
QRCODE = "https://login.example.invalid/qr"
WAITING = 2
"""ScanStatus: the code waits for a phone."""
ATTACHMENT, IMAGE, TEXT, URL_LINK = 1, 6, 7, 14
"""Message types."""
HEARTBEAT, MESSAGE, DONG, SCAN, READY, LOGIN, LOGOUT, DIRTY = 1, 2, 3, 22, 23, 25, 26, 27
"""Event types of the proto."""
ROOM_MEMBER = 4
"""PayloadType."""

_NUMBERS = itertools.count(7_355_372_766_134_157_313)


def new_id() -> str:
    """A message id: never the same twice, whichever gateway it is of."""
    return str(next(_NUMBERS))


class Happened(NamedTuple):
    """One event of the stream."""

    type: int
    payload: str
    """JSON."""


@dataclass
class Room:
    topic: str
    members: list[str]


@dataclass
class Said:
    """A message, as the puppet knows it."""

    conversation: str
    """The contact that it went to, or the room."""
    sender: str
    text: str
    mentions: tuple[str, ...] = ()
    type: int = TEXT
    id: str = field(default_factory=new_id)
    at: float = field(default_factory=time.time)
    """Unix seconds."""


@dataclass
class File:
    """What came with a message. ``box``: what the puppet makes of it; the gateway inlines only a small base64."""

    name: str
    data: bytes
    box: boxes.Kind = "base64"
    url: str = ""


@dataclass
class Faults:
    """What the next sends run into."""

    failures: int = 0
    message: str = ""
    cut: Literal["", "drop_before", "drop_after"] = ""


@dataclass
class Link:
    title: str
    url: str
    description: str = ""


@dataclass
class Memory:
    """What a WeChat account holds; it outlives the gateway."""

    people: dict[str, str] = field(default_factory=lambda: {ME: "FastBot", "alice": "Alice", "bob": "Bob"})
    """Contact id -> name."""
    rooms: dict[str, Room] = field(default_factory=lambda: {ROOM: Room("Room 1", [ME, "alice", "bob"])})
    aliases: dict[tuple[str, str], str] = field(default_factory=dict)
    """(room, contact) -> the contact's name in that room."""
    messages: dict[str, Said] = field(default_factory=dict)
    files: dict[str, File] = field(default_factory=dict)
    """Message id -> its file."""
    links: dict[str, Link] = field(default_factory=dict)
