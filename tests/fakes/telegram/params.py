"""The parameters of a call, read and resolved to the chat, topic, text or message that they mean.

Rules of this file:
- parameters come as JSON values or, from forms, as strings; structured ones may be JSON in a string;
- what cannot be resolved is ``Refused`` in the platform's words; nothing is changed here.
"""

from __future__ import annotations

from typing import Any

import msgspec

from tests.fakes.telegram.chat import GENERAL_TOPIC, Chat, Stored
from tests.fakes.telegram.rules import Json, Refused, bad_request, formatted, keyboard, utf16
from tests.fakes.telegram.state import Bot

MAX_CAPTION = 1024


def number(p: Json, name: str, default: int = 0) -> int:
    try:
        return int(p.get(name, default))
    except (TypeError, ValueError):
        raise bad_request(f"invalid {name} specified") from None


def flag(p: Json, name: str) -> bool:
    return str(p.get(name, False)).lower() in {"true", "1", "yes"}


def structure(p: Json, name: str) -> Any:
    """A parameter that is an object or a list; None when it is absent."""
    value = p.get(name)
    if not isinstance(value, str) or not value:
        return value
    try:
        return msgspec.json.decode(value)
    except msgspec.DecodeError:
        raise bad_request(f"can't parse {name} JSON object") from None


def chat_id_of(p: Json) -> int | None:
    """The chat of a call, if it names one by number."""
    try:
        return int(p["chat_id"])
    except (KeyError, TypeError, ValueError):
        return None


def known_chat(bot: Bot, p: Json) -> Chat:
    """The chat of a call, blocked or not."""
    if p.get("chat_id") in (None, ""):
        raise bad_request("chat_id is empty")
    chat = bot.chats.get(chat_id_of(p) or 0)
    if chat is None:
        raise bad_request("chat not found")
    if chat.moved_to:
        reason = "Bad Request: group chat was upgraded to a supergroup chat"
        raise Refused(400, reason, {"migrate_to_chat_id": chat.moved_to})
    return chat


def open_chat(bot: Bot, p: Json) -> Chat:
    """The chat of a call that the people in it would notice."""
    chat = known_chat(bot, p)
    if chat.blocked:
        where = "channel" if chat.kind == "channel" else f"{chat.kind} chat"
        if chat.kind == "private":
            reason = "bot was blocked by the user"
        else:
            reason = (
                f"bot was kicked from the {where}" if chat.status == "kicked" else f"bot is not a member of the {where}"
            )
        raise Refused(403, f"Forbidden: {reason}")
    return chat


def is_general(chat: Chat, thread: int) -> bool:
    return thread == GENERAL_TOPIC and bool(chat.info.get("is_forum"))


def topic_of(chat: Chat, p: Json) -> int:
    """The topic of a call, 0 for none. The General topic of a forum has no number when sending."""
    thread = number(p, "message_thread_id")
    if thread and (thread not in chat.topics or is_general(chat, thread)):
        raise bad_request("message thread not found")
    return thread


def text_of(p: Json, name: str = "text") -> tuple[str, list[Json]]:
    """Text (or caption) and entities of a call as the platform would keep them; the length is the method's business."""
    text = p.get(name) or ""
    if not isinstance(text, str):
        raise bad_request(f"{name} must be a String")
    if p.get("parse_mode"):
        raise Refused(501, "Not Implemented: this server takes entities, it does not parse parse_mode")
    return formatted(text, structure(p, "entities" if name == "text" else f"{name}_entities"))


def caption_of(p: Json) -> Json:
    """Caption and entities as fields of a message; nothing when there is no caption."""
    caption, entities = text_of(p, "caption")
    if utf16(caption) > MAX_CAPTION:
        raise bad_request("message caption is too long")
    fields: Json = {"caption": caption} if caption else {}
    return {**fields, "caption_entities": entities} if entities else fields


def frame_of(chat: Chat, p: Json) -> Json:
    """What every message of the bot has beside its content, as fields of the message: topic, reply, keyboard."""
    frame: Json = {}
    if thread := topic_of(chat, p):
        frame = {"message_thread_id": thread, "is_topic_message": True}
    if markup := keyboard(structure(p, "reply_markup")):
        frame["reply_markup"] = markup
    reply = structure(p, "reply_parameters") or {}
    target = number(reply, "message_id") or number(p, "reply_to_message_id")
    replied = chat.messages.get(target)
    if replied:
        frame = {**chat.reply(replied.body), **frame}
        if quote := reply.get("quote"):
            frame["quote"] = quote_of(replied.body, str(quote))
    elif target and not (flag(reply, "allow_sending_without_reply") or flag(p, "allow_sending_without_reply")):
        raise bad_request("message to be replied not found")
    return frame


def quote_of(replied: Json, part: str) -> Json:
    """The part of a message that a reply quotes: an exact one, as the platform wants it."""
    text = replied.get("text") or replied.get("caption", "")
    if part not in text:
        raise bad_request("QUOTE_TEXT_INVALID")
    return {"text": part, "position": utf16(text[: text.index(part)]), "is_manual": True}


def message_of(chat: Chat, p: Json, purpose: str) -> Stored:
    """The message of a call; ``purpose`` is the verb in the refusal (edit, delete, react)."""
    message_id = number(p, "message_id")
    if not message_id:
        raise bad_request("message identifier is not specified")
    stored = chat.messages.get(message_id)
    if stored is None:
        raise bad_request(f"message to {purpose} not found")
    return stored
