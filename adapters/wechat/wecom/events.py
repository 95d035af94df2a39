"""WeCom's callbacks -> events. Pure: the body of one frame in, one event or nothing out.

Rules of this file:
- in a group only what mentions the bot arrives: the mention is in front, and it is taken out;
- a voice message is what WeCom heard in it;
- content that is not as documented is passed on as something that cannot be read: the rest of the message counts;
- a press names the stream that its card came with (``task_id``);
- addresses and keys of files stay out of every ``repr``.

Sources: developer.work.weixin.qq.com/document/path/100719 (messages), 101027 (events), 101463 (long connection);
npm @wecom/aibot-node-sdk 1.0.7 (types).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeVar

import msgspec

from bridge.model import Attachment, Conversation, Entered, Message, Press, Quote, User

_T = TypeVar("_T")

EVENT = "aibot_event_callback"
"""The command of events; messages have one of their own."""
_MENTION = re.compile(r"\s*@\S+\s*")
_DEEPEST = 20
"""Levels of a body; documented are six."""


class Handle(msgspec.Struct, frozen=True, omit_defaults=True):
    """``Event.handle``, as JSON: the req_id of the callback, which an answer must carry."""

    r: str = ""


class MediaRef(msgspec.Struct, frozen=True, omit_defaults=True):
    """``Attachment.ref``, as JSON: the address, good for five minutes, and the key in base64."""

    u: str = ""
    k: str = ""

    def __repr__(self) -> str:
        return "MediaRef(…)"


def parse(
    bot: str, frame_command: str, req_id: str, body: dict[str, Any], now: float
) -> Message | Press | Entered | None:
    """The event for the bot ``bot``; None when there is nothing in it for us. ``now`` (Unix seconds) is when it came,
    for callbacks that do not say when it was.

    Raises msgspec.ValidationError when it has no id, no sender, or fields of other types than documented.
    """
    raw = _without_nulls(body)
    head = msgspec.convert(raw, _Head, strict=False)
    common: dict[str, Any] = {
        "id": head.msgid,
        "conversation": _conversation(bot, head),
        "user": User(head.sender.userid),
        "at": float(head.create_time or now),
        "handle": msgspec.json.encode(Handle(req_id)).decode(),
    }
    if frame_command == EVENT:
        return _event(msgspec.convert(raw.get("event", {}), _Event, strict=False), common)
    said = _said(raw)
    quotes = _quotes(raw.get("quote"))
    text = _MENTION.sub("", said.text, count=1) if head.chattype == "group" and _MENTION.match(said.text) else said.text
    if not (said.text.strip() or said.attachments or quotes):
        return None
    return Message(**common, text=text.strip(), attachments=said.attachments, quotes=quotes)


def req_id_of(handle: str) -> str:
    """The req_id in ``Event.handle``; empty when there is none."""
    return msgspec.json.decode(handle, type=Handle).r if handle else ""


# ------------------------------------------------------------------ what is read of a callback


class _From(msgspec.Struct, frozen=True):
    userid: str


class _Head(msgspec.Struct, frozen=True):
    msgid: str
    sender: _From = msgspec.field(name="from")
    create_time: float = 0.0
    """Unix seconds."""
    chattype: str = ""
    chatid: str = ""


class _Chosen(msgspec.Struct, frozen=True):
    option_id: list[str] = []


class _Selected(msgspec.Struct, frozen=True):
    question_key: str
    option_ids: _Chosen = _Chosen()


class _SelectedItems(msgspec.Struct, frozen=True):
    selected_item: list[_Selected] = []


class _Pressed(msgspec.Struct, frozen=True):
    event_key: str = ""
    task_id: str = ""
    selected_items: _SelectedItems = _SelectedItems()


class _Event(msgspec.Struct, frozen=True):
    eventtype: str = ""
    template_card_event: _Pressed = _Pressed()


class _Content(msgspec.Struct, frozen=True):
    """``text``, ``voice``, ``image``, ``file``, ``video``: the fields of all of them."""

    content: str = ""
    """What was written, or heard."""
    url: str = ""
    aeskey: str = ""


def _conversation(bot: str, head: _Head) -> Conversation:
    if head.chattype != "group":
        return Conversation(bot=bot, chat=head.sender.userid, kind="private")
    if not head.chatid:
        raise msgspec.ValidationError("it has no chatid")
    return Conversation(bot=bot, chat=head.chatid, kind="group")


def _event(event: _Event, common: dict[str, Any]) -> Press | Entered | None:
    """Whoever opens the chat on another day enters it again: that has one id, so it is greeted once."""
    if event.eventtype == "enter_chat":
        return Entered(**common | {"id": "first"}, first=True)
    pressed = event.template_card_event
    if event.eventtype != "template_card_event" or not pressed.event_key:
        return None
    values = {item.question_key: ",".join(item.option_ids.option_id) for item in pressed.selected_items.selected_item}
    return Press(**common, target=pressed.task_id, key=pressed.event_key, values=values)


def _without_nulls(value: Any, depth: int = 0) -> Any:
    if depth > _DEEPEST:
        raise msgspec.ValidationError("it is nested too deeply")
    if isinstance(value, dict):
        return {key: _without_nulls(item, depth + 1) for key, item in value.items() if item is not None}
    return [_without_nulls(item, depth + 1) for item in value if item is not None] if isinstance(value, list) else value


# ------------------------------------------------------------------ contents


class _Said(NamedTuple):
    text: str = ""
    attachments: tuple[Attachment, ...] = ()


def _said(raw: Any) -> _Said:
    """What a message, an item of it, or a quoted message says; ``msgtype`` names the field with the content."""
    kind = raw.get("msgtype") if isinstance(raw, dict) else None
    if not isinstance(kind, str):
        return _unreadable("?")
    try:
        return _content(kind, raw.get(kind, {}))
    except msgspec.ValidationError:
        return _unreadable(kind)


def _content(kind: str, raw: Any) -> _Said:
    match kind:
        case "text" | "voice":
            return _Said(_read(raw, _Content).content)
        case "image" | "file" | "video":
            content = _read(raw, _Content)
            ref = msgspec.json.encode(MediaRef(content.url, content.aeskey)).decode()
            return _Said(attachments=(Attachment(kind, ref),))
        case "mixed":
            return _together(_read(raw, _Mixed).msg_item)
        case _:
            return _unreadable(kind)


class _Mixed(msgspec.Struct, frozen=True):
    msg_item: list[Any] = []


def _together(items: Sequence[Any]) -> _Said:
    said = [_said(item) for item in items]
    return _Said(
        "\n".join(each.text for each in said if each.text),
        tuple(attachment for each in said for attachment in each.attachments),
    )


def _read(raw: Any, kind: type[_T]) -> _T:
    return msgspec.convert(raw, kind, strict=False)


def _unreadable(kind: str) -> _Said:
    """A kind of content that the bridge does not know: it tells the user so, by this name."""
    return _Said(attachments=(Attachment("sticker", msgspec.json.encode(MediaRef()).decode(), kind),))


def _quotes(raw: Any) -> tuple[Quote, ...]:
    """The quoted message: WeCom gives its content, and no id."""
    if not raw:
        return ()
    said = _said(raw)
    return (Quote("", said.text, attachments=said.attachments),) if any(said) else ()
