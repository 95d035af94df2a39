"""A Telegram server, a FastGPT server and the product between them: the stage of the stories."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.botapi import BotApi
from tests.fakes.fastgpt import FakeFastGPT
from tests.fakes.telegram.screen import Seen
from tests.product import Product


@dataclass
class Stage:
    api: BotApi
    gpt: FakeFastGPT
    product: Product

    @property
    def bot(self) -> dict[str, Any]:
        """The bot's part of the config, to be changed before the start."""
        part: dict[str, Any] = self.product.config["bots"]["tg"]
        return part

    @property
    def app(self) -> dict[str, Any]:
        part: dict[str, Any] = self.product.config["fastgpt"]["support"]
        return part

    def answers(self, chat: int = 1) -> list[Seen]:
        """What the bot has on the screen of a chat."""
        return [seen for seen in self.api.screen(chat) if seen.from_bot]

    def finished(self, chat: int = 1, count: int = 1) -> bool:
        """So many messages of the bot, and none that still has a stop button or only a status line."""
        seen = self.answers(chat)
        return len(seen) >= count and not any(answer.buttons or answer.text == "…" for answer in seen)

    async def answered(self, chat: int = 1, count: int = 1, timeout: float = 15.0) -> list[Seen]:
        await self.api.until(lambda: self.finished(chat, count), timeout)
        return self.answers(chat)


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with BotApi() as api, FakeFastGPT("e24") as gpt:
        product = Product(
            tmp_path,
            {
                "fastgpt": {"support": {"base_url": gpt.base_url, "api_key": gpt.key}},
                "bots": {"tg": {"platform": "telegram", "app": "support", "token": api.token, "api_base": api.url}},
            },
        )
        try:
            yield Stage(api, gpt, product)
        finally:
            await product.close()
