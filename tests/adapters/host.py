"""What a bridge is to an adapter, without the bridge."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

import aiohttp
import httpx
from aiohttp import web

from bridge.http import local
from bridge.model import AnyEvent, BridgeError, Download, File, Handler, Message, Show, State, TooBig
from bridge.wire import Wire


class Double:
    """A Host without a bridge, and a core that notes what it is given. A new one on the same store is a restart."""

    http: httpx.AsyncClient

    def __init__(self, store: dict[str, bytes], wire: Wire | None = None) -> None:
        """``wire`` for an adapter that makes calls."""
        self._wire = wire
        if wire is not None:
            self.http = wire.client()
        self.public_url = ""
        self.downloads: dict[str, Download] = {}
        self.app = web.Application()
        self.ends: list[Callable[[], None]] = []
        self.connected = asyncio.Event()
        self.states: list[State] = []
        self._told = asyncio.Event()
        self.store = store
        self.events: asyncio.Queue[AnyEvent] = asyncio.Queue()
        self.toast: str | None = None
        self.reply: Show | None = None
        self.fault: Exception | None = None
        """What taking an event in raises."""
        self.committed = asyncio.Event()
        """While it is not set, the commit does not come."""
        self.committed.set()

    async def receive(self, event: AnyEvent) -> str | None:
        if self.fault is not None:
            raise self.fault
        self.events.put_nowait(event)
        await self.committed.wait()
        return self.toast

    def connection(self, url: str) -> tuple[aiohttp.ClientSession, str | None]:
        assert self._wire is not None
        return self._wire.connection(url)

    def state(self, state: State) -> None:
        self.states.append(state)
        self._told.set()
        if state.state == "connected":
            self.connected.set()

    async def until_state(self, state: str, detail: str = "") -> None:
        async with asyncio.timeout(5):
            while not any(seen.state == state and detail in seen.detail for seen in self.states):
                self._told.clear()
                await self._told.wait()

    async def next(self) -> AnyEvent:
        return await asyncio.wait_for(self.events.get(), 5)

    async def text(self) -> str:
        event = await self.next()
        assert isinstance(event, Message)
        return event.text

    def at_end(self, close: Callable[[], None]) -> None:
        self.ends.append(close)

    def close(self) -> None:
        for close in self.ends:
            close()

    async def load(self, key: str) -> bytes | None:
        await asyncio.sleep(0)
        return self.store.get(key)

    async def save(self, key: str, value: bytes) -> None:
        await asyncio.sleep(0)
        self.store[key] = value

    def route(self, method: str, path: str, handler: Handler) -> None:
        self.app.router.add_route(method, path, handler)

    def local(self, request: web.Request) -> bool:
        return local(request)

    async def final(self, event: AnyEvent, timeout: float) -> Show | None:
        """What a test has put into ``reply``, once the event is there."""
        return self.reply

    async def failed(self, error: BridgeError, most: float = 30.0) -> None:
        self.state(State("connecting", str(error)))
        await asyncio.sleep(0.01)

    async def spend(self, chat: str, durable: bool, within: float = math.inf) -> None:
        await asyncio.sleep(0)

    async def download(self, file: File, most: int) -> Download:
        """What a test has put into ``downloads``, by address."""
        found = self.downloads.get(file.url)
        if found is None:
            raise BridgeError("it is not there")
        if len(found.data) > most:
            raise TooBig
        return found
