"""The marks within a line of Markdown -> the same in Feishu's cards and posts.

Rules of this file (pure):
- what a character becomes depends on what stands before it, and on the mark that it is part of: so the beginning of a
  line becomes the beginning of the whole line's rendering, once its marks are whole;
- no tag of the model's reaches Feishu: a ``<`` is written as the platform's docs want it, ``&#60;``. In code nothing is
  escaped, as CommonMark has it; should Feishu look for tags there all the same (Lark did), those that mention people
  are broken by a space of no width, which looks the same either way;
- pictures have a key of Feishu's or become links: any other address makes Feishu refuse the whole card;
- a backtick that closes nothing is escaped: what is code here is code there.

Source: Card JSON 2.0, Rich text (Markdown): "special characters", links, images, bold.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial

KeyOf = Callable[[str], str | None]
"""Address of a picture -> its img_key, when it has one."""
Escape = Callable[[str], str]
"""A character that would be a mark -> the same as a character."""

NO_WIDTH = "\u200b"

_TOKEN = re.compile(
    r"(?P<escaped>\\[!-/:-@\[-`{-~])"
    r"|(?P<code>`+)"
    r"|(?P<address><https?://[^\s<>]+>)"
    r"|(?P<line_break><br\s*/?>)"
    r"|(?P<tag><)"
    r"|(?P<image>!\[)"
    r"|(?P<link>\[)"
    r"|(?P<pair>\*{2,3}|~~)"
    r"|(?P<star>\*(?:(?<=[A-Za-z0-9]\*)(?=[A-Za-z0-9])|(?<!\*\*)(?=\.[A-Za-z0-9])))",  # 2*3*4, *.py
    re.IGNORECASE,
)
_TICKS = re.compile("`+")
_BRACKET = re.compile(r"\\.|`+|\[|\]")
_TARGET = re.compile(
    r"\(\s*(?:<([^<>]*)>|((?:[^\s()\\]|\\.|\((?:[^\s()\\]|\\.)*\))*))"
    r"(?:\s+(?:\"[^\"]*\"|'[^']*'|\([^()]*\)))?\s*\)"
)
"""What follows the words of a link: its address, perhaps a title."""
_IMAGE = re.compile(r"!\[([^\[\]]*)\]\([^()\s]*\)")
_PAIR = re.compile(r"(\*{2,3}|~~)(?=[^\s*~])((?:`[^`]*`|\\.|[^*~`\\])+)(?<!\s)\1(?![*~])")
_MENTION = re.compile(r"<(?=/?(?:at|person)\b)", re.IGNORECASE)
_MARK = re.compile(r"[<`*_~\[\]!\\]")
_HTTP = re.compile(r"https?://[^\s/]\S*", re.IGNORECASE)
_UNSAFE = re.compile(r"[\s<>()\"\\`|]")


def in_card(char: str) -> str:
    """Escape of a card."""
    return f"&#{ord(char)};"


def in_post(char: str) -> str:
    """Escape of a post, whose docs have no escapes: what could do harm is broken."""
    return char + NO_WIDTH if char in "<!" else char


def escaped(text: str, escape: Escape = in_card) -> str:
    """A text without any mark in it."""
    return _MARK.sub(lambda mark: escape(mark[0]), text)


def guarded(code: str) -> str:
    """Code, which mentions nobody."""
    return _MENTION.sub("<" + NO_WIDTH, code) if "<" in code else code


def inline(text: str, key_of: KeyOf, escape: Escape) -> str:
    """One line, or a part of it that has no half marks. In a row of a table ``<br>`` is a new line."""
    return _Line(text, key_of, escape).rendered() if _TOKEN.search(text) else text


class _Line:
    def __init__(self, text: str, key_of: KeyOf, escape: Escape) -> None:
        self._text = text
        self._key_of = key_of
        self._escape = escape
        self._row = text.lstrip().startswith("|")
        self._closing: dict[int, int] | None = None  # bracket -> its closing one
        self._inner = partial(inline, key_of=key_of, escape=escape)

    def rendered(self) -> str:
        text, out, place = self._text, [], 0
        while found := _TOKEN.search(text, place):
            out.append(text[place : found.start()])
            shown, place = _METHODS[found.lastgroup or ""](self, found)
            out.append(shown)
        out.append(text[place:])
        return "".join(out)

    # ------------------------------------------------------------ each returns what is shown, and where to go on

    def escaped(self, found: re.Match[str]) -> tuple[str, int]:
        return found[0] + (NO_WIDTH if found[0] in (r"\<", r"\!") else ""), found.end()

    def code(self, found: re.Match[str]) -> tuple[str, int]:
        end = _code_end(self._text, found)
        return (guarded(self._text[found.start() : end]), end) if end else (self._as_text(found[0]), found.end())

    def address(self, found: re.Match[str]) -> tuple[str, int]:
        url = found[0][1:-1]
        return self._no_picture(found) + self._linked(url, url, with_address=False), found.end()

    def line_break(self, found: re.Match[str]) -> tuple[str, int]:
        return ("<br>", found.end()) if self._row else self.tag(found)

    def tag(self, found: re.Match[str]) -> tuple[str, int]:
        return self._escape("<"), found.start() + 1

    def image(self, found: re.Match[str]) -> tuple[str, int]:
        target = self._target(found.start() + 1)
        if target is None:
            return self._escape("!"), found.start() + 1
        words, url, end = target
        key = self._key_of(url) if _HTTP.fullmatch(url) or url.startswith("/") else None  # "/": the app's own
        if key is not None:
            return f"![{escaped(words, self._escape)}]({key})", end
        words = words or (url if _HTTP.fullmatch(url) else "")
        return self._no_picture(found) + self._linked(words, url, with_address=False), end

    def link(self, found: re.Match[str]) -> tuple[str, int]:
        target = self._target(found.start())
        if target is None:
            return "[", found.end()
        words, url, end = target
        return self._linked(words or url, url, with_address=words != url), end

    def pair(self, found: re.Match[str]) -> tuple[str, int]:
        """Bold text needs a space beside it where CommonMark could not tell the beginning from the end."""
        pair = _PAIR.match(self._text, found.start())
        if pair is None:
            return found[0], found.end()
        mark, words = pair.groups()
        before, after = self._text[pair.start() - 1 : pair.start()], self._text[pair.end() : pair.end() + 1]
        left = before.isalnum() and not words[0].isalnum()
        right = after.isalnum() and not words[-1].isalnum()
        if left and (before + pair[0] + after).isascii():  # 2**(3)**4
            left = right = False
        return f"{' ' * left}{mark}{self._inner(words)}{mark}{' ' * right}", pair.end()

    def star(self, found: re.Match[str]) -> tuple[str, int]:
        return self._escape("*"), found.end()

    # ------------------------------------------------------------ links

    def _target(self, bracket: int) -> tuple[str, str, int] | None:
        """(words, address, end) of the link whose words this bracket opens; pictures in the words are their words."""
        if self._closing is None:
            self._closing = _brackets(self._text)
        closing = self._closing.get(bracket)
        target = _TARGET.match(self._text, closing + 1) if closing else None
        if not closing or not target:
            return None
        words = _IMAGE.sub(r"\1", self._text[bracket + 1 : closing]).strip()
        if "](" in words:
            return None  # the link is further in
        url = target[1] if target[1] is not None else target[2]
        return words, re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", url), target.end()

    def _linked(self, words: str, url: str, *, with_address: bool) -> str:
        shown = escaped(words, self._escape) if words == url else self._inner(words)
        if _HTTP.fullmatch(url):
            return f"[{shown}]({_address(url)})"
        return f"{shown} ({escaped(url, self._escape)})" if with_address and url else shown

    def _no_picture(self, found: re.Match[str]) -> str:
        """What keeps a link apart from a ``!`` before it."""
        return NO_WIDTH if self._text.endswith("!", 0, found.start()) else ""

    def _as_text(self, marks: str) -> str:
        return "".join(map(self._escape, marks))


_METHODS: dict[str, Callable[[_Line, re.Match[str]], tuple[str, int]]] = {
    name: getattr(_Line, name) for name in _TOKEN.groupindex
}


def _code_end(text: str, ticks: re.Match[str]) -> int:
    """Where the code span ends that these backticks open; 0 when nothing closes it."""
    closings = _TICKS.finditer(text, ticks.end())
    return next((closing.end() for closing in closings if closing[0] == ticks[0]), 0)


def _brackets(text: str) -> dict[int, int]:
    """Where each bracket is closed."""
    opened: list[int] = []
    closed: dict[int, int] = {}
    place = 0
    while found := _BRACKET.search(text, place):
        place = found.end()
        if found[0][0] == "`":
            place = _code_end(text, found) or place
        elif found[0] == "[":
            opened.append(found.start())
        elif found[0] == "]" and opened:
            closed[opened.pop()] = found.start()
    return closed


def _address(url: str) -> str:
    return _UNSAFE.sub(lambda char: f"%{ord(char[0]):02X}", url)
