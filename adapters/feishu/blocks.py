"""The lines of a Markdown text -> the same in Feishu's cards and posts: fences, headings, lists, quotes.

Rules of this file (pure):
- line by line, and only what stands above a line decides about it: a preview is the beginning of the next one;
- a code block stands at the start of a line, or Feishu does not see it: one in a list item is moved there, and what
  follows it in the item moves with it;
- a level of a list is four spaces, a first heading has 18 px and the others 17;
- four spaces elsewhere may be code or not: there a ``<`` is broken by a space of no width, which looks right in both.

Source: Card JSON 2.0, Rich text (Markdown).
"""

from __future__ import annotations

import re
from typing import NamedTuple

from adapters.feishu.inline import NO_WIDTH, Escape, KeyOf, guarded, inline

_FENCE = re.compile(r"([ \t>]*(?:(?:[-*+]|\d{1,3}[.)])[ \t]+)*)(`{3,}|~{3,})(.*)")
_FENCE_END = re.compile(r"([ \t>]*)(`{3,}|~{3,})[ \t]*")
_LANGUAGE = re.compile(r"[ \t]*([\w+#.-]{0,30})")
_QUOTE = re.compile(r"(?:[ \t]{0,3}>[ \t]?)*")
_HEADING = re.compile(r"( {0,3})(#{1,6})(?=[ \t])")
_ITEM = re.compile(r"([ \t]*)([-*+]|\d{1,3}[.)])(?:[ \t]+(\S.*)|[ \t]*)")
_TASK = re.compile(r"\[([ xX])\](?=[ \t]|$)")
_TAG = re.compile(r"(<|!(?=\[))")


class _Fence(NamedTuple):
    marks: str
    indent: int
    """Columns that it was moved to the left."""
    quoted: bool


class Blocks:
    """Takes the lines of one text in order."""

    def __init__(self, key_of: KeyOf, escape: Escape) -> None:
        self._key_of = key_of
        self._escape = escape
        self._fence: _Fence | None = None
        self._moved = 0  # columns that the rest of a list item goes to the left, behind its code block
        self._lists: list[int] = []  # columns of the items that are open, outermost first
        self._after_blank = True

    def line(self, line: str) -> str:
        """What the line becomes: one or two lines."""
        if self._fence:
            if self._fence.quoted and not line.lstrip().startswith(">"):
                self._fence = None
            else:
                return self._code(line, self._fence)
        opening = _FENCE.fullmatch(line)
        if opening and not (opening[2][0] == "`" and "`" in opening[3]):
            return self._opened(*opening.groups())
        if not line.strip():
            self._after_blank = True
            return ""
        shown = self._text(line)
        self._after_blank = False
        return shown

    # ------------------------------------------------------------ code

    def _opened(self, prefix: str, marks: str, info: str) -> str:
        language = _LANGUAGE.match(info)
        fence = marks + (language[1] if language else "")
        self._after_blank = False
        if ">" in prefix:
            self._fence = _Fence(marks, 0, quoted=True)
            return prefix + fence
        self._fence = _Fence(marks, len(prefix.expandtabs(4)), quoted=False)
        self._lists.clear()
        self._moved = self._fence.indent
        return f"{prefix.strip()}\n{fence}" if prefix.strip() else fence

    def _code(self, line: str, fence: _Fence) -> str:
        end = _FENCE_END.fullmatch(line)
        if end and end[2].startswith(fence.marks) and (fence.quoted or _width(line) < fence.indent + 4):
            self._fence = None
            return end[1] + end[2] if fence.quoted else end[2]
        return guarded(_moved(line, fence.indent))

    # ------------------------------------------------------------ text

    def _text(self, line: str) -> str:
        quote = _QUOTE.match(line)
        if quote and quote[0]:
            return quote[0] + self._paragraph(line[quote.end() :])
        if self._moved:
            self._moved = self._moved if _width(line) else 0
            line = _moved(line, self._moved)
        item = _ITEM.fullmatch(line)
        if item:
            return self._item(*item.groups())
        width = _width(line)
        if width and self._lists:
            level = max(0, sum(column < width for column in self._lists) - 1)
            return " " * (4 * level + 3) + self._inline(line.lstrip(" \t"))
        if not width and (self._after_blank or _HEADING.match(line)):
            self._lists.clear()
        return self._paragraph(line)

    def _item(self, indent: str, marker: str, text: str | None) -> str:
        width = len(indent.expandtabs(4))
        while self._lists and width < self._lists[-1]:
            self._lists.pop()
        if not self._lists or width >= self._lists[-1] + 2:
            self._lists.append(width)
        marker = "    " * (len(self._lists) - 1) + marker
        if text is None:
            return marker
        task = _TASK.match(text)
        if task:
            return f"{marker} {'☐' if task[1] == ' ' else '☑'}{self._inline(text[task.end() :])}"
        return f"{marker} {self._inline(text)}"

    def _paragraph(self, line: str) -> str:
        if _width(line) >= 4:
            return _TAG.sub(r"\1" + NO_WIDTH, line)
        heading = _HEADING.match(line)
        if heading:
            return ("####" if len(heading[2]) == 1 else "#####") + self._inline(line[heading.end() :])
        return self._inline(line)

    def _inline(self, text: str) -> str:
        return inline(text, self._key_of, self._escape)


def _width(line: str) -> int:
    """Columns of the white space that a line begins with."""
    return len(line[: len(line) - len(line.lstrip(" \t"))].expandtabs(4))


def _moved(line: str, columns: int) -> str:
    """The line, moved to the left by so many columns of white space at most."""
    if not columns:
        return line
    return " " * max(0, _width(line) - columns) + line.lstrip(" \t")
