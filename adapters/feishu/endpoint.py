"""Where the long connection goes to, and what a refusal to open it means.

Rules of this file:
- the address holds a ticket and a key for one connection: it is never logged, nor are errors that may quote it;
- what only the operator can put right is Fatal and says what to do; all else is worth another try;
- of an answer the code is judged first: beside one that refuses, the rest may be anything.

Source: ``ws`` in lark-oapi (endpoint call, codes, handshake headers), page "使用长连接接收事件".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

import aiohttp
import msgspec

from adapters.feishu.codes import CREDENTIALS, CREDENTIALS_FIX, Misconfigured
from adapters.feishu.schema import read
from bridge.model import BridgeError, RateLimited, Unreachable

PATH = "/callback/ws/endpoint"
SECONDS = 15.0
"""For the whole of the call."""
FORBIDDEN, UNAUTHORIZED, NO_SUCH_APP, TOO_MANY = 403, 514, 1000040344, 1000040350
GRANT = (
    "in the developer console, choose the long connection under Events & Callbacks and publish a version. "
    "Store apps cannot have one: they need mode: webhook"
)
PING = 1.0, 300.0
RECONNECT_MOST = 300.0
NONCE_MOST = 30.0
"""Bounds of what Feishu may set, in seconds."""
CROWDED = 60.0
"""Seconds between two tries while the app has too many connections."""


class TooMany(RateLimited):
    """The app has 50 long connections, and Feishu gives it no more: stop what else runs with this app_id"""


class Settings(msgspec.Struct, frozen=True):
    """ClientConfig, in seconds. Its ReconnectCount is not followed: a bot does not give up."""

    ReconnectInterval: float = 120.0
    ReconnectNonce: float = 30.0
    PingInterval: float = 120.0

    @property
    def ping(self) -> float:
        """Between two pings."""
        return max(PING[0], min(self.PingInterval, PING[1]))

    @property
    def nonce(self) -> float:
        """The most to wait after a loss, at random: not all clients of a server that ends shall come at once."""
        return max(0.0, min(self.ReconnectNonce, NONCE_MOST))

    @property
    def reconnect(self) -> float:
        """The most between two tries that fail."""
        return max(1.0, min(self.ReconnectInterval, RECONNECT_MOST))


class Endpoint(NamedTuple):
    """Where to connect to, once."""

    url: str
    service: int
    connection: str
    """The connection's name at Feishu, for the log."""
    settings: Settings

    def __repr__(self) -> str:
        return f"Endpoint({self.connection})"


class _Data(msgspec.Struct):
    URL: str
    ClientConfig: Settings = Settings()


class _Answer(msgspec.Struct):
    code: int
    msg: str = ""
    data: Any = None


async def endpoint(
    session: aiohttp.ClientSession, proxy: str | None, domain: str, app_id: str, app_secret: str
) -> Endpoint:
    """Ask for a connection. Nothing is opened, and nothing of it is left when it is not used.

    Raises Fatal when the credentials are wrong or the app may not have one, TooMany, and Unreachable.
    """
    try:
        async with session.post(
            domain.rstrip("/") + PATH,
            json={"AppID": app_id, "AppSecret": app_secret},
            headers={"locale": "zh"},
            proxy=proxy,
            timeout=aiohttp.ClientTimeout(total=SECONDS),
            allow_redirects=False,
        ) as response:
            status, body = response.status, await response.read()
    except (aiohttp.ClientError, TimeoutError) as error:
        raise Unreachable(f"Feishu cannot be reached ({type(error).__name__})") from None
    try:
        answer = read(msgspec.json.decode(body), _Answer)
    except (ValueError, RecursionError):
        raise Unreachable(f"Feishu gives no long connection (HTTP {status})") from None
    if answer.code:
        raise _refusal(answer.code, answer.msg)
    return _told(answer.data)


def _told(value: Any) -> Endpoint:
    try:
        data = read(value, _Data)
        query = parse_qs(urlsplit(data.URL).query)
        service = int(query["service_id"][0])
    except (LookupError, ValueError):  # msgspec.ValidationError is a ValueError
        raise Unreachable("Feishu gives no address for the long connection") from None
    return Endpoint(data.URL, service, query.get("device_id", ["unknown"])[0], data.ClientConfig)


def refused(handshake: aiohttp.WSServerHandshakeError) -> BridgeError:
    """What it means that the connection itself was refused. A 514 is about the ticket: the credentials have just been
    accepted, and the next address has another one."""
    headers: Mapping[str, str] = handshake.headers or {}
    status, reason = headers.get("handshake-status", ""), headers.get("handshake-autherrcode", "")
    message = headers.get("handshake-msg", "")
    codes = [int(code) for code in (reason, status) if code.isascii() and code.isdecimal()]
    for code in codes:
        if code in (FORBIDDEN, NO_SUCH_APP, TOO_MANY):
            return _refusal(code, message)
    if not codes:
        return Unreachable(f"the long connection was refused (HTTP {handshake.status})")
    return Unreachable(f"the long connection was refused (code {codes[0]}: {message})")


def _refusal(code: int, message: str) -> BridgeError:
    told = f"code {code}: {message}"
    if code in (UNAUTHORIZED, NO_SUCH_APP):
        return Misconfigured(f"{CREDENTIALS} ({told})", CREDENTIALS_FIX)
    if code == FORBIDDEN:
        return Misconfigured(f"the app may not have a long connection ({told})", GRANT)
    if code == TOO_MANY:
        return TooMany(CROWDED)
    return Unreachable(f"Feishu gives no long connection ({told})")
