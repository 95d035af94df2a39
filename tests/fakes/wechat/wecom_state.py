"""What the fake of WeCom remembers: the questions it put to the bot, and what the chats show.

Rules of this file:
- no network; whoever changes something says ``changed()``;
- limits go by ``now()``, which a test moves on with ``advance``; what a message says of its time is the real time.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal, NamedTuple

import msgspec

from tests.fakes.changes import Changes
from tests.fakes.wechat.wecom_files import Files
from tests.fakes.wechat.wecom_rules import EXPIRED, LIFE, SILENCE, Json, busiest, keys

COUNTED = ("aibot_respond_msg", "aibot_send_msg", "aibot_respond_welcome_msg")
"""The commands that count for a chat's rate."""


class Frame(NamedTuple):
    """A frame of the bot, as it came: when (``now()``), its command, its chat ("" = none), its request, its body."""

    at: float
    command: str
    chat: str
    req_id: str
    body: Json


class Request(msgspec.Struct):
    """A callback that the bot got. ``connection`` is the number of the one that it went out by; 0 = not yet."""

    kind: Literal["message", "enter", "press"]
    chat: str
    at: float
    connection: int = 0
    task_id: str = ""
    streams: list[str] = []


class Shown(msgspec.Struct):
    """A message of the bot in a chat: a finished one, or a stream."""

    chat: str
    content: str = ""
    stream: str = ""
    finished: bool = True
    began: float = 0.0
    updated: float = 0.0
    things: list[str] = []
    card: Json | None = None
    keys: set[str] = set()

    def put_card(self, card: Json) -> None:
        """Show this card with the message; what was on it before can still be pressed by who has not seen it."""
        self.card = card
        self.keys |= keys(card)


class State(Changes):
    """The memory, the clock and the switches. The switches and lists are the test's to set and to read."""

    def __init__(self) -> None:
        super().__init__()
        self.bot_id, self.secret = "bot-1", "s3cret"
        self.clock: Callable[[], float] = time.monotonic
        """Seconds; what all limits go by, together with ``advance``."""
        self.forgets_requests = False
        """Requests die with the connection that they went out by (846605)."""
        self.one_stream = False
        """A second stream under one request is refused (846605)."""
        self.no_groups = False
        """Proactive messages to groups are refused."""
        self.keeps = True
        """What is said while nobody is connected waits for the next subscription."""
        self.finished_code = EXPIRED
        """How an update of a finished stream is refused; not verified."""
        self.frames: list[Frame] = []
        self.complaints: list[str] = []
        """What was malformed, and bugs of the fake itself."""
        self.exceeded = 0
        """Frames that were refused for their number."""
        self.connections = 0
        """Subscriptions so far; the number of the newest one."""
        self.files = Files()
        self.requests: dict[str, Request] = {}
        self.shown: list[Shown] = []
        self.streams: dict[tuple[str, str], Shown] = {}
        """(request, stream id) -> its message: another request's stream of the same id is another message."""
        self.taken: dict[str, list[float]] = {}
        """Chat -> when its counted frames were carried out."""
        self.groups: set[str] = set()
        self.people: set[str] = set()
        self._shift = 0.0

    def now(self) -> float:
        """The time of the limits."""
        return self.clock() + self._shift

    def advance(self, seconds: float) -> None:
        """Let so much time pass for the limits of streams, rates, events and addresses."""
        self._shift += seconds
        self.changed()

    def is_dead(self, stream: Shown) -> bool:
        """Whether a stream can be written no more, by its age or its silence."""
        return self.now() - stream.updated > SILENCE or self.now() - stream.began > LIFE

    def screen(self, chat: str = "zhangsan") -> list[str]:
        """What is seen in a chat (a userid or a group's chatid), in order: the content of each stream as it is now,
        each message, "[file NAME]", "[image]"; a card that comes alone is "[card TITLE]"."""
        lines: list[str] = []
        for message in self.shown:
            if message.chat == chat:
                lines += [message.content] if message.content else []
                lines += message.things
        return lines

    def unfinished(self, chat: str = "zhangsan") -> int:
        """How many streams of a chat still look as if more will come."""
        return sum(not message.finished and bool(message.content) for message in self.shown if message.chat == chat)

    def with_card(self, name: str) -> Shown | None:
        """The newest message that is the stream ``name``, or whose card has this task_id."""
        found = (m for m in reversed(self.shown) if m.card and name in (m.stream, m.card.get("task_id")))
        return next(found, None)

    def card(self, stream_id: str) -> Json | None:
        """The card that is shown with a stream (or: that has this task_id), as it is now."""
        message = self.with_card(stream_id)
        return message.card if message is not None else None

    def busiest(self, chat: str = "zhangsan") -> int:
        """The most counted frames to a chat in any 60 s, refused ones with them."""
        return busiest([frame.at for frame in self.frames if frame.chat == chat and frame.command in COUNTED])

    def dump(self) -> str:
        """All chats and the last frames."""
        chats = {message.chat: self.screen(message.chat) for message in self.shown}
        frames = [(frame.command, frame.chat, str(frame.body)[:200]) for frame in self.frames[-20:]]
        lines = [f"subscriptions: {self.connections}", *(f"{chat}: {lines}" for chat, lines in chats.items())]
        return "\n".join([*lines, *map(str, frames), *self.complaints])
