"""Calls to iLink, Tencent's bot channel for personal WeChat, and what their failures mean.

Rules of this file:
- over the one HTTP session of the process, and never to where a redirect points: the token is in every request;
- results stay plain values;
- every failure leaves as one of the bridge's errors. Neither the token nor a text is ever part of it: of an exception
  only the name of its class is told, of a refusal only its number, because other words may quote the request;
- a success is a JSON object without a ``ret`` or ``errcode`` other than 0. What that means for a message (0 is not
  delivery) is the caller's matter.

Source: npm @tencent-weixin/openclaw-weixin 2.4.9, the channel's own client.
"""

from __future__ import annotations

import base64
import json
import math
import secrets
from collections.abc import Callable, Mapping
from typing import Any

import aiohttp
import msgspec

from bridge.model import Exhausted, Fatal, RateLimited, Rejected, Unreachable, Unsure

CONNECT = 10.0
"""Seconds to connect."""
PROTOCOL = (2, 4, 9)
"""The revision of the protocol that is spoken here."""
BASE_INFO = {"channel_version": ".".join(map(str, PROTOCOL)), "bot_agent": "fastgpt-bridge/1"}
"""Part of every body. ``bot_agent`` serves their statistics only: at most 256 bytes of ASCII, written as ``Name/1``."""
STALE_TOKEN, EXHAUSTED = -14, -2
SLOW_DOWN = 5.0
"""Seconds to wait after HTTP 429 when it does not say."""

_APP = {"iLink-App-Id": "bot", "iLink-App-ClientVersion": str(PROTOCOL[0] << 16 | PROTOCOL[1] << 8 | PROTOCOL[2])}
_NOT_SENT = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.ClientHttpProxyError)


class LoginNeeded(Fatal):
    """WeChat does not take this login any more."""


class TimedOut(Unsure):
    """iLink did not answer in time."""


class Credentials(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a login has brought."""

    token: str
    bot_id: str
    """``xxx@im.bot``."""
    user_id: str
    """``xxx@im.wechat``: whoever scanned the code, and the only one the bot talks to."""
    base_url: str
    """Where this login's calls go; empty = the configured address."""
    at: float = 0.0
    """Unix seconds of the login. A login that changes nothing else is news as well: the token may be good again."""

    def __repr__(self) -> str:
        return f"Credentials({self.bot_id!r})"


class Api:
    """iLink, as one bot sees it. ``credentials`` are None until somebody is logged in, and ``base_url`` is the
    configured address; ``connection`` is ``Host.connection``."""

    def __init__(self, connection: Callable[[str], tuple[aiohttp.ClientSession, str | None]], base_url: str) -> None:
        self.connection = connection
        self.base_url = base_url.rstrip("/")
        self.credentials: Credentials | None = None

    async def call(self, path: str, body: Mapping[str, Any], *, timeout: float) -> dict[str, Any]:
        """One call of ``/ilink/bot/{path}``: the JSON of the answer. ``timeout`` in seconds is for the whole of it.

        Raises LoginNeeded (-14), Exhausted (-2), Rejected (other numbers), RateLimited, Unreachable (nothing was
        sent), TimedOut and Unsure.
        """
        own = self.credentials
        headers = {
            **_APP,
            "Content-Type": "application/json",
            "AuthorizationType": "ilink_bot_token",
            "X-WECHAT-UIN": base64.b64encode(str(secrets.randbits(32)).encode()).decode(),
        }
        if own is not None:
            headers["Authorization"] = f"Bearer {own.token}"
        url = f"{own.base_url if own and own.base_url else self.base_url}/ilink/bot/{path}"
        data = msgspec.json.encode({**body, "base_info": BASE_INFO})
        return await self._answer("POST", url, timeout, data=data, headers=headers)

    async def get(self, path: str, query: Mapping[str, str], *, timeout: float, base_url: str = "") -> dict[str, Any]:
        """The same by GET, which shows nobody's token. ``base_url`` is where to, instead of the configured address."""
        url = f"{base_url or self.base_url}/ilink/bot/{path}"
        return await self._answer("GET", url, timeout, params=query, headers=_APP)

    async def _answer(self, method: str, url: str, timeout: float, **request: Any) -> dict[str, Any]:
        session, proxy = self.connection(url)
        limits = aiohttp.ClientTimeout(total=timeout, connect=CONNECT)
        try:
            async with session.request(
                method, url, timeout=limits, proxy=proxy, allow_redirects=False, **request
            ) as response:
                raw = await response.read()
        except _NOT_SENT as error:
            raise Unreachable(f"iLink cannot be reached ({type(error).__name__})") from None
        except TimeoutError:
            raise TimedOut from None
        except aiohttp.ClientError as error:
            raise Unsure(f"iLink did not answer ({type(error).__name__})") from None
        return _read(response, raw)


def _read(response: aiohttp.ClientResponse, raw: bytes) -> dict[str, Any]:
    """The JSON of an answer. Raises what it means when it is not a success."""
    status, found = response.status, _object(raw)
    if status == 429:
        raise RateLimited(_seconds(response.headers.get("Retry-After", "")), "iLink wants fewer calls", whole_bot=True)
    if found is None:
        raise Unsure(f"iLink did not answer as expected (HTTP {status}, not its JSON)")
    if status < 500:
        codes = [code for code in (found.get("ret"), found.get("errcode")) if isinstance(code, int) and code]
        if STALE_TOKEN in codes:
            raise LoginNeeded
        if EXHAUSTED in codes:
            raise Exhausted
        if codes:
            raise Rejected(f"iLink refuses the call (ret {codes[0]})")
        if status < 300:
            return found
    raise Unsure(f"iLink did not answer as expected (HTTP {status})")


def _object(raw: bytes) -> dict[str, Any] | None:
    """The JSON object. A lone surrogate or a broken letter in one message must not keep the others: it becomes a
    question mark."""
    try:
        found = msgspec.json.decode(raw)
    except (ValueError, RecursionError):
        try:
            loose = json.loads(raw.decode("utf-8", "replace"), parse_constant=lambda _: None)
            found = msgspec.json.decode(json.dumps(loose, ensure_ascii=False).encode("utf-8", "replace"))
        except (ValueError, RecursionError):
            return None
    return found if isinstance(found, dict) else None


def _seconds(header: str) -> float:
    try:
        seconds = float(header)
    except ValueError:
        return SLOW_DOWN
    return seconds if math.isfinite(seconds) and seconds >= 0 else SLOW_DOWN
