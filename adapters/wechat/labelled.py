"""Tables as labelled lines: in a proportional font no column lines up.

Rules of this file (pure): a cell is its words, links and all; no word of a table is lost.
"""

from __future__ import annotations

from itertools import zip_longest

_NARROW = 2
"""Columns of a table whose rows are one line each."""
_WIDE_COLON = "\u2e80"
"""Scripts from here on have a colon of their own."""


def labelled(header: list[str], rows: list[list[str]]) -> list[str]:
    """The blocks that a table is shown as: one for a narrow table, one for each row of a wider one.

    A narrow table has its header as a title and lines ``key: value``; in a wider one the header's words are labels.
    The parser fills short rows up only so far: a row may have fewer cells than the header.
    """
    titles = [words for words in header if words]
    title = titled(" | ".join(titles)) if titles else ""
    if len(header) <= _NARROW:
        lines = [title, *(_line(*("", "", *row)[-_NARROW:]) for row in rows)]
        return ["\n".join(filter(None, lines))]
    if not rows:
        return [title]
    # An empty cell is left out, but the first row has every label: so no word of the header is lost.
    blocks = [[_line(label, cell) for label, cell in zip_longest(header, rows[0], fillvalue="")]]
    blocks += [[_line(label, cell) for label, cell in zip(header, row, strict=False) if cell] for row in rows[1:]]
    return ["\n".join(filter(None, lines)) for lines in blocks]


def titled(words: str) -> str:
    """A title. Messages have no bold: in WeChat people write titles in these brackets, and any reader takes them so."""
    return words if words.startswith("【") and words.endswith("】") else f"【{words}】"


def _line(label: str, value: str) -> str:
    if not label or label[-1] in ":：":
        return f"{label} {value}".strip()
    colon = "：" if label[-1] >= _WIDE_COLON else ": "
    return (label + colon + value).rstrip()
