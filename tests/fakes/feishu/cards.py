"""CardKit: cards as entities, and the operations on them.

Rules of this file:
- an operation is checked in this order: the card, its age, a repeated uuid, the sequence, a press in progress, the
  rate, and at last what it says; one that fails changes nothing and uses up no sequence;
- ``sequence`` rises strictly over all operations of a card, whatever they are;
- streaming closes ten minutes after it was last switched on: the first ``content`` after that gets 200850, those after
  it 300309, until ``settings`` switch it on again.

Source: fact sheet 3.1 and 6.4.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from tests.fakes.feishu import cardedit
from tests.fakes.feishu.cardschema import BadCard
from tests.fakes.feishu.entity import decoded, lay, new_card, refusal, world_of
from tests.fakes.feishu.rules import CARD_LIFE, Json, Refused, invalid, optional_text, text_of, too_often
from tests.fakes.feishu.state import State
from tests.fakes.feishu.things import Card, Operation

# ------------------------------------------------------------------ calls


def create(state: State, request: Any) -> Json:
    """POST /cards"""
    if text_of(request.body, "type") != "card_json":
        raise invalid("type is card_json (templates are not part of this platform)")
    try:
        card = new_card(state, text_of(request.body, "data"), state.new_number())
    except BadCard as bad:
        raise refusal(state, bad) from None
    state.cards[card.card_id] = card
    return {"data": {"card_id": card.card_id}}


def replace(state: State, request: Any) -> Json:
    """PUT /cards/{card_id}"""
    given = request.body.get("card")
    if not isinstance(given, dict) or given.get("type") != "card_json":
        raise invalid("card is required")
    return _operate(state, request, "card", lambda card: lay(state, card, text_of(given, "data")))


def settings(state: State, request: Any) -> Json:
    """PATCH /cards/{card_id}/settings"""
    text = text_of(request.body, "settings")
    return _operate(state, request, "settings", lambda card: cardedit.change_settings(state, card, decoded(text)))


def content(state: State, request: Any) -> Json:
    """PUT /cards/{card_id}/elements/{element_id}/content: the full text of one markdown or plain_text."""
    text = text_of(request.body, "content", 100_000)

    def stream(card: Card) -> None:
        if card.streaming_since is None:
            raise BadCard(300309, "streaming mode is closed")
        if not card.streams(state.clock.now()):
            card.streaming_since = None
            card.data["config"]["streaming_mode"] = False
            raise BadCard(200850, "card streaming timeout")
        cardedit.write(card, request.parts["element_id"], text, world_of(state))

    return _operate(state, request, "content", stream, text)


def add_elements(state: State, request: Any) -> Json:
    """POST /cards/{card_id}/elements"""
    return _edit(state, request, "add_elements", request.body)


def update_element(state: State, request: Any) -> Json:
    """PUT /cards/{card_id}/elements/{element_id}"""
    return _edit(state, request, "update_element", {**request.body, **request.parts})


def patch_element(state: State, request: Any) -> Json:
    """PATCH /cards/{card_id}/elements/{element_id}"""
    return _edit(state, request, "partial_update_element", {**request.body, **request.parts})


def delete_element(state: State, request: Any) -> Json:
    """DELETE /cards/{card_id}/elements/{element_id}"""
    return _edit(state, request, "delete_elements", {"element_ids": [request.parts["element_id"]]})


def batch_update(state: State, request: Any) -> Json:
    """POST /cards/{card_id}/batch_update: several changes, or none."""
    actions = decoded_list(text_of(request.body, "actions"))

    def change(card: Card) -> None:
        for action in actions:
            cardedit.change(state, card, action.get("action"), action.get("params") or {})

    return _operate(state, request, "batch_update", lambda card: cardedit.atomically(state, card, change))


def decoded_list(text: str) -> list[Json]:
    try:
        return msgspec.json.decode(text, type=list[Json])
    except msgspec.DecodeError as error:
        raise invalid(f"actions: {error}") from None


# ------------------------------------------------------------------ rules of all operations


def _edit(state: State, request: Any, action: str, params: Json) -> Json:
    def change(card: Card) -> None:
        cardedit.change(state, card, action, params)

    return _operate(state, request, action, lambda card: cardedit.atomically(state, card, change))


def _operate(state: State, request: Any, kind: str, change: Callable[[Card], None], text: str = "") -> Json:
    card = state.cards.get(request.parts["card_id"])
    if card is None:
        raise Refused(200740, "card entity does not exist")
    sequence = request.body.get("sequence")
    if not isinstance(sequence, int) or isinstance(sequence, bool) or not 0 < sequence < 2**31:
        raise invalid("sequence is a positive int32")
    try:
        repeated = _admit(state, card, request.body, sequence)
        if not repeated:
            change(card)
    except BadCard as bad:
        _note(state, card, kind, sequence, bad.code, text)
        raise refusal(state, bad) from None
    except Refused as refused:
        _note(state, card, kind, sequence, refused.code, text)
        raise
    if not repeated:
        card.sequence = sequence
        if uuid := optional_text(request.body, "uuid", 64):
            card.uuids[uuid] = request.body
        _note(state, card, kind, sequence, 0, text)
    return {"data": {}}


def _admit(state: State, card: Card, body: Json, sequence: int) -> bool:
    """May the operation be carried out? True when it was already: the same uuid with the same body.

    The pages say that ``uuid`` makes an operation idempotent and that a conflict is 200770, not what conflicts: here
    it is the same uuid with another body.
    """
    if state.clock.now() - card.created > CARD_LIFE:
        raise Refused(200750, "card entity has expired")
    earlier = card.uuids.get(optional_text(body, "uuid", 64))
    if earlier is not None:
        if earlier == body:
            return True
        raise Refused(200770, "uuid conflict")
    if sequence <= card.sequence:
        raise Refused(300317, f"sequence number compare failed: {sequence} is not above {card.sequence}")
    if card.interacting and state.press_blocks:
        raise Refused(200810, "the card is in user interaction")
    if not (card.streams(state.clock.now()) and state.streaming_exempt) and state.card_limits:
        left = card.window.spend(state.card_limits, state.clock.now())
        if left:
            raise too_often(left, state.limited_status)
    return False


def _note(state: State, card: Card, kind: str, sequence: int, code: int, text: str) -> None:
    card.operations.append(Operation(state.clock.now(), kind, sequence, code, text))
