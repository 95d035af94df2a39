"""Buttons under a message, and the words of the choices that are too long for one.

Rules of this file (pure):
- a choice has a row of its own. When a phone would cut one of them, all become numbers, and a list under the text says
  what they stand for;
- the ratings of an answer share the last row;
- a button that Telegram would refuse is left out: it would refuse the message with it.

Source: Bot API 10, InlineKeyboardButton. That a message bears a hundred buttons is not documented.
"""

from __future__ import annotations

import logging
import re

from adapters.telegram.render import head, utf16_len
from bridge.model import Button

log = logging.getLogger(__name__)

Rows = list[list[dict[str, str]]]

MOST = 100
DATA_MOST = 64
"""Bytes of callback_data."""
LABEL_MOST = 64
"""Bytes of a label that a phone shows whole: about 21 Chinese characters."""
NUMBERS = 5
"""Numbered choices a row."""
LINE_LEAST = 16
"""Units of a line of the list that still tell one choice from another."""

_CHOICES = ("choice", "suggest")
_RATINGS = ("good", "bad", "retry")
_ADDRESS = re.compile(r"(?:https?|tg)://[^\s/]", re.IGNORECASE)


def keyboard(buttons: tuple[Button, ...], room: int) -> tuple[str, Rows]:
    """The list that belongs under the text, in ``room`` UTF-16 units (empty = none), and the rows of buttons."""
    usable = [button for button in buttons if _usable(button)]
    if len(usable) > MOST:
        log.warning("%d buttons are left out: a message bears %d", len(usable) - MOST, MOST)
        del usable[MOST:]
    choices = [button for button in usable if button.role in _CHOICES]
    legend = _legend([button.label for button in choices], room)
    if legend:
        numbers = [_button(button, str(number)) for number, button in enumerate(choices, 1)]
        rows = [numbers[start : start + NUMBERS] for start in range(0, len(numbers), NUMBERS)]
    else:
        rows = [[_button(button, button.label)] for button in choices]
    rows += [[_button(button, button.label)] for button in usable if button.role not in _CHOICES + _RATINGS]
    ratings = [_button(button, button.label) for button in usable if button.role in _RATINGS]
    return legend, [*rows, ratings] if ratings else rows


def _usable(button: Button) -> bool:
    link = button.role == "link"
    fine = bool(_ADDRESS.match(button.key)) if link else 0 < len(button.key.encode()) <= DATA_MOST
    if not fine:
        log.warning("a %s button is left out: Telegram would refuse its %s", button.role, "address" if link else "key")
    return fine


def _legend(labels: list[str], room: int) -> str:
    """The numbered labels, a line each; empty when they fit on their buttons, or when there is no room to tell them
    apart."""
    if all(len(label.encode()) <= LABEL_MOST for label in labels):
        return ""
    lines = [f"{number}. {' '.join(label.split())}" for number, label in enumerate(labels, 1)]
    whole = "\n".join(lines)
    if utf16_len(whole) <= room:
        return whole
    share = (room + 1) // len(lines) - 1
    return "\n".join(head(line, share) for line in lines) if share >= LINE_LEAST else ""


def _button(button: Button, label: str) -> dict[str, str]:
    data = label.encode()
    if len(data) > LABEL_MOST:
        label = data[: LABEL_MOST - 3].decode(errors="ignore") + "…"
    return {"text": label.strip() or "…", "url" if button.role == "link" else "callback_data": button.key}
