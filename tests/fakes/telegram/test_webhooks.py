"""Who may receive, and how a webhook is served: alone, again, and in any order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from tests.fakes.botapi import BotApi
from tests.fakes.telegram.client import Client


class Hook:
    """A bot's webhook that answers nothing before ``gate`` is open; ``refuse`` are texts that it refuses, once."""

    def __init__(self) -> None:
        self.url = ""
        self.texts: list[str] = []
        self.arrived: asyncio.Queue[str] = asyncio.Queue()
        self.open_at_once = 0
        self.refuse: set[str] = set()
        self.gate = asyncio.Event()
        self._busy = 0

    async def __call__(self, request: web.BaseRequest) -> web.Response:
        text = (await request.json())["message"]["text"]
        self.texts.append(text)
        self.arrived.put_nowait(text)
        self._busy += 1
        self.open_at_once = max(self.open_at_once, self._busy)
        await self.gate.wait()
        self._busy -= 1
        if text in self.refuse:
            self.refuse.remove(text)
            return web.Response(status=502)
        return web.Response()


@pytest.fixture
async def hook() -> AsyncIterator[Hook]:
    hook = Hook()
    runner = web.ServerRunner(web.Server(hook), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    hook.url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    yield hook
    await runner.cleanup()


async def test_updates_are_posted_side_by_side_and_the_newest_first(api: BotApi, client: Client, hook: Hook) -> None:
    api.webhook_parallel = 3
    for text in "abcd":
        api.say(text)
    await client.ok("setWebhook", url=hook.url)
    assert [await hook.arrived.get() for _ in range(3)] == ["c", "b", "a"] and hook.open_at_once == 3
    hook.gate.set()
    await api.until(lambda: not api.unconfirmed())
    assert hook.texts == ["c", "b", "a", "d"]


async def test_a_bot_may_ask_for_one_at_a_time(api: BotApi, client: Client, hook: Hook) -> None:
    api.webhook_parallel = 3
    hook.gate.set()
    for text in "abcd":
        api.say(text)
    await client.ok("setWebhook", url=hook.url, max_connections=1)
    await api.until(lambda: not api.unconfirmed())
    assert hook.texts == ["a", "b", "c", "d"] and hook.open_at_once == 1
    assert (await client.ok("getWebhookInfo"))["max_connections"] == 1
    assert "400 " in await client.refused("setWebhook", url=hook.url, max_connections=101)


async def test_only_the_update_that_failed_comes_again(api: BotApi, client: Client, hook: Hook) -> None:
    api.webhook_parallel, api.webhook_retry = 2, 0.0
    hook.gate.set()
    hook.refuse.add("a")
    for text in "ab":
        api.say(text)
    await client.ok("setWebhook", url=hook.url)
    await api.until(lambda: not api.unconfirmed())
    assert sorted(hook.texts) == ["a", "a", "b"]
    info = await client.ok("getWebhookInfo")
    assert info["last_error_message"] == "Wrong response from the webhook: 502 Bad Gateway"
    assert info["last_error_date"] > 0 and info["pending_update_count"] == 0


async def test_a_webhook_that_nobody_serves_shows_in_its_info(api: BotApi, client: Client) -> None:
    api.webhook_retry = 0.0
    api.say("a")
    await client.ok("setWebhook", url="http://127.0.0.1:9/")
    await api.until(lambda: api.bot().webhook is not None and api.bot().webhook.failure)  # type: ignore[union-attr]
    info = await client.ok("getWebhookInfo")
    assert "Cannot connect" in info["last_error_message"] and info["pending_update_count"] == 1
    await client.ok("deleteWebhook")
    assert "last_error_message" not in await client.ok("getWebhookInfo")


async def test_a_webhook_ends_a_long_poll(api: BotApi, client: Client, hook: Hook) -> None:
    poll = asyncio.create_task(client.refused("getUpdates", timeout=50))
    await api.until(api.polling)
    await client.ok("setWebhook", url=hook.url)
    assert await poll == "409 Conflict: terminated by setWebhook request"
    assert "while webhook is active" in await client.refused("getUpdates")
