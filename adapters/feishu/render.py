"""A model's Markdown -> the Markdown of a Feishu card, and whether it fits into one.

Rules of this file (pure):
- source to source, and stable: of two texts that ``bridge.markdown.settled`` lets through, one the beginning of the
  other, the rendering of the one is the beginning of the other's. Feishu animates only then. Elsewhere the text jumps,
  and no more than that: a mark that is longer than ``settled`` waits for or goes on behind its end, a ``!`` that turns
  out to begin a picture, a row of a table under way, a tag or an address in angle brackets under way, an address with
  parentheses;
- nothing is lost: a tag, a formula, an unfinished mark are shown as the characters that they are.

The lines are in blocks.py, the marks within them in inline.py, tables in table.py, words alone in plain.py.

Source: Card JSON 2.0: 30 KB and 200 elements a card; Rich text (Markdown).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import msgspec

from adapters.feishu.blocks import Blocks
from adapters.feishu.inline import Escape, KeyOf, in_card, in_post
from adapters.feishu.plain import clean, plain_text
from adapters.feishu.table import MOST, fenced, tables

__all__ = ["TEXT_MOST", "fenced", "fits", "pictures", "plain_text", "posted", "rendered"]

TEXT_MOST = 27_400
"""Bytes of a text in the JSON of its card: with the card around it 28 KB. The rest of the 30 KB is for buttons, a form,
sources."""
_GROWTH = 10
"""Times that a rendering may be longer than its source, in bytes: an address of nothing but marks, as its own words."""


def rendered(text: str, images: Mapping[str, str] = {}) -> str:
    """The Markdown for a card. ``images`` has the img_key of each picture that can be shown, by its address; the others
    are links."""
    return _lines(text, images.get, in_card) if images else _card(text)


def posted(text: str) -> str:
    """The Markdown for the ``md`` tag of a post, which knows no tables."""
    return _lines(fenced(text), _no_key, in_post)


@lru_cache(maxsize=16)  # asked about the same text more than once
def fits(text: str) -> bool:
    """Does the finished card with this text keep Feishu's limits?"""
    size = len(text.encode(errors="replace"))
    if size > TEXT_MOST or tables(text) > MOST:
        return False
    return size * _GROWTH <= TEXT_MOST or len(msgspec.json.encode(_card(text))) <= TEXT_MOST


def pictures(text: str) -> tuple[str, ...]:
    """The addresses of the pictures in a text that Feishu could show, in order, each once."""
    found: list[str] = []
    if "![" in text:
        _lines(text, found.append, in_card)
    return tuple(dict.fromkeys(found))


@lru_cache(maxsize=16)
def _card(text: str) -> str:
    return _lines(text, _no_key, in_card)


def _no_key(_: str) -> None:
    return None


def _lines(text: str, key_of: KeyOf, escape: Escape) -> str:
    text = clean(text.replace("\r\n", "\n").replace("\r", "\n"))
    blocks = Blocks(key_of, escape)
    return "\n".join([blocks.line(line) for line in text.split("\n")])
