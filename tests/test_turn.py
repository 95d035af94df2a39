"""A turn when things break inside the bridge: the store, the adapter, the turn itself."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, cast

import msgspec
import pytest

from bridge import turn
from bridge.answer import Answer, answer_key
from bridge.config import App
from bridge.config import Bot as BotConfig
from bridge.core import Bot, Core
from bridge.fastgpt import Ask, Delta, Done, FastGPT, Piece
from bridge.model import (
    AnyEvent,
    Attachment,
    Caps,
    Conversation,
    Finding,
    Gone,
    Message,
    Receive,
    Rejected,
    Show,
    Shown,
    User,
)
from bridge.pace import Budget
from bridge.store import Job, StoreError
from bridge.store.sqlite import SQLite
from bridge.turn import Turns


class Screen:
    """An adapter and all its surfaces: what is shown, by turn and part. ``fault`` is raised by the next shows."""

    def __init__(self) -> None:
        self.parts: dict[tuple[str, int], Show] = {}
        self.faults: list[Exception] = []
        self.refuse = ""
        """A word that the platform does not take."""
        self.changed = asyncio.Condition()

    def caps(self, to: AnyEvent) -> Caps:
        return Caps(fits=lambda text: len(text) < 1000, live=True, interval=0.0)

    def answer(self, to: AnyEvent, turn: str, resume: str | None = None) -> Surface:
        return Surface(self, turn)

    async def run(self, receive: Receive) -> None:
        raise NotImplementedError

    async def typing(self, to: AnyEvent) -> None:
        raise NotImplementedError

    async def probe(self) -> list[Finding]:
        raise NotImplementedError

    def fetch(self, what: Attachment) -> AsyncIterator[bytes]:
        raise NotImplementedError

    @property
    def finals(self) -> list[str]:
        return [show.text for show in self.parts.values() if show.final]

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(10), self.changed:
            await self.changed.wait_for(condition)


class Surface:
    def __init__(self, screen: Screen, turn: str) -> None:
        self._screen = screen
        self._turn = turn

    async def show(self, op: Show) -> Shown:
        screen = self._screen
        if screen.faults:
            raise screen.faults.pop(0)
        if screen.refuse and screen.refuse in op.text:
            raise Rejected("bad text")
        async with screen.changed:
            screen.parts[self._turn, op.part] = op
            screen.changed.notify_all()
        return Shown(self._turn, (f"{self._turn}.{op.part}",))


class Echo:
    """An app that answers with the question."""

    def __init__(self) -> None:
        self.asked: list[Ask] = []
        self.faults: list[Exception] = []

    async def stream(self, ask: Ask) -> AsyncGenerator[Piece, None]:
        self.asked.append(ask)
        if self.faults:
            raise self.faults.pop(0)
        yield Delta(f"You asked: {ask.content}")
        yield Done()

    async def stop(self, chat_id: str) -> None:
        """Nothing runs here."""


class Flaky(SQLite):
    """A store that does not write for a while."""

    failures = 0

    def put(self, values: Mapping[str, bytes | None]) -> asyncio.Future[None]:
        if self.failures and any(key.startswith("answer:") for key in values):
            self.failures -= 1
            return self._do(_no_space)
        return super().put(values)


def _no_space(db: Any) -> None:
    raise StoreError("database or disk is full")


class Stage:
    def __init__(self) -> None:
        self.engine = Flaky(":memory:")
        self.screen = Screen()
        self.app = Echo()
        config = BotConfig(platform="test", app="echo", language="en")
        app_config = App(base_url="http://x", api_key="k")
        self.bot = Bot("tg", config, self.screen, cast(FastGPT, self.app), app_config, Budget())
        self.core = Core(self.engine)
        self.turns = Turns(self.engine, {"tg": self.bot}, self.core)

    async def say(self, text: str, number: int) -> None:
        to = Conversation(bot="tg", chat="7", kind="private")
        await self.core.receive(self.bot, Message(id=str(number), conversation=to, user=User("7"), at=1e9, text=text))


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
    run: Callable[[Job], Awaitable[bool]] = Turns(stage.engine, {}, stage.core).run
    assert not await run(Job(key, "lane", body))
    assert stage.screen.parts == {}
    await stage.engine.close(0.0)
