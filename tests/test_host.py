"""What the bridge does for an adapter: the pauses after its failures, and waking whoever waits for it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from bridge.alarm import Alarm, Bell
from bridge.host import BotHost
from bridge.http import Server
from bridge.model import RateLimited, State, Unreachable
from bridge.pace import Budget
from bridge.wire import Wire


class Stage:
    def __init__(self, wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
        self.naps: list[float] = []
        self.budget, self.back = Budget(), Bell()
        self.server = Server("", cast(Any, None))
        self.host = BotHost(
            "tg",
            wire,
            "",
            cast(Any, None),
            self.server,
            self.budget,
            self.back,
            cast(Any, None),
            "",
            "http://x",
            cast(Any, None),
        )

        async def nap(seconds: float) -> None:
            self.naps.append(seconds)

        monkeypatch.setattr(asyncio, "sleep", nap)


@pytest.fixture
async def stage(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    wire = Wire({})
    with monkeypatch.context() as patch:
        yield Stage(wire, patch)
    await wire.close()


async def test_each_failure_in_a_row_waits_longer_and_some_are_logged(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(12):
        await stage.host.failed(Unreachable("no way"), most=8.0)
    assert all(0.5 <= nap <= 8.0 for nap in stage.naps)
    assert stage.naps[0] <= 1.0 < stage.naps[2]
    assert min(stage.naps[4:]) >= 4.0
    told = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert told == ["bot tg: no way (try 1)", "bot tg: no way (try 10)"]
    stage.host.state(State("connected"))
    await stage.host.failed(Unreachable("again"))
    assert stage.naps[-1] <= 1.0


async def test_a_platform_that_says_when_is_believed(stage: Stage) -> None:
    await stage.host.failed(RateLimited(17.0))
    assert stage.naps == [17.0]


async def test_whoever_waits_for_the_platform_is_woken_when_it_is_back(stage: Stage) -> None:
    alarm = Alarm()
    stage.host.state(State("connecting"))
    with stage.back.wakes(alarm):
        stage.host.state(State("connected"))
        await asyncio.wait_for(alarm.sleep(), 5)
        stage.host.state(State("connected", "still"))
        assert not alarm._rung, "it was there all the time"


async def test_a_code_to_be_scanned_is_drawn_once(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        stage.host.state(State("login_needed", "scan with WeChat", qr="https://x/y"))
    drawn = capsys.readouterr().out.splitlines()
    assert 10 < len(drawn) < 30
    assert len(set(map(len, drawn[:-1]))) == 1, "it is a square"


async def test_a_call_waits_for_room_in_the_budget_or_is_given_up(stage: Stage) -> None:
    now = asyncio.get_running_loop().time()
    stage.budget.hold("", now, 60.0)
    with pytest.raises(RateLimited):
        await stage.host.spend("", durable=True, within=3.0)
    assert stage.naps == []
