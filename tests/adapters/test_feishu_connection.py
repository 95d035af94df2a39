"""How a Feishu bot is connected: what it takes in and when, and the long connection."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest
from aiohttp import web

from adapters import feishu
from adapters.feishu import connection, endpoint
from bridge.model import BridgeError, Button, Conversation, Fatal, Message, Press, Show, User
from tests.adapters.feishu_stage import Stage, stage_of
from tests.adapters.host import Double
from tests.fakes.feishu import USER, OpenPlatform, Pressed
from tests.fakes.feishu.codec import CONTROL, DATA, Frame
from tests.fakes.feishu.delivery import Delivery
from tests.fakes.feishu.rules import Json

RECEIVE = "im.message.receive_v1"


@pytest.fixture
async def stage(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    async with stage_of(OpenPlatform(), monkeypatch) as stage:
        yield stage


@pytest.fixture(autouse=True)
def infos(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)


both = pytest.mark.parametrize(
    "options", [{}, {"mode": "webhook", "verification_token": "v3rT0kenOfTheApp"}], ids=["websocket", "webhook"]
)


# ------------------------------------------------------------------ taking in, either way


@both
async def test_an_event_is_acknowledged_after_the_commit_and_not_before(stage: Stage, options: Json) -> None:
    async with stage.bot(**options) as (_, host):
        host.committed.clear()
        said = stage.platform.say("hello")
        assert await host.text() == "hello"
        assert await stage.answered(stage.platform.push("somebody.came_v1", {})) == 200
        assert stage.code_of(said.event_id) is None
        host.committed.set()
        assert await stage.answered(said.event_id) == 200


@both
async def test_a_store_that_fails_gets_the_event_again(stage: Stage, options: Json) -> None:
    async with stage.bot(**options) as (_, host):
        host.fault = BridgeError("disk full")
        said = stage.platform.say("hello")
        assert await stage.answered(said.event_id) >= 500
        host.fault = None
        stage.platform.clock.advance(15)
        assert await host.text() == "hello"
        await stage.platform.until(lambda: not stage.platform.unacked)


@both
@pytest.mark.parametrize("event", [{"message": "not an object"}, {}, {"message": {"message_id": 7, "content": []}}])
async def test_what_cannot_be_read_is_acknowledged_with_an_error_in_the_log(
    stage: Stage, options: Json, event: Json, caplog: pytest.LogCaptureFixture
) -> None:
    async with stage.bot(**options) as (_, host):
        assert await stage.answered(stage.platform.push(RECEIVE, event, event_id="poison")) == 200
        stage.platform.say("hello")
        assert await host.text() == "hello"
        assert "event poison cannot be read and is skipped" in caplog.text


@both
async def test_an_event_that_meets_a_bug_is_acknowledged(
    stage: Stage, options: Json, caplog: pytest.LogCaptureFixture
) -> None:
    async with stage.bot(**options) as (_, host):
        host.fault = ZeroDivisionError()
        said = stage.platform.say("hello")
        assert await stage.answered(said.event_id) == 200
        assert f"event {said.message_id} cannot be taken in and is skipped" in caplog.text


@both
async def test_events_that_are_not_for_us_are_acknowledged(stage: Stage, options: Json) -> None:
    async with stage.bot(**options) as (_, host):
        for kind in ("im.message.message_read_v1", "application.bot.menu_v6", "somebody.came_v1"):
            assert await stage.answered(stage.platform.push(kind, {})) == 200
        assert host.events.empty()


@both
async def test_a_message_that_comes_too_late_is_dropped_with_a_line_in_the_log(
    stage: Stage, options: Json, caplog: pytest.LogCaptureFixture
) -> None:
    async with stage.bot(**options) as (_, host):
        old = stage.platform.say("old", create_time=time.time() - 1900)
        assert await stage.answered(old.event_id) == 200
        stage.platform.say("late", create_time=time.time() - 1700)
        assert await host.text() == "late"
        (told,) = [record for record in caplog.records if "is dropped" in record.getMessage()]
        assert told.levelno == logging.WARNING
        assert f"message {old.message_id} is dropped: it is 1900 s old" in told.getMessage()


@both
async def test_a_bot_that_is_removed_from_a_group_says_so_in_the_log(
    stage: Stage, options: Json, caplog: pytest.LogCaptureFixture
) -> None:
    async with stage.bot(**options):
        event = stage.platform.push("im.chat.member.bot.deleted_v1", {"chat_id": "oc_1"})
        assert await stage.answered(event) == 200
        assert "removed from chat oc_1" in caplog.text


async def pressed(stage: Stage, adapter: feishu.Adapter, host: Double) -> Pressed:
    """A user presses a button of the bot's."""
    said = stage.platform.say("hello")
    assert await host.text() == "hello"
    to = Message(id=said.message_id, conversation=Conversation("fs", said.chat_id, "private"), user=User(USER), at=0.0)
    surface, show = adapter.answer(to, "turn"), Show(text="Words", final=True, buttons=(Button("key", "Stop", "stop"),))
    while (shown := await surface.show(show)).staged:
        pass
    return await stage.platform.press(shown.ids[0], "Stop")


@both
@pytest.mark.parametrize("toast", ["Stopping…", None])
async def test_a_press_is_answered_with_its_toast(stage: Stage, options: Json, toast: str | None) -> None:
    async with stage.bot(**options) as (adapter, host):
        host.toast = toast
        seen = await pressed(stage, adapter, host)
        assert (seen.code, seen.toast) == (0, toast or "")
        assert stage.platform.acks[-1].data == ({"toast": {"type": "info", "content": toast}} if toast else {})
        press = await host.next()
        assert isinstance(press, Press)
        assert press.key == "key"


@both
async def test_a_press_that_could_not_be_taken_in_is_no_success(stage: Stage, options: Json) -> None:
    async with stage.bot(**options) as (adapter, host):
        host.toast = "Stopping…"
        task = asyncio.create_task(pressed(stage, adapter, host))
        await stage.platform.until(lambda: stage.platform.acks)
        host.fault = BridgeError("disk full")
        assert (await task).code != 0


# ------------------------------------------------------------------ frames


async def test_an_event_in_parts_is_joined(stage: Stage) -> None:
    async with stage.bot() as (_, host):
        said = stage.platform.say("hello " * 50, parts=3)
        assert await host.text() == ("hello " * 50).strip()
        assert await stage.answered(said.event_id) == 200


async def test_frames_of_old_card_callbacks_are_acknowledged(stage: Stage) -> None:
    async with stage.bot():
        assert await stage.answered(stage.platform.push("any", {}, frame_type="card")) == 200


@pytest.mark.parametrize("payload", [b"{", b"[]", b"\xff", b"[" * 100_000])
async def test_a_payload_that_is_no_event_is_acknowledged(
    stage: Stage, payload: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with stage.bot():
        stage.platform.deliveries["poison"] = Delivery("poison", payload, "event", 1, once=False)
        stage.platform.redeliver("poison")
        assert await stage.answered("poison") == 200
        assert "an event cannot be read and is skipped" in caplog.text


async def test_a_number_of_thousands_of_digits_in_a_frame_does_no_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    async with stage_of(OpenPlatform(), monkeypatch, polite=False) as stage, stage.bot() as (_, host):
        [open_now] = stage.platform.connections
        number = "9" * 5000
        open_now.send(Frame(0, 0, 1, DATA, [("type", "event"), ("sum", number), ("seq", number)], b"{}"))
        stage.platform.say("hello")
        assert await host.text() == "hello"


@both
@pytest.mark.parametrize("sender", [{"sender_id": None}, {"sender_id": None, "sender_type": "app"}])
async def test_a_sender_without_an_id_is_no_error(
    stage: Stage, options: Json, sender: Json, caplog: pytest.LogCaptureFixture
) -> None:
    async with stage.bot(**options):
        message = {"message_id": "om_1", "chat_id": "oc_1", "create_time": str(int(time.time() * 1000))}
        event = {"sender": sender, "message": message}
        assert await stage.answered(stage.platform.push(RECEIVE, event)) == 200
        assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


async def test_half_an_emoji_does_not_make_an_event_unreadable(stage: Stage) -> None:
    async with stage.bot() as (_, host):
        said = stage.platform.say("MARK")
        assert await host.text() == "MARK"
        delivery = stage.platform.deliveries[said.event_id]
        delivery.payload = delivery.payload.replace(b'"tenant_key":"', b'"x":"\\ud83d","tenant_key":"', 1)
        stage.platform.redeliver(said.event_id)
        assert await host.text() == "MARK"


async def test_control_frames_that_we_do_not_know_do_no_harm(stage: Stage) -> None:
    async with stage.bot() as (_, host):
        [open_now] = stage.platform.connections
        open_now.send(Frame(0, 0, 1, CONTROL, [("type", "news")], b"{"))
        open_now.send(Frame(0, 0, 1, CONTROL, [("type", "pong")], b'{"PingInterval":"soon"}'))
        stage.platform.say("hello")
        assert await host.text() == "hello"


async def test_messages_reach_the_bridge_in_their_order_also_when_commits_take_long(stage: Stage) -> None:
    async with stage.bot() as (_, host):
        host.committed.clear()
        for number in range(20):
            stage.platform.say(str(number), parts=1 + number % 2)
        assert [await host.text() for _ in range(20)] == [str(number) for number in range(20)]
        host.committed.set()
        await stage.platform.until(lambda: not stage.platform.unacked)


async def test_a_commit_that_takes_too_long_is_refused_but_not_broken_off(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "WITHIN", 0.01)
    committed = asyncio.Event()
    async with stage.bot() as (_, host):
        host.committed.clear()
        said = stage.platform.say("hello")
        assert await host.text() == "hello"
        assert await stage.answered(said.event_id) == 500
        monkeypatch.setattr(connection, "WITHIN", 5.0)
        asyncio.create_task(host.committed.wait()).add_done_callback(lambda _: committed.set())
        host.committed.set()
        await asyncio.wait_for(committed.wait(), 5)
        stage.platform.redeliver()
        await stage.platform.until(lambda: not stage.platform.unacked)


# ------------------------------------------------------------------ losing it, and getting it back


@pytest.mark.parametrize("clean", [True, False])
async def test_a_connection_that_is_lost_is_opened_again(
    stage: Stage, clean: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async with stage.bot() as (_, host):
        stage.platform.drop_connections(clean=clean)
        await host.until_state("connecting", "has ended after")
        await stage.platform.connected()
        stage.platform.say("hello")
        assert await host.text() == "hello"
        assert caplog.text.count("connected to Feishu as") == 2
        assert "access_key" not in caplog.text
        assert "ticket" not in caplog.text


async def test_an_outage_ends(stage: Stage) -> None:
    async with stage.bot() as (_, host):
        await stage.platform.down()
        await host.until_state("connecting", "Feishu cannot be reached")
        await stage.platform.up()
        await stage.platform.connected()
        stage.platform.say("hello")
        assert await host.text() == "hello"


@pytest.mark.parametrize("code", [1, 1000040343, 7])
async def test_a_passing_fault_of_the_endpoint_is_survived(stage: Stage, code: int) -> None:
    stage.platform.fail("/callback", code, "system busy", times=3)
    async with stage.bot() as (_, host):
        assert any(f"code {code}: system busy" in state.detail for state in host.states)


@pytest.mark.parametrize("config", [None, {"PingInterval": None, "ReconnectInterval": "300"}])
async def test_settings_that_are_null_have_their_defaults(
    stage: Stage, config: Json | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = stage.platform.endpoint

    def endpoint_with_nulls(body: Json) -> Json:
        return {"data": {**told(body)["data"], "ClientConfig": config}, "msg": None}

    monkeypatch.setattr(stage.platform, "endpoint", endpoint_with_nulls)
    async with stage.bot() as (_, host):
        stage.platform.say("hello")
        assert await host.text() == "hello"


@pytest.mark.parametrize("data", [{}, [], None])
async def test_a_refusal_is_understood_whatever_stands_beside_it(
    stage: Stage, data: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage.platform, "endpoint", lambda body: {"code": 514, "msg": "no", "data": data})
    assert "copy both" in await ends(stage)


@pytest.mark.parametrize("kind", ["500", "502", "drop_before"])
async def test_an_endpoint_that_does_not_answer_is_asked_again(stage: Stage, kind: Any) -> None:
    stage.platform.fault("/callback", kind, times=2)
    async with stage.bot() as (_, host):
        assert len(stage.platform.called("/callback")) == 3
        assert host.states[-1].state == "connected"


async def test_too_many_connections_are_named_and_waited_for(stage: Stage) -> None:
    stage.platform.fail("/callback", 1000040350, "exceed the limit")
    stage.platform.refuse_handshake(514, "exceed the limit", 1000040350)
    async with stage.bot() as (_, host):
        named = [state.detail for state in host.states if "50 long connections" in state.detail]
        assert len(named) == 2
        assert "stop what else runs with this app_id" in named[0]


async def test_a_refused_ticket_is_replaced(stage: Stage) -> None:
    stage.platform.refuse_handshake(514, "invalid ticket", 1000040343, times=2)
    async with stage.bot() as (_, host):
        assert len(stage.platform.called("/callback")) == 3
        assert any("invalid ticket" in state.detail for state in host.states)


async def ends(stage: Stage) -> str:
    """The bot's own end, in words."""
    adapter, host = stage.build()
    with pytest.raises(Fatal) as fatal:
        await asyncio.wait_for(adapter.run(host.receive), 5)
    return str(fatal.value)


@pytest.mark.parametrize("status", [200, 400])
@pytest.mark.parametrize(("code", "fix"), [(403, "choose the long"), (514, "copy both"), (1000040344, "copy both")])
async def test_what_only_the_operator_can_mend_is_not_tried_again(
    stage: Stage, code: int, fix: str, status: int
) -> None:
    stage.platform.fail("/callback", code, "forbidden", status=status)
    said = await ends(stage)
    assert fix in said
    assert f"code {code}: forbidden" in said


async def test_a_handshake_that_is_forbidden_is_not_tried_again(stage: Stage) -> None:
    stage.platform.refuse_handshake(403, "no long connection")
    assert "choose the long connection" in await ends(stage)


async def test_a_secret_that_was_changed_ends_the_bot_at_its_next_connection(stage: Stage) -> None:
    adapter, host = stage.build()
    running = asyncio.create_task(adapter.run(host.receive))
    await stage.platform.connected()
    stage.platform.app_secret = "another"
    stage.platform.drop_connections()
    with pytest.raises(Fatal, match="app_secret"):
        await asyncio.wait_for(running, 5)


@both
async def test_a_secret_that_was_changed_ends_the_bot_at_its_next_call_for_a_token(stage: Stage, options: Json) -> None:
    async with stage.served(**options) as (adapter, host):
        running = asyncio.create_task(adapter.run(host.receive))
        await asyncio.wait_for(host.connected.wait(), 5)
        stage.platform.say("hello")
        event = await host.next()
        assert isinstance(event, Message)
        stage.platform.app_secret = "another"
        stage.platform.tokens.clear()
        assert (await adapter.complete(event)).user.name == ""
        with pytest.raises(Fatal, match="app_secret"):
            await asyncio.wait_for(running, 5)


# ------------------------------------------------------------------ pings


class Changing(OpenPlatform):
    """Lets clients wait very long, and takes that back with a pong."""

    def endpoint(self, body: Json) -> Json:
        answer = super().endpoint(body)
        answer["data"]["ClientConfig"] = {**self.client_config, "ReconnectNonce": 1e6}
        return answer


class Silent(OpenPlatform):
    """Never answers a ping."""

    def _control(self, connection: object, frame: Frame) -> None:
        self.pings += 1


async def test_pings_are_sent_at_once_and_again(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint, "PING", (0.01, 300.0))
    stage.platform.client_config["PingInterval"] = 0.01
    async with stage.bot():
        await stage.platform.until(lambda: stage.platform.pings >= 3)


async def test_settings_in_a_pong_replace_those_of_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint, "NONCE_MOST", 1e6)
    async with stage_of(Changing(), monkeypatch) as stage, stage.bot() as (_, host):
        stage.platform.say("the pong comes before this")
        await host.text()
        stage.platform.drop_connections()
        await host.until_state("connecting", "has ended after")
        await stage.platform.connected()


async def test_a_service_that_answers_no_ping_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint, "PING", (0.01, 300.0))
    monkeypatch.setattr(connection, "SILENCE", 0.05)
    platform = Silent()
    platform.client_config["PingInterval"] = 0.01
    async with stage_of(platform, monkeypatch) as stage, stage.bot() as (_, host):
        await host.until_state("connecting", "does not answer our pings")
        await stage.platform.connected()


async def test_a_network_that_carries_nothing_back_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "HEARTBEAT", 0.05)
    deaf = partial(web.WebSocketResponse, autoping=False)  # type: ignore[arg-type]
    monkeypatch.setattr(web, "WebSocketResponse", deaf)
    async with stage_of(OpenPlatform(), monkeypatch, polite=False) as stage, stage.bot() as (_, host):
        await host.until_state("connecting", "ServerTimeoutError")


# ------------------------------------------------------------------ the end


async def test_what_was_taken_in_is_acknowledged_before_the_bot_ends(stage: Stage) -> None:
    adapter, host = stage.build()
    running = asyncio.create_task(adapter.run(host.receive))
    await stage.platform.connected()
    host.committed.clear()
    said = stage.platform.say("hello")
    assert await host.text() == "hello"
    running.cancel()
    await asyncio.sleep(0)
    host.committed.set()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert await stage.answered(said.event_id) == 200


async def test_a_commit_that_never_comes_does_not_hold_the_end_up(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "WITHIN", 0.01)
    async with stage.bot() as (_, host):
        host.committed.clear()
        said = stage.platform.say("hello")
        assert await host.text() == "hello"
    assert stage.platform.unacked == [said.event_id]
