"""Markdown -> the text and entities of a Telegram message.

Rules of this file:
- pure; no SDK: the adapter makes JSON of ``Entity``;
- formatting goes as entities, never as MarkdownV2 or HTML: nothing needs escaping, and nothing can fail to parse;
- what entities cannot say is said in plain characters: bullets, headings in bold, tables as columns or lines.

Source: Bot API 10, "Formatting options", MessageEntity, sendMessage.
"""

from __future__ import annotations

import re
from functools import lru_cache

from adapters.telegram.entity import Entity, utf16_len
from adapters.telegram.page import Page
from bridge.markdown import events

__all__ = ["Entity", "fits", "folded", "head", "joined", "render", "tail", "utf16_len"]

LIMIT = 4096
"""UTF-16 units in a message, after parsing."""
MAX_ENTITIES = 100
"""Telegram ignores the others."""

_UNSURE = re.compile(r"\||\]:|\d{4}[.)]")
"""What can make a message much longer than its source: tables, links defined once and used often, high numbers."""
_MARK = re.compile(r"\*+|_+|~+|`+|[\[<#>\t]| {4}|^ *[=-]+ *$", re.MULTILINE)
"""What entities come from."""
_GROWTH = 8
"""Characters that a line may be longer than its source: a blank line above, indentation, a longer number."""
_SLACK = 64
"""What ``finished`` may still take away: white space at the ends, entities of nothing else."""


def render(text: str) -> tuple[str, list[Entity]]:
    """The message for a Markdown text, without white space at its ends; entities in order, outer before inner."""
    page = Page()
    page.walk(events(text))
    return page.finished()


@lru_cache(maxsize=16)  # the Presenter asks about the same text more than once
def fits(text: str) -> bool:
    """Is the message for this Markdown text within Telegram's limits? Texts without tables need no rendering mostly."""
    if utf16_len(text) + _GROWTH * (text.count("\n") + 1) <= LIMIT and not _UNSURE.search(text):
        # code within text of three styles makes four entities of its two marks: backticks count twice
        marks = len(_MARK.findall(text)) + text.count("`")
        if marks <= MAX_ENTITIES:
            return True
    page = Page()
    if not page.walk(events(text), LIMIT + _SLACK, MAX_ENTITIES + _SLACK):
        return False
    shown, entities = page.finished()
    return utf16_len(shown) <= LIMIT and len(entities) <= MAX_ENTITIES


def folded(text: str) -> tuple[str, list[Entity]]:
    """A text, its marks shown as they are, in a quote that opens on a tap."""
    text = text.strip()
    return text, [Entity("expandable_blockquote", 0, utf16_len(text))] if text else []


def joined(*messages: tuple[str, list[Entity]]) -> tuple[str, list[Entity]]:
    """Rendered texts as one message, with a blank line between them."""
    texts: list[str] = []
    entities: list[Entity] = []
    offset = 0
    for text, marks in messages:
        if text:
            texts.append(text)
            entities += [mark._replace(offset=mark.offset + offset) for mark in marks]
            offset += utf16_len(text) + 2
    return "\n\n".join(texts), entities


def head(text: str, room: int) -> str:
    """The beginning of a text, in at most ``room`` UTF-16 units; where it was cut, an ellipsis says so."""
    if utf16_len(text) <= room:
        return text
    units = text.encode("utf-16-le", "surrogatepass")[: 2 * max(0, room - 1)]
    return (units.decode("utf-16-le", "ignore").rstrip() + "…")[:room]


def tail(text: str, room: int) -> str:
    """The end of a text, in at most ``room`` UTF-16 units; where it was cut, an ellipsis says so."""
    if utf16_len(text) <= room:
        return text
    if room < 2:
        return "…"[:room]
    units = text.encode("utf-16-le", "surrogatepass")[-2 * (room - 1) :]
    return "…" + units.decode("utf-16-le", "ignore").lstrip()
