"""stream: draft and off, reasoning, typing: how an answer appears in a private chat."""

from __future__ import annotations

import pytest

from tests.fakes.fastgpt import Gate, Script
from tests.stories.conftest import Stage

WORDS = "One two three four five six seven eight nine ten eleven twelve."


async def drafting(stage: Stage) -> Gate:
    """A question in a private chat, and twelve tokens of its answer as a draft; the gate holds the rest."""
    stage.bot["stream"] = "draft"
    await stage.product.start()
    stage.gpt.next(Script(text=WORDS, gate=(gate := Gate(12))))
    stage.api.say("count", chat=7)
    await gate.reached()
    await stage.api.until(lambda: stage.api.drafts(7))
    return gate


async def test_a_draft_grows_and_becomes_a_message(stage: Stage) -> None:
    gate = await drafting(stage)
    [draft] = stage.api.drafts(7)
    assert draft.text.startswith("One two")
    assert draft.can_stop
    assert stage.answers(7) == []
    gate.open()
    [answer] = await stage.answered(7)
    assert answer.text == WORDS
    assert answer.edits == 0
    assert stage.api.drafts(7) == []


@pytest.mark.slow
async def test_a_draft_follows_the_words(stage: Stage) -> None:
    stage.bot["stream"] = "draft"
    await stage.product.start()
    stage.gpt.next(Script(text=WORDS * 4, piece=12, rate=5))
    stage.api.say("count", chat=7)
    [answer] = await stage.answered(7, timeout=30)
    assert answer.text == WORDS * 4
    assert stage.api.counts["sendMessageDraft"] >= 3


async def test_the_native_stop_button_ends_the_answer(stage: Stage) -> None:
    await drafting(stage)
    stage.api.stop_draft(7)
    [answer] = await stage.answered(7)
    assert answer.text.startswith("One two")
    assert answer.text.endswith("⏹ Stopped")


async def test_a_draft_that_another_message_closes_loses_nothing(stage: Stage) -> None:
    stage.bot["stream"] = "draft"
    await stage.product.start()
    stage.gpt.next(Script(text=WORDS * 3, gate=(gate := Gate(12))))
    stage.api.say("count", chat=7)
    await gate.reached()
    await stage.api.until(lambda: stage.api.drafts(7))
    stage.api.say("/help", chat=7)
    await stage.api.until(lambda: stage.answers(7) and not stage.api.drafts(7))
    gate.open()
    await stage.answered(7, 2)
    assert stage.answers(7)[1].text == WORDS * 3


@pytest.mark.slow
async def test_an_answer_in_drafts_survives_kill_9(stage: Stage) -> None:
    gate = await drafting(stage)
    await stage.product.kill()
    gate.open()
    await stage.product.start()
    assert [seen.text for seen in await stage.answered(7)] == ["You asked: count"]


async def test_a_server_without_drafts_gets_edits(stage: Stage) -> None:
    stage.bot["stream"] = "draft"
    stage.api.unknown("sendMessageDraft")
    await stage.product.start()
    stage.gpt.next(Script(text=WORDS, gate=(gate := Gate(12))))
    stage.api.say("count", chat=7)
    await gate.reached()
    await stage.api.until(lambda: stage.answers(7))
    gate.open()
    [answer] = await stage.answered(7)
    assert answer.text == WORDS
    assert answer.edits
    status, body = await stage.product.readyz()
    assert (status, body["bots"]["tg"]["state"]) == (200, "connected")


async def test_without_streaming_there_is_one_message_at_the_end(stage: Stage) -> None:
    stage.bot["stream"] = "off"
    await stage.product.start()
    stage.gpt.next(Script(text=WORDS, gate=(gate := Gate(12))))
    stage.api.say("count", chat=7)
    await gate.reached()
    await stage.api.until(lambda: stage.api.typing(7) == "typing")
    assert stage.answers(7) == []
    gate.open()
    [answer] = await stage.answered(7)
    assert (answer.text, answer.edits) == (WORDS, 0)


@pytest.mark.parametrize("stream", ["edit", "draft"])
async def test_reasoning_is_folded_above_the_answer(stage: Stage, stream: str) -> None:
    stage.bot["stream"] = stream
    stage.bot["reasoning"] = "fold"
    await stage.product.start()
    stage.gpt.next(Script(text="It is **four**.", thinking=("Two and two make four.",)))
    stage.api.say("2+2?", chat=7)
    [answer] = await stage.answered(7)
    assert answer.text == "Two and two make four.\n\nIt is four."
    kinds = {entity["type"] for entity in answer.entities}
    assert kinds == {"expandable_blockquote", "bold"}


async def test_reasoning_is_hidden_unless_it_is_asked_for(stage: Stage) -> None:
    await stage.product.start()
    stage.gpt.next(Script(text="It is **four**.", thinking=("Two and two make four.",)))
    stage.api.say("2+2?", chat=7)
    assert [seen.text for seen in await stage.answered(7)] == ["It is four."]


@pytest.mark.slow
async def test_silence_shows_typing_and_then_what_the_app_is_doing(stage: Stage) -> None:
    await stage.product.start()
    stage.gpt.next(Script(text=WORDS, nodes=("知识库搜索",), gate=(gate := Gate(0))))
    stage.api.say("count", chat=7)
    await stage.api.until(lambda: stage.api.counts["sendChatAction"])
    await stage.api.until(lambda: any("知识库搜索…" in seen.text for seen in stage.answers(7)))
    gate.open()
    assert [seen.text for seen in await stage.answered(7)] == [WORDS]
