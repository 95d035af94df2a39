"""What FastGPT knows of a conversation: its chatId, its variables, the ids of its turns (DESIGN 2.3, a promise).

Rules of this file: pure; the same input gives the same ids on every platform and after every restart.
"""

from __future__ import annotations

import hashlib
import re
import time
import unicodedata
from collections.abc import Mapping
from typing import Literal

import msgspec

from bridge.model import AnyEvent, Conversation, Message

CHAT_ID_MOST = 200
NAME_MOST = 64
_SAFE = re.compile(r"[A-Za-z0-9_@:-]+")
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"

Sharing = Literal["chat", "user", "thread"]


class Session(msgspec.Struct, omit_defaults=True):
    """The context a conversation is in. ``epoch`` ends its chatId; a new one is a new context."""

    epoch: str
    at: float
    """Unix seconds of the last question."""
    last: Message | None = None
    """The last question: what /retry asks again."""


def lane(to: Conversation, user: str, sharing: Sharing) -> str:
    """A conversation's chatId without its epoch: whatever shares it is answered in order. A chat that the platform has
    moved keeps the id it had: the app remembers it by that."""
    parts = [("", to.was or to.chat)]
    if to.thread and sharing != "chat":
        parts.append(("t:", to.thread))
    if to.kind == "group" and sharing == "user":
        parts.append(("u:", user))
    short = ".".join((to.bot, *(mark + _clean(part) for mark, part in parts)))
    if len(short) + len(".") + len(base36(int(time.time()))) <= CHAT_ID_MOST:
        return short
    return ".".join((to.bot, *(mark + _hash(part) for mark, part in parts)))


def item_id(event: AnyEvent, attempt: int) -> str:
    """``responseChatItemId``: the platform's message id, ``~n`` behind it for a later attempt. A chat that was moved
    counts its messages anew in the same chatId: there the chat stands before it."""
    to = event.conversation
    clean = _clean(f"{to.chat}:{event.id}" if to.was else event.id)
    return f"{clean}~{attempt}" if attempt else clean


def new_epoch(before: Session | None, at: float) -> str:
    """Base-36 Unix seconds, later than the epoch before."""
    seconds = int(at)
    if before is not None:
        seconds = max(seconds, int(before.epoch, 36) + 1)
    return base36(seconds)


def variables(platform: str, event: AnyEvent, *more: Mapping[str, str]) -> dict[str, str]:
    """What is sent with every turn; later mappings win."""
    to, user = event.conversation, event.user
    values = {
        "platform": platform,
        "bot": to.bot,
        "chat_id": to.chat,
        "chat_type": to.kind,
        "chat_name": shown_name(to.name),
        "thread_id": to.thread,
        "user_id": user.id,
        "user_name": shown_name(user.name),
        "message_id": event.id,
        "language": user.language,
        "cTime": c_time(time.localtime()),
    }
    for mapping in more:
        values.update(mapping)
    return values


def c_time(now: time.struct_time) -> str:
    """FastGPT's own form of the current time: ``2026/7/1 09:05``."""
    return f"{now.tm_year}/{now.tm_mon}/{now.tm_mday} {now.tm_hour:02}:{now.tm_min:02}"


def shown_name(name: str) -> str:
    """A name as the app may see it: one line, at most 64 characters; people put prompts into their names."""
    return "".join(c for c in name if unicodedata.category(c) not in ("Cc", "Cf", "Zl", "Zp"))[:NAME_MOST].strip()


def base36(number: int) -> str:
    digits = ""
    while True:
        number, digit = divmod(number, 36)
        digits = _DIGITS[digit] + digits
        if not number:
            return digits


def _clean(part: str) -> str:
    return part if _SAFE.fullmatch(part) else _hash(part)


def _hash(part: str) -> str:
    return "h:" + hashlib.sha256(part.encode()).hexdigest()[:32]
