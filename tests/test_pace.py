"""Call budgets: never over the platform's limit, durable calls first."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.model import Caps, Rate
from bridge.pace import Budget


def caps(rate: Rate | None, bot_rate: Rate | None = None, interval: float = 1.0) -> Caps:
    return Caps(fits=lambda text: True, live=True, interval=interval, rate=rate, bot_rate=bot_rate)


@settings(max_examples=200)
@given(st.lists(st.tuples(st.floats(0.0, 5.0), st.sampled_from("ab"), st.booleans()), max_size=150))
def test_no_window_ever_holds_more_than_its_calls(asks: list[tuple[float, str, bool]]) -> None:
    budget, limits = Budget(), caps(Rate(18, 60), Rate(5, 1))
    now, made = 0.0, list[tuple[float, str]]()
    for step, chat, durable in asks:
        now += step
        if budget.take(chat, limits, now, durable=durable) == 0.0:
            made.append((now, chat))
    for at, chat in made:
        assert sum(at <= t < at + 60 and c == chat for t, c in made) <= 18
        assert sum(at <= t < at + 1 for t, _ in made) <= 5


@given(st.integers(1, 4), st.lists(st.tuples(st.floats(0.0, 2.0), st.booleans()), max_size=40))
def test_a_limit_of_few_calls_is_kept_as_well(calls: int, asks: list[tuple[float, bool]]) -> None:
    budget, limits = Budget(), caps(Rate(calls, 5))
    now, made = 0.0, list[float]()
    for step, durable in asks:
        now += step
        if budget.take("a", limits, now, durable=durable) == 0.0:
            made.append(now)
    assert all(sum(at <= t < at + 5 for t in made) <= calls for at in made)


@settings(max_examples=100)
@given(st.lists(st.tuples(st.floats(0.0, 3.0), st.booleans()), min_size=1, max_size=80))
def test_whoever_waits_as_told_gets_through(asks: list[tuple[float, bool]]) -> None:
    budget, limits = Budget(), caps(Rate(18, 60))
    now = 0.0
    for step, durable in asks:
        now += step
        for _ in range(5):
            wait = budget.take("a", limits, now, durable=durable)
            if wait == 0.0:
                break
            now += wait + 1e-6
        else:
            raise AssertionError("it is told to wait for ever")


def test_previews_stretch_and_leave_room_for_finals() -> None:
    """One group, a preview wanted all the time: quick at first, then the fair rate, and a final always goes."""
    budget, limits = Budget(), caps(Rate(18, 60))
    now, made = 0.0, list[float]()
    while now < 120:
        if budget.take("g", limits, now, durable=False) == 0.0:
            made.append(now)
        now += 0.05
    gaps = [b - a for a, b in pairwise(made)]
    assert gaps[0] < 1.3
    assert gaps[:6] == sorted(gaps[:6]), "slower and slower"
    assert max(gaps) < 6.0, "and never frozen"
    assert len(made) > 28, "and still about as many as the limit allows"
    assert budget.take("g", limits, now, durable=True) == 0.0
    assert budget.take("g", limits, now, durable=True) == 0.0


def test_in_private_a_preview_a_second_goes_on() -> None:
    budget, limits = Budget(), caps(Rate(60, 60))
    now, made = 0.0, 0
    while now < 50:
        made += budget.take("p", limits, now, durable=False) == 0.0
        now += 0.05
    assert made >= 45


def test_a_hold_stops_everything_in_its_chat_and_nothing_elsewhere() -> None:
    budget, limits = Budget(), caps(Rate(60, 60))
    budget.take("a", limits, 0.0, durable=True)
    budget.hold("a", 0.0, 30.0)
    assert 29.9 < budget.take("a", limits, 0.1, durable=True) < 30.1
    assert budget.take("b", limits, 0.1, durable=True) == 0.0
    assert budget.take("a", limits, 30.2, durable=True) == 0.0


def test_a_hold_of_the_bot_stops_every_chat() -> None:
    budget, limits = Budget(), caps(Rate(60, 60))
    budget.take("a", limits, 0.0, durable=True)
    budget.hold("a", 0.0, 5.0, whole_bot=True)
    assert budget.take("b", limits, 1.0, durable=True) > 4.0
    assert budget.spend("", 1.0, durable=True) > 4.0


def test_calls_of_an_adapters_own_count() -> None:
    budget, limits = Budget(), caps(Rate(3, 60))
    assert budget.take("a", limits, 0.0, durable=True) == 0.0
    budget.spent("a", 0.0, 1)
    assert budget.spend("a", 0.0, durable=True) == 0.0
    assert budget.take("a", limits, 0.0, durable=True) == 60.0


def test_refusals_in_many_chats_mean_the_whole_bot() -> None:
    budget, limits = Budget(), caps(Rate(60, 60))
    for chat in ("a", "b", "c", "d"):
        budget.take(chat, limits, 0.0, durable=True)
    budget.hold("a", 0.0, 7000.0)
    budget.hold("b", 0.1, 3.0)
    assert budget.take("d", limits, 0.2, durable=True) == 0.0, "two may be a coincidence"
    budget.hold("c", 0.3, 3.0)
    assert 1.9 < budget.take("d", limits, 1.4, durable=True) < 3.0
    assert budget.take("d", limits, 4.0, durable=True) == 0.0, "one chat's long ban is its own"
    assert budget.take("b", limits, 4.0, durable=True) > 0.0, "and then one after the other"
    assert budget.take("a", limits, 100.0, durable=True) > 6000.0


def test_after_a_penalty_those_who_waited_do_not_go_out_all_at_once() -> None:
    budget, limits = Budget(), caps(Rate(18, 60))
    budget.take("g", limits, 0.0, durable=True)
    budget.hold("g", 0.0, 5.0)
    assert budget.take("g", limits, 6.0, durable=True) == 0.0
    assert budget.take("g", limits, 6.1, durable=True) > 3.0


SILENT = Caps(fits=lambda text: True, live=True, rate=Rate(60, 60.0), bot_rate=Rate(30, 1.0))


def test_a_silence_outlives_a_restart() -> None:
    noted: list[dict[str, float]] = []
    before = Budget()
    before.take("7", SILENT, 0.0, durable=True)
    before.on_hold = lambda: noted.append(before.holds(10.0))
    before.hold("7", 10.0, 0.5)
    assert noted == [], "over before a restart would be"
    before.hold("7", 10.0, 60.0)
    after = Budget()
    after.restore(noted[-1], 1000.0)
    assert after.take("7", SILENT, 1000.0, durable=True) == pytest.approx(60.0, abs=0.2)
    assert after.take("8", SILENT, 1000.0, durable=True) == 0.0
    assert after.take("7", SILENT, 1060.2, durable=True) == 0.0


def test_a_silence_of_the_whole_bot_outlives_a_restart() -> None:
    after = Budget()
    after.restore({"": 30.0}, 1000.0)
    assert after.take("7", SILENT, 1000.0, durable=True) == pytest.approx(30.0)
