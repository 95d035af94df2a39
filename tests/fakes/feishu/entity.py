"""A card as the platform holds it: made from JSON, laid anew, switched; of CardKit or of one message.

Rules of this file: a card is checked before it is kept; failures are ``BadCard``, which each call words its own way.

Source: fact sheet 3.1.
"""

from __future__ import annotations

from typing import Any

import msgspec

from tests.fakes.feishu.cardschema import BadCard, World, check_card
from tests.fakes.feishu.rules import CARD_BYTES, Json, Refused
from tests.fakes.feishu.state import State
from tests.fakes.feishu.things import Card


def world_of(state: State) -> World:
    """What a card may refer to here."""
    images = frozenset(key for key, file in state.files.items() if file.kind == "image")
    people = frozenset(state.people) | {state.open_id}
    return World(images, people, state.at_all_allowed, state.tables_most, state.tables_in_one)


def new_card(state: State, text: str, card_id: str = "") -> Card:
    """A card of this JSON string. Raises BadCard."""
    card = Card({}, state.clock.now(), card_id)
    lay(state, card, text)
    return card


def lay(state: State, card: Card, text: str) -> None:
    """Replace the whole JSON of a card; streaming is then what the new config says. Raises BadCard."""
    if len(text.encode()) > CARD_BYTES:
        raise BadCard(200860, "card content exceeds the limit of 30 KB")
    data = decoded(text)
    check_card(data, world_of(state))
    card.data = data
    now = state.clock.now()
    if not data.get("config", {}).get("streaming_mode"):
        card.streaming_since = None
    elif not card.streams(now):
        card.streaming_since = now


def decoded(text: str) -> Any:
    """Raises BadCard when the string is no JSON."""
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise BadCard(300315, f"parse card json err: {error}") from None


def switch(state: State, card: Card, config: Json) -> None:
    """Merge a config into the card's; ``streaming_mode`` true starts the ten minutes anew."""
    card.data.setdefault("config", {}).update(config)
    if "streaming_mode" in config:
        card.streaming_since = state.clock.now() if config["streaming_mode"] else None


def refusal(state: State, bad: BadCard) -> Refused:
    """How CardKit's own calls word a bad card."""
    if bad.code == 11310:
        return Refused(state.table_code, f"ErrCode: 11310; ErrMsg: {bad.msg}; ErrorValue: table number over limit; ")
    return Refused(bad.code, bad.msg)
