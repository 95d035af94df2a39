"""Takes FastGPT's citation marks out of an answer, while it streams.

Rules of this file:
- pure; any split of the text gives the same output as the whole text at once;
- a mark is ``[id]`` with an id of 24 hex digits, alone or followed by ``(CITE)``, ``(QUOTE)`` or another short word in
  parentheses, and the literal ``[id](CITE)`` that models copy from their prompt; full-width brackets count too;
- the word may lack its closing parenthesis at the end of the text (the answer was cut there) or when it is CITE or
  QUOTE; every other text behind a mark stays;
- text waits only while it can still be a mark: at most ``LONGEST`` characters, from the last bracket on.

Servers strip the marks themselves when they are asked to, but not all of them and not all forms; the bridge asks them
not to and does it here (facts: packages/global/core/ai/llm/utils.ts).
"""

from __future__ import annotations

import re

LONGEST = 38
"""Characters of the longest mark: two brackets, 24 digits, two parentheses, 10 characters between them."""

# No mark has an opening bracket inside: so only the last bracket of a text can be the start of an unfinished one.
_WORD = r"[^()（）\s\[【]{0,10}"
_ID = r"[\[【][a-f0-9]{24}[\]】]"
_LITERAL = r"[\[【]id[\]】][(（]CITE[)）]"
_MARK = re.compile(rf"{_ID}(?:[(（](?:{_WORD}[)）]|CITE|QUOTE))?|{_LITERAL}")
_MARK_AT_END = re.compile(rf"{_ID}(?:[(（](?:{_WORD}(?:[)）]|\Z)|CITE|QUOTE))?|{_LITERAL}")
_UNFINISHED = re.compile(
    rf"[\[【](?:[a-f0-9]{{0,24}}|[a-f0-9]{{24}}[\]】](?:[(（]{_WORD})?"
    r"|i|id|id[\]】](?:[(（](?:C(?:I(?:TE?)?)?)?)?)"
)


class Marks:
    """Strips one stream of text. ``feed`` returns what is certain, ``end`` the rest."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held = ""

    def feed(self, text: str) -> str:
        if not self._held and "[" not in text and "【" not in text:
            return text
        text = self._held + text
        start = max(text.rfind("["), text.rfind("【"))
        if _UNFINISHED.fullmatch(text, start):
            self._held = text[start:]
            text = text[:start]
        else:
            self._held = ""
        return _MARK.sub("", text)

    def end(self) -> str:
        held, self._held = self._held, ""
        return _MARK_AT_END.sub("", held)


def strip(text: str) -> str:
    """The text without its marks."""
    return _MARK_AT_END.sub("", text)
