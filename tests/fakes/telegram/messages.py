"""The methods of the Bot API that show something in a chat: (state, bot, parameters) -> result, or Refused.

Rules of this file:
- a method changes the state only after everything in the call was found valid;
- no HTTP, faults or call limits: the server deals with these before it comes here.
"""

from __future__ import annotations

import time

from tests.fakes.telegram.chat import Chat, Draft, Stored
from tests.fakes.telegram.params import (
    caption_of,
    flag,
    frame_of,
    is_general,
    message_of,
    number,
    open_chat,
    structure,
    text_of,
    topic_of,
)
from tests.fakes.telegram.rules import CHAT_ACTIONS, MAX_TEXT, REACTIONS, Json, Refused, bad_request, keyboard, utf16
from tests.fakes.telegram.state import Bot, CallbackAnswer, State

TYPING_SECONDS = 5.0
DRAFT_SECONDS = 30.0
NOT_MODIFIED = (
    "message is not modified: specified new message content and reply markup are exactly the same as a current content "
    "and reply markup of the message"
)


def send_message(state: State, bot: Bot, p: Json) -> Json:
    chat = open_chat(bot, p)
    text, entities = text_of(p)
    if not text.strip():
        raise bad_request("message text is empty")
    if utf16(text) > MAX_TEXT:
        raise bad_request("message is too long")
    return show(bot, chat, frame_of(chat, p), {"text": text, "entities": entities} if entities else {"text": text})


def show(bot: Bot, chat: Chat, frame: Json, content: Json) -> Json:
    """A real message of the bot: it takes the drafts and the bot's activity off the screen."""
    author: Json = {"sender_chat": chat.info} if chat.kind == "channel" else {"from": bot.user}
    head: Json = {"message_id": chat.new_message_id(), **author, "chat": chat.info, "date": int(time.time())}
    body = {**head, **frame, **content}
    chat.store(body, from_bot=True)
    chat.typing.pop(body["message_thread_id"] if "is_topic_message" in body else 0, None)
    chat.drafts.clear()
    return body


def edit_message_text(state: State, bot: Bot, p: Json) -> Json:
    stored = _editable(bot, p)
    text, entities = text_of(p)
    if not text.strip():
        raise bad_request("message text is empty")
    if utf16(text) > MAX_TEXT:
        raise bad_request("MESSAGE_TOO_LONG")
    if "text" not in stored.body:
        raise bad_request("there is no text in the message to edit")
    return _change(stored, {"text": text, "entities": entities, "reply_markup": _new_keyboard(p)})


def edit_message_caption(state: State, bot: Bot, p: Json) -> Json:
    stored = _editable(bot, p)
    if "text" in stored.body:
        raise bad_request("there is no caption in the message to edit")
    absent: Json = {"caption": None, "caption_entities": None}
    return _change(stored, {**absent, **caption_of(p), "reply_markup": _new_keyboard(p)})


def edit_message_reply_markup(state: State, bot: Bot, p: Json) -> Json:
    return _change(_editable(bot, p), {"reply_markup": _new_keyboard(p)})


def _editable(bot: Bot, p: Json) -> Stored:
    stored = message_of(open_chat(bot, p), p, "edit")
    if not stored.from_bot:
        raise bad_request("message can't be edited")
    return stored


def _new_keyboard(p: Json) -> Json | None:
    return keyboard(structure(p, "reply_markup"), edit=True)


def _change(stored: Stored, fields: Json) -> Json:
    """An edit: what is not sent again, is gone."""
    body = stored.body
    if all((body.get(name) or None) == (value or None) for name, value in fields.items()):
        raise bad_request(NOT_MODIFIED)
    body["edit_date"] = int(time.time())
    for name, value in fields.items():
        if value:
            body[name] = value
        else:
            body.pop(name, None)
    stored.edits += 1
    return body


def delete_message(state: State, bot: Bot, p: Json) -> bool:
    chat = open_chat(bot, p)
    stored = message_of(chat, p, "delete")
    if not stored.from_bot and chat.kind != "private":
        raise bad_request("message can't be deleted")
    del chat.messages[stored.body["message_id"]]
    return True


def send_message_draft(state: State, bot: Bot, p: Json) -> bool:
    if state.version < (9, 3):
        raise Refused(404, "Not Found")
    chat = open_chat(bot, p)
    if chat.kind != "private":
        raise bad_request("TEXTDRAFT_PEER_INVALID")
    draft_id = number(p, "draft_id")
    if not draft_id:
        raise bad_request("RANDOM_ID_INVALID")
    text, entities = text_of(p)
    if not text and state.version < (10, 0):
        raise bad_request("message text is empty")
    if utf16(text) > MAX_TEXT:
        raise bad_request("MESSAGE_TOO_LONG")
    thread = topic_of(chat, p)
    stop = flag(p, "can_stop") and state.version >= (10, 3)
    until = state.clock() + DRAFT_SECONDS
    chat.drafts[thread] = Draft(draft_id, text, entities, thread or None, stop, flag(p, "keep_on_stop"), until)
    return True


def send_chat_action(state: State, bot: Bot, p: Json) -> bool:
    chat = open_chat(bot, p)
    if p.get("action") not in CHAT_ACTIONS:
        raise bad_request("wrong parameter action in request")
    thread = 0 if is_general(chat, number(p, "message_thread_id")) else topic_of(chat, p)
    chat.typing[thread] = (p["action"], state.clock() + TYPING_SECONDS)
    return True


def set_message_reaction(state: State, bot: Bot, p: Json) -> bool:
    stored = message_of(open_chat(bot, p), p, "react")
    reactions = structure(p, "reaction") or []
    if len(reactions) > 1:
        raise bad_request("REACTIONS_TOO_MANY")
    for reaction in reactions:
        if reaction.get("type") != "emoji" or reaction.get("emoji") not in REACTIONS:
            raise bad_request("REACTION_INVALID")
    stored.reaction = reactions[0]["emoji"] if reactions else ""
    return True


def answer_callback_query(state: State, bot: Bot, p: Json) -> bool:
    query, text = str(p.get("callback_query_id")), str(p.get("text") or "")
    if query not in bot.queries:
        raise bad_request("query is too old and response timeout expired or query ID is invalid")
    if len(text) > 200:
        raise bad_request("MESSAGE_TOO_LONG")
    bot.answers.append(CallbackAnswer(query, text, flag(p, "show_alert")))
    return True
