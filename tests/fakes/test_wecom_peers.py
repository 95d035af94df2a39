"""A WeCom client from PyPI that nobody here wrote, wecom-aibot-sdk, lives here: texts, streams, cards, files."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from wecom_aibot_sdk.client import WSClient

from tests.fakes.wechat.wecom import WeCom
from tests.fakes.wechat.wecom_rules import BAD_SECRET

Frame = dict[str, Any]
CARD = {
    "card_type": "button_interaction",
    "main_title": {"title": "Was it good?"},
    "button_list": [{"text": "Yes", "style": 1, "key": "yes"}, {"text": "No", "style": 2, "key": "no"}],
    "task_id": "task-1",
}


class Quiet:
    """A logger of the SDK that writes nothing."""

    def debug(self, *_: object) -> None: ...

    info = warn = error = debug


class Peer:
    """The SDK, with a queue of what it got; "error" brings exceptions."""

    def __init__(self, wecom: WeCom, secret: str) -> None:
        self.got: asyncio.Queue[Any] = asyncio.Queue()
        self.client = WSClient(
            wecom.bot_id, secret, ws_url=wecom.url, logger=Quiet(), reconnect_interval=10, max_auth_failure_attempts=1
        )
        for name in ("message", "event", "error"):
            self.client.on(name, self.got.put_nowait)

    async def next(self) -> Any:
        return await asyncio.wait_for(self.got.get(), 10)


@pytest.fixture
async def wecom() -> AsyncIterator[WeCom]:
    async with WeCom() as server:
        yield server
        assert server.complaints == []


@pytest.fixture
async def peer(wecom: WeCom) -> AsyncIterator[Peer]:
    peer = Peer(wecom, wecom.secret)
    await peer.client.connect()
    await wecom.until(lambda: wecom.connected)
    yield peer
    await peer.client.disconnect()


async def test_a_wrong_secret_is_refused(wecom: WeCom) -> None:
    peer = Peer(wecom, "wrong")
    await peer.client.connect()
    assert str(BAD_SECRET) in str(await peer.next())
    await peer.client.disconnect()
    assert wecom.connections == 0


async def test_texts_come_from_people_and_from_groups(wecom: WeCom, peer: Peer) -> None:
    wecom.say("hi", sender="lisi")
    wecom.say("hello", group="room-1")
    single, group = (await peer.next())["body"], (await peer.next())["body"]
    assert (single["chattype"], single["from"]["userid"], single["text"]["content"]) == ("single", "lisi", "hi")
    assert "chatid" not in single
    assert (group["chattype"], group["chatid"], group["text"]["content"]) == ("group", "room-1", "@Bot hello")


@pytest.mark.parametrize("group", ["", "room-1"])
async def test_an_answer_is_streamed(wecom: WeCom, peer: Peer, group: str) -> None:
    chat = group or "zhangsan"
    wecom.say("hi", group=group)
    frame = await peer.next()
    for content in ("One", "One, two", "One, two, three"):
        await peer.client.reply_stream(frame, "s-1", content)
        assert (wecom.screen(chat), wecom.unfinished(chat)) == ([content], 1)
    await peer.client.reply_stream(frame, "s-1", "One, two, three.", finish=True)
    assert (wecom.screen(chat), wecom.unfinished(chat)) == (["One, two, three."], 0)


async def test_a_message_is_sent_without_a_question(wecom: WeCom, peer: Peer) -> None:
    wecom.say("remind me")
    await peer.next()
    await peer.client.send_message("zhangsan", {"msgtype": "markdown", "markdown": {"content": "**Now!**"}})
    assert wecom.screen() == ["**Now!**"]


async def test_who_opens_the_chat_is_welcomed(wecom: WeCom, peer: Peer) -> None:
    wecom.enter("lisi")
    event = await peer.next()
    assert event["body"]["event"]["eventtype"] == "enter_chat"
    await peer.client.reply_welcome(event, {"msgtype": "text", "text": {"content": "Welcome"}})
    assert wecom.screen("lisi") == ["Welcome"]


async def test_a_pressed_card_is_replaced(wecom: WeCom, peer: Peer) -> None:
    wecom.say("hi")
    await peer.client.reply_stream_with_card(await peer.next(), "s-1", "Hello", finish=True, template_card=CARD)
    assert (wecom.screen(), wecom.card("s-1")) == (["Hello"], CARD)
    wecom.press("s-1", "yes")
    event = await peer.next()
    pressed = event["body"]["event"]["template_card_event"]
    assert (pressed["event_key"], pressed["task_id"]) == ("yes", "task-1")
    thanks = {**CARD, "main_title": {"title": "Thanks"}}
    await peer.client.update_template_card(event, thanks)
    assert wecom.card("s-1") == thanks


async def test_the_choices_of_a_form_come_with_the_press(wecom: WeCom, peer: Peer) -> None:
    menu = {"question_key": "size", "option_list": [{"id": "s", "text": "Small"}, {"id": "l", "text": "Large"}]}
    form = {**CARD, "card_type": "multiple_interaction", "select_list": [menu]}
    form["submit_button"] = {"text": "Send", "key": "send"}
    wecom.say("order", group="room-1")
    await peer.client.reply_template_card(await peer.next(), form)
    wecom.press("task-1", "send", group="room-1", selected={"size": "l"})
    pressed = (await peer.next())["body"]["event"]["template_card_event"]
    assert pressed["selected_items"] == {
        "selected_item": [{"question_key": "size", "option_ids": {"option_id": ["l"]}}]
    }
    assert pressed["card_type"] == "multiple_interaction"


@pytest.mark.parametrize("size", [1, 32, 70_001])
async def test_a_file_is_fetched_and_decrypted(wecom: WeCom, peer: Peer, size: int) -> None:
    data = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    wecom.say_file("file", data, "报告 1.pdf")
    file = (await peer.next())["body"]["file"]
    assert await peer.client.download_file(file["url"], file["aeskey"]) == {"buffer": data, "filename": "报告 1.pdf"}


async def test_a_file_is_uploaded_in_pieces_and_sent(wecom: WeCom, peer: Peer) -> None:
    data = b"pdf" * 400_000
    wecom.say("report")
    frame = await peer.next()
    media = await peer.client.upload_media(data, type="file", filename="报告.pdf")
    await peer.client.reply_media(frame, "file", media["media_id"])
    await peer.client.send_media_message("zhangsan", "file", media["media_id"])
    assert wecom.screen() == ["[file 报告.pdf]"] * 2
    assert wecom.files.media[media["media_id"]].data == data


async def test_another_program_takes_the_bot_over(wecom: WeCom, peer: Peer) -> None:
    wecom.rival()
    assert (await peer.next())["body"]["event"]["eventtype"] == "disconnected_event"
    assert not wecom.connected


async def test_a_lost_connection_comes_back_to_what_was_said_meanwhile(wecom: WeCom, peer: Peer) -> None:
    await wecom.kill()
    wecom.say("still there?")
    await wecom.restart()
    while isinstance(got := await peer.next(), Exception):  # tries while nobody listened
        pass
    assert got["body"]["text"]["content"] == "still there?"
    assert wecom.connections == 2
