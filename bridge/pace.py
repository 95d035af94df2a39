"""How many calls a bot may make now: one budget per chat and one over the whole bot.

Rules of this file:
- pure: no clock, no asyncio, no platform; ``now`` is always given, in seconds;
- every call counts (send, edit, typing), because platforms count them together;
- exact over a sliding window: never more than ``Rate.calls`` in any ``Rate.seconds``. A leaky bucket would let twice as
  many through in its first window, and platforms punish that with minutes of silence;
- durable calls (final texts, what a user waits for) may use all of the budget, previews leave a reserve and stretch out
  as the window fills;
- who finds the bot's window full gets a place in a queue, and each chat is told its own time: were all told when the
  window opens, they would race for it, some would win each time, and a thousand would ask for every call that is made.
  One queue for durable calls, one for previews; a chat has one place in each, so previews thin out evenly;
- a durable call that found no place of its chat to use up pushes the previews back: together they keep to their share;
- during a hold nothing goes out: calls within a penalty lengthen it (Telegram).
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from math import ceil, inf

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
EASE = 1.05
"""Places are so much farther apart than the window asks: a call that comes late must not hold up the next ones."""
LATE = 2.0
"""Seconds for which a place is kept behind its time: whoever has not come by then has given up."""
LASTING = 3.0
"""Seconds of silence that a restart should know of."""
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


class _Queue:
    """The chats that wait for the bot's window. Places are a step apart, so each costs a look or two."""

    __slots__ = ("_end", "_late", "_places")

    def __init__(self) -> None:
        self._places: OrderedDict[str, float] = OrderedDict()  # chat -> its time, but for ``_late``; in this order
        self._end = -inf
        self._late = 0.0  # seconds by which everybody was pushed back

    def wait(self, chat: str, now: float, own: float, bot: float, step: float) -> float:
        """Seconds until ``chat`` may go, when it has to wait ``own`` seconds for its own sake and ``bot`` for all."""
        places = self._places
        while places and next(iter(places.values())) + self._late < now - LATE:
            places.popitem(last=False)
        place = places.get(chat)
        if place is None:
            if not places and bot <= SOON:
                return own
            place = max(self._end, now + bot - self._late)
            ahead = place + self._late - now
            if own > ahead + SOON:  # it comes for a place when this one's time would be its own
                return own - ahead
            places[chat] = place
            self._end = place + step
        return max(own, bot, place + self._late - now)

    def __contains__(self, chat: str) -> bool:
        return chat in self._places

    def leave(self, chat: str) -> bool:
        """Give a place up; did the chat have one?"""
        return self._places.pop(chat, None) is not None

    def push(self, seconds: float) -> None:
        if self._places:
            self._late += seconds

    def clear(self) -> None:
        self._places.clear()
        self._end = -inf


class Budget:
    """The calls of one bot."""

    def __init__(self) -> None:
        self._bot: _Window | None = None
        self._chats: dict[str, _Window] = {}
        self._finals = _Queue()
        self._previews = _Queue()
        self._bot_hold = 0.0
        self._refused: dict[str, float] = {}  # chat -> when
        self._gap = 0.0  # seconds between two calls of the bot after a penalty for all of it
        self._next = 0.0
        self._restored: dict[str, float] = {}  # chat -> until when, of before a restart
        self.on_hold: Callable[[], None] | None = None
        """Called when the platform has asked for a silence that may outlast the process."""

    def take(self, chat: str, caps: Caps, now: float, *, durable: bool) -> float:
        """Take one call for ``chat``: 0 = taken, go; else nothing was taken, ask again after so many seconds."""
        if self._bot is None and caps.bot_rate is not None:
            self._bot = _Window(caps.bot_rate)
        line = self._line(chat, caps.rate, now)
        own = 0.0
        if line is not None:
            interval = caps.interval if caps.interval < inf else 1.0  # without previews there is typing still
            own = self._spread(line, now) if durable else self._stretch(line, interval, now)
        return self._take(chat, line, now, own, durable)

    def spend(self, chat: str, now: float, *, durable: bool) -> float:
        """The same for a call outside an answer: only limits that are known by then bind it."""
        return self._take(chat, self._chats.get(chat), now, 0.0, durable)

    def spent(self, chat: str, now: float, calls: int) -> None:
        """Count calls that were made beyond the one taken."""
        if calls > 0:
            self._count(self._chats.get(chat), now, calls)
            self._previews.push(calls * self._step(durable=False))

    def _take(self, chat: str, line: _Window | None, now: float, own: float, durable: bool) -> float:
        if self._gap and now - self._bot_hold > SLOW_AFTER_HOLD:
            self._gap = 0.0
            self._clear()
        if line is not None:
            own = max(own, line.wait(now, line.rate.calls))
        durable = durable or chat in self._finals  # a first preview that was urgent has become one of many
        queue = self._finals if durable else self._previews
        wait = queue.wait(chat, now, own, self._bot_wait(now, durable), self._step(durable))
        if wait > SOON:
            return wait
        self._count(line, now, 1)
        if durable:
            self._finals.leave(chat)
        if not self._previews.leave(chat):
            self._previews.push(self._step(durable=False))
        return 0.0

    def _bot_wait(self, now: float, durable: bool) -> float:
        wait = max(0.0, self._bot_hold - now, self._next - now if self._gap else 0.0)
        if self._bot is not None:
            wait = max(wait, self._bot.wait(now, max(1.0, self._bot.rate.calls * (1.0 if durable else COSMETIC_SHARE))))
        return wait

    def _step(self, durable: bool) -> float:
        """Seconds between two places."""
        if self._bot is None:
            return self._gap
        rate = self._bot.rate
        return max(self._gap, EASE * rate.seconds / (rate.calls * (1.0 if durable else COSMETIC_SHARE)))

    def _clear(self) -> None:
        self._finals.clear()
        self._previews.clear()

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
            self._clear()  # all of them have another time now
        if seconds >= LASTING and self.on_hold is not None:
            self.on_hold()

    def holds(self, now: float) -> dict[str, float]:
        """Seconds that each chat is still silent; "" is the whole bot. What a restart must not forget."""
        held = {chat: line.held_until - now for chat, line in self._chats.items() if line.held_until > now}
        return held | ({"": self._bot_hold - now} if self._bot_hold > now else {})

    def restore(self, holds: dict[str, float], now: float) -> None:
        """The holds of before a restart; nothing was taken yet."""
        self._restored = {chat: now + seconds for chat, seconds in holds.items()}
        self._bot_hold = self._next = self._restored.pop("", 0.0)

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
            line.held_until = self._restored.pop(chat, 0.0)
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
        room = max(1.0, line.rate.calls - FINAL_CALLS)
        spread = (line.log[0] + line.rate.seconds - now) / max(1.0, room - used)
        gap = max(interval, min(interval * (1 + used) / 2, max(spread, line.rate.seconds / room)))
        if line.held_until and now - line.held_until < SLOW_AFTER_HOLD:
            gap *= 2
        return max(line.wait(now, room), line.log[-1] + gap - now)
