"""What can go wrong with an upstream, as one error with a reason.

Rules of this file:
- pure: status, headers and body in, an UpstreamError out;
- the name of an error (FastGPT's ``statusText``, OpenAI's ``type`` or ``code``) is matched first, then its words, then
  the numeric code in the body, then the HTTP status: FastGPT answers HTTP 500 whatever the code, its codes are list
  positions that shift between versions, and its message may be empty or an untranslated key;
- ``detail`` is the server's own message, cut to ``DETAIL`` characters; it is for the log, never for a user.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Literal

import msgspec

from bridge.model import BridgeError

Reason = Literal[
    "key",  # the key is not accepted
    "wrong_key",  # an account key where an app key is needed, or a personal key without app_id
    "rate",  # too many requests; retry_after says when
    "busy",  # this chat is still answering an earlier question
    "points",  # the AI points of the team are used up
    "quota",  # the balance, or another limit of the account or the key, is used up
    "permission",  # the key may not do this
    "not_found",
    "wrong_path",  # base_url leads somewhere else: a web page, another service
    "bad_request",
    "filter",  # refused by a content filter
    "length",  # the conversation is too long for the model
    "server",  # everything that is the server's own fault
    "protocol",  # an answer that is none
    "unreachable",
    "cut",  # the connection broke within the answer
    "timeout_first",
    "timeout_idle",
    "timeout_turn",
]

DETAIL = 300
RETRY = 5.0
"""Seconds to wait after a 429 that does not say how long."""


class UpstreamError(BridgeError):
    """The app did not answer.

    ``sent`` is false only when no byte of the request has left: the same request may then go out again.
    """

    def __init__(
        self, reason: Reason, detail: str = "", *, retry_after: float | None = None, sent: bool = True
    ) -> None:
        detail = _short(detail)
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason: Reason = reason
        self.detail = detail
        self.retry_after = retry_after
        """Seconds; set with reason ``rate``."""
        self.sent = sent


def _short(text: str) -> str:
    """On one line, at most DETAIL characters, the last word whole: half a key could not be recognised as one."""
    text = " ".join(text.split())
    if len(text) <= DETAIL:
        return text
    kept = text[: DETAIL - 1]
    return f"{kept.rpartition(' ')[0] or kept}…"


_NAMES: dict[str, Reason] = {
    # FastGPT: statusText. Every other "unAuth…" is a permission.
    "unauthapikey": "key",
    "unauthorization": "key",
    "openapiunexist": "key",
    "openapiunauth": "key",
    "aipointsnotenough": "points",
    "openapiexceedlimit": "quota",
    "insufficientquota": "quota",
    "teamoversize": "quota",
    "datasetsizenotenough": "quota",
    "linkuninvalid": "permission",
    "unexist": "not_found",
    "modelnamerequired": "bad_request",
    "chatisgenerating": "busy",
    # OpenAI and the endpoints that imitate it: error.code, error.type
    "invalid_api_key": "key",
    "authentication_error": "key",
    "unauthorized": "key",
    "insufficient_quota": "quota",
    "billing_error": "points",
    "rate_limit_exceeded": "rate",
    "rate_limit_error": "rate",
    "model_not_found": "not_found",
    "permission_error": "permission",
    "content_filter": "filter",
    "content_policy_violation": "filter",
    "context_length_exceeded": "length",
    "overloaded_error": "server",
    "server_error": "server",
    # zod, the input check of FastGPT since 2026
    "zoderror": "bad_request",
}

_WORDS: tuple[tuple[str, Reason], ...] = (
    (r"use the app key|rather than the account key|app_?id (?:is (?:empty|required)|required)", "wrong_key"),
    (r"chatIsGenerating", "busy"),
    (r"rate limit|too many requests|请求过于频繁", "rate"),
    (r"points? (?:is |are )?not enough|insufficient points|积分不足", "points"),
    (r"insufficient (?:balance|quota)|exceeded your current quota|余额不足", "quota"),
    (r"incorrect api key|invalid api key|key is error|api ?key 不合法|no api key", "key"),
    (r"cannot (?:post|get) /|page not found|invalid url", "wrong_path"),
    (r"maximum context|context length|too many tokens", "length"),
    (r"content (?:filter|policy|management policy)|data_inspection_failed", "filter"),
    (r"^app is empty$", "not_found"),
    (r"is empty$|invalid input|invalid_type|validation (?:error|failed)", "bad_request"),
)
"""What messages say, the telling ones first; upper and lower case alike."""

_CODES: dict[int, Reason] = {
    400: "bad_request",
    401: "key",
    402: "points",
    403: "permission",
    404: "not_found",
    405: "wrong_path",
    409: "busy",
    413: "bad_request",
    422: "bad_request",
    429: "rate",
    # FastGPT's own numbers; those of six digits are not stable and are not used
    510: "quota",
    511: "permission",
    513: "permission",
    514: "key",
}

_IN_SECONDS = re.compile(r"in (\d+(?:\.\d+)?) ?s(?:ec(?:ond)?s?)?\b", re.IGNORECASE)
_MESSAGE = ("message", "msg", "detail", "error")
"""Keys under which an error says what it is."""
_NUMBER = re.compile(r"\d{1,15}(?:\.\d{1,9})?")
_EVENT = re.compile(rb"^data: ?(\{.+)$", re.MULTILINE)
_TITLE = re.compile(rb"<title[^>]*>(.*?)</title", re.IGNORECASE | re.DOTALL)


def of_response(status: int, headers: Mapping[str, str], body: bytes, now: float) -> UpstreamError:
    """The error in a reply that is no answer. ``now`` in Unix seconds; header names in lower case."""
    text = body.strip()
    if 300 <= status < 400:
        return UpstreamError("wrong_path", f"HTTP {status}, redirected to {headers.get('location', '')}")
    if text.startswith(b"<") or headers.get("content-type", "").startswith("text/html"):
        title = _TITLE.search(text)
        detail = f"HTTP {status}, a web page: {title[1].decode('utf-8', 'replace') if title else ''}"
        lost = status < 300 or status in (404, 405)
        return UpstreamError("wrong_path" if lost else _reason([], "", [status], "server"), detail)
    event = _EVENT.search(text)  # an error event under an error status
    try:
        payload = msgspec.json.decode(event[1] if event else text)
    except (ValueError, RecursionError):
        payload = text.decode("utf-8", "replace")
    told = isinstance(payload, dict) and any(map(payload.get, _MESSAGE))
    return _judged(payload, status, headers, now, "server" if told or status >= 300 else "protocol")


def of_payload(payload: object) -> UpstreamError:
    """The error in the decoded payload of an event, or in the ``error`` of an answer, whatever its shape."""
    return _judged(payload, 200, {}, 0.0, "server")


def retry_after(headers: Mapping[str, str], words: str, now: float) -> float:
    """Seconds to wait: ``Retry-After`` (seconds or a date), the server's own words, or ``X-RateLimit-Reset``."""
    told = headers.get("retry-after", "").strip()
    if _NUMBER.fullmatch(told):
        return float(told)
    if told:
        try:
            return max(0.0, parsedate_to_datetime(told).timestamp() - now)
        except ValueError:
            pass
    if found := _IN_SECONDS.search(words):
        return float(found[1])
    reset = headers.get("x-ratelimit-reset", "").strip()
    if not _NUMBER.fullmatch(reset):
        return RETRY
    when = float(reset)
    if when > 1e11:  # milliseconds since 1970 (FastGPT); else seconds since 1970, or seconds from now
        when /= 1000
    return max(0.0, when - now if when > 1e9 else when)


def _judged(payload: object, status: int, headers: Mapping[str, str], now: float, fallback: Reason) -> UpstreamError:
    names: list[str] = []
    words: list[str] = []
    codes: list[int] = []
    _read(payload, names, words, codes, depth=3)
    message = " ".join(words)
    reason = _reason(names, message, [*codes, status], fallback)
    wait = retry_after(headers, message, now) if reason == "rate" else None
    told = [name for name in dict.fromkeys(names) if name and name.lower() != "error"]
    return UpstreamError(reason, ": ".join([*told, *filter(str.strip, words)]) or f"HTTP {status}", retry_after=wait)


def _read(payload: object, names: list[str], words: list[str], codes: list[int], depth: int) -> None:
    """Collects names, words and codes from ``"…"``, ``{"code","statusText","message"}``, ``{"code","msg"}``,
    ``{"error": {"message","type","code"}}``, ``{"error": "…"}`` and ``{"detail": …}``."""
    if isinstance(payload, str):
        words.append(payload)
    elif isinstance(payload, list) and payload and depth:
        _read(payload[0], names, words, codes, depth - 1)
    elif isinstance(payload, dict) and depth:
        for key in ("statusText", "name", "type", "code", "status"):
            value = payload.get(key)
            if isinstance(value, str) and value.isdecimal() and len(value) <= 6:
                codes.append(int(value))
            elif isinstance(value, str):
                names.append(value)
            elif isinstance(value, int) and not isinstance(value, bool):
                codes.append(value)
        for key in _MESSAGE:
            if payload.get(key):
                _read(payload[key], names, words, codes, depth - 1)


def _reason(names: list[str], words: str, codes: list[int], fallback: Reason) -> Reason:
    for name in (*names, words.strip()):
        if found := _NAMES.get(name.lower()):
            return found
        if name.startswith("unAuth"):
            return "permission"
    for pattern, reason in _WORDS:
        if re.search(pattern, words, re.IGNORECASE):
            return reason
    for code in codes:
        if found := _CODES.get(code):
            return found
    return "bad_request" if any(400 <= code < 500 for code in codes) else fallback
