"""A card's JSON apart: the texts that stream, and the frame around them.

Rules of this file: pure. ``config`` is part of neither: it is switched by operations of its own.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from adapters.feishu.card import TEXT, THINKING


class Layout(NamedTuple):
    card: dict[str, Any]
    """The whole of it."""
    texts: dict[str, str]
    """Element id -> content, of the elements that stream."""
    frame: object
    """The rest. Two cards with equal frames differ in their texts only."""


def layout(card: dict[str, Any]) -> Layout:
    texts: dict[str, str] = {}
    return Layout(card, texts, _frame({key: value for key, value in card.items() if key != "config"}, texts))


def _frame(value: object, texts: dict[str, str]) -> object:
    """A copy without the texts, which are noted."""
    if isinstance(value, list):
        return [_frame(item, texts) for item in value]
    if not isinstance(value, dict):
        return value
    text = value.get("content")
    if value.get("element_id") in (TEXT, THINKING) and isinstance(text, str) and text:
        texts[value["element_id"]] = text
        value = value | {"content": ""}
    return {key: _frame(item, texts) for key, item in value.items()}
