"""One question on its way to the app, asked until it is answered.

Rules of this file:
- an attempt is committed before its request leaves: the same ``responseChatItemId`` never goes out twice, but where no
  byte of the request left;
- a full app (429) and a chat that is still busy hold the turn, they are no errors; an app that cannot be reached is
  tried for as long as a first token may take;
- nothing is asked again once a word of the answer has come.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing

import msgspec

from bridge.core import Bot
from bridge.fastgpt import Ask, Choices, Delta, Done, Status, UpstreamError
from bridge.metrics import UPSTREAM_ERRORS
from bridge.model import AnyEvent, Form
from bridge.pump import Pump
from bridge.session import item_id
from bridge.words import Language, say

log = logging.getLogger(__name__)

BUSY_TRIES = 10
BUSY_WAIT = 2.0, 10.0
"""Seconds before a busy chat is asked again: the step, the most."""
UNSENT_WAIT = 1.0, 15.0
"""Seconds between two tries of a request that never left: the first, the most."""
RATE_WAIT = 15.0
"""Seconds that a 429 holds the turn when it does not say how long."""
RATE_MOST = 300.0
"""Seconds that it holds the turn whatever it says: then the app is asked whether that was meant."""


class Asking:
    """``attempt`` is the one already committed; ``next_attempt`` commits one more and gives its number."""

    def __init__(
        self,
        bot: Bot,
        event: AnyEvent,
        ask: Ask,
        attempt: int,
        next_attempt: Callable[[], Awaitable[int]],
        language: Language,
    ) -> None:
        self._bot = bot
        self._event = event
        self._ask = ask
        self._attempt = attempt
        self._next_attempt = next_attempt
        self._language = language

    async def run(self, pump: Pump) -> str:
        """Feed the answer to the pump; gives a last paragraph of the bridge's own, or nothing."""
        try:
            return await self._persist(pump)
        except UpstreamError as error:
            app = self._bot.config.app
            UPSTREAM_ERRORS.labels(app, error.reason).inc()
            log.warning("bot %s: app %s: %s: %s", self._bot.name, app, error.reason, error.detail)
            return say(error.reason, self._language)

    async def _persist(self, pump: Pump) -> str:
        deadline = time.monotonic() + self._bot.app_config.first_token_timeout
        unsent, busy = UNSENT_WAIT[0], 0
        while True:
            try:
                return await self._stream(pump)
            except UpstreamError as error:
                if pump.text.strip():
                    raise
                sent = error.sent
                if error.reason == "rate":
                    wait = RATE_WAIT if error.retry_after is None else min(error.retry_after, RATE_MOST)
                    log.info("bot %s: app %s is full; held for %.0f s", self._bot.name, self._bot.config.app, wait)
                elif error.reason == "busy" and busy < BUSY_TRIES:
                    busy += 1
                    if busy == 1 and self._attempt:  # our own run, lost in a crash, still holds the chat
                        await self._bot.api.stop(self._ask.chat_id)
                    wait = min(BUSY_WAIT[1], BUSY_WAIT[0] * busy)
                elif not sent and time.monotonic() < deadline:
                    wait, unsent = unsent, min(UNSENT_WAIT[1], unsent * 2)
                else:
                    raise
            await asyncio.sleep(wait)
            if sent:
                self._attempt = await self._next_attempt()
                self._ask = msgspec.structs.replace(self._ask, item_id=item_id(self._event, self._attempt))

    async def _stream(self, pump: Pump) -> str:
        async with aclosing(self._bot.app.stream(self._ask)) as pieces:
            async for piece in pieces:
                if isinstance(piece, Delta):
                    if piece.thinking and self._bot.config.reasoning == "fold":
                        pump.think(piece.thinking)
                    pump.feed(piece.text)
                elif isinstance(piece, Status):
                    pump.status(f"{piece.text}…")
                elif isinstance(piece, Choices):
                    pump.feed(_listed(piece.description, [label for label, _ in piece.options]))
                elif isinstance(piece, Form):
                    pump.feed(_listed(piece.title, [field.label for field in piece.fields]))
                elif isinstance(piece, Done):
                    if piece.cut:
                        return say("cut", self._language)
                    if piece.finish in ("length", "content_filter"):
                        return say(f"finish_{piece.finish}", self._language)
        return ""


def _listed(title: str, items: list[str]) -> str:
    """What the app asks, as text: the words of an option answer it."""
    rows = [f"{number}. {item}" for number, item in enumerate(items, 1)]
    return "\n\n" + "\n".join(filter(None, [title, *rows]))
