"""Answers that go back as the response to the request that brought the question: once, whatever happens."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import AsyncIterator

import pytest

from bridge.fastgpt import Delta
from bridge.model import Caps, Exhausted, Show
from bridge.replies import ASKED_AGAIN, Replies, reply_key
from bridge.segments import BEFORE, Segments
from tests.turnstage import Stage

WRITING = "The answer is still being written. Reply anything in a moment to see it."
LONG = 60.0
"""Seconds that a callback waits where it is not to give up."""


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    made = Stage()
    made.screen.limits = dataclasses.replace(made.screen.limits, fits=lambda text: len(text) <= 400, live=False)
    await made.engine.start(made.turns.run)
    yield made
    await made.engine.close(0.0)


def key(number: int) -> str:
    return f"tg/7/Message/{number}"


async def ask(stage: Stage, number: int = 1, timeout: float = LONG) -> Show | None:
    """What a callback gets for the question."""
    _, reply = await asyncio.gather(stage.say("hello", number), stage.replies.final(key(number), timeout, "en"))
    return reply


async def test_an_answer_in_time_is_the_response_and_nothing_else(stage: Stage) -> None:
    reply = await ask(stage)
    assert reply == Show(text="You asked: hello", final=True)
    await stage.idle()
    assert stage.screen.parts == {}


async def test_whoever_asks_again_gets_the_same_also_after_a_restart(stage: Stage) -> None:
    reply = await ask(stage)
    await stage.idle()
    assert await ask(stage) == reply
    assert await Replies(stage.engine).final(key(1), LONG, "en") == reply
    assert len(stage.app.asked) == 1


async def test_an_answer_that_takes_longer_goes_out_by_the_platform(stage: Stage) -> None:
    stage.app.hold = asyncio.Event()
    assert await ask(stage, timeout=0.1) == Show(status=WRITING)
    stage.app.hold.set()
    await stage.idle()
    assert stage.screen.finals == ["Well, You asked: hello"]


async def test_nothing_is_said_of_what_nobody_answers(stage: Stage) -> None:
    assert await stage.replies.final(key(9), 0.01, "en") is None


async def test_words_go_out_before_the_end_only_when_nobody_waits_for_the_response(stage: Stage) -> None:
    stage.app.says = [Delta("A sentence. " * 20)]
    stage.app.hold = asyncio.Event()
    waiting = asyncio.create_task(ask(stage))
    await asyncio.sleep(0.0)
    async with asyncio.timeout(10):
        while not stage.app.asked:  # noqa: ASYNC110 - the double has no event for it
            await asyncio.sleep(0.0)
    stage.app.hold.set()
    reply = await waiting
    assert reply is not None
    assert reply.text == "Well, " + "A sentence. " * 19 + "A sentence."
    assert stage.screen.parts == {}


def test_where_there_is_only_the_response_it_brings_what_is_there() -> None:
    caps = Caps(fits=lambda text: True, live=False, sends=1)
    presenter = Segments(caps, reply_until=4.0, more="(more)")
    presenter.feed("The first sentence. The second", 1.0)
    assert presenter.next(1.0) is None
    due = presenter.wake_at()
    while due < 4.0 - BEFORE:
        assert presenter.next(due) is None
        due = presenter.wake_at()
    assert presenter.next(due) == Show(text="The first sentence.\n\n(more)", final=True)
    presenter.feed(" one.", 5.0)
    presenter.end()
    assert presenter.next(5.0) is None
    assert presenter.done
    assert presenter.rest().strip() == "The second one."


async def test_what_nobody_could_be_told_comes_with_the_next_message(stage: Stage) -> None:
    stage.screen.limits = dataclasses.replace(stage.screen.limits, sends=1)
    stage.screen.faults = [Exhausted()]
    stage.app.hold = asyncio.Event()
    assert await ask(stage, timeout=0.1) == Show(status=WRITING)
    stage.app.hold.set()
    await stage.idle()
    _, reply = await asyncio.gather(stage.say("1", 2), stage.replies.final(key(2), LONG, "en"))
    assert reply == Show(text="Well, You asked: hello", final=True)


# ------------------------------------------------------------ deaths of the process


@pytest.mark.parametrize(("age", "given"), [(0.0, True), (ASKED_AGAIN + 60, False)])
async def test_what_was_handed_over_before_a_death_is_given_again_only_when_the_platform_asks_no_more(
    stage: Stage, age: float, given: bool
) -> None:
    op = Show(text="the answer", final=True)
    waiting = asyncio.create_task(stage.replies.final("job", LONG, "en"))
    await asyncio.sleep(0.0)
    assert await stage.replies.give("job", op, time.time())
    assert await waiting == op
    after = Replies(stage.engine)
    again = Show(text="the answer", final=True, again=True)
    assert await after.give("job", again, time.time() - age) is given


async def test_what_was_not_handed_over_goes_out_by_the_platform(stage: Stage) -> None:
    assert not await stage.replies.give("job", Show(text="x", final=True, again=True), time.time())
    assert not await stage.replies.give("job", Show(text="x", final=True), time.time())


async def test_a_callback_that_gives_up_in_the_same_instant_leaves_nothing_behind(stage: Stage) -> None:
    waiting = asyncio.create_task(stage.replies.final("job", LONG, "en"))
    await asyncio.sleep(0.0)
    giving = asyncio.create_task(stage.replies.give("job", Show(text="x", final=True), time.time()))
    await asyncio.sleep(0.0)
    waiting.cancel()
    given = await giving
    (row,) = await stage.engine.get(reply_key("job"))
    assert (row is not None) == given


async def test_the_newest_request_is_answered(stage: Stage) -> None:
    first = asyncio.create_task(stage.replies.final("job", LONG, "en"))
    await asyncio.sleep(0.0)
    second = asyncio.create_task(stage.replies.final("job", LONG, "en"))
    await asyncio.sleep(0.0)
    op = Show(text="x", final=True)
    assert await stage.replies.give("job", op, time.time())
    assert await second == op
    assert await first is None
