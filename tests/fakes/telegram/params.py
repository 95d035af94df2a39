"""The parameters of a call, read and resolved to the chat, topic, text or message that they mean.

Rules of this file:
- parameters come as JSON values or, from forms, as strings; structured ones may be JSON in a string;
- what cannot be resolved is ``Refused`` in the platform's words; nothing is changed here.
"""

from __future__ import annotations

from typing import Any

import msgspec

from tests.fakes.telegram.rules import Json, Refused, bad_request, formatted
from tests.fakes.telegram.state import Bot, Chat, Stored

GENERAL_TOPIC = 1


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
    return chat


def open_chat(bot: Bot, p: Json) -> Chat:
    """The chat of a call that the people in it would notice."""
    chat = known_chat(bot, p)
    if chat.blocked:
        private = chat.info["type"] == "private"
        reason = "bot was blocked by the user" if private else "bot was kicked from the supergroup chat"
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


def text_of(p: Json) -> tuple[str, list[Json]]:
    """Text and entities of a call as the platform would keep them; the length is the method's business."""
    text = p.get("text", "")
    if not isinstance(text, str):
        raise bad_request("text must be a String")
    if p.get("parse_mode"):
        raise Refused(501, "Not Implemented: this server takes entities, it does not parse parse_mode")
    return formatted(text, structure(p, "entities"))


def message_of(chat: Chat, p: Json, purpose: str) -> Stored:
    """The message of a call; ``purpose`` is the verb in the refusal (edit, delete, react)."""
    message_id = number(p, "message_id")
    if not message_id:
        raise bad_request("message identifier is not specified")
    stored = chat.messages.get(message_id)
    if stored is None:
        raise bad_request(f"message to {purpose} not found")
    return stored
