"""The pieces that messages are made of: mentions, files, and the rows of rich text and cards. Pure.

Rules of this file:
- the bot's own mention is taken out, with the space that it leaves; all other words stay as they were typed;
- styles (bold, underlined) are not told: the app gets words;
- a file is an attachment where it can be downloaded, else words.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple

from adapters.feishu.schema import FsElement, FsFile, FsMention, FsPost, Rows, read
from bridge.model import Attachment


class Said(NamedTuple):
    text: str
    attachments: tuple[Attachment, ...] = ()


def bracket(label: str, *details: str) -> str:
    """``[label: detail, detail]``, without the empty ones."""
    told = ", ".join(filter(None, details))
    return f"[{label}: {told}]" if told else f"[{label}]"


# ------------------------------------------------------------------ mentions

_KEY = re.compile(r"@_user_[0-9]+|@_all(?![A-Za-z0-9_])")
_BOT = "\0"  # stands where the bot was mentioned, until the words are together
_BOT_AND_SPACE = re.compile(rf"(?:^|(?<=\s)){_BOT}+ ?|{_BOT}")


def mentions_of(mentions: Iterable[FsMention], open_id: str = "") -> dict[str, str]:
    """What is written for each mention, by its key and by its open_id: a name, and nothing for the bot ``open_id``."""
    written = {}
    for mention in mentions:
        name = "" if open_id and mention.open_id == open_id else f"@{mention.name or mention.open_id}"
        written[mention.key] = written[mention.open_id or mention.key] = name
    return written


def words_of(text: str, mentions: Mapping[str, str]) -> str:
    """Plain text with the mentions written out. A key that nobody is mentioned by was typed."""
    return _together([_KEY.sub(lambda found: _mention(found[0], found[0], mentions), text)])


def _mention(key: str, otherwise: str, mentions: Mapping[str, str]) -> str:
    if key in mentions:
        return mentions[key] or _BOT
    return "@all" if key in {"@_all", "all"} else otherwise


def _together(lines: Iterable[str]) -> str:
    return _BOT_AND_SPACE.sub("", "\n".join(lines)).strip()


# ------------------------------------------------------------------ files


class _Sort(NamedTuple):
    """``name`` and ``mime`` are those of a file that brings none; ``label`` are the words for it."""

    kind: Literal["image", "file", "audio", "video", "sticker"]
    label: str
    name: str
    mime: str = ""


FILES = {
    "image": _Sort("image", "图片", "image"),
    "file": _Sort("file", "文件", "file"),
    "audio": _Sort("audio", "语音", "voice.ogg", "audio/ogg"),
    "media": _Sort("video", "视频", "video.mp4", "video/mp4"),
    "sticker": _Sort("sticker", "表情", "sticker"),
}
"""By message_type."""


def file_of(kind: str, file: FsFile | FsElement, message_id: str) -> Said:
    """The file of the message ``message_id``, of a kind in ``FILES``; when the id is empty, the words for it."""
    sort = FILES[kind]
    key, resource = (file.image_key, "image") if kind == "image" else (file.file_key, "file")
    if not key or not message_id:
        return Said(bracket(sort.label, file.file_name))
    name = file.file_name or sort.name
    return Said("", (Attachment(sort.kind, f"{message_id}/{key}/{resource}", name, mime=sort.mime),))


# ------------------------------------------------------------------ rows


def post_of(value: Any, mentions: Mapping[str, str], message_id: str) -> Said:
    """The content of a rich text. Sent ones have a layer of languages around them, received ones have not."""
    versions = [value, *value.values()] if isinstance(value, dict) else []
    post = read(next((one for one in versions if isinstance(one, dict) and "content" in one), value), FsPost)
    return rows_of(post.title, post.content, mentions, message_id)


def rows_of(title: str, rows: Rows, mentions: Mapping[str, str], message_id: str = "") -> Said:
    """A title and rows, each a line; a row that holds nothing but files is none. Files as in ``file_of``."""
    lines: list[str] = [title]
    attachments: tuple[Attachment, ...] = ()
    for row in rows:
        text, files = _row(row, mentions, message_id)
        if text or not files:
            lines.append(text)
        attachments += files
    return Said(_together(lines), attachments)


def _row(row: Iterable[FsElement], mentions: Mapping[str, str], message_id: str) -> Said:
    pieces = [_element(element, mentions, message_id) for element in row]
    return Said("".join(piece.text for piece in pieces), sum((piece.attachments for piece in pieces), ()))


def _element(element: FsElement, mentions: Mapping[str, str], message_id: str) -> Said:
    match element.tag:
        case "img":
            return file_of("image", element, message_id)
        case "media":
            return file_of("media", element, message_id)
        case "note":
            return _row(element.elements, mentions, message_id)
        case "at":
            return Said(_mention(element.user_id, f"@{element.user_name or element.user_id}", mentions))
        case "a":
            bare = element.text in {"", element.href}
            return Said(element.href if bare else f"[{element.text}]({element.href})")
        case "emotion":
            return Said(f":{element.emoji_type}:")
        case "hr":
            return Said("---")
        case "button":
            return Said(f"[{element.text}]")
        case "code_block":
            fence = "`" * (max([2, *map(len, re.findall("`+", element.text))]) + 1)
            return Said(f"{fence}{element.language.lower()}\n{element.text}\n{fence}")
    return Said(element.text)
