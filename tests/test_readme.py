"""The README is honest: its commands exist and run, its YAML is right, its links lead somewhere."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import shutil
import signal
import subprocess
from pathlib import Path

import aiohttp
import pytest

import adapters
from bridge.app import Platforms
from bridge.cli import cli
from bridge.configfile import parse

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")
GUIDES = sorted((ROOT / "docs").glob("*.md"))
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, re.DOTALL)
SECRETS = {
    "FASTGPT_API_KEY": "k",
    "TELEGRAM_TOKEN": "1:abc",
    "FEISHU_SECRET": "s",
    "FEISHU_ENCRYPT_KEY": "e",
    "WECHATY_TOKEN": "t",
    "WECOM_BOT_ID": "b",
    "WECOM_SECRET": "s",
    "MP_SECRET": "s",
    "MP_TOKEN": "t",
    "MP_AES_KEY": "A" * 43,
}
COMMANDS = [line for kind, block in BLOCKS if kind == "sh" for line in block.splitlines() if line.strip()]


def test_the_yaml_is_a_right_config() -> None:
    first, *others = [block for kind, block in BLOCKS if kind == "yaml"]
    assert len(first.splitlines()) == 5, "a real bot in five lines"
    assert set(parse(first, Platforms(adapters.ADAPTERS), SECRETS).bots) == {"tg", "site"}
    for block in others:
        parse(block, Platforms(adapters.ADAPTERS), SECRETS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_exists(command: str) -> None:
    program, *arguments = shlex.split(command)
    if program == "make":
        subprocess.run(["make", "-n", *arguments], cwd=ROOT, check=True, capture_output=True)
    elif program == "fastgpt-bridge":
        assert arguments[0] in cli.commands
    else:
        assert command == "pip install .", "a command that no test runs"


def test_the_table_of_commands_is_complete() -> None:
    told = set(re.findall(r"^\| `fastgpt-bridge (\w+)", README, re.MULTILINE))
    assert told == set(cli.commands)


def test_every_link_leads_somewhere() -> None:
    for target in re.findall(r"\]\((?!https?://)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


@pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: guide.stem)
def test_a_guide_is_right(guide: Path) -> None:
    text = guide.read_text("utf-8")
    for kind, block in re.findall(r"```(\w+)\n(.*?)```", text, re.DOTALL):
        if kind == "yaml":
            parse(block, Platforms(adapters.ADAPTERS), SECRETS)
        else:
            assert all(line.split()[:1] == ["fastgpt-bridge"] for line in block.splitlines())
            assert all(line.split()[1] in cli.commands for line in block.splitlines())
    for target in re.findall(r"\]\((?!https?://|#)([^)#]+)\)", text):
        assert (guide.parent / target).exists(), target


@pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: guide.stem)
def test_the_faults_of_a_guide_are_what_the_product_says(guide: Path) -> None:
    """The first column of its table of faults, up to what differs from case to case."""
    rows = re.findall(r"^\| `([^`]+)`", guide.read_text("utf-8").partition("is wrong")[2], re.MULTILINE)
    files = [*(ROOT / "bridge").rglob("*.py"), *(ROOT / "adapters").rglob("*.py")]
    source = re.sub(r"\{[^{}]*\}|%[sd]|%\.\df", "…", "".join(path.read_text("utf-8") for path in files))
    for row in rows:
        assert row.replace("bots.tg", "…").rstrip(" …") in source, row


@pytest.mark.slow
async def test_make_demo_answers_from_a_fresh_clone(tmp_path: Path) -> None:
    """What a visitor does first: clone, make demo, open the address."""
    clone = tmp_path / "clone"
    ignored = shutil.ignore_patterns(
        ".git", ".venv*", "*.egg-info", "__pycache__", ".*_cache", ".hypothesis", "data", "build"
    )
    shutil.copytree(ROOT, clone, ignore=ignored)
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("VIRTUAL_ENV", "PYTHONPATH", "MAKE"))}
    process = await asyncio.create_subprocess_exec(
        "make", "demo", cwd=clone, env=environment, stdout=asyncio.subprocess.PIPE, start_new_session=True
    )
    try:
        assert process.stdout
        async with asyncio.timeout(240):
            address = ""
            while not address:
                line = (await process.stdout.readline()).decode()
                assert line, "it ended without an address"
                found = re.search(r"http://\S+", line)
                address = found[0] if found else ""
            assert address.endswith("/chat/demo")
            async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as visitor:
                async with visitor.get(address) as page:
                    assert page.status == 200
                async with visitor.post(f"{address}/messages", json={"id": "question-1", "text": "hello"}) as sent:
                    assert sent.status == 204
                seen = b""
                async with visitor.get(f"{address}/events") as events:
                    while b"built-in demo app" not in seen:
                        seen += await events.content.readany()
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        await process.wait()
