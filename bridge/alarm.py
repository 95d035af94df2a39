"""Sleeping until a time, or until somebody rings."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator
from contextlib import contextmanager


class Alarm:
    """One sleeper. A ring while it is awake ends its next sleep at once."""

    __slots__ = ("_loop", "_rung", "_waiter")

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._rung = False
        self._waiter: asyncio.Future[None] | None = None

    def ring(self) -> None:
        self._rung = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def sleep(self, until: float = math.inf) -> None:
        """Sleep until the loop's clock shows ``until``, or a ring."""
        if not self._rung and until > self._loop.time():
            self._waiter = self._loop.create_future()
            timer = self._loop.call_at(until, self.ring) if until < math.inf else None
            try:
                await self._waiter
            finally:
                self._waiter = None
                if timer is not None:
                    timer.cancel()
        self._rung = False


class Bell:
    """Rings all who wait for one thing to come back."""

    def __init__(self) -> None:
        self._waiting: set[Alarm] = set()

    @contextmanager
    def wakes(self, alarm: Alarm) -> Iterator[None]:
        self._waiting.add(alarm)
        try:
            yield
        finally:
            self._waiting.discard(alarm)

    def ring(self) -> None:
        for alarm in self._waiting:
            alarm.ring()
