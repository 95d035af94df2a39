"""What WeCom asks of a bot's frames, as pure checks: streams, cards, messages, and how often.

Rules of this file:
- no network and no memory; a check returns nothing, or raises ``Refused`` with WeCom's ``errcode``;
- ``MALFORMED``, ``FREQUENT``, ``BAD_SECRET``, ``BAD_CHAT`` and ``NO_GROUPS`` are not verified for this door: the
  meaning is known, the number is a guess. The fake lists what is malformed in ``complaints``.

Source: developer.work.weixin.qq.com/document/path/101463 (long connection), 101032 (template cards); types of npm
@wecom/aibot-node-sdk 1.0.7; fact sheet, section 5.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Sequence
from typing import Any

Json = dict[str, Any]

BAD_REQUEST, EXPIRED, NOT_SUBSCRIBED = 846605, 846608, 846609
MALFORMED, FREQUENT, BAD_SECRET, BAD_CHAT, NO_GROUPS = 40058, 45009, 853000, 86001, 846610

CONTENT_MOST = 20_480
"""Bytes of Markdown, in a stream or in a message."""
STREAM_ID_MOST = 256
IMAGES_MOST = 10
IMAGE_MOST = 10 << 20
RATES = ((30, 60.0), (1000, 3600.0))
"""(frames, seconds) of one chat."""
SILENCE, LIFE = 360.0, 600.0
"""Seconds: a stream without an update, and a stream at all."""
EVENT_ANSWER = 5.0
"""Seconds in which an event can be answered."""
MEDIA = ("file", "image", "voice", "video")
CARDS = ("text_notice", "news_notice", "button_interaction", "vote_interaction", "multiple_interaction")
_TASK_ID = re.compile(r"[0-9A-Za-z_\-@]{1,128}")


class Refused(Exception):
    """A frame that WeCom refuses, with its ``errcode`` and ``errmsg``."""

    def __init__(self, errcode: int, errmsg: str) -> None:
        super().__init__(errcode, errmsg)
        self.errcode, self.errmsg = errcode, errmsg


def need(holds: object, what: str) -> None:
    """Raise Refused when the frame is malformed in this way."""
    if not holds:
        raise Refused(MALFORMED, what)


def check_often(earlier: Sequence[float], now: float) -> None:
    """Refuse one more frame of a chat whose ``earlier`` ones were taken at these times."""
    for most, seconds in RATES:
        if sum(now - at < seconds for at in earlier) >= most:
            raise Refused(FREQUENT, "api freq out of limit")


def busiest(times: Sequence[float], seconds: float = 60.0) -> int:
    """The most of ``times`` (rising) within any span of so many seconds."""
    return max((sum(0 <= at - first < seconds for at in times) for first in times), default=0)


def check_stream(stream: Any) -> None:
    """The ``stream`` of a frame: id, finish, the whole content so far, and pictures in the last one."""
    need(isinstance(stream, dict), "no stream")
    stream_id, content = stream.get("id"), stream.get("content", "")
    need(isinstance(stream_id, str) and 0 < len(stream_id.encode()) <= STREAM_ID_MOST, "bad stream.id")
    need(isinstance(stream.get("finish", False), bool), "stream.finish is not a boolean")
    check_content(content)
    items = stream.get("msg_item", [])
    need(not items or stream.get("finish"), "stream.msg_item before the last frame")
    need(isinstance(items, list) and len(items) <= IMAGES_MOST, "too many pictures")
    for item in items:
        need(item.get("msgtype") == "image" and isinstance(item.get("image"), dict), "stream.msg_item is no image")
        _check_image(item["image"])


def _check_image(image: Json) -> None:
    try:
        data = base64.b64decode(image.get("base64", ""), validate=True)
    except (binascii.Error, ValueError):
        raise Refused(MALFORMED, "the picture is not base64") from None
    need(data.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")), "the picture is neither JPG nor PNG")
    need(len(data) <= IMAGE_MOST, "the picture is over 10 MB")
    need(image.get("md5") == hashlib.md5(data).hexdigest(), "the md5 of the picture is another")


def check_content(content: Any) -> None:
    """Markdown: a string of at most 20,480 bytes."""
    need(isinstance(content, str), "content is not a string")
    need(len(content.encode()) <= CONTENT_MOST, f"content is over {CONTENT_MOST} bytes")


def check_card(card: Any) -> None:
    """A template card: its type, its task_id, and the parts that its type must have."""
    need(isinstance(card, dict) and card.get("card_type") in CARDS, "no such card_type")
    kind, title = card["card_type"], card.get("main_title", {})
    need(title.get("title") or card.get("sub_title_text"), "a card without a title")
    if kind in ("text_notice", "news_notice"):
        need(card.get("card_action", {}).get("type") in (1, 2), "a notice without card_action")
    else:
        need(_TASK_ID.fullmatch(card.get("task_id", "")), "task_id: 1 to 128 of 0-9A-Za-z_-@")
    if kind == "button_interaction":
        buttons = card.get("button_list", [])
        need(0 < len(buttons) <= 6, "button_list: 1 to 6")
        need(all(button.get("text") and button.get("key") for button in buttons), "a button without text or key")
        need(len({button["key"] for button in buttons}) == len(buttons), "two buttons of one key")
    if kind == "multiple_interaction":
        _check_menus(card.get("select_list", []))
    if kind in ("multiple_interaction", "vote_interaction"):
        submit = card.get("submit_button", {})
        need(submit.get("text") and submit.get("key"), "submit_button without text or key")
    need(len(card.get("jump_list", [])) <= 3, "jump_list: at most 3")


def _check_menus(menus: Any) -> None:
    need(isinstance(menus, list) and 0 < len(menus) <= 3, "select_list: 1 to 3")
    need(len({menu.get("question_key") for menu in menus}) == len(menus), "two menus of one question_key")
    for menu in menus:
        options = menu.get("option_list", [])
        need(menu.get("question_key") and 0 < len(options) <= 10, "a menu: question_key, and 1 to 10 options")
        need(all(option.get("id") and option.get("text") for option in options), "an option without id or text")


def keys(card: Json) -> set[str]:
    """What a press on the card can bring as its ``event_key``."""
    shown = [*card.get("button_list", []), *filter(None, [card.get("submit_button")])]
    return {button["key"] for button in shown}
