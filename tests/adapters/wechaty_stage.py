"""A WeChat bot on the fake gateway, without the bridge."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import msgspec

from adapters.wechat.options import Options
from adapters.wechat.wechaty import Door
from adapters.wechat.wechaty.note import Note
from tests.adapters.host import Double
from tests.adapters.wechaty_shelf import BOT
from tests.fakes.wechat.puppet import PuppetGateway


class Host(Double):
    """A Double that tells what is kept in the store, as it is kept."""

    def __init__(self, store: dict[str, bytes]) -> None:
        super().__init__(store)
        self._kept: asyncio.Queue[bytes] = asyncio.Queue()

    async def save(self, key: str, value: bytes) -> None:
        await super().save(key, value)
        self._kept.put_nowait(value)

    async def noted(self) -> tuple[str, str, str]:
        """The next note about the login: state, code, name."""
        row = await asyncio.wait_for(self._kept.get(), 5)
        found = msgspec.json.decode(row, type=Note)
        return found.state, found.qr, found.name


class Stage:
    """A gateway, and bots on it with one store."""

    def __init__(self, gateway: PuppetGateway) -> None:
        self.gateway = gateway
        self.store: dict[str, bytes] = {}

    def build(self, **options: Any) -> tuple[Door, Host]:
        host = Host(self.store)
        given = {"endpoint": self.gateway.endpoint, "token": self.gateway.token, **options}
        return Door(BOT, Options(**given), host), host

    @asynccontextmanager
    async def running(self, **options: Any) -> AsyncIterator[tuple[Door, Host]]:
        """The bot, perhaps not connected yet."""
        door, host = self.build(**options)
        task = asyncio.create_task(door.run(host.receive))
        try:
            yield door, host
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            host.close()

    @asynccontextmanager
    async def bot(self, **options: Any) -> AsyncIterator[tuple[Door, Host]]:
        """The bot, connected."""
        async with self.running(**options) as (door, host):
            await asyncio.wait_for(host.connected.wait(), 5)
            yield door, host


@asynccontextmanager
async def stage_of(*, logged_in: bool = True) -> AsyncIterator[Stage]:
    """A gateway that no client may put into trouble."""
    async with PuppetGateway(logged_in=logged_in) as gateway:
        yield Stage(gateway)
        assert gateway.complaints == []
