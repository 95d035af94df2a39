"""How long to wait for a stream: until its first byte, between two bytes, and for all of it.

Rules of this file:
- only waiting is limited. Whoever reads the stream may take its time between two reads, and is never interrupted there:
  an ``asyncio.timeout`` around a generator's ``yield`` would cancel the wrong code;
- one timer for the whole stream. A byte moves the due time and leaves the timer alone; the timer that rings early is
  set anew (0.6 µs a read; an ``asyncio.timeout`` around each read costs 3.1 µs).
"""

from __future__ import annotations

import asyncio
from types import TracebackType

from bridge.faults import Reason, UpstreamError


class Patience:
    """A context manager around each wait: ``with patience: chunk = await …``. Raises UpstreamError; ``close`` it."""

    __slots__ = ("_cancelling", "_due", "_end", "_first", "_idle", "_loop", "_rang", "_started", "_task", "_timer")

    def __init__(self, first: float, idle: float, whole: float) -> None:
        """Seconds: to the first byte, between bytes, of the whole stream."""
        self._loop = asyncio.get_running_loop()
        now = self._loop.time()
        self._first, self._idle, self._end = first, idle, now + whole
        self._due = now + first
        self._started = False
        """The first byte has come."""
        self._task: asyncio.Task[object] | None = None
        """Who waits now."""
        self._cancelling = 0
        self._rang = False
        self._timer: asyncio.TimerHandle | None = self._loop.call_at(min(self._due, self._end), self._ring)

    def started(self) -> None:
        """The first byte has come: from now on ``idle`` counts."""
        self._started = True
        self.close()  # the timer may be set later than the first idle time ends

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def __enter__(self) -> None:
        now = self._loop.time()
        if self._started:
            self._due = now + self._idle
        if now >= self._end:
            raise self._error(now)
        self._task = asyncio.current_task()
        assert self._task is not None
        self._cancelling = self._task.cancelling()
        if self._timer is None:
            self._timer = self._loop.call_at(min(self._due, self._end), self._ring)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        task, self._task = self._task, None
        if self._rang:
            self._rang = False
            # The same test as in asyncio.timeout: another cancellation at the same time goes first.
            if task is not None and task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
                raise self._error(self._loop.time()) from error

    def _ring(self) -> None:
        due = min(self._due, self._end)
        self._timer = None
        if self._task is None:
            return  # nobody waits; the next wait sets a timer
        if self._loop.time() < due:
            self._timer = self._loop.call_at(due, self._ring)
        else:
            self._rang = True
            self._task.cancel()

    def _error(self, now: float) -> UpstreamError:
        reason: Reason
        if now >= self._end:
            reason, what = "timeout_turn", "the answer did not end in time"
        elif self._started:
            reason, what = "timeout_idle", f"nothing came for {self._idle:g} s"
        else:
            reason, what = "timeout_first", f"nothing came within {self._first:g} s"
        return UpstreamError(reason, what)
