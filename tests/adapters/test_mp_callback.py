"""WeChat's calls to an official account: who is believed, and what becomes of what they bring."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import aiohttp
import pytest

from adapters.wechat.mp.events import parse
from bridge.model import BridgeError, Entered, Message, Show
from tests.adapters.host import Double
from tests.adapters.kits import Mp as Kit
from tests.fakes.wechat.mp_envelope import Envelope, sign, xml_of

MESSAGE = {
    "ToUserName": "gh_account",
    "FromUserName": "openid-1",
    "CreateTime": str(int(time.time())),
    "MsgType": "text",
    "Content": "hello",
    "MsgId": "1",
}


class Stage:
    def __init__(self, kit: Kit, host: Double) -> None:
        self.kit = kit
        self.host = host
        self.session = aiohttp.ClientSession()

    async def post(self, query: dict[str, str], body: bytes) -> tuple[int, str]:
        async with self.session.post(self.kit.platform.hook, params=query, data=body) as response:
            return response.status, await response.text()

    def sealed(self, **query: str) -> tuple[dict[str, str], bytes]:
        envelope = self.kit.platform.envelope
        plain = {**envelope.query(), **query}
        more, body = envelope.seal(xml_of(MESSAGE), "gh_account", plain["timestamp"], plain["nonce"])
        return {**plain, **more, **query}, body


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with AsyncExitStack() as stack:
        kit = Kit()
        stack.push_async_callback(kit.wire.close)
        await kit.open(stack)
        _, host = await stack.enter_async_context(kit.bot())
        made = Stage(kit, host)
        stack.push_async_callback(made.session.close)
        yield made


async def test_what_is_signed_and_sealed_is_taken_in(stage: Stage) -> None:
    assert await stage.post(*stage.sealed()) == (200, "success")
    assert await stage.host.text() == "hello"


async def test_whoever_is_not_wechat_learns_nothing_and_is_told_in_the_log(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    query, body = stage.sealed()
    other, stale = Envelope("another", stage.kit.platform.aes_key, stage.kit.platform.app_id), "1600000000"
    refused = [
        ({}, body),
        ({**query, "msg_signature": "0" * 40}, body),
        (other.query() | {"msg_signature": query["msg_signature"]}, body),
        stage.sealed(timestamp=stale),
        (stage.kit.platform.envelope.query(), xml_of(MESSAGE)),
        (query, b"x" * 300_000),
        (query, b"<xml>"),
    ]
    for call in refused:
        assert await stage.post(*call) == (401, "")
    assert stage.host.events.empty()
    assert "refused: it is not signed with our token (1 so far)" in caplog.text


async def test_what_cannot_be_kept_is_brought_again(stage: Stage) -> None:
    stage.host.fault = BridgeError("the disk is full")
    assert (await stage.post(*stage.sealed()))[0] == 503


@pytest.mark.parametrize(
    ("reply", "seen"),
    [
        (Show(text="**Bold** words", final=True), ["Bold words"]),
        (Show(text="<xml> & ]]> 你好", final=True), ["<xml> & ]]> 你好"]),
        (Show(status="still writing"), []),
        (Show(final=True), []),
    ],
)
async def test_the_response_is_what_is_ready(stage: Stage, reply: Show, seen: list[str]) -> None:
    stage.host.reply = reply
    stage.kit.platform.say("hello")
    await stage.kit.platform.until(lambda: not stage.kit.platform.busy)
    assert [text.strip() for text in stage.kit.platform.screen()] == seen
    assert stage.kit.platform.complaints == []


async def test_without_a_key_messages_are_read_as_they_are() -> None:
    async with AsyncExitStack() as stack:
        kit = Kit()
        stack.push_async_callback(kit.wire.close)
        await kit.open(stack)
        kit.platform.plain = True
        kit.platform.aes_key = ""
        _, host = await stack.enter_async_context(kit.bot())
        host.reply = Show(text="Hi", final=True)
        kit.platform.say("hello")
        await kit.platform.until(kit.platform.screen)
        assert kit.platform.screen() == ["Hi"]
        stamp = str(int(time.time()))
        query = {"signature": sign(kit.platform.token, stamp, "n"), "timestamp": stamp, "nonce": "n"}
        async with aiohttp.ClientSession() as session:
            body = xml_of({"ToUserName": "gh", "Encrypt": "x"})
            async with session.post(kit.platform.hook, params=query, data=body) as response:
                assert response.status == 401


# ------------------------------------------------------------ what users do


def parsed(**fields: str) -> Message | Entered | None:
    return parse("wx", {**MESSAGE, **fields})


def test_each_kind_of_message_becomes_what_can_be_asked() -> None:
    voice = parsed(MsgType="voice", MediaId="m", Format="amr", Recognition="今天。")
    unheard = parsed(MsgType="voice", MediaId="m", Format="amr")
    link = parsed(MsgType="link", Title="A page", Description="d", Url="https://example.com")
    place = parsed(MsgType="location", Location_X="1", Location_Y="2", Scale="15", Label="Main Street")
    menu = parsed(MsgType="event", Event="CLICK", EventKey="/help")
    news = parsed(MsgType="something new")
    texts = [found.text for found in (voice, link, place, menu) if isinstance(found, Message)]
    assert texts == ["今天。", "A page\nhttps://example.com", "Main Street (1, 2)", "/help"]
    kinds = [found.attachments[0].kind for found in (unheard, news) if isinstance(found, Message)]
    assert kinds == ["audio", "sticker"]


def test_an_event_has_the_same_id_in_each_of_wechats_tries() -> None:
    first, again = (parsed(MsgType="event", Event="subscribe", EventKey="") for _ in range(2))
    assert isinstance(first, Entered)
    assert first == again
    assert first.first
    assert parsed(MsgType="event", Event="VIEW", EventKey="https://example.com") is None
    assert parsed(MsgType="event", Event="unsubscribe") is None


def test_a_clock_that_is_a_day_off_says_nothing() -> None:
    found = parse("wx", {**MESSAGE, "CreateTime": "5"}, now=1e9)
    assert found is not None
    assert found.at == 1e9
