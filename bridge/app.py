"""The process: builds everything from the config, runs it, and takes it down in order.

Rules of this file:
- it is the only one of bridge.* that knows adapters.*, and imports an adapter only when a bot names its platform;
- everything that lives has one owner here; nothing is global;
- down in the order in which it came up: no new messages, then the answers are finished or parked, then the store, the
  connections, the port.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

import adapters
import bridge
from bridge import http, online
from bridge.addresses import host_of
from bridge.alarm import Bell
from bridge.appapi import AppApi
from bridge.attach import Attaching
from bridge.config import Config, ConfigError, span
from bridge.core import Bot, Core, job_key
from bridge.download import Downloads
from bridge.fastgpt import FastGPT
from bridge.host import BotHost
from bridge.links import Links
from bridge.model import Adapter, AnyEvent, Attachment, BridgeError, Fatal, Finding, Login, Show, State
from bridge.pace import Budget
from bridge.question import Questions
from bridge.replies import Replies
from bridge.store import open_engine
from bridge.turn import Turns
from bridge.wire import Wire

log = logging.getLogger(__name__)

RESTART = 1.0, 60.0
"""Seconds before an adapter that fell over is started again: the first, the most."""
PRUNED = ("answer:", "said:", "history:", "file:", "rest:", "reply:")
"""What the store forgets after ``retention``. Sessions stay: an old chat goes on where it was."""
PRUNE_EVERY = 3600.0
SETTLE = 1.0
"""Seconds that bots have to connect before the port is served: a platform that is away must not keep a page down."""
HEALTH_AGE = 2.0
"""Seconds for which one trial write answers /readyz."""


class Platforms(Mapping[str, type[msgspec.Struct]]):
    """Platform name -> its options; looking one up imports its adapter."""

    def __init__(self, registry: Mapping[str, str]) -> None:
        self._registry = registry

    def module(self, name: str) -> Any:
        return importlib.import_module(self._registry[name])

    def __getitem__(self, name: str) -> type[msgspec.Struct]:
        options: type[msgspec.Struct] = self.module(name).Options
        return options

    def __contains__(self, name: object) -> bool:
        return name in self._registry

    def __iter__(self) -> Iterator[str]:
        return iter(self._registry)

    def __len__(self) -> int:
        return len(self._registry)


def own_adapters() -> None:
    """Refuse to start on somebody else's package: a distribution on PyPI owns the name ``adapters`` too."""
    if (
        not hasattr(adapters, "ADAPTERS")
        or Path(adapters.__file__ or "").parent.parent != Path(bridge.__path__[0]).parent
    ):
        raise ConfigError(
            f"another package named 'adapters' is installed at {adapters.__file__}: "
            "install fastgpt-bridge into an environment of its own"
        )


class Bridge:
    """One config, running. ``async with`` starts it; leaving ends it within ``shutdown_grace``."""

    def __init__(self, config: Config, registry: Mapping[str, str] = adapters.ADAPTERS) -> None:
        self._config = config
        self._platforms = Platforms(registry)
        self.engine = open_engine(config.store)
        self.core = Core(self.engine)
        self.server = http.Server(config.http.admin_token, self._store_writes)
        self._bots: dict[str, Bot] = {}
        self._hosts: list[BotHost] = []
        self._public_url = config.http.public_url.rstrip("/")
        links = Links(self.engine, self._public_url, self._fetch) if self._public_url else None
        if links:
            for method in ("GET", "HEAD"):
                self.server.route(method, links.PATH, links.handler)
        questions = Questions(self.engine, Attaching(links))
        self._replies = Replies(self.engine)
        self._turns = Turns(self.engine, self._bots, self.core, questions, self._replies)
        self._running: list[asyncio.Task[None]] = []
        self._housekeeping: list[asyncio.Task[None]] = []
        self._health = (0.0, False)
        self._downloads: Downloads | None = None
        self.port = 0

    async def __aenter__(self) -> Bridge:
        self._wire = Wire()
        try:
            await self._start()
        except BaseException:
            await self._stop(0.0)
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stop(self._config.shutdown_grace)

    async def _start(self) -> None:
        config = self._config
        self._build()
        self.port = self.server.listen(*config.http.address)
        await self.engine.start(self._turns.run)
        await self._keep_holds()
        self._housekeeping = [asyncio.create_task(self._prune(), name="prune")]
        for name in self._bots:
            self.server.state(name, State("connecting"))
        self._running = [
            asyncio.create_task(self._keep_running(bot), name=f"bot {name}") for name, bot in self._bots.items()
        ]
        with suppress(TimeoutError):
            async with asyncio.timeout(SETTLE):  # not wait_for, which before 3.12 can lose a Ctrl-C
                await self.server.settled.wait()
        await self.server.serve()

    def _build(self) -> None:
        """Make the bots and what they need; no IO."""
        config = self._config
        self._downloads = downloads = Downloads(
            self._wire, [host_of(app.base_url) for app in config.fastgpt.values()], config.allow_private
        )
        clients = {name: self._wire.client(app.proxy) for name, app in config.fastgpt.items()}
        apps = {name: FastGPT(app, clients[name]) for name, app in config.fastgpt.items()}
        apis = {name: AppApi(app, clients[name]) for name, app in config.fastgpt.items()}
        for name, bot in config.bots.items():
            budget, back = Budget(), Bell()
            app = config.fastgpt[bot.app]
            host = BotHost(
                name,
                self._wire,
                bot.proxy,
                self.engine,
                self.server,
                budget,
                back,
                downloads,
                self._public_url,
                app.base_url,
                partial(self._final, name),
            )
            self._hosts.append(host)
            adapter: Adapter = self._platforms.module(bot.platform).Adapter(name, bot.options, host)
            self._bots[name] = Bot(name, bot, adapter, apps[bot.app], apis[bot.app], app, budget, back)

    async def _final(self, name: str, event: AnyEvent, timeout: float) -> Show | None:
        bot = self._bots[name]
        return await self._replies.final(job_key(bot, event), timeout, bot.language(event))

    def _fetch(self, bot: str, attachment: Attachment) -> AsyncIterator[bytes]:
        if bot not in self._bots:
            raise BridgeError(f"bot {bot} is not in the config any more")
        return self._bots[bot].adapter.fetch(attachment)

    async def _keep_holds(self) -> None:
        """Calls within a platform's penalty lengthen it: a restart takes the silences over, before the first call."""
        loop = asyncio.get_running_loop()
        rows = await self.engine.get(*(f"holds:{name}" for name in self._bots))
        for (name, bot), row in zip(self._bots.items(), rows, strict=True):
            held = msgspec.json.decode(row, type=dict[str, float]) if row else {}
            left = {chat: until - time.time() for chat, until in held.items() if until > time.time()}
            bot.budget.restore(left, loop.time())
            bot.budget.on_hold = partial(self._note_holds, name, bot.budget)

    def _note_holds(self, name: str, budget: Budget) -> None:
        now, holds = time.time(), budget.holds(asyncio.get_running_loop().time())
        row = {chat: now + left for chat, left in holds.items()}
        self.engine.put({f"holds:{name}": msgspec.json.encode(row)})

    async def probe(self) -> AsyncIterator[tuple[str, Finding]]:
        """Try every app and bot, a row at a time; nothing is run (``check --online``)."""
        self._wire = Wire()
        try:
            await self.engine.start(None)
            self._build()
            for name, app in self._config.fastgpt.items():
                yield f"app {name}", await online.app(app, self._wire.client(app.proxy))
            for name, bot in self._bots.items():
                for finding in await bot.adapter.probe():
                    yield f"bot {name}", finding
        finally:
            await self._stop(0.0)

    async def login(
        self, name: str, qr: Callable[[str], Awaitable[None]], ask: Callable[[str], Awaitable[str]]
    ) -> None:
        """Log a bot in (``fastgpt-bridge login``); nothing is run. See bridge.model.Login."""
        self._wire = Wire()
        try:
            await self.engine.start(None)
            self._build()
            adapter = self._bots[name].adapter
            if not isinstance(adapter, Login):
                raise BridgeError(f"bot {name} needs no login: its key is in the config")
            await adapter.login(qr, ask)
        finally:
            await self._stop(0.0)

    async def _stop(self, grace: float) -> None:
        tasks = [*self._running, *self._housekeeping]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        await self.engine.close(grace)
        await self._turns.close()
        for host in self._hosts:
            host.close()
        await self.server.close()
        if self._downloads is not None:
            await self._downloads.close()
        await self._wire.close()

    async def _keep_running(self, bot: Bot) -> None:
        """An adapter that falls over is started again; one that only its operator can help is left ``failed``."""
        wait, most = RESTART
        while True:
            started = time.monotonic()
            try:
                await bot.adapter.run(self._receiver(bot))
                return
            except Fatal as error:
                log.error("bot %s has failed: %s", bot.name, error)
                self.server.state(bot.name, State("failed", str(error)))
                return
            except Exception:
                log.exception("bot %s fell over and is started again in %.0f s", bot.name, wait)
            self.server.state(bot.name, State("connecting", "it fell over; see the log"))
            await asyncio.sleep(wait)
            wait = RESTART[0] if time.monotonic() - started > most else min(most, wait * 2)

    def _receiver(self, bot: Bot) -> Callable[[AnyEvent], Awaitable[str | None]]:
        async def receive(event: AnyEvent) -> str | None:
            return await self.core.receive(bot, event)

        return receive

    async def _prune(self) -> None:
        while True:
            try:
                await self.engine.prune(time.time() - span(self._config.retention), PRUNED)
            except Exception:
                log.exception("pruning failed and is tried again later")
            await asyncio.sleep(PRUNE_EVERY)

    async def finished(self) -> None:
        """Until every adapter has ended by itself, as the console does."""
        await asyncio.wait(self._running)

    async def _store_writes(self) -> bool:
        at, healthy = self._health
        if time.monotonic() - at > HEALTH_AGE or not healthy:
            try:
                await asyncio.wait_for(self.engine.put({"health": b"1"}), 5.0)
                healthy = True
            except Exception as error:  # whatever it is, the store does not write
                log.error("the store does not write: %s", error)
                healthy = False
            self._health = (time.monotonic(), healthy)
        return healthy
