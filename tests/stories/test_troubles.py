"""Troubles between the bot and Telegram, and what people see of them."""

from __future__ import annotations

import sqlite3

import pytest

from tests.fakes.fastgpt import Gate, Script
from tests.fakes.telegram.rules import Limit
from tests.fakes.telegram.state import Webhook
from tests.stories.conftest import Stage

WORDS = "Words that are enough for a first preview of it, and then some more of them."


async def growing(stage: Stage, chat: int = 7) -> Gate:
    """An answer on the screen that has not ended yet."""
    stage.gpt.next(Script(text=f"{WORDS} The end.", gate=(gate := Gate(18))))
    stage.api.say("question", chat=chat)
    await gate.reached()
    await stage.api.until(lambda: any(WORDS[:20] in seen.text for seen in stage.answers(chat)))
    return gate


@pytest.mark.slow
async def test_a_stop_after_a_restart_keeps_what_came_before(stage: Stage) -> None:
    await stage.product.start()
    await growing(stage)
    await stage.api.until(lambda: stage.answers(7)[0].edits)
    await stage.product.kill()
    stage.gpt.next(Script(gate=(gate := Gate(0))))
    await stage.product.start()
    await gate.reached()
    stage.api.say("/stop", chat=7)
    [answer] = await stage.answered(7)
    assert answer.text.startswith(WORDS[:40])
    assert answer.text.endswith("⏹ Stopped")


async def test_a_token_that_is_revoked_and_given_back_loses_nothing(stage: Stage) -> None:
    await stage.product.start()
    gate = await growing(stage)
    stage.api.revoke()
    gate.open()
    await stage.product.logged("does not know this token")
    stage.api.revoke(revoked=False)
    [answer] = await stage.answered(7)
    assert answer.text.endswith("The end.")


async def test_a_press_that_is_answered_slowly_holds_up_nobody(stage: Stage) -> None:
    await stage.product.start()
    await growing(stage)
    stage.api.fail("answerCallbackQuery", 1, "delay", seconds=20)
    stage.api.press(7, stage.answers(7)[0].message_id, "stop")
    await stage.api.until(lambda: stage.api.counts["answerCallbackQuery"])
    stage.api.say("hello", chat=8)
    await stage.answered(8, timeout=5)


async def test_a_stop_that_comes_together_with_its_question_stops_it(stage: Stage) -> None:
    stage.gpt.default = Script(gate=Gate(0))
    stage.api.say("question", chat=7)
    stage.api.say("/stop", chat=7)
    await stage.product.start()
    [answer] = await stage.answered(7)
    assert answer.text == "⏹ Stopped"


async def test_a_stop_stops_nothing_that_was_asked_after_it(stage: Stage) -> None:
    stage.api.say("/stop", chat=7)
    stage.api.say("question", chat=7)
    await stage.product.start()
    texts = {seen.text for seen in await stage.answered(7, 2)}
    assert texts == {"No answer is being written right now.", "You asked: question"}


async def test_a_stop_that_comes_twice_stops_once(stage: Stage) -> None:
    await stage.product.start()
    await growing(stage)
    stop = stage.api.say("/stop", chat=7)
    await stage.answered(7)
    gate = await growing(stage)
    stage.api.push({"message": stop})
    await stage.api.until(lambda: not stage.api.unconfirmed())
    gate.open()
    answers = await stage.answered(7, 2)
    assert answers[-1].text.endswith("The end.")


@pytest.mark.slow
async def test_a_webhook_that_was_set_is_removed(stage: Stage) -> None:
    stage.api.bot().webhook = Webhook("http://127.0.0.1:9/x", "")
    stage.api.fail("deleteWebhook", 1, "500")
    await stage.product.start()
    stage.api.say("hello", chat=7)
    await stage.answered(7)
    assert await stage.product.logged("a webhook is set for this token")
    assert stage.api.counts["deleteWebhook"] == 2


@pytest.mark.parametrize("text", ["[1]: https://example.com/a", "<!-- nothing -->", "***"])
async def test_an_answer_that_shows_nothing_as_markdown_is_shown_as_it_is(stage: Stage, text: str) -> None:
    await stage.product.start()
    stage.gpt.next(Script(text=text))
    stage.api.say("hello", chat=7)
    [answer] = await stage.answered(7)
    assert answer.text in (text, "———")


async def test_a_word_among_people_is_no_command(stage: Stage) -> None:
    await stage.product.start()
    stage.api.say("新对话", chat=-5, user=11)
    stage.api.say("/help", chat=-5, user=11)
    [answer] = await stage.answered(-5)
    assert "Your id: 11" in answer.text
    stage.api.say("新对话", chat=7)
    assert "新" in (await stage.answered(7))[0].text


@pytest.mark.slow
async def test_a_penalty_for_the_whole_bot_thins_everything_out_and_loses_nothing(stage: Stage) -> None:
    """Telegram does not say that a 429 is meant for the whole bot; sixty chats find out together."""
    stage.bot["calls_per_second"] = 0
    await stage.product.start()
    stage.api.bot_limit = Limit(calls=20, seconds=1.0, penalty=3, lengthen=0.5)
    stage.gpt.default = Script(length=60, rate=20)
    for chat in range(1, 61):
        stage.api.say(f"question {chat}", chat=chat)
    for chat in range(1, 61):
        [answer] = await stage.answered(chat, timeout=200)
        assert answer.text == Script(length=60).says(f"question {chat}")
    refused = sum(call.status == 429 for call in stage.api.history)
    assert refused <= 2 * 60, "once or twice a chat, and not again and again"


@pytest.mark.slow
async def test_the_store_is_locked_for_a_while(stage: Stage) -> None:
    await stage.product.start()
    gate = await growing(stage)
    other = sqlite3.connect(stage.product.folder / "bridge.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    gate.open()
    stage.api.say("hello", chat=8)
    await stage.product.logged("database is locked", 30)
    other.execute("ROLLBACK")
    other.close()
    assert (await stage.answered(7, timeout=30))[0].text.endswith("The end.")
    await stage.answered(8, timeout=30)


@pytest.mark.slow
async def test_a_ban_outlives_a_restart(stage: Stage) -> None:
    await stage.product.start()
    stage.api.fail("sendMessage", 1, "429", seconds=6.0, chat=7)
    stage.api.say("hello", chat=7)
    await stage.api.until(lambda: any(call.status == 429 for call in stage.api.history))
    banned = next(call for call in stage.api.history if call.status == 429)
    await stage.product.stop()
    await stage.product.start()
    assert [seen.text for seen in await stage.answered(7)] == ["You asked: hello"]
    again = next(call for call in stage.api.history if call.method == "sendMessage" and call is not banned)
    assert again.time >= banned.time + 6.0
