"""Telegram's updates -> events. Pure: one update in, one event or nothing out.

Rules of this file:
- each update is converted on its own: one that cannot be read fails alone;
- only the fields named here are read, so a newer Bot API changes nothing;
- Telegram counts text in UTF-16 units: offsets are applied to the encoded text.

Source: Bot API 10, objects Update, Message, MessageEntity, CallbackQuery.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from bridge.model import AnyEvent, Attachment, Conversation, Message, Press, Quote, User

ALLOWED = ("message", "callback_query")
"""The update kinds that are asked for; ``parse`` knows exactly these."""
MASKS = {1087968824, 136817688, 777000}
"""GroupAnonymousBot, Channel Bot, Telegram: accounts that others write through."""
_MEDIA: dict[str, Literal["image", "file", "audio", "video", "sticker"]] = {
    "photo": "image",
    "document": "file",
    "voice": "audio",
    "audio": "audio",
    "video": "video",
    "video_note": "video",
    "animation": "video",
    "sticker": "sticker",
}


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
    title: str = ""


class TgEntity(msgspec.Struct, frozen=True):
    type: str
    offset: int
    length: int
    user: TgUser | None = None


class TgFile(msgspec.Struct, frozen=True):
    file_id: str
    file_size: int = 0
    file_name: str = ""
    mime_type: str = ""


class TgMessage(msgspec.Struct, frozen=True, rename={"sender": "from"}):
    message_id: int
    chat: TgChat
    date: int = 0
    sender: TgUser | None = None
    sender_chat: TgChat | None = None
    message_thread_id: int = 0
    is_topic_message: bool = False
    text: str = ""
    caption: str = ""
    entities: tuple[TgEntity, ...] = ()
    caption_entities: tuple[TgEntity, ...] = ()
    reply_to_message: TgMessage | None = None
    forum_topic_created: dict[str, Any] | None = None
    photo: tuple[TgFile, ...] = ()
    document: TgFile | None = None
    voice: TgFile | None = None
    audio: TgFile | None = None
    video: TgFile | None = None
    video_note: TgFile | None = None
    animation: TgFile | None = None
    sticker: TgFile | None = None


class TgPress(msgspec.Struct, frozen=True, rename={"sender": "from"}):
    id: str
    sender: TgUser
    message: TgMessage | None = None
    data: str = ""


class TgUpdate(msgspec.Struct, frozen=True):
    update_id: int
    message: TgMessage | None = None
    callback_query: TgPress | None = None


def parse(bot: str, me: TgUser, payload: dict[str, Any], now: float) -> AnyEvent | None:
    """The event in an update for the bot ``bot``, whose account is ``me``; None when it holds nothing for it.

    Raises msgspec.ValidationError when the update is not what Telegram documents.
    """
    update = msgspec.convert(payload, TgUpdate)
    if update.message is not None:
        return _message(bot, me, update.message)
    if update.callback_query is not None:
        return _press(bot, update.callback_query, now)
    return None


def _message(bot: str, me: TgUser, message: TgMessage) -> Message | None:
    sender, attachments = message.sender, _attachments(message)
    if sender is None or (sender.is_bot and sender.id not in MASKS):
        return None  # channels have no sender; bots that answer bots never end
    text, mentioned = _text(message, me)
    if not text and not attachments and not mentioned:
        return None  # service messages: joined, pinned, title changed
    quote, replied = _quote(message, me)
    return Message(
        id=str(message.message_id),
        conversation=_conversation(bot, message),
        user=_user(message, sender),
        at=float(message.date),
        text=text,
        addressed=message.chat.type == "private" or mentioned or replied,
        attachments=attachments,
        quotes=quote,
    )


def _press(bot: str, press: TgPress, now: float) -> Press | None:
    if press.message is None:
        return None
    return Press(
        id=press.id,
        conversation=_conversation(bot, press.message),
        user=_person(press.sender),
        at=now,
        target=str(press.message.message_id),
        key=press.data,
    )


def _conversation(bot: str, message: TgMessage) -> Conversation:
    chat = message.chat
    return Conversation(
        bot=bot,
        chat=str(chat.id),
        kind="private" if chat.type == "private" else "group",
        # in plain supergroups a reply carries a thread id too, that of the replied message: no topic
        thread=str(message.message_thread_id) if message.is_topic_message else "",
        name=chat.title,
    )


def _user(message: TgMessage, sender: TgUser) -> User:
    """Who wrote it; behind a mask it is the chat they write as."""
    if sender.id in MASKS or message.sender_chat is not None:
        mask = message.sender_chat or message.chat
        return User(id=str(mask.id), name=mask.title, real=False)
    return _person(sender)


def _person(user: TgUser) -> User:
    name = f"{user.first_name} {user.last_name}".strip()
    return User(id=str(user.id), name=name, language=user.language_code)


def _text(message: TgMessage, me: TgUser) -> tuple[str, bool]:
    """The text without the bot's mention, and whether the bot was mentioned."""
    text = message.text or message.caption
    entities = message.entities or message.caption_entities
    units, at, kept, mentioned = text.encode("utf-16-le"), 0, [], False
    handle = f"@{me.username}".lower()
    for entity in entities:
        begin, end = entity.offset * 2, (entity.offset + entity.length) * 2
        named = units[begin:end].decode("utf-16-le", "replace").lower()
        ours = named == handle if entity.type == "mention" else entity.user is not None and entity.user.id == me.id
        if entity.type == "bot_command" and named.endswith(handle):
            begin, ours = end - len(handle.encode("utf-16-le")), True
        if ours and begin >= at:
            mentioned = True
            kept.append(units[at:begin])
            at = end
    kept.append(units[at:])
    return b"".join(kept).decode("utf-16-le", "replace").strip(), mentioned


def _quote(message: TgMessage, me: TgUser) -> tuple[tuple[Quote, ...], bool]:
    """The replied message, and whether it is the bot's. A topic's first message is the reply target of all of it."""
    target = message.reply_to_message
    if target is None or target.forum_topic_created is not None:
        return (), False
    own = target.sender is not None and target.sender.id == me.id
    return (Quote(str(target.message_id), target.text or target.caption, own),), own


def _attachments(message: TgMessage) -> tuple[Attachment, ...]:
    found = []
    for field, kind in _MEDIA.items():
        value = getattr(message, field)
        if field == "photo" and value:
            value = max(value, key=lambda size: size.file_size)
        if value:
            found.append(Attachment(kind, value.file_id, value.file_name, value.file_size, value.mime_type))
    return tuple(found[:1])  # an animation comes with a document of the same file
