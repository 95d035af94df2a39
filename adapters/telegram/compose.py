"""A Show -> what sendMessage, editMessageText and sendMessageDraft have in common.

Rules of this file (pure):
- from top to bottom: the reasoning in a folded quote, the text or the status, the list of choices, the buttons;
- the text has been measured by ``render.fits``, so what is cut to size is the rest: first the reasoning, from its
  beginning, then the words of the choices;
- plain means that Telegram has refused something here: it gets neither entities nor addresses of buttons, and the
  reasoning, which could not be folded, stays out.
"""

from __future__ import annotations

from typing import Any

from adapters.telegram.keyboard import keyboard
from adapters.telegram.render import LIMIT, MAX_ENTITIES, Entity, folded, head, joined, render, tail, utf16_len
from bridge.model import Show

THINKING_LEAST = 32
"""Units of reasoning worth a quote of its own, when it has to be cut."""
_GAP = 2
"""Units between two blocks: a blank line."""


def composed(op: Show) -> dict[str, Any] | None:
    """``text``, ``entities`` and ``reply_markup`` as the Bot API wants them; None when there is nothing to show."""
    text, marks = render(op.text) if op.text else (head(op.status, LIMIT), [])
    text = text or head(op.text, LIMIT)  # Markdown that shows nothing, such as a link definition
    thinking = "" if op.plain or (op.final and not text) else op.thinking.strip()
    if not text and not thinking:
        return None
    buttons = tuple(button for button in op.buttons if button.role != "link") if op.plain else op.buttons
    legend, rows = keyboard(buttons, LIMIT - utf16_len(text) - _GAP)
    text, marks = joined((text, marks), (legend, []))
    if len(marks) < MAX_ENTITIES:
        text, marks = joined(folded(_thinking(thinking, LIMIT - utf16_len(text) - _GAP)), (text, marks))
    body: dict[str, Any] = {"text": text}
    if marks and not op.plain:
        body["entities"] = [as_json(mark) for mark in marks]
    if rows:
        body["reply_markup"] = {"inline_keyboard": rows}
    return body


def _thinking(text: str, room: int) -> str:
    return text if utf16_len(text) <= room else tail(text, room) if room >= THINKING_LEAST else ""


def as_json(entity: Entity) -> dict[str, Any]:
    value: dict[str, Any] = {"type": entity.type, "offset": entity.offset, "length": entity.length}
    if entity.url:
        value["url"] = entity.url
    if entity.language:
        value["language"] = entity.language
    return value
