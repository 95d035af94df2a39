"""A platform, a FastGPT server and the product between them: the stages of the stories."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.botapi import BotApi
from tests.fakes.fastgpt import FakeFastGPT
from tests.fakes.feishu import OpenPlatform
from tests.fakes.feishu import Seen as SeenOnFeishu
from tests.fakes.telegram.screen import Seen
from tests.fakes.wechat.ilink import Ilink
from tests.fakes.wechat.mp import Mp
from tests.fakes.wechat.puppet import PuppetGateway
from tests.fakes.wechat.wecom import WeCom
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


@dataclass
class FeishuStage:
    platform: OpenPlatform
    gpt: FakeFastGPT
    product: Product

    @property
    def bot(self) -> dict[str, Any]:
        """The bot's part of the config, to be changed before the start."""
        part: dict[str, Any] = self.product.config["bots"]["fs"]
        return part

    @property
    def app(self) -> dict[str, Any]:
        part: dict[str, Any] = self.product.config["fastgpt"]["support"]
        return part

    async def start(self) -> None:
        await self.product.start()
        await self.platform.connected()

    def answers(self, chat: str = "") -> list[SeenOnFeishu]:
        """What the bot has on the screen of a chat, by default of Ann's private one."""
        return [seen for seen in self.platform.answers(chat) if not seen.deleted]

    async def answered(self, chat: str = "", count: int = 1, timeout: float = 15.0) -> list[SeenOnFeishu]:
        """Wait for so many messages of the bot, none of which is still being written."""

        def finished() -> bool:
            seen = self.answers(chat)
            return len(seen) >= count and not any(one.streaming or one.buttons or one.text == "…" for one in seen)

        await self.platform.until(finished, timeout)
        return self.answers(chat)


@pytest.fixture
async def feishu(tmp_path: Path) -> AsyncIterator[FeishuStage]:
    async with OpenPlatform() as platform, FakeFastGPT("e24") as gpt:
        bot = {"platform": "feishu", "app": "support", "app_id": platform.app_id, "app_secret": platform.app_secret}
        product = Product(
            tmp_path,
            {
                "fastgpt": {"support": {"base_url": gpt.base_url, "api_key": gpt.key}},
                "bots": {"fs": {**bot, "domain": platform.url}},
            },
        )
        try:
            yield FeishuStage(platform, gpt, product)
        finally:
            await product.close()


@dataclass
class WechatStage:
    """``wx`` is the bot; where people see its answers is the gateway's or the platform's ``screen``."""

    gpt: FakeFastGPT
    product: Product

    @property
    def bot(self) -> dict[str, Any]:
        """The bot's part of the config, to be changed before the start."""
        part: dict[str, Any] = self.product.config["bots"]["wx"]
        return part


def wechat_stage(folder: Path, gpt: FakeFastGPT, **bot: Any) -> WechatStage:
    config = {
        "fastgpt": {"support": {"base_url": gpt.base_url, "api_key": gpt.key}},
        "bots": {"wx": {"platform": "wechat", "app": "support", **bot}},
    }
    return WechatStage(gpt, Product(folder, config))


@dataclass
class WechatyStage(WechatStage):
    gateway: PuppetGateway

    async def start(self) -> None:
        await self.product.start()
        await self.gateway.until(lambda: self.gateway.listening)
        await self.product.logged("bot wx: connected")


@pytest.fixture
async def wechaty(tmp_path: Path) -> AsyncIterator[WechatyStage]:
    async with PuppetGateway() as gateway, FakeFastGPT("e24") as gpt:
        stage = wechat_stage(tmp_path, gpt, endpoint=gateway.endpoint, token=gateway.token)
        try:
            yield WechatyStage(stage.gpt, stage.product, gateway)
        finally:
            await stage.product.close()


@dataclass
class IlinkStage(WechatStage):
    ilink: Ilink


@pytest.fixture
async def ilink(tmp_path: Path) -> AsyncIterator[IlinkStage]:
    async with Ilink() as platform, FakeFastGPT("e24") as gpt:
        url = platform.url
        stage = wechat_stage(tmp_path, gpt, gateway="ilink", base_url=url, cdn_url=f"{url}/c2c")
        try:
            yield IlinkStage(stage.gpt, stage.product, platform)
        finally:
            await stage.product.close()


@dataclass
class MpStage(WechatStage):
    account: Mp

    async def start(self) -> None:
        await self.product.start()
        self.account.hook = f"{self.product.address}/hooks/wx"
        await self.product.logged("bot wx: connected")


@pytest.fixture
async def mp(tmp_path: Path) -> AsyncIterator[MpStage]:
    async with Mp() as account, FakeFastGPT("e24") as gpt:
        stage = wechat_stage(
            tmp_path,
            gpt,
            gateway="mp",
            app_id=account.app_id,
            app_secret=account.app_secret,
            token=account.token,
            aes_key=account.aes_key,
            api_base=account.url,
        )
        try:
            yield MpStage(stage.gpt, stage.product, account)
        finally:
            await stage.product.close()
            assert account.complaints == []


@dataclass
class WeComStage(WechatStage):
    wecom: WeCom

    async def start(self) -> None:
        await self.product.start()
        await self.wecom.until(lambda: self.wecom.connected)
        await self.product.logged("bot wx: connected")


@pytest.fixture
async def wecom(tmp_path: Path) -> AsyncIterator[WeComStage]:
    async with WeCom() as platform, FakeFastGPT("e24") as gpt:
        bot = {"bot_id": platform.bot_id, "secret": platform.secret, "ws_url": platform.url}
        stage = wechat_stage(tmp_path, gpt, gateway="wecom", **bot)
        try:
            yield WeComStage(stage.gpt, stage.product, platform)
        finally:
            await stage.product.close()
