"""What Feishu's error codes mean for the bridge.

Rules of this file:
- pure: one table, from a code to one of the bridge's errors;
- words of our own where the operator can do something, else the first sentence of Feishu's. What stands behind it (the
  values that were wrong) may be a text of the user and is left out;
- a code that is not in the table is a ``Refused``: whoever made the call knows whether he can do anything about it.

Source: the error tables of the pages "回复消息", "发送消息", "流式更新卡片" and "获取消息中的资源文件", the page
"服务端错误码说明" (generic codes), the page "频控策略" (limits).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

from bridge.model import BridgeError, Fatal, Gone, RateLimited, Rejected, TooBig, Unreachable, Unsure

UNKNOWN_APP = 10003
"""What the token call says of a wrong ``app_id``. Elsewhere it is any wrong parameter."""
CREDENTIALS = "Feishu does not know this app_id with this app_secret"
CREDENTIALS_FIX = "copy both from the developer console (Credentials & Basic Info); for Lark set domain, too"
NO_BOT = "the app has no bot"
UNAVAILABLE = "the app is disabled or not installed in this company"
UNAVAILABLE_FIX = "publish a version in the developer console and let an administrator enable it"
NOT_ALLOWED = "our address is not in the app's IP allowlist"
_FIXES = {
    CREDENTIALS: CREDENTIALS_FIX,
    NO_BOT: "add the feature Bot in the developer console and publish a version",
    UNAVAILABLE: UNAVAILABLE_FIX,
    NOT_ALLOWED: "add it in the developer console (Security Settings)",
}

PUBLISH = "grant it in the developer console (Permissions & Scopes) and publish a version"

QUOTA_WAIT = 600.0
"""Seconds until a call is worth a try when the month's quota is used up: it may have been raised."""
APP_WAIT, CHAT_WAIT = 5.0, 1.0
"""Seconds to wait where Feishu does not say how long."""

_MOST = 120
"""Characters of Feishu's own words."""
_INNER = re.compile(r"ErrCode: ?([0-9]{1,12})")
_SENTENCE = re.compile(r"[.。!！](?=\s|$|[^\x00-\x7f])|[\r\n]|;? *ErrorValue")
_LIST = re.compile(r"\[([^\]]*)\]")
_SCOPE = re.compile(r"\w+(?:[:.][\w.-]+)+", re.ASCII)

_Kind = Literal["app limit", "chat limit", "quota", "busy", "token", "scope", "console", "closed", "too big"]

_TABLE: Mapping[int, tuple[_Kind, str]] = {
    # limits: each API counts per app and company, messages also per user and group (5 a second), cards per card
    99991400: ("app limit", "the app calls too often"),
    11232: ("app limit", "the app sends too often"),
    11247: ("app limit", "the app sends too often"),
    11233: ("chat limit", "too many messages for this chat"),
    230020: ("chat limit", "too many calls for this chat or message"),
    99991403: ("quota", "the company's API calls of this month are used up"),
    # passing faults: the same call may work in a moment, and may have worked
    2200: ("busy", ""),
    1663: ("busy", ""),
    300000: ("busy", ""),
    300120: ("busy", ""),
    200810: ("busy", "a user is just using the card"),
    230049: ("busy", ""),  # a message with this uuid is on its way
    # the token
    99991661: ("token", ""),
    99991663: ("token", ""),
    99991668: ("token", ""),
    # what only the operator can mend
    10014: ("console", CREDENTIALS),
    10015: ("console", CREDENTIALS),
    99991543: ("console", CREDENTIALS),
    11205: ("console", NO_BOT),
    11240: ("console", NO_BOT),
    230006: ("console", NO_BOT),
    232025: ("console", NO_BOT),
    11207: ("console", UNAVAILABLE),
    11210: ("console", UNAVAILABLE),
    212100: ("console", UNAVAILABLE),
    99991662: ("console", UNAVAILABLE),
    99991673: ("console", UNAVAILABLE),
    99991401: ("console", NOT_ALLOWED),
    # permissions
    99991672: ("scope", ""),
    99991676: ("scope", ""),
    99991679: ("scope", ""),
    # chats that are closed to the bot
    230002: ("closed", "the bot is not in this group"),
    230013: ("closed", "the user is outside the app's availability, or has left the company"),
    230018: ("closed", "the group's settings do not let the bot speak"),
    230019: ("closed", "the topic is not there any more"),
    230035: ("closed", "the bot may not speak here: muted, blocked, or forbidden by the company"),
    230038: ("closed", "a private chat with another company's user"),
    232009: ("closed", "the group was dissolved"),
    # files
    234037: ("too big", ""),
}


class Misconfigured(Fatal):
    """Something in the config or the developer console is wrong: ``what``, and the ``fix``."""

    def __init__(self, what: str, fix: str) -> None:
        super().__init__(f"{what}: {fix}")
        self.what = what
        self.fix = fix


class Refused(Rejected):
    """A designed refusal. ``code`` is Feishu's; ``inner`` the one within it (11310 in a 230099), else 0."""

    def __init__(self, code: int, message: str = "", inner: int = 0) -> None:
        super().__init__(message or f"Feishu refuses the call ({code})")
        self.code = code
        self.inner = inner


class MissingScope(Refused):
    """A permission was not granted, or no version was published since. ``scopes``: any one of them is enough."""

    def __init__(self, code: int, message: str = "", scopes: tuple[str, ...] = ()) -> None:
        super().__init__(code, message)
        self.scopes = scopes


class QuotaUsedUp(RateLimited):
    """The company's API calls of this month are used up."""


class TokenRefused(Unreachable):
    """Feishu does not take the token of this call: nothing was done."""


def refusal(code: int, message: str, retry_after: float | None, status: int, log_id: str = "") -> BridgeError:
    """What an answer with a ``code`` other than 0 means. ``message`` is Feishu's ``msg``, ``retry_after`` seconds of
    its header, ``status`` that of HTTP, ``log_id`` what Feishu's support asks for."""
    kind, words = _TABLE.get(code, (None, ""))
    text = f"{words or _first_sentence(message)} (code {code}{f', log {log_id}' if log_id else ''})".lstrip()
    match kind:
        case "chat limit":
            return RateLimited(CHAT_WAIT if retry_after is None else retry_after, text)
        case "quota":
            return QuotaUsedUp(QUOTA_WAIT, text, whole_bot=True)
        case "token":
            return TokenRefused(f"Feishu does not take its token: {text}")
        case "console":
            return Misconfigured(text, _FIXES[words])
        case "scope":
            scopes = scopes_in(message)
            return MissingScope(code, f"a permission is missing: {' or '.join(scopes) or text}", scopes)
        case "closed":
            return Gone(text)
        case "too big":
            return TooBig()
    if kind == "app limit" or status == 429:
        return RateLimited(APP_WAIT if retry_after is None else retry_after, text, whole_bot=True)
    if kind == "busy" or status >= 500:
        return Unsure(f"Feishu has a passing fault: {text}")
    inner = _INNER.search(message)
    return Refused(code, f"Feishu refuses: {text}", int(inner[1]) if inner else 0)


def scopes_in(message: str) -> tuple[str, ...]:
    """The names of the scopes that a message lists: ``… scopes is required: [im:message, im:resource].``"""
    found = _LIST.search(message)
    return tuple(_SCOPE.findall(found[1])) if found else ()


def _first_sentence(message: str) -> str:
    sentence = _SENTENCE.split(message.strip(), maxsplit=1)[0].strip()
    return sentence if len(sentence) <= _MOST else f"{sentence[:_MOST]}…"
