"""The platform's own clock: real time plus what the test has moved it by.

    platform.clock.advance(600)      # ten minutes later: streaming has closed, tokens are older, retries are due

Rules of this file:
- a timer is due by this clock: real time brings it, and so does ``advance``, which runs what became due in order;
- nothing else of the fake asks the system for the time of day.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from collections.abc import Callable


class Clock:
    """Seconds since 1970, moved forward by the test."""

    def __init__(self) -> None:
        self._offset = 0.0
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._handle: asyncio.TimerHandle | None = None

    def now(self) -> float:
        return time.time() + self._offset

    def advance(self, seconds: float) -> None:
        """Move the clock; timers that are due by then run now, each at its own time."""
        if seconds < 0:
            raise ValueError("time does not go back")
        end = self.now() + seconds
        while self._timers and self._timers[0][0] <= end:
            self._offset += max(0.0, self._timers[0][0] - self.now())
            heapq.heappop(self._timers)[2]()
        self._offset += max(0.0, end - self.now())
        self._arm()

    def at(self, when: float, callback: Callable[[], None]) -> None:
        """Call back at ``when``, a time of this clock."""
        heapq.heappush(self._timers, (when, next(self._numbers), callback))
        self._arm()

    def stop(self) -> None:
        """Forget all timers."""
        self._timers.clear()
        self._arm()

    def _arm(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        if self._timers:
            delay = max(0.0, self._timers[0][0] - self.now())
            self._handle = asyncio.get_running_loop().call_later(delay, self.advance, 0.0)
