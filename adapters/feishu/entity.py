"""One CardKit card: the operations on it, and the number that each of them carries.

Rules of this file:
- ``sequence`` rises strictly over all operations of a card, also over restarts, and nothing is saved for that: it is at
  least the milliseconds since the card was made (int32 holds them for 24 days, a card lives for 14). Should the clock
  have gone back meanwhile, the platform says so, and the number jumps ahead;
- each operation carries the whole text, so any of them can be repeated.

Source: Server API, cardkit/v1; fact sheet of the platform: error codes 300317, 200770, 200740, 200750.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from adapters.feishu.codes import Refused
from adapters.feishu.messages import Calls, dumped
from bridge.model import Vanished

PATH = "/open-apis/cardkit/v1/cards"
_BEHIND, _UUID_TAKEN = 300317, 200770
_NO_CARD = {200740, 200750}
_JUMPS = (60_000, 3_600_000, 86_400_000)
"""How far the sequence jumps when the platform finds it too low, try by try."""


class Entity:
    """``created`` in Unix milliseconds; ``clock`` gives Unix seconds. All operations raise what Api.call raises, and
    Vanished when the card is not there any more."""

    def __init__(self, calls: Calls, id: str, created: int, clock: Callable[[], float] = time.time) -> None:
        self.id = id
        self.created = created
        self._calls = calls
        self._clock = clock
        self._sequence = 0

    async def stream(self, element: str, text: str) -> None:
        """The text of an element, whole: what is new of it is typed out on the screen. 1 to 100,000 characters."""
        await self._operate("PUT", f"/elements/{element}/content", {"content": text})

    async def open(self) -> None:
        """Let texts stream for the next ten minutes."""
        await self._configure({"streaming_mode": True})

    async def close(self, summary: str) -> None:
        """End the streaming; ``summary`` is what lists of chats show of the card."""
        await self._configure({"streaming_mode": False, "summary": {"content": summary}})

    async def replace(self, card: Mapping[str, Any]) -> None:
        await self._operate("PUT", "", {"card": {"type": "card_json", "data": dumped(card)}})

    async def _configure(self, config: dict[str, Any]) -> None:
        await self._operate("PATCH", "/settings", {"settings": dumped({"config": config})})

    async def _operate(self, method: str, path: str, body: dict[str, Any]) -> None:
        for jump in (*_JUMPS, 0):
            self._sequence = max(self._sequence + 1, int(self._clock() * 1000) - self.created)
            number = {"sequence": self._sequence, "uuid": f"{self.id}-{self._sequence}"}
            try:
                await self._calls.call(method, f"{PATH}/{self.id}{path}", body | number)
                return
            except Refused as refusal:
                if refusal.code in _NO_CARD:
                    raise Vanished from None
                if refusal.code not in (_BEHIND, _UUID_TAKEN) or not jump:
                    raise
                if refusal.code == _BEHIND:
                    self._sequence += jump


async def created(calls: Calls, card: Mapping[str, Any], clock: Callable[[], float] = time.time) -> Entity:
    """A new card, not sent yet. Raises what Api.call raises."""
    now = int(clock() * 1000)
    data = await calls.call("POST", PATH, {"type": "card_json", "data": dumped(card)})
    return Entity(calls, str(data["card_id"]), now, clock)
