"""``/files/{token}``: an address under which the app fetches an attachment, for apps that take no uploads.

Rules of this file:
- nothing is kept on disk: each request streams the bytes from the platform anew, so the app may come more than once,
  and in later turns;
- an address of the platform itself never leaves: on some platforms the bot's token is part of it;
- whatever is wrong with a token is a 404 without a hint; 502 = the platform does not give the file now;
- a browser that opens the address saves a file, and runs nothing of it (DESIGN 2.4).

A token is 16 random bytes that name the row, 5 bytes of expiry and an HMAC-SHA256 of both, in base64. The signature
keeps guesses away from the store.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import logging
import re
import secrets
import time
from collections.abc import AsyncIterator, Callable
from urllib.parse import quote

import msgspec
from aiohttp import web

from bridge.incoming import Incoming
from bridge.model import Attachment, BridgeError
from bridge.store import Engine

log = logging.getLogger(__name__)

LASTS = 7 * 86400
"""Seconds. ``retention`` may end a link earlier: rows under ``file:`` are pruned with the rest."""
KEY = "links:key"
_RANDOM, _EXPIRY, _SIGNATURE = 16, 5, 32

Fetch = Callable[[str, Attachment], AsyncIterator[bytes]]
"""(bot, attachment) -> the bytes: ``Adapter.fetch`` of that bot."""


class _Row(msgspec.Struct, frozen=True, omit_defaults=True):
    bot: str
    attachment: Attachment
    name: str
    mime: str
    until: float


class Links:
    """``public_url`` has no slash at its end. Route ``handler`` for GET and HEAD of PATH."""

    PATH = "/files/{token}"

    def __init__(
        self, engine: Engine, public_url: str, fetch: Fetch, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._engine = engine
        self._public_url = public_url
        self._fetch = fetch
        self._clock = clock
        self._key = b""
        self._making = asyncio.Lock()

    async def link(self, bot: str, attachment: Attachment, name: str, mime: str) -> str:
        """An address for an attachment; ``name`` and ``mime`` are what bridge.sniff made of it."""
        until = int(self._clock()) + LASTS
        payload = secrets.token_bytes(_RANDOM) + until.to_bytes(_EXPIRY, "big")
        row = _Row(bot, attachment, name, mime, until)
        await self._engine.put({_row_key(payload): msgspec.json.encode(row)})
        token = base64.urlsafe_b64encode(payload + await self._sign(payload)).decode().rstrip("=")
        # FastGPT tells what a file is by the ending of its address, or by this parameter.
        return f"{self._public_url}/files/{token}?filename={quote(name, safe='')}"

    async def handler(self, request: web.Request) -> web.StreamResponse:
        row = await self._row(request.match_info["token"])
        if row is None:
            raise web.HTTPNotFound
        headers = {
            "Content-Type": row.mime,
            "Content-Disposition": disposition(row.name),
            "X-Content-Type-Options": "nosniff",
            "Content-Security-Policy": "sandbox",
            "Cache-Control": "private",
        }
        if request.method == "HEAD":
            return web.StreamResponse(headers=headers)  # a Response would say that the file is empty
        async with Incoming(lambda: self._fetch(row.bot, row.attachment)) as incoming:
            return await self._stream(request, headers, incoming)

    async def _stream(self, request: web.Request, headers: dict[str, str], incoming: Incoming) -> web.StreamResponse:
        try:
            piece = await incoming.next()
        except BridgeError as error:
            log.warning("a file for the app cannot be fetched: %s", error)
            raise web.HTTPBadGateway from None
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        try:
            while piece:
                await response.write(piece)
                piece = await incoming.next()
        except BridgeError as error:
            log.warning("a file for the app broke off: %s", error)
            if request.transport is not None:  # only a broken connection says that this is not the whole
                request.transport.abort()
        return response

    # ------------------------------------------------------------ tokens

    async def _row(self, token: str) -> _Row | None:
        try:
            raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            return None
        payload, signature = raw[: _RANDOM + _EXPIRY], raw[_RANDOM + _EXPIRY :]
        if not hmac.compare_digest(signature, await self._sign(payload)):
            return None
        if int.from_bytes(payload[_RANDOM:], "big") <= self._clock():
            return None
        (found,) = await self._engine.get(_row_key(payload))
        return msgspec.json.decode(found, type=_Row) if found else None

    async def _sign(self, payload: bytes) -> bytes:
        async with self._making:
            if not self._key:
                (kept,) = await self._engine.get(KEY)
                if kept is None:
                    kept = secrets.token_bytes(_SIGNATURE)
                    await self._engine.put({KEY: kept})
                self._key = kept
        return hmac.digest(self._key, payload, hashlib.sha256)


def disposition(name: str) -> str:
    """``Content-Disposition`` of a download, with the name for old clients and the true one (RFC 5987, RFC 6266)."""
    plain = re.sub(r'[^ -~]|["\\%]', "_", name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


def _row_key(payload: bytes) -> str:
    return f"file:{payload[:_RANDOM].hex()}"
