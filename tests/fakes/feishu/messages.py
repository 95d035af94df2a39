"""im/v1/messages: what the bot changes, withdraws, reacts to and reads (``sending`` is apart).

Rules of this file:
- the content of a message is checked as the platform does; a bad card becomes 230099 with CardKit's code in the text;
- the first thing a call meets is the message: 230011 when it is unknown or withdrawn, 231003 for changing a withdrawn
  one.

Source: fact sheet 3.2, 3.3 and 4.
"""

from __future__ import annotations

from typing import Any

import msgspec

from tests.fakes.feishu.cardschema import BadCard
from tests.fakes.feishu.content import check_content
from tests.fakes.feishu.entity import decoded, lay
from tests.fakes.feishu.rules import (
    CARD_BYTES,
    CARD_LIFE,
    Json,
    Refused,
    new_id,
    text_of,
)
from tests.fakes.feishu.state import State
from tests.fakes.feishu.things import Card, Message

EDITS_MOST = 20
PATCHES = ((5, 1.0),)
"""Updates of one message card."""
OLD_CLIENT = '{"title":"","elements":[[{"tag":"text","text":"请升级至最新版本客户端，以查看内容"}]]}'
"""What GET gives for a card 2.0: its content is not returned."""
RECALLED = "The message was withdrawn."


# ------------------------------------------------------------------ changing


def patch(state: State, request: Any) -> Json:
    """PATCH /messages/{message_id}: the card of a message, not of an entity."""
    message = _own(state, request, 231003)
    if message.card is None:
        raise Refused(230001, "Your request contains an invalid request parameter, ext=This message is NOT a card.")
    if message.card.card_id:
        raise Refused(230099, "Failed to create card content, ext=ErrMsg: the card was sent by card_id; ")
    if state.clock.now() - message.created > CARD_LIFE:
        raise Refused(230031, "The card sent is past its validity period.")
    if message.changes.spend(PATCHES, state.clock.now()):
        raise Refused(230020, "This operation triggers the frequency limit.")
    if not _shared(message.card):
        raise Refused(230099, "Failed to create card content, ext=ErrMsg: update_multi is not true; ")
    content = text_of(request.body, "content")
    if len(content.encode()) > CARD_BYTES:
        raise Refused(230025, "The length of the message content reaches its limit.")
    try:
        if decoded(content).get("schema") == "2.0":
            lay(state, message.card, content)
        elif message.card.data.get("schema") == "2.0":
            raise BadCard(200830, "a card of JSON 2.0 cannot become one of 1.0")
        else:
            message.card.data = decoded(content)
    except BadCard as bad:
        raise bad_card(bad) from None
    message.updated = state.clock.now()
    return {"data": {}}


def _shared(card: Card) -> bool:
    """Is it one card for all who see it? In 2.0 unless denied, in 1.0 only when said."""
    shared = card.data.get("config", {}).get("update_multi", card.data.get("schema") == "2.0")
    return bool(shared)


def edit(state: State, request: Any) -> Json:
    """PUT /messages/{message_id}: a text or a post."""
    message = _own(state, request, 231003)
    kind = text_of(request.body, "msg_type")
    if kind not in ("text", "post") or message.msg_type not in ("text", "post"):
        raise Refused(230054, "This operation is not supported for this message type.")
    if message.edits >= EDITS_MOST:
        raise Refused(230072, "The message has reached the number of times it can be edited.")
    content = text_of(request.body, "content")
    check_content(state, kind, content)
    message.msg_type, message.content = kind, content
    message.edits += 1
    message.updated = state.clock.now()
    return {"data": shown(state, message)}


def delete(state: State, request: Any) -> Json:
    """DELETE /messages/{message_id}"""
    _own(state, request, 230011).deleted = True
    return {"data": {}}


def react(state: State, request: Any) -> Json:
    """POST /messages/{message_id}/reactions"""
    message = found(state, request, 230011)
    emoji = (request.body.get("reaction_type") or {}).get("emoji_type")
    if not isinstance(emoji, str) or not emoji:
        raise Refused(231001, "reaction type is invalid.")
    reaction_id = new_id("")
    message.reactions[reaction_id] = (emoji, True)
    return {"data": {"reaction_id": reaction_id, "reaction_type": {"emoji_type": emoji}}}


def unreact(state: State, request: Any) -> Json:
    """DELETE /messages/{message_id}/reactions/{reaction_id}"""
    message = found(state, request, 230011)
    if message.reactions.pop(request.parts["reaction_id"], None) is None:
        raise Refused(231010, "reaction id is invalid.")
    return {"data": {}}


# ------------------------------------------------------------------ reading


def get(state: State, request: Any) -> Json:
    """GET /messages/{message_id}; of a merge_forward with the messages in it."""
    message = state.messages.get(request.parts["message_id"])
    if message is None:
        raise Refused(230011, RECALLED)
    if not state.chats[message.chat_id].member:
        raise Refused(230002, "The bot can not be outside the group.")
    return {"data": {"items": [shown(state, message), *message.children]}}


def shown(state: State, message: Message) -> Json:
    """A message as the calls give it; empty ids are absent."""
    content = OLD_CLIENT if message.card is not None else message.content
    item: Json = {
        "message_id": message.message_id,
        "root_id": message.root_id,
        "parent_id": message.parent_id,
        "thread_id": message.thread_id,
        "msg_type": message.msg_type,
        "create_time": str(int(message.created * 1000)),
        "update_time": str(int((message.updated or message.created) * 1000)),
        "deleted": message.deleted,
        "updated": bool(message.updated),
        "chat_id": message.chat_id,
        "sender": _sender(state, message),
        "body": {"content": RECALLED if message.deleted else content},
        "mentions": [{**one, "id": one["id"]["open_id"], "id_type": "open_id"} for one in message.mentions],
    }
    return {name: value for name, value in item.items() if value not in ("", [])}


def _sender(state: State, message: Message) -> Json:
    who = {"id": message.sender, "id_type": "open_id", "sender_type": "user"}
    app = {"id": state.app_id, "id_type": "app_id", "sender_type": "app"}
    return {**(who if message.sender else app), "tenant_key": "2ca1d211f64f6438"}


def found(state: State, request: Any, recalled: int) -> Message:
    """The message of a call. Raises Refused: unknown, ``recalled`` for one that was withdrawn."""
    message = state.messages.get(request.parts["message_id"])
    if message is None:
        raise Refused(230011, RECALLED)
    if message.deleted:
        raise Refused(recalled, RECALLED)
    return message


def bad_card(bad: BadCard) -> Refused:
    """How the message calls word a bad card."""
    # Seen in users' reports: 200621 for a property, 200861 for a tag, where CardKit's own calls say 300315.
    code = bad.code if bad.code != 300315 else 200861 if bad.msg.startswith("unsupported tag") else 200621
    words = f"Failed to create card content, ext=ErrCode: {code}; ErrMsg: {bad.msg}; ErrorValue: ; "
    return Refused(230099, words)


def _own(state: State, request: Any, recalled: int) -> Message:
    message = found(state, request, recalled)
    if message.sender:
        raise Refused(230071, "The operator is not the sender of the message.")
    return message


def text_content(text: str) -> str:
    """The content of a text message."""
    return msgspec.json.encode({"text": text}).decode()
