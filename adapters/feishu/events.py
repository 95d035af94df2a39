"""Feishu's events -> events. Pure: one payload in, one event or nothing out.

Rules of this file:
- the long connection and the webhook bring the same payloads, and one ``parse`` reads both;
- a message is known by its message_id: Feishu may send it again under another event_id. All else by its event_id;
- only users are listened to: what apps write is no event, or two bots would never end;
- the bot is meant in private, or when its open_id is mentioned. Not by its name, which others may bear, nor by @all;
- in a topic everything replies to its first message (root_id = parent_id): that says nothing and is no quote. A parent
  that is not the root was picked;
- what a quote or a merged forward holds is not in the event: its text is empty here and looked up later.

Sources: 接收消息, 撤回消息, 新增/删除消息表情回复, 机器人进群/被移出群, 用户进入与机器人的会话, 卡片回传交互.
"""

from __future__ import annotations

import json
from typing import Any

from adapters.feishu.content import Said, content_of, mentions_of
from adapters.feishu.schema import (
    FsAction,
    FsBotChat,
    FsCardAction,
    FsChatEntered,
    FsEnvelope,
    FsEventMessage,
    FsHeader,
    FsReaction,
    FsRecalled,
    FsReceived,
    FsUser,
    read,
)
from bridge.model import AnyEvent, Conversation, Entered, Message, Press, Quote, Reacted, Recalled, User

MICROSECONDS = 10**14
"""From here on a time is not in milliseconds (that would be the year 5138)."""


def parse(bot: str, open_id: str, payload: dict[str, Any]) -> AnyEvent | None:
    """The event in a payload of schema 2.0 for the bot ``bot``, whose own id is ``open_id``; None when it holds nothing
    for it.

    Raises msgspec.ValidationError when a known event is not what Feishu documents.
    """
    header, body = _opened(payload)
    match header.event_type:
        case "im.message.receive_v1":
            return _message(bot, open_id, read(body, FsReceived))
        case "card.action.trigger":
            return _press(bot, header, read(body, FsCardAction))
        case "im.message.recalled_v1":
            return _recalled(bot, header, read(body, FsRecalled))
        case "im.message.reaction.created_v1" | "im.message.reaction.deleted_v1":
            return _reacted(bot, header, read(body, FsReaction))
        case "im.chat.member.bot.added_v1":
            return _added(bot, header, read(body, FsBotChat))
        case "im.chat.access_event.bot_p2p_chat_entered_v1":
            return _entered(bot, header, read(body, FsChatEntered))
    return None


def left(payload: dict[str, Any]) -> str | None:
    """The id of the chat that the bot was removed from by this payload; else None. Raises as ``parse`` does."""
    header, body = _opened(payload)
    return read(body, FsBotChat).chat_id if header.event_type == "im.chat.member.bot.deleted_v1" else None


def _opened(payload: dict[str, Any]) -> tuple[FsHeader, dict[str, Any]]:
    envelope = read(payload, FsEnvelope)
    return envelope.header, envelope.event


# ------------------------------------------------------------------ messages


def _message(bot: str, open_id: str, received: FsReceived) -> Message | None:
    if received.sender.sender_type != "user":
        return None
    message = read(received.message, FsEventMessage)
    mentions = mentions_of(message.mentions, open_id)
    said, quotes = content_of(message.message_type, message.content, mentions, message.message_id), _quotes(message)
    if message.message_type == "merge_forward":
        said, quotes = Said(""), (*quotes, Quote(message.message_id))
    private, mentioned = message.chat_type == "p2p", "" in mentions.values()
    return Message(
        id=message.message_id,
        conversation=Conversation(
            bot=bot,
            chat=message.chat_id,
            kind="private" if private else "group",
            thread=message.thread_id,
        ),
        user=_user(received.sender.sender_id),
        at=_seconds(message.create_time),
        text=said.text,
        addressed=private or mentioned,
        attachments=said.attachments,
        quotes=quotes,
    )


def _quotes(message: FsEventMessage) -> tuple[Quote, ...]:
    implied = message.thread_id and message.parent_id == message.root_id
    return (Quote(message.parent_id),) if message.parent_id and not implied else ()


# ------------------------------------------------------------------ cards


def _press(bot: str, header: FsHeader, pressed: FsCardAction) -> Press | None:
    """A button or form of the bridge's own cards: their ``value`` says which, and where the card is."""
    value, place = pressed.action.value, pressed.context
    key = value.get("k") if isinstance(value, dict) else None
    if not key:
        return None
    return Press(
        id=header.event_id,
        conversation=Conversation(
            bot=bot,
            chat=place.open_chat_id,
            kind="group" if value.get("g") else "private",
            thread=str(value.get("t", "")),
        ),
        user=_user(pressed.operator),
        at=_seconds(header.stamp),
        target=place.open_message_id,
        key=str(key),
        values=_values(pressed.action),
    )


def _values(action: FsAction) -> dict[str, str]:
    """What was filled into a form, by field; of a lone field ``{"value": …}``. A list or number comes as JSON."""
    if chosen := action.option or action.input_value:
        return {"value": chosen}
    return {
        name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for name, value in action.form_value.items()
    }


# ------------------------------------------------------------------ the rest


def _recalled(bot: str, header: FsHeader, recalled: FsRecalled) -> Recalled:
    """Feishu tells neither who took it back nor the kind of the chat: no user, and a kind that stands for nothing."""
    return Recalled(
        id=header.event_id,
        conversation=Conversation(bot=bot, chat=recalled.chat_id, kind="group"),
        user=User(""),
        at=_seconds(header.stamp),
        target=recalled.message_id,
    )


def _reacted(bot: str, header: FsHeader, reaction: FsReaction) -> Reacted | None:
    """Feishu does not tell the chat: it is empty, and its kind stands for nothing."""
    if reaction.operator_type != "user":
        return None
    return Reacted(
        id=header.event_id,
        conversation=Conversation(bot=bot, chat="", kind="group"),
        user=_user(reaction.user_id),
        at=_seconds(header.stamp),
        target=reaction.message_id,
        emoji=reaction.reaction_type.emoji_type,
        added=header.event_type == "im.message.reaction.created_v1",
    )


def _added(bot: str, header: FsHeader, added: FsBotChat) -> Entered:
    return Entered(
        id=header.event_id,
        conversation=Conversation(bot=bot, chat=added.chat_id, kind="group", name=added.name),
        user=_user(added.operator_id),
        at=_seconds(header.stamp),
        first=True,
    )


def _entered(bot: str, header: FsHeader, entered: FsChatEntered) -> Entered:
    """Whoever opens the chat again before a word was written enters it for the first time again: that has one id."""
    first = not entered.last_message_id
    return Entered(
        id="first" if first else header.event_id,
        conversation=Conversation(bot=bot, chat=entered.chat_id, kind="private"),
        user=_user(entered.operator_id),
        at=_seconds(header.stamp),
        first=first,
    )


def _user(user: FsUser) -> User:
    return User(user.open_id)


def _seconds(stamp: int) -> float:
    return stamp / (1_000_000 if stamp >= MICROSECONDS else 1000)
