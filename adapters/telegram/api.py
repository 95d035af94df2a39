"""Calls to a Bot API server, and what their failures mean.

Rules of this file:
- python-telegram-bot's Bot makes the calls, over the one HTTP session of the process: its own client costs six times
  the CPU;
- results stay plain values: building its Message objects costs more than the call;
- every failure leaves as one of the bridge's errors; neither the token nor a text is ever part of it.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Mapping
from typing import Any

import aiohttp
import msgspec

from bridge.model import BridgeError, Fatal, Gone, RateLimited, Rejected, Unreachable, Unsure

os.environ.setdefault("PTB_TIMEDELTA", "1")  # its opt-in to the type that RetryAfter.retry_after will have
from telegram import Bot
from telegram import error as tg
from telegram.request import BaseRequest, RequestData
from telegram.warnings import PTBUserWarning

# It would rather have its own methods called, whose results are the objects that we do without.
warnings.filterwarnings("ignore", "Please use 'Bot\\.", PTBUserWarning)

CALL_TIMEOUT = aiohttp.ClientTimeout(total=30, connect=10)
_GONE = re.compile(
    "chat not found|thread not found|topic_(closed|deleted)|peer_id_invalid|not enough rights|have no rights"
    "|need administrator rights|chat_write_forbidden|user_deactivated|group chat was (upgraded|deactivated)",
    re.IGNORECASE,
)


class NotSent(tg.NetworkError):
    """No connection: nothing left."""


class NotFound(Unsure):
    """The server does not know the method, or the form of the token; a gateway may say so for a moment."""


class Conflict(BridgeError):
    """Another program uses this bot's token."""


class AiohttpRequest(BaseRequest):
    """python-telegram-bot's transport on a session that somebody else owns."""

    def __init__(self, session: aiohttp.ClientSession, proxy: str | None) -> None:
        self._session = session
        self._proxy = proxy

    @property
    def read_timeout(self) -> float:
        return CALL_TIMEOUT.total or 0.0

    async def initialize(self) -> None:
        pass

    async def shutdown(self) -> None:
        pass

    async def do_request(
        self,
        url: str,
        method: str,
        request_data: RequestData | None = None,
        read_timeout: Any = BaseRequest.DEFAULT_NONE,
        write_timeout: Any = BaseRequest.DEFAULT_NONE,
        connect_timeout: Any = BaseRequest.DEFAULT_NONE,
        pool_timeout: Any = BaseRequest.DEFAULT_NONE,
    ) -> tuple[int, bytes]:
        timeout = CALL_TIMEOUT
        if isinstance(read_timeout, (int, float)):
            timeout = aiohttp.ClientTimeout(total=read_timeout, connect=10)
        body = msgspec.json.encode(request_data.parameters) if request_data else b"{}"
        try:
            async with self._session.request(
                method,
                url,
                data=body,
                headers={"Content-Type": "application/json"},
                timeout=timeout,
                proxy=self._proxy,
            ) as response:
                return response.status, await response.read()
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise NotSent(type(error).__name__) from None
        except TimeoutError:
            raise tg.TimedOut from None
        except aiohttp.ClientError as error:
            raise tg.NetworkError(type(error).__name__) from None

    @staticmethod
    def parse_json_payload(payload: bytes) -> dict[str, Any]:
        try:
            value = msgspec.json.decode(payload)
        except msgspec.DecodeError as error:
            raise tg.TelegramError("the answer is not JSON") from error
        if not isinstance(value, dict):
            raise tg.TelegramError("the answer is not an object")
        return value


class Api:
    """The Bot API of one bot. ``base`` is the server's address without ``/bot``."""

    def __init__(self, token: str, base: str, session: aiohttp.ClientSession, proxy: str | None) -> None:
        request = AiohttpRequest(session, proxy)
        base = base.rstrip("/")
        self._bot = Bot(token, f"{base}/bot", f"{base}/file/bot", request=request, get_updates_request=request)

    async def call(self, method: str, parameters: Mapping[str, Any], timeout: float | None = None) -> Any:
        """One call: the ``result`` of the answer, plain. ``timeout`` in seconds, for calls that wait on purpose.

        Raises RateLimited, Rejected, Gone, Unreachable, Unsure, Fatal (the token) and Conflict (409).
        """
        read = BaseRequest.DEFAULT_NONE if timeout is None else timeout
        try:
            return await self._bot.do_api_request(method, dict(parameters), read_timeout=read)
        except tg.TelegramError as error:
            raise translated(error) from None


def translated(error: tg.TelegramError) -> BridgeError:
    """What a failure means for the bridge."""
    text = error.message
    if isinstance(error, tg.RetryAfter):
        return RateLimited(_seconds(error.retry_after), text)
    if isinstance(error, tg.InvalidToken):  # which the library says of 404, too
        if "unauthorized" in f"{text} {error.__cause__}".lower():
            return Fatal("Telegram does not know this token; get the bot's token from @BotFather")
        return NotFound("the Bot API server answers 404: is this the right api_base, and the whole token?")
    if isinstance(error, tg.ChatMigrated):
        return Gone(f"the group has moved to {error.new_chat_id}")
    if isinstance(error, tg.Forbidden) or (isinstance(error, tg.BadRequest) and _GONE.search(text)):
        return Gone(text)
    if isinstance(error, tg.BadRequest):
        return Rejected(text)
    if isinstance(error, tg.Conflict):
        return Conflict(text)
    if isinstance(error, NotSent):
        return Unreachable(f"Telegram cannot be reached ({text})")
    return Unsure(f"Telegram did not answer as expected ({text[:80]})")


def _seconds(value: Any) -> float:
    return float(value.total_seconds() if hasattr(value, "total_seconds") else value)
