"""What is sent once: finals that are messages of their own, and files (DESIGN 3.4)."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import AsyncIterator

import msgspec
import pytest

from bridge import pump
from bridge.answer import Answer, answer_key
from bridge.fastgpt import Delta
from bridge.metrics import REPEATED
from bridge.model import Rejected, Show, Unreachable, Unsure
from bridge.store import Job
from tests.turnstage import Stage

PICTURES = "Look: ![a](http://x/a.png) ![b](http://x/b.png)"


@pytest.fixture
async def stage(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    monkeypatch.setattr(pump, "BACKOFF", (pump.SOON, pump.SOON))
    made = Stage()
    made.screen.limits = dataclasses.replace(made.screen.limits, places=False, interval=math.inf, files=True)
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
    await stage.engine.start(None)
    await stage.say("hello", 1)
    [(key, body)] = await stage.engine._do(lambda db: db.execute("SELECT key, body FROM inbox").fetchall())
    await stage.engine.put(Answer(attempt=0, whole=True, text="You asked: hello", attempting=0).row(key))
    before = repeated()
    assert await stage.turns.run(Job(key, "lane", body))
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
