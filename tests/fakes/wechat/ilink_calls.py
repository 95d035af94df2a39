"""The calls of a bot that is logged in: each takes the body and gives the fields of the answer.

Rules of this file:
- the token, the headers and ``base_info`` have been checked before; what a call refuses, it refuses before it acts;
- a send is counted when it is accepted, also when the platform then loses it;
- a cursor is the number of messages before it: who sends an old one gets them again.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Awaitable, Callable

from tests.fakes.wechat.ilink_cdn import Unreadable
from tests.fakes.wechat.ilink_phone import TYPES
from tests.fakes.wechat.ilink_rules import FIELDS, STALE, TEXT, USED_UP, Json, Refused, check_message, cut, need
from tests.fakes.wechat.ilink_state import Context, Sent, State

KINDS = {number: kind for kind, number in TYPES.items()}
Call = Callable[[State, Json], Awaitable[Json]]


async def getupdates(state: State, body: Json) -> Json:
    """The messages after the cursor; held while there are none."""
    start = _position(state, body.get("get_updates_buf"))
    state.confirmed = max(state.confirmed, start)
    state.changed()
    await state.held(lambda: len(state.incoming) > start or state.expired)
    if state.expired:
        raise Refused(STALE, "session timeout")
    return {
        "msgs": state.incoming[start:],
        "get_updates_buf": base64.b64encode(str(len(state.incoming)).encode()).decode(),
        "longpolling_timeout_ms": 35_000,
    }


def _position(state: State, cursor: object) -> int:
    need(isinstance(cursor, str), "no get_updates_buf")
    try:
        position = int(base64.b64decode(str(cursor), validate=True) or b"0")
    except (binascii.Error, ValueError):
        position = -1
    need(0 <= position <= len(state.incoming), "this get_updates_buf was never given")
    return position


async def sendmessage(state: State, body: Json) -> Json:
    """A message to the user, drawn from the budget of its context."""
    msg = body.get("msg")
    check_message(msg)
    assert isinstance(msg, dict)
    if known := next((sent for sent in state.sent if sent.client_id == msg["client_id"]), None):
        if state.repeats == "known":
            return {"message_id": int(known.id)}
        if state.repeats == "refused":
            raise Refused(-3, "client_id was used before")
    context = _context(state, msg)
    if context.sends >= state.budget:
        raise Refused(USED_UP, "")
    context.sends += 1
    if state.swallowed:
        state.swallowed -= 1
        return {}
    number = next(state.ids)
    state.sent.append(_shown(state, str(number), msg))
    return {"message_id": number}


def _context(state: State, msg: Json) -> Context:
    context = state.contexts.get(str(msg.get("context_token")))
    if context is None or context.user != msg["to_user_id"]:
        raise Refused(USED_UP, "")
    return context


def _shown(state: State, id: str, msg: Json) -> Sent:
    """The message as it gets to the phone: a text cut, a file decrypted with the key that came with it."""
    item = msg["item_list"][0]
    content = item[FIELDS[item["type"]]]
    to, token, client_id = msg["to_user_id"], msg["context_token"], msg["client_id"]
    if item["type"] == TEXT:
        text = content["text"]
        return Sent(id, to, token, client_id, cut(text), len(text))
    try:
        data = state.cdn.opened(content["media"])
    except Unreadable as error:
        state.complaints.append(f"sendmessage: {error}")
        data = None
    kind, name = KINDS[item["type"]], content.get("file_name", "")
    return Sent(id, to, token, client_id, kind=kind, name=name, data=data)


async def getconfig(state: State, body: Json) -> Json:
    """The ticket for ``sendtyping``; the context is optional, but must be one of this user."""
    user = body.get("ilink_user_id")
    need(user, "no ilink_user_id")
    if token := body.get("context_token"):
        context = state.contexts.get(token)
        need(context and context.user == user, "context_token is not of this user")
    ticket = base64.b64encode(f"ticket-{len(state.tickets) + 1}".encode()).decode()
    state.tickets[ticket] = str(user)
    return {"typing_ticket": ticket}


async def sendtyping(state: State, body: Json) -> Json:
    need(state.tickets.get(str(body.get("typing_ticket"))) == body.get("ilink_user_id"), "not a ticket of this user")
    need(body.get("status") in (1, 2), "status is not 1 or 2")
    state.typing.append(body["status"])
    return {}


async def getuploadurl(state: State, body: Json) -> Json:
    need(body.get("to_user_id"), "no to_user_id")
    parameter = state.cdn.announce(body)
    answer = {"upload_param": parameter}
    if state.full_urls:
        answer["upload_full_url"] = state.cdn_url("upload", encrypted_query_param=parameter, filekey=body["filekey"])
    return answer


async def notify(state: State, body: Json) -> Json:
    """``notifystart`` and ``notifystop``: noted with the other calls, and nothing more."""
    return {}


CALLS: dict[str, Call] = {
    "getupdates": getupdates,
    "sendmessage": sendmessage,
    "getconfig": getconfig,
    "sendtyping": sendtyping,
    "getuploadurl": getuploadurl,
    "msg/notifystart": notify,
    "msg/notifystop": notify,
}
