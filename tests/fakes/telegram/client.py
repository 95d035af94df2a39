"""A bot for tests of the fake: plain calls, a clock in the hand, and python-telegram-bot as a second opinion."""

from __future__ import annotations

import io
from typing import Any

import aiohttp
from telegram import Bot
from telegram.request import HTTPXRequest

from tests.fakes.botapi import BotApi
from tests.fakes.telegram.rules import Json


class Clock:
    """The server's clock, moved by the test."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Client:
    """Plain calls of the Bot API, with JSON bodies."""

    def __init__(self, api: BotApi, session: aiohttp.ClientSession) -> None:
        self.api, self.session = api, session

    async def call(self, method: str, **params: Any) -> Json:
        """The answer to a call; with ``status`` in it."""
        async with self.session.post(f"{self.api.url}/bot{self.api.token}/{method}", json=params) as response:
            return {"status": response.status, **await response.json()}

    async def upload(self, method: str, files: dict[str, tuple[str, bytes]], **params: str) -> Json:
        """The answer to a call with files, field -> (name, bytes), in a multipart body; with ``status`` in it."""
        form = aiohttp.FormData(params, default_to_multipart=True)
        for field, (name, data) in files.items():
            form.add_field(field, io.BytesIO(data), filename=name)
        async with self.session.post(f"{self.api.url}/bot{self.api.token}/{method}", data=form) as response:
            return {"status": response.status, **await response.json()}

    async def ok(self, method: str, **params: Any) -> Any:
        answer = await self.call(method, **params)
        assert answer["ok"] is True and answer["status"] == 200, answer
        return answer["result"]

    async def refused(self, method: str, **params: Any) -> str:
        """``"400 reason"`` of a refused call."""
        answer = await self.call(method, **params)
        assert answer["ok"] is False and answer["status"] == answer["error_code"], answer
        return f"{answer['status']} {answer['description']}"


def library_bot(api: BotApi) -> Bot:
    """The library's client of the first bot."""
    calls, polls = (HTTPXRequest(httpx_kwargs={"trust_env": False}) for _ in range(2))
    return Bot(
        api.token,
        base_url=f"{api.url}/bot",
        base_file_url=f"{api.url}/file/bot",
        request=calls,
        get_updates_request=polls,
    )
