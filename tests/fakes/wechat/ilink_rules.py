"""What iLink asks of every call, as pure checks: headers, ``base_info``, the shape of a message.

Rules of this file:
- no HTTP and no memory; a check returns nothing, or raises ``Refused`` with the platform's ``ret``;
- -14 (login) and -2 (no such context, or used up) are the platform's own codes. What it answers to a call that is
  malformed is not known: here -1, and the fake lists it in ``complaints``.

Source: Tencent's npm package @tencent-weixin/openclaw-weixin 2.4.9 and its docs/protocol.md; fact sheet, section 4.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

Json = dict[str, Any]

MALFORMED, USED_UP, STALE = -1, -2, -14
TEXT_UNITS = 2000
"""UTF-16 units of a text; what is over is cut, and nobody is told."""
QR_TOKENS = 10
"""The most earlier tokens that may come with the request for a QR code."""
USER, BOT = 1, 2
"""``message_type``: who has written."""
FINISHED = 2
"""``message_state`` of a message that will not grow any more."""
TEXT, IMAGE, VOICE, FILE, VIDEO = 1, 2, 3, 4, 5
FIELDS = {TEXT: "text_item", IMAGE: "image_item", VOICE: "voice_item", FILE: "file_item", VIDEO: "video_item"}
"""Type of an item -> the field that holds it."""


class Refused(Exception):
    """A call that the platform refuses, with its ``ret`` and ``errmsg``."""

    def __init__(self, ret: int, errmsg: str) -> None:
        super().__init__(ret, errmsg)
        self.ret, self.errmsg = ret, errmsg


def need(holds: object, what: str) -> None:
    """Raise Refused when the call is malformed in this way."""
    if not holds:
        raise Refused(MALFORMED, what)


def check_headers(headers: Mapping[str, str]) -> None:
    """The headers of every POST, but for the token: ``Authorization`` is not asked of the call for a QR code."""
    need(headers.get("Content-Type", "").startswith("application/json"), "Content-Type is not application/json")
    need(headers.get("AuthorizationType") == "ilink_bot_token", "AuthorizationType is not ilink_bot_token")
    need(headers.get("iLink-App-Id") == "bot", "iLink-App-Id is not bot")
    version = headers.get("iLink-App-ClientVersion", "")
    need(version.isdecimal() and int(version) < 1 << 24, "iLink-App-ClientVersion is not major<<16 | minor<<8 | patch")
    need(_is_uin(headers.get("X-WECHAT-UIN", "")), "X-WECHAT-UIN is not the base64 of a uint32 in decimal")


def _is_uin(value: str) -> bool:
    try:
        number = base64.b64decode(value, validate=True)
    except binascii.Error:
        return False
    return number.isdigit() and int(number) < 1 << 32


def check_base_info(body: Json) -> None:
    """``base_info: {channel_version, bot_agent}``, in every call that has a token."""
    info = body.get("base_info")
    need(isinstance(info, dict) and info.get("channel_version"), "base_info without channel_version")
    agent = body["base_info"].get("bot_agent", "")
    need(isinstance(agent, str) and agent.isascii() and len(agent) <= 256, "bot_agent is not 256 bytes of ASCII")


def check_message(msg: Any) -> None:
    """What a bot sends: one finished message with one item."""
    need(isinstance(msg, dict), "no msg")
    need(msg.get("from_user_id") == "", "from_user_id is not empty")
    need(msg.get("to_user_id"), "no to_user_id")
    need(isinstance(client := msg.get("client_id"), str) and client, "no client_id")
    need(msg.get("message_type") == BOT, "message_type is not 2")
    need(msg.get("message_state") == FINISHED, "message_state is not 2")
    items = msg.get("item_list")
    need(isinstance(items, list) and len(items) == 1 and isinstance(items[0], dict), "item_list has not one item")
    _check_item(msg["item_list"][0])


def _check_item(item: Json) -> None:
    field = FIELDS.get(item.get("type", 0), "")
    need(field, "the item has an unknown type")
    content = item.get(field)
    need(isinstance(content, dict), f"the item has no {field}")
    if field == "text_item":
        need(isinstance(text := item[field].get("text"), str) and text, "text_item without text")
        return
    media = item[field].get("media")
    need(isinstance(media, dict), f"{field} without media")
    need(item[field]["media"].get("encrypt_type") == 1, "encrypt_type is not 1")
    if field == "file_item":
        need(item[field].get("file_name"), "file_item without file_name")
        need(str(item[field].get("len", "")).isdecimal(), "file_item without len")


def cut(text: str) -> str:
    """The text as the user gets it."""
    return text.encode("utf-16-le", "replace")[: 2 * TEXT_UNITS].decode("utf-16-le", "ignore")
