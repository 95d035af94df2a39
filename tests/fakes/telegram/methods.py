"""The other methods of the Bot API (receiving, the bot itself, chats and files), and the table of all.

Rules of this file: as in ``messages``; ``get_updates`` is the one method that waits.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from typing import Any

import msgspec

from tests.fakes.telegram import media, messages
from tests.fakes.telegram.params import flag, known_chat, number, structure
from tests.fakes.telegram.rules import Json, Refused, bad_request
from tests.fakes.telegram.state import Bot, State, Webhook

LONGEST_POLL = 50
"""Seconds."""
MAX_DOWNLOAD = 20 * 1024 * 1024
TWO_POLLERS = "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running"
WEBHOOK_ACTIVE = (
    "Conflict: can't use getUpdates method while webhook is active; use deleteWebhook to delete the webhook first"
)

# ------------------------------------------------------------------ receiving


async def get_updates(state: State, bot: Bot, p: Json) -> list[msgspec.Raw]:
    """Updates from ``offset`` on; all before it are confirmed. A new call ends a waiting one with 409.

    ``allowed_updates`` holds until it is given anew, and not for updates that are there already.
    """
    if bot.webhook:
        raise Refused(409, WEBHOOK_ACTIVE)
    bot.wake(TWO_POLLERS)
    _allow(bot, p)
    bot.confirm(number(p, "offset"))
    timeout = min(number(p, "timeout"), LONGEST_POLL)
    if not bot.updates and timeout > 0 and not state.closing:
        state.changed()  # whoever waits for a poll looks when this task has begun to wait
        if reason := await bot.news(timeout):
            raise Refused(409, reason)
    limit = max(1, min(number(p, "limit", 100), 100))
    return [update for _, update in itertools.islice(bot.updates, limit)]


def _allow(bot: Bot, p: Json) -> None:
    allowed = structure(p, "allowed_updates")
    if isinstance(allowed, list):
        bot.allowed = frozenset(map(str, allowed)) or None


def _set_webhook(state: State, bot: Bot, p: Json) -> bool:
    """Posting begins at once. Plain http is taken here, the platform wants https."""
    url, secret = str(p.get("url") or ""), str(p.get("secret_token") or "")
    if not re.match(r"https?://", url) and url:
        raise bad_request("bad webhook: invalid URL specified")
    if secret and not re.fullmatch(r"[A-Za-z0-9_-]{1,256}", secret):
        raise bad_request("secret token contains unallowed characters")
    connections = number(p, "max_connections", 40)
    if not 1 <= connections <= 100:
        raise bad_request("invalid number of webhook connections specified")
    _allow(bot, p)
    return _hook(bot, p, Webhook(url, secret, connections) if url else None)


def _delete_webhook(state: State, bot: Bot, p: Json) -> bool:
    return _hook(bot, p, None)


def _hook(bot: Bot, p: Json, webhook: Webhook | None) -> bool:
    bot.webhook = webhook
    if webhook:
        bot.wake("Conflict: terminated by setWebhook request")
    if flag(p, "drop_pending_updates"):
        bot.updates.clear()
    return True


def _get_webhook_info(state: State, bot: Bot, p: Json) -> Json:
    info: Json = {
        "url": bot.webhook.url if bot.webhook else "",
        "has_custom_certificate": False,
        "pending_update_count": len(bot.updates),
    }
    if bot.webhook:
        info["max_connections"] = bot.webhook.max_connections
    if bot.webhook and bot.webhook.failed_at:
        info |= {"last_error_date": bot.webhook.failed_at, "last_error_message": bot.webhook.failure}
    if bot.allowed:
        info["allowed_updates"] = sorted(bot.allowed)
    return info


# ------------------------------------------------------------------ the bot, its chats and files


def _get_me(state: State, bot: Bot, p: Json) -> Json:
    return {
        **bot.user,
        "can_join_groups": True,
        "can_read_all_group_messages": not bot.privacy,
        "supports_inline_queries": False,
        "has_topics_enabled": True,
    }


def _menu(p: Json) -> tuple[str, str]:
    scope = structure(p, "scope") or {}
    return str(scope.get("type", "default")), str(p.get("language_code") or "")


def _set_my_commands(state: State, bot: Bot, p: Json) -> bool:
    commands = structure(p, "commands")
    if not isinstance(commands, list) or len(commands) > 100:
        raise bad_request("BOT_COMMANDS_TOO_MUCH" if commands else "can't parse commands")
    for command in commands:
        if not re.fullmatch(r"[a-z0-9_]{1,32}", str(command.get("command"))):
            raise bad_request("BOT_COMMAND_INVALID")
        if not 1 <= len(str(command.get("description", ""))) <= 256:
            raise bad_request("BOT_COMMAND_DESCRIPTION_INVALID")
    bot.commands[_menu(p)] = commands
    return True


def _get_my_commands(state: State, bot: Bot, p: Json) -> list[Json]:
    return bot.commands.get(_menu(p), [])


def _get_chat(state: State, bot: Bot, p: Json) -> Json:
    gifts = ("unlimited_gifts", "limited_gifts", "unique_gifts", "premium_subscription", "gifts_from_channels")
    return {
        **known_chat(bot, p).info,
        "accent_color_id": 0,
        "max_reaction_count": 11,
        "accepted_gift_types": dict.fromkeys(gifts, False),
    }


def _get_file(state: State, bot: Bot, p: Json) -> Json:
    file_id = str(p.get("file_id"))
    if file_id not in bot.files:
        raise bad_request("wrong file_id or the file is temporarily unavailable")
    file = bot.files[file_id]
    if len(file.data) > MAX_DOWNLOAD:
        raise bad_request("file is too big")
    about = bot.files.about(file_id)
    named = ("file_id", "file_unique_id", "file_size")
    return {**{name: about[name] for name in named}, "file_path": file.path}


Method = Callable[[State, Bot, Json], Any]

_ALL: dict[str, Method] = {
    "getMe": _get_me,
    "getUpdates": get_updates,
    "setWebhook": _set_webhook,
    "deleteWebhook": _delete_webhook,
    "getWebhookInfo": _get_webhook_info,
    "sendMessage": messages.send_message,
    "sendPhoto": media.send_photo,
    "sendDocument": media.send_document,
    "sendVideo": media.send_video,
    "sendAudio": media.send_audio,
    "sendVoice": media.send_voice,
    "sendAnimation": media.send_animation,
    "editMessageText": messages.edit_message_text,
    "editMessageCaption": messages.edit_message_caption,
    "editMessageReplyMarkup": messages.edit_message_reply_markup,
    "deleteMessage": messages.delete_message,
    "sendMessageDraft": messages.send_message_draft,
    "sendChatAction": messages.send_chat_action,
    "setMessageReaction": messages.set_message_reaction,
    "answerCallbackQuery": messages.answer_callback_query,
    "setMyCommands": _set_my_commands,
    "getMyCommands": _get_my_commands,
    "getChat": _get_chat,
    "getFile": _get_file,
}
METHODS: dict[str, tuple[str, Method]] = {name.lower(): (name, method) for name, method in _ALL.items()}
"""Method name in lower case (the Bot API does not mind case) -> its proper name and the function."""
FLOODED = frozenset(
    {
        "sendMessage",
        "sendPhoto",
        "sendDocument",
        "sendVideo",
        "sendAudio",
        "sendVoice",
        "sendAnimation",
        "editMessageText",
        "editMessageCaption",
        "editMessageReplyMarkup",
        "sendMessageDraft",
        "deleteMessage",
        "sendChatAction",
    }
)
"""The methods that share the budget of a chat."""
