"""An official account as its followers meet it: the real command, WeChat, FastGPT."""

from __future__ import annotations

import asyncio
import random

import pytest

from tests.fakes.fastgpt import Gate, Script
from tests.fakes.wechat.mp import Mp
from tests.product import command
from tests.stories.conftest import MpStage

WRITING = "正在回答。请稍后回复任意内容查看。"
MORE = "（未完，回复任意内容继续）"


async def seen(stage: MpStage, number: int, user: str = "openid-1") -> list[str]:
    await stage.account.until(lambda: len(stage.account.screen(user)) >= number, 15)
    return stage.account.screen(user)


async def test_an_answer_in_time_is_the_response(mp: MpStage) -> None:
    await mp.start()
    assert await mp.account.verify()
    assert not await mp.account.verify(token="another")
    mp.account.say("你好")
    assert await seen(mp, 1) == ["You asked: 你好"]
    assert [reply.how for reply in mp.account.replies] == ["reply"]
    assert "message/custom/send" not in mp.account.calls


async def test_commands_voice_menu_and_a_new_follower(mp: MpStage) -> None:
    mp.bot["welcome"] = "欢迎关注！"
    await mp.start()
    mp.account.subscribe()
    assert await seen(mp, 1) == ["欢迎关注！"]
    mp.account.click("/new")
    assert (await seen(mp, 2))[1] == "All right, a new conversation begins here."
    mp.account.voice("今天天气怎么样")
    assert (await seen(mp, 3))[2] == "You asked: 今天天气怎么样"
    mp.account.voice(None)
    assert "voice.amr" in (await seen(mp, 4))[3]
    mp.account.say("**")
    await seen(mp, 5)


@pytest.mark.slow
async def test_a_picture_reaches_the_app(mp: MpStage) -> None:
    mp.product.config["allow_private"] = ["127.0.0.1"]
    mp.product.config["http"] = {"listen": "127.0.0.1:0", "public_url": "https://bot.example.com"}
    await mp.start()
    mp.account.say_image(b"\xff\xd8\xff\xe0" + b"jpeg" * 100)
    await seen(mp, 1)
    [asked] = mp.gpt.asked
    assert asked.files


@pytest.mark.slow
async def test_a_late_answer_comes_by_messages_of_its_own(mp: MpStage) -> None:
    await mp.start()
    text = "一句完整的话。" * 300
    mp.gpt.next(Script(text=text, piece=40, gate=(gate := Gate(2))))
    mp.account.say("慢慢说")
    await mp.account.until(lambda: mp.account.replies)
    assert mp.account.replies[0].how == "success"
    gate.open()
    await mp.account.until(lambda: "".join(mp.account.screen()) == text, 20)
    assert 1 < len(mp.account.screen()) <= 5
    assert mp.account.typing == ["openid-1"]
    assert max(reply.seconds for reply in mp.account.replies) < 5


@pytest.mark.slow
async def test_an_account_that_is_not_verified_parks_what_is_late(mp: MpStage) -> None:
    mp.account.verified = False
    mp.bot["verified"] = False
    await mp.start()
    text = "一句完整的话。" * 200
    mp.gpt.next(Script(text=text, piece=40, gate=(gate := Gate(0))))
    mp.account.say("慢慢说")
    assert await seen(mp, 1) == [WRITING]
    gate.open()
    await mp.product.logged("characters wait for the next message", 20)
    while "".join(mp.account.screen()[1:]).replace(MORE, "").replace("\n", "") != text:
        before = len(mp.account.screen())
        mp.account.say("继续")
        await seen(mp, before + 1)
    assert len(mp.gpt.asked) == 1
    assert "message/custom/send" not in mp.account.calls


@pytest.mark.slow
async def test_what_is_there_in_time_is_the_response_where_there_is_no_other(mp: MpStage) -> None:
    mp.account.verified = False
    mp.bot["verified"] = False
    await mp.start()
    text = "一句完整的话。" * 40
    mp.gpt.next(Script(text=text, piece=14, gate=(gate := Gate(19))))
    mp.account.say("说")
    [first] = await seen(mp, 1)
    assert first.startswith("一句完整的话。一句")
    assert first.endswith(MORE)
    gate.open()
    await mp.product.logged("characters wait for the next message", 20)
    mp.account.say("1")
    assert "".join(await seen(mp, 2)).replace(MORE, "").replace("\n", "") == text


@pytest.mark.slow
async def test_a_lost_response_and_a_killed_process_double_nothing(mp: MpStage) -> None:
    await mp.start()
    mp.account.lose()
    mp.account.say("one")
    assert await seen(mp, 1) == ["You asked: one"]
    mp.gpt.next(Script(text="the whole answer.", gate=(gate := Gate(1))))
    mp.account.say("two")
    await gate.reached()
    await mp.product.kill()
    gate.open()
    port = mp.product.address.rpartition(":")[2]
    mp.product.config["http"] = {"listen": f"127.0.0.1:{port}"}
    mp.gpt.next(Script(text="the whole answer."))
    await mp.start()
    assert (await seen(mp, 2))[1] == "the whole answer."
    await mp.account.until(lambda: not mp.account.busy, 20)
    mp.account.again()
    await mp.account.until(lambda: not mp.account.busy, 20)
    assert mp.account.screen() == ["You asked: one", "the whole answer."]


@pytest.mark.slow
@pytest.mark.parametrize("verified", [True, False])
async def test_a_thousand_callbacks_are_answered_once_each(mp: MpStage, verified: bool) -> None:
    """Answers take up to twenty seconds, responses are lost, and every user gets every answer once."""
    mp.account.verified = mp.bot["verified"] = verified
    mp.bot["per_user"] = "0"
    await mp.start()
    rng = random.Random(6)
    count = 1000 if verified else 300
    gates = [Gate(0) for _ in range(count)]
    users = [f"user-{number}" for number in range(count)]
    loop = asyncio.get_running_loop()
    mp.account.lose(count // 20)
    for number, user in enumerate(users):
        mp.gpt.next(Script(text=f"answer for one of them {number}.", gate=gates[number]))
        loop.call_later(rng.choice([0.0, rng.uniform(0, 20)]), gates[number].open)
        mp.account.say("hello", sender=user)
        await asyncio.sleep(0.05)  # as fast as two cores can play all the parts
    await mp.account.until(lambda: not mp.account.busy, 60)
    if not verified:
        await mp.product.until(lambda: len(mp.gpt.asked) == count, 60)

    async def whole(user: str) -> None:
        def answers() -> list[str]:
            return [text for text in mp.account.screen(user) if text.startswith("answer")]

        while not answers():
            if not verified:
                mp.account.say("1", sender=user)
            await mp.account.until(lambda: answers() or (not verified and not mp.account.busy), 60)
        assert len(answers()) == 1, mp.account.screen(user)

    await asyncio.gather(*map(whole, users))
    await mp.account.until(lambda: not mp.account.busy, 60)
    told = [text for user in users for text in mp.account.screen(user) if text.startswith("answer")]
    assert len(told) == len(set(told)) == count
    assert max(reply.seconds for reply in mp.account.replies) < 5
    assert {reply.how for reply in mp.account.replies} <= {"reply", "success"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("", "the account may send messages of its own accord"),
        ("secret", "copy AppID and AppSecret"),
        ("address", "add 203.0.113.7 to the IP allow list"),
        ("unverified", "set verified: false"),
        ("no address", "set http.public_url"),
    ],
)
async def test_check_online_names_what_is_missing(mp: MpStage, what: str, words: str) -> None:
    if what != "no address":
        mp.product.config["http"] = {"public_url": "https://bot.example.com"}
    if what == "secret":
        mp.bot["app_secret"] = "wrong"
    mp.account.denied_address = "203.0.113.7" if what == "address" else ""
    mp.account.verified = what != "unverified"
    code, out, err = await command("check", "--online", "-c", str(mp.product.write_config()))
    assert words in out + err
    assert code == (0 if not what else 2)
    assert Mp.app_secret not in out + err
