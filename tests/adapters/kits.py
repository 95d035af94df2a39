"""A kit for each platform: how to start it, how a user speaks there, and what the screen shows.

The contract suite knows platforms by these alone. An adapter without a kit fails it.
"""

from __future__ import annotations

import asyncio
import io
import queue
import sys
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from html.parser import HTMLParser
from typing import Any, ClassVar

import aiohttp
import msgspec
from aiohttp.test_utils import TestServer

from adapters import console, feishu, telegram, wechat
from adapters import web as web_chat
from adapters.feishu.codes import Refused
from adapters.wechat.ilink.api import Credentials, LoginNeeded
from adapters.wechat.mp.api import Unverified
from adapters.wechat.wechaty.client import PuppetError
from bridge.model import (
    Adapter,
    BridgeError,
    Exhausted,
    Gone,
    Overfull,
    RateLimited,
    Rejected,
    Unreachable,
    Unsure,
)
from bridge.wire import Wire
from tests.adapters.host import Double
from tests.fakes.botapi import BotApi
from tests.fakes.feishu import OpenPlatform
from tests.fakes.wechat import ilink as fake_ilink
from tests.fakes.wechat import mp as fake_mp
from tests.fakes.wechat import wecom as fake_wecom
from tests.fakes.wechat.puppet import PuppetGateway


class Kit(ABC):
    """One user, one private conversation, one bot named ``bot``."""

    redelivers: ClassVar[bool] = True
    """The platform brings what it was not told to have arrived."""
    stoppable: ClassVar[bool] = True
    """A growing answer can have buttons, not only a whole one."""
    lasting: ClassVar[bool] = True
    """What was shown can be changed after a restart."""
    faults: ClassVar[dict[str, type[BridgeError]]] = {}
    """Fault of the platform -> what ``show`` raises."""

    def __init__(self) -> None:
        self.store: dict[str, bytes] = {}
        self.wire = Wire({})

    @asynccontextmanager
    async def bot(self) -> AsyncIterator[tuple[Adapter, Double]]:
        """The adapter, running. Entered again, it is a restart on the same store and platform."""
        host = Double(self.store, self.wire)
        adapter = self.build(host)
        async with AsyncExitStack() as stack:
            await self.connect(stack, host)
            task = asyncio.create_task(adapter.run(host.receive))
            stack.callback(host.close)
            stack.push_async_callback(_ended, task)
            await asyncio.wait_for(host.connected.wait(), 5)
            yield adapter, host

    async def connect(self, stack: AsyncExitStack, host: Double) -> None:  # noqa: B027 - most need nothing
        """Whatever has to be there before the adapter runs."""

    @abstractmethod
    def build(self, host: Double) -> Adapter: ...

    @abstractmethod
    async def open(self, stack: AsyncExitStack) -> None:
        """Start the platform."""

    @abstractmethod
    async def say(self, text: str) -> None:
        """The user sends a message; returns without waiting for the bot."""

    @abstractmethod
    async def acknowledged(self) -> bool:
        """Does the platform think that the bot has everything?"""

    @abstractmethod
    async def screen(self) -> list[str]:
        """What the user sees of the bot, in order."""

    async def press(self, target: str, key: str) -> None:
        raise NotImplementedError

    def fault(self, name: str) -> None:
        raise NotImplementedError


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


class Telegram(Kit):
    faults: ClassVar = {
        "429": RateLimited,
        "500": Unsure,
        "502": Unsure,
        "drop_before": Unsure,
        "drop_after": Unsure,
        "entities": Rejected,
        "down": Unreachable,
    }

    async def open(self, stack: AsyncExitStack) -> None:
        self.api = await stack.enter_async_context(BotApi())
        self._down = False

    def build(self, host: Double) -> Adapter:
        base = "http://127.0.0.1:9" if self._down else self.api.url
        return telegram.Adapter("bot", telegram.Options(token=self.api.token, api_base=base), host)

    async def say(self, text: str) -> None:
        self.api.say(text, chat=7)

    async def acknowledged(self) -> bool:
        if self.api.unconfirmed():
            with suppress(TimeoutError):
                await self.api.until(lambda: not self.api.unconfirmed(), 0.3)
        return not self.api.unconfirmed()

    async def screen(self) -> list[str]:
        return [seen.text for seen in self.api.screen(7) if seen.from_bot]

    async def press(self, target: str, key: str) -> None:
        self.api.press(7, int(target), key)

    def fault(self, name: str) -> None:
        if name == "down":
            self._down = True
        else:
            self.api.fail("*", 1, name, chat=7)  # type: ignore[arg-type]


class Feishu(Kit):
    faults: ClassVar = {
        "429": RateLimited,
        "500": Unsure,
        "502": Unsure,
        "drop_before": Unsure,
        "drop_after": Unsure,
        "refused": Refused,
        "down": Unreachable,
    }

    async def open(self, stack: AsyncExitStack) -> None:
        self.platform = await stack.enter_async_context(OpenPlatform())
        self._down = False
        self._presses: list[asyncio.Task[Any]] = []
        stack.push_async_callback(self._settled)

    async def _settled(self) -> None:
        if self._presses:
            await asyncio.wait(self._presses)

    def build(self, host: Double) -> Adapter:
        domain = "http://127.0.0.1:9" if self._down else self.platform.url
        return feishu.Adapter(
            "bot",
            feishu.Options(app_id=self.platform.app_id, app_secret=self.platform.app_secret, domain=domain),
            host,
        )

    async def connect(self, stack: AsyncExitStack, host: Double) -> None:
        self.platform.drop_connections()  # those of before the restart

    async def say(self, text: str) -> None:
        await self.platform.connected()
        self.platform.say(text)

    async def acknowledged(self) -> bool:
        with suppress(TimeoutError):
            await self.platform.until(lambda: not self.platform.unacked, 0.3)
        return not self.platform.unacked

    async def screen(self) -> list[str]:
        return [seen.text for seen in self.platform.answers() if not seen.deleted]

    async def press(self, target: str, key: str) -> None:
        self._presses.append(asyncio.create_task(self.platform.press(target, {"k": key, "g": "", "t": ""})))

    def fault(self, name: str) -> None:
        if name == "down":
            self._down = True
        elif name in ("429", "refused"):
            code, status = (99991400, 429) if name == "429" else (200621, 400)
            self.platform.fail("/cardkit/", code, status=status)
        else:
            self.platform.fault("/cardkit/", name)  # type: ignore[arg-type]


class _Words(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.text = ""

    def handle_data(self, data: str) -> None:
        self.text += data


class Web(Kit):
    async def open(self, stack: AsyncExitStack) -> None:
        jar = aiohttp.CookieJar(unsafe=True)
        self._browser = await stack.enter_async_context(aiohttp.ClientSession(cookie_jar=jar))
        self._posts: list[asyncio.Task[int]] = []
        self._said = 0

    def build(self, host: Double) -> Adapter:
        return web_chat.Adapter("bot", web_chat.Options(), host)

    async def connect(self, stack: AsyncExitStack, host: Double) -> None:
        server = await stack.enter_async_context(TestServer(host.app))
        self._address = str(server.make_url("/chat/bot"))

    async def say(self, text: str) -> None:
        async with self._browser.get(self._address) as page:
            assert page.status == 200
        self._said += 1
        self._post("/messages", {"id": f"question-{self._said}", "text": text})

    async def acknowledged(self) -> bool:
        await asyncio.wait(self._posts, timeout=0.3)
        return all(post.done() and post.result() in (200, 204) for post in self._posts)

    async def screen(self) -> list[str]:
        texts: dict[str, str] = {}
        async with self._browser.get(f"{self._address}/events") as events:
            async for line in events.content:
                if not line.startswith(b"data: "):
                    continue
                entry: dict[str, Any] = msgspec.json.decode(line[6:])
                if "ready" in entry:
                    break
                if "html" in entry:
                    words = _Words()
                    words.feed("".join(entry["html"]))
                    texts[entry["id"]] = words.text.strip() or entry.get("status", "")
        return list(texts.values())

    async def press(self, target: str, key: str) -> None:
        self._post("/presses", {"id": f"press-{key}-{len(self._posts)}", "target": target, "key": key})

    def _post(self, path: str, body: dict[str, Any]) -> None:
        async def post() -> int:
            async with self._browser.post(self._address + path, json=body) as response:
                return response.status

        self._posts.append(asyncio.create_task(post()))


class Wechaty(Kit):
    redelivers = False
    faults: ClassVar = {"fail": PuppetError, "drop_before": Unsure, "drop_after": Unsure, "down": Unreachable}

    async def open(self, stack: AsyncExitStack) -> None:
        self.gateway = await stack.enter_async_context(PuppetGateway())
        self._down = False

    def build(self, host: Double) -> Adapter:
        endpoint = "127.0.0.1:9" if self._down else self.gateway.endpoint
        return wechat.Adapter("bot", wechat.Options(endpoint=endpoint, token=self.gateway.token), host)

    async def say(self, text: str) -> None:
        await self.gateway.until(lambda: self.gateway.listening)
        self.gateway.say(text)

    async def acknowledged(self) -> bool:
        return True  # a puppet does not ask

    async def screen(self) -> list[str]:
        return self.gateway.screen()

    def fault(self, name: str) -> None:
        if name == "down":
            self._down = True
        elif name == "fail":
            self.gateway.fail(1)
        else:
            self.gateway.fault(name)  # type: ignore[arg-type]


class Ilink(Kit):
    faults: ClassVar = {
        "429": RateLimited,
        "502": Unsure,
        "drop_before": Unsure,
        "drop_after": Unsure,
        "no more": Exhausted,
        "logged out": LoginNeeded,
        "swallowed": Unreachable,
    }

    async def open(self, stack: AsyncExitStack) -> None:
        self.platform = await stack.enter_async_context(fake_ilink.Ilink())
        credentials = Credentials(self.platform.token, self.platform.bot_id, self.platform.user, self.platform.url)
        self.store["credentials"] = msgspec.json.encode(credentials)

    def build(self, host: Double) -> Adapter:
        url = self.platform.url
        return wechat.Adapter("bot", wechat.Options(gateway="ilink", base_url=url, cdn_url=f"{url}/c2c"), host)

    async def say(self, text: str) -> None:
        self.platform.say(text)

    async def acknowledged(self) -> bool:
        with suppress(TimeoutError):
            await self.platform.until(lambda: not self.platform.unconfirmed(), 0.3)
        return not self.platform.unconfirmed()

    async def screen(self) -> list[str]:
        return self.platform.screen()

    def fault(self, name: str) -> None:
        match name:
            case "no more" | "logged out":
                self.platform.fail("sendmessage", ret=-2 if name == "no more" else -14)
            case "swallowed":
                self.platform.swallow()
            case "429":
                self.platform.fail("sendmessage", status=429)
            case _:
                self.platform.fault("sendmessage", name)  # type: ignore[arg-type]


class WeCom(Kit):
    lasting = False
    stoppable = False
    redelivers = False
    faults: ClassVar = {
        "too often": RateLimited,
        "drop_before": Unsure,
        "drop_after": Unsure,
        "refused": Rejected,
    }

    async def open(self, stack: AsyncExitStack) -> None:
        self.platform = await stack.enter_async_context(fake_wecom.WeCom())

    def build(self, host: Double) -> Adapter:
        bot = self.platform
        options = wechat.Options(gateway="wecom", bot_id=bot.bot_id, secret=bot.secret, ws_url=bot.url)
        return wechat.Adapter("bot", options, host)

    async def say(self, text: str) -> None:
        self.platform.say(text)

    async def acknowledged(self) -> bool:
        return True  # WeCom asks for no word about a callback

    async def screen(self) -> list[str]:
        return self.platform.screen()

    async def press(self, target: str, key: str) -> None:
        self.platform.press(target, key)

    def fault(self, name: str) -> None:
        codes = {"too often": 45009, "refused": 40058}
        if name in codes:
            self.platform.fail("aibot_respond_msg", codes[name])
        else:
            self.platform.fault("aibot_respond_msg", name)  # type: ignore[arg-type]


class Mp(Kit):
    faults: ClassVar = {
        "429": RateLimited,
        "502": Unsure,
        "drop_before": Unsure,
        "drop_after": Unsure,
        "no more": Exhausted,
        "not verified": Unverified,
        "gone": Gone,
        "too long": Overfull,
    }

    async def open(self, stack: AsyncExitStack) -> None:
        self.platform = await stack.enter_async_context(fake_mp.Mp())

    def build(self, host: Double) -> Adapter:
        account = self.platform
        options = wechat.Options(
            gateway="mp",
            app_id=account.app_id,
            app_secret=account.app_secret,
            token=account.token,
            aes_key=account.aes_key,
            api_base=account.url,
        )
        return wechat.Adapter("bot", options, host)

    async def connect(self, stack: AsyncExitStack, host: Double) -> None:
        server = await stack.enter_async_context(TestServer(host.app))
        self.platform.hook = str(server.make_url("/hooks/bot"))

    async def say(self, text: str) -> None:
        self.platform.say(text)

    async def acknowledged(self) -> bool:
        with suppress(TimeoutError):
            await self.platform.until(lambda: not self.platform.busy, 0.3)
        return not self.platform.busy

    async def screen(self) -> list[str]:
        return self.platform.screen()

    def fault(self, name: str) -> None:
        codes = {"429": 45011, "no more": 45047, "not verified": 48001, "gone": 43004, "too long": 45002}
        if name in codes:
            self.platform.fail("message/custom/send", codes[name])
        else:
            self.platform.fault("message/custom/send", name)  # type: ignore[arg-type]


class Keyboard(io.StringIO):
    """A standard input that waits for what is typed."""

    def __init__(self) -> None:
        super().__init__()
        self.typed: queue.SimpleQueue[str] = queue.SimpleQueue()

    def readline(self, size: int | None = -1, /) -> str:  # type: ignore[override]
        return self.typed.get()


class Console(Kit):
    lasting = False
    redelivers = False

    async def open(self, stack: AsyncExitStack) -> None:
        self._terminal = io.StringIO()

    async def connect(self, stack: AsyncExitStack, host: Double) -> None:
        self._keyboard = Keyboard()
        before = sys.stdin, sys.stdout
        sys.stdin, sys.stdout = self._keyboard, self._terminal

        def restore() -> None:
            self._keyboard.typed.put("")  # the thread that waits for a line gets the end of the input
            sys.stdin, sys.stdout = before

        stack.callback(restore)

    def build(self, host: Double) -> Adapter:
        return console.Adapter("bot", console.Options(), host)

    async def say(self, text: str) -> None:
        self._keyboard.typed.put(text + "\n")

    async def acknowledged(self) -> bool:
        return True  # a terminal has read the line when it hands it over

    async def screen(self) -> list[str]:
        return [line for line in self._terminal.getvalue().splitlines() if line.strip("> ")]


KITS: dict[str, Callable[[], Kit]] = {
    "console": Console,
    "feishu": Feishu,
    "telegram": Telegram,
    "web": Web,
    "wechat:ilink": Ilink,
    "wechat:mp": Mp,
    "wechat:wechaty": Wechaty,
    "wechat:wecom": WeCom,
}
