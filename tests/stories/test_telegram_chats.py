"""Every kind of chat that a Telegram bot meets, and what people do in them."""

from __future__ import annotations

import re

import pytest

from tests.fakes.fastgpt import Gate, Script
from tests.fakes.telegram.items import Dice, Location, Photo, Sticker
from tests.product import free_port
from tests.stories.conftest import Stage

GROUP, FORUM, CHANNEL = -5, -1001, -1002


async def questions(stage: Stage, count: int) -> list[str]:
    await stage.gpt.until(lambda: len(stage.gpt.asked) >= count)
    return [asked.question for asked in stage.gpt.asked]


@pytest.mark.slow
async def test_an_album_is_one_question_and_one_answer(stage: Stage) -> None:
    await stage.product.start()
    stage.api.album([Photo(), Photo(), Photo()], chat=7, caption="what are these?")
    stage.api.say("and now something else", chat=7)
    answers = await stage.answered(7, 2)
    assert len(answers) == 2
    assert await questions(stage, 2) == ["what are these?", "and now something else"]
    first, second = stage.gpt.asked
    assert len(first.parts) == 4
    assert second.parts == [{"type": "text", "text": "and now something else"}]


@pytest.mark.slow
async def test_a_text_that_the_client_cuts_is_one_question(stage: Stage) -> None:
    await stage.product.start()
    stage.api.say("长" * 4096, chat=7)
    stage.api.say("文" * 500, chat=7)
    await stage.answered(7)
    assert await questions(stage, 1) == ["长" * 4096 + "文" * 500]


async def test_a_reply_takes_along_what_it_is_about(stage: Stage) -> None:
    await stage.product.start()
    stage.bot["groups"] = "mention"
    said = stage.api.say("The sky is green.", chat=GROUP, user=11)
    stage.api.say("@my_bot is that so?", chat=GROUP, user=12, reply_to=said["message_id"])
    await stage.answered(GROUP)
    assert await questions(stage, 1) == ["> The sky is green.\n\nis that so?"]


@pytest.mark.slow
async def test_an_edited_question_is_asked_again_in_the_same_message(stage: Stage) -> None:
    await stage.product.start()
    stage.gpt.next(Script(text="An answer to the wrong question, and a long one.", gate=(gate := Gate(6))))
    question = stage.api.say("whot?", chat=7)
    await gate.reached()
    await stage.api.until(lambda: stage.answers(7))
    [before] = stage.answers(7)
    stage.api.edit(7, question["message_id"], "what?")
    [answer] = await stage.answered(7)
    assert answer.text == "You asked: what?"
    assert answer.message_id == before.message_id
    stage.api.edit(7, question["message_id"], "what now?")
    stage.api.say("next", chat=7)
    assert [seen.text for seen in await stage.answered(7, 2)] == ["You asked: what?", "You asked: next"]


async def test_topics_are_conversations_of_their_own_and_answered_where_they_are(stage: Stage) -> None:
    await stage.product.start()
    for chat, thread in ((FORUM, 17), (FORUM, 18), (7, 21)):
        stage.api.topic(chat, thread)
        stage.api.say("@my_bot hello" if chat < 0 else "hello", chat=chat, thread=thread, user=7)
    stage.api.say("@my_bot hello", chat=FORUM, user=7)
    await stage.answered(FORUM, 3)
    await stage.answered(7, 1)
    assert {seen.thread for seen in stage.answers(FORUM)} == {17, 18, None}
    assert [seen.thread for seen in stage.answers(7)] == [21]
    chats = {re.sub(r"\.[0-9a-z]+$", "", asked.chat_id) for asked in stage.gpt.asked}
    assert chats == {"tg.-1001.t:17.u:7", "tg.-1001.t:18.u:7", "tg.7.t:21", "tg.-1001.u:7"}


async def test_a_channel_is_answered_when_it_names_the_bot(stage: Stage) -> None:
    stage.bot["admins"] = [CHANNEL]
    await stage.product.start()
    stage.api.open(CHANNEL, type="channel")
    stage.api.say("just news", chat=CHANNEL)
    stage.api.say("@my_bot summarise", chat=CHANNEL)
    await stage.answered(CHANNEL)
    assert await questions(stage, 1) == ["summarise"]
    assert stage.gpt.asked[0].body["variables"]["user_id"] == str(CHANNEL)


async def test_an_anonymous_admin_is_no_admin(stage: Stage) -> None:
    stage.bot["groups"] = "all"
    stage.bot["admins"] = [GROUP, 1087968824]
    await stage.product.start()
    stage.gpt.next(Script(text="A long enough beginning of an answer, with more to come.", gate=(gate := Gate(12))))
    stage.api.say("question", chat=GROUP, user=11)
    await gate.reached()
    await stage.api.until(lambda: stage.answers(GROUP))
    stage.api.say("/stop", chat=GROUP, as_chat=GROUP)
    await stage.api.until(lambda: any("No answer is being written" in seen.text for seen in stage.answers(GROUP)))
    gate.open()
    answers = await stage.answered(GROUP, 2)
    assert answers[0].text == "A long enough beginning of an answer, with more to come."


@pytest.mark.slow
async def test_a_group_that_moves_keeps_its_history_and_its_running_answer(stage: Stage) -> None:
    await stage.product.start()
    stage.api.open(GROUP, type="group")
    stage.api.say("@my_bot one", chat=GROUP, user=11)
    await stage.answered(GROUP)
    stage.gpt.era = "e26"  # which refuses a turn that it knows
    stage.gpt.next(Script(text="The answer that the move interrupts goes on.", gate=(gate := Gate(6))))
    stage.api.say("@my_bot two", chat=GROUP, user=11)
    await gate.reached()
    await stage.api.until(lambda: len(stage.answers(GROUP)) == 2)
    new = stage.api.migrate(GROUP)
    gate.open()
    assert (await stage.answered(new))[-1].text == "The answer that the move interrupts goes on."
    stage.api.say("@my_bot three", chat=new, user=11)
    assert (await stage.answered(new, 2))[-1].text == "You asked: three"
    assert len({asked.chat_id for asked in stage.gpt.asked}) == 1
    await stage.product.kill()
    await stage.product.start()
    stage.api.say("@my_bot four", chat=new, user=11)
    await stage.answered(new, 3)
    assert len({asked.chat_id for asked in stage.gpt.asked}) == 1
    assert stage.gpt.asked[-1].body["variables"]["chat_id"] == str(new)


@pytest.mark.slow
async def test_the_stop_button_works_where_the_answer_has_moved_to(stage: Stage) -> None:
    await stage.product.start()
    stage.api.open(GROUP, type="group")
    stage.gpt.next(Script(text="One two three four five six seven eight nine ten. " * 20, rate=10))
    stage.api.say("@my_bot count", chat=GROUP, user=11)
    await stage.api.until(lambda: stage.answers(GROUP))
    new = stage.api.migrate(GROUP)
    await stage.api.until(lambda: stage.answers(new) and "One two" in stage.answers(new)[0].text)
    growing = stage.answers(new)[0]
    stage.api.press(new, growing.message_id, growing.button("Stop"), user=11)
    assert (await stage.answered(new))[0].text.endswith("⏹ Stopped")


async def test_where_it_will_not_answer_it_does_not_greet(stage: Stage) -> None:
    stage.bot["groups"] = "off"
    await stage.product.start()
    stage.api.member(GROUP, "member", user=11, type="group")
    stage.api.say("hello", chat=7)
    await stage.answered(7)
    assert stage.answers(GROUP) == []


async def test_a_mention_alone_is_about_what_it_replies_to(stage: Stage) -> None:
    await stage.product.start()
    said = stage.api.say("What is the capital of France?", chat=GROUP, user=11)
    stage.api.say("@my_bot", chat=GROUP, user=12, reply_to=said["message_id"])
    await stage.answered(GROUP)
    assert await questions(stage, 1) == ["> What is the capital of France?"]


async def test_a_stop_behind_a_paste_ends_all_of_it(stage: Stage) -> None:
    await stage.product.start()
    stage.api.say("a" * 4096, chat=7)
    stage.api.say("b" * 100, chat=7)
    stage.api.say("/stop", chat=7)
    stage.api.say("next", chat=7)
    await stage.api.until(lambda: any(seen.text == "You asked: next" for seen in stage.answers(7)))
    assert "next" in (await questions(stage, 1))
    assert not any("bbb" in question and "aaa" not in question for question in await questions(stage, 1))


async def test_the_app_says_hello_when_the_bot_is_met(stage: Stage) -> None:
    stage.app["app_id"] = stage.gpt.app_id
    stage.gpt.chat_config = {"welcomeText": "我是**客服**，请问有什么可以帮您？\n\n[怎么退货]\n[怎么付款]"}
    await stage.product.start()
    stage.api.say("/start from-a-link", chat=7)
    assert (await stage.answered(7))[0].text == "我是客服，请问有什么可以帮您？\n\n• 怎么退货\n• 怎么付款"
    stage.api.member(GROUP, "member", user=11, type="group")
    assert (await stage.answered(GROUP))[0].text == "我是客服，请问有什么可以帮您？\n\n• 怎么退货\n• 怎么付款"
    assert stage.gpt.asked == []
    assert stage.gpt.called("/api/core/chat/init") == 1


async def test_a_welcome_in_the_config_wins(stage: Stage) -> None:
    stage.app["app_id"] = stage.gpt.app_id
    stage.bot["welcome"] = "Hello from the config"
    stage.gpt.chat_config = {"welcomeText": "hello from the app"}
    await stage.product.start()
    stage.api.say("/start", chat=7)
    assert (await stage.answered(7))[0].text == "Hello from the config"


async def test_a_user_who_blocks_the_bot_holds_up_nobody(stage: Stage) -> None:
    await stage.product.start()
    stage.gpt.next(Script(text="An answer that nobody will read any more, ever.", gate=(gate := Gate(4))))
    stage.api.say("question", chat=7)
    await gate.reached()
    stage.api.block(7)
    gate.open()
    stage.api.say("hello", chat=8)
    await stage.answered(8)
    await stage.product.logged("blocked")


@pytest.mark.parametrize(
    ("item", "asked"),
    [
        (Sticker(), "👍"),
        (Location(), re.compile("📍")),
        (Dice(), re.compile(r"\d")),
    ],
)
async def test_what_is_no_text_becomes_one(stage: Stage, item: object, asked: str | re.Pattern[str]) -> None:
    await stage.product.start()
    stage.api.send(item, chat=7)  # type: ignore[arg-type]
    await stage.answered(7)
    [question] = await questions(stage, 1)
    assert re.search(asked, question)


# ------------------------------------------------------------------ webhook


async def test_by_webhook_everything_is_the_same(stage: Stage) -> None:
    port = free_port()
    stage.bot["mode"] = "webhook"
    stage.product.config["http"] = {"listen": f"127.0.0.1:{port}", "public_url": f"http://127.0.0.1:{port}"}
    await stage.product.start()
    stage.api.say("hello", chat=7)
    assert (await stage.answered(7))[0].text == "You asked: hello"
    stage.gpt.next(Script(text="Twelve words or so, which are long enough to be stopped by.", gate=(gate := Gate(10))))
    stage.api.say("again", chat=7)
    await gate.reached()
    await stage.api.until(lambda: len(stage.answers(7)) == 2)
    growing = stage.answers(7)[1]
    stage.api.press(7, growing.message_id, growing.button("Stop"))
    assert (await stage.answered(7, 2))[1].text.endswith("⏹ Stopped")
    assert stage.api.counts["getUpdates"] == 0


@pytest.mark.slow
async def test_what_comes_while_a_webhook_bot_is_dead_is_answered_once(stage: Stage) -> None:
    port = free_port()
    stage.bot["mode"] = "webhook"
    stage.product.config["http"] = {"listen": f"127.0.0.1:{port}", "public_url": f"http://127.0.0.1:{port}"}
    await stage.product.start()
    await stage.product.kill()
    stage.api.say("are you there?", chat=7)
    await stage.product.start()
    assert [seen.text for seen in await stage.answered(7)] == ["You asked: are you there?"]
    await stage.product.kill()
    stage.bot["mode"] = "polling"
    await stage.product.start()
    stage.api.say("and now?", chat=7)
    assert [seen.text for seen in await stage.answered(7, 2)] == ["You asked: are you there?", "You asked: and now?"]
