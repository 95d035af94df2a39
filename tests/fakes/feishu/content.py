"""The contents of messages that are no cards: what may be sent, and what a person reads in them.

Rules of this file: a content is the JSON string of the platform; ``check_content`` raises, ``read`` never does.

Source: fact sheet 3.3 and 4.
"""

from __future__ import annotations

from typing import Any

import msgspec

from tests.fakes.feishu.cardmarkdown import at_ids
from tests.fakes.feishu.rules import CARD_BYTES, TEXT_BYTES, Json, Refused
from tests.fakes.feishu.state import State

POST_TAGS = frozenset({"text", "a", "at", "img", "media", "emotion", "hr", "code_block", "md"})
KEYS = {"image": "image_key", "file": "file_key", "audio": "file_key", "media": "file_key", "sticker": "file_key"}


def bad(reason: str) -> Refused:
    return Refused(230001, f"Your request contains an invalid request parameter, ext={reason}")


def check_content(state: State, kind: str, content: str) -> None:
    """Raises Refused: too long (230025), not of the type's shape (230001), a file that is not there."""
    most = TEXT_BYTES if kind == "text" else CARD_BYTES
    if len(content.encode()) > most:
        raise Refused(230025, "The length of the message content reaches its limit.")
    try:
        data = msgspec.json.decode(content, type=Json)
    except msgspec.DecodeError as error:
        raise bad(f"content is not a string in json format: {error}") from None
    if kind == "text":
        if not isinstance(data.get("text"), str) or not data["text"]:
            raise bad("text content is empty")
        _people(state, data["text"])
    elif kind == "post":
        _check_post(state, data)
    elif kind in KEYS:
        if data.get(KEYS[kind]) not in state.files:
            raise Refused(230055, "The type of file upload does not match, or the key is unknown.")
    else:
        raise bad(f"invalid msg_type {kind}")


def _check_post(state: State, data: Json) -> None:
    if not data or not all(isinstance(locale, dict) and len(name) == 5 for name, locale in data.items()):
        raise bad("a post has its content by language: zh_cn, en_us")
    for locale in data.values():
        for paragraph in locale.get("content") or [[{"tag": "none"}]]:
            for node in paragraph:
                if node.get("tag") not in POST_TAGS:
                    raise bad(f"invalid tag {node.get('tag')}")
                if node["tag"] == "img" and node.get("image_key") not in state.files:
                    raise bad("invalid image_key")
                if node["tag"] == "at" and node.get("user_id") not in {*state.people, "all"}:
                    raise bad("invalid user_id")
                if node["tag"] == "md":
                    _people(state, node.get("text", ""))


def _people(state: State, text: str) -> None:
    """A mention of nobody is taken as it is; one of all fails where the group's owner forbids it."""
    if "all" in at_ids(text) and not state.at_all_allowed:
        raise Refused(230022, "The content of the message contains sensitive information: @all is forbidden.")


class Read(msgspec.Struct):
    """What a person sees of a message that is no card."""

    text: str = ""
    images: list[str] = []
    mentions: list[str] = []
    file: str = ""
    """Key of its image or file."""


def read(kind: str, content: str, mentions: list[Json]) -> Read:
    """What a message shows; ``@_user_1`` is the name behind it."""
    data: Any
    try:
        data = msgspec.json.decode(content)
    except msgspec.DecodeError:
        data = {}
    if kind == "text":
        text = str(data.get("text", ""))
        return Read(_named(text, mentions), mentions=at_ids(text))
    if kind == "post":
        return _read_post(data, mentions)
    if kind in KEYS:
        key = str(data.get(KEYS[kind], ""))
        return Read(str(data.get("file_name", "")), images=[key] if kind == "image" else [], file=key)
    return Read(content)


def _read_post(data: Json, mentions: list[Json]) -> Read:
    post = data if "content" in data else next(iter(data.values()), {})
    shown = Read()
    lines = [post["title"]] if post.get("title") else []
    for paragraph in post.get("content", ()):
        line = ""
        for node in paragraph:
            match node.get("tag"):
                case "img":
                    shown.images.append(node["image_key"])
                case "at":
                    shown.mentions.append(node["user_id"])
                    line += f"@{node.get('user_name') or node['user_id']}"
                case "hr":
                    line += "---"
                case _:
                    line += str(node.get("text", ""))
                    shown.mentions += at_ids(node.get("text", "")) if node.get("tag") == "md" else []
        lines.append(line)
    shown.text = _named("\n".join(lines), mentions)
    return shown


def _named(text: str, mentions: list[Json]) -> str:
    for one in mentions:
        text = text.replace(one["key"], f"@{one['name']}")
    return text
