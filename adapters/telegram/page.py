"""One Telegram message while it is written: its text, and the entities under way.

Rules of this file:
- entities are counted in characters until the page is ``finished``;
- new lines are owed until something follows them, so no block needs to know its neighbours;
- entities nest as the Bot API wants it: nothing is inside ``code`` and ``pre``, and these are inside nothing but a
  quote; quotes do not nest, nor links. So bold text is interrupted by code in it, and code in a link is only a link.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator

from adapters.telegram.entity import Entity, in_units, trimmed
from adapters.telegram.table import columns, read_rows, written
from bridge.markdown import Event

_BULLETS = "•◦▪"
_RULE = "———"
_DEEPEST = 3
"""Levels of a list that are indented; a phone has no room for more."""
_ADDRESS = re.compile(r"(?:https?|tg)://[^\s/]\S*|mailto:\S+", re.IGNORECASE)
"""What Telegram opens on a tap."""


class Page:
    """``walk`` the events of a text, then take what is ``finished``."""

    def __init__(self) -> None:
        self._out: list[str] = []
        self._size = 0
        self._owed = 0  # new lines
        self._lead = ""  # bullets and the like, before the next text
        self._level = 0  # of the first bullet in the lead
        self._lists: list[int] = []  # the next number of each open list; -1 = bullets
        self._quotes: list[int] = []  # starts
        self._links: list[tuple[str, int, int]] = []  # address, start, index in _out
        self._styles: dict[str, list[int]] = {}  # starts by type; only the outermost becomes an entity
        self._language: str | None = None  # of the open code block
        self._entities: list[Entity] = []  # still in characters

    def walk(self, stream: Iterator[Event], most: int = sys.maxsize, entities: int = sys.maxsize) -> bool:
        """Write what the events say; False when there were more characters or entities and it was given up."""
        for kind, argument in stream:
            if kind == "table":
                self._table(argument, stream)
            else:
                _METHODS[kind](self, argument)
            if self._size > most or len(self._entities) > entities:
                return False
        return True

    def finished(self) -> tuple[str, list[Entity]]:
        """The text without white space at its ends, and its entities in order, outer before inner."""
        if self._lead:
            self._begin()
        text = "".join(self._out).rstrip()
        marks = [mark for mark in (trimmed(mark, text) for mark in reversed(self._entities)) if mark.length > 0]
        marks.sort(key=lambda mark: (mark.offset, -mark.length))
        cut = len(text) - len(text.lstrip())
        if marks and marks[0].type == "pre":  # the indentation of its first line is code
            cut = min(cut, marks[0].offset)
        return text[cut:], in_units(text[cut:], [mark._replace(offset=mark.offset - cut) for mark in marks])

    # ------------------------------------------------------------ text

    def _write(self, text: str) -> None:
        self._out.append(text)
        self._size += len(text)

    def _begin(self, *, indented: bool = True) -> None:
        """What comes before the next text: the new lines owed, indentation, a bullet."""
        if self._owed:
            if self._size:
                self._write("\n" * self._owed)
            self._owed = 0
            level = self._level if self._lead else len(self._lists)
            if level and (indented or self._lead):
                self._write("  " * min(level, _DEEPEST))
        if self._lead:
            self._write(self._lead)
            self._lead = ""

    def _owe(self, lines: int) -> None:
        self._owed = max(self._owed, lines)

    def text(self, text: str) -> None:
        if self._language is not None:
            self._code_block(text)
        elif text:
            if self._owed or self._lead:
                self._begin()
            self._out.append(text)
            self._size += len(text)

    def new_line(self, _: str) -> None:
        self._owe(1)

    def rule(self, _: str) -> None:
        self.block("")
        self.text(_RULE)
        self._owe(2)

    # ------------------------------------------------------------ blocks

    def block(self, _: str) -> None:
        """A block starts or ends: a blank line, in a tight list only a new one."""
        self._owe(1 if self._lists else 2)

    def paragraph(self, _: str) -> None:
        if not self._lead:
            self._owe(2)

    def paragraph_end(self, _: str) -> None:
        self._owe(2)

    def heading(self, _: str) -> None:
        self._owe(2)
        self.style("bold")

    def heading_end(self, _: str) -> None:
        self.style_end("bold")
        self._owe(2)

    def quote(self, _: str) -> None:
        self.block("")
        self._quotes.append(self._size)

    def quote_end(self, _: str) -> None:
        start = self._quotes.pop()
        if not self._quotes:
            self._mark("blockquote", start)
        self.block("")

    def code_block(self, language: str) -> None:
        self.block("")
        self._language = language

    def _code_block(self, code: str) -> None:
        code = code.rstrip()
        if code:
            self._begin(indented=False)
            start = self._size
            self._write(code)
            self._mark("pre", start, language=self._language or "")

    def code_block_end(self, _: str) -> None:
        self._language = None
        self.block("")

    def note(self, label: str) -> None:
        self.block("")
        self._level = len(self._lists)
        self._lead += f"[{label}] "

    def reference(self, label: str) -> None:
        self.text(f"[{label}]")

    # ------------------------------------------------------------ lists

    def bullets(self, _: str) -> None:
        self.block("")
        self._lists.append(-1)

    def numbers(self, first: str) -> None:
        self.block("")
        self._lists.append(int(first))

    def list_end(self, _: str) -> None:
        self._lists.pop()
        self.block("")

    def item(self, _: str) -> None:
        self._owe(1)
        if not self._lead:
            self._level = len(self._lists) - 1
        number = self._lists[-1]
        if number < 0:
            self._lead += _BULLETS[min(len(self._lists), len(_BULLETS)) - 1] + " "
        else:
            self._lead += f"{number}. "
            self._lists[-1] += 1

    def task(self, state: str) -> None:
        self._lead = self._lead.removesuffix("• ").removesuffix("◦ ").removesuffix("▪ ")
        self._lead += "☑ " if state == "x" else "☐ "

    def item_end(self, _: str) -> None:
        if self._lead:
            self._begin()
        self._owe(1)

    # ------------------------------------------------------------ marked text

    def style(self, kind: str) -> None:
        if self._owed or self._lead:
            self._begin()
        self._styles.setdefault(kind, []).append(self._size)

    def style_end(self, kind: str) -> None:
        starts = self._styles[kind]
        start = starts.pop()
        if not starts:
            self._mark(kind, start)

    def code(self, code: str) -> None:
        if self._links:
            self.text(code)
            return
        if self._owed or self._lead:
            self._begin()
        for kind, starts in self._styles.items():  # interrupted
            if starts:
                self._mark(kind, starts[0])
        start = self._size
        self._write(code)
        self._mark("code", start)
        for starts in self._styles.values():
            starts[:] = [self._size] * len(starts)

    def link(self, address: str) -> None:
        if self._owed or self._lead:
            self._begin()
        if address[:5].lower() == "data:":
            address = ""  # a picture in letters: pages of them
        self._links.append((address, self._size, len(self._out)))

    def link_end(self, _: str) -> None:
        address, start, index = self._links.pop()
        label = "".join(self._out[index:]).strip()
        if not label and address:
            label = address
            self.text(address)
        if self._links:
            return  # an image in a link
        if _ADDRESS.fullmatch(address):
            self._mark("text_link", start, url=address)
        elif address and address != label:
            self.text(f" ({address})")

    def _mark(self, kind: str, start: int, *, url: str = "", language: str = "") -> None:
        if self._size > start:
            self._entities.append(Entity(kind, start, self._size - start, url, language))

    # ------------------------------------------------------------ tables

    def _table(self, aligns: str, stream: Iterator[Event]) -> None:
        """In columns where a phone is wide enough; else a paragraph for each row, a line for each cell."""
        header, *rows = read_rows(stream)
        self.block("")
        drawn = columns(header, rows, aligns)
        if drawn:
            self._language = ""
            self._code_block(drawn)
            self._language = None
        elif rows:
            labels = [written(cell) for cell in header]
            for row in rows:
                for label, cell in zip(labels, row, strict=False):
                    if written(cell):
                        self.text(f"{label}: " if label else "")
                        self.walk(iter(cell))
                        self._owe(1)
                self.block("")
        else:
            self.walk(event for cell in header for event in (*cell, ("text", "  ")))
        self._owe(2)


_METHODS: dict[str, Callable[[Page, str], None]] = {
    "text": Page.text,
    "code": Page.code,
    "break": Page.new_line,
    "rule": Page.rule,
    "ref": Page.reference,
    "task": Page.task,
    "p": Page.paragraph,
    "/p": Page.paragraph_end,
    "h": Page.heading,
    "/h": Page.heading_end,
    "quote": Page.quote,
    "/quote": Page.quote_end,
    "pre": Page.code_block,
    "/pre": Page.code_block_end,
    "ul": Page.bullets,
    "ol": Page.numbers,
    "/ul": Page.list_end,
    "/ol": Page.list_end,
    "item": Page.item,
    "/item": Page.item_end,
    "note": Page.note,
    "/note": Page.block,
    "strong": lambda page, _: page.style("bold"),
    "/strong": lambda page, _: page.style_end("bold"),
    "em": lambda page, _: page.style("italic"),
    "/em": lambda page, _: page.style_end("italic"),
    "del": lambda page, _: page.style("strikethrough"),
    "/del": lambda page, _: page.style_end("strikethrough"),
    "link": Page.link,
    "/link": Page.link_end,
    "image": Page.link,
    "/image": Page.link_end,
}
