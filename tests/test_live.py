"""The laws of an answer that grows, for any answer, any platform and any pattern of failures."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.answer import Sent
from bridge.live import Live
from bridge.model import Caps, File, Show

SPACE = re.compile(r"\s+")
TOKENS = st.lists(
    st.one_of(
        st.text("ab ,.。，\n中文🙂", max_size=30),
        st.sampled_from(
            ["**bold**", "\n\n", "\n```python\n", "\n```\n", "| h | h |\n|---|---|\n| 1 | 2 |\n", "- item\n", "x" * 90]
        ),
    ),
    max_size=40,
)


@dataclass
class Screen:
    """A platform: holds what was shown, checks every operation against the laws as it comes."""

    limit: int
    places: bool = True
    grows: bool = False
    parts: dict[int, list[Show]] = field(default_factory=dict)

    def fits(self, text: str) -> bool:
        return len(text) <= self.limit

    def take(self, op: Show) -> None:
        shows = self.parts.setdefault(op.part, [])
        assert self.fits(op.text)
        if op.thinking:
            assert self.fits("\n".join(f"> {line}" for line in op.thinking.splitlines()) + f"\n\n{op.text}")
        assert not any(show.final for show in shows), "something came after the final"
        assert op != (shows[-1] if shows else None), "an unchanged text was shown again"
        if not shows and op.text and self.places:
            assert not op.final, "the first call of a part was its final text"
        if self.grows and shows and not op.final:
            assert op.text.startswith(shows[-1].text), "a preview is not the beginning of the next one"
        shows.append(op)

    def texts(self) -> list[str]:
        return [shows[-1].text for _, shows in sorted(self.parts.items())]


def solid(text: str) -> str:
    return SPACE.sub("", text)


def drive(presenter: Live, screen: Screen, tokens: list[str], failures: list[bool], step: float, note: str) -> None:
    """Feed the tokens one by one, then end; the clock moves as it likes. Fails when it does not terminate."""
    now, fail = 0.0, iter(failures)

    def pump() -> None:
        nonlocal now
        for _ in range(2_000):
            op = presenter.next(now)
            if op is None:
                return
            if next(fail, False):
                presenter.failed(now, 0.2)
                now += 0.2
            else:
                assert presenter.once == (op.final and not screen.places), "sent twice, there twice"
                screen.take(op)
        raise AssertionError("it does not come to rest")

    for number, token in enumerate(tokens):
        now += step
        if number % 3 == 2:
            presenter.think(token)
        else:
            presenter.feed(token, now)
        pump()
        if now >= presenter.wake_at():
            op = presenter.next(now)
            assert op is not None, "it asked to be woken for nothing"
            screen.take(op)
    presenter.end(note)
    for _ in range(1_000):
        pump()
        if presenter.done:
            return
        now += 0.5
    raise AssertionError("it does not end")


@settings(max_examples=200)
@given(
    TOKENS,
    st.integers(60, 300),
    st.lists(st.booleans(), max_size=30),
    st.sampled_from([0.0, 0.01, 0.3, 2.0]),
    st.sampled_from(["", "⏹ stopped"]),
    st.booleans(),
    st.booleans(),
    st.sampled_from([math.inf, 4.0]),
)
def test_whatever_comes_ends_whole_on_the_screen(
    tokens: list[str],
    limit: int,
    failures: list[bool],
    step: float,
    note: str,
    places: bool,
    grows: bool,
    part_lasts: float,
) -> None:
    screen = Screen(limit, places, grows)
    presenter = Live(Caps(fits=screen.fits, live=True, places=places, grows=grows, part_lasts=part_lasts), 0.0)
    drive(presenter, screen, tokens, failures, step, note)
    tokens = [token for number, token in enumerate(tokens) if number % 3 != 2]
    assert all(shows[-1].final for shows in screen.parts.values()), "a part was left without its final"
    assert sorted(screen.parts) == list(range(len(screen.parts)))
    assert presenter.rest() == ""
    # A cut may add fence marks and repeat a table's header; without those, every character is there once, in order.
    marks = re.compile(r"\s|`|python|[|h-]")
    shown = "".join(marks.sub("", text) for text in screen.texts())
    assert shown == marks.sub("", "".join(tokens) + (f"\n\n{note}" if note else ""))


@settings(max_examples=100)
@given(st.text("ab 中。\n", max_size=3_000), st.integers(200, 2_000))
def test_what_a_platform_finds_too_big_is_cut_until_it_takes_it(text: str, takes: int) -> None:
    screen = Screen(3_000)
    presenter = Live(Caps(fits=screen.fits, live=True), 0.0)
    presenter.feed(text, 0.0)
    presenter.end()
    now = 0.0
    while not presenter.done:
        now += 1.0
        while op := presenter.next(now):
            if len(op.text) <= takes:
                screen.take(op)
            else:
                assert presenter.overfull()
    assert solid("".join(screen.texts())) == solid(text)


def test_a_short_text_is_refused_for_another_reason_than_its_size() -> None:
    presenter = Live(Caps(fits=lambda text: True, live=True), 0.0, shown=1)
    presenter.feed("short", 0.0)
    presenter.end()
    first = presenter.next(0.0)
    assert not presenter.overfull()
    presenter.failed(0.0)
    assert presenter.next(0.0) == first


def test_an_empty_answer_ends_with_one_final_show() -> None:
    presenter = Live(Caps(fits=lambda text: True, live=True), 0.0)
    presenter.end()
    assert presenter.next(0.0) == Show(part=0, final=True)
    assert presenter.next(0.0) is None
    assert presenter.done


def test_silence_gets_a_status_line_and_then_first_words() -> None:
    presenter = Live(Caps(fits=lambda text: True, live=True, interval=1.0), 0.0)
    assert presenter.next(0.5) is None
    assert presenter.wake_at() == 1.0
    presenter.status("Searching")
    waiting = presenter.next(1.0)
    assert waiting is not None
    assert (waiting.status, waiting.text) == ("Searching", "")
    presenter.feed("Hello", 1.1)
    assert presenter.next(1.2) is None, "the interval binds"
    assert presenter.wake_at() == 2.2
    words = presenter.next(2.2)
    assert words is not None
    assert words.text == "Hello"
    presenter.end()
    final = presenter.next(2.3)
    assert final == Show(part=0, text="Hello", final=True), "a final goes at once"


def test_an_earlier_and_longer_attempt_is_taken_off_the_screen() -> None:
    """After a restart three messages are there; the new answer needs one: it changes the first and removes two."""
    presenter = Live(Caps(fits=lambda text: True, live=True), 0.0, shown=3)
    presenter.feed("short", 0.0)
    presenter.end()
    shows = []
    while (op := presenter.next(0.0)) is not None:
        shows.append(op)
    assert shows == [Show(part=0, text="short", final=True), Show(part=1, final=True), Show(part=2, final=True)]
    assert presenter.done


def test_nothing_is_asked_for_while_nothing_is_new() -> None:
    presenter = Live(Caps(fits=lambda text: True, live=True), 0.0)
    presenter.feed("x" * 50, 0.0)
    first = presenter.next(0.0)
    assert first is not None
    assert first.text == "x" * 40 + "…", "only the first words, lest it be taken for the answer"
    assert presenter.next(100.0) is None, "the interval counts from the delivery"
    assert presenter.wake_at() == 101.0
    more = presenter.next(101.0)
    assert more is not None
    assert more.text == "x" * 50
    assert presenter.next(200.0) is None
    assert presenter.wake_at() == math.inf


def test_where_a_send_can_be_repeated_a_part_may_begin_with_its_final_text() -> None:
    presenter = Live(Caps(fits=lambda text: True, live=True, idempotent=True), 0.0)
    presenter.feed("Whole.", 0.0)
    presenter.end()
    assert presenter.next(0.0) == Show(text="Whole.", final=True)
    assert not presenter.once


def aging() -> Caps:
    return Caps(fits=lambda text: True, live=True, part_lasts=100.0, lasts=40.0)


def shown(presenter: Live, now: float, until: float) -> list[Show]:
    """What is shown from now until then, while nothing comes."""
    ops = list[Show]()
    while (now := max(now, presenter.wake_at())) <= until:
        while op := presenter.next(now):
            ops.append(op)
    return ops


def test_a_part_is_ended_before_it_cannot_be_changed_any_more() -> None:
    presenter = Live(aging(), 0.0)
    assert presenter.next(0.0) is None
    presenter.feed("One sentence. Another sentence. A third that goes", 1.0)
    ops = shown(presenter, 1.0, 190.0)
    assert ops[-1] == Show(part=1, text="A third that goes")
    assert [op for op in ops if op.part == 0][-1] == Show(part=0, text="One sentence. Another sentence.", final=True)
    presenter.feed(" on.", 195.0)
    presenter.end()
    last = presenter.next(195.0)
    assert last == Show(part=last.part if last else 0, text="A third that goes on.", final=True)


def test_a_silent_part_keeps_its_status_when_it_is_ended() -> None:
    presenter = Live(aging(), 0.0)
    presenter.status("Searching …")
    assert shown(presenter, 0.0, 150.0)[-1] == Show(part=0, status="Searching …", final=True)
    presenter.feed("Found it, and this is what it says.", 160.0)
    presenter.end()
    assert presenter.next(160.0) == Show(part=1, text="", status="…")
    assert presenter.next(160.0) == Show(part=1, text="Found it, and this is what it says.", final=True)


def test_another_attempt_goes_on_behind_what_was_ended() -> None:
    caps = aging()
    again = Live(caps, 0.0, shown=2, sent=Sent("One sentence. ", "", 1), anew="(anew)")
    again.feed("One sen", 0.0)
    assert again.next(1.0) is None
    again.feed("tence. Another.", 2.0)
    again.end()
    assert again.next(2.0) == Show(part=1, text="Another.", final=True)
    other = Live(caps, 0.0, shown=1, sent=Sent("One sentence. ", "", 1), anew="(anew)")
    other.feed("Quite different.", 0.0)
    other.end()
    assert other.next(1.0) == Show(part=1, status="…")
    assert other.next(1.0) == Show(part=1, text="(anew)\n\nQuite different.", final=True)


def test_the_rest_of_an_earlier_answer_comes_first() -> None:
    presenter = Live(Caps(fits=lambda text: True, live=True), 0.0, shown=1, owed="the rest")
    presenter.feed("This answer.", 0.0)
    presenter.end()
    assert presenter.next(0.0) == Show(part=0, text="the rest\n\nThis answer.", final=True)
    assert presenter.text == "This answer."


def test_what_is_shown_before_the_words_does_not_hold_them_up() -> None:
    presenter = Live(Caps(fits=lambda text: True, live=True, interval=0.3, slowest=3.0, previews=25), 0.0)
    now = 0.0
    for number in range(40):
        now += 2.0
        presenter.think(f"thought {number} ")
        presenter.status(f"node {number}")
        presenter.next(now)
    presenter.feed("First words, and enough of them to show at once.", now)
    assert presenter.wake_at() <= now + 0.3
    first = presenter.next(now + 0.3)
    assert first is not None
    assert first.text.startswith("First words")


def test_what_an_earlier_process_has_shown_is_not_replaced_by_a_status() -> None:
    presenter = Live(Caps(fits=lambda text: True, live=True), 0.0, shown=1)
    presenter.status("Searching")
    assert presenter.next(60.0) is None


def test_an_unchanged_preview_is_shown_again_before_it_fades() -> None:
    presenter = Live(Caps(fits=lambda text: True, live=True, places=False, lasts=20.0), 0.0)
    presenter.feed("x" * 50, 0.0)
    first = presenter.next(0.0)
    assert presenter.next(10.0) is None
    assert presenter.wake_at() == 30.0
    assert presenter.next(30.0) == first


def test_without_previews_nothing_is_shown_before_the_end() -> None:
    presenter = Live(Caps(fits=lambda text: len(text) < 100, live=True, places=False, interval=math.inf), 0.0)
    presenter.status("Searching")
    presenter.feed("word " * 15, 0.0)
    assert presenter.next(60.0) is None
    assert presenter.wake_at() == math.inf
    presenter.end()
    assert presenter.next(60.0) == Show(text=("word " * 15).strip(), final=True)
    assert presenter.once


def test_reasoning_is_shown_while_there_is_nothing_else_and_stays_above_the_text() -> None:
    presenter = Live(Caps(fits=lambda text: True, live=True), 0.0)
    presenter.think("Let me think. " * 200)
    silent = presenter.next(1.0)
    assert silent is not None
    assert silent.status
    assert 0 < len(silent.thinking) <= 1200
    assert silent.thinking.endswith("Let me think."), "its end is what is new"
    assert silent.thinking.startswith(("…Let", "…me", "…think."))
    presenter.feed("Now I know.", 1.5)
    presenter.end()
    final = presenter.next(2.0)
    assert final is not None
    assert (final.text, final.thinking, final.final) == ("Now I know.", silent.thinking, True)


FILES = File("http://x/a.png", "a.png", image=True), File("http://x/b.pdf", "b.pdf")


def test_files_come_behind_the_text_as_parts_of_their_own() -> None:
    presenter = Live(Caps(fits=lambda text: True, live=True), 0.0)
    presenter.feed("Here they are.", 0.0)
    presenter.end("", FILES)
    shows = []
    while (op := presenter.next(0.0)) is not None:
        assert presenter.once == bool(op.files)
        shows.append(op)
    assert [(op.part, op.text, op.files) for op in shows if op.final] == [
        (0, "Here they are.", ()),
        (1, "", FILES[:1]),
        (2, "", FILES[1:]),
    ]
    assert presenter.done


def test_files_that_were_sent_before_a_restart_are_not_sent_again() -> None:
    presenter = Live(Caps(fits=lambda text: True, live=True), 0.0, shown=1, filed=1)
    presenter.feed("Here they are.", 0.0)
    presenter.end("", FILES)
    shows = []
    while (op := presenter.next(0.0)) is not None:
        shows.append(op)
    assert [(op.part, op.files) for op in shows] == [(0, ()), (2, FILES[1:])]


def test_a_file_that_is_given_up_does_not_hold_up_the_next() -> None:
    presenter = Live(Caps(fits=lambda text: True, live=True), 0.0, shown=1)
    presenter.feed("Here.", 0.0)
    presenter.end("", FILES)
    presenter.next(0.0)
    first = presenter.next(0.0)
    assert first is not None
    presenter.failed(0.0, 1.0)
    assert presenter.next(1.0) == first
    second = presenter.next(1.0)
    assert second is not None
    assert second.files == FILES[1:]
