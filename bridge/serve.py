"""The running service: signals, a new config in the place of the old, and one process on one store.

Rules of this file:
- a config that cannot be run is no reason to stop running: the one before it goes on;
- the store stays what it was at the start: the lock is on that file.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from bridge.app import Bridge
from bridge.config import Config, ConfigError
from bridge.model import BridgeError

log = logging.getLogger(__name__)

Mount = Callable[[Bridge], None]


async def serve(config: Config, reload: Callable[[], Config], mount: Mount | None = None) -> None:
    """Run until a signal. SIGHUP runs a new config in the place of the old: its answers are parked and taken up."""
    loop = asyncio.get_running_loop()
    signals: asyncio.Queue[int] = asyncio.Queue()

    def received(number: int) -> None:
        if number != signal.SIGHUP and ending:
            os._exit(1)  # asked twice: now means now
        if number != signal.SIGHUP:
            ending.append(number)
        signals.put_nowait(number)

    ending: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, received, number)
    before: Config | None = None
    while not ending:
        try:
            config, before = await _run(config, signals, reload, mount), config
        except Exception as error:  # whatever it is: what ran before goes on
            if before is None:
                raise
            log.error("config not reloaded: %s", error, exc_info=not isinstance(error, BridgeError))
            config, before = before, None


async def _run(
    config: Config, signals: asyncio.Queue[int], reload: Callable[[], Config], mount: Mount | None
) -> Config:
    """Run one config until a signal; the config to go on with."""
    bridge = Bridge(config)
    if mount is not None:
        mount(bridge)
    async with bridge:
        host, _ = config.http.address
        address = f"http://{f'[{host}]' if ':' in host else host}:{bridge.port}"
        for name, bot in config.bots.items():
            if bot.platform == "web":
                click.echo(f"{address}/chat/{name}")
        click.echo(f"ready on {address}, stop with Ctrl-C")
        while await signals.get() == signal.SIGHUP:
            try:
                new = reload()
                if new.store != config.store:
                    raise ConfigError("store: cannot change while the service runs; restart it")
                return new
            except ConfigError as error:
                for fault in error.faults:
                    log.error("config not reloaded: %s", fault)
    return config


@contextmanager
def only_one(config: Config) -> Iterator[None]:
    """Two processes on one SQLite file would answer everything twice."""
    scheme, _, path = config.store.partition(":")
    if scheme != "sqlite" or path == ":memory:":
        yield
        return
    lock = Path(f"{path}.lock")
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        file = lock.open("w")
    except OSError as error:
        reason = f"cannot write in the folder {lock.parent}: {error.strerror}"
        raise BridgeError(f"store {config.store}: {reason}") from None
    with file:
        deadline = time.monotonic() + config.shutdown_grace + 5
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise BridgeError(f"another fastgpt-bridge is running on {path}") from None
                time.sleep(0.1)
        yield
