"""What is sent once: finals that are messages of their own, and files (DESIGN 3.4)."""

from __future__ import annotations

import asyncio
import dataclasses
import math
from collections.abc import AsyncIterator
from typing import Literal

import msgspec
import pytest

from bridge import pump
from bridge.answer import Answer, answer_key
from bridge.fastgpt import Delta
from bridge.metrics import REPEATED
from bridge.model import Rate, Recalled, Rejected, Show, Unreachable, Unsure, User, Vanished
from bridge.pump import VANISHED_MOST
from tests.turnstage import PRIVATE, Stage

BOTH = frozenset[Literal["image", "file"]]({"image", "file"})
PICTURES = "Look: ![a](http://x/a.png) ![b](http://x/b.png)"


@pytest.fixture
async def stage(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    monkeypatch.setattr(pump, "BACKOFF", (pump.SOON, pump.SOON))
    made = Stage()
    made.screen.limits = dataclasses.replace(made.screen.limits, places=False, interval=math.inf, files=BOTH)
    await made.engine.start(made.turns.run)
    yield made
    await made.engine.close(0.0)


def repeated() -> float:
    return float(REPEATED.labels("tg")._value.get())


async def kept(stage: Stage) -> Answer:
    (row,) = await stage.engine.get(answer_key("tg/7/Message/1"))
    assert row is not None
    return msgspec.json.decode(row, type=Answer)


async def test_the_attempt_is_written_down_before_the_call(stage: Stage) -> None:
    stage.screen.faults = [Unreachable()] * 3
    await stage.say("hello", 1)
    await stage.screen.until(lambda: stage.screen.finals == ["You asked: hello"])
    assert len(stage.screen.calls) == 4, "no preview, and what did not leave is sent again as it was"
    await stage.say("next", 2)
    await stage.screen.until(lambda: len(stage.screen.finals) == 2)
    assert (await kept(stage)).attempting == -1


async def test_a_text_that_may_have_arrived_gets_a_place_and_is_not_sent_blindly_again(stage: Stage) -> None:
    before = repeated()
    stage.screen.faults = [Unsure(), None, Unsure(), Unsure()]
    await stage.say("hello", 1)
    await stage.screen.until(lambda: stage.screen.finals == ["You asked: hello"])
    shows = [(show.final, bool(show.text)) for show in stage.screen.calls]
    assert shows == [(True, True), (False, False), (True, True), (True, True), (True, True)]
    assert repeated() == before + 1, "the edits that follow may be repeated at will"


async def test_a_text_that_was_about_to_be_sent_when_the_process_died_is_counted() -> None:
    stage = Stage()
    stage.screen.limits = dataclasses.replace(stage.screen.limits, places=False, interval=math.inf)
    job = await stage.job()
    await stage.engine.put(Answer(attempt=0, whole=True, text="You asked: hello", attempting=0).row(job.key))
    before = repeated()
    assert await stage.turns.run(job)
    assert stage.screen.finals == ["You asked: hello"]
    assert stage.app.asked == []
    assert repeated() == before + 1
    await stage.engine.close(0.0)


async def test_files_follow_the_text(stage: Stage) -> None:
    stage.app.says = [Delta(PICTURES)]
    await stage.say("show me", 1)
    await stage.screen.until(lambda: len(stage.screen.parts) == 3)
    text, *files = stage.screen.calls
    assert text == Show(text=PICTURES, final=True)
    assert [(show.part, show.files[0].name) for show in files] == [(1, "a.png"), (2, "b.png")]
    await stage.say("next", 2)
    await stage.screen.until(lambda: len(stage.screen.parts) == 4 + 2)
    assert (await kept(stage)).filed == 2


async def test_a_file_without_a_result_is_tried_once_more_and_given_up(stage: Stage) -> None:
    stage.app.says = [Delta(PICTURES)]
    stage.screen.faults = [None, Unsure(), Unsure()]
    before = repeated()
    await stage.say("show me", 1)
    await stage.screen.until(lambda: len(stage.screen.parts) == 2)
    assert [show.files[0].name for show in stage.screen.calls if show.files] == ["a.png", "a.png", "b.png"]
    assert repeated() == before + 1


async def test_a_file_that_the_platform_rejects_holds_up_nothing(stage: Stage) -> None:
    stage.app.says = [Delta(PICTURES)]
    stage.screen.faults = [None, Rejected("no pictures here")]
    await stage.say("show me", 1)
    await stage.screen.until(lambda: len(stage.screen.parts) == 2)
    assert [show.files[0].name for show in stage.screen.calls if show.files] == ["a.png", "b.png"]


# ------------------------------------------------------------------ what must be known before it is visible


async def test_what_was_staged_is_committed_before_it_becomes_visible(stage: Stage) -> None:
    stage.screen.limits = dataclasses.replace(stage.screen.limits, places=True, interval=0.0)
    stage.screen.stages = True
    rows: list[Answer] = []

    async def look() -> None:
        rows.append(await kept(stage))

    stage.screen.on_visible = look
    await stage.say("hello", 1)
    await stage.screen.until(lambda: stage.screen.finals == ["You asked: hello"])
    assert rows[0].ref == "staged"
    assert (rows[0].ids, rows[0].parts) == ((), 0), "nothing of it was on the screen yet"


async def test_a_part_that_is_too_big_goes_on_in_the_next(stage: Stage) -> None:
    stage.screen.limits = dataclasses.replace(stage.screen.limits, places=True)
    stage.screen.takes = 300
    stage.app.says = [Delta("word " * 150)]
    await stage.say("hello", 1)
    await stage.screen.until(lambda: "".join(stage.screen.finals).count("word") == 150)
    assert len(stage.screen.finals) > 2


async def test_parts_that_are_deleted_again_and_again_are_not_begun_for_ever(stage: Stage) -> None:
    stage.screen.limits = dataclasses.replace(stage.screen.limits, places=True)
    stage.screen.faults = [Vanished()] * (1 + VANISHED_MOST)
    await stage.say("hello", 1)
    await stage.say("next", 2)
    await stage.screen.until(lambda: stage.screen.finals)
    assert stage.screen.finals == ["You asked: next"]


async def test_calls_of_a_show_that_failed_are_counted(stage: Stage) -> None:
    stage.screen.limits = dataclasses.replace(stage.screen.limits, bot_rate=Rate(6, 3600))
    failed = Unreachable()
    failed.calls = 5
    stage.screen.faults = [failed]
    await stage.say("hello", 1)
    await stage.screen.until(lambda: stage.screen.finals)
    assert stage.bot.budget.spend("", asyncio.get_running_loop().time(), durable=True) > 0, "all six are used"


async def test_an_answer_whose_last_call_arrives_while_it_is_parked_is_done() -> None:
    stage = Stage()
    stage.screen.limits = dataclasses.replace(stage.screen.limits, places=False, interval=math.inf)
    job = await stage.job()

    async def park() -> None:
        job.halt("park")

    stage.screen.on_visible = park
    assert await stage.turns.run(job)
    assert stage.screen.finals == ["You asked: hello"]
    await stage.engine.close(0.0)


# ------------------------------------------------------------------ a question that was taken back


async def recall(stage: Stage, number: int) -> None:
    gone = Recalled(id=f"r{number}", conversation=PRIVATE, user=User(""), at=1e9, target=str(number))
    await stage.core.receive(stage.bot, gone)


async def test_an_answer_to_a_question_that_is_taken_back_stops_where_it_is(stage: Stage) -> None:
    stage.screen.limits = dataclasses.replace(stage.screen.limits, places=True, interval=0.0)
    stage.app.hold = asyncio.Event()
    await stage.say("hello", 1)
    await stage.screen.until(lambda: any(show.text for show in stage.screen.calls))
    await recall(stage, 1)
    await stage.screen.until(lambda: stage.screen.finals)
    assert stage.screen.finals[0].startswith("Well,")
    assert "You asked" not in stage.screen.finals[0]


async def test_nothing_is_said_about_a_question_that_nobody_has_seen_an_answer_to(stage: Stage) -> None:
    stage.app.hold = asyncio.Event()
    await stage.say("hello", 1)
    await stage.say("waits", 2)
    await stage.say("stays", 3)
    await recall(stage, 2)
    await recall(stage, 1)
    stage.app.hold.set()
    await stage.screen.until(lambda: stage.screen.finals)
    assert stage.screen.finals == ["Well, You asked: stays"]
