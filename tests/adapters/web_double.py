"""A web bot in a test: the adapter on a real port, a store in memory, and a core that notes what it is given."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import msgspec
from aiohttp.test_utils import TestServer

from adapters.web import Adapter, Options
from bridge.model import AnyEvent, Conversation, Message, User
from tests.adapters.host import Double

NAME = "site"
PUBLIC = Options(public=True)


class Bot(Double):
    """A web bot on a port. A new one over the same ``store`` is a restart."""

    def __init__(self, options: Options = PUBLIC, store: dict[str, bytes] | None = None, port: int = 0) -> None:
        super().__init__({} if store is None else store)
        self.adapter = Adapter(NAME, options, self)
        self.server = TestServer(self.app, port=port)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Bot]:
        async with self.server:
            task = asyncio.create_task(self.adapter.run(self.receive))
            await self.connected.wait()
            try:
                yield self
            finally:
                task.cancel()
                await asyncio.wait([task])

    @property
    def address(self) -> str:
        return str(self.server.make_url(f"/chat/{NAME}"))

    @asynccontextmanager
    async def visitor(self, **headers: str) -> AsyncIterator[Page]:
        """Somebody with a cookie jar of their own."""
        jar, limit = aiohttp.CookieJar(unsafe=True), aiohttp.ClientTimeout(total=30)
        async with aiohttp.ClientSession(headers=headers, cookie_jar=jar, timeout=limit) as session:
            yield Page(self.address, session)


class Page:
    """What a visitor's page does, without a browser."""

    def __init__(self, address: str, session: aiohttp.ClientSession) -> None:
        self.address = address
        self.session = session

    @asynccontextmanager
    async def get(self, path: str = "", **headers: str) -> AsyncIterator[aiohttp.ClientResponse]:
        async with self.session.get(self.address + path, headers=headers) as response:
            yield response

    async def post(self, path: str, body: object, **headers: str) -> tuple[int, dict[str, Any]]:
        """Status and JSON (if any) of the reply."""
        data = body if isinstance(body, bytes) else msgspec.json.encode(body)
        async with self.session.post(self.address + path, data=data, headers=headers) as response:
            is_json = response.content_type == "application/json"
            return response.status, msgspec.json.decode(await response.read()) if is_json else {}

    async def say(self, text: str, id: str = "question-1", **headers: str) -> int:
        return (await self.post("/messages", {"id": id, "text": text}, **headers))[0]

    async def login(self, key: str, **headers: str) -> int:
        """The status of the page after the login."""
        async with self.session.post(self.address, data={"key": key}, headers=headers) as response:
            return response.status

    @asynccontextmanager
    async def events(self) -> AsyncIterator[Events]:
        async with self.get("/events") as response:
            assert response.status == 200, await response.text()
            yield Events(response)

    async def screen(self) -> list[dict[str, Any]]:
        """What a page that is opened now is sent."""
        async with self.events() as events:
            return await events.state()


class Events:
    """An open stream."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response

    async def line(self) -> bytes:
        return await self.response.content.readuntil(b"\n")

    async def next(self) -> dict[str, Any]:
        while not (line := await self.line()).startswith(b"data: "):
            assert line, "the stream has ended"
        event: dict[str, Any] = msgspec.json.decode(line[6:])
        return event

    async def state(self) -> list[dict[str, Any]]:
        """The entries up to ``ready``."""
        assert "begin" in await self.next()
        entries = []
        while "ready" not in (event := await self.next()):
            entries.append(event)
        return entries


def question(event: AnyEvent) -> Message:
    assert isinstance(event, Message), event
    return event


def message(chat: str, id: str = "question-1", text: str = "Hello") -> Message:
    where = Conversation(bot=NAME, chat=chat, kind="private")
    return Message(id=id, conversation=where, user=User(id=chat), at=0.0, text=text)
