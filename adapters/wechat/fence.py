"""Code between backticks, for clients that show it in a fixed-width font.

Rules of this file (pure): whatever backticks are in the code, those around it are told from them.
"""

from __future__ import annotations

import re

_TICKS = re.compile("`+")


def fenced(code: str, language: str) -> str:
    """A code block that ends with no new line."""
    fence = "`" * max([3, *(length + 1 for length in _runs(code))])
    return f"{fence}{language.replace('`', '')}\n{code}\n{fence}"


def span(code: str) -> str:
    """Code within a line: between as many backticks as it has nowhere in a row."""
    runs = _runs(code)
    ticks = "`" * next(length for length in range(1, len(runs) + 2) if length not in runs)
    gap = " " if "`" in (code[:1], code[-1:]) else ""
    return ticks + gap + code + gap + ticks


def _runs(code: str) -> set[int]:
    return set(map(len, _TICKS.findall(code)))
