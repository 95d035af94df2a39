"""The laws of an answer in messages that cannot be changed, for any answer and any pattern of failures and restarts."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.answer import Sent, Tried
from bridge.model import Caps, File, Show
from bridge.segments import IDLE, LOOK, SEGMENT, Segments

MORE, ANEW = "(more)", "(anew)"
BLOCK = "```python\n" + "print('hello')\n" * 4 + "```\n"
TABLE = "| h | h |\n|---|---|\n" + "| 1 | 2 |\n" * 5
TOKENS = st.lists(
    st.one_of(
        st.text("ab ,.。，\n中文🙂", max_size=30),
        st.sampled_from(["**bold**", "\n\n", f"\n{BLOCK}", f"\n\n{TABLE}\n", "- item\n", "x" * 90, "一句话。" * 20]),
    ),
    max_size=40,
)
MARKS = re.compile(r"\s|`|python|[|h-]")
"""What a cut may add: fence marks, and the header of a table."""


def caps(limit: int = 2000, sends: int | None = None) -> Caps:
    return Caps(fits=lambda text: len(text) <= limit, live=False, sends=sends)


def bare(text: str) -> str:
    return MARKS.sub("", text)


def drive(
    presenter: Segments, tokens: list[str], failures: Iterable[bool] = (), step: float = 0.1, note: str = ""
) -> list[str]:
    """Feed the tokens one by one, then end; looks whenever the presenter wants to. The texts that were sent."""
    now, fail, sent = 0.0, iter(failures), list[str]()

    def look() -> None:
        while op := presenter.next(now):
            assert op.final
            assert op.text.strip(), "an empty message"
            if next(fail, False):
                presenter.place_first()
                presenter.failed(now)
                assert presenter.next(now) == op, "what may have arrived is sent again as it was"
            sent.append(op.text)

    for token in tokens:
        now += step
        presenter.feed(token, now)
        if presenter.resting or now >= presenter.wake_at():
            look()
    presenter.end(note)
    look()
    assert presenter.done
    assert presenter.next(now + 1e6) is None
    return sent


@given(
    TOKENS,
    st.integers(60, 300),
    st.lists(st.booleans(), max_size=20),
    st.sampled_from([0.0, 0.1, 4.0]),
    st.sampled_from(["", "⏹ stopped"]),
)
def test_whatever_comes_is_sent_whole_and_once(
    tokens: list[str], limit: int, failures: list[bool], step: float, note: str
) -> None:
    presenter = Segments(caps(limit))
    texts = drive(presenter, tokens, failures, step, note)
    assert all(len(text) <= limit for text in texts)
    assert presenter.rest().strip() == ""
    assert bare("".join(texts)) == bare("".join(tokens) + note)


@given(TOKENS, st.integers(1, 5), st.integers(60, 300), st.sampled_from([0.1, 4.0]))
def test_the_budget_is_kept_and_the_rest_is_told(tokens: list[str], sends: int, limit: int, step: float) -> None:
    presenter = Segments(caps(limit, sends), more=MORE)
    texts = drive(presenter, tokens, step=step)
    assert len(texts) <= sends
    assert all(len(text) <= limit for text in texts)
    rest = presenter.rest()
    assert [text for text in texts if text.endswith(MORE)] == (texts[-1:] if rest.strip() else [])
    assert bare("".join(texts).removesuffix(MORE) + rest) == bare("".join(tokens))


@given(TOKENS, st.integers(1, 3), st.integers(100, 300))
def test_as_many_continues_as_needed_bring_all_of_it(tokens: list[str], sends: int, limit: int) -> None:
    texts, owed = list[str](), "".join(tokens)
    while owed.strip():
        presenter = Segments(caps(limit, sends), owed=owed, more=MORE)
        texts += [text.removesuffix(MORE) for text in drive(presenter, [])]
        assert len(presenter.rest()) < len(owed) or not texts
        owed = presenter.rest()
    assert bare("".join(texts)) == bare("".join(tokens))


@given(TOKENS, st.sampled_from([0.1, 4.0]))
def test_no_block_is_cut_that_fits_into_a_message(tokens: list[str], step: float) -> None:
    texts = drive(
        Segments(caps(1000, 5)), ["Some words first.\n\n", *tokens, f"\n\n{BLOCK}\nand\n\n{TABLE}"], step=step
    )
    sent = "\n\n".join(texts)
    assert sent.count("```") == 2 * sent.count("```python"), "a fence was closed and opened again"
    assert sent.count("|---|---|") == "".join([*tokens, TABLE]).count("|---|---|"), "a table's header was repeated"


@given(TOKENS, st.integers(80, 300), st.data())
def test_a_restart_goes_on_behind_what_was_sent(tokens: list[str], limit: int, data: st.DataObject) -> None:
    """The process ends after any number of messages; the next one gets the same words in other pieces."""
    whole = drive(Segments(caps(limit)), tokens)
    presenter, seen = Segments(caps(limit)), list[str]()
    for now, token in enumerate(tokens):
        presenter.feed(token, float(now))
    presenter.end()
    sent = Sent()
    for _ in range(data.draw(st.integers(0, len(whole)), label="messages before the end")):
        if op := presenter.next(1e3):
            seen.append(op.text)
            sent = presenter.sent
    again = Segments(caps(limit), parts=len(seen), sent=sent, anew=ANEW)
    text = "".join(tokens)
    pieces = [text[at : at + 7] for at in range(0, len(text), 7)]
    seen += drive(again, pieces)
    assert bare("".join(seen)) == bare(text)


def test_a_message_that_may_have_arrived_before_a_restart_is_sent_again_as_it_was() -> None:
    first = Segments(caps())
    first.feed("一句话。" * 60, 0.0)
    op = first.next(0.0)
    assert op is not None
    again = Segments(caps(), tried=Tried(op.text, first.sent), anew=ANEW)
    assert drive(again, ["一句话。" * 80])[0] == op.text
    whole = Segments(caps(), tried=Tried(op.text, first.sent), anew=ANEW)
    assert bare("".join(drive(whole, ["一句话。" * 80]))) == "一句话。" * 80
    other = Segments(caps(), tried=Tried(op.text, first.sent), anew=ANEW)
    assert drive(other, ["Something else."]) == [op.text, f"{ANEW}\n\nSomething else."]


@given(TOKENS, st.sampled_from([False, True]))
def test_another_answer_after_a_restart_begins_anew_and_says_so(tokens: list[str], shorter: bool) -> None:
    sent = Sent("An answer that began with other words." if not shorter else "".join(tokens) + "and more words")
    texts = drive(Segments(caps(), parts=1, sent=sent, anew=ANEW), tokens)
    text = "".join(tokens)
    if text.strip():
        assert texts[0].startswith(ANEW)
        assert bare("".join(texts)) == bare(ANEW + text)


def test_the_first_message_comes_early_and_the_next_ones_grow() -> None:
    presenter = Segments(caps(2000, 5))
    texts = drive(presenter, [f"Sentence number {number:4}. " for number in range(200)])
    assert len(texts) == 5
    assert SEGMENT * 0.5 < len(texts[0]) < SEGMENT * 2
    assert all(len(longer) > 1.3 * len(text) for text, longer in itertools.pairwise(texts))
    assert all(text.endswith(".") for text in texts)


def test_an_app_that_pauses_shows_what_it_has_said() -> None:
    presenter = Segments(caps(2000, 5))
    presenter.feed("一句话。" * 45, 0.0)
    first = presenter.next(0.0)
    assert first is not None
    presenter.feed("又一句话。" * 30, 1.0)
    assert presenter.next(1.0) is None, "not enough for a second one yet"
    assert presenter.wake_at() == 1.0 + LOOK
    paused = presenter.next(1.0 + IDLE)
    assert paused is not None
    assert paused.part == 1


def test_nobody_looks_at_a_text_that_does_not_grow() -> None:
    presenter = Segments(caps())
    assert presenter.next(0.0) is None
    assert (presenter.wake_at(), presenter.resting) == (math.inf, True)
    presenter.feed("Some words.", 5.0)
    assert presenter.next(5.0) is None
    assert (presenter.wake_at(), presenter.resting) == (5.0 + LOOK, False)
    assert presenter.next(9.0) is None
    assert (presenter.wake_at(), presenter.resting) == (math.inf, True)


def test_the_rest_of_an_earlier_answer_stands_in_a_message_of_its_own() -> None:
    texts = drive(Segments(caps(2000, 5), owed="The end of it."), ["A new answer."])
    assert texts == ["The end of it.", "A new answer."]
    at_once = Segments(caps(2000, 5), owed="The end of it.")
    at_once.feed("A new answer.", 0.0)
    assert drive(at_once, []) == texts


def test_an_earlier_answer_ends_in_code_that_is_closed() -> None:
    presenter = Segments(caps(40, 1), more=MORE, owed="```\n" + "x = 1\n" * 10 + "```")
    [text] = drive(presenter, [])
    assert text.count("```") == 2
    assert presenter.rest().startswith("```\nx = 1")


def test_the_text_is_the_answers_own() -> None:
    presenter = Segments(caps(), owed="Of before.")
    presenter.feed("Now.", 0.0)
    assert presenter.text == "Now."


@pytest.mark.parametrize("how", ["window", "refused"])
def test_what_may_not_be_sent_any_more_is_the_rest(how: str) -> None:
    presenter = Segments(caps(100), until=10.0 if how == "window" else math.inf)
    presenter.feed("一句话。" * 15, 0.0)
    presenter.feed("又一句话。" * 40, 0.0)
    first = presenter.next(0.0)
    assert first is not None
    now = 11.0 if how == "window" else 1.0
    if how == "refused":
        assert presenter.next(now) is not None
        presenter.exhausted()
    assert presenter.next(now) is None
    assert not presenter.done, "the answer is not whole yet"
    presenter.feed("The end.", now)
    presenter.end()
    assert presenter.next(now) is None
    assert presenter.done
    assert bare(first.text + presenter.rest()) == bare("一句话。" * 15 + "又一句话。" * 40 + "The end.")


def test_files_come_after_the_text_and_count() -> None:
    files = tuple(File(f"https://x/{name}.png", name, True) for name in "abc")
    presenter = Segments(caps(2000, 3))
    presenter.feed("Look:", 0.0)
    presenter.end(files=files)
    shows: list[Show] = []
    while op := presenter.next(1.0):
        assert presenter.once
        shows.append(op)
    assert [(op.part, op.text, op.files) for op in shows] == [(0, "Look:", ()), (1, "", files[:1]), (2, "", files[1:2])]
    assert presenter.done


def test_the_sign_of_writing_stays_until_the_end() -> None:
    presenter = Segments(caps())
    presenter.feed("一句话。" * 45, 0.0)
    assert presenter.next(0.0) is not None
    assert presenter.expecting
    presenter.end()
    assert not presenter.expecting
