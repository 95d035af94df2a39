"""What a person sees of a card: its words in order, its buttons, fields, images and mentions.

Rules of this file: pure; a card's JSON (2.0, or 1.0 with ``elements`` at the top) in, plain values out. What a closed
panel hides is apart, in ``folded``.
"""

from __future__ import annotations

from typing import Any

import msgspec

from tests.fakes.feishu.cardmarkdown import at_ids, image_targets, seen
from tests.fakes.feishu.rules import Json


class Words(msgspec.Struct):
    """What a card shows."""

    lines: list[str] = []
    folded: list[str] = []
    buttons: list[str] = []
    fields: list[str] = []
    options: list[str] = []
    images: list[str] = []
    mentions: list[str] = []


def words_of(card: Json) -> Words:
    """Everything a card shows, in the order of its elements."""
    words = Words()
    header = card.get("header", {})
    for name in ("title", "subtitle"):
        if name in header:
            words.lines.append(_label(header[name]))
    _elements(card.get("body", card).get("elements", []), words, words.lines)
    return words


def summary_of(card: Json) -> str:
    """What the list of chats shows instead of the card."""
    return str(card.get("config", {}).get("summary", {}).get("content", ""))


def _elements(elements: list[Any], words: Words, lines: list[str]) -> None:
    for element in elements:
        _element(element, words, lines)


def _element(element: Json, words: Words, lines: list[str]) -> None:
    match element.get("tag"):
        case "markdown":
            _text(element, words, lines)
        case "div":
            _text(element.get("text", {}), words, lines)
        case "hr":
            lines.append("---")
        case "img":
            words.images.append(element["img_key"])
        case "img_combination":
            words.images += [image["img_key"] for image in element.get("img_list", ())]
        case "button":
            words.buttons.append(_label(element.get("text", {})))
        case "input" | "date_picker" | "picker_time" | "picker_datetime" | "checker":
            words.fields.append(element.get("name", ""))
            lines += filter(None, (_label(element.get("label") or element.get("text") or {}),))
        case "select_static" | "multi_select_static" | "overflow":
            words.fields += filter(None, (element.get("name"),))
            words.options += [_label(option["text"]) for option in element.get("options", ())]
        case "collapsible_panel":
            _text(element.get("header", {}).get("title", {}), words, lines)
            _elements(element.get("elements", []), words, lines if element.get("expanded") else words.folded)
        case "table":
            lines += [
                " | ".join(str(row.get(column["name"], "")) for column in element["columns"])
                for row in element.get("rows", ())
            ]
        case "column_set":
            for column in element.get("columns", ()):
                _elements(column.get("elements", []), words, lines)
        case "note" | "form" | "interactive_container":
            _elements(element.get("elements", []), words, lines)
        case "action":
            _elements(element.get("actions", []), words, lines)
        case "plain_text" | "lark_md":
            _text(element, words, lines)


def _text(text: Json, words: Words, lines: list[str]) -> None:
    content = text.get("content", "")
    if text.get("tag") != "plain_text":
        words.images += image_targets(content)
        words.mentions += at_ids(content)
    if content:
        lines.append(_label(text))


def _label(text: Json) -> str:
    content = str(text.get("content", ""))
    return content if text.get("tag") == "plain_text" else seen(content)
