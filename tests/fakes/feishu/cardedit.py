"""Changes inside a card: its text, its elements, its settings.

Rules of this file: a change is made on the card's JSON and checked after it; ``atomically`` undoes one that fails.
Nothing here knows of sequences and rates, they are the business of ``cards``.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from tests.fakes.feishu.cardschema import BadCard, World, check_card, walk, whole
from tests.fakes.feishu.entity import switch, world_of
from tests.fakes.feishu.rules import CARD_BYTES, Json
from tests.fakes.feishu.state import State
from tests.fakes.feishu.things import Card

Place = tuple[list[Json], int]
"""A list of elements and the position of one in it."""


def write(card: Card, element_id: str, text: str, world: World) -> None:
    """Put a text into an element. Raises BadCard: no such element, or one without text; too big; bad content."""
    target = next((one for one in walk(card.data) if one.get("element_id") == element_id), None)
    if target is None:
        raise BadCard(300313, f"element {element_id} does not exist")
    if target["tag"] not in ("markdown", "plain_text"):
        raise BadCard(300315, f"{target['tag']} has no text that streams")
    before = target["content"]
    target["content"] = text
    try:
        _weigh(card.data)
        whole(card.data, world)
    except BadCard:
        target["content"] = before
        raise


def change_settings(state: State, card: Card, given: Any) -> None:
    """``{"config": {…}, "card_link": {…}}``, merged into the card. Raises BadCard."""
    if not isinstance(given, dict) or not set(given) <= {"config", "card_link"}:
        raise BadCard(300315, "settings have config and card_link")
    config = given.get("config") or {}
    check_card({"schema": "2.0", "config": config}, World(frozenset(), frozenset()))
    switch(state, card, config)
    if "card_link" in given:
        card.data["card_link"] = given["card_link"]


def change(state: State, card: Card, action: Any, params: Json) -> None:
    """One action of batch_update, or the call of its own with the same meaning. Raises BadCard."""
    match action:
        case "partial_update_setting":
            change_settings(state, card, _json(params.get("settings")))
        case "add_elements":
            _add(card, params)
        case "update_element":
            elements, at = _find(card, params.get("element_id"))
            elements[at] = _json(params.get("element"))
        case "partial_update_element":
            elements, at = _find(card, params.get("element_id"))
            elements[at].update(_json(params.get("partial_element")))
        case "delete_elements":
            for key in _json(params.get("element_ids")):
                elements, at = _find(card, key)
                del elements[at]
        case _:
            raise BadCard(300315, f"unknown action {action}")


def atomically(state: State, card: Card, changes: Callable[[Card], None]) -> None:
    """Carry the changes out and check the card they leave; on BadCard the card is as before."""
    before, since = copy.deepcopy(card.data), card.streaming_since
    try:
        changes(card)
        _weigh(card.data)
        check_card(card.data, world_of(state))
    except BadCard:
        card.data, card.streaming_since = before, since
        raise


def _weigh(data: Json) -> None:
    if len(msgspec.json.encode(data)) > CARD_BYTES:
        raise BadCard(200860, "card content exceeds the limit of 30 KB")


def _add(card: Card, params: Json) -> None:
    elements = _json(params.get("elements"))
    if not isinstance(elements, list):
        raise BadCard(300315, "elements is no list")
    kind = params.get("type")
    if kind == "append" and not params.get("target_element_id"):
        card.data.setdefault("body", {}).setdefault("elements", []).extend(elements)
        return
    siblings, at = _find(card, params.get("target_element_id"))
    if kind == "append":
        siblings[at].setdefault("elements", []).extend(elements)
    elif kind in ("insert_before", "insert_after"):
        at += kind == "insert_after"
        siblings[at:at] = elements
    else:
        raise BadCard(300315, f"unknown type {kind}")


def _find(card: Card, element_id: Any) -> Place:
    for elements in _lists(card.data):
        for at, element in enumerate(elements):
            if isinstance(element, dict) and element.get("element_id") == element_id:
                return elements, at
    raise BadCard(300313, f"element {element_id} does not exist")


def _lists(value: Any) -> Iterator[list[Json]]:
    if isinstance(value, dict):
        for inner in value.values():
            yield from _lists(inner)
    elif isinstance(value, list):
        yield value
        for inner in value:
            yield from _lists(inner)


def _json(value: Any) -> Any:
    """A parameter that is JSON, as a string (in calls of their own) or as it is (in a batch)."""
    if not isinstance(value, str):
        return value
    try:
        return msgspec.json.decode(value)
    except msgspec.DecodeError as error:
        raise BadCard(300315, f"parse json err: {error}") from None
