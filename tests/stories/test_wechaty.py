"""A WeChat bot on a puppet service as its users meet it: the real command, gateways, and a FastGPT server."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Literal

import pytest

from tests.fakes.fastgpt import FakeFastGPT, Gate, Script
from tests.fakes.telegram.files import PIXEL
from tests.fakes.wechat.node import MISSING, NodeGateway, available
from tests.product import command
from tests.stories.conftest import WechatyStage, wechat_stage

ROOM = "r9@chatroom"
THEIRS = "r1@chatroom"
"""The room that the real gateway's world has."""
LONG = "".join(f"第{number:4}句话。" + ("\n\n" if number % 12 == 11 else "") for number in range(1200))
MORE = "（未完，回复任意内容继续）"
needs_node = pytest.mark.skipif(not available(), reason=MISSING)


async def test_a_question_is_answered_in_readable_words(wechaty: WechatyStage) -> None:
    await wechaty.start()
    wechaty.gpt.next(Script(text="## Plan\n\nUse **this** [page](https://x.example/a):\n\n- one\n- two"))
    question = wechaty.gateway.say("hi there")
    await wechaty.gateway.until(wechaty.gateway.screen)
    assert wechaty.gateway.screen() == ["【Plan】\nUse this page (https://x.example/a):\n\n• one\n• two"]
    [asked] = wechaty.gpt.asked
    assert re.fullmatch(r"wx\.alice\.[0-9a-z]{6,7}", asked.chat_id)
    assert asked.item_id == question
    told = asked.body["variables"]
    assert (told["platform"], told["chat_type"], told["user_id"]) == ("wechat", "private", "alice")
    assert told["user_name"] == "Alice"


async def test_in_a_room_it_answers_whoever_mentions_it_and_nobody_else(wechaty: WechatyStage) -> None:
    await wechaty.start()
    wechaty.gateway.room(ROOM, "研发群", ["alice", "bob"])
    wechaty.gateway.alias("小助手", room=ROOM)
    wechaty.gateway.say("lunch?", room=ROOM)
    wechaty.gateway.say("@FastBot\u2005what is new?", room=ROOM, mentions=["bot"])
    wechaty.gateway.say("@小助手 and for me?", sender="bob", room=ROOM)
    await wechaty.gateway.until(lambda: len(wechaty.gateway.screen(ROOM)) == 2)
    assert sorted(wechaty.gateway.screen(ROOM)) == [
        "@Alice\u2005You asked: what is new?",
        "@Bob\u2005You asked: and for me?",
    ]
    assert {sent.mentions for sent in wechaty.gateway.sent} == {("alice",), ("bob",)}
    assert {asked.body["variables"]["chat_name"] for asked in wechaty.gpt.asked} == {"研发群"}


@pytest.mark.slow
async def test_a_long_answer_comes_in_growing_messages_and_its_rest_on_a_word(wechaty: WechatyStage) -> None:
    wechaty.bot["sends"] = 3
    await wechaty.start()
    text = LONG[:9750]
    wechaty.gpt.next(Script(text=text, piece=40))
    wechaty.gateway.say("全部告诉我")
    screen, words = wechaty.gateway.screen, 1
    while not await all_of(wechaty, text):
        wechaty.gateway.say("继续")
        words += 1
    assert words > 1
    shown = screen()
    assert bare("".join(shown)) == bare(text)
    assert all(len(message) <= 2000 for message in shown)
    assert len(wechaty.gpt.asked) == 1


async def all_of(wechaty: WechatyStage, text: str) -> bool:
    """Wait for the last of the messages that one question may have: is that all of the text?"""
    screen = wechaty.gateway.screen
    before = len(screen())

    def whole() -> bool:
        return bare("".join(screen())) == bare(text)

    await wechaty.gateway.until(lambda: whole() or (len(screen()) > before and screen()[-1].endswith(MORE)), 15)
    return whole()


def bare(text: str) -> str:
    return re.sub(r"\s", "", text.replace(MORE, ""))


@pytest.mark.slow
async def test_messages_in_a_burst_are_one_question(wechaty: WechatyStage) -> None:
    wechaty.bot["debounce"] = 0.7
    await wechaty.start()
    for words in ("look", "at", "this"):
        wechaty.gateway.say(words)
    await wechaty.gateway.until(wechaty.gateway.screen)
    assert wechaty.gateway.screen() == ["You asked: look\nat\nthis"]


async def test_after_a_kill_what_was_sent_is_not_sent_again(wechaty: WechatyStage) -> None:
    await wechaty.start()
    first, second = "一句话说完了。" * 40, "还有一句话。" * 40
    wechaty.gpt.next(Script(text=first + second, piece=40, gate=(gate := Gate(11))))
    wechaty.gateway.say("hi")
    await gate.reached()
    await wechaty.gateway.until(wechaty.gateway.screen)
    await wechaty.product.kill()
    gate.open()
    wechaty.gpt.next(Script(text=first + second))
    await wechaty.start()
    await wechaty.gateway.until(lambda: bare("".join(once(wechaty.gateway.screen()))) == bare(first + second), 10)


def once(screen: list[str]) -> list[str]:
    """The messages without the one that may be there twice: nobody heard whether it had arrived before the kill."""
    for place in range(1, len(screen)):
        if screen[place] == screen[place - 1]:
            return screen[:place] + screen[place + 1 :]
    return screen


async def test_a_stop_ends_the_answer_and_says_so(wechaty: WechatyStage) -> None:
    await wechaty.start()
    wechaty.gpt.next(Script(text="Some words. " * 30, piece=12, gate=(gate := Gate(20))))
    wechaty.gateway.say("hi")
    await gate.reached()
    await wechaty.gateway.until(wechaty.gateway.screen)
    wechaty.gateway.say("/stop")
    await wechaty.gateway.until(lambda: wechaty.gateway.screen()[-1].endswith("⏹ Stopped"))
    gate.open()


@pytest.mark.slow
@pytest.mark.parametrize("box", ["base64", "uuid"])
async def test_files_go_both_ways(wechaty: WechatyStage, box: Literal["base64", "uuid"]) -> None:
    chart = wechaty.gpt.publish("cat.png", PIXEL, content_type="image/png")
    await wechaty.start()
    wechaty.gpt.next(Script(text=f"Here: ![a cat]({chart})"))
    wechaty.gateway.say_file("dog.png", PIXEL, box=box)
    await wechaty.gateway.until(lambda: len(wechaty.gateway.screen()) == 2)
    [asked] = wechaty.gpt.asked
    assert asked.received[0].size == len(PIXEL)
    words, picture = wechaty.gateway.screen()
    assert words.startswith("Here: ")
    assert picture == "[file cat.png]"


@pytest.mark.slow
async def test_a_second_program_on_the_gateway_is_named(wechaty: WechatyStage) -> None:
    await wechaty.start()
    other = wechat_stage(
        wechaty.product.folder / "other", wechaty.gpt, **{key: wechaty.bot[key] for key in ("endpoint", "token")}
    )
    other.product.folder.mkdir()
    try:
        await other.product.start()
        _, body = await other.product.readyz()
        assert body["bots"]["wx"]["state"] == "connecting"
        assert "nother program" in body["bots"]["wx"]["detail"]
    finally:
        await other.product.close()
    wechaty.gateway.say("still there?")
    await wechaty.gateway.until(wechaty.gateway.screen)


def config_of(stage: WechatyStage) -> tuple[str, str]:
    return "-c", str(stage.product.write_config())


@pytest.mark.slow
async def test_check_online_tells_the_login_state(wechaty: WechatyStage) -> None:
    await wechaty.start()
    code, out, _ = await command("check", "--online", *config_of(wechaty))
    assert code == 0, out
    assert "ok    bot wx: logged in to WeChat as FastBot" in out
    wechaty.gateway.logout()
    await wechaty.product.logged("bot wx: login_needed")
    code, out, _ = await command("check", "--online", *config_of(wechaty))
    assert code == 2, out
    assert "fastgpt-bridge login wx" in out
    assert wechaty.gateway.listening, "the running bridge kept its stream"


@pytest.mark.slow
async def test_the_code_to_scan_is_in_the_terminal_and_on_readyz(wechaty: WechatyStage) -> None:
    await wechaty.gateway.restart(logged_in=False)
    await wechaty.product.start()
    await wechaty.gateway.until(lambda: wechaty.gateway.started == 1, 10)
    wechaty.gateway.scan("https://login.weixin.example/code", 2)
    await wechaty.product.logged("login_needed (scan with WeChat: https://login.weixin.example/code")
    await wechaty.product.until(lambda: sum("█" in line or "▄" in line for line in wechaty.product.out) > 10)
    status, body = await wechaty.product.readyz()
    assert status == 200
    assert body["bots"]["wx"]["state"] == "login_needed"
    assert "https://login.weixin.example/code" in body["bots"]["wx"]["detail"]
    logging_in = asyncio.create_task(command("login", "wx", *config_of(wechaty)))
    await asyncio.wait([logging_in], timeout=2)
    wechaty.gateway.login()
    code, out, err = await logging_in
    assert code == 0, err
    assert "bot wx is logged in" in out
    await wechaty.product.logged("bot wx: connected")


# ------------------------------------------------------------------ the real gateway


@needs_node
@pytest.mark.slow
async def test_a_real_gateway_that_is_killed_in_mid_answer_gets_the_answer_once(tmp_path: Path) -> None:
    async with NodeGateway() as gateway, FakeFastGPT("e24") as gpt:
        stage = wechat_stage(tmp_path, gpt, endpoint=gateway.endpoint, token=gateway.token)
        try:
            await stage.product.start()
            await gateway.until(lambda: gateway.listening)
            text = "一句话说完了。" * 100
            gpt.next(Script(text=text, piece=40, gate=(gate := Gate(10))))
            await gateway.say("hi")
            await gate.reached()
            await gateway.until(gateway.screen)
            await gateway.kill()
            gate.open()
            await stage.product.logged("connecting")
            await gateway.restart()
            await gateway.until(lambda: bare("".join(gateway.screen())) == bare(text), 10)
            await gateway.say("@FastBot and here?", room=THEIRS, mentions=["bot"])
            await gateway.until(lambda: gateway.screen(THEIRS) == ["@Alice\u2005You asked: and here?"])
        finally:
            await stage.product.close()
