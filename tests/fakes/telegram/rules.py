"""What the Bot API accepts and refuses, as pure functions: texts, entities, keyboards, reactions, call limits.

Rules of this file:
- no IO, no clock: the time is an argument;
- a refusal is a ``Refused`` with the platform's own words; lengths and offsets of texts are UTF-16 units;
- stricter than the platform in one thing: entities that overlap without nesting are an error, the platform cuts them;
- looser in three: links in texts are not found, styles around ``code`` and ``pre`` not cut, ``parse_mode`` not parsed.
"""

from __future__ import annotations

import math
import re
from collections import deque
from typing import Any

import msgspec

Json = dict[str, Any]
"""A JSON object as the Bot API writes it; the field names are Telegram's."""

MAX_TEXT = 4096
MAX_ENTITIES = 100
MAX_CALLBACK_DATA = 64
"""Bytes of UTF-8."""
MAX_COPY_TEXT = 256


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


ENTITY_TYPES = _words(
    "mention hashtag cashtag bot_command url email phone_number bold italic underline strikethrough spoiler blockquote "
    "expandable_blockquote code pre text_link text_mention custom_emoji date_time"
)
ENTITY_FIELDS = {
    "language": "pre",
    "url": "text_link",
    "user": "text_mention",
    "custom_emoji_id": "custom_emoji",
    "unix_time": "date_time",
    "date_time_format": "date_time",
}
"""Optional field of an entity -> the one type that may carry it."""
ENTITY_NEEDS = {"text_link": "url", "text_mention": "user", "custom_emoji": "custom_emoji_id", "date_time": "unix_time"}

BUTTON_ACTIONS = _words(
    "url callback_data web_app login_url switch_inline_query switch_inline_query_current_chat "
    "switch_inline_query_chosen_chat copy_text callback_game pay"
)
OTHER_MARKUPS = frozenset({"keyboard", "remove_keyboard", "force_reply"})

CHAT_ACTIONS = _words(
    "typing upload_photo record_video upload_video record_voice upload_voice upload_document choose_sticker "
    "find_location record_video_note upload_video_note"
)

REACTIONS = _words(
    "👍 👎 ❤ 🔥 🥰 👏 😁 🤔 🤯 😱 🤬 😢 🎉 🤩 🤮 💩 🙏 👌 🕊 🤡 🥱 🥴 😍 🐳 ❤️‍🔥 "
    "🌚 🌭 💯 🤣 ⚡ 🍌 🏆 💔 🤨 😐 🍓 🍾 💋 🖕 😈 😴 😭 🤓 👻 👨‍💻 👀 🎃 🙈 😇 😨 "
    "🤝 ✍ 🤗 🫡 🎅 🎄 ☃ 💅 🤪 🗿 🆒 💘 🙉 🦄 😘 💊 🙊 😎 👾 🤷‍♂️ 🤷 🤷‍♀️ 😡"
)
"""The only emoji a bot may react with: a tick, a cross or an hourglass is not among them."""


# ------------------------------------------------------------------ refusals


class Refused(Exception):
    """A call the Bot API answers with ``ok: false``; ``code`` is the HTTP status too."""

    def __init__(self, code: int, description: str, parameters: Json | None = None) -> None:
        super().__init__(description)
        self.code = code
        self.description = description
        self.parameters = parameters

    def body(self) -> Json:
        answer: Json = {"ok": False, "error_code": self.code, "description": self.description}
        if self.parameters:
            answer["parameters"] = self.parameters
        return answer


def bad_request(reason: str) -> Refused:
    return Refused(400, f"Bad Request: {reason}")


def bad_entities(reason: str) -> Refused:
    return bad_request(f"can't parse entities: {reason}")


def too_many_requests(seconds: float) -> Refused:
    whole = max(1, math.ceil(seconds))
    return Refused(429, f"Too Many Requests: retry after {whole}", {"retry_after": whole})


# ------------------------------------------------------------------ texts and entities


def utf16(text: str) -> int:
    """Length in UTF-16 units: an emoji counts as two."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le")) // 2


def formatted(text: str, entities: Any = None) -> tuple[str, list[Json]]:
    """A text with its entities as the platform keeps them: checked, trimmed, and sorted.

    Space around the text is cut off, so an edit that only adds a newline at the end is "not modified". At the
    beginning the cut stops at the first entity.
    """
    kept = _entities(text, entities) if entities else []
    text = text.rstrip(" \t\r\n")
    first = kept[0]["offset"] if kept else len(text)
    start = min(len(text) - len(text.lstrip(" \t\r\n")), first)
    text = text[start:]
    if not kept:
        return text, kept
    end = utf16(text)
    fitted: list[Json] = []
    for entity in kept:
        offset = entity["offset"] - start
        length = min(entity["length"], end - offset)
        if length > 0:
            fitted.append({**entity, "offset": offset, "length": length})
    fitted.sort(key=_outer_first)
    return text, fitted


def _outer_first(entity: Json) -> tuple[int, int, str]:
    return entity["offset"], -entity["length"], entity["type"]


def _entities(text: str, raw: Any) -> list[Json]:
    """The valid entities, outer before inner. Beyond the first hundred they are not looked at."""
    if not isinstance(raw, list):
        raise bad_entities("expected an Array of MessageEntity")
    data = text.encode("utf-16-le")
    kept = [entity for entity in (_entity(item, data) for item in raw[:MAX_ENTITIES]) if entity["length"]]
    kept.sort(key=_outer_first)
    ends: list[int] = []
    for entity in kept:
        start, end = entity["offset"], entity["offset"] + entity["length"]
        while ends and ends[-1] <= start:
            ends.pop()
        if ends and end > ends[-1]:
            raise bad_entities(f"entity beginning at UTF-16 offset {start} overlaps another without being nested")
        ends.append(end)
    return kept


def _entity(item: Any, data: bytes) -> Json:
    """One entity, checked against the text's UTF-16 ``data``."""
    if not isinstance(item, dict):
        raise bad_entities("MessageEntity must be an Object")
    kind, offset, length = item.get("type"), item.get("offset"), item.get("length")
    if kind not in ENTITY_TYPES:
        raise bad_entities(f"unsupported MessageEntity type {kind!r}")
    if type(offset) is not int or type(length) is not int:
        raise bad_entities("MessageEntity needs the numbers offset and length")
    if offset < 0 or length < 0:
        raise bad_entities(f"entity has the incorrect offset {offset} or length {length}")
    end = offset + length
    if end > len(data) // 2:
        raise bad_entities(
            f"entity beginning at UTF-16 offset {offset} ends after the end of the text at UTF-16 offset "
            f"{len(data) // 2}"
        )
    for edge in (offset, end):
        if 2 * edge < len(data) and data[2 * edge + 1] & 0xFC == 0xDC:  # the second half of a surrogate pair
            raise bad_entities(f"entity edge at UTF-16 offset {edge} is in the middle of a UTF-16 symbol")
    entity: Json = {"type": kind, "offset": offset, "length": length}
    for name, owner in ENTITY_FIELDS.items():
        value = item.get(name)
        if value is not None:
            if owner != kind:
                raise bad_entities(f"{name} is not allowed in an entity of type {kind}")
            entity[name] = value
    needed = ENTITY_NEEDS.get(kind)
    if needed and needed not in entity:
        raise bad_entities(f"an entity of type {kind} needs {needed}")
    return entity


_USER_ENTITIES = re.compile(
    r"(?<![\w/<>])(?P<bot_command>/[A-Za-z0-9_]{1,64}(?:@[A-Za-z0-9_]{2,32})?)(?![\w/<>])"
    r"|(?<!\w)(?P<mention>@[A-Za-z0-9_]{2,32})(?!\w)"
)


def found(text: str) -> list[Json]:
    """Commands and mentions in a user's text. As on the platform, ``你好@my_bot`` is none: Han are letters too."""
    return [
        {"type": match.lastgroup, "offset": utf16(text[: match.start()]), "length": len(match[0])}
        for match in _USER_ENTITIES.finditer(text)
    ]


# ------------------------------------------------------------------ keyboards


def keyboard(markup: Any, *, edit: bool = False) -> Json | None:
    """The inline keyboard of a call in its stored form; None when there is none to show on the message."""
    if not markup:
        return None
    if not isinstance(markup, dict):
        raise bad_request("object expected as reply markup")
    rows = markup.get("inline_keyboard")
    if rows is None:
        if edit or not OTHER_MARKUPS & markup.keys():
            raise bad_request("inline keyboard expected")
        return None
    if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
        raise bad_request('field "inline_keyboard" must be of type Array')
    stored = [[_button(button) for button in row] for row in rows if row]
    return {"inline_keyboard": stored} if stored else None


def _button(button: Any) -> Json:
    if not isinstance(button, dict) or not isinstance(button.get("text"), str) or not button["text"].strip():
        raise bad_request("can't parse inline keyboard button: text must be non-empty")
    actions = [name for name in button if name in BUTTON_ACTIONS]
    if len(actions) != 1:
        raise bad_request("can't parse inline keyboard button: text buttons are unallowed in the inline keyboard")
    if button.get("style", "primary") not in {"primary", "success", "danger"}:
        raise bad_request("can't parse inline keyboard button: invalid button style specified")
    match actions[0]:
        case "callback_data":
            data = button["callback_data"]
            if not isinstance(data, str) or not 1 <= len(data.encode()) <= MAX_CALLBACK_DATA:
                raise bad_request("BUTTON_DATA_INVALID")
        case "url":
            if not re.match(r"(?:https?|tg)://[^\s/]", str(button["url"])):
                raise bad_request("BUTTON_URL_INVALID")
        case "copy_text":
            copied = button["copy_text"].get("text") if isinstance(button["copy_text"], dict) else None
            if not isinstance(copied, str) or not 1 <= len(copied) <= MAX_COPY_TEXT:
                raise bad_request("BUTTON_COPY_TEXT_INVALID")
    return button


# ------------------------------------------------------------------ call limits


class Limit(msgspec.Struct, frozen=True):
    """At most ``calls`` in any ``seconds``; the next one starts a ban of ``penalty`` seconds.

    Each call during the ban makes it ``lengthen`` seconds longer. The platform's numbers are not published.
    """

    calls: int
    seconds: float
    penalty: float
    lengthen: float = 0.0


class Window:
    """The calls of one chat (or bot) in the sliding window of its limit."""

    __slots__ = ("_times", "banned_until")

    def __init__(self) -> None:
        self._times: deque[float] = deque()
        self.banned_until = 0.0

    def spend(self, limit: Limit, now: float) -> float:
        """Count one call: 0 when it may pass, else the seconds of ban that are left. A refused call does not count."""
        left = self.banned_until - now
        if left > 0:
            self.banned_until += limit.lengthen
            return left + limit.lengthen
        times = self._times
        while times and times[0] <= now - limit.seconds:
            times.popleft()
        if len(times) >= limit.calls:
            self.banned_until = now + limit.penalty
            return limit.penalty
        times.append(now)
        return 0.0
