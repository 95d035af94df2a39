"""What a received message says: its words, what stands for words, its file, and what it replies to. Pure.

Rules of this file:
- Telegram counts text in UTF-16 units: entities are applied to the encoded text;
- the text stays as it was typed, but for two things: the bot's mention is taken out, and an address that is hidden
  behind a word is written out, as the app sees no links;
- a message has one file; an album is several messages.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from adapters.telegram.schema import TgContent, TgEntity, TgMessage, TgUser
from bridge.model import Attachment, Quote

# ------------------------------------------------------------------ words


class _Splice(NamedTuple):
    """``written`` replaces the bytes from ``begin`` to ``end``; an empty one takes a mention out."""

    begin: int
    end: int
    written: str


def text_of(message: TgMessage, me: TgUser) -> tuple[str, bool]:
    """The text or caption without the bot's mention, and whether the bot was mentioned."""
    text, entities = message.text or message.caption, message.entities or message.caption_entities
    if not entities:
        return text.strip(), False
    units = text.encode("utf-16-le")
    kept, at, mentioned = [], 0, False
    for entity in entities:
        splice = _splice(entity, units, me)
        if splice is not None and splice.begin >= at:
            kept += [units[at : splice.begin], splice.written.encode("utf-16-le")]
            at = splice.end
            mentioned = mentioned or not splice.written
    kept.append(units[at:])
    return b"".join(kept).decode("utf-16-le", "replace").strip(), mentioned


def _splice(entity: TgEntity, units: bytes, me: TgUser) -> _Splice | None:
    """What an entity changes in the text: a mention of the bot, a command for it, a hidden address; else nothing."""
    begin, end = entity.offset * 2, (entity.offset + entity.length) * 2
    if not 0 <= begin < end:
        return None
    seen, handle = units[begin:end].decode("utf-16-le", "replace"), f"@{me.username}".lower()
    match entity.type:
        case "mention" if seen.lower() == handle:
            return _Splice(begin, end, "")
        case "text_mention" if entity.user is not None and entity.user.id == me.id:
            return _Splice(begin, end, "")
        case "bot_command" if seen.lower().endswith(handle):
            return _Splice(end - 2 * len(handle), end, "")
        case "text_link" if entity.url and _bare(seen) != _bare(entity.url):
            return _Splice(end, end, f" ({entity.url})")
    return None


def _bare(address: str) -> str:
    """``https://Example.org/`` and ``example.org`` show the same place."""
    return re.sub(r"^https?://", "", address.strip().lower()).rstrip("/")


def stand_in(content: TgContent) -> str:
    """The words for what is no text: a sticker, place, contact, poll or dice; empty when it is none of them."""
    if content.sticker is not None:
        return content.sticker.emoji
    if content.venue is not None:  # a venue comes with its location
        place = content.venue.location
        return f"📍 {place.latitude}, {place.longitude}\n{content.venue.title}\n{content.venue.address}"
    if content.location is not None:
        return f"📍 {content.location.latitude}, {content.location.longitude}"
    if content.contact is not None:
        name = f"{content.contact.first_name} {content.contact.last_name}".strip()
        return f"{name}, {content.contact.phone_number}"
    if content.poll is not None:
        return "\n".join([content.poll.question, *(f"- {option.text}" for option in content.poll.options)])
    if content.dice is not None:
        return f"{content.dice.emoji} {content.dice.value}"
    return ""


# ------------------------------------------------------------------ files

_Kind = Literal["image", "file", "audio", "video"]
_FILES: dict[str, tuple[_Kind, str, str]] = {
    "photo": ("image", "photo.jpg", "image/jpeg"),
    "animation": ("video", "animation.mp4", "video/mp4"),  # before document: it comes with one of the same file
    "document": ("file", "", ""),
    "voice": ("audio", "voice.ogg", "audio/ogg"),
    "audio": ("audio", "audio.mp3", "audio/mpeg"),
    "video": ("video", "video.mp4", "video/mp4"),
    "video_note": ("video", "video.mp4", "video/mp4"),
}
"""By field: the kind, and the name and type of a file that brings none."""


def attachments_of(content: TgContent) -> tuple[Attachment, ...]:
    """The file of a message, if any; of a photo the largest size."""
    for field, (kind, name, mime) in _FILES.items():
        file = getattr(content, field)
        if not file:
            continue
        if field == "photo":
            file = max(file, key=lambda size: (size.width * size.height, size.file_size))
        song = " - ".join(filter(None, (file.performer, file.title)))
        return (Attachment(kind, file.file_id, file.file_name or song or name, file.file_size, file.mime_type or mime),)
    return ()


# ------------------------------------------------------------------ what it replies to


def quotes_of(message: TgMessage, me: TgUser) -> tuple[Quote, ...]:
    """The message that this one replies to. A passage that the user picked stands for the whole text."""
    target, passage = message.reply_to_message, message.quote
    if target is not None and target.forum_topic_created is None:  # what everything in a topic replies to
        text = passage.text if passage is not None and passage.is_manual else ""
        text = text or text_of(target, me)[0] or stand_in(target)
        own = target.sender is not None and target.sender.id == me.id
        return (Quote(str(target.message_id), text, own, attachments_of(target)),)
    if message.external_reply is not None:
        text, files = passage.text if passage is not None else "", attachments_of(message.external_reply)
        if text or files:
            return (Quote("", text, attachments=files),)  # without its id, which counts in another chat
    return ()
