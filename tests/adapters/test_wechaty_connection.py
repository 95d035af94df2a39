"""How a WeChat bot is connected to a wechaty gateway: who is logged in, what is to be scanned, what comes in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator

import pytest

from adapters.wechat.wechaty import connection
from adapters.wechat.wechaty.client import Happened, PuppetError
from adapters.wechat.wechaty.connection import attached, code_of
from bridge.model import BridgeError, Fatal, Show, State, Unreachable
from tests.adapters.wechaty_shelf import Shelf, question
from tests.adapters.wechaty_stage import Stage, stage_of
from tests.fakes.wechat.things import DONG, QRCODE, ROOM

ERROR = 16
"""The proto's number of an error event."""


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with stage_of() as made:
        yield made


@pytest.fixture
async def logged_out(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    """Nobody is logged in, and the puppet is not started."""
    monkeypatch.setattr(connection, "SILENCE", 0.05)
    async with stage_of(logged_in=False) as made:
        yield made


# ------------------------------------------------------------------ the login


async def test_a_puppet_that_runs_is_attached_to_and_not_started(stage: Stage) -> None:
    async with stage.bot() as (_, host):
        assert host.states[-1] == State("connected", "FastBot")
        assert not [state for state in host.states if state.state == "login_needed"]
        assert stage.gateway.started == 0


async def test_a_puppet_that_is_silent_is_started_and_its_code_is_shown(logged_out: Stage) -> None:
    async with logged_out.running() as (_, host):
        await host.until_state("login_needed")
        assert host.states[-1] == State("login_needed", f"scan with WeChat: {QRCODE}", QRCODE)
        assert logged_out.gateway.started == 1
        logged_out.gateway.login()
        await host.until_state("connected", "FastBot")
        logged_out.gateway.say("hello")
        assert await host.text() == "hello"


async def test_each_change_is_kept_for_other_processes(logged_out: Stage) -> None:
    gateway = logged_out.gateway
    async with logged_out.running() as (_, host):
        await host.until_state("login_needed", QRCODE)
        assert await host.noted() == ("login_needed", QRCODE, "")
        gateway.scan("https://example.com/2")
        assert await host.noted() == ("login_needed", "https://example.com/2", "")
        gateway.login()
        assert await host.noted() == ("connected", "", "FastBot")
        gateway.logout()
        assert await host.noted() == ("login_needed", "", "")


async def test_how_far_a_scan_got_is_told_without_drawing_it_again(logged_out: Stage) -> None:
    async with logged_out.running() as (_, host):
        await host.until_state("login_needed", QRCODE)
        for status in (2, 3, 4):
            logged_out.gateway.scan(QRCODE, status)
        await host.until_state("login_needed", "WeChat logs in")
        told = [(state.detail, state.qr) for state in host.states if state.state == "login_needed"]
        assert told == [
            (f"scan with WeChat: {QRCODE}", QRCODE),
            ("scanned: confirm the login on the phone", ""),
            ("confirmed: WeChat logs in", ""),
        ]


@pytest.mark.parametrize(
    ("scan", "link", "detail"),
    [
        ({"qrcode": "https://a.b/c"}, "https://a.b/c", "scan with WeChat: https://a.b/c"),
        ({"qrcode": "https://a.b/c", "status": 3}, "", "scanned: confirm the login on the phone"),
        ({"qrcode": None, "status": 5}, "", "the code has run out: another will come"),
        ({}, "", "the code has run out: another will come"),
    ],
)
def test_what_a_scan_asks_for(scan: dict[str, object], link: str, detail: str) -> None:
    assert code_of(scan) == (link, detail)


async def test_after_a_logout_nothing_is_sent_until_somebody_logs_in_again(stage: Stage) -> None:
    async with stage.bot() as (door, host):
        surface = door.answer(question(), "turn")
        stage.gateway.logout()
        await host.until_state("login_needed")
        with pytest.raises(Unreachable):
            await surface.show(Show(text="Too early", final=True))
        stage.gateway.scan(QRCODE)
        await host.until_state("login_needed", QRCODE)
        host.states.clear()
        stage.gateway.login()
        await host.until_state("connected")
        await surface.show(Show(text="Now", final=True))
        assert stage.gateway.screen() == ["Now"]


async def test_a_scan_that_is_open_is_not_answered_by_another_start(logged_out: Stage) -> None:
    """It is the puppet's turn: whoever is about to scan must not get another code."""
    async with logged_out.running() as (_, host):
        await host.until_state("login_needed", QRCODE)
        host.states.clear()
        logged_out.gateway.scanned = None  # a puppet that does not repeat itself
        await logged_out.gateway.restart(logged_in=False)
        await host.until_state("connecting", "has not said yet")
        logged_out.gateway.scan("https://example.com/2")
        await host.until_state("login_needed", "https://example.com/2")
        assert logged_out.gateway.started == 1


class Stubborn(Shelf):
    """Its puppet has started only when somebody has scanned, or fails to."""

    def __init__(self, error: BridgeError | None = None) -> None:
        super().__init__()
        self._error = error
        self._starting = asyncio.Event()

    async def start(self) -> None:
        self._starting.set()
        if self._error is not None:
            raise self._error
        await asyncio.Event().wait()

    async def events(self) -> AsyncGenerator[Happened, None]:
        await self._starting.wait()
        if self._error is not None:
            await asyncio.Event().wait()
        yield Happened("scan", {"qrcode": QRCODE, "status": 2})
        yield Happened("login", {"contactId": "bot"})


async def test_a_code_is_seen_while_the_puppet_still_starts() -> None:
    async with asyncio.timeout(5):
        assert [happened.kind async for happened in attached(Stubborn(), 0.01)] == ["scan", "login"]


async def test_a_puppet_that_cannot_be_started_says_why() -> None:
    with pytest.raises(PuppetError, match="no browser"):
        async with asyncio.timeout(5):
            await anext(attached(Stubborn(PuppetError("no browser")), 0.01))


# ------------------------------------------------------------------ the gateway


async def test_a_wrong_token_is_the_operators_to_mend(stage: Stage) -> None:
    door, host = stage.build(token="wrong")
    with pytest.raises(Fatal, match="token"):
        await asyncio.wait_for(door.run(host.receive), 5)
    host.close()


async def test_a_second_client_is_told_plainly_and_goes_on_when_the_first_has_left(stage: Stage) -> None:
    async with stage.bot() as (_, first):
        async with stage.running() as (_, second):
            await second.until_state("connecting", "Another program is connected to this gateway")
            stage.gateway.say("for the first")
            assert await first.text() == "for the first"
        assert second.events.empty()
    async with stage.bot() as (_, third):
        stage.gateway.say("for the third")
        assert await third.text() == "for the third"


async def test_a_gateway_that_comes_back_is_attached_to_again(stage: Stage) -> None:
    async with stage.bot() as (door, host):
        surface = door.answer(question(), "turn")
        host.states.clear()
        await stage.gateway.kill()
        await host.until_state("connecting", "gateway")
        with pytest.raises(Unreachable):
            await surface.show(Show(text="Into the void", final=True))
        await stage.gateway.restart()
        await host.until_state("connected", "FastBot")
        stage.gateway.say("still there?")
        assert await host.text() == "still there?"
        await surface.show(Show(text="Yes", final=True))
        assert stage.gateway.screen() == ["Yes"]


async def test_a_gateway_that_is_not_there_yet_is_waited_for(stage: Stage) -> None:
    await stage.gateway.kill()
    async with stage.running() as (_, host):
        await host.until_state("connecting", stage.gateway.endpoint)
        await stage.gateway.restart()
        await host.until_state("connected")


async def test_a_stream_that_the_gateway_ends_is_opened_again(stage: Stage) -> None:
    async with stage.bot() as (_, host):
        host.states.clear()
        stage.gateway.stop()
        await host.until_state("connecting", "ended the event stream")
        await host.until_state("connected")


async def test_the_stream_is_left_when_the_bot_ends(stage: Stage) -> None:
    async with stage.bot():
        assert stage.gateway.listening
    await stage.gateway.until(lambda: not stage.gateway.listening)


# ------------------------------------------------------------------ messages


async def test_messages_come_in_once_and_in_order(stage: Stage) -> None:
    async with stage.bot() as (_, host):
        for number in range(30):
            stage.gateway.say(f"{number}.", room=ROOM if number % 2 else "")
        assert [await host.text() for _ in range(30)] == [f"{number}." for number in range(30)]


async def test_our_own_messages_are_nobodys_question(stage: Stage) -> None:
    async with stage.bot() as (door, host):
        await door.answer(question(), "turn").show(Show(text="An answer", final=True))
        stage.gateway.say("next")
        assert await host.text() == "next"


async def test_in_a_room_the_alias_that_we_have_there_means_us(stage: Stage) -> None:
    stage.gateway.alias("Helper")
    async with stage.bot() as (_, host):
        stage.gateway.say("@Helper\u2005what is it?", room=ROOM)
        event = await host.next()
        assert (event.addressed, event.text) == (True, "what is it?")  # type: ignore[union-attr]


async def test_what_comes_before_the_login_is_dropped_with_a_line_in_the_log(
    logged_out: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    async with logged_out.running() as (_, host):
        await host.until_state("login_needed")
        early = logged_out.gateway.say("who am I?")
        logged_out.gateway.login()
        await host.until_state("connected")
        logged_out.gateway.say("hello")
        assert await host.text() == "hello"
        assert f"message {early} is dropped" in caplog.text


async def test_an_error_of_the_puppet_is_one_line_in_the_log(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    async with stage.bot() as (_, host):
        stage.gateway.emit(ERROR, data="the session is gone\n    at Puppet.js")
        stage.gateway.emit(DONG, data="an event that concerns nobody")
        stage.gateway.emit(99, data="one that nobody knows")
        stage.gateway.say("hello")
        assert await host.text() == "hello"
        assert "the puppet reports an error: the session is gone" in caplog.text
        assert "Puppet.js" not in caplog.text
