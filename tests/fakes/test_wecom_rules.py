"""What the fake of WeCom holds against a bot: its rates, the lives of streams, old requests, rivals, faults."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import AsyncIterator
from itertools import count
from typing import Any

import aiohttp
import pytest

from tests.fakes.wechat.wecom import Broken, WeCom
from tests.fakes.wechat.wecom_rules import (
    BAD_CHAT,
    BAD_REQUEST,
    BAD_SECRET,
    EXPIRED,
    FREQUENT,
    MALFORMED,
    NO_GROUPS,
    NOT_SUBSCRIBED,
    busiest,
)

Frame = dict[str, Any]
MARKDOWN = {"msgtype": "markdown", "markdown": {"content": "Hello"}}
WELCOME = {"msgtype": "text", "text": {"content": "Welcome"}}
PNG = b"\x89PNG\r\n\x1a\n pixels"


def stream(content: str, *, finish: bool = False, id: str = "s-1", **more: Any) -> Frame:
    return {"msgtype": "stream", "stream": {"id": id, "finish": finish, "content": content, **more}}


def card(task_id: str) -> Frame:
    buttons = [{"text": "Yes", "key": "yes"}]
    return {
        "card_type": "button_interaction",
        "main_title": {"title": "?"},
        "button_list": buttons,
        "task_id": task_id,
    }


class Bot:
    """One connection, and its acks in order."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self._numbers = count(1)

    async def put(self, command: str, body: Frame | None = None, req_id: str = "") -> str:
        req_id = req_id or f"bot-{next(self._numbers)}"
        await self.socket.send_json({"cmd": command, "headers": {"req_id": req_id}, "body": body or {}})
        return req_id

    async def get(self) -> Frame:
        """The next frame of the server."""
        frame: Frame = await self.socket.receive_json(timeout=10)
        return frame

    async def call(self, command: str, body: Frame | None = None, req_id: str = "") -> int:
        """The errcode of a frame."""
        req_id = await self.put(command, body, req_id)
        ack = await self.get()
        assert ack["headers"]["req_id"] == req_id
        return int(ack["errcode"])

    async def subscribe(self, wecom: WeCom) -> int:
        return await self.call("aibot_subscribe", {"bot_id": wecom.bot_id, "secret": wecom.secret})

    async def asked(self) -> str:
        """The request of the next callback."""
        return str((await self.get())["headers"]["req_id"])

    async def respond(self, req_id: str, body: Frame) -> int:
        return await self.call("aibot_respond_msg", body, req_id)

    async def is_cut(self) -> bool:
        closed = (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)
        return (await self.socket.receive(timeout=10)).type in closed


@pytest.fixture
async def wecom() -> AsyncIterator[WeCom]:
    async with WeCom() as server:
        server.clock = lambda: 1000.0  # only ``advance`` moves it
        yield server


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
async def bot(wecom: WeCom, http: aiohttp.ClientSession) -> Bot:
    bot = Bot(await http.ws_connect(wecom.url))
    assert await bot.subscribe(wecom) == 0
    return bot


# -------------------------------------------------------------- connections


async def test_only_the_bot_subscribes_and_only_who_subscribed_may_send(
    wecom: WeCom, http: aiohttp.ClientSession
) -> None:
    bot = Bot(await http.ws_connect(wecom.url))
    assert await bot.call("ping") == NOT_SUBSCRIBED
    assert await bot.call("aibot_send_msg", MARKDOWN) == NOT_SUBSCRIBED
    assert await bot.call("aibot_subscribe", {"bot_id": wecom.bot_id, "secret": "wrong"}) == BAD_SECRET
    assert not wecom.connected
    assert await bot.subscribe(wecom) == 0
    assert await bot.call("ping") == 0


async def test_the_next_subscription_throws_the_first_out(wecom: WeCom, bot: Bot, http: aiohttp.ClientSession) -> None:
    second = Bot(await http.ws_connect(wecom.url))
    assert await second.subscribe(wecom) == 0
    assert (await bot.get())["body"]["event"] == {"eventtype": "disconnected_event"}
    assert await bot.is_cut()
    wecom.say("hi")
    assert (await second.get())["body"]["text"]["content"] == "hi"


async def test_a_rival_gets_what_is_said(wecom: WeCom, bot: Bot, http: aiohttp.ClientSession) -> None:
    wecom.rival()
    assert (await bot.get())["body"]["event"] == {"eventtype": "disconnected_event"}
    assert await bot.is_cut()
    wecom.say("to the rival")
    again = Bot(await http.ws_connect(wecom.url))
    assert await again.subscribe(wecom) == 0
    wecom.say("to the bot")
    assert (await again.get())["body"]["text"]["content"] == "to the bot"


@pytest.mark.parametrize("keeps", [True, False])
async def test_what_is_said_to_nobody_is_kept_or_lost(wecom: WeCom, http: aiohttp.ClientSession, keeps: bool) -> None:
    wecom.keeps = keeps
    wecom.say("early")
    bot = Bot(await http.ws_connect(wecom.url))
    assert await bot.subscribe(wecom) == 0
    wecom.say("late")
    said = [(await bot.get())["body"]["text"]["content"] for _ in range(1 + keeps)]
    assert said == ["early", "late"][1 - keeps :]


# -------------------------------------------------------------- rates


async def test_thirty_frames_of_a_chat_in_sixty_seconds(wecom: WeCom, bot: Bot) -> None:
    wecom.say("hi")
    wecom.say("hi", sender="lisi")
    mine, other = await bot.asked(), await bot.asked()
    for number in range(30):
        assert await bot.respond(mine, stream(f"{number}")) == 0
    assert await bot.respond(mine, stream("too many")) == FREQUENT
    assert await bot.call("aibot_send_msg", {"chatid": "zhangsan", **MARKDOWN}) == FREQUENT
    assert (wecom.screen(), wecom.exceeded, wecom.busiest()) == (["29"], 2, 32)
    assert await bot.respond(other, stream("another chat")) == 0
    wecom.advance(60)
    assert await bot.respond(mine, stream("again", finish=True)) == 0
    assert wecom.screen() == ["again"]
    assert wecom.busiest("lisi") == 1


async def test_a_thousand_frames_of_a_chat_in_an_hour(wecom: WeCom, bot: Bot) -> None:
    wecom.say("hi")
    await bot.asked()
    for number in range(1000):
        assert await bot.call("aibot_send_msg", {"chatid": "zhangsan", **MARKDOWN}) == 0
        wecom.advance(2.5 if number < 999 else 0)
    wecom.advance(60)
    assert await bot.call("aibot_send_msg", {"chatid": "zhangsan", **MARKDOWN}) == FREQUENT


def test_the_busiest_minute_is_found_anywhere() -> None:
    assert busiest([0, 50, 59, 70, 100, 109, 200]) == 5
    assert busiest([0, 60]) == 1
    assert busiest([]) == 0


# -------------------------------------------------------------- streams


async def test_a_stream_dies_of_six_minutes_of_silence(wecom: WeCom, bot: Bot) -> None:
    wecom.say("hi")
    asked = await bot.asked()
    await bot.respond(asked, stream("One"))
    wecom.advance(200)
    assert await bot.respond(asked, stream("One, two")) == 0
    wecom.advance(361)
    await bot.put("aibot_respond_msg", stream("Three"), asked)
    ack = await bot.get()
    assert (ack["errcode"], ack["errmsg"]) == (EXPIRED, "stream message update expired (>6 minutes)")
    assert (wecom.screen(), wecom.unfinished()) == (["One, two"], 1)


async def test_a_stream_lives_ten_minutes_at_most(wecom: WeCom, bot: Bot) -> None:
    wecom.say("hi")
    asked = await bot.asked()
    for _ in range(3):
        assert await bot.respond(asked, stream("more")) == 0
        wecom.advance(300)
    await bot.put("aibot_respond_msg", stream("end", finish=True), asked)
    ack = await bot.get()
    assert (ack["errcode"], ack["errmsg"]) == (EXPIRED, "stream message update expired (>10 minutes)")
    assert await bot.respond(asked, stream("a second one", id="s-2")) == 0
    assert wecom.screen() == ["more", "a second one"]


async def test_blank_content_neither_begins_a_stream_nor_keeps_it(wecom: WeCom, bot: Bot) -> None:
    wecom.say("hi")
    asked = await bot.asked()
    assert await bot.respond(asked, stream(" \n")) == 0
    assert wecom.screen() == []
    await bot.respond(asked, stream("One"))
    wecom.advance(200)
    assert await bot.respond(asked, stream(" ")) == 0
    assert wecom.screen() == ["One"]
    wecom.advance(200)
    assert await bot.respond(asked, stream("Two")) == EXPIRED


async def test_a_finished_stream_takes_no_more(wecom: WeCom, bot: Bot) -> None:
    wecom.say("hi")
    asked = await bot.asked()
    assert await bot.respond(asked, stream("Done", finish=True)) == 0
    assert await bot.respond(asked, stream("More")) == EXPIRED
    wecom.finished_code = BAD_REQUEST
    assert await bot.respond(asked, stream("More")) == BAD_REQUEST
    assert (wecom.screen(), wecom.unfinished()) == (["Done"], 0)


async def test_pictures_come_with_the_last_frame_only(wecom: WeCom, bot: Bot) -> None:
    wecom.say("draw")
    asked = await bot.asked()
    image = {"base64": base64.b64encode(PNG).decode(), "md5": hashlib.md5(PNG).hexdigest()}
    items = [{"msgtype": "image", "image": image}]
    assert await bot.respond(asked, stream("Here", msg_item=items)) == MALFORMED
    assert await bot.respond(asked, stream("Here", finish=True, msg_item=items)) == 0
    assert wecom.screen() == ["Here", "[image]"]


@pytest.mark.parametrize(
    "body",
    [
        stream("字" * 6827),
        stream("x", id=""),
        {**stream("x"), "template_card": card("t")},
        {**stream("x"), "msgtype": "stream_with_template_card", "template_card": {**card("t"), "button_list": []}},
        {**stream("x"), "msgtype": "stream_with_template_card", "template_card": card("not a task id")},
        {"msgtype": "markdown", "markdown": {"content": " "}},
        {"msgtype": "file", "file": {"media_id": "nothing"}},
        WELCOME,
    ],
)
async def test_what_is_malformed_is_refused_and_listed(wecom: WeCom, bot: Bot, body: Frame) -> None:
    wecom.say("hi")
    assert await bot.respond(await bot.asked(), body) == MALFORMED
    assert wecom.screen() == []
    assert len(wecom.complaints) == 1


# -------------------------------------------------------------- requests and chats


async def test_requests_may_die_with_their_connection(wecom: WeCom, bot: Bot, http: aiohttp.ClientSession) -> None:
    wecom.say("hi")
    asked = await bot.asked()
    await bot.respond(asked, stream("One"))
    again = Bot(await http.ws_connect(wecom.url))
    await again.subscribe(wecom)
    assert await again.respond(asked, stream("One, two")) == 0
    wecom.forgets_requests = True
    assert await again.respond(asked, stream("One, two, three")) == BAD_REQUEST
    wecom.say("hi again")
    assert await again.respond(await again.asked(), stream("Hello")) == 0
    assert wecom.screen() == ["One, two", "Hello"]


async def test_a_request_may_have_one_stream_only(wecom: WeCom, bot: Bot) -> None:
    wecom.one_stream = True
    wecom.say("hi")
    asked = await bot.asked()
    assert await bot.respond(asked, stream("One", finish=True)) == 0
    assert await bot.respond(asked, stream("Two", id="s-2")) == BAD_REQUEST
    assert wecom.screen() == ["One"]


async def test_an_event_is_answered_in_its_way_and_in_five_seconds(wecom: WeCom, bot: Bot) -> None:
    wecom.enter()
    entered = await bot.asked()
    assert await bot.respond(entered, stream("Hello")) == BAD_REQUEST
    assert await bot.call("aibot_respond_welcome_msg", WELCOME, entered) == 0
    assert await bot.call("aibot_respond_welcome_msg", WELCOME, entered) == BAD_REQUEST
    wecom.enter()
    late = await bot.asked()
    wecom.advance(6)
    assert await bot.call("aibot_respond_welcome_msg", WELCOME, late) == BAD_REQUEST
    assert wecom.screen() == ["Welcome"]


async def test_a_card_comes_once_and_changes_only_after_its_press(wecom: WeCom, bot: Bot) -> None:
    wecom.say("hi")
    asked = await bot.asked()
    both = {**stream("One"), "msgtype": "stream_with_template_card", "template_card": card("t-1")}
    assert await bot.respond(asked, both) == 0
    assert await bot.respond(asked, {**both, "template_card": card("t-2")}) == MALFORMED
    wecom.press("t-1", "yes")
    pressed = await bot.asked()
    other = {"response_type": "update_template_card", "template_card": card("t-2")}
    assert await bot.call("aibot_respond_update_msg", other, pressed) == MALFORMED
    wecom.advance(6)
    update = {"response_type": "update_template_card", "template_card": card("t-1")}
    assert await bot.call("aibot_respond_update_msg", update, pressed) == BAD_REQUEST
    with pytest.raises(ValueError, match="no button"):
        wecom.press("t-1", "maybe")


async def test_proactive_messages_reach_known_chats(wecom: WeCom, bot: Bot) -> None:
    assert await bot.call("aibot_send_msg", {"chatid": "stranger", **MARKDOWN}) == BAD_CHAT
    wecom.say("hi", group="room-1")
    await bot.asked()
    assert await bot.call("aibot_send_msg", {"chatid": "room-1", **MARKDOWN}) == 0
    wecom.no_groups = True
    assert await bot.call("aibot_send_msg", {"chatid": "room-1", **MARKDOWN}) == NO_GROUPS
    assert await bot.call("aibot_send_msg", {"chatid": "zhangsan", **MARKDOWN}) == 0
    assert (wecom.screen("room-1"), wecom.screen()) == (["Hello"], ["Hello"])


async def test_an_address_lives_five_minutes(wecom: WeCom, bot: Bot, http: aiohttp.ClientSession) -> None:
    wecom.say_file("image", PNG)
    url = (await bot.get())["body"]["image"]["url"]
    async with http.get(url) as response:
        data = await response.read()
        assert (response.status, len(data) % 32) == (200, 0)
        assert PNG not in data
    wecom.advance(300)
    async with http.get(url) as response:
        assert response.status == 403


# -------------------------------------------------------------- scripted failures


async def test_a_scripted_failure_is_not_carried_out(wecom: WeCom, bot: Bot) -> None:
    wecom.say("hi")
    asked = await bot.asked()
    wecom.fail("aibot_respond_msg", 45033, times=2)
    codes = [await bot.respond(asked, stream(text)) for text in ("One", "Two", "Three")]
    assert codes == [45033, 45033, 0]
    assert wecom.screen() == ["Three"]


@pytest.mark.parametrize(("kind", "screen"), [("drop_before", []), ("drop_after", ["One"]), ("no_ack", ["One"])])
async def test_a_scripted_fault(wecom: WeCom, bot: Bot, kind: Broken, screen: list[str]) -> None:
    wecom.say("hi")
    asked = await bot.asked()
    wecom.fault("aibot_respond_msg", kind)
    await bot.put("aibot_respond_msg", stream("One"), asked)
    if kind == "no_ack":
        assert await bot.call("ping") == 0  # and no ack came before this one
    else:
        assert await bot.is_cut()
        assert not wecom.connected
    assert wecom.screen() == screen
