"""bridge.cite: the marks go, everything else stays, however the text is cut."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.cite import LONGEST, Marks, strip

ID = "65bb346a0123456789abcdef"


def streamed(pieces: list[str]) -> str:
    marks = Marks()
    return "".join(map(marks.feed, pieces)) + marks.end()


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        (f"新海诚[{ID}](CITE)。", "新海诚。"),
        (f"新海诚[{ID}](QUOTE)。", "新海诚。"),
        (f"新海诚[{ID}]。", "新海诚。"),
        ("新海诚[id](CITE)。", "新海诚。"),
        (f"新海诚【{ID}】（CITE）。", "新海诚。"),
        (f"新海诚【{ID}】(QUOTE)【{ID}】。", "新海诚。"),
        (f"a[{ID}](CITE", "a"),  # the answer was cut there
        (f"a[{ID}](CI", "a"),
        (f"a[{ID}](CITE b", "a b"),
        (f"a[{ID}](see below) b", "a(see below) b"),
        (f"a[{ID}][{ID}](CITE)b", "ab"),
        ("[id](https://example.com)", "[id](https://example.com)"),
        ("[link](https://example.com) a[0] [abc] 【注】", "[link](https://example.com) a[0] [abc] 【注】"),
        (f"[{ID[:-1]}](CITE)", f"[{ID[:-1]}](CITE)"),
        (f"[{ID.upper()}]", f"[{ID.upper()}]"),
        ("cut [65bb346a", "cut [65bb346a"),
    ],
)
def test_literal(text: str, plain: str) -> None:
    assert strip(text) == plain
    assert streamed([text]) == plain
    assert streamed(list(text)) == plain


PARTS = st.sampled_from(
    [f"[{ID}]", f"【{ID}】", "(CITE)", "(QUOTE)", "(CI", "（CITE）", "[id]", "[", "【", ID, "]", "(", ")", "a b", "电"]
)


@settings(max_examples=400)
@given(st.lists(PARTS, max_size=8).map("".join), st.data())
def test_any_split_is_like_the_whole(text: str, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    pieces = [text[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert streamed(pieces) == streamed(list(text)) == strip(text)


@settings(max_examples=200)
@given(st.text(alphabet="[]【】()ab id电CITE", max_size=80))
def test_nothing_waits_longer_than_a_mark(text: str) -> None:
    marks = Marks()
    shown = 0
    for number, character in enumerate(text, 1):
        shown += len(marks.feed(character))
        assert (
            number - shown < LONGEST
        )  # too short for a whole id: nothing of this text is ever a mark but "[id](CITE)"
        if "[id" in text or "【id" in text:
            return
    assert shown + len(marks.end()) == len(text)


def test_plain_text_does_not_wait() -> None:
    marks = Marks()
    for text in ("电影", " (CITE)", "a]", "b(c", "[链接", "](x)"):
        assert marks.feed(text) == text
