"""One turn with an app behind a FastGPT-compatible endpoint: a question out, the pieces of the answer in.

Rules of this file:
- a turn is one request; nothing is asked again here. An UpstreamError says why there is no answer, and whether a byte
  of the request left;
- what came before an error was yielded before it;
- closing the generator closes the connection at once. The run on the server goes on: bridge.appapi ends it;
- after a 429 no turn of the app leaves before the server allows it;
- no key, question or knowledge reaches a log or a ``repr``.

The bytes are read by bridge.reply, the limits kept by bridge.patience, the reasons given by bridge.faults.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import nullcontext, suppress
from typing import Any

import httpx
import msgspec

from bridge.config import App
from bridge.faults import Reason, UpstreamError
from bridge.patience import Patience
from bridge.pieces import Choices, Delta, Done, Piece, Sources, Status
from bridge.reply import Reply
from bridge.wire import CONNECT, FAILURES, not_sent

__all__ = ["Ask", "Choices", "Delta", "Done", "FastGPT", "Piece", "Reason", "Sources", "Status", "UpstreamError"]

RECORDS = 2.0
"""Seconds to wait behind ``[DONE]`` for the records of the run, which bring the sources."""
LINGER = 0.1
"""Seconds to wait there for the end of the body alone: a body that was read to its end leaves the connection usable."""
TAIL_MOST = 10.0
"""Seconds for all of that, as long as bytes keep coming: the records can be megabytes."""
HOLD_MOST = 300.0
"""Seconds that a 429 can hold the turns of an app, whatever it says; the next turn then finds out."""

_ADDRESS = re.compile(r"(https?://)(?:[^\s/?#@]*@)?([^\s/?#\"'<>]+)[^\s\"'<>]*", re.IGNORECASE)
_TIMEOUT = httpx.Timeout(None, connect=CONNECT)


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """One question."""

    chat_id: str
    """Empty = the server keeps nothing, and ``history`` goes along."""
    content: str | list[dict[str, Any]]
    """Text, or parts: ``{"type":"text"}``, ``{"type":"image_url"}``, ``{"type":"file_url"}``."""
    item_id: str = ""
    """``responseChatItemId``: names this turn for feedback; must be new in its chat."""
    uid: str = ""
    """``customUid``: the user, as the app's logs show him."""
    variables: dict[str, str] = {}
    history: tuple[tuple[str, str], ...] = ()
    """Earlier (question, answer) pairs, oldest first; sent only when the server keeps none itself."""

    def __repr__(self) -> str:
        return f"Ask(chat_id={self.chat_id!r}, item_id={self.item_id!r})"


class FastGPT:
    """An app. ``client`` is one of bridge.wire; it is not closed here."""

    def __init__(
        self,
        app: App,
        client: httpx.AsyncClient,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """``clock`` and ``sleep`` are those of the hold after a 429."""
        self._app = app
        self._client = client
        self._clock = clock
        self._sleep = sleep
        self._url = completions_url(app.base_url)
        self._headers = {
            "Accept": "text/event-stream, application/json",
            "Accept-Encoding": "identity",  # a compressor between here and there would collect the tokens
            "Content-Type": "application/json",
        }
        if app.api_key:
            self._headers["Authorization"] = f"Bearer {app.api_key}"
        self._slots = asyncio.Semaphore(app.max_concurrent) if app.max_concurrent > 0 else nullcontext()
        self._held_until = 0.0

    async def stream(self, ask: Ask) -> AsyncGenerator[Piece, None]:
        """Ask, and yield the answer as it comes; the last piece is Done. Raises UpstreamError."""
        async with self._slots:
            while (wait := self._held_until - self._clock()) > 0:
                await self._sleep(wait)
            connection = _Connection(self._app)
            try:
                reply = await connection.open(self._client, self._url, self.body(ask), self._headers)
                fault = None
                try:
                    while not (reply.full or reply.events.done) and (chunk := await connection.read()):
                        for piece in reply.feed(chunk):
                            yield piece
                    for piece in await self._tail(connection, reply):
                        yield piece
                except UpstreamError as error:
                    fault = error
                broken = fault is not None and not reply.events.complete
                for piece in reply.rest() if broken else reply.end():
                    yield piece
                if failed := fault if broken else reply.events.fault:
                    raise failed
            except UpstreamError as error:
                self._hold(error)
                raise self._masked(error) from error.__cause__
            finally:
                await connection.close()

    def body(self, ask: Ask) -> bytes:
        """The request, as JSON (DESIGN 2.3)."""
        app = self._app
        earlier = ask.history[-app.history :] if app.history > 0 else ()
        messages: list[dict[str, Any]] = []
        if app.kind == "openai" or not ask.chat_id:
            for question, answer in earlier:
                messages += {"role": "user", "content": question}, {"role": "assistant", "content": answer}
        messages.append({"role": "user", "content": ask.content})
        if app.kind == "openai":  # strict servers refuse fields that they do not know
            return msgspec.json.encode({"model": app.model, "stream": True, "messages": messages})
        named = {
            "chatId": ask.chat_id,
            "responseChatItemId": ask.item_id,
            "customUid": ask.uid,
            "appId": app.app_id,
        }
        return msgspec.json.encode(
            {
                "stream": True,
                "detail": True,
                "retainDatasetCite": True,
                **{key: value for key, value in named.items() if value},
                "variables": ask.variables,
                "messages": messages,
            }
        )

    async def _tail(self, connection: _Connection, reply: Reply) -> list[Piece]:
        """What comes behind ``[DONE]``: the records of the run from some servers, the end of the body from all."""
        out: list[Piece] = []
        if not reply.events.done or reply.full:
            return out
        loop = asyncio.get_running_loop()
        last = loop.time() + TAIL_MOST
        with suppress(TimeoutError, UpstreamError):  # the answer is complete without it
            async with asyncio.timeout_at(last) as limit:
                while not reply.full:
                    nothing = reply.events.records or self._app.kind == "openai"
                    limit.reschedule(min(last, loop.time() + (LINGER if nothing else RECORDS)))
                    if not (chunk := await connection.read()):
                        break
                    out += reply.feed(chunk)
        return out

    def _hold(self, error: UpstreamError) -> None:
        if error.retry_after is not None:
            self._held_until = max(self._held_until, self._clock() + min(error.retry_after, HOLD_MOST))

    def _masked(self, error: UpstreamError) -> UpstreamError:
        """Some servers repeat the key that they refuse, and errors quote addresses: of those the host is enough."""
        detail = _ADDRESS.sub(r"\1\2/…", error.detail)
        if self._app.api_key:
            detail = detail.replace(self._app.api_key, "***")
        if detail == error.detail:
            return error
        return UpstreamError(error.reason, detail, retry_after=error.retry_after, sent=error.sent)


class _Connection:
    """One request and the body that answers it, read under the limits of the app."""

    def __init__(self, app: App) -> None:
        self._patience = Patience(app.first_token_timeout, app.idle_timeout, app.turn_timeout)
        self._response: httpx.Response | None = None
        self._chunks: AsyncIterator[bytes] | None = None
        self._started = False

    async def open(self, client: httpx.AsyncClient, url: str, body: bytes, headers: dict[str, str]) -> Reply:
        try:
            request = client.build_request("POST", url, content=body, headers=headers, timeout=_TIMEOUT)
            with self._patience:
                self._response = response = await client.send(request, stream=True)
        except FAILURES as error:
            raise UpstreamError("unreachable", str(error), sent=not not_sent(error)) from error
        self._chunks = response.aiter_bytes()
        return Reply(response.status_code, response.headers, time.time())

    async def read(self) -> bytes:
        """The next bytes; none at the end of the body."""
        assert self._chunks is not None
        try:
            with self._patience:
                chunk = await anext(self._chunks, b"")
        except FAILURES as error:
            raise UpstreamError("cut", str(error)) from error
        if chunk and not self._started:
            self._started = True
            self._patience.started()
        return chunk

    async def close(self) -> None:
        """Give the connection back, or break it when its body is not over."""
        self._patience.close()
        if self._response is not None:
            with suppress(*FAILURES):  # of an upload that the server did not wait for
                await self._response.aclose()


def completions_url(base_url: str) -> str:
    """Where questions go: ``…/chat/completions`` as it is, ``…/v1`` and ``…/v2`` continued, else by way of ``/v1``."""
    base = base_url.rstrip("/")
    if base.endswith("/chat/completions"):
        return base
    return f"{base}/chat/completions" if base.endswith(("/v1", "/v2")) else f"{base}/v1/chat/completions"


def api_root(base_url: str) -> str:
    """Where the helper calls are: what precedes ``/v1``."""
    base = base_url.rstrip("/").removesuffix("/chat/completions")
    return base.removesuffix("/v1").removesuffix("/v2")
