"""The Markdown of a card, as far as the platform looks into it: tables, images, mentions; and what a reader sees.

Rules of this file: pure; what stands in code is text and means nothing else. A backslash hides neither a mention nor an
image: the platform documents only entities (``&lt;``) for that.

Source: fact sheet 3.4.
"""

from __future__ import annotations

import html
import itertools
import re

FENCED = re.compile(r"^ {0,3}(`{3,}|~{3,})[^\n]*\n.*?(?:^ {0,3}\1[`~]*[ \t]*$|\Z)", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"(?<!`)(`+)(?!`).+?(?<!`)\1(?!`)", re.DOTALL)
DELIMITERS = re.compile(r"^[ \t]*\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$")
IMAGE = re.compile(r"!\[[^\]]*\]\(\s*<?([^)\s>]*)[^)]*\)")
AT = re.compile(r"<at\s+(?:id|user_id|open_id)\s*=\s*[\"']?([^\s\"'>/]*)", re.IGNORECASE)


def without_code(text: str) -> str:
    """The text with its code blocks and code spans left out."""
    return INLINE.sub("", FENCED.sub("", text))


def table_count(text: str) -> int:
    """Tables: a line with a bar, then a line of delimiters with as many cells."""
    if "|" not in text or "-" not in text:
        return 0
    lines = [line.lstrip("> \t") for line in FENCED.sub("", text).split("\n")]
    return sum(
        "|" in head and "|" in line and DELIMITERS.match(line) is not None and _cells(head) == _cells(line)
        for head, line in itertools.pairwise(lines)
    )


def image_targets(text: str) -> list[str]:
    """What stands where an image key must."""
    return IMAGE.findall(without_code(text)) if "![" in text else []


def at_ids(text: str) -> list[str]:
    """Whom the text mentions: ids of ``<at id=…>`` that are not escaped and not in code."""
    return AT.findall(without_code(text)) if "<at" in text.lower() else []


def seen(text: str) -> str:
    """The source as a reader would have it: entities (``&lt;``, ``&#42;``) are the characters that they stand for."""
    return html.unescape(text)


def _cells(line: str) -> int:
    return len(re.split(r"(?<!\\)\|", line.strip().strip("|")))
