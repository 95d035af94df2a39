"""bridge.think: tags separate thinking from the answer, however the text is cut."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.think import Thoughts


def streamed(pieces: list[str]) -> tuple[str, str]:
    thoughts = Thoughts()
    both = [*map(thoughts.feed, pieces), thoughts.end()]
    return "".join(text for text, _ in both), "".join(thinking for _, thinking in both)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<think>想</think>答", ("答", "想")),
        ("a<think>b</think>c<think>d</think>e", ("ace", "bd")),
        ("<think>never closed", ("", "never closed")),
        ("no opening</think>", ("no opening</think>", "")),
        ("a < b <b> <thin", ("a < b <b> <thin", "")),
        ("<think>a </thin", ("", "a </thin")),
        ("<<think>x</</think>y", ("<y", "x</")),
        ("", ("", "")),
    ],
)
def test_literal(text: str, expected: tuple[str, str]) -> None:
    assert streamed([text]) == expected
    assert streamed(list(text)) == expected


@settings(max_examples=200)
@given(
    st.lists(st.sampled_from(["<think>", "</think>", "<", "/", "think", ">", "a", "电"]), max_size=10).map("".join),
    st.data(),
)
def test_any_split_is_like_the_whole(text: str, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    pieces = [text[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    whole = streamed([text])
    assert streamed(pieces) == streamed(list(text)) == whole
    tags = len(text) - len(whole[0]) - len(whole[1])  # nothing is lost but tags
    assert tags == 0 or tags in {7 * a + 8 * b for a in range(11) for b in (a - 1, a)}
