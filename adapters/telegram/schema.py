"""The objects of an update, as far as they are read. Source: Bot API 10.3.

Rules of this file:
- a field is named here when something reads it; all others are skipped, so a newer Bot API changes nothing;
- what the Bot API calls optional has a default. A missing field without one, or a wrong type, fails the conversion.
"""

from __future__ import annotations

from typing import Any

import msgspec

# ------------------------------------------------------------------ who and where


class TgUser(msgspec.Struct, frozen=True):
    id: int
    is_bot: bool = False
    first_name: str = ""
    last_name: str = ""
    username: str = ""
    language_code: str = ""


class TgChat(msgspec.Struct, frozen=True):
    id: int
    type: str = "private"
    """private | group | supergroup | channel"""
    title: str = ""
    first_name: str = ""
    last_name: str = ""
    is_forum: bool = False


# ------------------------------------------------------------------ what a message holds


class TgEntity(msgspec.Struct, frozen=True):
    """``offset`` and ``length`` in UTF-16 units."""

    type: str
    offset: int
    length: int
    url: str = ""
    user: TgUser | None = None


class TgFile(msgspec.Struct, frozen=True):
    """A PhotoSize, Document, Voice, Audio, Video, VideoNote or Animation. ``file_size`` in bytes, 0 = unknown."""

    file_id: str
    file_size: int = 0
    file_name: str = ""
    mime_type: str = ""
    width: int = 0
    height: int = 0
    performer: str = ""
    title: str = ""


class TgSticker(msgspec.Struct, frozen=True):
    emoji: str = ""


class TgLocation(msgspec.Struct, frozen=True):
    latitude: float
    longitude: float


class TgVenue(msgspec.Struct, frozen=True):
    location: TgLocation
    title: str
    address: str


class TgContact(msgspec.Struct, frozen=True):
    phone_number: str
    first_name: str
    last_name: str = ""


class TgPollOption(msgspec.Struct, frozen=True):
    text: str


class TgPoll(msgspec.Struct, frozen=True):
    question: str
    options: tuple[TgPollOption, ...]


class TgDice(msgspec.Struct, frozen=True):
    emoji: str
    value: int


class TgContent(msgspec.Struct, frozen=True):
    """What a message and an ExternalReplyInfo (a reply to a message of another chat) have in common."""

    photo: tuple[TgFile, ...] = ()
    document: TgFile | None = None
    voice: TgFile | None = None
    audio: TgFile | None = None
    video: TgFile | None = None
    video_note: TgFile | None = None
    animation: TgFile | None = None
    sticker: TgSticker | None = None
    location: TgLocation | None = None
    venue: TgVenue | None = None
    contact: TgContact | None = None
    poll: TgPoll | None = None
    dice: TgDice | None = None


class TgTextQuote(msgspec.Struct, frozen=True):
    """The passage that a reply is about. ``is_manual``: the user chose it."""

    text: str
    is_manual: bool = False


class TgMessage(TgContent, frozen=True, kw_only=True, rename={"sender": "from"}):
    """A Message, or an InaccessibleMessage (``date`` 0). Dates in Unix seconds."""

    message_id: int
    chat: TgChat
    date: int = 0
    edit_date: int = 0
    sender: TgUser | None = None
    sender_chat: TgChat | None = None
    via_bot: TgUser | None = None
    author_signature: str = ""
    is_automatic_forward: bool = False
    message_thread_id: int = 0
    is_topic_message: bool = False
    media_group_id: str = ""
    text: str = ""
    caption: str = ""
    entities: tuple[TgEntity, ...] = ()
    caption_entities: tuple[TgEntity, ...] = ()
    reply_to_message: TgMessage | None = None
    external_reply: TgContent | None = None
    quote: TgTextQuote | None = None
    forum_topic_created: dict[str, Any] | None = None
    migrate_to_chat_id: int = 0
    migrate_from_chat_id: int = 0


# ------------------------------------------------------------------ the other updates


class TgPress(msgspec.Struct, frozen=True, rename={"sender": "from"}):
    """A CallbackQuery; without ``data`` it is the button of a game."""

    id: str
    sender: TgUser
    message: TgMessage | None = None
    data: str = ""


class TgMember(msgspec.Struct, frozen=True):
    """``status``: creator | administrator | member | restricted | left | kicked"""

    status: str
    is_member: bool = False
    """Of ``restricted`` alone: still in the chat."""

    @property
    def inside(self) -> bool:
        return self.status in {"creator", "administrator", "member"} or (self.status == "restricted" and self.is_member)


class TgMemberChange(msgspec.Struct, frozen=True, rename={"sender": "from"}):
    """What became of the bot in a chat. In private chats ``kicked`` is blocked."""

    chat: TgChat
    sender: TgUser
    date: int
    old_chat_member: TgMember
    new_chat_member: TgMember


class TgStop(msgspec.Struct, frozen=True):
    """The stop button of a draft, in a private chat. Since Bot API 10.3, so the library does not know it."""

    chat: TgChat
    draft_id: int
    message_thread_id: int = 0


class TgUpdate(msgspec.Struct, frozen=True):
    """An Update: one of the fields is there."""

    update_id: int
    message: TgMessage | None = None
    edited_message: TgMessage | None = None
    channel_post: TgMessage | None = None
    edited_channel_post: TgMessage | None = None
    callback_query: TgPress | None = None
    my_chat_member: TgMemberChange | None = None
    stopped_message_generation: TgStop | None = None
