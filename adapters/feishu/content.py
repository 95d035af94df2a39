"""What a message says: its kind and content -> words and files. Pure.

Rules of this file:
- one reading for messages in events, for fetched ones, and for those inside a merged forward;
- what has no words (a place, a vote, a card) gets some, in brackets. Nobody knows the reader's language here, and the
  platform's own stand-ins are Chinese: so are these;
- content that cannot be read is named like an unknown kind: it never fails the message.

Source: 接收消息内容结构 (message_content), 获取消息中的资源文件.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import msgspec

from adapters.feishu.richtext import FILES, Said, bracket, file_of, mentions_of, post_of, rows_of, words_of
from adapters.feishu.schema import (
    FsCard,
    FsDate,
    FsFile,
    FsItem,
    FsLocation,
    FsShared,
    FsText,
    FsTodo,
    FsVote,
    read,
)

__all__ = ["LEVELS", "MOST", "Said", "content_of", "forwarded", "mentions_of"]

LEVELS, MOST = 3, 50
"""How deep merged forwards in merged forwards are followed, and how many messages of one are told."""


def content_of(kind: str, content: str, mentions: Mapping[str, str] = {}, message_id: str = "") -> Said:
    """What a message of the kind ``kind`` (``message_type``, ``msg_type``) with the JSON ``content`` says.

    ``mentions`` is of ``mentions_of``. Files are fetched from the message ``message_id``; when it is empty they cannot
    be, and words stand for them.
    """
    try:
        value = json.loads(content)
        if kind in FILES:
            return file_of(kind, read(value, FsFile), message_id)
        if kind == "post":
            return post_of(value, mentions, message_id)
        return Said(_words(kind, value, mentions))
    except (ValueError, RecursionError):  # msgspec.ValidationError is a ValueError
        return Said(bracket("消息", kind))


# ------------------------------------------------------------------ merged forwards


def forwarded(items: Iterable[Any], root_id: str) -> Said:
    """The messages of the merged forward ``root_id``, from the ``items`` of GET /im/v1/messages/{root_id}.

    One line each, ``who: what``, those of nested ones indented. Their files cannot be downloaded (234043), so there are
    never attachments.
    """
    inside: defaultdict[str, list[FsItem]] = defaultdict(list)
    for item in _readable(items):
        if item.message_id != root_id:
            inside[item.upper_message_id or root_id].append(item)
    shown = list(islice(_told(root_id, inside, 1), MOST))
    if left := sum(map(len, inside.values())) - len(shown):
        shown.append(f"[还有 {left} 条消息]")
    return Said("\n".join(shown))


def _readable(items: Iterable[Any]) -> Iterator[FsItem]:
    for item in items:
        try:
            yield read(item, FsItem)
        except msgspec.ValidationError:
            continue


def _told(parent: str, inside: Mapping[str, list[FsItem]], level: int) -> Iterator[str]:
    margin = "  " * (level - 1)
    for item in sorted(inside.get(parent, ()), key=lambda item: item.create_time):
        text = content_of(item.msg_type, item.body.content, mentions_of(item.mentions)).text
        told = f"{item.sender.sender_name or item.sender.id}: {text}"
        yield margin + told.replace("\n", f"\n{margin}  ")
        if item.msg_type == "merge_forward" and level < LEVELS:
            yield from _told(item.message_id, inside, level + 1)


# ------------------------------------------------------------------ words


def _words(kind: str, value: Any, mentions: Mapping[str, str]) -> str:
    match kind:
        case "text":
            return words_of(read(value, FsText).text, mentions)
        case "interactive":
            card = read(value, FsCard)
            return rows_of(card.title, card.elements, mentions).text or "[卡片]"
        case "merge_forward":
            return "[聊天记录]"
        case "folder":
            return bracket("文件夹", read(value, FsFile).file_name)
        case "location":
            place = read(value, FsLocation)
            return bracket("位置", place.name, str(place.latitude), str(place.longitude))
        case "share_chat":
            return bracket("群名片", read(value, FsShared).chat_id)
        case "share_user":
            return bracket("个人名片", read(value, FsShared).user_id)
        case "calendar" | "general_calendar" | "share_calendar_event":
            date = read(value, FsDate)
            return bracket("日程", date.summary, _time(date.start_time), _time(date.end_time))
        case "video_chat":
            date = read(value, FsDate)
            return bracket("视频会议", date.topic, _time(date.start_time))
        case "todo":
            todo = read(value, FsTodo)
            return bracket(
                "任务", rows_of(todo.summary.title, todo.summary.content, mentions).text, _time(todo.due_time)
            )
        case "vote":
            vote = read(value, FsVote)
            return "\n".join([bracket("投票", vote.topic), *(f"- {option}" for option in vote.options)])
        case "hongbao":
            return "[红包]"
        case "system":
            return bracket("系统消息", _filled(read(value, dict[str, Any])))
    return bracket("消息", kind)


def _time(stamp: str | int) -> str:
    """Milliseconds -> ``2026-11-23 08:00 UTC``; nothing for what is no time."""
    try:
        return datetime.fromtimestamp(int(stamp) / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC") if int(stamp) else ""
    except (ValueError, OverflowError, OSError):
        return ""


def _filled(system: dict[str, Any]) -> str:
    """The template of a system message: each ``{name}`` in it is a list of names, or an object with a text."""

    def named(found: re.Match[str]) -> str:
        value = system.get(found[1])
        if isinstance(value, dict):
            value = value.get("text")
        return ", ".join(map(str, value)) if isinstance(value, list) else str(value or "")

    return re.sub(r"\{(\w+)\}", named, str(system.get("template", ""))).strip()
