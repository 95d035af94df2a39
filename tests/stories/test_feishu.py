"""A Feishu bot as its users meet it: the real command, an open platform and a FastGPT server on the loopback."""

from __future__ import annotations

import re

import aiohttp
import pytest

from tests.fakes.fastgpt import Gate, Script
from tests.fakes.feishu import USER
from tests.product import free_port
from tests.stories.conftest import FeishuStage

WORDS = "Hello **world**, this is a longer answer than the first words."
BOB = "ou_b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0"
TABLE = "| 平台 | 方式 |\n| --- | --- |\n| Telegram | 编辑 |\n| 飞书 | 卡片 |\n\n"


# ------------------------------------------------------------------ questions and answers


async def test_a_question_is_answered_on_a_card_that_is_written_while_one_watches(feishu: FeishuStage) -> None:
    await feishu.start()
    feishu.gpt.next(Script(text=WORDS, gate=(gate := Gate(12))))
    question = feishu.platform.say("hi there")
    await gate.reached()
    await feishu.platform.until(lambda: feishu.answers() and feishu.answers()[0].text.startswith("Hello **world**"))
    [growing] = feishu.answers()
    assert growing.streaming
    [stop] = growing.buttons
    assert "Stop" in stop
    assert growing.reply_to == question.message_id
    gate.open()
    [answer] = await feishu.answered()
    assert answer.message_id == growing.message_id
    assert answer.text == WORDS
    assert answer.summary.startswith("Hello world, this is")
    [asked] = feishu.gpt.asked
    assert re.fullmatch(rf"fs\.{feishu.platform.p2p()}\.[0-9a-z]{{6,7}}", asked.chat_id)
    assert asked.item_id == question.message_id
    told = asked.body["variables"]
    assert (told["platform"], told["chat_type"], told["user_id"]) == ("feishu", "private", USER)
    assert (told["user_name"], told["message_id"]) == ("Ann", question.message_id)
    assert feishu.platform.complaints == []
    assert feishu.platform.unacked == []


async def test_in_a_group_the_bot_answers_whoever_mentions_it_and_nobody_else(feishu: FeishuStage) -> None:
    feishu.platform.scopes.add("im:message.group_msg")
    team = feishu.platform.group("研发群")
    await feishu.start()
    feishu.platform.say("lunch?", team)
    feishu.platform.say("what is new?", team, mention=True)
    feishu.platform.say("and for me?", team, BOB, mention=True)
    answers = await feishu.answered(team, 2)
    assert sorted(answer.text for answer in answers) == ["You asked: and for me?", "You asked: what is new?"]
    ann, bob = sorted(feishu.gpt.asked, key=lambda asked: asked.question, reverse=True)
    assert f".u:{USER}." in ann.chat_id
    assert f".u:{BOB}." in bob.chat_id
    assert (ann.body["variables"]["chat_name"], ann.body["variables"]["chat_type"]) == ("研发群", "group")


async def test_a_topic_is_a_conversation_and_its_answers_stay_in_it(feishu: FeishuStage) -> None:
    topics = feishu.platform.group("话题群", topics=True)
    await feishu.start()
    first = feishu.platform.say("one", topics, mention=True)
    [answer] = await feishu.answered(topics)
    assert answer.thread == first.thread_id
    feishu.platform.say("two", topics, mention=True, thread=first.thread_id)
    await feishu.answered(topics, 2)
    assert len({asked.chat_id for asked in feishu.gpt.asked}) == 1
    assert f".t:{first.thread_id}." in feishu.gpt.asked[0].chat_id
    feishu.platform.say("three", topics, mention=True)
    await feishu.answered(topics, 3)
    assert len({asked.chat_id for asked in feishu.gpt.asked}) == 2


async def test_a_long_chinese_answer_rolls_over_to_further_cards(feishu: FeishuStage) -> None:
    feishu.platform.tables_most = 3
    await feishu.start()
    text = "".join(
        f"## 第 {n} 节\n\n**“先备份”**再升级 <at id=all></at>。\n\n{TABLE}第 {n} 段结束。\n\n" for n in range(10)
    )
    feishu.gpt.next(Script(text=text, piece=50))
    feishu.platform.say("怎么升级？")
    answers = await feishu.answered(count=4)
    whole = "\n".join(answer.text for answer in answers)
    for n in range(10):
        assert whole.count(f"第 {n} 段结束。") == 1
    assert whole.count("<at id=all></at>") == 10, "shown as it was typed"
    assert all(answer.mentions == [] for answer in answers), "and nobody was notified"
    assert all(call.code == 0 for call in feishu.platform.calls), "nothing was refused"


async def test_the_stop_button_ends_the_answer_and_goes(feishu: FeishuStage) -> None:
    await feishu.start()
    feishu.gpt.next(Script(text=WORDS, gate=(gate := Gate(5))))
    feishu.platform.say("tell me")
    await gate.reached()
    await feishu.platform.until(lambda: feishu.answers() and feishu.answers()[0].text.startswith("Hello"))
    [growing] = feishu.answers()
    assert (
        await feishu.platform.press(growing.message_id, "Stop", BOB)
    ).toast == "Only whoever asked, or an admin, can stop this answer."
    assert feishu.answers()[0].streaming, "a stranger's press stops nothing"
    pressed = await feishu.platform.press(growing.message_id, "Stop")
    assert pressed.toast == "Stopping…"
    [stopped] = await feishu.answered()
    assert stopped.text.startswith("Hello")
    assert "than the first words" not in stopped.text
    gate.open()


async def test_commands_work_in_feishu_too(feishu: FeishuStage) -> None:
    team = feishu.platform.group()
    await feishu.start()
    feishu.platform.say("/help", team, mention=True)
    [helped] = await feishu.answered(team)
    assert USER in helped.text
    assert team in helped.text
    feishu.platform.say("one")
    await feishu.answered()
    feishu.platform.say("/new")
    await feishu.answered(count=2)
    feishu.platform.say("two")
    await feishu.answered(count=3)
    assert len({asked.chat_id for asked in feishu.gpt.asked}) == 2


# ------------------------------------------------------------------ once and only once


async def test_after_a_kill_the_same_card_goes_on(feishu: FeishuStage) -> None:
    await feishu.start()
    feishu.gpt.next(Script(text=WORDS, gate=(gate := Gate(8))))
    feishu.platform.say("hi")
    await gate.reached()
    await feishu.platform.until(lambda: feishu.answers() and feishu.answers()[0].text.startswith("Hello"))
    await feishu.product.kill()
    gate.open()
    await feishu.start()
    [answer] = await feishu.answered()
    assert answer.text.startswith("You asked: hi") or answer.text == WORDS
    assert len({asked.item_id for asked in feishu.gpt.asked}) == len(feishu.gpt.asked) == 2


@pytest.mark.slow
@pytest.mark.parametrize("call", ["/cardkit/v1/cards", "/reply", "/content", "/settings"])
async def test_a_kill_at_any_call_leaves_one_card(feishu: FeishuStage, call: str) -> None:
    await feishu.start()
    feishu.gpt.default = Script(text=WORDS, rate=20)
    gate = feishu.platform.hold(call)
    feishu.platform.say("hi")
    await feishu.platform.until(lambda: feishu.platform.called(call))
    await feishu.product.kill()
    gate.set()
    await feishu.start()
    [answer] = await feishu.answered()
    assert answer.text == WORDS


@pytest.mark.slow
async def test_what_is_delivered_again_for_hours_is_answered_once(feishu: FeishuStage) -> None:
    await feishu.start()
    question = feishu.platform.say("hi")
    await feishu.answered()
    feishu.platform.redeliver(question.event_id)
    feishu.platform.push_message("text", '{"text":"hi"}', message_id=question.message_id, event_id="another")
    await feishu.product.kill()
    await feishu.start()
    feishu.platform.redeliver(question.event_id)
    feishu.platform.say("next")
    answers = await feishu.answered(count=2)
    assert [answer.text for answer in answers] == ["You asked: hi", "You asked: next"]
    assert len(feishu.gpt.asked) == 2


async def test_a_message_of_an_hour_ago_is_dropped_with_a_line_in_the_log(feishu: FeishuStage) -> None:
    await feishu.start()
    old = feishu.platform.say("still there?", create_time=feishu.platform.clock.now() - 3600)
    feishu.platform.say("now")
    [answer] = await feishu.answered()
    assert answer.text == "You asked: now"
    assert f"message {old.message_id} is dropped" in "\n".join(feishu.product.log)
    assert feishu.platform.unacked == []


@pytest.mark.slow
async def test_the_connection_comes_back_by_itself(feishu: FeishuStage) -> None:
    feishu.platform.client_config["ReconnectNonce"] = 1
    await feishu.start()
    feishu.platform.drop_connections()
    await feishu.platform.connected()
    feishu.platform.say("are you there?")
    [answer] = await feishu.answered()
    assert answer.text == "You asked: are you there?"


# ------------------------------------------------------------------ what is said otherwise than by words


async def test_a_quoted_card_of_the_bot_goes_along(feishu: FeishuStage) -> None:
    team = feishu.platform.group()
    await feishu.start()
    feishu.platform.say("one", team, mention=True)
    [answer] = await feishu.answered(team)
    feishu.platform.say("explain that", team, BOB, mention=True, parent=answer.message_id)
    await feishu.answered(team, 2)
    assert feishu.gpt.asked[1].question == "> You asked: one\n\nexplain that"


async def test_a_merged_forward_is_expanded(feishu: FeishuStage) -> None:
    await feishu.start()
    items = [
        feishu.platform.item("text", {"text": "the server is down"}, BOB),
        feishu.platform.item("text", {"text": "again?"}),
    ]
    feishu.platform.forward(items)
    await feishu.answered()
    question = feishu.gpt.asked[0].question
    assert "the server is down" in question
    assert "again?" in question


@pytest.mark.slow
async def test_a_recalled_question_stops_its_answer(feishu: FeishuStage) -> None:
    await feishu.start()
    feishu.gpt.next(Script(text=WORDS, gate=(gate := Gate(5))))
    question = feishu.platform.say("oh no")
    waits = feishu.platform.say("this one too")
    await gate.reached()
    await feishu.platform.until(lambda: feishu.answers() and feishu.answers()[0].text.startswith("Hello"))
    feishu.platform.recall(waits.message_id)
    feishu.platform.recall(question.message_id)
    [answer] = await feishu.answered()
    assert "than the first words" not in answer.text
    feishu.platform.say("better")
    answers = await feishu.answered(count=2)
    assert [asked.question for asked in feishu.gpt.asked] == ["oh no", "better"]
    assert answers[1].text == "You asked: better"
    gate.open()


@pytest.mark.slow
async def test_the_app_greets_a_group_and_a_first_visitor(feishu: FeishuStage) -> None:
    feishu.app["app_id"] = feishu.gpt.app_id
    feishu.gpt.chat_config = {"welcomeText": "我是**客服**，请问有什么可以帮您？"}
    await feishu.start()
    team = feishu.platform.group()
    feishu.platform.add_bot(team)
    [greeting] = await feishu.answered(team)
    assert greeting.text.startswith("我是**客服**")
    feishu.platform.enter(BOB)
    feishu.platform.enter(BOB)
    await feishu.answered(feishu.platform.p2p(BOB))
    feishu.platform.say("hi", user=BOB)
    greeting, answer = await feishu.answered(feishu.platform.p2p(BOB), 2)
    assert greeting.text.startswith("我是**客服**")
    assert answer.text == "You asked: hi"


# ------------------------------------------------------------------ when things are not as they should be


async def test_without_the_permission_for_cards_a_message_is_edited(feishu: FeishuStage) -> None:
    feishu.platform.scopes.remove("cardkit:card:write")
    await feishu.start()
    feishu.gpt.next(Script(text=WORDS, gate=(gate := Gate(12))))
    feishu.platform.say("hi")
    await gate.reached()
    await feishu.platform.until(lambda: feishu.answers() and feishu.answers()[0].text.startswith("Hello"))
    assert feishu.answers()[0].card_id == ""
    gate.open()
    [answer] = await feishu.answered()
    assert answer.text == WORDS
    feishu.platform.say("again")
    await feishu.answered(count=2)
    said = [line for line in feishu.product.log if "cardkit:card:write" in line]
    assert len(said) == 1, "it is said once"


async def test_a_wrong_secret_is_said_and_not_tried_for_ever(feishu: FeishuStage) -> None:
    feishu.bot["app_secret"] = "wrong"
    await feishu.product.start()
    await feishu.product.until(lambda: any("has failed" in line for line in feishu.product.log))
    async with aiohttp.ClientSession() as session, session.get(f"{feishu.product.address}/readyz") as ready:
        assert ready.status == 503
        states = await ready.json()
    assert states["bots"]["fs"]["state"] == "failed"
    assert "app_secret" in states["bots"]["fs"]["detail"]
    assert "wrong" not in "\n".join(feishu.product.log)


@pytest.mark.slow
async def test_an_error_of_the_app_is_a_sentence_on_the_card(feishu: FeishuStage) -> None:
    feishu.app["api_key"] = "fastgpt-wrong"
    await feishu.start()
    feishu.platform.say("你好")
    [answer] = await feishu.answered()
    assert "密钥" in answer.text


@pytest.mark.slow
async def test_events_by_webhook_encrypted_and_signed(feishu: FeishuStage) -> None:
    port = free_port()
    feishu.platform.encrypt_key = "the-encrypt-key-of-the-app"
    feishu.bot.update(
        mode="webhook", encrypt_key="the-encrypt-key-of-the-app", verification_token=feishu.platform.verification_token
    )
    feishu.product.config["http"] = {"listen": f"127.0.0.1:{port}"}
    feishu.platform.webhook_url = f"http://127.0.0.1:{port}/hooks/fs"
    feishu.platform.header_case = "lower"
    await feishu.product.start()
    assert await feishu.platform.verify_url()
    feishu.gpt.next(Script(text=WORDS, gate=(gate := Gate(5))))
    feishu.platform.say("hi")
    await gate.reached()
    await feishu.platform.until(lambda: feishu.answers() and feishu.answers()[0].text.startswith("Hello"))
    assert (await feishu.platform.press(feishu.answers()[0].message_id, "Stop")).toast == "Stopping…"
    await feishu.answered()
    gate.open()
    address = feishu.platform.webhook_url
    async with aiohttp.ClientSession() as stranger, stranger.post(address, json={"schema": "2.0"}) as refused:
        assert refused.status == 401
    assert feishu.platform.unacked == []
