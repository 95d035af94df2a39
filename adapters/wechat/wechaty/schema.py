"""What a gateway tells of messages, people and rooms, as far as it is read. Pure.

Rules of this file:
- the structs are the bridge's own: nobody but the client sees the generated classes of the gRPC API;
- JSON within the API (links, files) may lack any field, and may hold half an emoji, which no store can keep.

Source: wechaty-grpc 1.5.2, puppet/{message,contact,room,room-member,url-link}.proto.
"""

from __future__ import annotations

import json
from enum import IntEnum
from typing import Any

import msgspec

MILLISECONDS = 10**11
"""From here on a time is not in seconds (that would be the year 5138)."""


class Type(IntEnum):
    """Types of messages, by the numbers of the TypeScript puppets (wechaty-puppet 1.20). The enum of the gRPC API has
    others, which no gateway sends."""

    UNKNOWN = 0
    ATTACHMENT = 1
    AUDIO = 2
    CONTACT = 3
    CHAT_HISTORY = 4
    EMOTICON = 5
    IMAGE = 6
    TEXT = 7
    LOCATION = 8
    MINI_PROGRAM = 9
    GROUP_NOTE = 10
    TRANSFER = 11
    RED_ENVELOPE = 12
    RECALLED = 13
    URL = 14
    VIDEO = 15
    POST = 16


class WxMessage(msgspec.Struct, frozen=True):
    """``type`` may be a number that ``Type`` does not know. ``room_id`` is empty in private, ``to_id`` in most rooms.
    ``timestamp``: Unix seconds."""

    id: str
    type: int
    from_id: str
    room_id: str = ""
    to_id: str = ""
    text: str = ""
    mention_ids: tuple[str, ...] = ()
    timestamp: float = 0.0
    filename: str = ""


class WxContact(msgspec.Struct, frozen=True):
    """``alias`` is how the account's owner calls this contact."""

    id: str
    name: str = ""
    alias: str = ""


class WxRoom(msgspec.Struct, frozen=True):
    id: str
    topic: str = ""
    member_ids: tuple[str, ...] = ()


class WxMember(msgspec.Struct, frozen=True):
    """``room_alias`` is how the member wants to be called in this room; empty = as everywhere."""

    name: str = ""
    room_alias: str = ""


class WxLink(msgspec.Struct, frozen=True):
    title: str = ""
    url: str = ""
    description: str = ""


def link(text: str) -> WxLink:
    """The JSON of a UrlLink -> the link; what is missing or of another type is empty."""
    fields = read(text)
    return WxLink(*(value if isinstance(value := fields.get(name), str) else "" for name in WxLink.__struct_fields__))


def read(text: str) -> dict[str, Any]:
    """A JSON object; empty when it is none."""
    try:
        value = json.loads(text.encode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return {}
    return {name: _whole(item) for name, item in value.items()} if isinstance(value, dict) else {}


def _whole(value: Any) -> Any:
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


def seconds(stamp: float) -> float:
    """A message's time, which puppets give in milliseconds or in seconds, in seconds."""
    return stamp / 1000 if stamp >= MILLISECONDS else float(stamp)
