"""A Show -> the content of a stream message: Markdown, with the reasoning in think tags, which the client folds away.

Rules of this file (pure):
- the text goes out as it is: WeCom's client renders Markdown, and shows what it does not know as it is written. Only
  a think tag of the text's own is broken up, or the client would fold away what follows it;
- a text's content begins with the content of its beginnings, so a preview can only grow;
- what does not fit is the reasoning, never the text: its beginning is left out, and all of it when little is left.

Source: developer.work.weixin.qq.com/document/path/101031 (stream messages: 20480 bytes, think tags).
"""

from __future__ import annotations

import re

from adapters.wechat.plain import plain
from bridge.model import Show

MOST = 20_480
"""Bytes of a content."""
_TEXT_MOST = MOST - 480
"""Bytes of a text; the rest is for the tags, and for reasoning beyond what was counted with the text."""
_LEAST = 40
"""Bytes of reasoning that are worth showing."""
_OPEN, _CLOSE = "<think>\n", "\n</think>\n\n"

_TAG = re.compile(r"<(?=\s*/?\s*think)", re.IGNORECASE)
_NO_WIDTH = "\u2060"
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")


def content(show: Show) -> str:
    """The content, at most 20480 bytes where ``fits`` holds for the text; empty when there is neither text nor status,
    and the reasoning alone says nothing of an answer that has ended."""
    words = _words(show)
    if not words and show.final:
        return ""
    return _thought(show.thinking, MOST - _size(words)) + words


def message(show: Show) -> str:
    """The same without the reasoning, for messages in which the client knows no think tags."""
    return _words(show)


def fits(text: str) -> bool:
    """Is there room for this text in one message?"""
    return len(text) <= _TEXT_MOST and _size(_safe(text)) <= _TEXT_MOST


def _words(show: Show) -> str:
    text = plain(show.text) if show.plain else show.text
    return _safe(text if text.strip() else show.status).strip()


def _thought(thinking: str, room: int) -> str:
    thought = _safe(thinking).strip()
    room -= _size(_OPEN + _CLOSE)
    if _size(thought) > room:
        thought = "…" + thought.encode()[-max(1, room - 3) :].decode(errors="ignore") if room >= _LEAST else ""
    return _OPEN + thought + _CLOSE if thought else ""


def _safe(text: str) -> str:
    return _TAG.sub("<" + _NO_WIDTH, _CONTROL.sub("\ufffd", text.replace("\r\n", "\n")))


def _size(text: str) -> int:
    return len(text.encode())
