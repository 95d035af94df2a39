"""The commands (DESIGN 2.1). Exit codes: 0 fine, 2 wrong usage or config, 1 failed at run time."""

from __future__ import annotations

import asyncio
import fcntl
import io
import logging
import os
import signal
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path

import click
import msgspec

import adapters
from bridge.app import Bridge, Platforms, own_adapters
from bridge.config import App, Bot, Config, ConfigError, Http
from bridge.configfile import load
from bridge.model import BridgeError

CONFIG = click.option(
    "-c", "--config", "path", type=click.Path(path_type=Path), default=Path("config.yaml"), show_default=True
)


def _version() -> str:
    try:
        return metadata.version("fastgpt-bridge")
    except metadata.PackageNotFoundError:  # not installed: `python -m bridge` in a checkout
        project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text("utf-8"))["project"]
        return str(project["version"])


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(_version(), message="%(version)s")
@click.option("-v", "--verbose", is_flag=True, help="Log every step.")
def cli(verbose: bool) -> None:
    """Telegram, Feishu and WeChat bots that answer from FastGPT."""
    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.INFO,
        format="%(asctime)s %(levelname)-7s %(message)s",
        stream=sys.stderr,
    )
    for chatty in ("httpx", "httpcore", "telegram", "asyncio"):  # httpx logs addresses, and Telegram's hold the token
        logging.getLogger(chatty).setLevel(logging.WARNING)


@cli.command()
@CONFIG
def run(path: Path) -> None:
    """Run the service."""
    config = load(path, Platforms(adapters.ADAPTERS))
    with _only_one(config):
        asyncio.run(_serve(config, lambda: load(path, Platforms(adapters.ADAPTERS))))


@cli.command()
@CONFIG
def check(path: Path) -> None:
    """Say whether the config is right, and what is wrong with it."""
    config = load(path, Platforms(adapters.ADAPTERS))
    for name, bot in config.bots.items():
        click.echo(f"bot {name}: {bot.platform}, answers from {bot.app} ({config.fastgpt[bot.app].base_url})")
    click.echo(f"{path} is right")


@cli.command()
@CONFIG
@click.option("--app", help="Which app; default: the first.")
def chat(path: Path, app: str | None) -> None:
    """Talk to an app from the terminal, through the same core."""
    logging.getLogger().setLevel(logging.ERROR)
    for stream in (sys.stdin, sys.stdout):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # what a terminal cannot encode is no reason to end
    config = load(path, Platforms(adapters.ADAPTERS))
    app = app or next(iter(config.fastgpt))
    if app not in config.fastgpt:
        raise ConfigError(f"--app {app}: is not under fastgpt:; known are {', '.join(config.fastgpt)}")
    with tempfile.TemporaryDirectory(prefix="fastgpt-bridge-") as folder:
        one = msgspec.structs.replace(
            config,
            bots={"console": Bot(platform="console", app=app, per_user="0")},
            store=f"sqlite:{folder}/chat.db",
            http=Http(listen="127.0.0.1:0"),
            shutdown_grace=0,  # Ctrl-C in an answer is about that answer
        )
        if sys.stdin.isatty():
            click.echo(f"This is {app}. /help lists the commands, Ctrl-D ends.")
        asyncio.run(_talk(one))
        if sys.stdin.isatty():
            click.echo()  # the shell's prompt begins a line of its own


async def _talk(config: Config) -> None:
    async with Bridge(config, {"console": "adapters.console"}) as bridge:
        await bridge.finished()


@cli.command()
@click.option(
    "--port", type=click.IntRange(0, 65535), default=None, help="Default: 8080, or a free one when that is taken."
)
def demo(port: int | None) -> None:
    """Try it without any account. A built-in app, and the web chat to talk to it."""
    from bridge import demo as builtin

    port = builtin.port(8080 if port is None else port, strict=port is not None)
    with tempfile.TemporaryDirectory(prefix="fastgpt-bridge-") as folder:
        config = Config(
            fastgpt={"demo": App(base_url=f"http://127.0.0.1:{port}{builtin.PATH}", api_key=builtin.KEY)},
            bots={"demo": Bot(platform="web", app="demo", options=Platforms(adapters.ADAPTERS)["web"]())},
            store=f"sqlite:{folder}/demo.db",
            http=Http(listen=f"127.0.0.1:{port}"),
        )
        asyncio.run(_serve(config, lambda: config, builtin.mount))


async def _serve(config: Config, reload: Callable[[], Config], mount: Callable[[Bridge], None] | None = None) -> None:
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
    while not ending:
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
                    config = reload()
                    break
                except ConfigError as error:
                    for fault in error.faults:
                        logging.error("config not reloaded: %s", fault)


@contextmanager
def _only_one(config: Config) -> Iterator[None]:
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


def main() -> None:
    """The console script: every fault leaves as one line and an exit code."""
    try:
        own_adapters()
        cli.main(standalone_mode=False)
    except click.exceptions.Exit as done:
        sys.exit(done.exit_code)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(2)
    except click.ClickException as error:
        where = error.ctx if isinstance(error, click.UsageError) else None
        help = f" (see {where.command_path} --help)" if where else ""
        click.echo(f"error: {' '.join(error.format_message().split())}{help}", err=True)
        sys.exit(2)
    except ConfigError as error:
        for fault in error.faults:
            click.echo(fault, err=True)
        sys.exit(2)
    except (BridgeError, OSError) as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(1)
    except (KeyboardInterrupt, click.Abort):
        sys.exit(130)
