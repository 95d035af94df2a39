"""The methods of the Bot API that show something in a chat: (state, bot, parameters) -> result, or Refused.

Rules of this file:
- a method changes the state only after everything in the call was found valid;
- no HTTP, faults or call limits: the server deals with these before it comes here.
"""

from __future__ import annotations

import time

from tests.fakes.telegram.params import flag, is_general, message_of, number, open_chat, structure, text_of, topic_of
from tests.fakes.telegram.rules import CHAT_ACTIONS, MAX_TEXT, REACTIONS, Json, bad_request, keyboard, utf16
from tests.fakes.telegram.state import Bot, CallbackAnswer, Draft, State, Stored, quoted

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
    thread = topic_of(chat, p)
    markup = keyboard(structure(p, "reply_markup"))
    reply = structure(p, "reply_parameters") or {}
    target = number(reply, "message_id") or number(p, "reply_to_message_id")
    replied = chat.messages.get(target)
    lenient = flag(reply, "allow_sending_without_reply") or flag(p, "allow_sending_without_reply")
    if target and replied is None and not lenient:
        raise bad_request("message to be replied not found")

    body: Json = {
        "message_id": chat.new_message_id(),
        "from": bot.user,
        "chat": chat.info,
        "date": int(time.time()),
        "text": text,
    }
    if entities:
        body["entities"] = entities
    if markup:
        body["reply_markup"] = markup
    if replied:
        body["reply_to_message"] = quoted(replied.body)
        thread = thread or replied.body.get("message_thread_id", 0)
    if thread:
        body |= {"message_thread_id": thread, "is_topic_message": True}
    chat.store(body, from_bot=True)
    chat.typing.pop(thread, None)
    chat.drafts.clear()  # any real message takes the drafts off the screen
    return body


def _editable(bot: Bot, p: Json) -> Stored:
    stored = message_of(open_chat(bot, p), p, "edit")
    if not stored.from_bot:
        raise bad_request("message can't be edited")
    return stored


def edit_message_text(state: State, bot: Bot, p: Json) -> Json:
    stored = _editable(bot, p)
    text, entities = text_of(p)
    if not text.strip():
        raise bad_request("message text is empty")
    if utf16(text) > MAX_TEXT:
        raise bad_request("MESSAGE_TOO_LONG")
    return _change(stored, text, entities, keyboard(structure(p, "reply_markup"), edit=True))


def edit_message_reply_markup(state: State, bot: Bot, p: Json) -> Json:
    stored = _editable(bot, p)
    markup = keyboard(structure(p, "reply_markup"), edit=True)
    return _change(stored, stored.body["text"], stored.body.get("entities", []), markup)


def _change(stored: Stored, text: str, entities: list[Json], markup: Json | None) -> Json:
    """An edit: what is not sent again, is gone."""
    body = stored.body
    if (text, entities, markup) == (body["text"], body.get("entities", []), body.get("reply_markup")):
        raise bad_request(NOT_MODIFIED)
    body["text"] = text
    body["edit_date"] = int(time.time())
    for name, value in (("entities", entities), ("reply_markup", markup)):
        if value:
            body[name] = value
        else:
            body.pop(name, None)
    stored.edits += 1
    return body


def delete_message(state: State, bot: Bot, p: Json) -> bool:
    chat = open_chat(bot, p)
    stored = message_of(chat, p, "delete")
    if not stored.from_bot and chat.info["type"] != "private":
        raise bad_request("message can't be deleted")
    del chat.messages[stored.body["message_id"]]
    return True


def send_message_draft(state: State, bot: Bot, p: Json) -> bool:
    chat = open_chat(bot, p)
    if chat.info["type"] != "private":
        raise bad_request("TEXTDRAFT_PEER_INVALID")
    draft_id = number(p, "draft_id")
    if not draft_id:
        raise bad_request("RANDOM_ID_INVALID")
    text, entities = text_of(p)
    if utf16(text) > MAX_TEXT:
        raise bad_request("MESSAGE_TOO_LONG")
    thread = topic_of(chat, p)
    stop, keep = flag(p, "can_stop"), flag(p, "keep_on_stop")
    until = state.clock() + DRAFT_SECONDS
    chat.drafts[thread] = Draft(draft_id, text, entities, thread or None, stop, keep, until)
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
