"""bridge.patience, on a loop whose time passes only while everybody waits: nothing here takes real time."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any

import pytest

from bridge.faults import UpstreamError
from bridge.patience import Patience


class Selector(selectors.SelectSelector):
    """Instead of waiting it moves the clock."""

    now = 0.0

    def select(self, timeout: float | None = None) -> Any:
        found = super().select(0)
        if not found and timeout:
            self.now += timeout
        return found


class Loop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._clock = Selector()
        super().__init__(self._clock)

    def time(self) -> float:
        return self._clock.now


def run(story: Coroutine[Any, Any, Any]) -> Any:
    with asyncio.Runner(loop_factory=Loop) as runner:
        return runner.run(story)


def now() -> float:
    return asyncio.get_running_loop().time()


async def wait(patience: Patience, seconds: float) -> None:
    with patience:
        await asyncio.sleep(seconds)


async def failure(patience: Patience, seconds: float) -> tuple[str, float]:
    with pytest.raises(UpstreamError) as caught:
        await wait(patience, seconds)
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    patience.close()
    return caught.value.reason, round(now(), 3)


def test_the_first_byte() -> None:
    async def story() -> None:
        patience = Patience(first=5, idle=100, whole=1000)
        await wait(patience, 3)  # the headers are no byte of the body
        assert await failure(patience, 3) == ("timeout_first", 5)

    run(story())


@pytest.mark.parametrize("idle", [2.0, 20.0])
def test_any_byte_resets_the_idle_time(idle: float) -> None:
    async def story() -> None:
        patience = Patience(first=5, idle=idle, whole=1000)
        await wait(patience, 1)
        patience.started()
        for _ in range(10):
            await wait(patience, idle - 0.5)
        begun = now()
        assert await failure(patience, idle + 0.5) == ("timeout_idle", begun + idle)

    run(story())


def test_the_whole_turn() -> None:
    async def story() -> None:
        patience = Patience(first=5, idle=5, whole=10)
        await wait(patience, 1)
        patience.started()
        await wait(patience, 4)
        await wait(patience, 4)
        assert await failure(patience, 4) == ("timeout_turn", 10)

    run(story())


def test_only_waiting_is_limited() -> None:
    async def story() -> None:
        patience = Patience(first=5, idle=5, whole=1000)
        await wait(patience, 1)
        patience.started()
        await asyncio.sleep(50)  # whoever reads takes his time
        await wait(patience, 4)
        assert await failure(patience, 6) == ("timeout_idle", 60)

    run(story())


def test_the_whole_turn_ends_while_nobody_waits() -> None:
    async def story() -> None:
        patience = Patience(first=5, idle=5, whole=10)
        await asyncio.sleep(50)
        assert await failure(patience, 0) == ("timeout_turn", 50)

    run(story())


def test_another_cancellation_goes_first() -> None:
    async def story() -> None:
        patience = Patience(first=5, idle=5, whole=10)
        task = asyncio.create_task(wait(patience, 100))
        asyncio.get_running_loop().call_at(5, task.cancel)  # at the very time at which the patience ends
        with pytest.raises(asyncio.CancelledError):
            await task
        patience.close()

    run(story())


def test_a_wait_may_be_taken_over_by_another_task() -> None:
    async def story() -> None:
        patience = Patience(first=5, idle=5, whole=10)
        await asyncio.create_task(wait(patience, 1))
        assert await asyncio.create_task(failure(patience, 9)) == ("timeout_first", 5)

    run(story())
