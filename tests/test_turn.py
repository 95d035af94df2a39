"""A turn when things break inside the bridge: the store, the adapter, the turn itself."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable

import msgspec
import pytest

from bridge import turn
from bridge.answer import Answer, answer_key
from bridge.model import Gone, Rejected
from bridge.store import Job
from bridge.turn import Turns
from tests.turnstage import Stage


@pytest.fixture
async def stage(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    monkeypatch.setattr(turn, "STORE_WAIT", 0.0)
    made = Stage()
    await made.engine.start(made.turns.run)
    yield made
    await made.engine.close(0.0)


@pytest.mark.parametrize("failures", [1, 2, 3, 12])
async def test_a_store_that_does_not_write_delays_and_loses_nothing(stage: Stage, failures: int) -> None:
    stage.engine.failures = failures
    await stage.say("hello", 1)
    await stage.say("again", 2)
    await stage.screen.until(lambda: stage.screen.finals == ["You asked: hello", "You asked: again"])


async def test_a_store_that_cannot_be_read_delays_and_loses_nothing(stage: Stage) -> None:
    stage.engine.unread = 2
    await stage.say("hello", 1)
    await stage.say("again", 2)
    await stage.screen.until(lambda: stage.screen.finals == ["You asked: hello", "You asked: again"])


@pytest.mark.parametrize("where", ["screen", "app"])
async def test_three_bugs_end_a_turn_with_an_apology_and_not_the_conversation(stage: Stage, where: str) -> None:
    faults = stage.screen.faults if where == "screen" else stage.app.faults
    faults += [RuntimeError("bug")] * 3
    await stage.say("hello", 1)
    await stage.say("again", 2)
    await stage.screen.until(lambda: len(stage.screen.finals) == 2)
    sorry, fine = stage.screen.finals
    assert re.search(r"Error id: [0-9a-f]{8}$", sorry)
    assert fine == "You asked: again"


async def test_two_bugs_are_survived(stage: Stage) -> None:
    stage.screen.faults += [RuntimeError("bug")] * 2
    await stage.say("hello", 1)
    await stage.screen.until(lambda: stage.screen.finals == ["You asked: hello"])
    assert [ask.item_id for ask in stage.app.asked] == ["1", "1~1", "1~2"][: len(stage.app.asked)]


async def test_an_answer_that_the_platform_never_takes_is_said_so(stage: Stage) -> None:
    stage.screen.refuse = "hello"
    await stage.say("hello", 1)
    await stage.say("again", 2)
    await stage.screen.until(lambda: len(stage.screen.finals) == 2)
    assert "does not accept this answer" in stage.screen.finals[0]
    assert stage.screen.finals[1] == "You asked: again"


async def test_a_platform_that_takes_nothing_at_all_does_not_hold_up_the_next_answer(stage: Stage) -> None:
    stage.screen.faults += [Rejected("not even a status line")] * 4
    await stage.say("hello", 1)
    await stage.say("again", 2)
    await stage.screen.until(lambda: stage.screen.finals == ["You asked: again"])


async def test_a_conversation_that_is_gone_ends_only_that_answer(stage: Stage) -> None:
    stage.screen.faults.append(Gone("blocked"))
    await stage.say("hello", 1)
    await stage.say("again", 2)
    await stage.screen.until(lambda: stage.screen.finals == ["You asked: again"])


async def test_ten_deaths_end_a_turn_with_an_apology() -> None:
    stage = Stage()
    await stage.engine.start(None)
    await stage.say("deadly", 1)
    [(key, body)] = await stage.engine._do(lambda db: db.execute("SELECT key, body FROM inbox").fetchall())
    await stage.engine.put({answer_key(key): msgspec.json.encode(Answer(attempt=9, begun=10, text="so far"))})
    assert await stage.turns.run(Job(key, "lane", body))
    [text] = stage.screen.finals
    assert text.startswith("so far")
    assert "Error id" in text
    assert stage.app.asked == []
    await stage.engine.close(0.0)


async def test_a_job_of_a_bot_that_is_gone_waits_for_its_return() -> None:
    stage = Stage()
    await stage.engine.start(None)
    await stage.say("hello", 1)
    [(key, body)] = await stage.engine._do(lambda db: db.execute("SELECT key, body FROM inbox").fetchall())
    run: Callable[[Job], Awaitable[bool]] = Turns(stage.engine, {}, stage.core, stage.questions, stage.replies).run
    assert not await run(Job(key, "lane", body))
    assert stage.screen.parts == {}
    await stage.engine.close(0.0)
