"""How far apart previews are, and what a long answer costs."""

from __future__ import annotations

from itertools import accumulate, pairwise, takewhile

from bridge.model import Caps
from bridge.rhythm import LONGEST, Rhythm


def shown_at(caps: Caps, until: float) -> list[float]:
    """When an answer that always has something new is shown, in seconds after its first preview."""
    rhythm = Rhythm(caps)
    return list(takewhile(lambda at: at <= until, accumulate(rhythm.shown() for _ in range(10_000))))


def caps(interval: float, slowest: float = 0.0, previews: int | None = None) -> Caps:
    return Caps(fits=lambda text: True, live=True, interval=interval, slowest=slowest, previews=previews)


def test_without_more_words_the_distance_stays() -> None:
    assert shown_at(caps(1.0), 5.0) == [1.0, 2.0, 3.0, 4.0, 5.0]


def test_the_first_few_come_fast_and_then_each_a_little_later() -> None:
    times = shown_at(caps(0.3, 3.0), 60.0)
    distances = [after - before for before, after in pairwise([0.0, *times])]
    assert [round(distance, 6) for distance in distances[:4]] == [0.3] * 4
    assert distances[4] > 0.3
    assert all(after >= before - 1e-9 for before, after in pairwise(distances))
    assert round(distances[-1], 6) == 3.0


def test_a_minute_stays_within_the_count_and_twelve_cost_little_more() -> None:
    feishu = caps(0.3, 3.0, 25)
    assert 15 <= len(shown_at(feishu, 30.0)) <= len(shown_at(feishu, 60.0)) <= 25
    long = shown_at(feishu, 720.0)
    assert len(long) <= 25 + 720 / LONGEST
    assert max(after - before for before, after in pairwise(long)) <= LONGEST


def test_what_has_no_words_takes_none_of_their_previews() -> None:
    rhythm = Rhythm(caps(0.3, 3.0, 25))
    waits = [rhythm.wordless() for _ in range(12)]
    assert waits[0] >= 3.0
    assert waits == sorted(waits)
    assert waits[-1] == LONGEST
    assert rhythm.shown() == 0.3
    assert Rhythm(caps(1.0)).wordless() == 1.0
