"""Calls to a Bot API server, files to it and from it, and what their failures mean.

Rules of this file:
- python-telegram-bot's Bot makes the calls, over the one HTTP session of the process: its own client costs six times
  the CPU;
- results stay plain values: building its Message objects costs more than the call;
- every failure leaves as one of the bridge's errors; neither the token nor a text is ever part of it. The token is part
  of every address, so an exception that may hold an address is never passed on, nor its words.
"""

from __future__ import annotations

import io
import os
import re
import warnings
from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import quote

import aiohttp
import msgspec

from bridge.model import BridgeError, Fatal, Gone, RateLimited, Rejected, TooBig, Unreachable, Unsure

os.environ.setdefault("PTB_TIMEDELTA", "1")  # its opt-in to the type that RetryAfter.retry_after will have
from telegram import Bot, InputFile
from telegram import error as tg
from telegram.request import BaseRequest, RequestData
from telegram.warnings import PTBUserWarning

# It would rather have its own methods called, whose results are the objects that we do without.
warnings.filterwarnings("ignore", "Please use 'Bot\\.", PTBUserWarning)

CALL_TIMEOUT = aiohttp.ClientTimeout(total=30, connect=10)
UPLOAD_TIMEOUT = aiohttp.ClientTimeout(total=60, connect=10)
DOWNLOAD_TIMEOUT = aiohttp.ClientTimeout(connect=10, sock_read=30)
DOWNLOAD_MOST = 20 * 2**20
"""Bytes of a file that a bot can fetch (Bot API, getFile)."""
PIECE = 64 * 1024
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


class Moved(Gone):
    """The group has become a supergroup, with the id ``chat`` and without the group's messages."""

    def __init__(self, chat: int) -> None:
        super().__init__(f"the group has moved to {chat}")
        self.chat = chat


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
        timeout, headers = CALL_TIMEOUT, {"Content-Type": "application/json"}
        body: bytes | aiohttp.FormData = b"{}"
        if request_data is not None and request_data.contains_files:
            timeout, headers = UPLOAD_TIMEOUT, {}
            body = _form(request_data)
        elif request_data is not None:
            body = msgspec.json.encode(request_data.parameters)
        if isinstance(read_timeout, (int, float)):
            timeout = aiohttp.ClientTimeout(total=read_timeout, connect=10)
        try:
            async with self._session.request(
                method, url, data=body, headers=headers, timeout=timeout, proxy=self._proxy
            ) as response:
                if response.status == 413:  # of a gateway; the library would take it for a fault of the network
                    raise tg.BadRequest("the request is too big")
                return response.status, await response.read()
        except tg.TelegramError:
            raise
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise NotSent(type(error).__name__) from None
        except TimeoutError:
            raise tg.TimedOut from None
        except Exception as error:  # whatever it is: the library would quote it, and the address in it
            raise tg.NetworkError(type(error).__name__) from None

    @staticmethod
    def parse_json_payload(payload: bytes) -> dict[str, Any]:
        try:
            value = msgspec.json.decode(payload)
        except (ValueError, RecursionError) as error:
            raise tg.TelegramError("the answer is not JSON") from error
        if not isinstance(value, dict):
            raise tg.TelegramError("the answer is not an object")
        return value


def _form(data: RequestData) -> aiohttp.FormData:
    """A request with files. Their names go as UTF-8: Telegram would show aiohttp's percent signs."""
    form = aiohttp.FormData(quote_fields=False)
    for name, value in data.json_parameters.items():
        form.add_field(name, value)
    for name, (filename, content, mime) in data.multipart_data.items():
        # as a stream: aiohttp warns of more than 1 MB of bare bytes
        stream = io.BytesIO(content) if isinstance(content, bytes) else content
        form.add_field(name, stream, filename=filename, content_type=mime)
    return form


def as_file(data: bytes, name: str) -> InputFile:
    """A file as a parameter of ``Api.call``. Characters that cannot stand in a header are taken out of its name."""
    return InputFile(data, "".join(char for char in name if char.isprintable()) or "file")


class Api:
    """The Bot API of one bot. ``base`` is the server's address without ``/bot``."""

    def __init__(self, token: str, base: str, session: aiohttp.ClientSession, proxy: str | None) -> None:
        self._session = session
        self._proxy = proxy
        self._secret = re.compile("|".join(map(re.escape, {token, quote(token)})), re.IGNORECASE)
        request = AiohttpRequest(session, proxy)
        base = base.rstrip("/")
        self._files = f"{base}/file/bot{token}"
        self._bot = Bot(token, f"{base}/bot", f"{base}/file/bot", request=request, get_updates_request=request)
        self.drafts = True
        """No server or chat has refused ``sendMessageDraft`` yet (Bot API 9.5)."""

    async def call(self, method: str, parameters: Mapping[str, Any], timeout: float | None = None) -> Any:
        """One call: the ``result`` of the answer, plain. ``timeout`` in seconds, for calls that wait on purpose.

        Raises RateLimited, Rejected, Gone, Moved, Unreachable, Unsure, NotFound (404), Fatal (the token) and Conflict
        (409).
        """
        read = BaseRequest.DEFAULT_NONE if timeout is None else timeout
        try:
            return await self._bot.do_api_request(method, dict(parameters), read_timeout=read)
        except tg.TelegramError as error:
            # a gateway's own page may quote the path, and with it the token, in any letters
            raise translated(error, self._secret.sub("…", error.message)) from None
        except (LookupError, TypeError, AttributeError, ValueError) as error:  # JSON of another shape than Telegram's
            raise Unsure(f"Telegram did not answer as expected ({type(error).__name__})") from None

    async def open_file(self, file_id: str) -> AsyncIterator[bytes]:
        """The bytes of a file that a user has sent, in pieces. Raises TooBig (over 20 MB), and what ``call`` does."""
        try:
            found = await self.call("getFile", {"file_id": file_id})
        except Rejected as refusal:
            raise (TooBig() if "too big" in str(refusal).lower() else refusal) from None
        path = found.get("file_path") or ""
        if found.get("file_size", 0) > DOWNLOAD_MOST:
            raise TooBig
        if not path or path.startswith("/"):
            raise BridgeError(
                "the Bot API server runs with --local and serves no files; the bridge does not read its disk"
            )
        try:
            async with self._session.get(
                f"{self._files}/{quote(path)}", timeout=DOWNLOAD_TIMEOUT, proxy=self._proxy
            ) as response:
                if response.status != 200:
                    raise BridgeError(f"Telegram does not hand the file out ({response.status})")
                size = 0
                async for piece in response.content.iter_chunked(PIECE):
                    size += len(piece)
                    if size > DOWNLOAD_MOST:
                        raise TooBig
                    yield piece
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Unreachable(f"the file did not come ({type(error).__name__})") from None


def translated(error: tg.TelegramError, text: str) -> BridgeError:
    """What a failure means for the bridge; ``text`` is its message without secrets."""
    if isinstance(error, tg.RetryAfter):
        return RateLimited(_seconds(error.retry_after), text)
    if isinstance(error, (tg.InvalidToken, tg.EndPointNotFound)):  # the library says InvalidToken of 404, too
        if "unauthorized" in f"{text} {error.__cause__}".lower():
            return Fatal("Telegram does not know this token; get the bot's token from @BotFather")
        return NotFound("the Bot API server answers 404: is this the right api_base, and the whole token?")
    if isinstance(error, tg.ChatMigrated):
        return Moved(error.new_chat_id)
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
