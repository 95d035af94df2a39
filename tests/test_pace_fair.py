"""A hundred answers over one bot's limit: nobody is starved, finals hardly wait, and the limit holds.

A simulation on a clock of its own: Presenters and a Budget, driven as bridge/pump.py drives them, and a platform that
takes a tenth of a second for a call and says no where the test wants it.
"""

from __future__ import annotations

import heapq
import math
import random
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import mean

from bridge.live import Live
from bridge.model import Caps, Rate
from bridge.pace import Budget

LIMIT = 30
CALL = 0.1
"""Seconds that the platform takes for a call."""
TOKENS = 50
"""Tokens a second."""
EPS = 1e-9
PRIVATE, GROUP = Rate(60, 60), Rate(18, 60)


def caps(rate: Rate = PRIVATE) -> Caps:
    return Caps(fits=lambda text: True, live=True, interval=1.0, rate=rate, bot_rate=Rate(LIMIT, 1.0))


@dataclass
class Talk:
    """One answer on its way: what Pump is in the product."""

    chat: str
    begins: float
    ends: float
    caps: Caps = field(default_factory=caps)
    tokens: float = TOKENS
    previews: list[float] = field(default_factory=list)
    final: float = math.inf
    fed: int = 0
    ended: bool = False
    calling: bool = False
    wake: float = math.inf

    def __post_init__(self) -> None:
        self.presenter = Live(self.caps, self.begins)

    def hear(self, now: float) -> bool:
        """Take in what the app has sent by now; True when that wakes the pump."""
        count = int((min(now, self.ends) - self.begins) * self.tokens)
        first = not self.fed and count > 0
        for _ in range(count - self.fed):
            self.presenter.feed("w ", now)
        self.fed = max(self.fed, count)
        last = now >= self.ends and not self.ended
        if last:
            self.ended = True
            self.presenter.end()
        return first or last

    def next_token(self) -> float:
        return math.inf if self.ended else self.begins + (self.fed + 1) / self.tokens + EPS


class Bot:
    """Its answers, its budget, and the platform's side of it. ``refuse`` gives the seconds of a 429, and whether it is
    the whole bot's."""

    def __init__(self, talks: list[Talk], refuse: Callable[[str, float], tuple[float, bool]] | None = None) -> None:
        self.budget = Budget()
        self.refuse = refuse or (lambda chat, now: (0.0, False))
        self.calls: list[tuple[float, str]] = []
        self.asked = 0
        self._events: list[tuple[float, int, Talk, float | None]] = []
        self._count = 0
        for talk in talks:
            for at in (talk.begins, talk.begins + 1 / talk.tokens + EPS, talk.ends):
                self._at(at, talk)

    def run(self) -> None:
        while self._events:
            now, _, talk, answered = heapq.heappop(self._events)
            rung = talk.hear(now)
            if answered is not None:
                talk.calling = False
            if answered:
                self._later(talk, now, answered)
            elif not talk.calling and (rung or answered is not None or now >= talk.wake or now == talk.begins):
                self._pump(talk, now)

    def _at(self, when: float, talk: Talk, answered: float | None = None) -> None:
        """A wake-up, or a call's answer: 0 = it arrived, else seconds of a 429."""
        self._count += 1
        if when < math.inf:
            heapq.heappush(self._events, (when, self._count, talk, answered))

    def _pump(self, talk: Talk, now: float) -> None:
        """Pump.run, from one await to the next."""
        presenter = talk.presenter
        while (op := presenter.next(now)) is not None:
            self.asked += 1
            wait = self.budget.take(talk.chat, talk.caps, now, durable=presenter.urgent)
            if wait <= 0.0:
                return self._call(talk, now, final=op.final)
            if self._later(talk, now, wait):
                return None
        if not presenter.done:
            until = presenter.wake_at()
            self._sleep(talk, talk.next_token() if until == math.inf else until)
        return None

    def _later(self, talk: Talk, now: float, wait: float) -> bool:
        """The operation did not go out; True when the pump sleeps all the time."""
        urgent = talk.presenter.urgent
        talk.presenter.failed(now, wait)
        self._sleep(talk, now + wait)
        return urgent

    def _sleep(self, talk: Talk, until: float) -> None:
        talk.wake = until
        self._at(until, talk)

    def _call(self, talk: Talk, now: float, final: bool) -> None:
        self.calls.append((now, talk.chat))
        talk.calling, talk.wake = True, math.inf
        wait, whole_bot = self.refuse(talk.chat, now)
        if wait:
            self.budget.hold(talk.chat, now, wait, whole_bot=whole_bot)
        elif final:
            talk.final = now
        else:
            talk.previews.append(now)
        self._at(now + CALL, talk, wait)


def most_in_a_second(calls: list[tuple[float, str]]) -> int:
    times = [at for at, _ in calls]
    return max(bisect_left(times, at + 1.0 - 1e-6) - n for n, at in enumerate(times))


def even(talks: list[list[Talk]], since: float, until: float) -> None:
    """Within these seconds each chat had as many previews as the next, and nobody had to wait for long."""
    shown = [[at for talk in chat for at in talk.previews if since <= at < until] for chat in talks]
    counts = [len(times) for times in shown]
    gaps = [b - a for times in shown for a, b in pairwise(times)]
    assert 0.8 * mean(counts) <= min(counts) <= max(counts) <= 1.2 * mean(counts)
    assert max(gaps) <= 2 * mean(gaps)


def prompt(talks: list[Talk]) -> None:
    assert max(talk.final - talk.ends for talk in talks) < 1.0


def hundred(seed: int, limits: Callable[[int], Caps] = lambda n: caps()) -> list[Talk]:
    """They begin within a second, and end one by one."""
    dice = random.Random(seed)
    return [Talk(f"c{n}", dice.random(), 40.5 + 10 * dice.random(), limits(n)) for n in range(100)]


def test_a_hundred_answers_that_begin_together_grow_together() -> None:
    talks = hundred(1)
    bot = Bot(talks)
    bot.run()
    even([[talk] for talk in talks], 0.0, 40.5)
    prompt(talks)
    assert most_in_a_second(bot.calls) <= LIMIT
    assert sum(at < 40.5 for at, _ in bot.calls) > 0.6 * LIMIT * 40, "and the limit is used"
    assert bot.asked < 6 * len(bot.calls)


def test_groups_get_as_many_previews_as_private_chats_where_their_own_limit_lets_them() -> None:
    talks = hundred(2, lambda n: caps(GROUP if n % 2 else PRIVATE))
    Bot(talks).run()
    even([[talk] for talk in talks], 0.0, 40.5)
    prompt(talks)


def test_a_hundred_people_who_ask_again_and_again_are_served_alike() -> None:
    dice = random.Random(3)
    starts = [20.0 * dice.random() for _ in range(100)]
    chats = [[Talk(f"c{n}", at + 20.2 * m, at + 20.2 * m + 20) for m in range(5)] for n, at in enumerate(starts)]
    talks = [talk for chat in chats for talk in chat]
    bot = Bot(talks)
    bot.run()
    even(chats, 20.0, 100.0)
    prompt(talks)
    assert max(talk.previews[0] - talk.begins for talk in talks) < 1.0, "a new answer is not the last in the row"
    assert most_in_a_second(bot.calls) <= LIMIT


def test_no_429_is_repeated_within_its_time_and_what_waited_comes_out_evenly() -> None:
    bans: list[tuple[float, float, str]] = []
    due = [(8.0, 6.0, False), (15.0, 4.0, True), (30.0, 9.0, False)]

    def refuse(chat: str, now: float) -> tuple[float, bool]:
        if not due or now < due[0][0]:
            return 0.0, False
        _, seconds, whole_bot = due.pop(0)
        bans.append((now, now + seconds, "" if whole_bot else chat))
        return seconds, whole_bot

    talks = hundred(4)
    bot = Bot(talks, refuse)
    bot.run()
    assert len(bans) == 3
    for since, until, chat in bans:
        assert not [at for at, to in bot.calls if since < at < until and chat in ("", to)]
    assert most_in_a_second([call for call in bot.calls if 19.0 < call[0] < 70.0]) <= 11, "slow after the bot's ban"
    assert all(talk.final < math.inf for talk in talks)


def test_a_thousand_answers_do_not_ask_over_and_over() -> None:
    dice = random.Random(5)
    talks = [Talk(f"c{n}", 60 * dice.random(), 120 + 60 * dice.random(), tokens=2) for n in range(1000)]
    bot = Bot(talks)
    bot.run()
    prompt(talks)
    assert bot.asked < 6 * len(bot.calls)


def test_a_thousand_finals_at_once_go_out_as_fast_as_the_limit_lets_them() -> None:
    dice = random.Random(6)
    talks = [Talk(f"c{n}", 60 * dice.random(), 90.0, tokens=2) for n in range(1000)]
    bot = Bot(talks)
    bot.run()
    needed = sum(at > 90.0 for at, _ in bot.calls) / LIMIT
    assert max(talk.final for talk in talks) < 90.0 + 1.1 * needed + 1.0
    assert bot.asked < 6 * len(bot.calls)
