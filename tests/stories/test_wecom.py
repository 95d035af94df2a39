"""A WeCom AI bot as colleagues meet it: the real command, WeCom's server, FastGPT."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.fakes.fastgpt import Gate, Script
from tests.hurried import HURRY
from tests.product import command
from tests.stories.conftest import WeComStage


async def shows(stage: WeComStage, *texts: str, chat: str = "zhangsan", within: float = 20) -> None:
    await stage.wecom.until(lambda: stage.wecom.screen(chat) == list(texts), within)
    await stage.wecom.until(lambda: not stage.wecom.unfinished(chat), within)


async def test_an_answer_grows_in_private_and_in_a_group(wecom: WeComStage) -> None:
    await wecom.start()
    text = "第一句话，有好几个字。第二句话也是这样。" * 5
    wecom.gpt.next(Script(text=text, piece=10, gate=(gate := Gate(6))))
    wecom.wecom.say("你好")
    await wecom.wecom.until(lambda: text.startswith("".join(wecom.wecom.screen()) or "?"))
    gate.open()
    await shows(wecom, text)
    wecom.wecom.say("谁在", group="g1")
    await shows(wecom, "You asked: 谁在", chat="g1")
    assert wecom.wecom.complaints == []


async def test_whoever_opens_the_chat_is_welcomed_and_commands_work(wecom: WeComStage) -> None:
    wecom.bot["welcome"] = "欢迎！"
    await wecom.start()
    wecom.wecom.enter()
    await shows(wecom, "欢迎！")
    wecom.wecom.say("/new")
    await wecom.wecom.until(lambda: len(wecom.wecom.screen()) == 2 and not wecom.wecom.unfinished())


@pytest.mark.slow
@pytest.mark.parametrize("forgets", [False, True])
@pytest.mark.parametrize("group", ["", "g1"])
async def test_a_killed_process_and_a_lost_connection_lose_and_double_nothing(
    wecom: WeComStage, forgets: bool, group: str
) -> None:
    wecom.wecom.forgets_requests = forgets
    await wecom.start()
    text = "一句完整的话。" * 30
    wecom.gpt.next(Script(text=text, piece=20, gate=(gate := Gate(4))))
    chat = group or "zhangsan"
    wecom.wecom.say("慢慢说", group=group)
    await wecom.wecom.until(lambda: wecom.wecom.screen(chat))
    await wecom.product.kill()
    gate.open()
    wecom.gpt.next(Script(text=text, piece=20, gate=(second := Gate(4))))
    await wecom.start()
    await second.reached()
    await wecom.wecom.kill()
    await wecom.wecom.restart()
    second.open()
    await wecom.wecom.until(lambda: text in wecom.wecom.screen(chat), 30)
    await wecom.product.stop()
    assert wecom.wecom.screen(chat).count(text) == 1
    if not forgets:
        assert wecom.wecom.screen(chat) == [text]


@pytest.mark.slow
async def test_three_answers_into_one_group_keep_to_its_thirty_a_minute(wecom: WeComStage) -> None:
    await wecom.start()
    texts = [f"{name}: " + "一句完整的话。" * 100 for name in ("a", "b", "c")]
    for text in texts:
        wecom.gpt.next(Script(text=text, piece=7, rate=4.0))
        wecom.wecom.say("go", sender=f"user-{text[0]}", group="g1")
    await wecom.wecom.until(lambda: sorted(wecom.wecom.screen("g1")) == texts and not wecom.wecom.unfinished("g1"), 90)
    assert 15 < wecom.wecom.busiest("g1") <= 30
    assert wecom.wecom.exceeded == 0


@pytest.mark.slow
@pytest.mark.parametrize("one_stream", [False, True])
async def test_twelve_minutes_with_six_of_silence_end_whole(wecom: WeComStage, one_stream: bool) -> None:
    """The product and WeCom on a clock that runs twenty times as fast."""
    begin = time.monotonic()
    wecom.wecom.clock = lambda: begin + (time.monotonic() - begin) * HURRY
    wecom.wecom.one_stream = one_stream
    wecom.product.main = ("-m", "tests.hurried")
    wecom.product.config["fastgpt"]["support"] |= {"idle_timeout": 1000, "first_token_timeout": 1000}
    await wecom.start()
    first, second = "一句完整的话。" * 20, "另一句完整的话。" * 20
    wecom.gpt.next(Script(text=first + second, piece=10, gate=(silent := Gate(14))))
    wecom.wecom.say("慢慢说")
    await silent.reached()
    await asyncio.sleep(12 * 60 / HURRY)
    silent.open()
    await wecom.wecom.until(
        lambda: "".join(wecom.wecom.screen()).replace("…", "") == first + second and not wecom.wecom.unfinished(), 30
    )


@pytest.mark.slow
async def test_a_rival_is_named_and_a_wrong_secret_ends_the_bot(wecom: WeComStage) -> None:
    await wecom.start()
    code, out, err = await command("check", "--online", "-c", str(wecom.product.write_config()))
    assert code == 0, err
    assert "WeCom accepted bot_id and secret" in out
    assert wecom.wecom.connections == 1
    wecom.wecom.rival()
    await wecom.product.logged("bot wx: standby")
    await wecom.product.stop()
    wecom.bot["secret"] = "wrong"
    await wecom.product.start()
    await wecom.product.logged("bot wx has failed", 20)
    code, out, err = await command("check", "--online", "-c", str(wecom.product.write_config()))
    assert code == 2
    assert "copy bot_id and secret from WeCom's admin console" in out + err
    assert "wrong" not in "".join(wecom.product.log)
