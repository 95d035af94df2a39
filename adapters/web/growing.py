"""The HTML of a text that grows, at a cost that grows with the text and not with its square.

Rules of this file:
- a block that can no longer change is rendered once; only the end of the text is rendered again and again;
- where a block ends is judged strictly (a blank line, then a line at the left edge that no list can swallow). What this
  cannot see (a link defined further down) is corrected at the end, when the whole text is rendered once;
- nothing is rendered that nobody looks at: the caller calls only for a page that is open.
"""

from __future__ import annotations

import re
from html import escape

from adapters.web.render import html
from bridge.model import Show

_FENCE = re.compile(r" *(`{3,}|~{3,})")
_OPEN = re.compile(r"[ \t\r]|$|[-+*](?:[ \t\r]|$)|\d{1,9}(?:[.)]|$)")
"""What begins a line that may belong to a list before the blank line, or whose kind is not known yet."""


def finished(text: str, start: int = 0) -> int:
    """Where the last block begins that may still change. ``start`` is a place that an earlier call returned.

    >>> finished("One.\\n\\nTwo.\\n\\nThr")
    12
    """
    end, place, fence, blank = start, start, "", False
    for line in text[start:].split("\n"):  # not splitlines: Markdown knows no other line ends
        mark = _FENCE.match(line)
        if fence:
            closes = mark is not None and mark.group(1).startswith(fence) and not line[mark.end() :].strip()
            fence = "" if closes else fence
        else:
            if blank and _OPEN.match(line) is None:
                end = place
            fence = mark.group(1) if mark else ""
        blank = not fence and not line.strip()
        place += len(line) + 1
    return end


class Growing:
    """One part's HTML: ``done`` never changes within an ``age``, ``tail`` does. Together they are the whole."""

    def __init__(self) -> None:
        self.age = 0
        self.done: list[str] = []
        self.tail = ""
        self._settled = ""
        self._drawn: Show | None = None

    def draw(self, show: Show) -> None:
        """Bring the HTML to what ``show`` says; drawing the same Show again costs nothing."""
        if show is self._drawn:
            return
        self._drawn = show
        text = show.text
        if show.plain:
            self._restart(f'<p class="plain">{escape(text)}</p>' if text else "")
            return
        if not text.startswith(self._settled):
            self._restart("")
        start = len(self._settled)
        end = finished(text, start)
        if end > start:
            self.done.append(html(text[start:end]))
            self._settled = text[:end]
        self.tail = html(text[end:])
        if show.final and self.done:
            whole = html(text)
            if whole != "".join(self.done) + self.tail:
                self._restart(whole)

    def _restart(self, tail: str) -> None:
        self.age += 1
        self.done, self._settled, self.tail = [], "", tail
