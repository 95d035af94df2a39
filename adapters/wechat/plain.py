"""Markdown -> plain text that reads well in WeChat: a proportional font, on a phone, without any formatting.

Rules of this file (pure):
- every word of the text stands in the message, in order; only marks are added, and no mark of Markdown is left over;
- the message is never trimmed or cut here: its length is what its pieces add up to, so ``fits`` can stop early.

What becomes what is the work of page.py; addresses are that of address.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

from adapters.wechat.page import Page, units
from bridge.markdown import events

_UNSURE = re.compile(r"\r|\||\]:|\d{4}[.)]|````|\]\([^)\n]*[^\x00-\x7f\n]")
"""What can make a message much longer than its source: tables, links defined once and used often, high numbers, fences
within code, addresses to be encoded."""
_GROWS = re.compile(r"!\[|://")
"""What makes a line one character longer: the mark of a picture, the space behind an address."""
_GROWTH = 12
"""UTF-16 units that a line may be longer than its source: blank lines around it, indentation, brackets, a fence."""


def plain(text: str, *, fences: bool = False) -> str:
    """The message for a Markdown text; empty when it shows nothing. Never raises, whatever the text.

    With ``fences``, code keeps its backticks: some clients show what is between them in a fixed-width font (iLink).
    """
    page = Page(fences=fences)
    page.walk(events(text))
    return page.text


def fits(most: int, *, fences: bool = False) -> Callable[[str], bool]:
    """Does the message for a Markdown text take at most ``most`` UTF-16 units? (For ``Caps.fits``.)

    A text that is far shorter is not rendered, and one that is longer only so far.
    """

    @lru_cache(maxsize=16)  # the Presenter asks about the same text more than once
    def fitting(text: str) -> bool:
        return _surely(text, most) or Page(fences=fences).walk(events(text), most)

    return fitting


def _surely(text: str, most: int) -> bool:
    room = most - len(text) - _GROWTH * (text.count("\n") + 1)
    if room < 0 or _UNSURE.search(text):
        return False
    return units(text) - len(text) + len(_GROWS.findall(text)) <= room
