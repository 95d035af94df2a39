"""What one adapter gets from the bridge: bridge.model.Host."""

from __future__ import annotations

import asyncio
import logging
import math
import random
from collections.abc import Awaitable, Callable
from urllib.parse import urljoin

import aiohttp
import click
import httpx
import msgspec
from aiohttp import web

from bridge import http
from bridge.alarm import Bell
from bridge.download import Downloads
from bridge.model import AnyEvent, BridgeError, Download, File, Handler, RateLimited, Show, State
from bridge.pace import Budget
from bridge.qr import drawn
from bridge.store import Engine
from bridge.wire import Wire

log = logging.getLogger(__name__)

TOLD = (1, 10, 100)
"""Which failures in a row are logged."""
FIRST = 1.0
"""Seconds, at most, before the first of them is tried again; each time twice as long."""


class BotHost:
    def __init__(
        self,
        name: str,
        wire: Wire,
        proxy: str,
        engine: Engine,
        server: http.Server,
        budget: Budget,
        back: Bell,
        downloads: Downloads,
        public_url: str,
        app_url: str,
        final: Callable[[AnyEvent, float], Awaitable[Show | None]],
    ) -> None:
        """``back`` is rung when the platform can be reached again; ``app_url`` is the app's ``base_url``; ``final`` is
        the method of that name."""
        self.http: httpx.AsyncClient = wire.client(proxy)
        self.public_url = public_url
        self._name = name
        self._wire = wire
        self._proxy = proxy
        self._engine = engine
        self._server = server
        self._budget = budget
        self._back = back
        self._downloads = downloads
        self._app_url = app_url
        self._final = final
        self._ends: list[Callable[[], None]] = []
        self._connected = False
        self._failures = 0

    def connection(self, url: str) -> tuple[aiohttp.ClientSession, str | None]:
        return self._wire.connection(url, self._proxy)

    def state(self, state: State) -> None:
        connected = state.state == "connected"
        if connected and not self._connected:
            self._failures = 0
            self._back.ring()
        self._connected = connected
        if self._server.state(self._name, state):
            log.info("bot %s: %s%s", self._name, state.state, f" ({state.detail})" if state.detail else "")
            if state.qr:
                click.echo(drawn(state.qr))

    def at_end(self, close: Callable[[], None]) -> None:
        self._ends.append(close)

    def close(self) -> None:
        for close in self._ends:
            close()

    async def load(self, key: str) -> bytes | None:
        return (await self._engine.get(f"adapter:{self._name}:{key}"))[0]

    async def save(self, key: str, value: bytes) -> None:
        await self._engine.put({f"adapter:{self._name}:{key}": value})

    def route(self, method: str, path: str, handler: Handler) -> None:
        self._server.route(method, path, handler)

    def local(self, request: web.Request) -> bool:
        return http.local(request)

    async def final(self, event: AnyEvent, timeout: float) -> Show | None:
        return await self._final(event, timeout)

    async def failed(self, error: BridgeError, most: float = 30.0) -> None:
        self.state(State("connecting", str(error)))
        self._failures += 1
        if self._failures in TOLD:
            log.warning("bot %s: %s (try %d)", self._name, error, self._failures)
        wait = min(most, FIRST * 2.0 ** min(self._failures - 1, 10))
        wait = random.uniform(wait / 2, wait)  # noqa: S311
        await asyncio.sleep(error.retry_after if isinstance(error, RateLimited) else wait)

    async def spend(self, chat: str, durable: bool, within: float = math.inf) -> None:
        clock = asyncio.get_running_loop().time
        while wait := self._budget.spend(chat, clock(), durable=durable):
            within -= wait
            if within < 0:
                raise RateLimited(wait, "the bot's own budget has no room for it")
            await asyncio.sleep(wait)

    async def download(self, file: File, most: int) -> Download:
        absolute = msgspec.structs.replace(file, url=urljoin(self._app_url, file.url))
        return await self._downloads.fetch(absolute, most, self._proxy)
