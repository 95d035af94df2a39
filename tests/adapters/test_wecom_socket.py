"""The long connection of a WeCom bot: frames and their acks, callbacks, and what ends it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from adapters.wechat.options import Options
from adapters.wechat.wecom import Door, socket
from adapters.wechat.wecom.socket import BadRequest, Expired, Refused
from bridge.model import BridgeError, Fatal, Message, RateLimited, Show, Unreachable, Unsure
from bridge.wire import Wire
from tests.adapters.host import Double
from tests.fakes.wechat.wecom import WeCom

RESPOND = "aibot_respond_msg"


class Stage:
    def __init__(self, wecom: WeCom, wire: Wire) -> None:
        self.wecom = wecom
        self.wire = wire
        self.store: dict[str, bytes] = {}
        self.again()

    def again(self, secret: str = "") -> None:
        """Another process on the same store."""
        wecom = self.wecom
        self.host = Double(self.store, self.wire)
        options = Options(gateway="wecom", bot_id=wecom.bot_id, secret=secret or wecom.secret, ws_url=wecom.url)
        self.door = Door("wx", options, self.host)
        self.running = asyncio.create_task(self.door.run(self.host.receive))

    async def asked(self, text: str = "hi") -> Message:
        self.wecom.say(text)
        event = await self.host.next()
        assert isinstance(event, Message)
        return event

    async def show(self, to: Message, text: str, turn: str = "turn") -> None:
        await self.door.answer(to, turn).show(Show(text=text))

    async def end(self) -> None:
        self.running.cancel()
        self.host.close()
        await asyncio.wait([self.running])


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    wire = Wire({})
    async with WeCom() as wecom:
        made = Stage(wecom, wire)
        await asyncio.wait_for(made.host.connected.wait(), 5)
        yield made
        await made.end()
        await wire.close()


async def test_frames_of_one_request_go_one_after_the_other(stage: Stage) -> None:
    event = await stage.asked()
    await asyncio.gather(*(stage.show(event, f"answer {name}", name) for name in "abc"))
    assert sorted(stage.wecom.screen()) == ["answer a", "answer b", "answer c"]


@pytest.mark.parametrize(
    ("errcode", "error"), [(45009, RateLimited), (846605, BadRequest), (846608, Expired), (40058, Refused)]
)
async def test_each_refusal_has_its_meaning(stage: Stage, errcode: int, error: type[BridgeError]) -> None:
    stage.wecom.fail(RESPOND, errcode)
    with pytest.raises(BridgeError) as caught:
        await stage.door._socket.request(RESPOND, {"msgtype": "stream"}, "req")
    assert type(caught.value) is error


async def test_a_connection_that_wecom_has_forgotten_is_made_anew(stage: Stage) -> None:
    event = await stage.asked()
    stage.wecom.fail(RESPOND, 846609)
    with pytest.raises(Unreachable):
        await stage.show(event, "words")
    await stage.wecom.until(lambda: stage.wecom.connections == 2)
    await stage.host.until_state("connected")


async def test_a_frame_that_nobody_acknowledges_may_have_arrived(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "ACK", 0.2)
    event = await stage.asked()
    stage.wecom.fault(RESPOND, "no_ack")
    with pytest.raises(Unsure):
        await stage.show(event, "words")
    assert stage.wecom.screen() == ["words"]


async def test_what_is_on_its_way_when_the_connection_is_lost_may_have_arrived(stage: Stage) -> None:
    event = await stage.asked()
    stage.wecom.fault(RESPOND, "drop_after")
    with pytest.raises(Unsure):
        await stage.show(event, "words")
    await stage.wecom.until(lambda: stage.wecom.connections == 2)
    await stage.asked("again")


async def test_without_a_connection_nothing_is_sent(stage: Stage) -> None:
    event = await stage.asked()
    await stage.wecom.kill()
    await stage.host.until_state("connecting", "ended")
    with pytest.raises(Unreachable):
        await stage.show(event, "words")


async def test_a_callback_that_cannot_be_kept_is_tried_until_it_can(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(socket, "COMMIT_AGAIN", 0.01)
    stage.host.fault = BridgeError("the disk is full")
    stage.wecom.say("one")
    stage.wecom.say("two")
    async with asyncio.timeout(5):
        while "is not taken in yet" not in caplog.text:  # noqa: ASYNC110 - a log has no event
            await asyncio.sleep(0)
    stage.host.fault = None
    assert [await stage.host.text(), await stage.host.text()] == ["one", "two"]


async def test_what_cannot_be_read_is_passed_over(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    stage.wecom.say("x", body={"from": {"userid": 5}})
    await stage.asked("fine")
    assert "is not as documented" in caplog.text


async def test_answers_are_finished_after_the_end_of_run_and_no_more_is_taken_in(stage: Stage) -> None:
    event = await stage.asked()
    stage.running.cancel()
    await asyncio.wait([stage.running])
    await stage.show(event, "still here")
    assert stage.wecom.screen() == ["still here"]


async def test_wrong_credentials_are_told_after_some_tries(stage: Stage) -> None:
    await stage.end()
    stage.again(secret="wrong")
    with pytest.raises(Fatal, match="bot_id and secret"):
        await stage.running
    [_, finding] = await stage.door.probe()
    assert not finding.ok
    assert "wrong" not in finding.text


async def test_a_probe_throws_nobody_out(stage: Stage) -> None:
    found = await stage.door.probe()
    assert [finding.ok for finding in found] == [True, True]
    assert stage.wecom.connections == 1
    await stage.wecom.kill()
    [finding] = await stage.door.probe()
    assert not finding.ok
