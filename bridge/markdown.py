"""Markdown as the bridge sees it: the events that renderers walk, and where a growing or too long text may end.

Rules of this file:
- pure: no asyncio, HTTP library or SDK; every function depends on its arguments alone;
- a cut works on the raw text: the slices that were used, put together, are the text;
- a preview may hold back the end of a text for a moment, never change it.

The parse is in commonmark.py, the structure of a text in outline.py; adapters import this module only.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from bridge.commonmark import Event, events
from bridge.outline import Fits, Outline, fence_ends, inseparable, whole_character

__all__ = ["Cut", "Event", "Fits", "closed", "cut", "events", "settled"]

# ------------------------------------------------------------------ parts

_ORPHAN = 80
"""A last part shorter than this (characters) is avoided."""
_PROBE = 2048
_TRIES = 8


class Cut(NamedTuple):
    """Where a text was cut in two."""

    shown: str
    """What the first part displays: its prefix, its share of the text, and the end of a fence that it leaves open."""
    used: int
    """Characters of the text that are done with, at least 1."""
    prefix: str
    """What goes before the rest on display: a fence opened again, the header of a table, or nothing."""


def cut(text: str, fits: Fits, prefix: str = "") -> Cut | None:
    """Takes the first part off a text that is too long for one; None when ``prefix + text`` fits, or shows nothing.

    Best is the end of a block, then of a list item, line, sentence, word, character; a worse place is taken only where
    the better one would leave the part under half full. Code blocks and tables stay whole unless one alone does not
    fit. ``fits`` is asked O(log n) times; where it accepts next to nothing, single characters are cut off.
    """
    if not text.strip() or fits(prefix + text):
        return None
    whole = (prefix + text).rstrip()
    good, bad = _bracket(whole, fits, len(prefix))
    outline = Outline(whole[: bad + bad // 2], len(prefix))  # enough to see whether a block alone would fit
    room = min(bad - 1, len(whole) - min(_ORPHAN, len(whole) // 8))
    for _ in range(_TRIES):
        at = outline.place(room, fits)
        if at is None:
            break
        closing, again = outline.carry(at)
        shown = whole[:at].strip("\n").rstrip() + closing
        if fits(shown):
            return Cut(shown, outline.resume(at) - len(prefix), again)
        room = min(good, at - 1)
        good = good * 7 // 8
    return _slice(text, fits)


def _bracket(whole: str, fits: Fits, base: int) -> tuple[int, int]:
    """(a length that fits, one that does not), about an eighth apart. ``base`` characters need not be tried."""
    good, bad, probe = base, len(whole), max(_PROBE, 2 * base)
    while probe < bad:
        if not fits(whole[:probe]):
            bad = probe
            break
        good, probe = probe, 2 * probe
    while bad - good > max(1, good // 8):
        middle = (good + bad) // 2
        if fits(whole[:middle]):
            good = middle
        else:
            bad = middle
    return good, bad


def _slice(text: str, fits: Fits) -> Cut:
    """The way out when nothing sensible fits: as many characters as do, at least one."""
    first = len(text) - len(text.lstrip())
    good, bad = first + 1, len(text.rstrip())
    while bad - good > 1:
        middle = (good + bad) // 2
        if fits(text[first:middle]):
            good = middle
        else:
            bad = middle
    at = whole_character(text, good, first)
    while not fits(text[first:at]):
        if at - first == 1:  # nothing fits: then at least no character is broken
            end = len(text.rstrip())
            at = next((place for place in range(at, end) if not inseparable(text, place)), end)
            break
        at = whole_character(text, (first + at) // 2, first)
    return Cut(text[first:at].rstrip(), at, "")


def closed(text: str) -> str:
    """The text with the code block that it leaves open, if any, closed: something can be put below it."""
    if "```" not in text and "~~~" not in text:
        return text
    outline = Outline(text)
    solid = outline.solids[-1] if outline.solids else None
    if not solid or solid.kind != "fence" or solid.last < solid.end or text[solid.end :].strip():
        return text
    ending, _ = fence_ends(text[solid.start : solid.inner])
    return text.removesuffix("\n") + ending


# ------------------------------------------------------------------ previews

_HOLD = 120
"""What stays unfinished for longer than this (characters) is shown as it is."""
_FENCE_LINE = re.compile(r"^[ \t>]*(?:(?:[-*+]|\d+[.)])[ \t]+)*(`{3,}|~{3,})(.*)$", re.MULTILINE)
_HALF_LINE = re.compile(r"[ \t>]*(?:[-=+*#]+[ \t]*|\d{1,3}[.)]?[ \t]*|[-*+][ \t]+\[[ xX]?\]?|(?:`{1,2}$|`{3}|~{2}).*)")
"""A line that may yet become a list item, heading, underline, task or fence."""
_FENCE_END = re.compile(r"[ \t>]*[`~]*")
_DELIMITER_ROW = re.compile(r"[|:\- \t]*")
_MARK = re.compile(r"\\.|`+|\*+|~~+|!?\[|\]")


def settled(text: str) -> str:
    """The beginning of a growing text that is safe to show: without a construct at its end that is not whole yet.

    Cheap, since it runs for each preview: it looks at the end of the text, and for fences at the starts of lines.
    """
    start = text.rfind("\n") + 1
    line = text[start:]
    if _in_fence(text[:start]):
        kept = start if _FENCE_END.fullmatch(line) else len(text)
    elif line.startswith("|") or not line:
        kept = _before_half_table(text, start)
    elif _HALF_LINE.fullmatch(line):
        kept = start
    else:
        kept = start + _before_half_mark(line)
    return text if len(text) - kept > _HOLD else text[:kept]


def _in_fence(lines: str) -> bool:
    """Is a code block open behind these lines?"""
    if "```" not in lines and "~~~" not in lines:
        return False
    opened = ""
    for found in _FENCE_LINE.finditer(lines):
        marks, info = found.groups()
        if not opened:
            opened = "" if "`" in info and marks[0] == "`" else marks
        elif marks.startswith(opened) and not info.strip():
            opened = ""
    return bool(opened)


def _before_half_table(text: str, start: int) -> int:
    """Before the header row while the row below it, which makes it a table, is missing or under way.

    ``start`` is where the last line starts; it is a row, or empty.
    """
    above = text.rfind("\n", 0, max(0, start - 1)) + 1
    if start == 0 or not text.startswith("|", above):
        return start
    first = above == 0 or not text.startswith("|", text.rfind("\n", 0, above - 1) + 1)
    return above if first and _DELIMITER_ROW.fullmatch(text, start) else len(text)


def _before_half_mark(line: str) -> int:
    """Where the first mark stands that opens something and is not closed; the line's length when all are."""
    opened: list[tuple[str, int]] = []
    place = 0
    while found := _MARK.search(line, place):
        mark, at, place = found[0], found.start(), found.end()
        if mark[0] == "\\":
            continue
        if mark[0] == "`":
            place = line.find(mark, place) + len(mark)
            if place < len(mark) + at:
                opened.append((mark, at))
                break
        elif mark[-1] == "[":
            opened.append(("[", at))
        elif mark == "]":
            place = _behind_link(line, place, opened)
            if not place:
                break
        elif any(mark == other for other, _ in opened):
            while opened.pop()[0] != mark:
                pass
        elif place == len(line) or not (line[place].isspace() or _within_word(line, at, place)):
            opened.append((mark, at))
    fresh = (at for _, at in opened if len(line) - at <= _HOLD)
    return min(fresh, default=len(line))


def _behind_link(line: str, place: int, opened: list[tuple[str, int]]) -> int:
    """Where to go on behind the ``]`` that ends before ``place``; 0 when the link is not whole yet."""
    if not any(mark == "[" for mark, _ in opened):
        return place
    if place == len(line):
        return 0
    end = line.find(")", place) + 1 if line[place] == "(" else place
    if end:
        while opened.pop()[0] != "[":
            pass
    return end


def _within_word(line: str, at: int, place: int) -> bool:
    """A single star as in 2*3."""
    return place - at == 1 and at > 0 and line[at - 1].isascii() and line[at - 1].isalnum()
