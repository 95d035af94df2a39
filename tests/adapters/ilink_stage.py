"""A bot on iLink with its one user, and the events and answers between them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import msgspec

from adapters.wechat.ilink import Door
from adapters.wechat.ilink.account import KEY
from adapters.wechat.ilink.api import Api, Credentials
from adapters.wechat.options import Options
from bridge.model import AnyEvent, File, Message, Show
from bridge.wire import Wire
from tests.adapters.host import Double
from tests.fakes.wechat.ilink import Ilink


@dataclass
class Stage:
    ilink: Ilink
    host: Double
    wire: Wire
    login: Credentials
    door: Door = field(init=False)
    """The adapter of the process that runs now."""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Another process, from its start to its end: it has the same store, and nothing else."""
        self.host = Double(self.host.store, self.wire)
        options = Options(gateway="ilink", base_url=self.ilink.url, cdn_url=f"{self.ilink.url}/c2c")
        self.door = Door("wx", options, self.host)
        task = asyncio.create_task(self.door.run(self.host.receive))
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    def api(self) -> Api:
        """The calls of this bot."""
        api = Api(self.host.connection, self.ilink.url)
        api.credentials = self.login
        return api

    async def asked(self, text: str = "hi") -> Message:
        """The event of a question that the user asks now."""
        self.ilink.say(text)
        return await self.event()

    async def event(self) -> Message:
        event = await self.host.next()
        assert isinstance(event, Message)
        return event

    async def fetched(self, event: AnyEvent) -> bytes:
        """The one file that came with a message."""
        assert isinstance(event, Message)
        [attachment] = event.attachments
        return b"".join([piece async for piece in self.door.fetch(attachment)])

    def made(self, path: str) -> int:
        """How many calls of this path there were."""
        return [made for made, _ in self.ilink.calls].count(path)


@asynccontextmanager
async def ilink_bot() -> AsyncIterator[Stage]:
    """A bot that is logged in and takes messages. No call may be one that no client should make."""
    async with Ilink() as ilink, Wire({}) as wire:
        login = Credentials(ilink.token, ilink.bot_id, ilink.user, ilink.url)
        stage = Stage(ilink, Double({KEY: msgspec.json.encode(login)}, wire), wire, login)
        async with stage.running():
            yield stage
        assert ilink.complaints == []


def final(text: str = "", part: int = 0) -> Show:
    return Show(part=part, text=text, final=True)


def final_file(url: str, part: int = 0) -> Show:
    return Show(part=part, files=(File(url, ""),), final=True)
