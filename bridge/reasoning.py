"""The model's reasoning, as much of it as is shown: its end, folded away above the answer.

Rules of this file: pure. It may take half of a part at most, or it is not shown; it begins with a word.
"""

from __future__ import annotations

from collections.abc import Callable

MOST = 1200
"""Characters."""


class Reasoning:
    """``fits`` is that of the platform's Caps."""

    def __init__(self, fits: Callable[[str], bool]) -> None:
        self._fits = fits
        self._all = ""  # but what came long ago
        self.shown = ""
        self.quoted = ""
        """As long as what a platform makes of it; empty, or with what parts it from the text."""

    def feed(self, token: str) -> None:
        self._all = (self._all + token)[-2 * MOST :]
        shown = _end_of(self._all.strip())
        quoted = "> " + shown.replace("\n", "\n> ") + "\n\n" if shown else ""
        self.shown, self.quoted = (shown, quoted) if self._fits(quoted * 2) else ("", "")


def _end_of(text: str) -> str:
    if len(text) <= MOST:
        return text
    end = text[1 - MOST :]
    _, space, words = end.partition(" ")
    return f"…{words if space and len(words) > MOST // 2 else end}"
