"""One WeChat message while it is written.

Rules of this file (pure):
- words gather until their block ends; a block is written whole, with the bullet and indentation of where it stands;
- new lines are owed until something follows them, so no block needs to know its neighbours;
- code is verbatim: not indented, no space added, whatever it stands in;
- quotes have ``> `` on each line: that holds for paragraphs, lists and a quote that two messages share.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable

from adapters.wechat.address import apart, shown
from adapters.wechat.fence import fenced, span
from adapters.wechat.labelled import labelled, titled
from bridge.markdown import Event

_BULLETS = ("• ", "◦ ")
"""Of a list, and of those in it: in a proportional font indentation alone hardly shows."""
_TASKS = {"x": "☑ ", " ": "☐ "}
_PICTURE = "🖼 "
_RULE = "———"
_QUOTE = "> "
_INDENT = "  "
_DEEPEST = 3
"""Levels that are indented; a phone has no room for more."""

_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_BLANK_LINES = re.compile(r"\A(?:[^\S\n]*\n)+")


def units(text: str) -> int:
    """Length in UTF-16 units, as WeChat counts: an emoji is two. The text has no lone surrogates, or they count one."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


class Page:
    """``walk`` the events of a text, then take the ``text``."""

    def __init__(self, *, fences: bool) -> None:
        self._fences = fences
        self._out: list[str] = []
        self._size = 0  # UTF-16 units
        self._owed = 0  # new lines
        self._words: list[str] = []  # of the block under way
        self._prefixes = [""]  # of every line, by open quote and item
        self._first: str | None = None  # prefix of the next line, where it has a bullet
        self._lists: list[int] = []  # the next number of each open list; -1 = bullets
        self._links = 0  # open ones
        self._link = ("", 0)  # of the outermost: its address, and where its words begin
        self._language = ""
        self._rows: list[list[str]] = []  # of the table under way

    @property
    def text(self) -> str:
        return "".join(self._out)

    def walk(self, events: Iterable[Event], most: int = sys.maxsize) -> bool:
        """Writes what the events say; False when that is more than ``most`` UTF-16 units, and it was given up."""
        for kind, argument in events:
            if kind in _METHODS:
                _METHODS[kind](self, argument)
            if self._size > most:
                return False
        return True

    # ------------------------------------------------------------ words

    def word(self, text: str) -> None:
        self._words.append(text)

    def code(self, code: str) -> None:
        self._words.append(span(code) if self._fences else code)

    def line_break(self, _: str) -> None:
        self._words.append("\n")

    def reference(self, label: str) -> None:
        self._words.append(f"[{label}]")

    def link(self, address: str) -> None:
        """Of links and pictures in each other, only the outermost shows where it leads."""
        if not self._links:
            self._link = (address, len(self._words))
        self._links += 1

    def link_end(self, _: str) -> None:
        self._links -= 1
        if self._links:
            return
        address, start = self._link
        label = "".join(self._words[start:]).removeprefix(_PICTURE).strip()
        written = shown(address)
        if not label:
            self._words.append(written)
        elif written and label not in (address, written):
            self._words.append(f" ({written})")

    def picture(self, address: str) -> None:
        self.link(address)
        self._words.append(_PICTURE)

    def _taken(self) -> str:
        """The words of the block that ends here."""
        words = "".join(self._words)
        self._words.clear()
        return _clean(words)

    # ------------------------------------------------------------ blocks

    def _owe(self, lines: int) -> None:
        self._owed = max(self._owed, lines)

    def _write(self, block: str, owed: int) -> None:
        """A block that is not empty and ends with no white space; ``owed`` are the new lines behind it."""
        if self._out:
            block = "\n" * self._owed + block
        self._out.append(block)
        self._size += units(block)
        self._owed = owed

    def _put(self, words: str, owed: int) -> None:
        """A block of words, prefixed as its place wants it; nothing when there are none."""
        words = apart(words).strip(" \n").rstrip()
        if not words:
            return
        prefix = self._prefixes[-1]
        first = prefix if self._first is None else self._first
        self._first = None
        self._write(first + words.replace("\n", "\n" + prefix), owed)

    def tight(self, _: str) -> None:
        """Words of a list item end where another block begins."""
        self._put(self._taken(), 1)

    def paragraph_end(self, _: str) -> None:
        self._put(self._taken(), 2)

    def heading_end(self, _: str) -> None:
        words = self._taken().strip()
        self._put(words and titled(words), 1)

    def rule(self, _: str) -> None:
        self.tight("")
        self._owe(2)
        self._put(_RULE, 2)

    def code_block(self, language: str) -> None:
        self.tight("")
        self._language = _clean(language)

    def code_block_end(self, _: str) -> None:
        code = _BLANK_LINES.sub("", self._taken()).rstrip()
        if not code:
            return
        self.bullet_alone("")
        self._owe(2)
        if self._fences:
            code = fenced(code, self._language)
        self._write(code, 2)

    def bullet_alone(self, _: str) -> None:
        """A bullet that no words have followed."""
        self.tight("")
        if self._first is not None:
            self._write(self._first.rstrip(), 1)
            self._first = None

    # ------------------------------------------------------------ what encloses blocks

    def _enter(self, indent: str) -> None:
        prefix = self._prefixes[-1]
        self._prefixes.append(prefix + indent if len(self._prefixes) <= _DEEPEST else prefix)

    def _lead(self, mark: str) -> None:
        """A mark before the next words. Those of several items that begin together stand together."""
        self._first = (self._prefixes[-1] if self._first is None else self._first) + mark

    def quote(self, _: str) -> None:
        self.tight("")
        if self._first is not None:
            self._lead(_QUOTE)
        self._enter(_QUOTE)

    def quote_end(self, _: str) -> None:
        self.bullet_alone("")
        self._prefixes.pop()

    def bullets(self, _: str) -> None:
        self.tight("")
        self._lists.append(-1)

    def numbers(self, first: str) -> None:
        self.tight("")
        self._lists.append(int(first))

    def list_end(self, _: str) -> None:
        self._lists.pop()
        if not self._lists:
            self._owe(2)

    def item(self, _: str) -> None:
        number = self._lists[-1]
        if number < 0:
            self._lead(_BULLETS[len(self._lists) > 1])
        else:
            self._lead(f"{number}. ")
            self._lists[-1] += 1
        self._enter(_INDENT)

    def task(self, state: str) -> None:
        """The box takes the place of a bullet, not that of a number."""
        lead = self._first or ""
        for bullet in _BULLETS:
            lead = lead.removesuffix(bullet)
        self._first = lead + _TASKS[state]

    def item_end(self, _: str) -> None:
        self.bullet_alone("")
        self._prefixes.pop()

    def note(self, label: str) -> None:
        self.tight("")
        self._lead(f"[{label}] ")

    # ------------------------------------------------------------ tables

    def table(self, _: str) -> None:
        self.tight("")
        self._owe(2)
        self._rows = []

    def row(self, _: str) -> None:
        self._rows.append([])

    def cell_end(self, _: str) -> None:
        self._rows[-1].append(self._taken().strip())

    def table_end(self, _: str) -> None:
        header, *rows = self._rows
        for block in labelled(header, rows):
            self._put(block, 2)


def _clean(text: str) -> str:
    """The text without characters that cannot be sent."""
    return _CONTROL.sub("\ufffd", text)


_METHODS: dict[str, Callable[[Page, str], None]] = {
    "text": Page.word,
    "code": Page.code,
    "break": Page.line_break,
    "rule": Page.rule,
    "ref": Page.reference,
    "task": Page.task,
    "p": Page.tight,
    "/p": Page.paragraph_end,
    "h": Page.tight,
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
    "/note": Page.bullet_alone,
    "table": Page.table,
    "head": Page.row,
    "row": Page.row,
    "/cell": Page.cell_end,
    "/table": Page.table_end,
    "link": Page.link,
    "/link": Page.link_end,
    "image": Page.picture,
    "/image": Page.link_end,
}
"""The other events, styles above all, say nothing in plain text."""
