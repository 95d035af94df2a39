"""How many calls a bot may make now: one budget per chat and one over the whole bot.

Rules of this file:
- pure: no clock, no asyncio, no platform; ``now`` is always given, in seconds;
- every call counts (send, edit, typing), because platforms count them together;
- exact over a sliding window: never more than ``Rate.calls`` in any ``Rate.seconds``. A leaky bucket would let twice as
  many through in its first window, and platforms punish that with minutes of silence;
- durable calls (final texts, what a user waits for) may use all of the budget, previews leave a reserve and stretch out
  as the window fills;
- during a hold nothing goes out: calls within a penalty lengthen it (Telegram).
"""

from __future__ import annotations

from collections import deque
from math import ceil

from bridge.model import Caps, Rate

FINAL_CALLS = 2
"""Calls that previews always leave: a message's place on the screen, and its final text."""
COSMETIC_SHARE = 0.7
"""Share of the bot's calls a second that previews may use."""
SOON = 1e-6
"""Seconds that are no wait: what is left of a sum of floats."""
MARGIN = 0.1
"""Seconds waited beyond what a platform asks for; its clock is not ours."""
SLOW_AFTER_HOLD = 60.0
"""Seconds for which previews keep twice their distance after a penalty."""
WIDE = 3, 10.0
"""Refusals in so many chats within so many seconds mean the whole bot: the platform does not say which limit it was."""
GUESS_MOST = 60.0
"""Seconds that such a guess silences the bot: one of the chats may have earned hours of its own."""
IDLE_LINES = 10_000
"""Above this many chats, those with an empty window are forgotten."""


class _Window:
    """The calls of the last ``seconds``, and until when nothing may go out."""

    __slots__ = ("held_until", "log", "rate")

    def __init__(self, rate: Rate) -> None:
        self.rate = rate
        self.log: deque[float] = deque()
        self.held_until = 0.0

    def used(self, now: float) -> int:
        horizon = now - self.rate.seconds
        log = self.log
        while log and log[0] <= horizon:
            log.popleft()
        return len(log)

    def wait(self, now: float, calls: float) -> float:
        """Seconds until fewer than ``calls`` calls are in the window; 0 = now."""
        if now < self.held_until:
            return self.held_until - now
        over = self.used(now) - ceil(calls) + 1
        return max(0.0, self.log[over - 1] + self.rate.seconds - now) if over > 0 else 0.0


class Budget:
    """The calls of one bot."""

    def __init__(self) -> None:
        self._bot: _Window | None = None
        self._chats: dict[str, _Window] = {}
        self._bot_hold = 0.0
        self._refused: dict[str, float] = {}  # chat -> when
        self._gap = 0.0  # seconds between two calls of the bot after a penalty for all of it
        self._next = 0.0

    def take(self, chat: str, caps: Caps, now: float, *, durable: bool) -> float:
        """Take one call for ``chat``: 0 = taken, go; else nothing was taken, ask again after so many seconds."""
        if self._bot is None and caps.bot_rate is not None:
            self._bot = _Window(caps.bot_rate)
        line = self._line(chat, caps.rate, now)
        wait = self.wait(chat, now, durable=durable)
        if line is not None:
            wait = max(wait, self._spread(line, now) if durable else self._stretch(line, caps.interval, now))
        if wait <= SOON:
            self._count(line, now, 1)
            return 0.0
        return wait

    def spend(self, chat: str, now: float, *, durable: bool) -> float:
        """The same for a call outside an answer: only limits that are known by then bind it."""
        wait = self.wait(chat, now, durable=durable)
        if wait <= SOON:
            self._count(self._chats.get(chat), now, 1)
            return 0.0
        return wait

    def wait(self, chat: str, now: float, *, durable: bool) -> float:
        if self._gap and now - self._bot_hold > SLOW_AFTER_HOLD:
            self._gap = 0.0
        wait = max(0.0, self._bot_hold - now, self._next - now if self._gap else 0.0)
        line = self._chats.get(chat)
        if line is not None:
            wait = max(wait, line.wait(now, line.rate.calls))
        if self._bot is not None:
            share = 1.0 if durable else COSMETIC_SHARE
            wait = max(wait, self._bot.wait(now, max(1.0, self._bot.rate.calls * share)))
        return wait

    def spent(self, chat: str, now: float, calls: int) -> None:
        """Count calls that were made beyond the one taken."""
        if calls > 0:
            self._count(self._chats.get(chat), now, calls)

    def hold(self, chat: str, now: float, seconds: float, *, whole_bot: bool = False) -> None:
        """The platform has asked for silence."""
        chats, within = WIDE
        self._refused[chat] = now
        self._refused = {c: at for c, at in self._refused.items() if now - at < within}
        if line := self._chats.get(chat):
            line.held_until = max(line.held_until, now + seconds + MARGIN)
        wide = len(self._refused) >= chats
        if whole_bot or line is None or wide:
            if now > self._bot_hold:  # not one of several calls that were under way together
                self._gap = min(1.0, max(0.1, 2 * self._gap))
            if wide and not whole_bot:
                seconds = min(seconds, GUESS_MOST)
            self._bot_hold = self._next = max(self._bot_hold, now + seconds + MARGIN)

    def _count(self, line: _Window | None, now: float, calls: int) -> None:
        self._next = max(self._next, now + self._gap)
        for window in (line, self._bot):
            if window is not None:
                window.log.extend([now] * calls)

    def _line(self, chat: str, rate: Rate | None, now: float) -> _Window | None:
        line = self._chats.get(chat)
        if line is None and rate is not None and chat:
            if len(self._chats) >= IDLE_LINES:
                self._chats = {c: w for c, w in self._chats.items() if w.used(now) or now < w.held_until}
            line = self._chats[chat] = _Window(rate)
        return line

    @staticmethod
    def _spread(line: _Window, now: float) -> float:
        """After a penalty even durable calls keep their distance: all who waited for its end would go out at once."""
        if not line.log or not line.held_until or now - line.held_until > SLOW_AFTER_HOLD:
            return 0.0
        return max(0.0, line.log[-1] + line.rate.seconds / line.rate.calls - now)

    @staticmethod
    def _stretch(line: _Window, interval: float, now: float) -> float:
        """How long a preview has to wait for its turn in this chat: a few quick ones first, then what is left of the
        window is spread over the time that is left of it."""
        used = line.used(now)
        if not used:
            return 0.0
        room = line.rate.calls - FINAL_CALLS
        spread = (line.log[0] + line.rate.seconds - now) / max(1.0, room - used)
        gap = max(interval, min(interval * (1 + used) / 2, max(spread, line.rate.seconds / room)))
        if line.held_until and now - line.held_until < SLOW_AFTER_HOLD:
            gap *= 2
        return max(line.wait(now, room), line.log[-1] + gap - now)
