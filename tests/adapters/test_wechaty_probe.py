"""``check --online`` and ``login`` for a bot at a wechaty gateway: what an operator reads and scans."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from adapters.wechat.wechaty import connection, login
from bridge.model import Fatal, Finding, Unreachable
from tests.adapters.wechaty_stage import Stage, stage_of
from tests.fakes.wechat.things import QRCODE


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with stage_of() as made:
        yield made


@pytest.fixture
async def logged_out(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    monkeypatch.setattr(connection, "SILENCE", 0.05)
    monkeypatch.setattr(login, "LOOK", 0.02)
    async with stage_of(logged_in=False) as made:
        yield made


# ------------------------------------------------------------------ check --online


async def check(stage: Stage, **options: str) -> list[Finding]:
    door, _ = stage.build(**options)
    return await door.probe()


async def test_a_gateway_that_the_bridge_never_saw_is_asked_for_its_version_alone(stage: Stage) -> None:
    gateway, account = await check(stage)
    assert gateway.ok
    assert stage.gateway.endpoint in gateway.text
    assert account.ok
    assert "is not known" in account.text
    assert "login wx" in account.fix


async def test_who_is_logged_in_is_told_as_the_bridge_heard_it(stage: Stage) -> None:
    async with stage.bot() as (_, host):
        await host.noted()
        _, account = await check(stage)
        assert account.ok
        assert "FastBot" in account.text
        stage.gateway.logout()
        await host.noted()
        _, account = await check(stage)
        assert not account.ok
        assert "nobody is logged in" in account.text
        assert account.fix == "run: fastgpt-bridge login wx"


async def test_a_check_neither_starts_the_puppet_nor_takes_the_event_stream(logged_out: Stage) -> None:
    await check(logged_out)
    assert logged_out.gateway.started == 0
    async with logged_out.running() as (_, host):
        await host.until_state("login_needed")
        await check(logged_out)
        assert logged_out.gateway.listening


async def test_a_wrong_token_is_the_only_row(stage: Stage) -> None:
    (row,) = await check(stage, token="wrong")
    assert not row.ok
    assert "token" in row.fix
    assert "wrong" not in row.text


async def test_an_address_where_nobody_is_points_at_it(stage: Stage) -> None:
    (row,) = await check(stage, endpoint="127.0.0.1:9")
    assert not row.ok
    assert "127.0.0.1:9" in row.fix


# ------------------------------------------------------------------ login


class Terminal:
    """Where codes are drawn, while ``login`` runs."""

    def __init__(self, stage: Stage, **options: str) -> None:
        door, self.host = stage.build(**options)
        self._drawn: asyncio.Queue[str] = asyncio.Queue()
        self._running = asyncio.create_task(door.login(self._draw, self._ask))

    async def _draw(self, link: str) -> None:
        self._drawn.put_nowait(link)

    async def _ask(self, question: str) -> str:
        raise AssertionError(question)

    async def code(self) -> str:
        """The next one that is drawn."""
        return await asyncio.wait_for(self._drawn.get(), 5)

    async def over(self) -> list[str]:
        """Waits for the end of the command; the codes that nobody looked at."""
        await asyncio.wait_for(self._running, 5)
        return [self._drawn.get_nowait() for _ in range(self._drawn.qsize())]


async def test_a_login_draws_each_code_once_and_ends_with_the_login(logged_out: Stage) -> None:
    terminal = Terminal(logged_out)
    assert await terminal.code() == QRCODE
    logged_out.gateway.scan(QRCODE)
    logged_out.gateway.scan(QRCODE, status=3)
    logged_out.gateway.scan("https://example.com/2")
    assert await terminal.code() == "https://example.com/2"
    logged_out.gateway.login()
    assert await terminal.over() == []
    assert await terminal.host.noted() == ("connected", "", "FastBot")
    assert logged_out.gateway.started == 1
    await logged_out.gateway.until(lambda: not logged_out.gateway.listening)


async def test_where_somebody_is_logged_in_there_is_nothing_to_scan(stage: Stage) -> None:
    assert await Terminal(stage).over() == []
    assert stage.gateway.started == 0


async def test_beside_a_running_bridge_its_codes_are_drawn_and_it_goes_on(logged_out: Stage) -> None:
    async with logged_out.running() as (_, host):
        await host.until_state("login_needed", QRCODE)
        terminal = Terminal(logged_out)
        assert await terminal.code() == QRCODE
        logged_out.gateway.scan("https://example.com/2")
        assert await terminal.code() == "https://example.com/2"
        logged_out.gateway.login()
        assert await terminal.over() == []
        logged_out.gateway.say("hello")
        assert await host.text() == "hello"
        assert not [state for state in host.states if "program" in state.detail]


async def test_beside_a_bridge_that_is_logged_in_there_is_nothing_to_scan(stage: Stage) -> None:
    async with stage.bot() as (_, host):
        await host.noted()
        assert await Terminal(stage).over() == []


@pytest.mark.parametrize(
    ("options", "error"), [({"token": "wrong"}, Fatal), ({"endpoint": "127.0.0.1:9"}, Unreachable)]
)
async def test_what_is_wrong_ends_the_login_with_a_reason(
    stage: Stage, options: dict[str, str], error: type[Exception]
) -> None:
    with pytest.raises(error):
        await Terminal(stage, **options).over()


async def test_a_gateway_that_ends_the_stream_ends_the_login(logged_out: Stage) -> None:
    terminal = Terminal(logged_out)
    await terminal.code()
    logged_out.gateway.stop()
    with pytest.raises(Unreachable, match="ended the event stream"):
        await terminal.over()
