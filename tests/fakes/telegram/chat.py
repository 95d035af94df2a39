"""One chat of one bot: its messages, topics, drafts, and what the bot may do in it.

Rules of this file:
- memory only; whoever changes it (``methods``, ``users``) has checked before;
- private chats and basic groups of a bot share one count of message ids, a supergroup or channel has its own: an id
  alone names nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import msgspec

from tests.fakes.telegram.rules import Json, Window

Status = Literal["member", "administrator", "left", "kicked"]
"""What the bot is in a chat. In private chats: member, or kicked when the user has blocked it."""

ANONYMOUS_ADMIN: Json = {"id": 1087968824, "is_bot": True, "first_name": "Group", "username": "GroupAnonymousBot"}
CHANNEL_BOT: Json = {"id": 136817688, "is_bot": True, "first_name": "Channel", "username": "Channel_Bot"}
TELEGRAM: Json = {"id": 777000, "is_bot": False, "first_name": "Telegram"}
"""The accounts that stand in ``from`` when a chat has written, for clients older than ``sender_chat``."""
GENERAL_TOPIC = 1


class Draft(msgspec.Struct, frozen=True):
    """A message draft, as the user sees it growing."""

    draft_id: int
    text: str
    entities: list[Json]
    thread: int | None
    can_stop: bool
    keep_on_stop: bool
    until: float


class Stored:
    """A message: ``body`` is the Message object as the Bot API gives it."""

    __slots__ = ("body", "edits", "from_bot", "reaction", "user_reactions")

    def __init__(self, body: Json, from_bot: bool) -> None:
        self.body = body
        self.from_bot = from_bot
        self.edits = 0
        self.reaction = ""
        self.user_reactions: dict[int, str] = {}


class Chat:
    """``topics`` holds the root message of each topic; drafts and typing are by topic or 0."""

    __slots__ = ("drafts", "ids", "info", "messages", "moved_to", "status", "topics", "typing", "window")

    def __init__(self, info: Json, ids: Iterator[int]) -> None:
        self.info = info
        self.ids = ids
        self.messages: dict[int, Stored] = {}
        self.topics: dict[int, Json] = {}
        self.drafts: dict[int, Draft] = {}
        self.typing: dict[int, tuple[str, float]] = {}
        self.window = Window()
        self.status: Status = "member"
        self.moved_to = 0
        """The supergroup that this group has become."""

    @property
    def kind(self) -> str:
        """``private``, ``group``, ``supergroup`` or ``channel``."""
        return str(self.info["type"])

    @property
    def has_topics(self) -> bool:
        return self.kind == "private" or bool(self.info.get("is_forum"))

    @property
    def blocked(self) -> bool:
        """The bot cannot write here."""
        return self.status in ("left", "kicked")

    def new_message_id(self) -> int:
        return next(number for number in self.ids if number not in self.messages and number not in self.topics)

    def store(self, body: Json, from_bot: bool) -> Stored:
        stored = self.messages[body["message_id"]] = Stored(body, from_bot)
        return stored

    def reply(self, replied: Json) -> Json:
        """The fields of a message that replies: it goes to the topic, or the comments, that the other one is in.

        In a supergroup without topics every reply has a thread, begun by the first message that was replied to.
        """
        fields: Json = {"reply_to_message": quoted(replied)}
        if self.has_topics:
            if replied.get("is_topic_message"):
                fields |= {"message_thread_id": replied["message_thread_id"], "is_topic_message": True}
        elif self.kind == "supergroup":
            fields["message_thread_id"] = replied.get("message_thread_id", replied["message_id"])
        return fields


def info_of(chat: int, kind: str = "") -> Json:
    """The Chat object of a chat; by its sign private or a supergroup, unless said."""
    if (kind or ("private" if chat > 0 else "supergroup")) == "private":
        return {"id": chat, "type": "private", "first_name": f"User {chat}"}
    name = "Channel" if kind == "channel" else "Group"
    return {"id": chat, "type": kind or "supergroup", "title": f"{name} {-chat}"}


def user_of(user_id: int) -> Json:
    """The User object of a person."""
    return {"id": user_id, "is_bot": False, "first_name": f"User {user_id}", "language_code": "en"}


def bot_of(user_id: int, username: str) -> Json:
    """The User object of some other bot."""
    return {"id": user_id, "is_bot": True, "first_name": username, "username": username}


def quoted(body: Json) -> Json:
    """A message as it stands in reply_to_message: without the one that it replies to itself."""
    return {key: value for key, value in body.items() if key != "reply_to_message"}
