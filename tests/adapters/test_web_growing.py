"""Text that grows: however it comes, the HTML is that of the whole, and finished blocks stay."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from adapters.web import growing
from adapters.web.render import html
from bridge.model import Show

LINES = st.lists(
    st.sampled_from(
        ["", "word", "- item", "* * *", "1. one", "2", "  more", "```", "````", "~~~", "# Title", "> said", "-"]
    )
)


@given(LINES.map("\n".join), st.data())
def test_a_boundary_stays_one_whatever_follows(text: str, data: st.DataObject) -> None:
    head = text[: data.draw(st.integers(0, len(text)))]
    end = growing.finished(head)
    assert 0 <= end <= len(head) and (end == 0 or text[:end].endswith("\n"))
    assert growing.finished(text, end) == growing.finished(text) >= end


@given(LINES.map("\n".join), st.data())
def test_however_a_text_grows_its_end_is_the_whole(text: str, data: st.DataObject) -> None:
    part = growing.Growing()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    before: list[str] = []
    for end in cuts:
        part.draw(Show(text=text[:end]))
        assert part.done[: len(before)] == before and part.age == 0
        before = list(part.done)
    part.draw(Show(text=text, final=True))
    assert "".join(part.done) + part.tail == html(text)


def test_an_open_fence_or_list_is_not_cut() -> None:
    assert growing.finished("One.\n\n```\na\n\nb") == 6
    assert growing.finished("One.\n\n```\na\n\nb\n```\n\nTwo") == 20
    assert growing.finished("- a\n\n  b\n\n- c\n\n1") == 0
    assert growing.finished("- a\n\n**b** and") == 5
