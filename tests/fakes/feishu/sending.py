"""im/v1/messages, the sending half: create and reply.

Rules of this file:
- a uuid that was used within the hour gives the first message again, whatever else the call says;
- a card is sent by card_id, once, or as the content of the message itself; a bad one is 230099 with CardKit's code in
  the text.

Source: fact sheet 3.1 and 4.
"""

from __future__ import annotations

from typing import Any

from tests.fakes.feishu.cardschema import BadCard
from tests.fakes.feishu.content import check_content
from tests.fakes.feishu.entity import decoded, new_card
from tests.fakes.feishu.messages import bad_card, found, shown
from tests.fakes.feishu.rules import (
    CARD_BYTES,
    CARD_LIFE,
    UUID_MEMORY,
    Json,
    Refused,
    invalid,
    new_id,
    optional_text,
    text_of,
)
from tests.fakes.feishu.state import State
from tests.fakes.feishu.things import Card, Chat, Message


def create(state: State, request: Any) -> Json:
    """POST /messages?receive_id_type=chat_id|open_id"""
    target = text_of(request.body, "receive_id")
    match request.query.get("receive_id_type"):
        case "chat_id":
            chat = state.chats.get(target)
        case "open_id":
            chat = state.chats[state.p2p(target)] if target in state.people else None
        case other:
            raise invalid(f"receive_id_type {other}")
    if chat is None:
        raise Refused(230001, "Your request contains an invalid request parameter, ext=invalid receive_id")
    return _send(state, request.body, chat, None)


def reply(state: State, request: Any) -> Json:
    """POST /messages/{message_id}/reply"""
    target = found(state, request, 230011)
    return _send(state, request.body, state.chats[target.chat_id], target)


def _send(state: State, body: Json, chat: Chat, target: Message | None) -> Json:
    uuid = optional_text(body, "uuid", 50)
    when, first = state.uuids.get(uuid, (0.0, ""))
    if uuid and state.clock.now() - when < UUID_MEMORY:
        return {"data": shown(state, state.messages[first])}
    if not chat.member:
        raise Refused(230002, "The bot can not be outside the group.")
    if state.spend(f"chat {chat.chat_id}", state.chat_limits):
        raise Refused(230020, "This operation triggers the frequency limit.")
    kind, content = text_of(body, "msg_type"), text_of(body, "content")
    message = Message(new_id("om_"), chat.chat_id, kind, content, "", state.clock.now())
    if target is not None:
        message.parent_id, message.root_id = target.message_id, target.root_id or target.message_id
        message.thread_id = target.thread_id
        if body.get("reply_in_thread") and not message.thread_id:
            message.thread_id = _thread(state, target)
    elif chat.kind == "topic":
        message.thread_id = _thread(state, message)
    if kind == "interactive":
        message.card = _card(state, content)
        message.card.message_id = message.message_id
    else:
        check_content(state, kind, content)
    state.messages[message.message_id] = message
    if uuid:
        state.uuids[uuid] = (state.clock.now(), message.message_id)
    return {"data": shown(state, message)}


def _thread(state: State, root: Message) -> str:
    thread_id = new_id("omt_")
    state.threads[thread_id] = root.message_id
    root.thread_id = thread_id
    return thread_id


def _card(state: State, content: str) -> Card:
    """The card of a message: an entity that nobody has sent yet, or a card of its own."""
    if len(content.encode()) > CARD_BYTES:
        raise Refused(230025, "The length of the message content reaches its limit.")
    try:
        data = decoded(content)
        if not isinstance(data, dict):
            raise BadCard(300315, "a card is an object")
        if data.get("type") == "card":
            return _entity(state, str(data.get("data", {}).get("card_id")))
        if data.get("schema") == "2.0":
            return new_card(state, content)
    except BadCard as bad:
        raise bad_card(bad) from None
    card = Card(data, state.clock.now())
    if "elements" not in data:
        raise bad_card(BadCard(200621, "parse card json err: no elements"))
    return card


def _entity(state: State, card_id: str) -> Card:
    card = state.cards.get(card_id)
    if card is None:
        raise BadCard(200740, "card entity does not exist")
    if state.clock.now() - card.created > CARD_LIFE:
        raise BadCard(200750, "card entity has expired")
    if card.message_id:
        # The pages say "sendable once" and name no code; 200780 stands for it here.
        raise BadCard(200780, "card entity has been sent already")
    return card
