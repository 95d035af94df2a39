"""Tables in a message: as columns of a fixed-width font, when a phone is wide enough for them.

Rules of this file:
- pure; a cell is the list of its events;
- a Chinese character is two columns wide, a combining one none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from unicodedata import east_asian_width

from bridge.markdown import Event

Cell = list[Event]

WIDEST = 40
"""Columns that a line of ``pre`` has on a phone before it wraps."""
_BETWEEN = " | "
_NO_WIDTH = re.compile("[\u0300-\u036f\u200b-\u200d\ufe00-\ufe0f]")
_WIDE = frozenset("WF")


def read_rows(stream: Iterator[Event]) -> list[list[Cell]]:
    """The rows of the table that has begun, header first; takes its events off the stream."""
    rows: list[list[Cell]] = []
    for kind, argument in stream:
        if kind == "/table":
            break
        if kind in ("head", "row"):
            rows.append([])
        elif kind == "cell":
            rows[-1].append([])
        elif kind not in ("/cell", "/row", "/head"):
            rows[-1][-1].append((kind, argument))
    return rows


def written(cell: Cell) -> str:
    """The words of a cell."""
    return "".join([" " if kind == "break" else argument for kind, argument in cell if kind in _WRITTEN]).strip()


_WRITTEN = frozenset(("text", "code", "break"))


def columns(header: list[Cell], rows: list[list[Cell]], aligns: str) -> str:
    """The table as aligned lines; empty when it is too wide, or a cell holds what only an entity can say. The parser
    does not fill up the short rows of a huge table: such a one is too wide in any case."""
    if any(len(row) != len(header) for row in rows):
        return ""
    if any(kind in ("link", "image") for row in (header, *rows) for cell in row for kind, _ in cell):
        return ""
    cells = [[written(cell) for cell in row] for row in (header, *rows)]
    sizes = [[width(cell) for cell in row] for row in cells]
    widths = [max(column) for column in zip(*sizes, strict=True)]
    if sum(widths) + len(_BETWEEN) * (len(widths) - 1) > WIDEST:
        return ""
    lines = [
        _BETWEEN.join(
            _padded(cell, room - size, align)
            for cell, size, room, align in zip(row, row_sizes, widths, aligns, strict=True)
        ).rstrip()
        for row, row_sizes in zip(cells, sizes, strict=True)
    ]
    lines.insert(1, "-+-".join(["-" * room for room in widths]))
    return "\n".join(lines)


def width(text: str) -> int:
    """Columns that a text takes in a fixed-width font."""
    if text.isascii():
        return len(text)
    text = _NO_WIDTH.sub("", text)
    return len(text) + sum(map(_WIDE.__contains__, map(east_asian_width, text)))


def _padded(text: str, room: int, align: str) -> str:
    left = {"r": room, "c": room // 2}.get(align, 0)
    return " " * left + text + " " * (room - left)
