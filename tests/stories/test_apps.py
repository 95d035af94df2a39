"""Other servers behind the same bot: FastGPT of each age, and OpenAI-compatible endpoints."""

from __future__ import annotations

import pytest

from tests.fakes.fastgpt import Era, Fail, Gate, Quote, Script
from tests.stories.conftest import Stage


@pytest.mark.parametrize("era", ["e23", "e24", "e26", "v2"])
@pytest.mark.slow
async def test_every_age_of_fastgpt_is_understood(stage: Stage, era: Era) -> None:
    stage.gpt.era = era
    await stage.product.start()
    quote = Quote(id="65bb346a0000000000000001")
    cited = f"新海诚[{quote.id}](CITE)导演。"
    stage.gpt.next(Script(tokens=(cited[:9], cited[9:20], cited[20:]), quotes=(quote,), thinking=("想",), leaks=True))
    stage.api.say("导演是谁", chat=7)
    [answer] = await stage.answered(7)
    assert answer.text == "新海诚导演。"


@pytest.mark.slow
async def test_a_run_that_outlives_a_crash_is_waited_for(stage: Stage) -> None:
    """Newer servers go on without their client and refuse a second question meanwhile: it is asked when they end."""
    stage.gpt.era = "e26"
    stage.app["app_id"] = stage.gpt.app_id
    await stage.product.start()
    stage.gpt.next(
        Script(text="The answer of the first attempt, which nobody reads to its end.", gate=(gate := Gate(3)))
    )
    stage.api.say("hello", chat=7)
    await gate.reached()
    await stage.product.kill()
    assert stage.gpt.running == 1
    await stage.product.start()
    [answer] = await stage.answered(7, timeout=20)
    assert answer.text == "You asked: hello"
    assert [asked.refused for asked in stage.gpt.asked][1] == "chatIsGenerating"
    assert [asked.item_id for asked in stage.gpt.asked] == ["1", "1~1", "1~2"]
    assert stage.gpt.stopped, "our own lost run was ended"


async def test_an_openai_endpoint_gets_its_history_from_here(stage: Stage) -> None:
    stage.gpt.era = "openai"
    stage.app.update(kind="openai", model="fake-1", history=2, base_url=stage.gpt.base_url)
    await stage.product.start()
    for number, text in enumerate(("one", "two", "three", "four"), 1):
        stage.api.say(text, chat=7)
        assert (await stage.answered(7, number))[-1].text == f"You asked: {text}"
    assert set(stage.gpt.asked[-1].body) == {"model", "stream", "messages"}
    assert [message["content"] for message in stage.gpt.asked[-1].body["messages"]] == [
        "two",
        "You asked: two",
        "three",
        "You asked: three",
        "four",
    ]
    stage.api.say("/retry", chat=7)
    await stage.answered(7, 5)
    assert [message["content"] for message in stage.gpt.asked[-1].body["messages"]][-3:] == [
        "three",
        "You asked: three",
        "four",
    ]
    stage.api.say("/new", chat=7)
    await stage.answered(7, 6)
    stage.api.say("five", chat=7)
    await stage.answered(7, 7)
    assert [message["content"] for message in stage.gpt.asked[-1].body["messages"]] == ["five"]


async def test_a_limit_of_answers_at_once_is_kept(stage: Stage) -> None:
    stage.app["max_concurrent"] = 2
    await stage.product.start()
    stage.gpt.default = Script(gate=(gate := Gate(0)))
    for chat in range(1, 6):
        stage.api.say("hello", chat=chat)
    await gate.reached(2)
    assert stage.gpt.running == 2
    gate.open()
    for chat in range(1, 6):
        await stage.answered(chat)


@pytest.mark.parametrize("how", ["eof", "close", "reset"])
async def test_a_stream_that_breaks_keeps_what_came(stage: Stage, how: str) -> None:
    await stage.product.start()
    stage.gpt.next(Script(text="Half of the answer is here.", fail=Fail(after=3, how=how)))  # type: ignore[arg-type]
    stage.api.say("hello", chat=7)
    [answer] = await stage.answered(7)
    assert answer.text.startswith("Half of the")
    assert answer.text.endswith("/retry asks again.")


async def test_a_question_with_options_is_a_list(stage: Stage) -> None:
    await stage.product.start()
    options = [{"key": "option1", "value": "Confirm"}, {"key": "option2", "value": "Cancel"}]
    select = {"type": "userSelect", "params": {"description": "Please choose", "userSelectOptions": options}}
    stage.gpt.next(Script(text="", interactive=select))
    stage.api.say("hello", chat=7)
    [answer] = await stage.answered(7)
    assert answer.text.split() == ["Please", "choose", "1.", "Confirm", "2.", "Cancel"]
