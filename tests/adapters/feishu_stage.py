"""A Feishu bot on the fake platform, without the bridge: what the tests of its connections stand on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from aiohttp.test_utils import TestServer

from adapters import feishu
from bridge.wire import Wire
from tests.adapters.host import Double
from tests.fakes.feishu import OpenPlatform

BOT = "fs"


class Stage:
    """The platform, and bots on it."""

    def __init__(self, platform: OpenPlatform, wire: Wire) -> None:
        self.platform = platform
        self._wire = wire

    def build(self, **options: Any) -> tuple[feishu.Adapter, Double]:
        host = Double({}, self._wire)
        platform = self.platform
        given = {"app_id": platform.app_id, "app_secret": platform.app_secret, "domain": platform.url, **options}
        return feishu.Adapter(BOT, feishu.Options(**given), host), host

    @asynccontextmanager
    async def served(self, **options: Any) -> AsyncIterator[tuple[feishu.Adapter, Double]]:
        """The adapter, not running yet; with mode webhook the platform posts to it."""
        adapter, host = self.build(**options)
        async with TestServer(host.app) as server:
            host.public_url = str(server.make_url("")).rstrip("/")
            if options.get("mode") == "webhook":
                self.platform.webhook_url = f"{host.public_url}/hooks/{BOT}"
            yield adapter, host

    @asynccontextmanager
    async def bot(self, **options: Any) -> AsyncIterator[tuple[feishu.Adapter, Double]]:
        """The adapter, running."""
        async with self.served(**options) as (adapter, host):
            task = asyncio.create_task(adapter.run(host.receive))
            try:
                await asyncio.wait_for(host.connected.wait(), 5)
                yield adapter, host
            finally:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task

    def code_of(self, event_id: str) -> int | None:
        """How the bot answered an event, the last time it came; None when it has not yet."""
        return next((ack.code for ack in reversed(self.platform.acks) if ack.event_id == event_id), None)

    async def answered(self, event_id: str) -> int:
        """The code, as soon as there is one."""
        return await self.platform.until(lambda: self.code_of(event_id)) or 0


@asynccontextmanager
async def stage_of(
    platform: OpenPlatform, monkeypatch: pytest.MonkeyPatch, *, polite: bool = True
) -> AsyncIterator[Stage]:
    """A platform that wants nobody to wait. ``polite``: no client may break its protocol."""
    platform.client_config["ReconnectNonce"] = 0
    wire = Wire({})
    try:
        async with platform:
            yield Stage(platform, wire)
    finally:
        await wire.close()
    assert not polite or platform.complaints == []
