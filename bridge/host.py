"""What one adapter gets from the bridge: bridge.model.Host."""

from __future__ import annotations

import asyncio
import logging
from urllib.parse import urljoin

import aiohttp
import httpx
import msgspec
from aiohttp import web

from bridge import http
from bridge.download import Downloads
from bridge.model import Download, File, Handler, State
from bridge.pace import Budget
from bridge.store import Engine
from bridge.wire import Wire

log = logging.getLogger(__name__)


class BotHost:
    def __init__(
        self,
        name: str,
        wire: Wire,
        proxy: str,
        engine: Engine,
        server: http.Server,
        budget: Budget,
        downloads: Downloads,
        public_url: str,
        app_url: str,
    ) -> None:
        """``app_url`` is the app's ``base_url``."""
        self.http: httpx.AsyncClient = wire.client(proxy)
        self.public_url = public_url
        self._name = name
        self._wire = wire
        self._proxy = proxy
        self._engine = engine
        self._server = server
        self._budget = budget
        self._downloads = downloads
        self._app_url = app_url

    def connection(self, url: str) -> tuple[aiohttp.ClientSession, str | None]:
        return self._wire.connection(url, self._proxy)

    def state(self, state: State) -> None:
        if self._server.state(self._name, state):
            log.info("bot %s: %s%s", self._name, state.state, f" ({state.detail})" if state.detail else "")

    async def load(self, key: str) -> bytes | None:
        return (await self._engine.get(f"adapter:{self._name}:{key}"))[0]

    async def save(self, key: str, value: bytes) -> None:
        await self._engine.put({f"adapter:{self._name}:{key}": value})

    def route(self, method: str, path: str, handler: Handler) -> None:
        self._server.route(method, path, handler)

    def local(self, request: web.Request) -> bool:
        return http.local(request)

    async def spend(self, chat: str, durable: bool) -> float:
        return self._budget.spend(chat, asyncio.get_running_loop().time(), durable=durable)

    async def download(self, file: File, most: int) -> Download:
        absolute = msgspec.structs.replace(file, url=urljoin(self._app_url, file.url))
        return await self._downloads.fetch(absolute, most, self._proxy)
