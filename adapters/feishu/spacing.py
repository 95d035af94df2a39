"""How often messages are sent to one chat.

Rules of this file:
- a chat takes five new messages a second, from all bots together; whoever comes too early waits for his turn;
- changes of cards and messages do not count here: they have limits of their own.

Source: the pages "回复消息", "发送消息" (230020).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

APART = 0.25
"""Seconds."""
MOST = 1_000
"""Chats above which those are forgotten that nobody waits for."""


class Spacing:
    """One for each bot."""

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._next: dict[str, float] = {}

    async def turn(self, chat: str) -> None:
        """Wait until a message may be sent to the chat."""
        now = self._clock()
        at = max(now, self._next.get(chat, now))
        if len(self._next) > MOST:
            self._next = {other: due for other, due in self._next.items() if due > now}
        self._next[chat] = at + APART
        if at > now:
            await self._sleep(at - now)
