"""The turns of a conversation, kept here for endpoints that keep none themselves (``kind: openai``)."""

from __future__ import annotations

import msgspec

from bridge.store import Engine

Pair = tuple[str, str]
"""(question, answer)"""


class History:
    """The last ``most`` turns of one chatId."""

    def __init__(self, engine: Engine, chat_id: str, most: int) -> None:
        self._engine = engine
        self._key = f"history:{chat_id}"
        self._most = most

    async def before(self, question: str, *, again: bool) -> tuple[Pair, ...]:
        """The turns before this question; asked ``again``, its earlier answer is none of them."""
        pairs = await self._load()
        return pairs[:-1] if again and pairs and pairs[-1][0] == question else pairs

    async def add(self, question: str, answer: str, *, again: bool) -> None:
        """The same turn added twice, as a restart may, counts once."""
        pair = (question, answer)
        pairs = await self.before(question, again=again)
        if pairs[-1:] != (pair,):
            pairs = (*pairs, pair)
        await self._engine.put({self._key: msgspec.json.encode(pairs[-self._most :] if self._most > 0 else ())})

    async def _load(self) -> tuple[Pair, ...]:
        (row,) = await self._engine.get(self._key)
        return msgspec.json.decode(row, type=tuple[Pair, ...]) if row else ()
