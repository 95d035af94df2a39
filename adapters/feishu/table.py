"""Tables of a Markdown text: how many there are, and the text with each of them as code.

Rules of this file (pure): a table is what the Markdown parser sees as one; as code, it stands at the start of a line.

Source: Card JSON 2.0, Rich text: at most four tables in an element; reports of code 11310
with more than three in a card.
"""

from __future__ import annotations

import re

from bridge.markdown import events

MOST = 3
"""Tables that are shown in a card."""

_TABLE = "|"
"""Stands for the marks of the code block that a table has become."""
_DELIMITERS = re.compile(r"(?=[^\n]*\|)[ \t>]*+\|?[ \t]*+:?-++:?[ \t]*+(?:\|[ \t]*+:?-++:?[ \t]*+)*+\|?[ \t]*+")
_POSSIBLE = re.compile(rf"^{_DELIMITERS.pattern}$", re.MULTILINE)
_PREFIX = re.compile(r"[ \t>]*(?:(?:[-*+]|\d{1,3}[.)])[ \t]+)*")
_FENCE = re.compile(r"[ \t>]*(?:(?:[-*+]|\d{1,3}[.)])[ \t]+)*(`{3,}|~{3,})(.*)")


def tables(text: str) -> int:
    """How many tables the text has. Cheap where there are none."""
    return sum(kind == "table" for kind, _ in events(text)) if _POSSIBLE.search(text) else 0


def fenced(text: str) -> str:
    """The same text with all its tables as code: nothing that Feishu counts as a table is left."""
    if not _POSSIBLE.search(text):
        return text
    out: list[str] = []
    code = ""  # the marks of the code block that is open
    lines = text.split("\n")
    for line, below in zip(lines, [*lines[1:], ""], strict=True):
        if code == _TABLE and "|" not in line:
            out.append("```")
            code = ""
        if code == _TABLE:
            line = line.lstrip(" \t>")
        elif marks := _FENCE.match(line):
            fence, info = marks.groups()
            closes = bool(code) and fence.startswith(code) and not info.strip()
            code = "" if closes else code or fence
        elif not code and "|" in line and _DELIMITERS.fullmatch(below):
            prefix = _PREFIX.match(line)
            item = prefix[0].replace(">", "").strip() if prefix else ""
            out += [item, "```"] if item else ["```"]
            line, code = line[prefix.end() :] if prefix else line, _TABLE
        out.append(line)
    return "\n".join([*out, "```"] if code == _TABLE else out)
