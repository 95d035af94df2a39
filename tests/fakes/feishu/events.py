"""The events of the platform, worded as it words them.

Rules of this file: pure; values in, the event's JSON out. Who gets an event, and when, is ``delivery``'s business.

Source: fact sheet 3.5 and 4; the platform's pages on "接收消息", "卡片回传交互" and the other events named here.
"""

from __future__ import annotations

from tests.fakes.feishu.rules import Json, new_id

MESSAGE = "im.message.receive_v1"
RECALLED = "im.message.recalled_v1"
READ = "im.message.message_read_v1"
REACTED = "im.message.reaction.created_v1"
UNREACTED = "im.message.reaction.deleted_v1"
ADDED = "im.chat.member.bot.added_v1"
REMOVED = "im.chat.member.bot.deleted_v1"
ENTERED = "im.chat.access_event.bot_p2p_chat_entered_v1"
PRESSED = "card.action.trigger"
EVENTS = frozenset({MESSAGE, RECALLED, READ, REACTED, UNREACTED, ADDED, REMOVED, ENTERED, PRESSED})
"""All that an app can subscribe to here."""

TENANT = "2ca1d211f64f6438"


def envelope(
    kind: str, event: Json, *, app_id: str, token: str, now: float, event_id: str = "", tenant: str = TENANT
) -> Json:
    """An event with its header; times are milliseconds as strings."""
    header = {
        "event_id": event_id or new_id(""),
        "event_type": kind,
        "create_time": millis(now),
        "token": token,
        "app_id": app_id,
        "tenant_key": tenant,
    }
    return {"schema": "2.0", "header": header, "event": event}


def user_ids(open_id: str) -> Json:
    """The ids of a person; ``user_id`` comes only with a sensitive scope, so it is null."""
    return {"union_id": "on" + open_id[2:], "user_id": None, "open_id": open_id}


def mention(number: int, open_id: str, name: str, *, bot: bool) -> Json:
    """One entry of ``mentions``; its key stands in the text."""
    return {
        "key": f"@_user_{number}",
        "id": user_ids(open_id),
        "name": name,
        "tenant_key": TENANT,
        "mentioned_type": "bot" if bot else "user",
    }


def sender(open_id: str) -> Json:
    return {"sender_id": user_ids(open_id), "sender_type": "user", "tenant_key": TENANT}


def recalled(message_id: str, chat_id: str, now: float) -> Json:
    return {
        "message_id": message_id,
        "chat_id": chat_id,
        "recall_time": millis(now),
        "recall_type": "message_owner",
    }


def reacted(message_id: str, emoji: str, now: float, *, user: str, app_id: str) -> Json:
    """Somebody's reaction; of a person, or with ``app_id`` of the bot itself."""
    who: Json = {"operator_type": "app", "app_id": app_id} if app_id else {"operator_type": "user"}
    if user:
        who["user_id"] = user_ids(user)
    return {
        "message_id": message_id,
        "reaction_type": {"emoji_type": emoji},
        **who,
        "action_time": millis(now),
    }


def membership(chat_id: str, name: str, operator: str) -> Json:
    """The bot came to a group, or left it."""
    return {
        "chat_id": chat_id,
        "operator_id": user_ids(operator),
        "external": False,
        "operator_tenant_key": TENANT,
        "name": name,
        "i18n_names": {"zh_cn": name},
    }


def entered(chat_id: str, user: str, last_message_id: str, now: float) -> Json:
    """A person opened the private chat; ``last_message_id`` is empty at the first visit."""
    return {
        "chat_id": chat_id,
        "operator_id": user_ids(user),
        "last_message_id": last_message_id,
        "last_message_create_time": millis(now) if last_message_id else "",
    }


def read(message_ids: list[str], user: str, now: float) -> Json:
    return {
        "reader": {"reader_id": user_ids(user), "read_time": millis(now), "tenant_key": TENANT},
        "message_id_list": message_ids,
    }


def pressed(action: Json, *, message_id: str, chat_id: str, user: str, token: str) -> Json:
    """A press on a card."""
    return {
        "operator": {"tenant_key": TENANT, **user_ids(user)},
        "token": token,
        "action": action,
        "host": "im_message",
        "context": {"open_message_id": message_id, "open_chat_id": chat_id},
    }


def millis(when: float) -> str:
    return str(int(when * 1000))
