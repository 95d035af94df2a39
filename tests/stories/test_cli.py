"""The commands as a user types them: what they print, and how they exit (DESIGN 2.1)."""

from __future__ import annotations

import asyncio
import os
import pty
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.adapters.web_double import Page
from tests.fakes.fastgpt import Fail, FakeFastGPT, Gate, Reply, Script
from tests.product import END, ROOT, START, Product, command
from tests.stories.browser import visitor

APP = {"base_url": "http://127.0.0.1:1/api", "api_key": "secret-of-the-app"}
SITE = {"platform": "web", "app": "support", "keys": ["secret-of-the-site"]}
COMMANDS = ("run", "check", "login", "chat", "demo")


def written(folder: Path, **parts: Any) -> str:
    """Write a config that is right but for ``parts``; gives its path."""
    config = {
        "fastgpt": {"support": APP},
        "bots": {"site": SITE},
        "store": f"sqlite:{folder}/bridge.db",
        "http": {"listen": "127.0.0.1:0"},
        **parts,
    }
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(config, allow_unicode=True), "utf-8")
    return str(path)


def one_line(text: str) -> str:
    """The only line of ``text``."""
    [line] = text.splitlines()
    return line


@contextmanager
def taken_port() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


@pytest.fixture
async def gpt() -> AsyncIterator[FakeFastGPT]:
    async with FakeFastGPT("e24") as gpt:
        yield gpt


@pytest.fixture
async def product(tmp_path: Path, gpt: FakeFastGPT) -> AsyncIterator[Product]:
    product = Product(
        tmp_path,
        {
            "fastgpt": {"support": {"base_url": gpt.base_url, "api_key": gpt.key}},
            "bots": {"site": {"platform": "web", "app": "support"}},
        },
    )
    yield product
    await product.close()


# ------------------------------------------------------------------ usage


async def test_help_and_version() -> None:
    whole, *each = await asyncio.gather(command("--help"), *(command(name, "-h") for name in COMMANDS))
    for code, out, err in (whole, *each):
        assert (code, err) == (0, "")
        assert out.startswith("Usage: ")
    for name in COMMANDS:
        assert f"\n  {name} " in whole[1]
    assert "..." not in whole[1].partition("Commands:")[2], "a sentence that is cut off helps nobody"
    code, out, err = await command("--version")
    assert (code, err) == (0, "")
    assert one_line(out).split(".")[0].isdigit()


@pytest.mark.slow
async def test_wrong_usage_is_one_line_and_2() -> None:
    wrong = {
        ("nope",): "No such command 'nope'",
        ("run", "--nope"): "No such option '--nope'",
        ("check", "-c"): "requires an argument",
        ("check", "surplus"): "surplus",
        ("demo", "--port", "http"): "not a valid integer",
        ("demo", "--port", "65536"): "65536",
    }
    for (code, out, err), words in zip(
        await asyncio.gather(*(command(*arguments) for arguments in wrong)), wrong.values(), strict=True
    ):
        assert (code, out) == (2, "")
        assert words in one_line(err)
    code, _, err = await command()
    assert code == 2
    assert all(f"\n  {name} " in err for name in COMMANDS), "without a command it says what there is"


# ------------------------------------------------------------------ config


async def test_check_of_a_right_file(tmp_path: Path) -> None:
    path = written(tmp_path)
    code, out, err = await command("check", "-c", path)
    assert (code, err) == (0, "")
    assert out.splitlines() == ["bot site: web, answers from support (http://127.0.0.1:1/api)", f"{path} is right"]
    assert list(tmp_path.iterdir()) == [Path(path)], "to check is not to start: no store is made"


async def test_every_fault_has_a_line_and_none_tells_a_secret(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        fastgpt={"support": {**APP, "base_ulr": "x"}},
        bots={"site": {**SITE, "groups": "maybe"}, "tg": {"platform": "telegran", "token": "secret-of-telegram"}},
        http={"listen": "127.0.0.1:0", "admin_token": "secret-of-the-admin", "port": 8080},
        shutdown_grace="soon",
    )
    faults = {
        "fastgpt.support.base_ulr": "did you mean 'base_url'?",
        "bots.site.groups": "'maybe' is not one of mention, all, off",
        "bots.tg.platform": "known are feishu, telegram, web",
        "http.port": "is not a key",
        "shutdown_grace": "'soon' is not a number",
    }
    for name in ("check", "run", "chat"):
        code, out, err = await command(name, "-c", path)
        assert (code, out) == (2, "")
        assert len(err.splitlines()) == len(faults)
        for line, (key, words) in zip(err.splitlines(), faults.items(), strict=True):
            assert line.startswith(f"{key}: "), err
            assert words in line
        assert "secret" not in err


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "is empty"),
        (b"- a\n- b\n", "is empty"),
        (b"fastgpt: [\n", "not valid YAML"),
        (b"fastgpt: {support: {api_key: ${NOT_SET}}}\n", "not valid YAML"),
        (b'fastgpt: {support: {api_key: "secret"-key}}\n', "line 1"),
        (b"fastgpt: [\xff\xfe]\n", "UTF-8"),
    ],
)
@pytest.mark.slow
async def test_a_file_that_is_no_config(tmp_path: Path, raw: bytes, words: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_bytes(raw)
    code, out, err = await command("check", "-c", str(path))
    assert (code, out) == (2, "")
    assert words in one_line(err)
    assert "secret" not in err


@pytest.mark.parametrize(
    ("parts", "key"),
    [
        ({"store": "mysql:data"}, "store"),
        ({"http": {"listen": "127.0.0.1:65536"}}, "http.listen"),
        ({"http": {"listen": "8080"}}, "http.listen"),
    ],
    ids=str,
)
@pytest.mark.slow
async def test_what_run_could_not_use_is_a_fault_of_the_file(tmp_path: Path, parts: dict[str, Any], key: str) -> None:
    for name in ("check", "run"):
        code, out, err = await command(name, "-c", written(tmp_path, **parts))
        assert (code, out) == (2, "")
        assert one_line(err).startswith(f"{key}: ")


async def test_a_login_that_cannot_be(tmp_path: Path) -> None:
    path = written(tmp_path)
    code, _, err = await command("login", "wx", "-c", path)
    assert (code, one_line(err)) == (2, "wx: is not under bots:; known are site")
    code, _, err = await command("login", "site", "-c", path)
    assert (code, one_line(err)) == (1, "error: bot site needs no login: its key is in the config")


@pytest.mark.slow
async def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    missing = str(tmp_path / "missing.yaml")
    for name in ("run", "check", "chat"):
        code, out, err = await command(name, "-c", missing)
        assert (code, out) == (2, "")
        assert missing in one_line(err)
        assert "config.yaml.example" in err


async def test_variables_that_are_not_set_are_named(tmp_path: Path) -> None:
    path = written(tmp_path, fastgpt={"support": {**APP, "api_key": "${BRIDGE_STORY_KEY}"}})
    code, _, err = await command("check", "-c", path)
    assert code == 2
    assert "BRIDGE_STORY_KEY is not set" in one_line(err)
    assert (await command("check", "-c", path, BRIDGE_STORY_KEY="secret"))[::2] == (0, "")


async def test_an_unknown_app_of_chat(tmp_path: Path) -> None:
    code, out, err = await command("chat", "-c", written(tmp_path), "--app", "suport")
    assert (code, out) == (2, "")
    assert "known are support" in one_line(err)


# ------------------------------------------------------------------ run


@pytest.mark.slow
async def test_a_store_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    code, out, err = await command("run", "-c", written(tmp_path, store=f"sqlite:{tmp_path}/file/bridge.db"))
    assert (code, out) == (1, "")
    assert f"cannot write in the folder {tmp_path}/file" in one_line(err)
    (tmp_path / "text.db").write_text("This is no database, but a text that is long enough to be looked at. " * 20)
    code, out, err = await command("run", "-c", written(tmp_path, store=f"sqlite:{tmp_path}/text.db"))
    assert (code, out) == (1, "")
    assert err.splitlines()[-1].startswith("error: ")
    assert "text.db" in err
    assert "Traceback" not in err


async def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with taken_port() as port:
        code, out, err = await command("run", "-c", written(tmp_path, http={"listen": f"127.0.0.1:{port}"}))
    assert (code, out) == (1, "")
    assert err.splitlines()[-1] == f"error: cannot listen on 127.0.0.1:{port}: Address already in use"
    assert "Traceback" not in err


async def test_the_address_of_an_ipv6_port_can_be_opened(product: Product) -> None:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        pytest.skip("there is no IPv6 here")
    product.config["http"] = {"listen": "[::1]:0"}
    await product.start()
    assert product.address.startswith("http://[::1]:")
    assert (await product.readyz())[0] == 200


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_the_service_with_0(product: Product, number: int) -> None:
    await product.start()
    assert await product.stop(number) == 0
    assert "Traceback" not in "\n".join(product.log)


async def test_a_hanging_answer_holds_the_end_no_longer_than_the_grace(product: Product, gpt: FakeFastGPT) -> None:
    product.config["shutdown_grace"] = 0.5
    gpt.default = Script(gate=(gate := Gate(0)))
    await product.start()
    async with visitor(f"{product.address}/chat/site") as page:
        await page.say("hello")
        await gate.reached()
        assert await product.stop() == 0
    await gpt.until(lambda: gpt.running == 0)
    assert "Traceback" not in "\n".join(product.log)


async def test_a_second_signal_ends_at_once(product: Product, gpt: FakeFastGPT) -> None:
    product.config["shutdown_grace"] = 600
    gpt.default = Script(gate=(gate := Gate(0)))
    await product.start()
    async with visitor(f"{product.address}/chat/site") as page, asyncio.timeout(END):
        await page.say("hello")
        await gate.reached()
        product.signal(signal.SIGINT)
        await closed(page)
        assert await product.stop(signal.SIGINT) == 1
    assert "Traceback" not in "\n".join(product.log)


async def test_no_secret_in_the_log(product: Product, gpt: FakeFastGPT) -> None:
    product.config["fastgpt"]["support"]["api_key"] = "secret-of-the-app"
    product.config["bots"]["site"]["keys"] = ["secret-of-the-site"]
    product.config["bots"]["tg"] = {
        "platform": "telegram",
        "app": "support",
        "token": "1:secret-of-telegram",
        "api_base": "http://127.0.0.1:1",
    }
    product.config["http"]["admin_token"] = "secret-of-the-admin"
    await product.start("-v", "run", "-c", str(product.write_config()))
    async with visitor(f"{product.address}/chat/site") as page:
        assert await page.login("secret-that-is-wrong") == 401
        assert await page.login("secret-of-the-site") == 200
        assert await page.say("hello") == 204
    await product.logged("app support")
    await product.logged("bot tg")
    assert await product.stop() == 0
    for line in product.log + product.out:
        assert "secret" not in line


# ------------------------------------------------------------------ chat


async def test_a_talk_in_the_terminal(tmp_path: Path, gpt: FakeFastGPT) -> None:
    path = written(tmp_path, fastgpt={"support": {"base_url": gpt.base_url, "api_key": gpt.key}})
    gpt.when("second", Script(text="**Two** lines:\n\n1. 第一\n2. 第二"))
    code, out, err = await command("chat", "-c", path, stdin="first\n\nsecond\n/new\nthird")
    assert (code, err) == (0, "")
    assert out == (
        "You asked: first\n**Two** lines:\n\n1. 第一\n2. 第二\n"
        "All right, a new conversation begins here.\nYou asked: third\n"
    )
    first, second, third = gpt.asked
    assert [asked.question for asked in gpt.asked] == ["first", "second", "third"]
    assert first.chat_id == second.chat_id != third.chat_id
    assert third.chat_id.startswith("console.terminal.")
    assert {asked.body["variables"]["platform"] for asked in gpt.asked} == {"console"}
    assert list(tmp_path.iterdir()) == [Path(path)], "a talk in the terminal leaves nothing behind"


async def test_a_talk_with_an_app_in_trouble(tmp_path: Path, gpt: FakeFastGPT) -> None:
    path = written(tmp_path, fastgpt={"support": {"base_url": gpt.base_url, "api_key": gpt.key}})
    gpt.next(
        Script(fail=Fail(after=0, payload={"code": 514, "statusText": "unAuthApiKey", "message": "x"})),
        Script(instead=Reply(404, "<html>nope</html>", "text/html")),
        Script(text="Half an answer", fail=Fail(after=2)),
    )
    code, out, err = await command("chat", "-c", path, stdin="one\ntwo\nthree\nfour\n")
    assert (code, err) == (0, "")
    assert "key is not valid" in out
    assert "address is wrong" in out
    assert "\nHalf an \n\n⚠️ " in out
    assert out.endswith("\nYou asked: four\n")
    assert "nope" not in out


async def test_bytes_that_are_no_text_are_asked_as_they_can_be_read(tmp_path: Path, gpt: FakeFastGPT) -> None:
    path = written(tmp_path, fastgpt={"support": {"base_url": gpt.base_url, "api_key": gpt.key}})
    talk = await terminal("chat", "-c", path, stdin=asyncio.subprocess.PIPE)
    out, err = await asyncio.wait_for(talk.communicate(b"caf\xe9 or so\n"), START)
    assert (talk.returncode, out.decode(), err) == (0, "You asked: caf\ufffd or so\n", b"")


@pytest.mark.parametrize("answering", [False, True], ids=["at the prompt", "in an answer"])
async def test_ctrl_c_ends_the_talk(tmp_path: Path, gpt: FakeFastGPT, answering: bool) -> None:
    path = written(tmp_path, fastgpt={"support": {"base_url": gpt.base_url, "api_key": gpt.key}})
    keyboard, line = pty.openpty()
    try:
        talk = await terminal("chat", "-c", path, stdin=line)
        assert talk.stdout
        assert talk.stderr
        os.write(keyboard, b"hello\n")
        await asyncio.wait_for(talk.stdout.readuntil(b"You asked: hello\n\n> "), START)
        if answering:
            gpt.default = Script(gate=(gate := Gate(1)))
            os.write(keyboard, b"and again\n")
            await gate.reached()
        talk.send_signal(signal.SIGINT)  # nobody presses Enter
        async with asyncio.timeout(END):
            assert await talk.wait() == 130
            assert (await talk.stderr.read()).strip() == b""
    finally:
        os.close(keyboard)
        os.close(line)


# ------------------------------------------------------------------ the installed command


@pytest.mark.slow
def test_the_installed_command_is_the_same(tmp_path: Path) -> None:
    source, place = tmp_path / "source", tmp_path / "venv"
    for package in ("adapters", "bridge"):
        shutil.copytree(ROOT / package, source / package, ignore=shutil.ignore_patterns("__pycache__"))
    for path in ROOT.iterdir():
        if path.suffix in (".toml", ".md") or path.name == "LICENSE":
            shutil.copy(path, source)
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(source)]
    subprocess.run(build, check=True, capture_output=True)
    [wheel] = tmp_path.glob("*.whl")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", place], check=True)
    python = place / "bin" / "python"
    install: list[str | Path] = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        python,
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        wheel,
    ]
    subprocess.run(install, check=True, capture_output=True)
    [libraries] = place.glob("lib/python*/site-packages")
    (libraries / "ours.pth").write_text(sysconfig.get_paths()["purelib"])
    config = written(tmp_path)

    def outcome(*command: str | Path) -> tuple[int, str, str]:
        clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=clean)
        return done.returncode, done.stdout, done.stderr

    for arguments in (("--version",), ("check", "-c", config), ("check", "-c", "missing.yaml")):
        script = outcome(place / "bin" / "fastgpt-bridge", *arguments)
        assert script == outcome(python, "-m", "bridge", *arguments)
        assert script[0] == (2 if "missing.yaml" in arguments else 0), script


# ------------------------------------------------------------------ helpers


async def closed(page: Page) -> None:
    """Return when the page is no longer served: the service has begun to end."""
    while True:
        async with page.get() as response:
            if response.status == 503:
                return


async def terminal(*arguments: str, stdin: int) -> asyncio.subprocess.Process:
    """A command that is talked to while it runs."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "bridge",
        *arguments,
        cwd=ROOT,
        stdin=stdin,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
