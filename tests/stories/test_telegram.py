"""A Telegram bot as its users meet it: the real command, a Bot API server and a FastGPT server on the loopback."""

from __future__ import annotations

import re
import signal
import socket

import aiohttp
import pytest

from tests.fakes.fastgpt import Fail, Gate, Reply, Script
from tests.fakes.telegram.rules import Limit
from tests.product import command
from tests.stories.conftest import Stage

LONG = (
    "## 部署说明\n\n**“先备份”**再升级。下面是步骤：\n\n1. 停止服务\n2. 运行 `backup`\n   - 检查 <div> 标签\n\n"
    "| 平台 | 方式 |\n| --- | --- |\n| Telegram | 编辑 |\n| 飞书 | 卡片 |\n\n"
    "```python\nfor i in range(3):\n    print('你好', i)\n```\n\n"
)


async def test_a_question_is_answered_in_one_growing_message(stage: Stage) -> None:
    await stage.product.start()
    stage.gpt.next(
        Script(text="Hello **world**, this is a longer answer than the first words.", gate=(gate := Gate(12)))
    )
    question = stage.api.say("hi there", chat=7)
    await gate.reached()
    await stage.api.until(lambda: stage.answers(7))
    [growing] = stage.answers(7)
    assert growing.text.startswith("Hello world")
    assert growing.button("Stop") == "stop"
    gate.open()
    [answer] = await stage.answered(7)
    assert answer.text == "Hello world, this is a longer answer than the first words."
    assert [(e["type"], e["offset"], e["length"]) for e in answer.entities] == [("bold", 6, 5)]
    [asked] = stage.gpt.asked
    assert re.fullmatch(r"tg\.7\.[0-9a-z]{6,7}", asked.chat_id)
    assert asked.item_id == str(question["message_id"])
    body = asked.body
    assert (body["stream"], body["detail"], body["retainDatasetCite"]) == (True, True, True)
    assert body["customUid"] == "tg.7"
    assert body["messages"] == [{"role": "user", "content": "hi there"}]
    assert body["variables"]["platform"] == "telegram"
    assert body["variables"]["chat_type"] == "private"
    assert body["variables"]["user_id"] == "7"
    assert body["variables"]["message_id"] == str(question["message_id"])
    assert re.fullmatch(r"\d{4}/\d{1,2}/\d{1,2} \d\d:\d\d", body["variables"]["cTime"])


async def test_a_long_chinese_answer_comes_whole_in_several_messages(stage: Stage) -> None:
    await stage.product.start()
    text = "".join(f"{LONG}第 {n} 段结束。\n\n" for n in range(40))
    stage.gpt.next(Script(text=text, piece=200))
    stage.api.say("怎么升级？", chat=7)
    await stage.api.until(lambda: any("第 39 段结束" in seen.text for seen in stage.answers(7)), 30)
    answers = await stage.answered(7, count=2)
    whole = "\n".join(answer.text for answer in answers)
    for n in range(40):
        assert whole.count(f"第 {n} 段结束。") == 1
    assert whole.count("for i in range(3):") == 40
    assert "<div>" in whole
    assert "**" not in whole
    assert "```" not in whole
    kinds = {entity["type"] for answer in answers for entity in answer.entities}
    assert {"bold", "pre", "code"} <= kinds
    bold = [
        answer.text[e["offset"] : e["offset"] + e["length"]]
        for answer in answers[:1]
        for e in answer.entities
        if e["type"] == "bold"
    ]
    assert any("先备份" in words for words in bold)


async def test_questions_of_one_chat_are_answered_in_order_and_chats_side_by_side(stage: Stage) -> None:
    await stage.product.start()
    stage.gpt.when("first", Script(gate=(gate := Gate(0))))
    stage.api.say("first", chat=7)
    stage.api.say("second", chat=7)
    stage.api.say("other", chat=8)
    await stage.answered(8)
    assert [asked.question for asked in stage.gpt.asked if asked.chat_id.startswith("tg.7.")] == ["first"]
    gate.open()
    await stage.api.until(lambda: len([seen for seen in stage.answers(7) if seen.text.startswith("You asked")]) == 2)
    assert [seen.text for seen in await stage.answered(7, 2)] == ["You asked: first", "You asked: second"]
    assert len({asked.chat_id for asked in stage.gpt.asked if asked.chat_id.startswith("tg.7.")}) == 1


async def test_stop_keeps_what_came_and_hangs_up(stage: Stage) -> None:
    stage.app["app_id"] = stage.gpt.app_id
    stage.gpt.era = "e26"
    await stage.product.start()
    stage.gpt.next(
        Script(text="One two three four five six seven eight nine ten eleven twelve.", gate=(gate := Gate(12)))
    )
    stage.api.say("count", chat=7)
    await gate.reached()
    await stage.api.until(lambda: stage.answers(7) and "ten" in stage.answers(7)[0].text)
    stage.api.say("/stop", chat=7)
    [answer] = await stage.answered(7)
    assert answer.text.startswith("One two three")
    assert answer.text.endswith("⏹ Stopped")
    await stage.gpt.until(lambda: stage.gpt.stopped and stage.gpt.running == 0)
    assert stage.gpt.stopped[0].chat_id == stage.gpt.asked[0].chat_id
    stage.api.say("next", chat=7)
    assert (await stage.answered(7, 2))[-1].text == "You asked: next"


async def test_the_stop_button_is_the_askers_and_the_admins(stage: Stage) -> None:
    stage.bot["groups"] = "all"
    stage.bot["admins"] = [99]
    await stage.product.start()
    stage.gpt.default = Script(text="A long enough beginning of an answer, with more to come.", gate=(gate := Gate(12)))
    stage.api.say("question", chat=-5, user=11)
    await gate.reached()
    await stage.api.until(lambda: stage.answers(-5))
    [growing] = stage.answers(-5)
    stage.api.press(-5, growing.message_id, growing.button("Stop"), user=12)
    await stage.api.until(lambda: stage.api.answers())
    assert "Only whoever asked" in (stage.api.answers()[0].text or "")
    assert stage.answers(-5)[0].buttons
    stage.api.press(-5, growing.message_id, growing.button("Stop"), user=99)
    [answer] = await stage.answered(-5)
    assert answer.text.endswith("⏹ Stopped")
    stage.api.press(-5, growing.message_id, "stop", user=99, stale=True)
    await stage.api.until(lambda: len(stage.api.answers()) == 3)
    assert "already ended" in (stage.api.answers()[2].text or "")


async def test_new_retry_and_help(stage: Stage) -> None:
    await stage.product.start()
    stage.api.say("/retry", chat=7)
    assert "no question yet" in (await stage.answered(7, 1))[0].text
    stage.api.say("one", chat=7)
    await stage.answered(7, 2)
    retry = stage.api.say("/retry", chat=7)
    assert [seen.text for seen in await stage.answered(7, 3)][1:] == ["You asked: one"] * 2
    assert stage.gpt.asked[1].item_id == str(retry["message_id"])
    assert stage.gpt.asked[0].chat_id == stage.gpt.asked[1].chat_id
    stage.api.say("/new", chat=7)
    await stage.answered(7, 4)
    stage.api.say("two", chat=7)
    await stage.answered(7, 5)
    assert stage.gpt.asked[2].chat_id != stage.gpt.asked[0].chat_id
    stage.api.say("/HELP", chat=7)
    helped = (await stage.answered(7, 6))[-1].text
    assert helped.endswith("Your id: 7\nThis chat's id: 7")
    stage.api.say("/stop", chat=7)
    assert "No answer is being written" in (await stage.answered(7, 7))[-1].text
    assert [item["command"] for item in stage.api.commands()] == ["new", "stop", "retry", "help"]
    assert stage.api.commands("zh")


async def test_in_a_group_only_who_means_the_bot_is_answered(stage: Stage) -> None:
    await stage.product.start()
    me = stage.api.bot().user["username"]
    stage.api.say("just talking", chat=-5, user=11)
    first = stage.api.say(f"@{me} hello 🙂 there", chat=-5, user=11)
    [answer] = await stage.answered(-5)
    assert answer.text == "You asked: hello 🙂 there"
    assert answer.reply_to == first["message_id"]
    stage.api.say("and you?", chat=-5, user=12, reply_to=answer.message_id)
    await stage.answered(-5, 2)
    stage.api.say(f"/help@{me}", chat=-5, user=12)
    assert "Your id: 12" in (await stage.answered(-5, 3))[-1].text
    stage.api.say("/new@another_bot", chat=-5, user=12)
    stage.api.say(f"in a topic @{me}", chat=-6, user=12, thread=77)
    [topical] = await stage.answered(-6)
    assert topical.thread == 77
    ids = [asked.chat_id.rsplit(".", 1)[0] for asked in stage.gpt.asked]
    assert ids == ["tg.-5.u:11", "tg.-5.u:12", "tg.-6.t:77.u:12"]
    assert stage.gpt.asked[2].body["variables"]["thread_id"] == "77"
    assert stage.gpt.asked[0].body["variables"]["chat_type"] == "group"


async def test_who_may_not_is_told_once_and_in_private_only(stage: Stage) -> None:
    stage.bot["allow"] = [7]
    stage.bot["deny"] = [9]
    await stage.product.start()
    for chat in (8, 8, 9, 7):
        stage.api.say("hello", chat=chat)
    await stage.answered(7)
    [told] = await stage.answered(8)
    assert told.text.endswith("Send your id to its operator: 8")
    assert stage.answers(9) == []
    assert [asked.question for asked in stage.gpt.asked] == ["hello"]


@pytest.mark.slow
async def test_every_final_lands_through_a_storm_of_429(stage: Stage) -> None:
    """Twenty chats stream at once while the platform bans each of them after a few calls."""
    stage.bot["calls_per_second"] = 0
    stage.api.limit(private=Limit(calls=3, seconds=5, penalty=1, lengthen=0.5))
    stage.gpt.default = Script(length=250, rate=60)
    await stage.product.start()
    for chat in range(1, 21):
        stage.api.say(f"question {chat}", chat=chat)
    for chat in range(1, 21):
        [answer] = await stage.answered(chat, timeout=40)
        assert answer.text == Script(length=250).says(f"question {chat}")
    refused = [call for call in stage.api.history if call.status == 429]
    assert refused, "the storm did happen"


@pytest.mark.slow
async def test_a_final_waits_out_a_ban(stage: Stage) -> None:
    await stage.product.start()
    stage.gpt.next(Script(text="Words that are enough for a first preview of it. The end.", gate=(gate := Gate(12))))
    stage.api.say("hello", chat=7)
    await gate.reached()
    await stage.api.until(lambda: stage.answers(7))
    stage.api.fail("editMessageText", 1, "429", seconds=2)
    gate.open()
    [answer] = await stage.answered(7)
    assert answer.text.endswith("The end.")
    edits = [call for call in stage.api.history if call.method == "editMessageText"]
    refused = next(call for call in edits if call.status == 429)
    assert not any(refused.time < call.time < refused.time + 2 for call in edits), "nothing goes out within the ban"


@pytest.mark.parametrize("kind", ["500", "502", "drop_before", "drop_after"])
@pytest.mark.slow
async def test_a_platform_that_stumbles_gets_the_answer_all_the_same(stage: Stage, kind: str) -> None:
    await stage.product.start()
    stage.api.fail("sendMessage", 1, kind)  # type: ignore[arg-type]
    stage.api.fail("editMessageText", 2, kind)  # type: ignore[arg-type]
    stage.api.say("hello", chat=7)
    await stage.api.until(lambda: any(seen.text == "You asked: hello" for seen in stage.answers(7)), 15)
    assert [seen.text for seen in stage.answers(7)].count("You asked: hello") == 1


async def test_rejected_entities_become_plain_text(stage: Stage) -> None:
    await stage.product.start()
    stage.api.fail("editMessageText", 1, "entities")
    stage.gpt.next(Script(text="**bold** words"))
    stage.api.say("hello", chat=7)
    [answer] = await stage.answered(7)
    assert (answer.text, answer.entities) == ("bold words", [])
    assert await stage.product.logged("rejects the formatted text")


async def test_a_message_that_was_deleted_meanwhile_is_sent_anew(stage: Stage) -> None:
    await stage.product.start()
    stage.gpt.next(Script(text="Words that are enough for a first preview of it. The end.", gate=(gate := Gate(12))))
    stage.api.say("hello", chat=7)
    await gate.reached()
    await stage.api.until(lambda: stage.answers(7))
    del stage.api.bot().chats[7].messages[stage.answers(7)[0].message_id]
    gate.open()
    [answer] = await stage.answered(7)
    assert answer.text.endswith("The end.")


async def test_whoever_blocks_the_bot_ends_only_their_own_answer(stage: Stage) -> None:
    await stage.product.start()
    stage.gpt.next(Script(gate=(gate := Gate(0))))
    stage.api.say("hello", chat=7)
    await gate.reached()
    stage.api.block(7)
    gate.open()
    await stage.product.logged("refuses the answer for good")
    stage.api.say("hello", chat=8)
    await stage.answered(8)


async def test_a_poison_update_fails_alone(stage: Stage) -> None:
    await stage.product.start()
    stage.api.push({"message": {"message_id": "not a number", "chat": None}})
    stage.api.push({"something_new": {"x": 1}})
    stage.api.say("hello", chat=7)
    await stage.answered(7)
    assert "cannot be read" in await stage.product.logged("cannot be read")
    await stage.api.until(lambda: stage.api.unconfirmed() == 0)


@pytest.mark.slow
async def test_a_second_poller_is_named(stage: Stage) -> None:
    await stage.product.start()
    await stage.api.until(lambda: stage.api.polling())
    poll = f"{stage.api.url}/bot{stage.api.token}/getUpdates"
    async with aiohttp.ClientSession() as session, session.post(poll, json={"timeout": 0}) as response:
        assert response.status == 200
    assert "another program polls" in await stage.product.logged("another program polls")
    stage.api.say("hello", chat=7)
    await stage.answered(7)


async def test_a_wrong_token_fails_that_bot_and_no_other(stage: Stage) -> None:
    stage.product.config["bots"]["bad"] = {**stage.bot, "token": "999:wrong"}
    await stage.product.start()
    await stage.product.logged("bot bad has failed")
    stage.api.say("hello", chat=7)
    await stage.answered(7)
    status, body = await stage.product.readyz()
    assert status == 503
    assert body["ready"] is False
    assert body["bots"]["bad"]["state"] == "failed"
    assert "@BotFather" in body["bots"]["bad"]["detail"]
    assert body["bots"]["tg"]["state"] == "connected"
    assert "999:wrong" not in "\n".join(stage.product.log)


# ------------------------------------------------------------------ FastGPT in trouble


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (Script(text="Half an answer", fail=Fail(after=2)), "Half an"),
        (
            Script(fail=Fail(after=0, payload={"code": 514, "statusText": "unAuthApiKey", "message": "x"})),
            "key is not valid",
        ),
        (Script(instead=Reply(404, "<html>nope</html>", "text/html")), "address is wrong"),
        (Script(text=""), "no answer"),
    ],
)
async def test_an_app_in_trouble_is_told_in_a_sentence(stage: Stage, script: Script, words: str) -> None:
    await stage.product.start()
    stage.gpt.next(script)
    stage.api.say("hello", chat=7)
    [answer] = await stage.answered(7)
    assert words in answer.text
    assert "⚠️" in answer.text
    stage.api.say("again", chat=7)
    assert (await stage.answered(7, 2))[-1].text == "You asked: again"


@pytest.mark.slow
async def test_a_full_app_holds_the_turn(stage: Stage) -> None:
    await stage.product.start()
    stage.gpt.limit = (1, 2.0)
    stage.api.say("one", chat=7)
    stage.api.say("two", chat=8)
    for chat in (7, 8):
        [answer] = await stage.answered(chat)
        assert answer.text.startswith("You asked: ")
    assert any(asked.item_id.endswith("~1") for asked in stage.gpt.asked), "a later attempt has a later id"


@pytest.mark.slow
async def test_an_app_that_is_down_for_a_while_is_asked_again_with_the_same_id(stage: Stage) -> None:
    await stage.product.start()
    await stage.gpt.down()
    stage.api.say("hello", chat=7)
    await stage.api.until(lambda: stage.answers(7))
    await stage.gpt.up()
    [answer] = await stage.answered(7)
    assert answer.text == "You asked: hello"
    assert "~" not in stage.gpt.asked[0].item_id


# ------------------------------------------------------------------ the process dies


async def test_kill_9_in_the_middle_ends_as_one_whole_answer(stage: Stage) -> None:
    await stage.product.start()
    text = LONG * 20
    stage.gpt.default = Script(text=text, piece=50, rate=20)
    stage.api.say("long one", chat=7)
    stage.api.say("and then", chat=7)
    # An edit follows the commit of the message's id; before that, an orphan of a preview is the price of a crash.
    await stage.api.until(lambda: stage.answers(7) and stage.answers(7)[0].edits)
    await stage.product.kill()
    before = {seen.message_id for seen in stage.answers(7)}
    stage.gpt.default = Script(text=text, piece=50)
    stage.gpt.when("and then", Script())
    await stage.product.start()
    await stage.api.until(lambda: any(seen.text == "You asked: and then" for seen in stage.answers(7)), 30)
    answers = await stage.answered(7)
    assert before <= {seen.message_id for seen in answers}, "the same messages went on"
    whole = "\n".join(seen.text for seen in answers[:-1])
    assert whole.count("for i in range(3):") == 20
    assert [asked.item_id.partition("~")[2] for asked in stage.gpt.asked] == ["", "1", ""]


@pytest.mark.slow
async def test_kill_9_of_a_whole_answer_does_not_ask_again(stage: Stage) -> None:
    await stage.product.start()
    stage.api.fail("editMessageText", 1000, "502")
    stage.api.say("hello", chat=7)
    await stage.gpt.until(lambda: stage.gpt.asked[0].finished)
    await stage.api.until(lambda: stage.api.counts["editMessageText"] >= 2)
    await stage.product.kill()
    stage.api._faults.clear()
    await stage.product.start()
    [answer] = await stage.answered(7)
    assert answer.text == "You asked: hello"
    assert len(stage.gpt.asked) == 1


@pytest.mark.slow
async def test_a_stop_of_the_service_parks_and_goes_on_later(stage: Stage) -> None:
    stage.product.config["shutdown_grace"] = 2
    await stage.product.start()
    stage.gpt.next(Script(text="Words that are enough for a first preview of it. The end.", gate=(gate := Gate(12))))
    stage.api.say("hello", chat=7)
    await gate.reached()
    await stage.api.until(lambda: stage.answers(7))
    assert await stage.product.stop() == 0
    stage.gpt.next(Script(text="Words that are another answer to it."))
    await stage.product.start()
    [answer] = await stage.answered(7)
    assert answer.text == "Words that are another answer to it."


async def test_updates_that_came_again_are_answered_once(stage: Stage) -> None:
    await stage.product.start()
    message = stage.api.say("hello", chat=7)
    for _ in range(4):
        stage.api.push({"message": message})
    await stage.answered(7)
    await stage.api.until(lambda: stage.api.unconfirmed() == 0)
    stage.api.say("and more", chat=7)
    assert len(await stage.answered(7, 2)) == 2
    assert len(stage.gpt.asked) == 2


async def test_a_new_config_is_taken_by_sighup_and_a_faulty_one_refused(stage: Stage) -> None:
    await stage.product.start()
    path = stage.product.folder / "config.yaml"
    good = path.read_text("utf-8")
    path.write_text(good.replace("platform: telegram", "platform: telegran"), "utf-8")
    stage.product.signal(signal.SIGHUP)
    assert "bots.tg.platform" in await stage.product.logged("config not reloaded")
    stage.api.say("hello", chat=7)
    await stage.answered(7)
    stage.bot["deny"] = ["8"]
    stage.product.write_config()
    ready = len(stage.product.out)
    stage.product.signal(signal.SIGHUP)
    await stage.product.until(lambda: any("ready on" in line for line in stage.product.out[ready:]))
    stage.api.say("hello", chat=8)
    stage.api.say("hello", chat=9)
    await stage.answered(9)
    assert stage.answers(8) == []


async def test_a_config_that_cannot_be_run_leaves_the_old_one_in_force(stage: Stage) -> None:
    await stage.product.start()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        stage.product.config["http"]["listen"] = f"127.0.0.1:{taken.getsockname()[1]}"
        stage.product.write_config()
        ready = len(stage.product.out)
        stage.product.signal(signal.SIGHUP)
        assert "cannot listen on" in await stage.product.logged("config not reloaded")
        await stage.product.until(lambda: any("ready on" in line for line in stage.product.out[ready:]))
    stage.product.config["store"] += ".other"
    stage.product.write_config()
    stage.product.signal(signal.SIGHUP)
    await stage.product.logged("store: cannot change while the service runs")
    stage.api.say("hello", chat=7)
    assert [seen.text for seen in await stage.answered(7)] == ["You asked: hello"]


@pytest.mark.slow
async def test_a_second_service_on_the_same_store_waits_and_gives_up(stage: Stage) -> None:
    stage.product.config["shutdown_grace"] = 0
    await stage.product.start()
    code, _, err = await command("run", "-c", str(stage.product.folder / "config.yaml"))
    assert code == 1
    assert "another fastgpt-bridge is running" in err
