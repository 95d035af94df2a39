"""The objects of Feishu's events and messages, as far as they are read. Pure.

Rules of this file:
- a field is named here when something reads it; all others are skipped, so a newer platform changes nothing;
- what Feishu calls optional has a default, and so has what a message can do without. A missing field without one, or a
  wrong type, fails the conversion;
- Feishu writes null for what is not there and numbers as strings: ``read`` takes both.

Sources: the pages of each event, 消息管理概述 (ids, senders, mentions) and 接收消息内容结构 (contents).
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

_T = TypeVar("_T")


def read(value: Any, kind: type[_T]) -> _T:
    """Decoded JSON -> one of the objects below. Raises msgspec.ValidationError when it is not what is documented."""
    return msgspec.convert(_clean(value), kind, strict=False)


def _clean(value: Any) -> Any:
    """Without nulls; half an emoji (a lone surrogate, which JSON can hold and no store can) becomes a question mark."""
    if isinstance(value, dict):
        return {key: _clean(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_clean(item) for item in value if item is not None]
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


# ------------------------------------------------------------------ who and where


class FsHeader(msgspec.Struct, frozen=True):
    """``create_time``: milliseconds, of a card callback microseconds. Messages have their own: here, theirs may be
    anything."""

    event_id: str = ""
    event_type: str = ""
    create_time: Any = 0

    @property
    def stamp(self) -> int:
        """``create_time``, or 0 when it is no number."""
        try:
            return read(self.create_time, int)
        except msgspec.ValidationError:
            return 0


class FsEnvelope(msgspec.Struct, frozen=True):
    """An event of schema 2.0. The older ones have no header."""

    header: FsHeader = FsHeader()
    event: dict[str, Any] = {}


class FsUser(msgspec.Struct, frozen=True):
    """A UserId. open_ids are per app."""

    open_id: str = ""


class FsMention(msgspec.Struct, frozen=True):
    """``key`` (``@_user_1``, ``@_all``) stands in the content. ``id`` is an open_id, in events within an object."""

    key: str = ""
    id: FsUser | str = ""
    name: str = ""

    @property
    def open_id(self) -> str:
        return self.id if isinstance(self.id, str) else self.id.open_id


# ------------------------------------------------------------------ events


class FsSender(msgspec.Struct, frozen=True):
    """``sender_type``: user; app and others are announced, and need have no ``sender_id``."""

    sender_id: FsUser = FsUser()
    sender_type: str = "user"


class FsEventMessage(msgspec.Struct, frozen=True):
    """``root_id`` and ``parent_id`` of a reply; ``thread_id`` only in topics. ``create_time`` in milliseconds."""

    message_id: str
    chat_id: str
    create_time: int
    chat_type: str = "group"
    """p2p | group"""
    message_type: str = ""
    content: str = ""
    """JSON, one of the contents below."""
    mentions: tuple[FsMention, ...] = ()
    root_id: str = ""
    parent_id: str = ""
    thread_id: str = ""


class FsReceived(msgspec.Struct, frozen=True):
    """im.message.receive_v1. ``message`` is an FsEventMessage; what apps write is not read as one."""

    sender: FsSender
    message: dict[str, Any]


class FsBotChat(msgspec.Struct, frozen=True):
    """im.chat.member.bot.added_v1 and deleted_v1"""

    chat_id: str
    operator_id: FsUser = FsUser()
    name: str = ""


class FsChatEntered(msgspec.Struct, frozen=True):
    """im.chat.access_event.bot_p2p_chat_entered_v1. Without ``last_message_id`` nothing was ever written there."""

    chat_id: str
    operator_id: FsUser = FsUser()
    last_message_id: str = ""


class FsRecalled(msgspec.Struct, frozen=True):
    """im.message.recalled_v1"""

    message_id: str
    chat_id: str = ""


class FsEmoji(msgspec.Struct, frozen=True):
    emoji_type: str


class FsReaction(msgspec.Struct, frozen=True):
    """im.message.reaction.created_v1 and deleted_v1. They do not tell the chat. ``operator_type``: user | app"""

    message_id: str
    reaction_type: FsEmoji
    operator_type: str = ""
    user_id: FsUser = FsUser()


class FsAction(msgspec.Struct, frozen=True):
    """What was pressed, chosen or filled in. ``value`` is the card author's own, a str or an object."""

    value: Any = None
    form_value: dict[str, Any] = {}
    option: str = ""
    input_value: str = ""


class FsPlace(msgspec.Struct, frozen=True):
    """Where a card is shown: a message, or without ids the preview of a link."""

    open_message_id: str = ""
    open_chat_id: str = ""


class FsCardAction(msgspec.Struct, frozen=True):
    """card.action.trigger"""

    operator: FsUser
    action: FsAction
    context: FsPlace = FsPlace()


# ------------------------------------------------------------------ fetched messages


class FsItemSender(msgspec.Struct, frozen=True):
    """``id`` is an open_id, or the app's id when ``sender_type`` is app."""

    id: str = ""
    sender_type: str = ""
    sender_name: str = ""


class FsBody(msgspec.Struct, frozen=True):
    content: str = ""


class FsItem(msgspec.Struct, frozen=True):
    """A message as GET /im/v1/messages/{id} tells it. ``upper_message_id``: the merged forward that it is a part of."""

    message_id: str
    msg_type: str = ""
    body: FsBody = FsBody()
    sender: FsItemSender = FsItemSender()
    mentions: tuple[FsMention, ...] = ()
    upper_message_id: str = ""
    create_time: int = 0


# ------------------------------------------------------------------ contents


class FsText(msgspec.Struct, frozen=True):
    text: str = ""


class FsElement(msgspec.Struct, frozen=True):
    """A piece of a rich text or a card. ``user_id`` of an ``at`` is the key of a mention."""

    tag: str = ""
    text: str = ""
    href: str = ""
    user_id: str = ""
    user_name: str = ""
    image_key: str = ""
    file_key: str = ""
    file_name: str = ""
    emoji_type: str = ""
    language: str = ""
    elements: tuple[FsElement, ...] = ()


Rows = tuple[tuple[FsElement, ...], ...]


class FsPost(msgspec.Struct, frozen=True):
    title: str = ""
    content: Rows = ()


class FsCard(msgspec.Struct, frozen=True):
    """What is told of a card. Of those in JSON 2.0 nothing is, but for a hint to update the client."""

    title: str = ""
    elements: Rows = ()


class FsFile(msgspec.Struct, frozen=True):
    """An image, file, folder, audio, media (video) or sticker."""

    image_key: str = ""
    file_key: str = ""
    file_name: str = ""


class FsLocation(msgspec.Struct, frozen=True):
    name: str = ""
    longitude: str | float = ""
    latitude: str | float = ""


class FsDate(msgspec.Struct, frozen=True):
    """A calendar event (``summary``) or a video chat (``topic``). Times in milliseconds, or empty."""

    summary: str = ""
    topic: str = ""
    start_time: str | int = ""
    end_time: str | int = ""


class FsTodo(msgspec.Struct, frozen=True):
    summary: FsPost = FsPost()
    due_time: str | int = ""


class FsVote(msgspec.Struct, frozen=True):
    topic: str = ""
    options: tuple[str, ...] = ()


class FsShared(msgspec.Struct, frozen=True):
    """The card of a chat or a user."""

    chat_id: str = ""
    user_id: str = ""
