"""Answers that go back as the response to the request that brought the question (a passive reply).

Rules of this file:
- a callback waits (``final``) for the first message of its answer. The message is written down before it is handed
  over, and whoever asks again for the same event gets the same: the platform's retries ask for what was lost;
- what was handed over before a death of the process has arrived, or is asked for again in a few seconds. Only when it
  is too late for that, nobody knows;
- without a callback that waits, a message goes out by the adapter's own surface.
"""

from __future__ import annotations

import asyncio
import math
import time

import msgspec

from bridge.model import Show, Shown, Surface
from bridge.store import Engine
from bridge.words import Language, say

ASKED_AGAIN = 8.0
"""Seconds after the event in which another try is still to come: an official account makes the last after ten."""


class Replies:
    """Those of one process."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._waiting: dict[str, tuple[float, asyncio.Future[Show]]] = {}

    async def final(self, job: str, timeout: float, language: Language) -> Show | None:
        """See bridge.model.Host. To be called before the event is handed in, or beside it."""
        loop = asyncio.get_running_loop()
        mine: asyncio.Future[Show] = loop.create_future()
        _, before = self._waiting.get(job, (0.0, None))
        self._waiting[job] = loop.time() + timeout, mine
        if before is not None:
            before.cancel()  # whoever asks again has hung up on the earlier request
        try:
            async with asyncio.timeout(timeout):
                (row,) = await self._engine.get(reply_key(job))
                if row:
                    return msgspec.json.decode(row, type=Show)
                await asyncio.wait([mine])
                return None if mine.cancelled() else mine.result()
        except TimeoutError:
            if not mine.cancel() and not mine.cancelled():  # both in the same instant
                return mine.result()
        finally:
            if self._waiting.get(job, (0.0, None))[1] is mine:
                del self._waiting[job]
        return Show(status=say("writing", language)) if await self._engine.pending(job) else None

    def until(self, job: str) -> float:
        """Until when a callback waits for this answer, by the loop's clock; -inf = none does."""
        return self._waiting.get(job, (-math.inf, None))[0]

    async def give(self, job: str, op: Show, at: float) -> bool:
        """Make this the response, if there is a request to respond to. ``at`` is when the event was, in Unix seconds.
        False: it has to go out in another way."""
        if op.again:
            (row,) = await self._engine.get(reply_key(job))
            return bool(row) and time.time() < at + ASKED_AGAIN
        _, waiting = self._waiting.get(job, (0.0, None))
        if waiting is None:
            return False
        await self._engine.put({reply_key(job): msgspec.json.encode(op)})
        if waiting.done():  # too late by as much as the commit took
            await self._engine.put({reply_key(job): None})
            return False
        waiting.set_result(op)
        return True


class ReplySurface:
    """The surface of an answer whose first message may be a response."""

    def __init__(self, replies: Replies, job: str, at: float, surface: Surface, resume: Shown) -> None:
        """``resume`` is what stands there already; ``at`` is when the event was, in Unix seconds."""
        self._replies = replies
        self._job = job
        self._at = at
        self._surface = surface
        self._shown = resume

    async def show(self, op: Show) -> Shown:
        """See bridge.model.Surface."""
        if not op.part and op.text and await self._replies.give(self._job, op, self._at):
            return self._shown
        return await self._surface.show(op)


def reply_key(job: str) -> str:
    """Where the store keeps it."""
    return f"reply:{job}"
