"""Entities: what is bold, code or a link in a message, and how Telegram counts it."""

from __future__ import annotations

from typing import NamedTuple


class Entity(NamedTuple):
    """A MessageEntity; ``offset`` and ``length`` in UTF-16 units."""

    type: str
    offset: int
    length: int
    url: str = ""
    language: str = ""


def utf16_len(text: str) -> int:
    """Length as Telegram counts it: an emoji is two."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def trimmed(mark: Entity, text: str) -> Entity:
    """The entity without white space at its ends; in ``pre``, spaces at the beginning are indentation."""
    start, end = mark.offset, min(mark.offset + mark.length, len(text))
    while end > start and text[end - 1].isspace():
        end -= 1
    while start < end and (text[start] == "\n" if mark.type == "pre" else text[start].isspace()):
        start += 1
    return mark._replace(offset=start, length=end - start)


def in_units(text: str, marks: list[Entity]) -> list[Entity]:
    """Entities counted in characters -> in UTF-16 units."""
    if utf16_len(text) == len(text):
        return marks
    places = sorted({edge for mark in marks for edge in (mark.offset, mark.offset + mark.length)})
    units: dict[int, int] = {}
    done = count = 0
    for place in places:
        count += utf16_len(text[done:place])
        units[place] = count
        done = place
    return [
        mark._replace(offset=units[mark.offset], length=units[mark.offset + mark.length] - units[mark.offset])
        for mark in marks
    ]
