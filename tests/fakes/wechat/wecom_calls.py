"""The commands of a bot that has subscribed: answers to callbacks, messages of its own, uploads.

Rules of this file:
- a command is carried out as a whole, or raises ``Refused``; it returns the body of its ack;
- what is asked comes before what is counted: a frame that is refused takes nothing of the chat's rate.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.fakes.wechat.wecom_rules import (
    BAD_CHAT,
    BAD_REQUEST,
    EVENT_ANSWER,
    EXPIRED,
    LIFE,
    MEDIA,
    NO_GROUPS,
    Json,
    Refused,
    check_card,
    check_content,
    check_often,
    check_stream,
    need,
)
from tests.fakes.wechat.wecom_state import Request, Shown, State


def chat_of(state: State, command: str, req_id: str, body: Json) -> str:
    """The chat that a frame is for; "" = none, or none that is known."""
    if command == "aibot_send_msg":
        return str(body.get("chatid", ""))
    request = state.requests.get(req_id)
    return request.chat if request is not None else ""


def respond(state: State, req_id: str, body: Json) -> Json:
    """aibot_respond_msg: a frame of a stream, or a message, to the chat of a message."""
    request = _request(state, req_id, "message")
    if body.get("msgtype") in ("stream", "stream_with_template_card"):
        _stream(state, req_id, request, body)
    else:
        need(body.get("msgtype") != "text", "msgtype text is for welcomes")
        message = _message(state, request.chat, body)
        _count(state, request.chat)
        state.shown.append(message)
    return {}


def welcome(state: State, req_id: str, body: Json) -> Json:
    """aibot_respond_welcome_msg: a text or a card, once, to who has just opened the chat."""
    request = _event(state, req_id, "enter")
    need(body.get("msgtype") in ("text", "template_card"), "a welcome is text or template_card")
    message = _message(state, request.chat, body)
    _count(state, request.chat)
    state.shown.append(message)
    del state.requests[req_id]
    return {}


def update(state: State, req_id: str, body: Json) -> Json:
    """aibot_respond_update_msg: another card in the place of the pressed one."""
    request = _event(state, req_id, "press")
    card = body.get("template_card", {})
    need(body.get("response_type") == "update_template_card", "no response_type")
    check_card(card)
    need(card.get("task_id") == request.task_id, "task_id is not the pressed card's")
    message = state.with_card(request.task_id)
    assert message is not None
    message.put_card(card)
    return {}


def send(state: State, _: str, body: Json) -> Json:
    """aibot_send_msg: a message to somebody, or a group, that the bot has heard of."""
    chat = str(body.get("chatid", ""))
    if chat not in state.people | state.groups:
        raise Refused(BAD_CHAT, "invalid chatid")
    if chat in state.groups and state.no_groups:
        raise Refused(NO_GROUPS, "no message to this chat")
    need(body.get("msgtype") in ("markdown", "template_card", *MEDIA), "no such msgtype")
    message = _message(state, chat, body)
    _count(state, chat)
    state.shown.append(message)
    return {}


def _request(state: State, req_id: str, kind: str) -> Request:
    request = state.requests.get(req_id)
    forgotten = request is not None and state.forgets_requests and request.connection != state.connections
    if request is None or request.kind != kind or forgotten:
        raise Refused(BAD_REQUEST, "invalid req_id")
    return request


def _event(state: State, req_id: str, kind: str) -> Request:
    request = _request(state, req_id, kind)
    if state.now() - request.at > EVENT_ANSWER:
        raise Refused(BAD_REQUEST, "invalid req_id")
    return request


def _count(state: State, chat: str) -> None:
    """One more frame of a chat, or the refusal of one too many."""
    taken = state.taken.setdefault(chat, [])
    try:
        check_often(taken, state.now())
    except Refused:
        state.exceeded += 1
        raise
    taken.append(state.now())


def _stream(state: State, req_id: str, request: Request, body: Json) -> None:
    stream, card, now = body.get("stream", {}), body.get("template_card"), state.now()
    check_stream(stream)
    message = state.streams.get((req_id, stream["id"]))
    if message is None:
        if state.one_stream and request.streams:
            raise Refused(BAD_REQUEST, "invalid req_id")
        message = Shown(request.chat, stream=stream["id"], finished=False, began=now, updated=now)
    elif message.finished:
        raise Refused(state.finished_code, "stream message update expired (finished)")
    elif state.is_dead(message):
        minutes = 10 if now - message.began > LIFE else 6
        raise Refused(EXPIRED, f"stream message update expired (>{minutes} minutes)")
    if card is not None:
        need(body["msgtype"] == "stream_with_template_card", "a card in a stream without one")
        need(message.card is None, "the message has its card already")
        _check_new_card(state, card)
    _count(state, request.chat)
    _write(state, req_id, request, message, stream)
    if card is not None:
        message.put_card(card)


def _write(state: State, req_id: str, request: Request, message: Shown, stream: Json) -> None:
    content, finish = stream.get("content", ""), stream.get("finish", False)
    if not content.strip() and not finish:
        return  # blank content is ignored: it neither begins a stream nor keeps one alive
    if (req_id, message.stream) not in state.streams:
        state.streams[req_id, message.stream] = message
        state.shown.append(message)
        request.streams.append(message.stream)
    message.content = content if content.strip() else message.content
    message.finished, message.updated = finish, state.now()
    message.things += ["[image]"] * len(stream.get("msg_item", []))


def _message(state: State, chat: str, body: Json) -> Shown:
    """The message that a body is, when all of it is right."""
    kind, message = body.get("msgtype", ""), Shown(chat)
    part = body.get(kind)
    need(isinstance(part, dict), f"no part {kind}")
    assert isinstance(part, dict)
    if kind in ("markdown", "text"):
        check_content(part.get("content"))
        need(part["content"].strip(), "content is blank")
        message.content = part["content"]
    elif kind == "template_card":
        _check_new_card(state, part)
        message.things = [f"[card {part.get('main_title', {}).get('title', '')}]"]
        message.put_card(part)
    else:
        need(kind in MEDIA, "no such msgtype")
        media = state.files.media.get(part.get("media_id", ""))
        need(media is not None and media.kind == kind, "no such media_id of this type")
        message.things = ["[image]" if kind == "image" or media is None else f"[{kind} {media.name}]"]
    return message


def _check_new_card(state: State, card: Json) -> None:
    check_card(card)
    task_id = card.get("task_id", "")
    need(not task_id or not any(m.card and m.card.get("task_id") == task_id for m in state.shown), "task_id is taken")


Command = Callable[[State, str, Json], Json]

COMMANDS: dict[str, Command] = {
    "aibot_respond_msg": respond,
    "aibot_respond_welcome_msg": welcome,
    "aibot_respond_update_msg": update,
    "aibot_send_msg": send,
    "aibot_upload_media_init": lambda state, _, body: state.files.begin(body),
    "aibot_upload_media_chunk": lambda state, _, body: state.files.add(body),
    "aibot_upload_media_finish": lambda state, _, body: state.files.finish(body, int(time.time())),
}
