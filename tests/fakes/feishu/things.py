"""What the platform keeps: chats, messages, cards, files, and the record of what was asked of it.

Rules of this file: plain values without behaviour but their own bookkeeping; bytes never show in a repr.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from tests.fakes.feishu.rules import STREAMING, Json, Window

ChatKind = Literal["p2p", "group", "topic"]
"""``topic`` is a topic group: every message is in a thread."""


class Chat(msgspec.Struct):
    chat_id: str
    kind: ChatKind
    name: str
    user: str = ""
    """The person of a private chat."""
    member: bool = True
    """The bot is in it."""
    entered: bool = False


class File(msgspec.Struct, frozen=True):
    """Bytes behind an image_key or a file_key."""

    kind: Literal["image", "file"]
    data: bytes
    name: str = ""

    def __repr__(self) -> str:
        return f"File({self.kind}, {self.name!r}, {len(self.data)} bytes)"


class Operation(msgspec.Struct, frozen=True):
    """One operation on a card entity: when, what (``content``, ``settings``, …), its sequence, its code (0: done)."""

    time: float
    kind: str
    sequence: int
    code: int
    text: str = ""
    """The text of a ``content``."""


class Card:
    """A card, as an entity of CardKit (with ``card_id``) or as the content of one message."""

    def __init__(self, data: Json, created: float, card_id: str = "") -> None:
        self.data = data
        self.created = created
        self.card_id = card_id
        self.message_id = ""
        self.sequence = 0
        self.streaming_since: float | None = None
        self.operations: list[Operation] = []
        self.uuids: dict[str, Json] = {}
        self.window = Window()
        self.interacting = 0
        """Presses that wait for their answer, and those the test began with ``interact``."""

    def streams(self, now: float) -> bool:
        """Is streaming mode on, and not ten minutes old?"""
        return self.streaming_since is not None and now - self.streaming_since <= STREAMING


class Message(msgspec.Struct):
    """A message of anybody. ``content`` is the JSON string of the platform; a card's is in ``card``."""

    message_id: str
    chat_id: str
    msg_type: str
    content: str
    sender: str
    """open_id of a person; empty for the bot."""
    created: float
    updated: float = 0.0
    root_id: str = ""
    parent_id: str = ""
    thread_id: str = ""
    mentions: list[Json] = []
    card: Card | None = None
    edits: int = 0
    deleted: bool = False
    reactions: dict[str, tuple[str, bool]] = {}
    """reaction_id -> (emoji_type, of the bot)."""
    children: list[Json] = []
    """Of a merge_forward: the items that GET gives after it."""
    files: dict[str, File] = {}
    changes: Window = msgspec.field(default_factory=Window)


class Call(msgspec.Struct):
    """One HTTP call. ``status`` is 0 while it runs and when the connection was dropped."""

    time: float
    method: str
    path: str
    query: dict[str, str]
    body: Json
    user_agent: str
    content_type: str
    authorized: bool = False
    """It carried a token that is valid; the token itself is not kept."""
    status: int = 0
    code: int = 0


class Ack(msgspec.Struct, frozen=True):
    """How the client answered one delivery: a frame of the long connection, or the response of the webhook."""

    time: float
    event_id: str
    code: int
    """200 is good."""
    data: Json | None
    """The answer to a press, decoded."""
    biz_rt: str = ""
    connection: int = 0
    """Number of the connection; 0 for the webhook."""


class Reply(msgspec.Struct, frozen=True):
    """A message that was pushed: its ids, for the test."""

    message_id: str
    chat_id: str
    event_id: str
    thread_id: str
