"""Telegram's updates -> events. Pure: one update in, one event or nothing out.

Rules of this file:
- each update is converted on its own: one that cannot be read fails alone;
- what bots write is no event, or two bots would never end. Masks are no bots: somebody writes through them;
- a channel is a group with one user, the channel itself.

Source: Bot API 10.3. schema.py says what is read of an update, received.py what a message says.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from adapters.telegram.entity import utf16_len
from adapters.telegram.received import attachments_of, quotes_of, stand_in, text_of
from adapters.telegram.schema import TgChat, TgMemberChange, TgMessage, TgPress, TgStop, TgUpdate, TgUser
from bridge.model import AnyEvent, Conversation, Entered, Message, Press, User

__all__ = ["ALLOWED", "GENERAL", "MASKS", "Moved", "TgUser", "left", "parse"]

ALLOWED = (
    "message",
    "edited_message",
    "channel_post",
    "edited_channel_post",
    "callback_query",
    "my_chat_member",
    "stopped_message_generation",
)
"""The update kinds that are asked for; ``parse`` knows exactly these."""
MASKS = {1087968824, 136817688, 777000}
"""GroupAnonymousBot, Channel Bot, Telegram: accounts that others write through."""
GENERAL = "general"
"""``Event.handle`` in the General topic of a forum. A message there goes out without a thread id (1 is refused), while
typing needs it."""
_GENERAL_ID = 1
_LONG = 4000
"""UTF-16 units. Clients split what is longer than 4096, at a space before it where there is one."""


class Moved(NamedTuple):
    """A group became a supergroup: the chat ids before and after."""

    old: str
    new: str


def parse(
    bot: str, me: TgUser, payload: dict[str, Any], now: float, moved: Mapping[str, str] = {}
) -> AnyEvent | Moved | None:
    """The event in an update for the bot ``bot``, whose account is ``me``; None when it holds nothing for it.

    ``now`` in Unix seconds is for what carries no time of its own. ``moved``: a chat's id -> the one before it moved.
    Raises msgspec.ValidationError when the update is not what Telegram documents.
    """
    update = msgspec.convert(payload, TgUpdate)
    if message := update.message or update.channel_post:
        return _migration(message) or _message(bot, me, message, moved)
    if message := update.edited_message or update.edited_channel_post:
        return _message(bot, me, message, moved, edited=True)
    if update.callback_query is not None:
        return _press(bot, update.callback_query, now, moved)
    if update.my_chat_member is not None:
        return _entered(bot, update.my_chat_member, moved)
    if update.stopped_message_generation is not None:
        return _stop(bot, update.stopped_message_generation, update.update_id, now, moved)
    return None


def left(payload: dict[str, Any]) -> str | None:
    """The id of the chat that the bot was removed from, or blocked in, by this update; else None.

    Raises as ``parse`` does.
    """
    change = msgspec.convert(payload, TgUpdate).my_chat_member
    if change is None or not change.old_chat_member.inside or change.new_chat_member.inside:
        return None
    return str(change.chat.id)


# ------------------------------------------------------------------ events


def _migration(message: TgMessage) -> Moved | None:
    """The old group says where it goes, the new one where it came from; either may come first, or alone."""
    here = str(message.chat.id)
    if message.migrate_to_chat_id:
        return Moved(here, str(message.migrate_to_chat_id))
    if message.migrate_from_chat_id:
        return Moved(str(message.migrate_from_chat_id), here)
    return None


def _message(
    bot: str, me: TgUser, message: TgMessage, moved: Mapping[str, str], *, edited: bool = False
) -> Message | None:
    user = None if _from_a_bot(message, me) else _author(message)
    if user is None:
        return None
    text, mentioned = text_of(message, me)
    if not text and not edited:  # an edit without text is a live location on its way
        text = stand_in(message)
    attachments = attachments_of(message)
    if not text and not attachments and not mentioned:
        return None  # service messages: joined, pinned, title changed
    quotes = quotes_of(message, me)
    replied = not message.is_automatic_forward and any(quote.own for quote in quotes)
    conversation = _conversation(bot, message.chat, _thread(message), moved)
    return Message(
        id=str(message.message_id),
        conversation=conversation,
        user=user,
        at=float(message.edit_date or message.date) if edited else float(message.date),
        handle=_handle(message.chat, conversation.thread),
        text=text,
        addressed=conversation.kind == "private" or mentioned or replied,
        attachments=attachments,
        quotes=quotes,
        group=message.media_group_id,
        cut=utf16_len(message.text) >= _LONG,
        edited=edited,
    )


def _press(bot: str, press: TgPress, now: float, moved: Mapping[str, str]) -> Press | None:
    message = press.message
    if message is None or not press.data:
        return None
    return Press(
        id=press.id,
        conversation=_conversation(bot, message.chat, _thread(message), moved),
        user=_person(press.sender),
        at=now,
        target=str(message.message_id),
        key=press.data,
    )


def _entered(bot: str, change: TgMemberChange, moved: Mapping[str, str]) -> Entered | None:
    """The bot was added to a group. Users meet it by /start, and channels are not greeted."""
    chat = change.chat
    added = not change.old_chat_member.inside and change.new_chat_member.inside
    if not added or chat.type not in {"group", "supergroup"}:
        return None
    return Entered(
        id=f"{chat.id}:{change.date}",
        conversation=_conversation(bot, chat, "", moved),
        user=_mask(chat) if change.sender.id in MASKS else _person(change.sender),
        at=float(change.date),
        handle=_handle(chat, ""),
        first=True,
    )


def _stop(bot: str, stop: TgStop, update_id: int, now: float, moved: Mapping[str, str]) -> Press:
    """The native stop button. It names no user: drafts are shown in private chats only, which are the user's."""
    thread = str(stop.message_thread_id) if stop.message_thread_id else ""
    return Press(
        id=f"stop:{update_id}",
        conversation=_conversation(bot, stop.chat, thread, moved),
        user=User(str(stop.chat.id), _full_name(stop.chat)),
        at=now,
        target=f"draft:{stop.draft_id}",
        key="stop",
    )


# ------------------------------------------------------------------ where


def _conversation(bot: str, chat: TgChat, thread: str, moved: Mapping[str, str]) -> Conversation:
    return Conversation(
        bot=bot,
        chat=str(chat.id),
        kind="private" if chat.type == "private" else "group",
        thread=thread,
        name=chat.title,
        was=moved.get(str(chat.id), ""),
    )


def _thread(message: TgMessage) -> str:
    """The topic. In plain supergroups a reply carries a thread id too, that of the replied message: no topic."""
    general = message.chat.is_forum and message.message_thread_id == _GENERAL_ID
    return str(message.message_thread_id) if message.is_topic_message and not general else ""


def _handle(chat: TgChat, thread: str) -> str:
    return GENERAL if chat.is_forum and not thread else ""


# ------------------------------------------------------------------ who


def _from_a_bot(message: TgMessage, me: TgUser) -> bool:
    """Bots that answer bots never end. What a user sends through another bot's inline mode is the user's."""
    sender, via = message.sender, message.via_bot
    if via is not None and via.id == me.id:
        return True
    return sender is not None and sender.is_bot and sender.id not in MASKS


def _author(message: TgMessage) -> User | None:
    """Who wrote it; a channel, or behind a mask the chat they write as. None for what nobody wrote."""
    if message.chat.type == "channel" or message.is_automatic_forward:  # that is a channel's post in its linked group
        channel = message.sender_chat or message.chat
        return User(str(channel.id), message.author_signature or channel.title, real=False)
    if message.sender_chat is not None:
        return _mask(message.sender_chat)
    if message.sender is None:
        return None
    return _mask(message.chat) if message.sender.id in MASKS else _person(message.sender)


def _mask(chat: TgChat) -> User:
    return User(str(chat.id), chat.title, real=False)


def _person(user: TgUser) -> User:
    return User(str(user.id), _full_name(user), user.language_code)


def _full_name(who: TgUser | TgChat) -> str:
    return f"{who.first_name} {who.last_name}".strip()
