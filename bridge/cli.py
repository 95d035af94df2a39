"""The commands (DESIGN 2.1). Exit codes: 0 fine, 2 wrong usage or config, 1 failed at run time."""

from __future__ import annotations

import asyncio
import io
import logging
import resource
import sys
import tempfile
import tomllib
from contextlib import suppress
from importlib import metadata
from pathlib import Path

import click
import msgspec

import adapters
from bridge.app import Bridge, Platforms, own_adapters
from bridge.config import App, Bot, Config, ConfigError, Http
from bridge.configfile import load
from bridge.model import BridgeError
from bridge.qr import drawn
from bridge.serve import only_one, serve

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
    # httpx logs addresses, and Telegram's hold the token; hpack logs headers, and a gateway's token is one
    for chatty in ("httpx", "httpcore", "telegram", "asyncio", "hpack", "h2", "grpclib"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


@cli.command()
@CONFIG
def run(path: Path) -> None:
    """Run the service."""
    config = load(path, Platforms(adapters.ADAPTERS))
    _raise_file_limit()
    with only_one(config):
        asyncio.run(serve(config, lambda: load(path, Platforms(adapters.ADAPTERS))))


def _raise_file_limit() -> None:
    """Each answer holds a connection, and shells start programs with 1,024 files at most."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


@cli.command()
@CONFIG
@click.option("--online", is_flag=True, help="Try keys, tokens and the platforms' settings too. Takes no message.")
def check(path: Path, online: bool) -> None:
    """Say whether the config is right, and what is wrong with it."""
    config = load(path, Platforms(adapters.ADAPTERS))
    for name, bot in config.bots.items():
        click.echo(f"bot {name}: {bot.platform}, answers from {bot.app} ({config.fastgpt[bot.app].base_url})")
    click.echo(f"{path} is right")
    scheme, _, file = config.store.partition(":")
    if scheme == "sqlite" and not Path(file).exists():
        config = msgspec.structs.replace(config, store="sqlite::memory:")  # looking must not make a store
    if online and not asyncio.run(_probe(config)):
        sys.exit(2)


async def _probe(config: Config) -> bool:
    """A row for each thing that was tried, and what to do about it; True when all is well."""
    fine = True
    async for where, finding in Bridge(config).probe():
        fine = fine and finding.ok
        click.echo(f"{'ok   ' if finding.ok else 'FAULT'} {where}: {finding.text}")
        if finding.fix:
            click.echo(f"      {'fix: ' if not finding.ok else 'note: '}{finding.fix}")
    return fine


@cli.command()
@click.argument("bot")
@CONFIG
def login(bot: str, path: Path) -> None:
    """Log a WeChat bot in by QR code. A service that is running goes on with it by itself."""
    config = load(path, Platforms(adapters.ADAPTERS))
    if bot not in config.bots:
        raise ConfigError(f"{bot}: is not under bots:; known are {', '.join(config.bots)}")
    one = msgspec.structs.replace(config, bots={bot: config.bots[bot]})
    asyncio.run(Bridge(one).login(bot, _show_qr, _ask))
    click.echo(f"bot {bot} is logged in")


async def _show_qr(link: str) -> None:
    click.echo(f"{drawn(link)}\nScan it with WeChat on your phone, or open the link there: {link}")


async def _ask(question: str) -> str:
    return str(click.prompt(question))  # nothing else goes on meanwhile


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
        asyncio.run(serve(config, lambda: config, builtin.mount))


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
