"""The structure of a Markdown text, and the best place in it for a cut.

Rules of this file:
- pure; the parser says where blocks, code and marked stretches are, nothing is guessed from their looks;
- positions are characters of the text; the parser's are bytes and converted once.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from unicodedata import category

from bridge.commonmark import masked, parser

Fits = Callable[[str], bool]
"""Does this Markdown fit into one part?"""

_FENCE = re.compile(r"([^`~]*)(`{3,}|~{3,})")
_SENTENCE = re.compile(r"[。！？…；]+[”’」』）】\"')]*|[.!?;][\"')\]]*(?=\s)")
_SPACE = re.compile(r"\s")
_BLANK_LINES = re.compile(r"(?:[^\S\n]*\n)+")
_DEEP = re.compile(r"(?: {4}|\t)[ \t]*")
_MARKED = frozenset(("Code", "Strong", "Emphasis", "Strikethrough", "Link", "Image"))
_EXTENDING = re.compile("[\u200d\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f\udc00-\udfff]")
"""What belongs to the character before it: joiner, skin tone, flag tags, second half of a surrogate pair."""

_FLAG_LETTERS = "".join(map(chr, range(0x1F1E6, 0x1F200)))


class Solid(NamedTuple):
    """A code block or a table: cut only when it alone is too long."""

    start: int
    """Where its first line starts."""
    inner: int
    """Where its code, or the rows below the header, start."""
    last: int
    """Behind its code or rows; equal to ``end`` where no fence closes them."""
    end: int
    kind: str
    """``fence``, ``indented`` or ``table``"""


class Outline:
    """Where a text may be cut. The first ``base`` characters are a prefix, which stays with the first part."""

    def __init__(self, text: str, base: int = 0) -> None:
        self.text = text
        self.solids: list[Solid] = []
        self._first = base + _indent(text[base:])  # a part has at least one visible character
        self._blocks: list[int] = []
        self._titled: set[int] = set()  # starts of blocks right below a heading: it would be left behind
        self._items: list[int] = []  # starts of the items of outermost lists, and of blocks in outermost quotes
        self._spans: list[tuple[int, int]] = []  # code spans, links, bold and other marked stretches
        self._read()

    def _read(self) -> None:
        source = masked(self.text)
        tops: list[tuple[str, int]] = []
        items: list[int] = []
        solids: list[list[Any]] = []  # start, end of the code, end, kind
        spans: list[tuple[int, int]] = []
        edges: list[int] = []
        depth = 0
        raw: Iterator[Any] = parser(source).events_with_range(source, merge_text=True)
        for event, span in raw:
            if type(event) is str:
                if event == "Rule" and depth == 0:
                    tops.append((event, span["start"]))
                    edges.append(span["start"])
                continue
            [(kind, value)] = event.items()
            start, end = span["start"], span["end"]
            if kind == "Text":
                if solids and start < solids[-1][2]:
                    solids[-1][1] = end
                    edges.append(end)
                continue
            if kind not in ("Start", "End", "Code"):
                continue
            name = "Code" if kind == "Code" else value if type(value) is str else next(iter(value))
            if kind == "End":
                depth -= name not in _MARKED
                continue
            edges += (start, end)
            if name in _MARKED:
                spans.append((start, end))
                continue
            if depth == 0:
                tops.append((name, start))
            elif depth == 1:
                items.append(start)
            if name == "Table":
                solids.append([start, end, end, "table"])
            elif name == "CodeBlock":
                solids.append([start, start, end, "indented" if value[name] == "Indented" else "fence"])
            depth += 1
        at = _characters(source, edges)
        self._spans = [(at[start], at[end]) for start, end in spans]
        self.solids = [self._solid(at[start], at[last], at[end], kind) for start, last, end, kind in solids]
        self._items = [line for start in items if not self._around(line := self._line(at[start]))]
        above = ""
        for name, start in tops:
            line = self._line(at[start])
            if above == "Heading":
                self._titled.add(line)
            else:
                self._blocks.append(line)
            above = name

    def _solid(self, start: int, last: int, end: int, kind: str) -> Solid:
        start = self._line(start)
        if kind == "indented":
            return Solid(start, start, end, end, kind)
        inner = self.text.find("\n", start, end) + 1 or end
        if kind == "table":
            inner = self.text.find("\n", inner, end) + 1 or end
            return Solid(start, inner, end, end, kind)
        last = max(inner, last)
        return Solid(start, inner, last if _FENCE.search(self.text, last, end) else end, end, kind)

    def _line(self, at: int) -> int:
        return self.text.rfind("\n", 0, at) + 1

    def _around(self, at: int) -> Solid | None:
        """The code block or table that a cut at this place would break."""
        return next((solid for solid in self.solids if solid.start < at < solid.end), None)

    # ------------------------------------------------------------ the place

    def place(self, room: int, fits: Fits) -> int | None:
        """The best place for a cut, not behind ``room``; None when a part could show nothing."""
        solid = self._around(room)
        if solid:
            ahead = solid.start > self._first
            if not ahead or (solid.start * 2 < room and not fits(self.text[solid.start : solid.end])):
                inside = self._inside(solid, room)
                if inside or not ahead:
                    return inside
            room = solid.start
        return self._outside(room)

    def _inside(self, solid: Solid, room: int) -> int | None:
        """Between two lines of code or two rows; between characters when a line is most of the part."""
        content = self.text[solid.inner : solid.last]
        begun = max(self._first, solid.inner + _indent(content))
        room = min(room, solid.inner + len(content.rstrip()) - 1)
        if room <= begun:
            return None
        line = self.text.rfind("\n", max(begun, room // 2), room) + 1
        return line or whole_character(self.text, room, begun)

    def _outside(self, room: int) -> int | None:
        """The end of a block, item, line, sentence, word or character: the first of these that fills half a part."""
        floor = max(room // 2, self._first)
        if room <= floor:
            return None
        for starts in (self._blocks, self._items):
            index = bisect_right(starts, room) - 1
            if index >= 0 and starts[index] > floor:
                return starts[index]
        line = room + 1
        while line := self.text.rfind("\n", floor, line - 1) + 1:
            if line not in self._titled and not self._around(line):
                return line
        for ends in (_SENTENCE, _SPACE):
            for found in reversed(list(ends.finditer(self.text, floor, room))):
                at = found.end()
                if at > floor and at not in self._titled and not self._span(at) and not self._around(at):
                    return at
        at = self._span(room)
        return at if at > floor else whole_character(self.text, room, floor)

    def _span(self, at: int) -> int:
        """Where the outermost marked stretch around this place starts; 0 for none."""
        return min((start for start, end in self._spans if start < at < end), default=0)

    # ------------------------------------------------------------ the two sides of it

    def carry(self, at: int) -> tuple[str, str]:
        """(what ends the first part, what begins the next) when the text is cut at this place."""
        solid = self._around(at)
        if not solid or solid.kind == "indented":
            return "", ""
        head = self.text[solid.start : solid.inner]
        return ("", head) if solid.kind == "table" else fence_ends(head)

    def resume(self, at: int) -> int:
        """Where the rest starts: behind the white space that a new part has no use for."""
        text = self.text
        if self._around(at):
            return at + 1 if text[at] == "\n" else at
        if blank := _BLANK_LINES.match(text, at):
            at = blank.end()
        elif text[at - 1] != "\n":
            return at + _indent(text[at:])
        deep = _DEEP.match(text, at)  # without the list that it stood in, it would become a code block
        return deep.end() if deep and not self._around(deep.end()) else at


def fence_ends(opening: str) -> tuple[str, str]:
    """(how to close a fence with this opening line, how to open it again in a new part)."""
    match = _FENCE.match(opening)
    if not match:
        return "", ""
    pad, marks = match.groups()
    if pad.isspace() and len(pad) > 3:  # only in a list a fence stands so deep: the new part gives it one
        opening = "- " * (len(pad) // 2 - 2) + "-" + " " * (3 + len(pad) % 2) + opening[len(pad) :]
    return "\n" + re.sub(r"[^>\s]", " ", pad) + marks, opening if opening.endswith("\n") else opening + "\n"


def whole_character(text: str, at: int, floor: int) -> int:
    """The last place up to ``at`` that breaks no character; ``at`` itself when there is none above ``floor``."""
    place = at
    while floor < place < len(text) and glued(text, place):
        place -= 1
    return place if place > floor else at


def glued(text: str, at: int) -> bool:
    """Would a cut here break a character, an escape, or a run of marks?"""
    left, right = text[at - 1], text[at]
    return left == "\\" or (right == left and right in "*`~_") or inseparable(text, at)


def inseparable(text: str, at: int) -> bool:
    """Would a cut here break a character as the reader sees it?"""
    left, right = text[at - 1], text[at]
    if right < "\u0300":
        return left == "\r" and right == "\n"
    if right in _FLAG_LETTERS:  # a flag is two of these
        return (at - len(text[:at].rstrip(_FLAG_LETTERS))) % 2 == 1
    return left == "\u200d" or category(right)[0] == "M" or bool(_EXTENDING.match(right))


def _indent(text: str) -> int:
    """Length of the white space that the text begins with."""
    return len(text) - len(text.lstrip())


def _characters(text: str, edges: list[int]) -> dict[int, int]:
    """UTF-8 offsets of the text -> offsets in characters."""
    data = text.encode()
    found: dict[int, int] = {}
    done = count = 0
    for edge in sorted(set(edges)):
        count += len(data[done:edge].decode())
        found[edge] = count
        done = edge
    return found
