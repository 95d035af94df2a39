"""iLink's messages -> messages. Pure: one element of ``msgs`` in, one message or nothing out.

Rules of this file:
- the channel knows one person and no groups: what carries a group id, and what a bot wrote, is nothing for us;
- a voice message is what Tencent heard in it; without their transcript it is a file that cannot be read;
- an item that is not as documented is passed on as something that cannot be read: the rest of the message counts;
- a quote tells its text, or (newer clients) only an id: then it is bare, and the bridge knows its own answers;
- keys and tokens stay out of every ``repr``.

Sources: npm @tencent-weixin/openclaw-weixin 2.4.9 (WeixinMessage, MessageItem), docs/protocol.md of its repository.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Any, Literal, NamedTuple, TypeVar

import msgspec

from bridge.model import Attachment, Conversation, Message, Quote, User

_T = TypeVar("_T")

BOT = 2
"""``message_type`` of what a bot wrote."""


class ItemType(IntEnum):
    """``type`` of an item."""

    TEXT = 1
    IMAGE = 2
    VOICE = 3
    FILE = 4
    VIDEO = 5


class Handle(msgspec.Struct, frozen=True, omit_defaults=True):
    """``Message.handle``, as JSON: the token that an answer must carry."""

    token: str = ""

    def __repr__(self) -> str:
        return "Handle(…)"


class MediaRef(msgspec.Struct, frozen=True, omit_defaults=True):
    """``Attachment.ref``, as JSON: what the CDN is asked for, and the key as the platform writes it (media.key_of);
    without one the file is not encrypted."""

    param: str = ""
    key: str = ""

    def __repr__(self) -> str:
        return "MediaRef(…)"


def parse(bot: str, raw: dict[str, Any]) -> Message | None:
    """The message for the bot ``bot``; None when there is nothing in it for us.

    Raises msgspec.ValidationError when it has no id, no sender, or fields of other types than documented.
    """
    message = _read(raw, _Message)
    said = _said(message.item_list)
    if message.message_type == BOT or message.group_id or not any(said):
        return None
    id = str(message.message_id or fingerprint(raw))
    if not id:
        raise msgspec.ValidationError("it has no message_id")
    return Message(
        id=id,
        conversation=Conversation(bot=bot, chat=message.from_user_id, kind="private"),
        user=User(message.from_user_id),
        at=message.create_time_ms / 1000,
        handle=msgspec.json.encode(Handle(message.context_token)).decode(),
        text=said.text,
        attachments=said.attachments,
        quotes=said.quotes,
    )


def token(handle: str) -> str:
    """The token in ``Message.handle``."""
    return msgspec.json.decode(handle, type=Handle).token if handle else ""


def fingerprint(raw: dict[str, Any]) -> str:
    """The same for the same message under another id (Tencent/openclaw-weixin #66): sender, content and time of
    creation. Empty without that time: people do say the same thing twice. Raises as ``parse`` does."""
    message = _read(raw, _Message)
    if not message.create_time_ms:
        return ""
    said = _said(message.item_list)
    # a file's key stays the same; what its download is asked with may be made anew
    files = [(file.kind, file.name, msgspec.json.decode(file.ref, type=MediaRef).key) for file in said.attachments]
    what = (message.from_user_id, message.create_time_ms, said.text, files)
    return hashlib.sha256(msgspec.json.encode(what)).hexdigest()


# ------------------------------------------------------------------ what is read of a message


class _Media(msgspec.Struct, frozen=True):
    encrypt_query_param: str = ""
    aes_key: str = ""


class _Content(msgspec.Struct, frozen=True):
    """``text_item``, ``image_item``, …: the fields of all of them."""

    text: str = ""
    """What was written; of a voice message, what Tencent heard."""
    media: _Media = _Media()
    aeskey: str = ""
    """Of an image: the key in hexadecimal digits, which goes before ``media.aes_key``."""
    file_name: str = ""
    len: Any = 0
    """Bytes of a file: a number, or its digits."""


class _Ref(msgspec.Struct, frozen=True):
    """The message that is quoted."""

    svr_id: int | str = ""
    title: str = ""
    """A summary of it."""
    message_item: dict[str, Any] | None = None


class _Item(msgspec.Struct, frozen=True):
    """What it is; the rest of it is read by that."""

    type: int = 0


class _Message(msgspec.Struct, frozen=True):
    message_id: int | str
    """A uint64, in some answers as text."""
    from_user_id: str
    create_time_ms: int = 0
    group_id: str = ""
    message_type: int = 0
    context_token: str = ""
    item_list: list[Any] = []


def _read(raw: Any, kind: type[_T]) -> _T:
    try:
        return msgspec.convert(_without_nulls(raw), kind, strict=False)
    except RecursionError:
        raise msgspec.ValidationError("it is nested too deeply") from None


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    return [_without_nulls(item) for item in value if item is not None] if isinstance(value, list) else value


# ------------------------------------------------------------------ items


class _Said(NamedTuple):
    text: str = ""
    attachments: tuple[Attachment, ...] = ()
    quotes: tuple[Quote, ...] = ()


def _said(items: Sequence[Any]) -> _Said:
    said = [_said_by(item) for item in items]
    return _Said(
        "\n".join(each.text for each in said if each.text),
        tuple(attachment for each in said for attachment in each.attachments),
        tuple(quote for each in said for quote in each.quotes),
    )


def _said_by(raw: Any, *, quoted: bool = False) -> _Said:
    """What an item says, and what it quotes; a quote within a quote is left out."""
    try:
        kind = _read({"type": raw.get("type")} if isinstance(raw, dict) else raw, _Item).type
        said = _content(kind, _read(raw.get(FIELDS.get(kind, "")) or {}, _Content))
    except msgspec.ValidationError:
        said = _unreadable("?")
    return said if quoted or not isinstance(raw, dict) else said._replace(quotes=_quotes(raw.get("ref_msg")))


FIELDS: Mapping[int, str] = {
    ItemType.TEXT: "text_item",
    ItemType.IMAGE: "image_item",
    ItemType.VOICE: "voice_item",
    ItemType.FILE: "file_item",
    ItemType.VIDEO: "video_item",
}


def _content(kind: int, content: _Content) -> _Said:
    match kind:
        case ItemType.TEXT:
            return _Said(content.text)
        case ItemType.IMAGE:
            return _file("image", content)
        case ItemType.VOICE if content.text:
            return _Said(content.text)
        case ItemType.VOICE:
            return _file("audio", content, "voice")
        case ItemType.FILE:
            return _file("file", content, content.file_name)
        case ItemType.VIDEO:
            return _file("video", content)
        case number:
            return _unreadable(str(number))


def _file(kind: Literal["image", "file", "audio", "video"], content: _Content, name: str = "") -> _Said:
    key = base64.b64encode(content.aeskey.encode()).decode() if content.aeskey else content.media.aes_key
    ref = msgspec.json.encode(MediaRef(content.media.encrypt_query_param, key)).decode()
    size = int(content.len) if str(content.len).isdecimal() and len(str(content.len)) < 16 else 0
    return _Said(attachments=(Attachment(kind, ref, name, size),))


def _unreadable(number: str) -> _Said:
    """A kind of content that the bridge does not know: it tells the user so, by this name."""
    return _Said(attachments=(Attachment("sticker", msgspec.json.encode(MediaRef()).decode(), f"type {number}"),))


def _quotes(raw: Any) -> tuple[Quote, ...]:
    try:
        ref = _read(raw or {}, _Ref)
    except msgspec.ValidationError:
        return ()
    said, id = _Said(), str(ref.svr_id)
    if ref.message_item is not None:
        said = _said_by(ref.message_item, quoted=True)
        id = id or str(ref.message_item.get("msg_id") or "")
    text = said.text or ("" if said.attachments else ref.title)
    return (Quote(id, text, attachments=said.attachments),) if id or text or said.attachments else ()
