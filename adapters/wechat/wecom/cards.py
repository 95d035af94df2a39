"""Buttons and forms -> template cards.

Rules of this file (pure):
- a card cannot be taken away again, so it has no stop button: ``/stop`` does that;
- a card has one purpose: with a form it has no buttons beside it;
- labels are cut to what a button shows; what goes beyond the platform's numbers is left out;
- a form with a field to write in cannot be a card: the text says what is asked.

Source: developer.work.weixin.qq.com/document/path/101032 (template cards); npm @wecom/aibot-node-sdk 1.0.7 (types).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from bridge.model import Button, Field, Form

Card = dict[str, Any]

BUTTONS_MOST = 6
LINKS_MOST = 3
MENUS_MOST = 3
OPTIONS_MOST = 10
OPTION_MOST = 128
"""Bytes of the value of an option."""
LABEL_MOST = 10
"""Characters of a button or an option."""
TITLE_MOST = 26
MENU_TITLE_MOST = 13
LINK_MOST = 13

_TITLES = {"good": "评价 · Rate", "bad": "评价 · Rate", "retry": "评价 · Rate"}
_CHOOSE = "请选择 · Choose"
_LINKS = "链接 · Links"
_SUBMIT = "提交"
_DONE = "已选择"
_SENT = "已提交"
DONE_KEY = "done"
"""Of the button that shows what was chosen: it means nothing to the bridge."""
_STYLES = {"choice": 1, "good": 1, "bad": 2, "retry": 3, "suggest": 4}
_ADDRESS = re.compile(r"https?://[^\s/]", re.IGNORECASE)


def card(task_id: str, buttons: Sequence[Button], form: Form | None) -> Card | None:
    """The card; None when nothing of it can be shown. ``task_id`` (letters, digits, at most 128) comes back with a
    press."""
    if form is not None:
        return _form(task_id, form)
    keys = {button.key: button for button in buttons if button.role not in ("stop", "link")}
    pressable = list(keys.values())[:BUTTONS_MOST]
    links = [b for b in buttons if b.role == "link" and _ADDRESS.match(b.key)][:LINKS_MOST]
    jumps = [{"type": 1, "title": _cut(link.label, LINK_MOST), "url": link.key} for link in links]
    if pressable:
        made: Card = {
            "card_type": "button_interaction",
            "main_title": {"title": _TITLES.get(pressable[0].role, _CHOOSE)},
            "button_list": [_button(button) for button in pressable],
            "task_id": task_id,
        }
        return made | {"jump_list": jumps} if jumps else made
    if not jumps:
        return None
    return {
        "card_type": "text_notice",
        "main_title": {"title": _LINKS},
        "jump_list": jumps,
        "card_action": {"type": 1, "url": links[0].key},  # such a card must lead somewhere as a whole
        "task_id": task_id,
    }


def pressed(card_type: str, task_id: str, label: str = "") -> Card:
    """The card after a press, in the place of one of ``card_type``: it shows what was chosen and asks no more.

    A card of buttons stands for any type: a notice would have to lead somewhere, and menus would need their options.
    """
    title = f"{_DONE} · {label}" if label else _DONE
    return {
        "card_type": "button_interaction",
        "main_title": {"title": _cut(_SENT if card_type == "multiple_interaction" else title, TITLE_MOST)},
        "button_list": [{"text": _cut(label or _DONE, LABEL_MOST), "style": 4, "key": DONE_KEY}],
        "task_id": task_id,
    }


def _button(button: Button) -> dict[str, Any]:
    return {"text": _cut(button.label, LABEL_MOST), "style": _STYLES.get(button.role, 1), "key": button.key}


def _form(task_id: str, form: Form) -> Card | None:
    if not 0 < len(form.fields) <= MENUS_MOST or not all(map(_is_menu, form.fields)):
        return None
    return {
        "card_type": "multiple_interaction",
        "main_title": {"title": _cut(form.title, TITLE_MOST) or _CHOOSE},
        "select_list": [_menu(field) for field in form.fields],
        "submit_button": {"text": _SUBMIT, "key": form.key},
        "task_id": task_id,
    }


def _is_menu(field: Field) -> bool:
    values = [value for _, value in field.options]
    return (
        field.kind == "select"
        and 0 < len(values) <= OPTIONS_MOST
        and len(set(values)) == len(values)
        and all(value and len(value.encode(errors="replace")) <= OPTION_MOST for value in values)
    )


def _menu(field: Field) -> dict[str, Any]:
    menu: dict[str, Any] = {
        "question_key": field.key,
        "title": _cut(field.label, MENU_TITLE_MOST),
        "option_list": [{"id": value, "text": _cut(label or value, LABEL_MOST)} for label, value in field.options],
    }
    if any(value == field.default for _, value in field.options):
        menu["selected_id"] = field.default
    return menu


def _cut(text: str, most: int) -> str:
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 1] + "…"
