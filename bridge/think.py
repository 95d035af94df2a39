"""Separates ``<think>…</think>`` from the answer around it, while it streams.

Rules of this file:
- pure; any split of the text gives the same two texts;
- nothing is lost: outside the tags is answer, inside is thinking, an unclosed tag lasts to the end, and a closing tag
  without an opening one is text like any other;
- text waits only while it can be the beginning of the tag that comes next.
"""

from __future__ import annotations

_OPEN, _CLOSE = "<think>", "</think>"


class Thoughts:
    """Separates one stream of text. Both methods return ``(answer, thinking)``, whichever of them there is."""

    __slots__ = ("_held", "_inside")

    def __init__(self) -> None:
        self._held = ""
        self._inside = False

    def feed(self, text: str) -> tuple[str, str]:
        if not self._held and "<" not in text:
            return ("", text) if self._inside else (text, "")
        text = self._held + text
        self._held = ""
        parts = ["", ""]
        while True:
            tag = _CLOSE if self._inside else _OPEN
            before, found, after = text.partition(tag)
            if not found:
                break
            parts[self._inside] += before
            self._inside = not self._inside
            text = after
        kept = _overlap(text, tag)
        parts[self._inside] += text[: len(text) - kept]
        self._held = text[len(text) - kept :]
        return parts[0], parts[1]

    def end(self) -> tuple[str, str]:
        held, self._held = self._held, ""
        return ("", held) if self._inside else (held, "")


def _overlap(text: str, tag: str) -> int:
    """Length of the longest end of ``text`` that is a beginning of ``tag``."""
    start = text.rfind("<")  # a tag has one "<", its first character
    return len(text) - start if start >= 0 and tag.startswith(text[start:]) else 0
