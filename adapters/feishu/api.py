"""Calls to the open platform, files to it and from it, and what their failures mean.

Rules of this file:
- over the one HTTP session of the process: the SDK builds a client for each call, which costs thirty times the CPU;
- results stay plain values;
- every failure leaves as one of the bridge's errors (codes.py). Neither the secret, a token nor a text is ever part of
  it: of an exception only the name of its class is told, because others may quote the address or the body;
- a token that is refused is renewed, and the call repeated, once: a refused call has done nothing.

Source: pages "自建应用获取 tenant_access_token", "获取消息中的资源文件", "频控策略".
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, TypeVar
from urllib.parse import quote

import aiohttp
import msgspec

from adapters.feishu.codes import (
    CREDENTIALS,
    CREDENTIALS_FIX,
    UNKNOWN_APP,
    Misconfigured,
    Refused,
    TokenRefused,
    refusal,
)
from adapters.feishu.token import Token
from bridge.model import BridgeError, Fatal, Rejected, TooBig, Unreachable, Unsure

TOKEN_PATH = "/open-apis/auth/v3/tenant_access_token/internal"  # noqa: S105 (an address)
CALL_SECONDS, UPLOAD_SECONDS, CONNECT_SECONDS = 30.0, 60.0, 10.0
DOWNLOAD_TIMEOUT = aiohttp.ClientTimeout(connect=CONNECT_SECONDS, sock_read=30)
DOWNLOAD_MOST = 100 * 2**20
"""Bytes of a file that the platform hands out."""
PIECE = 64 * 1024

_JSON = "application/json; charset=utf-8"
_LOG_ID = re.compile(r"[\w-]{1,64}", re.ASCII)
_NOT_SENT = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.ClientHttpProxyError)

_T = TypeVar("_T")


class Api:
    """The open platform, as the app ``app_id`` sees it. ``domain`` is its address without a path."""

    def __init__(
        self, app_id: str, app_secret: str, domain: str, session: aiohttp.ClientSession, proxy: str | None
    ) -> None:
        self.app_id = app_id
        self._credentials = {"app_id": app_id, "app_secret": app_secret}
        self._domain = domain.rstrip("/")
        self._session = session
        self._proxy = proxy
        self._token = Token(self._fetch_token)

    async def close(self) -> None:
        """End what goes on behind the calls; calls can still be made. The session stays open: it is not ours."""
        await self._token.close()

    async def authorize(self) -> None:
        """Get a token, unless there is one. Raises Fatal when the credentials are wrong, else what ``call`` does."""
        await self._token.get()

    async def refused(self) -> Fatal:
        """Waits until Feishu does not take the credentials (any more), and brings what says so."""
        return await self._token.refused()

    async def call(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, str] | None = None,
        *,
        timeout: float | None = None,
    ) -> dict[str, Any]:
        """One call: the whole JSON of the answer, whose ``code`` is 0. ``path`` begins with ``/open-apis/``;
        ``timeout`` in seconds is for the whole of it.

        Raises RateLimited, QuotaUsedUp, Refused, MissingScope, Gone, Unreachable (nothing was done), Unsure and Fatal.
        """
        data = None if body is None else msgspec.json.encode(body)
        headers = {} if body is None else {"Content-Type": _JSON}
        seconds = timeout or CALL_SECONDS
        return await self._with_token(
            lambda bearer: self._answer(method, path, data, query, {**headers, **bearer}, seconds)
        )

    async def upload(self, path: str, fields: Mapping[str, str], name: str, data: bytes, field: str) -> dict[str, Any]:
        """Send a file as the form's ``field``, with ``fields`` beside it. Else like ``call``."""

        def form() -> aiohttp.FormData:
            made = aiohttp.FormData(quote_fields=False)  # a name goes as UTF-8, not in percent signs
            for key, value in fields.items():
                made.add_field(key, value)
            filename = "".join(char for char in name if char.isprintable()) or "file"
            # as a stream: aiohttp warns of more than 1 MB of bare bytes
            made.add_field(field, io.BytesIO(data), filename=filename, content_type="application/octet-stream")
            return made

        return await self._with_token(lambda bearer: self._answer("POST", path, form(), None, bearer, UPLOAD_SECONDS))

    async def open_file(self, message_id: str, key: str, kind: str) -> AsyncIterator[bytes]:
        """The bytes of a file in a message, in pieces; ``kind`` is ``image`` or ``file`` (audio and video, too).
        Raises TooBig (over 100 MB), and what ``call`` does."""
        path = f"/open-apis/im/v1/messages/{quote(message_id, safe='')}/resources/{quote(key, safe='')}"
        try:
            async with await self._with_token(lambda bearer: self._opened(path, {"type": kind}, bearer)) as response:
                if (response.content_length or 0) > DOWNLOAD_MOST:
                    raise TooBig
                size = 0
                async for piece in response.content.iter_chunked(PIECE):
                    size += len(piece)
                    if size > DOWNLOAD_MOST:
                        raise TooBig
                    yield piece
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Unreachable(f"the file did not come ({type(error).__name__})") from None

    async def _with_token(self, attempt: Callable[[Mapping[str, str]], Awaitable[_T]]) -> _T:
        """What ``attempt`` brings, which is given the header that holds the token."""
        token = await self._token.get()
        try:
            return await attempt(_bearer(token))
        except TokenRefused:
            token = await self._token.renew(token)
        return await attempt(_bearer(token))

    async def _opened(self, path: str, query: Mapping[str, str], headers: Mapping[str, str]) -> aiohttp.ClientResponse:
        """The answer that a file comes in. Whoever calls closes it."""
        response = await self._session.get(
            self._domain + path,
            params=query,
            headers=headers,
            timeout=DOWNLOAD_TIMEOUT,
            proxy=self._proxy,
            allow_redirects=False,
        )
        if response.status == 200:
            return response
        async with response:
            raise _failure(response, await response.read())

    async def _answer(
        self,
        method: str,
        path: str,
        data: bytes | aiohttp.FormData | None,
        query: Mapping[str, str] | None,
        headers: Mapping[str, str],
        seconds: float,
    ) -> dict[str, Any]:
        try:
            async with self._session.request(
                method,
                self._domain + path,
                params=query,
                data=data,
                headers=headers,
                timeout=aiohttp.ClientTimeout(total=seconds, connect=CONNECT_SECONDS),
                proxy=self._proxy,
                allow_redirects=False,
            ) as response:
                raw = await response.read()
        except _NOT_SENT as error:
            raise Unreachable(f"Feishu cannot be reached ({type(error).__name__})") from None
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Unsure(f"Feishu did not answer ({type(error).__name__})") from None
        found = _object(raw)
        if found is not None and found.get("code") == 0 and response.ok:
            return found
        raise _failure(response, raw)

    async def _fetch_token(self) -> tuple[str, float]:
        data = msgspec.json.encode(self._credentials)
        try:
            found = await self._answer("POST", TOKEN_PATH, data, None, {"Content-Type": _JSON}, CALL_SECONDS)
            return str(found["tenant_access_token"]), float(found["expire"])
        except (Rejected, Unsure) as error:  # the call that wants the token is not on its way yet
            if isinstance(error, Refused) and error.code == UNKNOWN_APP:
                raise Misconfigured(f"{CREDENTIALS} (code {error.code})", CREDENTIALS_FIX) from None
            raise Unreachable(f"no access token: {error}") from None
        except (LookupError, TypeError, ValueError):
            raise Unreachable("no access token: Feishu's answer holds none") from None


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def _failure(response: aiohttp.ClientResponse, raw: bytes) -> BridgeError:
    """What an answer means that is not a success."""
    status, headers = response.status, response.headers
    wait = _seconds(headers.get("x-ogw-ratelimit-reset") or headers.get("Retry-After") or "")
    found = _object(raw)
    code = found.get("code") if found is not None else None
    if isinstance(code, int) and found is not None:
        log_id = headers.get("x-tt-logid", "")
        return refusal(code, str(found.get("msg", "")), wait, status, log_id if _LOG_ID.fullmatch(log_id) else "")
    if status == 429:
        return refusal(status, "too many calls", wait, status)
    if status == 413:  # of a gateway
        return Refused(status, "the request is too big for a proxy or gateway")
    if status == 404:
        return Unsure("the server answers 404: is domain Feishu's or Lark's?")
    return Unsure(f"Feishu did not answer as expected (HTTP {status}, not its JSON)")


def _object(raw: bytes) -> dict[str, Any] | None:
    try:
        found = msgspec.json.decode(raw)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _seconds(header: str) -> float | None:
    try:
        seconds = float(header)
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) and seconds >= 0 else None
