"""``check --online`` for a bot: what its account and its settings at Telegram are like.

Rules of this file:
- it asks, and changes nothing: no poll, which takes messages away, and no setWebhook;
- of another program's webhook only the host is named: the path may hold a secret.

Source: Bot API, User (getMe), WebhookInfo; Bot FAQ (privacy mode); Local Bot API Server (any address and port).
"""

from __future__ import annotations

import time
from urllib.parse import urlsplit

import msgspec

from adapters.telegram.account import TIMEOUT, Account
from adapters.telegram.api import NotFound
from adapters.telegram.rival import last_seen
from adapters.telegram.webhook import Info, address
from bridge.model import BridgeError, Fatal, Finding, Host, RateLimited

RECENT = 3600.0
"""Seconds for which an old failure is worth a row."""
PORTS = (None, 443, 80, 88, 8443)


class Me(msgspec.Struct, frozen=True):
    """What getMe tells of us. A server that does not name a setting gets no row about it."""

    id: int
    username: str = ""
    can_join_groups: bool = True
    can_read_all_group_messages: bool = True


async def findings(account: Account, host: Host, mode: str) -> list[Finding]:
    """The rows for one bot. Nothing else is asked when the token does not work."""
    try:
        me = msgspec.convert(await account.api.call("getMe", {}, timeout=TIMEOUT), Me)
        info = msgspec.convert(await account.api.call("getWebhookInfo", {}, timeout=TIMEOUT), Info)
    except Fatal:
        return [Finding(False, "Telegram does not know this token", "get the bot's token from @BotFather")]
    except NotFound as error:
        return [Finding(False, str(error), "correct api_base or token")]
    except RateLimited as limit:
        return [Finding(False, str(limit), "try again then")]
    except (BridgeError, msgspec.ValidationError) as error:
        return [Finding(False, str(error), "look at the network, at proxy and at api_base")]
    rows = [Finding(True, f"the token is that of @{me.username} (id {me.id})"), *_settings(me)]
    rows += _webhook(info, host, account.bot) if mode == "webhook" else _polling(info)
    return rows + await _rivals(host)


def _settings(me: Me) -> list[Finding]:
    rows = []
    if not me.can_read_all_group_messages:
        text = "privacy mode is on: in groups Telegram brings only commands, mentions and replies"
        rows.append(
            Finding(True, text, "for all messages: /setprivacy at @BotFather, then remove the bot and add it again")
        )
    if not me.can_join_groups:
        text = "the bot cannot be added to groups"
        rows.append(Finding(True, text, "if it shall be: /setjoingroups at @BotFather"))
    return rows


def _polling(info: Info) -> list[Finding]:
    if not info.url:
        return []
    text = f"a webhook at {_host_of(info.url)} is set for this token; a poll gets nothing beside it"
    return [Finding(False, text, "`run` removes it; if it comes back, stop the program that sets it")]


def _webhook(info: Info, host: Host, bot: str) -> list[Finding]:
    if not host.public_url:
        return [Finding(False, "mode: webhook, but there is no http.public_url", "set it to our https address")]
    rows = []
    ours = info.url == address(host, bot)
    if not ours:  # what the server has taken is right, whatever the rules say
        rows += _address(host.public_url)
    if ours:
        rows.append(Finding(True, "the webhook is set"))
    elif info.url:
        text = f"the webhook is set to {_host_of(info.url)}, not to us"
        rows.append(Finding(False, text, "`run` sets ours; if it does not stay, stop the program that sets the other"))
    else:
        rows.append(Finding(True, "no webhook is set yet: `run` does it"))
    if ours and time.time() - info.last_error_date < RECENT:
        text = f"Telegram could not reach us at {_clock(info.last_error_date)}: {info.last_error_message}"
        rows.append(Finding(False, text, "look at public_url, the proxy in front of us and its certificate"))
    if info.pending_update_count:
        rows.append(Finding(True, f"{info.pending_update_count} updates wait at Telegram"))
    return rows


def _address(public_url: str) -> list[Finding]:
    """What Telegram takes. Only a Bot API server of one's own, run with ``--local``, takes more."""
    try:
        url = urlsplit(public_url)
        port = url.port
    except ValueError:
        return [Finding(False, "http.public_url is no address", "write it as https://bot.example.com")]
    rows = []
    if url.scheme != "https":
        text = "http.public_url is not https, and Telegram posts to nothing else"
        rows.append(Finding(False, text, "put a proxy with a certificate in front of us"))
    if port not in PORTS:
        text = f"http.public_url has port {port}, and Telegram posts to none but 443, 80, 88 and 8443"
        rows.append(Finding(False, text, "let it be served on one of these"))
    return rows


async def _rivals(host: Host) -> list[Finding]:
    seen = await last_seen(host)
    if seen is None or time.time() - seen.at > RECENT:
        return []
    return [Finding(False, f"{seen.detail} at {_clock(seen.at)}", "stop it, or revoke the token at @BotFather")]


def _host_of(url: str) -> str:
    return urlsplit(url).hostname or "another address"


def _clock(at: float) -> str:
    return time.strftime("%H:%M", time.localtime(at))
