"""Words without formatting: Markdown as words, for summaries and plain messages, and the element that shows words.

Rules of this file (pure): no word is lost; an address stands behind the words that lead to it.

Source: Card JSON 2.0, Plain text.
"""

from __future__ import annotations

import re
from typing import Any

from bridge.markdown import events

_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")

_BETWEEN = " | "


def clean(text: str) -> str:
    """The text without what cannot be sent: lone surrogates and control characters."""
    return _CONTROL.sub("\ufffd", text.encode(errors="replace").decode())


def plain(text: str, **more: str) -> dict[str, Any]:
    """The element for words: no mark and no tag in them means anything."""
    return {"tag": "plain_text", "content": clean(text)} | more


def plain_text(text: str) -> str:
    """The readable words of a Markdown text, in lines."""
    words = _Words()
    for kind, argument in events(text):
        words.take(kind, argument)
    return "".join(words.out).strip("\n")


class _Words:
    def __init__(self) -> None:
        self.out: list[str] = []
        self._owed = 0  # new lines, owed until something follows them
        self._lead = ""  # bullet
        self._numbers: list[int] = []  # of the next item of each open list; -1 = bullets
        self._links: list[tuple[str, int]] = []  # address, where its words begin in out

    def take(self, kind: str, argument: str) -> None:
        if kind in ("text", "code"):
            self._write(argument)
        elif kind == "break":
            self._owe(1)
        elif kind == "rule":
            self._owe(2)
            self._write("———")
            self._owe(2)
        elif kind == "ref":
            self._write(f"[{argument}]")
        elif kind == "note":
            self._owe(2)
            self._lead = f"[{argument}] "
        elif kind == "task":
            self._write("☑ " if argument == "x" else "☐ ")
        elif kind in ("ul", "ol"):
            self._owe(1 if self._numbers else 2)
            self._numbers.append(int(argument) if kind == "ol" else -1)
        elif kind in ("/ul", "/ol"):
            self._numbers.pop()
            self._owe(1 if self._numbers else 2)
        elif kind == "item":
            self._item()
        elif kind in ("link", "image"):
            self._links.append((argument, len(self.out)))
        elif kind in ("/link", "/image"):
            self._linked()
        elif kind == "/cell":
            self._lead = _BETWEEN
        elif kind in ("/row", "/head"):
            self._lead = ""
            self._owe(1)
        elif kind == "/pre":
            self._code_end()
        elif kind in _BLOCKS and not self._lead:
            self._owe(1 if self._numbers else 2)

    def _item(self) -> None:
        self._owe(1)
        number = self._numbers[-1]
        self._lead = "  " * (len(self._numbers) - 1) + ("• " if number < 0 else f"{number}. ")
        self._numbers[-1] += number >= 0

    def _linked(self) -> None:
        address, start = self._links.pop()
        words = "".join(self.out[start:]).strip()
        shown = "" if address.startswith("data:") else address.removeprefix("mailto:")
        if not words:
            self._write(shown)
        elif shown not in ("", words):
            self._write(f" ({shown})")

    def _code_end(self) -> None:
        if self.out:
            self.out[-1] = self.out[-1].removesuffix("\n")
        self._owe(1 if self._numbers else 2)

    def _write(self, words: str) -> None:
        if words:
            if self._owed and self.out:
                self.out.append("\n" * self._owed)
            self.out.append(self._lead + words)
            self._owed, self._lead = 0, ""

    def _owe(self, lines: int) -> None:
        self._owed = max(self._owed, lines)


_BLOCKS = frozenset(("p", "/p", "h", "/h", "quote", "/quote", "pre", "/item", "/note", "table", "/table"))
