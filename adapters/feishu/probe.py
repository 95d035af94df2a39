"""``check --online`` for a bot: what its app and its settings at Feishu are like.

Rules of this file:
- it asks, and changes nothing: no message is sent, and the long connection that is asked for is not opened;
- what the platform does not tell is listed, so that the operator looks for himself;
- where Feishu takes no calls just now, one row says so, and no more permissions are asked for.

Source: pages "查询租户授权状态", "接收消息", "获取消息中的资源文件", "使用长连接接收回调", those of the calls tried.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from typing import Any, NamedTuple

import msgspec

from adapters.feishu.account import INFO, STOPPED, TIMEOUT, Account, info_of
from adapters.feishu.codes import PUBLISH, UNAVAILABLE_FIX, Misconfigured, MissingScope, QuotaUsedUp
from adapters.feishu.endpoint import TooMany, endpoint
from adapters.feishu.options import Options
from adapters.feishu.webhook import address
from bridge.model import BridgeError, Finding, Host, RateLimited, Rejected, Unreachable, Unsure

SCOPES = "/open-apis/application/v6/scopes"
GRANTED = 1
"""``grant_status`` of a scope that the app has."""
NETWORK = "look at the network, at proxy and at domain"
REFUSED = "look the code up in Feishu's documentation"
EVENTS = (
    "im.message.receive_v1",
    "im.message.recalled_v1",
    "im.chat.member.bot.added_v1",
    "im.chat.access_event.bot_p2p_chat_entered_v1",
)


class Need(NamedTuple):
    """Any one of ``scopes`` is enough; the first is the one to grant. ``without`` it this is lost."""

    scopes: tuple[str, ...]
    without: str
    required: bool = True


CARDS = Need(("cardkit:card:write",), "answers do not stream")
MESSAGES = Need(
    ("im:message:readonly", "im:message.history:readonly", "im:message"),
    "the bot sees neither the files that users send nor what they quote or forward",
    required=False,
)
GROUPS = Need(("im:chat:readonly", "im:chat:read", "im:chat"), "groups have no names", required=False)
_CONTACTS = ("contact:contact:readonly_as_app", "contact:contact:access_as_app", "contact:contact:readonly")
NEEDS = (
    Need(("im:message.p2p_msg:readonly", "im:message.p2p_msg"), "private messages do not come"),
    Need(
        ("im:message.group_at_msg:readonly", "im:message.group_at_msg", "im:message.group_msg"),
        "messages in groups do not come",
    ),
    Need(("im:message:send_as_bot", "im:message:send", "im:message"), "nothing can be answered"),
    Need(("im:resource",), "images and files cannot be sent"),
    CARDS,
    MESSAGES,
    GROUPS,
    Need(("contact:contact.base:readonly", *_CONTACTS), "users have no names", required=False),  # the call
    Need(("contact:user.base:readonly", *_CONTACTS), "users have no names", required=False),  # its field ``name``
)
TRIALS: tuple[tuple[Need, str, str, dict[str, Any] | None], ...] = (
    (CARDS, "PATCH", "/open-apis/cardkit/v1/cards/0/settings", {"settings": "{}", "sequence": 1}),
    (MESSAGES, "GET", "/open-apis/im/v1/messages/om_0", None),
    (GROUPS, "GET", "/open-apis/im/v1/chats/oc_0", None),
)
"""Calls on what does not exist: they fail in any case, and for the scope where it is missing."""


async def findings(account: Account, host: Host, options: Options) -> list[Finding]:
    """The rows for one bot. Nothing else is asked when the credentials do not work."""
    try:
        await account.api.authorize()
    except BridgeError as error:
        return [_failed(error)]
    rows = [Finding(True, f"the credentials are those of {account.api.app_id}")]
    limited = False
    try:
        rows.append(await _bot(account))
    except BridgeError as error:
        rows.append(_failed(error))
        limited = isinstance(error, RateLimited)
    if options.mode == "websocket":
        rows.append(await _long_connection(host, options))
    else:
        rows += _webhook(account, host, options)
    scopes, unknown = ([], NEEDS) if limited else await _scopes(account)
    return [*rows, *scopes, _console(options, unknown)]


def _failed(error: BridgeError) -> Finding:
    if isinstance(error, Misconfigured):
        return Finding(False, error.what, error.fix)
    if isinstance(error, QuotaUsedUp):
        return Finding(False, str(error), "wait for the next month, or ask for a larger plan")
    if isinstance(error, RateLimited):
        return Finding(False, str(error), "try again later")
    return Finding(False, str(error), NETWORK if isinstance(error, Unreachable | Unsure) else REFUSED)


async def _bot(account: Account) -> Finding:
    """Raises what Api.call raises."""
    info = info_of(await account.api.call("GET", INFO, timeout=TIMEOUT))
    if info.activate_status in STOPPED:
        return Finding(False, f"the app {STOPPED[info.activate_status]}", UNAVAILABLE_FIX)
    return Finding(True, f"its bot is {info.app_name!r} ({info.open_id})")


# ------------------------------------------------------------------ how events come


async def _long_connection(host: Host, options: Options) -> Finding:
    session, proxy = host.connection(options.origin)
    try:
        await endpoint(session, proxy, options.origin, options.app_id, options.app_secret)
    except TooMany:
        return Finding(False, "the app has its 50 long connections already", "stop what else runs with this app_id")
    except BridgeError as error:
        return _failed(error)
    return Finding(True, "Feishu grants a long connection")


def _webhook(account: Account, host: Host, options: Options) -> list[Finding]:
    url = address(host, account.bot)
    rows = [Finding(True, f"Feishu must know {url} as the request URL of events and of callbacks")]
    if not options.encrypt_key:
        fix = "for more, set encrypt_key here and in the developer console"
        rows.append(Finding(True, "events are known by the verification token alone, without a signature", fix))
    return rows


# ------------------------------------------------------------------ permissions


class _Scope(msgspec.Struct, frozen=True):
    scope_name: str
    grant_status: int


async def _scopes(account: Account) -> tuple[list[Finding], Sequence[Need]]:
    """The rows, and the needs of which nothing is known."""
    try:
        answer = await account.api.call("GET", SCOPES, timeout=TIMEOUT)
        listed = msgspec.convert(answer["data"]["scopes"], list[_Scope])
    except (Rejected, LookupError, TypeError, msgspec.ValidationError):
        return await _tried_out(account)
    except BridgeError as error:
        return [_failed(error)], NEEDS
    return list(_compared({scope.scope_name for scope in listed if scope.grant_status == GRANTED})), ()


def _compared(granted: Set[str]) -> Iterator[Finding]:
    there = dict.fromkeys(scope for need in NEEDS for scope in need.scopes if scope in granted)
    if there:
        yield Finding(True, f"granted: {', '.join(there)}")
    for need in NEEDS:
        if granted.isdisjoint(need.scopes):
            yield _missing(need)


async def _tried_out(account: Account) -> tuple[list[Finding], Sequence[Need]]:
    """Where the list of the scopes is not to be had."""
    rows, known = [], []
    try:
        for need, method, path, body in TRIALS:
            rows.append(await _tried(account, need, method, path, body))
            known.append(need)
    except BridgeError as error:
        rows.append(_failed(error))
    return rows, [need for need in NEEDS if need not in known]


async def _tried(account: Account, need: Need, method: str, path: str, body: dict[str, Any] | None) -> Finding:
    """Raises what Api.call raises, but for refusals."""
    try:
        await account.api.call(method, path, body, timeout=TIMEOUT)
    except MissingScope:
        return _missing(need)
    except Rejected:
        pass
    return Finding(True, f"granted: {' or '.join(need.scopes)}")


def _missing(need: Need) -> Finding:
    return Finding(not need.required, f"without {need.scopes[0]} {need.without}", PUBLISH)


def _console(options: Options, unknown: Sequence[Need]) -> Finding:
    way = "the long connection" if options.mode == "websocket" else "the request URL"
    scopes = ", ".join(need.scopes[0] for need in unknown)
    text = (
        f"look for yourself in the developer console: {f'the permissions {scopes} are granted; ' if unknown else ''}"
        f"the events {', '.join(EVENTS)} and the callback"
        f" card.action.trigger are subscribed, both by {way}; the newest version is published, and available to all"
        " who shall use the bot"
    )
    return Finding(True, text, "without the callback a button shows 200340; without publishing nothing changes")
