"""A Form -> the form container of a card.

Rules of this file (pure): the name of an input is the key of its field, and what is filled in comes back under it; an
input has its label above it. A name, a value of a menu and a text that the platform would refuse are left out or cut.

Source: Card JSON 2.0: form container (at the root of the card only), input, single-select menu.
"""

from __future__ import annotations

import logging
from typing import Any

from adapters.feishu.plain import clean, plain
from bridge.model import Field, Form

log = logging.getLogger(__name__)

Element = dict[str, Any]

INPUT_MOST = 1000
"""Characters that can be filled in."""
OPTIONS_MOST = 90
"""Of all menus of a form: each is an element, of which a card bears 200."""

_TYPES = {"paragraph": "multiline_text", "password": "password"}
"""Kinds of a field -> input types that are not ``text``."""


def form_element(form: Form, submit: dict[str, Any]) -> Element:
    """The form, with a button whose behavior is ``submit``."""
    fields = {field.key: field for field in form.fields}
    menus = sum(bool(field.options) for field in fields.values())
    elements = [_words(form.title)] if form.title else []
    for field in fields.values():
        elements += _menu(field, OPTIONS_MOST // menus) if field.options else [_input(field)]
    elements.append(
        {
            "tag": "button",
            "name": _free("submit", fields),
            "type": "primary",
            "text": plain("提交 · Submit"),
            "form_action_type": "submit",
            "behaviors": [submit],
        }
    )
    return {"tag": "form", "name": _free("form", fields), "elements": elements}


def _input(field: Field) -> Element:
    most = INPUT_MOST if field.most is None or field.kind == "number" else max(1, min(INPUT_MOST, int(field.most)))
    element: Element = {
        "tag": "input",
        "name": field.key,
        "label": plain(field.label),
        "required": field.required,
        "max_length": most,
        "width": "fill",
    }
    if field.kind in _TYPES:
        element["input_type"] = _TYPES[field.kind]
    if field.kind == "paragraph":
        element |= {"rows": 3, "auto_resize": True}
    if field.default:
        element["default_value"] = clean(field.default[:most])
    return element


def _menu(field: Field, most: int) -> list[Element]:
    """A menu has no label of its own."""
    options: dict[str, str] = {}
    for label, value in field.options:
        options.setdefault(value, label or value)
    values = list(options)
    if len(values) > most:
        log.warning("%d options are left out: a card bears no more", len(values) - most)
        del values[most:]
    element: Element = {
        "tag": "select_static",
        "name": field.key,
        "required": field.required,
        "placeholder": plain("请选择 · Choose"),
        "width": "fill",
        "options": [{"text": plain(options[value]), "value": value} for value in values],
    }
    if field.default in values:
        element["initial_index"] = values.index(field.default) + 1
    return [_words(field.label), element]


def _words(text: str) -> Element:
    return {"tag": "div", "text": plain(text)}


def _free(name: str, taken: dict[str, Field]) -> str:
    """Names are unique in a card."""
    while name in taken:
        name += "_"
    return name
