"""Calls to the official account's API, and what their failures mean.

Rules of this file:
- over the one HTTP session of the process, and never to where a redirect points: the token is in every address;
- an access token is had once for all who wait for it, five minutes before the old one ends, and anew when WeChat does
  not take it. It is the stable one: it does not end the token of another program on the same account;
- every failure leaves as one of the bridge's errors, with WeChat's number and never its words, which may quote the
  request; of an exception only the name of its class is told.

Source: developers.weixin.qq.com, "获取稳定版接口调用凭据", "全局返回码".
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Mapping
from typing import Any

import aiohttp
import msgspec

from bridge.model import BridgeError, Exhausted, Fatal, Gone, Overfull, RateLimited, Rejected, Unreachable, Unsure

CONNECT, TIMEOUT = 10.0, 15.0
"""Seconds to connect, and for the whole of a call."""
EARLY = 300.0
"""Seconds before the end of an access token at which the next one is had."""
SLOW_DOWN = 60.0
"""Seconds to wait where WeChat wants fewer calls: it does not say how long."""
BUSY = 2.0
"""Seconds to wait where WeChat itself is busy."""
STALE = frozenset({40001, 40014, 42001})
_NOT_SENT = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.ClientHttpProxyError)
_ADDRESS = re.compile(r"\b(?:\d{1,3}\.){3}\d{1,3}\b|(?<![\w:])[0-9a-fA-F]*:[0-9a-fA-F:]{2,}")


class NotAllowed(Unreachable):
    """WeChat does not take calls from this address: it is not on the account's IP allow list."""

    def __init__(self, address: str) -> None:
        super().__init__(f"WeChat does not take calls from {address}: it is not on the account's IP allow list")
        self.address = address


class Unverified(Exhausted):
    """The account may not send messages of its own accord: it is not verified; set verified: false."""


class Refused(Rejected):
    """WeChat refuses the call."""

    def __init__(self, code: int) -> None:
        super().__init__(f"WeChat refuses the call (errcode {code})")
        self.code = code


class Api:
    """The API, as one account sees it. ``connection`` is ``Host.connection``."""

    def __init__(
        self,
        connection: Callable[[str], tuple[aiohttp.ClientSession, str | None]],
        base: str,
        app_id: str,
        app_secret: str,
    ) -> None:
        self._connection = connection
        self._base = base.rstrip("/")
        self._app_id = app_id
        self._app_secret = app_secret
        self._token = ""
        self._until = 0.0
        self._getting = asyncio.Lock()

    async def call(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """One call of ``/cgi-bin/{path}``: the JSON of the answer.

        Raises RateLimited, Unreachable (nothing was sent, or the address is not allowed), Unsure, Exhausted, Gone,
        Overfull, Fatal (the credentials) and Refused.
        """
        return await self._with_token(path, {}, lambda: {"data": msgspec.json.encode(body)})

    async def upload(self, path: str, query: Mapping[str, str], name: str, data: bytes, mime: str) -> dict[str, Any]:
        """The same with a file, as the form field ``media``."""

        def form() -> dict[str, Any]:
            fields = aiohttp.FormData(quote_fields=False)
            fields.add_field("media", data, filename=name, content_type=mime)
            return {"data": fields}

        return await self._with_token(path, query, form)

    async def _with_token(
        self, path: str, query: Mapping[str, str], request: Callable[[], dict[str, Any]]
    ) -> dict[str, Any]:
        token = await self.token()
        try:
            return await self._post(path, {**query, "access_token": token}, **request())
        except Refused as refusal:
            if refusal.code not in STALE:
                raise
        token = await self.token(instead_of=token)
        try:
            return await self._post(path, {**query, "access_token": token}, **request())
        except Refused as refusal:
            if refusal.code in STALE:  # nothing was sent; another program may fight with us for the token
                raise RateLimited(SLOW_DOWN, str(refusal), whole_bot=True) from None
            raise

    async def token(self, instead_of: str = "") -> str:
        """An access token, another one than this."""
        async with self._getting:
            if self._token in ("", instead_of) or time.monotonic() >= self._until:
                body = {
                    "grant_type": "client_credential",
                    "appid": self._app_id,
                    "secret": self._app_secret,
                    "force_refresh": bool(instead_of),
                }
                try:
                    found = await self._post("stable_token", {}, data=msgspec.json.encode(body))
                except Unsure as error:  # whatever became of it, no message was sent
                    raise Unreachable(str(error)) from None
                self._token = str(found.get("access_token", ""))
                self._until = time.monotonic() + float(found.get("expires_in", 0)) - EARLY
            return self._token

    async def _post(self, path: str, query: Mapping[str, str], **request: Any) -> dict[str, Any]:
        url = f"{self._base}/cgi-bin/{path}"
        session, proxy = self._connection(url)
        limits = aiohttp.ClientTimeout(total=TIMEOUT, connect=CONNECT)
        try:
            async with session.post(
                url, params=query, timeout=limits, proxy=proxy, allow_redirects=False, **request
            ) as response:
                return _read(response.status, await response.read())
        except _NOT_SENT as error:
            raise Unreachable(f"WeChat's API cannot be reached ({type(error).__name__})") from None
        except TimeoutError:
            raise Unsure("WeChat's API did not answer in time") from None
        except aiohttp.ClientError as error:
            raise Unsure(f"WeChat's API did not answer ({type(error).__name__})") from None


def _read(status: int, raw: bytes) -> dict[str, Any]:
    """The JSON of an answer. Raises what it means when it is not a success."""
    if status == 429:
        raise RateLimited(SLOW_DOWN, "WeChat wants fewer calls", whole_bot=True)
    try:
        found = msgspec.json.decode(raw)
    except ValueError:
        found = None
    if status != 200 or not isinstance(found, dict):
        raise Unsure(f"WeChat's API did not answer as expected (HTTP {status})")
    if code := found.get("errcode"):
        raise _meaning(int(code), str(found.get("errmsg", "")))
    return found


def _meaning(code: int, words: str) -> BridgeError:
    match code:
        case -1:
            return RateLimited(BUSY, "WeChat is busy", whole_bot=True)
        case 45009 | 45011:
            return RateLimited(SLOW_DOWN, f"WeChat wants fewer calls (errcode {code})", whole_bot=True)
        case 40164 | 61004:
            found = _ADDRESS.search(words)
            return NotAllowed(found[0] if found else "our address")
        case 40013:
            return Fatal("WeChat does not know the app_id.")
        case 40125:
            return Fatal("WeChat does not accept the app_secret.")
        case 48001:
            return Unverified()
        case 45015 | 45047:
            return Exhausted(f"WeChat takes no more messages for this one (errcode {code})")
        case 40003 | 43004 | 43019:
            return Gone(f"the user does not follow the account any more (errcode {code})")
        case 45002:
            return Overfull(f"WeChat finds it too long (errcode {code})")
    return Refused(code)
