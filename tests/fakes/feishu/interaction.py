"""A press on a card: what the client sends, what the app may answer, and the update that may come later.

Rules of this file:
- the answer to a press is checked as the platform checks it; what is wrong with it is the code the user sees;
- a card that streams is not changed by an answer: streaming must be closed first.

Source: fact sheet 3.1 and 3.5.
"""

from __future__ import annotations

from typing import Any

import msgspec

from tests.fakes.feishu.cardschema import BadCard
from tests.fakes.feishu.entity import lay, refusal
from tests.fakes.feishu.rules import CARD_LIFE, Json, Refused, invalid, text_of
from tests.fakes.feishu.state import State
from tests.fakes.feishu.things import Message

TIMEOUT = 3.0
"""Seconds in which a press must be answered; there is no second try."""
NOT_SUBSCRIBED, TIMED_OUT, FAILED, BAD_SHAPE, BAD_CARD = 200340, 200341, 200671, 200672, 200673
TOASTS = frozenset({"info", "success", "error", "warning"})
LATER, LATER_TIMES = 1800.0, 2
"""Seconds in which a delayed update is taken, and how many."""


class Pressed(msgspec.Struct, frozen=True):
    """What came of a press, for the person who pressed."""

    code: int = 0
    """What the client shows instead of a toast: 0, or 200340 and its like."""
    toast: str = ""
    toast_type: str = ""
    updated: bool = False
    """The answer changed the card."""
    token: str = ""
    """For a delayed update."""
    event_id: str = ""
    answer: Json = {}


def settle(state: State, message: Message, code: int, answer: Any, token: str, event_id: str) -> Pressed:
    """Apply what the app answered to a press."""
    card = message.card
    assert card is not None
    now = state.clock.now()
    if code != 200:
        return Pressed(FAILED, token=token, event_id=event_id)
    state.presses[token] = (now + LATER, LATER_TIMES, message.message_id)
    answer = {} if answer is None else answer
    if not _well_formed(answer):
        return Pressed(BAD_SHAPE, token=token, event_id=event_id)
    wrong, updated = 0, False
    if "card" in answer:
        wrong = BAD_CARD if card.streams(now) else _update(state, message, answer["card"])
        updated = not wrong
    toast = answer.get("toast", {})
    words, kind = str(toast.get("content", "")), str(toast.get("type", "info" if toast else ""))
    return Pressed(wrong, words, kind, updated, token, event_id, answer)


def _well_formed(answer: Any) -> bool:
    if not isinstance(answer, dict) or not set(answer) <= {"toast", "card"}:
        return False
    toast = answer.get("toast", {})
    return (
        isinstance(toast, dict)
        and set(toast) <= {"type", "content", "i18n"}
        and toast.get("type", "info") in TOASTS
        and isinstance(toast.get("content", ""), str)
    )


def _update(state: State, message: Message, given: Any) -> int:
    """Lay the card of an answer; 0, or the code for a bad one."""
    assert message.card is not None
    if not isinstance(given, dict) or given.get("type") != "raw" or not isinstance(given.get("data"), dict):
        return BAD_CARD
    try:
        lay(state, message.card, msgspec.json.encode(given["data"]).decode())
    except BadCard:
        return BAD_CARD
    return 0


def delayed_update(state: State, request: Any) -> Json:
    """POST /interactive/v1/card/update: within 30 minutes of the press, twice at most, and only after its answer.

    Its codes are not in the fact sheet; 300090 (bad token) and the card's own stand here.
    """
    token = text_of(request.body, "token")
    until, left, message_id = state.presses.get(token, (0.0, 0, ""))
    if until <= state.clock.now() or left <= 0:
        raise Refused(300090, "token is invalid, expired, used up, or its press is not answered yet")
    card = state.messages[message_id].card
    given = request.body.get("card")
    if not isinstance(given, dict):
        raise invalid("card is required")
    assert card is not None
    if state.clock.now() - card.created > CARD_LIFE:
        raise Refused(200750, "card entity has expired")
    try:
        lay(state, card, msgspec.json.encode(given).decode())
    except BadCard as bad:
        raise refusal(state, bad) from None
    state.presses[token] = (until, left - 1, message_id)
    return {}
