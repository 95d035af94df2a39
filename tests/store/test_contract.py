"""What every engine keeps to. PostgreSQL will have to pass it unchanged."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from bridge.store import Engine, Handle, Job, StoreError, open_engine

ENGINES = ["sqlite"]
DAY = 86400.0
Open = Callable[[Handle | None], Awaitable[Engine]]


@pytest.fixture(params=ENGINES)
async def opened(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Open]:
    """Opens the engine on the same data each time it is called: a second call is a restart."""
    url = f"{request.param}:{tmp_path}/store.db"
    engines: list[Engine] = []

    async def start(handle: Handle | None) -> Engine:
        engine = open_engine(url)
        engines.append(engine)
        await engine.start(handle)
        return engine

    yield start
    for engine in engines:
        await engine.close(0.0)


def job(key: str, lane: str = "lane", owner: str = "ann") -> Job:
    return Job(key, lane, key.encode(), owner)


class Worker:
    """A handler that is held at a gate and remembers what it did."""

    def __init__(self) -> None:
        self.began: list[str] = []
        self.ended: list[str] = []
        self.gate = asyncio.Event()
        self.changed = asyncio.Condition()

    async def __call__(self, work: Job) -> bool:
        await self._note(self.began, work)
        halted = asyncio.Event()
        work.on_halt = halted.set
        waits = [asyncio.create_task(event.wait()) for event in (self.gate, halted)]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        await self._note(self.ended, work)
        return work.halted != "park"

    async def _note(self, where: list[str], work: Job) -> None:
        async with self.changed:
            where.append(work.key)
            self.changed.notify_all()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(10), self.changed:
            await self.changed.wait_for(condition)


async def test_a_job_is_run_once_however_often_it_is_submitted(opened: Open) -> None:
    worker = Worker()
    worker.gate.set()
    engine = await opened(worker)
    assert await engine.submit([job("a"), job("a"), job("b")]) == [True, False, True]
    assert await engine.submit([job("b")]) == [False]
    await worker.until(lambda: len(worker.ended) == 2)
    assert await engine.submit([job("a")]) == [False], "done jobs stay known"
    assert worker.ended == ["a", "b"]


async def test_a_lane_keeps_its_order_and_lanes_run_side_by_side(opened: Open) -> None:
    worker = Worker()
    engine = await opened(worker)
    await engine.submit([job("a1", "a"), job("a2", "a"), job("b1", "b"), job("a3", "a")])
    await worker.until(lambda: len(worker.began) == 2)
    assert worker.began == ["a1", "b1"], "one of each lane"
    worker.gate.set()
    await worker.until(lambda: len(worker.ended) == 4)
    assert [key for key in worker.began if key.startswith("a")] == ["a1", "a2", "a3"]


async def test_a_thousand_lanes_at_once(opened: Open) -> None:
    worker = Worker()
    engine = await opened(worker)
    await asyncio.gather(*(engine.submit([job(f"k{n}", f"lane{n}")]) for n in range(1000)))
    await worker.until(lambda: len(worker.began) == 1000)
    worker.gate.set()
    await worker.until(lambda: len(worker.ended) == 1000)


async def test_what_was_not_done_is_taken_up_again_in_order(opened: Open) -> None:
    first = Worker()
    engine = await opened(first)
    await engine.submit([job("a1", "a"), job("a2", "a"), job("b1", "b")])
    await first.until(lambda: len(first.began) == 2)
    await engine.close(0.0)
    second = Worker()
    second.gate.set()
    await opened(second)
    await second.until(lambda: len(second.ended) == 3)
    assert sorted(second.ended) == ["a1", "a2", "b1"]
    assert second.ended.index("a1") < second.ended.index("a2")


async def test_closing_lets_running_jobs_end_within_the_grace(opened: Open) -> None:
    worker = Worker()
    engine = await opened(worker)
    await engine.submit([job("a")])
    await worker.until(lambda: worker.began == ["a"])
    asyncio.get_running_loop().call_soon(worker.gate.set)
    await engine.close(10.0)
    again = Worker()
    await opened(again)
    assert worker.ended == ["a"]
    assert again.began == []


async def test_a_handler_that_raises_leaves_its_job_and_not_its_lane(opened: Open) -> None:
    worker = Worker()
    worker.gate.set()

    async def handle(work: Job) -> bool:
        if work.key == "bad":
            raise RuntimeError("boom")
        return await worker(work)

    engine = await opened(handle)
    await engine.submit([job("bad"), job("good")])
    await worker.until(lambda: worker.ended == ["good"])
    await engine.close(0.0)
    again = Worker()
    again.gate.set()
    await opened(again)
    await again.until(lambda: again.ended == ["bad"])


async def test_stop_halts_the_running_job_of_a_lane_only(opened: Open) -> None:
    worker = Worker()
    engine = await opened(worker)
    await engine.submit([job("a1", "a"), job("a2", "a"), job("b1", "b")])
    await worker.until(lambda: len(worker.began) == 2)
    assert await engine.stop("a", "bob") == 0, "another owner's"
    assert await engine.stop("a", key="a2") == 0, "not the one that runs"
    assert await engine.stop("nowhere") == 0
    assert await engine.stop("a", before=0) == 0, "submitted later"
    assert await engine.stop("a", "ann") == 1
    await worker.until(lambda: worker.ended == ["a1"] and "a2" in worker.began)
    assert await engine.stop("a", key="a2") == 1
    await worker.until(lambda: worker.ended == ["a1", "a2"])


async def test_a_job_is_withdrawn_wherever_it_stands(opened: Open) -> None:
    worker = Worker()
    engine = await opened(worker)
    await engine.submit([job("a1", "a"), job("a2", "a"), job("a3", "a")])
    await worker.until(lambda: worker.began == ["a1"])
    await engine.withdraw("a2")  # it waits
    await engine.withdraw("a1")  # it runs
    assert await engine.stop("a", key="a1") == 0, "it ends already"
    await worker.until(lambda: worker.began == ["a1", "a3"])
    await engine.close(0.0)
    await opened(again := Worker())
    await again.until(lambda: again.began == ["a3"])


async def test_a_job_that_is_withdrawn_before_it_comes_is_not_run(opened: Open) -> None:
    worker = Worker()
    engine = await opened(worker)
    coming = asyncio.create_task(engine.submit([job("on its way")]))
    await engine.withdraw("never seen")
    await asyncio.gather(coming, engine.withdraw("on its way"))
    assert await engine.submit([job("never seen"), job("next", "another")]) == [False, True]
    await worker.until(lambda: "next" in worker.began)
    assert "never seen" not in worker.began


async def test_a_job_is_pending_until_it_is_done(opened: Open) -> None:
    worker = Worker()
    engine = await opened(worker)
    await engine.submit([job("a1"), job("a2")])
    assert [await engine.pending(key) for key in ("a1", "a2", "a3")] == [True, True, False]
    worker.gate.set()
    await worker.until(lambda: len(worker.ended) == 2)
    await engine.submit([job("last", "behind")])
    await worker.until(lambda: len(worker.ended) == 3)
    assert not await engine.pending("a1")


async def test_waiting_jobs_are_told_in_order_and_stay(opened: Open) -> None:
    worker = Worker()
    engine = await opened(worker)
    await engine.submit([job("a1"), job("a2"), job("b1", "other"), job("a3")])
    await worker.until(lambda: "a1" in worker.began)
    assert [(waits.key, waits.body) for waits in await engine.waiting("lane")] == [("a2", b"a2"), ("a3", b"a3")]
    assert await engine.waiting("nowhere") == await engine.waiting("other") == []
    worker.gate.set()
    await worker.until(lambda: len(worker.ended) == 4)
    assert await engine.waiting("lane") == []


class Reader(Worker):
    """Notes the body with which a job is begun, and leaves a job that is to begin anew."""

    def __init__(self) -> None:
        super().__init__()
        self.bodies: list[tuple[str, bytes]] = []

    async def __call__(self, work: Job) -> bool:
        self.bodies.append((work.halted, work.body))
        return await super().__call__(work) and work.halted != "again"


async def test_a_running_job_that_is_amended_begins_anew_with_the_new_body(opened: Open) -> None:
    worker = Reader()
    engine = await opened(worker)
    await engine.submit([job("a")])
    await worker.until(lambda: worker.began == ["a"])
    assert await engine.amend("a", "lane", b"second")
    await worker.until(lambda: len(worker.began) == 2)
    assert await engine.amend("a", "lane", b"third")
    await worker.until(lambda: len(worker.began) == 3)
    worker.gate.set()
    await worker.until(lambda: len(worker.ended) == 3)
    assert worker.bodies == [("", b"a"), ("", b"second"), ("", b"third")]
    await engine.close(10.0)
    again = Worker()
    await opened(again)
    assert again.began == []


async def test_a_job_that_is_amended_before_its_turn_is_run_once(opened: Open) -> None:
    worker = Reader()
    engine = await opened(worker)
    await engine.submit([job("a1"), job("a2")])
    await worker.until(lambda: worker.began == ["a1"])
    assert await engine.amend("a2", "lane", b"second")
    assert [waits.body for waits in await engine.waiting("lane")] == [b"second"]
    worker.gate.set()
    await worker.until(lambda: len(worker.ended) == 2)
    assert worker.bodies == [("", b"a1"), ("", b"second")]


async def test_only_the_newest_open_job_of_its_lane_is_amended(opened: Open) -> None:
    worker = Reader()
    engine = await opened(worker)
    await engine.submit([job("a1"), job("a2"), job("b1", "b")])
    await worker.until(lambda: len(worker.began) == 2)
    assert not await engine.amend("a1", "lane", b"x"), "a2 came after it"
    assert not await engine.amend("b1", "lane", b"x"), "another lane's"
    assert not await engine.amend("never", "lane", b"x")
    assert await engine.stop("b") == 1
    assert not await engine.amend("b1", "b", b"x"), "it is being stopped"
    worker.gate.set()
    await worker.until(lambda: len(worker.ended) == 3)
    await engine.close(10.0)
    again = Reader()
    engine = await opened(again)
    assert not await engine.amend("a2", "lane", b"x"), "done"
    assert not await engine.amend("b1", "b", b"x"), "done"
    assert worker.bodies == [("", b"a1"), ("", b"b1"), ("", b"a2")]


async def test_an_amendment_that_comes_as_its_job_ends_is_either_obeyed_or_refused(opened: Open) -> None:
    worker = Reader()
    engine = await opened(worker)

    async def race(key: str, head_start: int) -> None:
        worker.gate.clear()
        await engine.submit([job(key)])
        await worker.until(lambda: key in worker.began)
        amending = asyncio.create_task(engine.amend(key, "lane", b"second"))
        for _ in range(head_start):
            await asyncio.sleep(0)
        worker.gate.set()
        obeyed = await amending
        await engine.submit([job(f"{key} after")])
        await worker.until(lambda: f"{key} after" in worker.ended)
        assert obeyed == (worker.began.count(key) == 2)

    for n in range(20):
        await race(f"a{n}", n % 10)


async def test_what_was_amended_is_durable(opened: Open) -> None:
    engine = await opened(None)
    await engine.submit([job("a")])
    assert await engine.amend("a", "lane", b"second")
    await engine.close(0.0)
    worker = Reader()
    await opened(worker)
    await worker.until(lambda: worker.began == ["a"])
    assert worker.bodies == [("", b"second")]


async def test_a_stop_after_an_amendment_still_stops(opened: Open) -> None:
    async def handle(work: Job) -> bool:
        seen.append((work.halted, work.body))
        halted = asyncio.Event()
        work.on_halt = halted.set
        began.set()
        if work.halted != "stop":
            await halted.wait()
            await leave.wait()
            return False
        ended.set()
        return True

    seen: list[tuple[str, bytes]] = []
    began, leave, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()
    engine = await opened(handle)
    await engine.submit([job("a")])
    await began.wait()
    assert await engine.amend("a", "lane", b"second")
    assert await engine.stop("lane") == 1
    leave.set()
    await asyncio.wait_for(ended.wait(), 10)
    assert seen == [("", b"a"), ("stop", b"second")]


async def test_closing_wins_over_an_amendment(opened: Open) -> None:
    began, halts = asyncio.Event(), asyncio.Semaphore(0)

    async def handle(work: Job) -> bool:
        work.on_halt = halts.release
        began.set()
        await halts.acquire()  # the amendment
        await halts.acquire()  # the end
        assert work.halted == "park"
        return False

    engine = await opened(handle)
    await engine.submit([job("a")])
    await began.wait()
    assert await engine.amend("a", "lane", b"second")
    began.clear()
    await engine.close(0.0)
    assert not began.is_set(), "it was not begun anew"
    worker = Reader()
    await opened(worker)
    await worker.until(lambda: worker.began == ["a"])
    assert worker.bodies == [("", b"second")]


async def test_a_handler_that_is_cancelled_from_within_leaves_its_job_and_not_its_lane(opened: Open) -> None:
    worker = Worker()
    worker.gate.set()

    async def handle(work: Job) -> bool:
        if work.key == "bad":
            raise asyncio.CancelledError
        return await worker(work)

    engine = await opened(handle)
    await engine.submit([job("bad"), job("good")])
    await worker.until(lambda: worker.ended == ["good"])
    await engine.submit([job("better")])
    await worker.until(lambda: worker.ended == ["good", "better"])
    await engine.close(0.0)
    again = Worker()
    again.gate.set()
    await opened(again)
    await again.until(lambda: again.ended == ["bad"])


async def test_values_take_effect_in_order_and_survive(opened: Open) -> None:
    engine = await opened(None)
    for n in range(20):
        engine.put({"counter": str(n).encode()})
    engine.put({"gone": b"x"})
    await engine.put({"gone": None, "here": b"\x00\xff"})
    assert await engine.get("counter", "gone", "here", "never") == [b"19", None, b"\x00\xff", None]
    await engine.close(0.0)
    again = await opened(None)
    assert await again.get("counter", "here") == [b"19", b"\x00\xff"]


async def test_what_is_old_and_done_is_pruned_and_nothing_else(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now - 3 * DAY)
    worker = Worker()
    engine = await opened(worker)
    await engine.submit([job("running", "r"), job("waiting", "r")])
    await worker.until(lambda: worker.began == ["running"])
    await engine.submit([job(f"done{n}", f"lane{n}") for n in range(1200)])
    await worker.until(lambda: len(worker.began) == 1201)
    for n in range(1200):
        await engine.stop(f"lane{n}")
    await worker.until(lambda: len(worker.ended) == 1200)
    old = {"answer:1", "answer:\U0010fffe", "answers", "session:1", "answer:running", "answer:waiting", "answer:done7"}
    await engine.put(dict.fromkeys(old, b"x"))
    assert await engine.prune(now - 4 * DAY, ["answer:"]) == 0, "nothing is that old"
    monkeypatch.setattr(time, "time", lambda: now)
    await engine.put({"answer:new": b"x"})
    assert await engine.prune(now - 2.5 * DAY, ["answer:"]) == 1203
    assert await engine.get("answer:1", "answer:done7") == [None, None]
    kept = ("answers", "session:1", "answer:new", "answer:running", "answer:waiting")
    assert await engine.get(*kept) == [b"x"] * 5, "a job that is not done finds its answer"
    assert await engine.submit([job("waiting"), job("done7")]) == [False, True]
    worker.gate.set()
    await worker.until(lambda: "waiting" in worker.ended)


async def test_what_was_done_is_known_for_two_days(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time()
    worker = Worker()
    worker.gate.set()
    engine = await opened(worker)
    for days in (3, 1):
        monkeypatch.setattr(time, "time", lambda days=days: now - days * DAY)
        await engine.submit([job(f"{days} days")])
    await worker.until(lambda: len(worker.ended) == 2)
    monkeypatch.setattr(time, "time", lambda: now)
    assert await engine.prune(now, []) == 1
    assert await engine.submit([job("3 days"), job("1 days")]) == [True, False]


async def test_a_slot_lets_a_burst_through_and_then_its_rate(opened: Open) -> None:
    engine = await opened(None)
    assert [await engine.slot("k", 0.1, 3) for _ in range(3)] == [0.0, 0.0, 0.0]
    wait = await engine.slot("k", 0.1, 3)
    assert 9.0 < wait <= 10.0
    assert await engine.slot("other", 0.1, 3) == 0.0


async def test_without_a_handler_nothing_is_run(opened: Open) -> None:
    engine = await opened(None)
    assert await engine.submit([job("a")]) == [True]
    await engine.close(0.0)
    worker = Worker()
    worker.gate.set()
    await opened(worker)
    await worker.until(lambda: worker.ended == ["a"])


def test_an_unknown_engine_is_refused_with_a_sentence() -> None:
    with pytest.raises(StoreError, match="sqlite:PATH"):
        open_engine("mysql://host")
