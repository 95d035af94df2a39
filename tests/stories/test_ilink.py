"""A personal assistant on Tencent's bot channel as its user meets it: the real command, a platform, FastGPT."""

from __future__ import annotations

import asyncio
import re

import pytest

from tests.fakes.fastgpt import Gate, Script
from tests.product import command
from tests.stories.conftest import IlinkStage

MORE = "（未完，回复任意内容继续）"


def words(texts: list[str]) -> str:
    return re.sub(r"\s", "", "".join(texts).replace(MORE, ""))


async def login(stage: IlinkStage, *answers: str) -> str:
    """``fastgpt-bridge login wx``, answering what it asks; what it prints."""
    typed = "".join(f"{answer}\n" for answer in answers)
    code, out, err = await command("login", "wx", "-c", str(stage.product.write_config()), stdin=typed)
    assert code == 0, err
    return out


async def start(stage: IlinkStage) -> None:
    """Log in, and run."""
    stage.ilink.scan = "confirmed"
    await login(stage)
    await stage.product.start()
    await stage.product.logged("bot wx: connected")


@pytest.mark.slow
async def test_a_login_while_the_service_waits_for_it_lets_it_go_on(ilink: IlinkStage) -> None:
    await ilink.product.start()
    await ilink.product.logged("bot wx: login_needed")
    status, body = await ilink.product.readyz()
    assert status == 200
    assert "fastgpt-bridge login wx" in body["bots"]["wx"]["detail"]
    ilink.ilink.verify_code = "42"
    ilink.ilink.scan = "need_verifycode"
    out = await login(ilink, "42")
    assert "https://liteapp.weixin.qq.com" in out
    assert "█" in out or "▄" in out
    await ilink.product.logged("bot wx: connected")
    ilink.ilink.say("hello")
    await ilink.ilink.until(ilink.ilink.screen)
    assert ilink.ilink.screen() == ["You asked: hello"]
    assert ilink.ilink.complaints == []


@pytest.mark.slow
async def test_a_long_answer_keeps_to_what_a_question_grants_and_goes_on_with_the_next(ilink: IlinkStage) -> None:
    ilink.ilink.budget = 4
    await start(ilink)
    text = "".join(f"第{number:4}句话。" for number in range(1000))[:9750]
    ilink.gpt.next(Script(text=text, piece=60))
    ilink.ilink.say("tell me all")
    rounds = 1
    while not await all_of(ilink, text, rounds):
        ilink.ilink.say("继续")
        rounds += 1
    assert words(ilink.ilink.screen()) == words([text])
    assert rounds > 1
    assert len(ilink.gpt.asked) == 1


async def all_of(stage: IlinkStage, text: str, rounds: int) -> bool:
    """Wait until one question has what it may have: is that all of the text?"""
    ends = (
        asyncio.ensure_future(stage.ilink.until(lambda: whole(stage, text), 30)),
        asyncio.ensure_future(stage.product.until(lambda: kept(stage) == rounds, 30)),
    )
    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    for end in ends:
        end.cancel()
    return whole(stage, text)


def kept(stage: IlinkStage) -> int:
    """How often something was kept for the next message."""
    return sum("wait for the next message" in line for line in stage.product.log)


def whole(stage: IlinkStage, text: str) -> bool:
    return words(stage.ilink.screen()) == words([text])


async def test_the_sign_of_writing_comes_at_once_and_stays(ilink: IlinkStage) -> None:
    await start(ilink)
    ilink.gpt.next(Script(text="Words at last.", gate=(gate := Gate(1))))
    ilink.ilink.say("hi")
    await gate.reached()
    await ilink.ilink.until(lambda: 1 in ilink.ilink.typing)
    gate.open()
    await ilink.ilink.until(ilink.ilink.screen)
    assert ilink.ilink.screen() == ["Words at last."]


@pytest.mark.slow
async def test_what_tencent_heard_is_the_question(ilink: IlinkStage) -> None:
    await start(ilink)
    ilink.ilink.say_media("voice", b"#!SILK", text="what time is it?")
    await ilink.ilink.until(ilink.ilink.screen)
    assert ilink.ilink.screen() == ["You asked: what time is it?"]


@pytest.mark.slow
async def test_an_expired_login_is_shown_and_a_new_one_taken(ilink: IlinkStage) -> None:
    await start(ilink)
    ilink.ilink.expire()
    await ilink.product.logged("bot wx: login_needed")
    status, _ = await ilink.product.readyz()
    assert status == 200, "the service goes on"
    ilink.ilink.renew("tok-2")
    await login(ilink)
    ilink.ilink.say("back?")
    await ilink.ilink.until(ilink.ilink.screen, 15)
    assert ilink.ilink.screen() == ["You asked: back?"]


@pytest.mark.slow
async def test_after_a_kill_nothing_is_lost_and_nothing_doubled(ilink: IlinkStage) -> None:
    await start(ilink)
    ilink.gpt.next(Script(text="一句话说完了。" * 80, piece=40, gate=(gate := Gate(8))))
    ilink.ilink.say("hi")
    await gate.reached()
    await ilink.ilink.until(ilink.ilink.screen)
    await ilink.product.kill()
    ilink.ilink.say("and this")
    gate.open()
    ilink.gpt.next(Script(text="一句话说完了。" * 80))
    await ilink.product.start()
    whole = words(["一句话说完了。" * 80, "You asked: and this"])
    await ilink.ilink.until(lambda: words(ilink.ilink.screen()) == whole, 15)
    assert ilink.ilink.again(new_id=True)
    ilink.ilink.say("last")
    await ilink.ilink.until(lambda: "last" in words(ilink.ilink.screen()), 15)
    assert words(ilink.ilink.screen()) == whole + words(["You asked: last"])


@pytest.mark.slow
async def test_check_online_tells_whether_the_login_holds(ilink: IlinkStage) -> None:
    check = "check", "--online", "-c", str(ilink.product.write_config())
    code, out, _ = await command(*check)
    assert code == 2
    assert "fastgpt-bridge login wx" in out
    ilink.ilink.scan = "confirmed"
    await login(ilink)
    code, out, _ = await command(*check)
    assert code == 0, out
    assert ilink.ilink.bot_id in out
    assert not [path for path, _ in ilink.ilink.calls if path == "getupdates"], "it polls nothing"
