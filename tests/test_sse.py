"""bridge.sse: any bytes, any split, the same events."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.sse import Reader, TooLong


def read(body: bytes, size: int | None = None) -> list[tuple[str, str]]:
    reader = Reader()
    size = size or max(1, len(body))
    events = [event for at in range(0, len(body), size) for event in reader.feed(body[at : at + size])]
    return events + reader.end()


@pytest.mark.parametrize(
    ("body", "events"),
    [
        ("event: answer\ndata: {}\n\n", [("answer", "{}")]),
        ("data: [DONE]\n\n", [("", "[DONE]")]),
        ("data:{}\n\n", [("", "{}")]),
        ("data:  two spaces\n\n", [("", " two spaces")]),
        ("data: a\ndata: b\n\n", [("", "a\nb")]),
        ("data: \n\n", [("", "")]),
        ("data\n\n", [("", "")]),
        ("event: ping\n\ndata: x\n\n", [("", "x")]),  # an event without data is none, and leaves no name behind
        (": keep-alive\n\nid: 7\nretry: 10\ndata: x\n\n", [("", "x")]),
        ('{"a":1}\n\n[1]\n\n', [("", '{"a":1}'), ("", "[1]")]),
        ("\ufeffdata: x\n\n", [("", "x")]),
        ("data: \ufeffx\n\n", [("", "\ufeffx")]),
        ("data: x\n", [("", "x")]),
        ("event: answer\ndata: x", [("answer", "x")]),
        ("data: x\r\r", [("", "x")]),
        ("data: x\r\n\r\ndata: y\r\n\r\n", [("", "x"), ("", "y")]),
        ("data: a\u2028b\u0085c\x0bd\n\n", [("", "a\u2028b\u0085c\x0bd")]),
        ("", []),
        ("\n\n\n", []),
    ],
)
@pytest.mark.parametrize("size", [None, 1, 2])
def test_literal(body: str, events: list[tuple[str, str]], size: int | None) -> None:
    assert read(body.encode(), size) == events


def test_bytes_that_are_no_utf8_become_replacement_characters() -> None:
    assert read(b"data: a\xe7\x94\ndata: \xff\n\n", 1) == [("", "a\ufffd\n\ufffd")]


def test_an_event_comes_with_its_empty_line_and_not_later() -> None:
    for end in (b"\n\n", b"\r\n\r\n", b"\r\r"):
        assert Reader().feed(b"data: x" + end) == [("", "x")]


NAMES = st.sampled_from(["", "answer", "flowResponses"])
TEXTS = st.text(alphabet="{}[]:d \u2028\u0085\x0b\ufeff电😀é", max_size=12)


@settings(max_examples=150)
@given(st.lists(st.tuples(NAMES, TEXTS), max_size=6), st.sampled_from(["\n", "\r", "\r\n"]), st.data())
def test_any_split_and_any_line_end(sent: list[tuple[str, str]], end: str, data: st.DataObject) -> None:
    lines = [f"event: {name}{end}data: {text}{end}{end}" if name else f"data: {text}{end}{end}" for name, text in sent]
    body = "".join(lines).encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=8)))
    reader = Reader()
    events = []
    for start, stop in zip([0, *cuts], [*cuts, len(body)], strict=True):
        events += reader.feed(body[start:stop])
    events += reader.end()
    assert events == sent
    assert read(body, 1) == read(body, 7) == read(body, 4093) == sent


@pytest.mark.parametrize("size", [7, 4093, 65536])
def test_a_long_line(size: int) -> None:
    long = "电" * 500_000
    assert read(f"event: flowResponses\ndata: {long}\n\n".encode(), size) == [("flowResponses", long)]


def test_what_is_held_is_bounded() -> None:
    with pytest.raises(TooLong):
        Reader(limit=10).feed(b"data: 123456")
    many = Reader(limit=10)
    with pytest.raises(TooLong):
        for _ in range(4):
            many.feed(b"data: 123\n")
    fine = Reader(limit=10)
    for _ in range(100):
        assert fine.feed(b"data: 1234\n\n") == [("", "1234")]
