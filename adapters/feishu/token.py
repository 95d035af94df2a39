"""The tenant access token: what every call of the bot carries.

Rules of this file:
- no HTTP: ``fetch`` brings a token, however that is done;
- one fetch at a time, which serves everybody who waits;
- a token is renewed before it ends, behind the calls: while it lives, nobody waits and a failure is only logged;
- credentials that are not taken any more are told beside the calls, too: ``refused`` waits for that.

Source: page "自建应用获取 tenant_access_token": a token lives two hours at most; with less than 30 minutes left the
platform hands out a new one, and both work; before that it hands out the same one again.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable

from bridge.model import BridgeError, Fatal

log = logging.getLogger(__name__)

EARLY = 28 * 60.0
"""Seconds before its end at which a token is renewed."""
SPARE = 10.0
"""Seconds before its end at which a token is not used any more: the call takes time, too."""
AGAIN = 60.0
"""Least seconds between two tries to renew a token that still lives."""

Fetch = Callable[[], Awaitable[tuple[str, float]]]
"""Brings a token and the seconds it has left. Raises Fatal when the credentials are wrong, else RateLimited or
Unreachable: the call that wants the token is not on its way yet."""


class Token:
    """The newest token. ``clock`` counts seconds."""

    def __init__(self, fetch: Fetch, clock: Callable[[], float] = time.monotonic) -> None:
        self._fetch = fetch
        self._clock = clock
        self._value = ""
        self._ends = -math.inf
        self._tried = -math.inf
        self._fetching: asyncio.Task[str] | None = None
        self._waiting = 0
        self._fatal = Fatal()
        self._refused = asyncio.Event()

    async def get(self) -> str:
        """A token that works, as far as we know. Raises what ``fetch`` does."""
        now = self._clock()
        if now > self._ends - SPARE:
            return await self._fetched()
        if now > self._ends - EARLY and now - self._tried > AGAIN:
            self._start()
        return self._value

    async def renew(self, refused: str) -> str:
        """A token in place of one that the platform has refused: the newest, if that is another one already."""
        if self._value == refused:
            return await self._fetched()
        return await self.get()

    async def refused(self) -> Fatal:
        """Waits until ``fetch`` raises Fatal, and brings that."""
        await self._refused.wait()
        return self._fatal

    async def close(self) -> None:
        """End a fetch that nobody waits for. Whoever wants a token later still gets one."""
        fetching = self._fetching
        if fetching is not None and not self._waiting:
            self._fetching = None
            fetching.cancel()
            await asyncio.wait([fetching])

    async def _fetched(self) -> str:
        self._waiting += 1
        try:
            return await asyncio.shield(self._start())
        finally:
            self._waiting -= 1

    def _start(self) -> asyncio.Task[str]:
        if self._fetching is None or self._fetching.done():
            self._tried = self._clock()
            self._fetching = asyncio.create_task(self._renewed())
            self._fetching.add_done_callback(self._told)
        return self._fetching

    async def _renewed(self) -> str:
        try:
            self._value, seconds = await self._fetch()
        except Fatal as error:
            self._fatal = error
            self._refused.set()
            raise
        self._refused.clear()
        self._ends = self._clock() + seconds
        return self._value

    def _told(self, done: asyncio.Task[str]) -> None:
        """Perhaps nobody waits for the outcome."""
        error = None if done.cancelled() else done.exception()
        if error is None or self._clock() > self._ends - SPARE:
            return  # whoever waits is told
        if isinstance(error, BridgeError):
            log.warning("the access token could not be renewed yet: %s", error)
        else:
            log.error("the access token could not be renewed", exc_info=error)
