"""Feishu's cards: what a person sees of them and can press, and that the platform would take every one of them."""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from adapters.feishu.card import BYTES_MOST, TEXT, THINKING, card, message, summary
from adapters.feishu.inline import NO_WIDTH
from adapters.feishu.render import fits, rendered
from bridge.model import Button, Field, Form, Show, Source
from tests.fakes.feishu.cardschema import World, check_card
from tests.fakes.feishu.cardtext import words_of
from tests.markdown_texts import MARKDOWN

VALUE = {"g": "1", "t": "omt_1"}
WORLD = World(images=frozenset({"img_v3"}), people=frozenset(), at_all=False, tables_most=3, tables_in_one=3)
"""A tenant in which nobody can be mentioned."""
MENTION = "<at id=all></at>"

FULL = Show(
    text="# Title\n**bold** ![p](https://i/p.png)",
    thinking="first I think\nthen *more*",
    sources=(Source("1", "a.pdf"), Source("2", "b.md"), Source("3", "a.pdf")),
    form=Form("f1", "Ask", (Field("name", "Your name", required=True),)),
    buttons=(
        Button("good", "👍", "good"),
        Button("c1", "First\nchoice", "choice"),
        Button("https://x.example", "Open", "link"),
        Button("bad", "👎", "bad"),
    ),
    final=True,
)


def shown(op: Show, **images: str) -> dict[str, Any]:
    made = card(op, VALUE, streaming=False, images=images)
    check_card(made, WORLD)
    return made


def elements(made: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = made["body"]["elements"]
    return found


def size(value: object) -> int:
    return len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())


# ------------------------------------------------------------------ what is on it


def test_a_full_card_from_top_to_bottom() -> None:
    made = shown(FULL, **{"https://i/p.png": "img_v3"})
    assert [element["tag"] for element in elements(made)] == [
        "collapsible_panel",
        "markdown",
        "collapsible_panel",
        "form",
        "button",
        "button",
        "column_set",
    ]
    words = words_of(made)
    assert "\n".join(words.folded) == "first I think\nthen *more*\n1. a.pdf\n2. b.md"
    assert words.images == ["img_v3"]
    assert words.fields == ["name"]
    assert words.buttons == ["提交 · Submit", "First choice", "Open", "👍", "👎"]
    assert "📎 引用 · Sources (2)" in words.lines


def test_what_a_press_sends_back() -> None:
    _, _, _, form, choice, link, ratings = elements(shown(FULL))
    assert choice["behaviors"] == [{"type": "callback", "value": {"k": "c1", "g": "1", "t": "omt_1"}}]
    assert link["behaviors"] == [{"type": "open_url", "default_url": "https://x.example"}]
    assert form["elements"][-1]["behaviors"] == [{"type": "callback", "value": {"k": "f1", "g": "1", "t": "omt_1"}}]
    assert [column["elements"][0]["behaviors"][0]["value"]["k"] for column in ratings["columns"]] == ["good", "bad"]


def test_what_streams() -> None:
    op = Show(text="Hi **you**", thinking="hm", buttons=(Button("stop", "⏹ Stop", "stop"),))
    made = card(op, VALUE, streaming=True)
    check_card(made, WORLD)
    panel, text, stop = elements(made)
    assert (text["element_id"], text["content"]) == (TEXT, "Hi **you**")
    inner = panel["elements"][0]["text"]
    assert (inner["element_id"], inner["content"], panel["expanded"]) == (THINKING, "hm", False)
    assert stop["type"] == "danger"
    config = made["config"]
    assert config["streaming_mode"] is True
    assert config["update_multi"] is True
    speed = config["streaming_config"]
    assert 1000 / speed["print_frequency_ms"]["default"] * speed["print_step"]["default"] >= 80, "characters a second"
    assert card(op, VALUE, streaming=False)["config"] == {
        "streaming_mode": False,
        "update_multi": True,
        "summary": {"content": "Hi you"},
    }


def test_the_status_stands_in_place_of_the_text() -> None:
    [text] = elements(shown(Show(status=f"*Searching* {MENTION}…")))
    assert text["content"] == "&#42;Searching&#42; &#60;at id=all>&#60;/at>…"
    [text] = elements(shown(Show(text="words", status="Searching…")))
    assert text["content"] == "words"


def test_a_growing_card_has_a_place_for_its_text() -> None:
    assert [element["element_id"] for element in elements(shown(Show()))] == [TEXT]


def test_plain_is_words_and_opens_nothing() -> None:
    op = Show(text=f"# T\n**b** {MENTION} <b>", plain=True, buttons=FULL.buttons, final=True)
    made = shown(op)
    text = elements(made)[0]["text"]
    assert (text["tag"], text["element_id"], text["content"]) == ("plain_text", TEXT, f"T\n\nb {MENTION} <b>")
    assert "open_url" not in json.dumps(made)


def test_addresses_that_feishu_refuses_are_no_buttons() -> None:
    buttons = tuple(Button(key, "go", "link") for key in ("javascript:x", "ftp://x", "https://", "http://ok"))
    assert [e["behaviors"][0]["default_url"] for e in elements(shown(Show(text="t", buttons=buttons)))[1:]] == [
        "http://ok"
    ]


# ------------------------------------------------------------------ forms


def fields(*asked: Field) -> list[dict[str, Any]]:
    made = shown(Show(text="t", form=Form("k", "", asked)))
    found: list[dict[str, Any]] = elements(made)[1]["elements"]
    return found[:-1]


def test_the_kinds_of_a_field() -> None:
    made = fields(
        Field("a", "A", default="x" * 20, most=8),
        Field("b", "B", "paragraph", required=True),
        Field("c", "C", "number", default="5", most=3),
        Field("d", "D", "password"),
        Field("e", "E", "select", default="v2", options=(("one", "v1"), ("two", "v2"), ("again", "v1"), ("", "v3"))),
        Field("f", "F", "select"),
    )
    a, b, c, d, label, e, f = made
    assert (a["name"], a["label"]["content"], a["default_value"], a["max_length"]) == ("a", "A", "x" * 8, 8)
    assert (b["input_type"], b["required"], a["required"]) == ("multiline_text", True, False)
    assert (c["default_value"], c["max_length"], "input_type" in c) == ("5", 1000, False)
    assert d["input_type"] == "password"
    assert (label["text"]["content"], e["tag"], e["initial_index"]) == ("E", "select_static", 2)
    assert [(o["text"]["content"], o["value"]) for o in e["options"]] == [("one", "v1"), ("two", "v2"), ("v3", "v3")]
    assert f["tag"] == "input", "a menu without options is an input"


def test_names_in_a_form_are_unique() -> None:
    made = shown(Show(text="t", form=Form("k", "", (Field("form", "F"), Field("submit", "S"), Field("form", "G")))))
    assert words_of(made).fields == ["form", "submit"]


def test_a_long_menu_does_not_break_the_card(caplog: pytest.LogCaptureFixture) -> None:
    options = tuple((f"option {n}", str(n)) for n in range(150))
    made = fields(Field("a", "A", "select", options=options), Field("b", "B", "select", options=options))
    assert [len(menu["options"]) for menu in made[1::2]] == [45, 45]
    assert "105 options are left out" in caplog.text


# ------------------------------------------------------------------ summaries and messages


@pytest.mark.parametrize(
    ("op", "words"),
    [
        (Show(text="# Hi\n\n**there** <at id=all>"), "Hi there <at id=all>"),
        (Show(text="中" * 60), "中" * 49 + "…"),
        (Show(text="[r]: https://x", status="working"), "working"),
        (Show(status="working"), "working"),
        (Show(), ""),
    ],
)
def test_summary(op: Show, words: str) -> None:
    assert summary(op) == words
    assert shown(op)["config"]["summary"]["content"] == words


def test_a_post_says_the_same() -> None:
    table = "| a |\n|---|\n| 1 |"
    kind, content = message(Show(text=f"**b** {MENTION}\n\n{table}", buttons=FULL.buttons, final=True))
    assert kind == "post"
    [[part]] = content["zh_cn"]["content"]
    assert part == {
        "tag": "md",
        "text": f"**b** <{NO_WIDTH}at id=all><{NO_WIDTH}/at>\n\n```\n{table}\n```\n\n- First choice\n- Open: https://x.example",
    }


def test_a_plain_message_says_the_same() -> None:
    op = Show(text='**b** <at user_id="all"></at> 1 < 2', buttons=FULL.buttons, plain=True, final=True)
    kind, content = message(op)
    assert kind == "text"
    assert content == {
        "text": f'b <{NO_WIDTH}at user_id="all"><{NO_WIDTH}/at> 1 < 2\n\n- First choice\n- Open: https://x.example'
    }


def test_a_message_without_text_is_its_status() -> None:
    assert message(Show(status="⏹ Stopped", final=True))[1]["zh_cn"]["content"] == [
        [{"tag": "md", "text": "⏹ Stopped"}]
    ]


# ------------------------------------------------------------------ limits

BUTTONS = st.lists(
    st.builds(
        Button,
        key=st.just("k" * 40) | st.just("https://x.example/") | st.just("javascript:x"),
        label=st.text(max_size=150),
        role=st.sampled_from(["stop", "choice", "good", "bad", "retry", "suggest", "link"]),
    ),
    max_size=80,
).map(tuple)
SOURCES = st.lists(st.builds(Source, id=st.just("1"), name=st.text(max_size=200)), max_size=60).map(tuple)
FORMS = st.none() | st.builds(
    Form,
    key=st.just("f"),
    title=st.text(max_size=20),
    fields=st.lists(
        st.builds(
            Field,
            key=st.text(min_size=1, max_size=4),
            label=st.text(max_size=10),
            kind=st.sampled_from(["text", "paragraph", "number", "select", "password"]),
            default=st.text(max_size=8),
            options=st.lists(st.tuples(st.text(max_size=4), st.text(min_size=1, max_size=4)), max_size=4).map(tuple),
        ),
        max_size=4,
    ).map(tuple),
)


@settings(max_examples=150)
@given(
    st.builds(
        Show,
        text=MARKDOWN.filter(fits),
        status=st.text(max_size=20),
        thinking=MARKDOWN,
        buttons=BUTTONS,
        form=FORMS,
        sources=SOURCES,
        final=st.booleans(),
        plain=st.booleans(),
    ),
    st.booleans(),
)
def test_feishu_takes_every_card(op: Show, streaming: bool) -> None:
    made = card(op, VALUE, streaming=streaming)
    check_card(made, WORLD)
    assert size(made) <= BYTES_MOST


CROWD = Show(
    text="x",
    thinking="why " * 300,
    sources=tuple(Source(str(n), f"{n} " + "名" * 90) for n in range(60)),
    buttons=tuple(Button("k" * 40, f"{n} " + "字" * 80, "choice") for n in range(40)),
    final=True,
)


def crowded(text: str) -> tuple[dict[str, Any], int, int, list[str]]:
    """The card of a text with too much around it: thoughts that are left, sources that are named, labels."""
    made = shown(msgspec.structs.replace(CROWD, text=text))
    folded = "\n".join(words_of(made).folded)
    return made, folded.count("why"), folded.count(". "), words_of(made).buttons


@example(27_000)
@example(0)
@given(st.integers(0, 27_000))
@settings(max_examples=40)
def test_the_text_is_never_cut(length: int) -> None:
    made, *_ = crowded("x" * length + "!")
    assert size(made) <= BYTES_MOST
    assert f"{'x' * length}!" in [e.get("content") for e in elements(made)]


def test_the_rest_is_cut_from_the_reasoning_down() -> None:
    slim = msgspec.structs.replace(CROWD, sources=CROWD.sources[:40])
    assert 0 < "".join(words_of(shown(slim)).folded).count("why") < 300

    made, thoughts, names, labels = crowded("x" * 8_000)
    assert (thoughts, 0 < names < 60, len(labels), len(labels[0])) == (0, True, 40, 82)
    assert "Sources (60)" in json.dumps(made, ensure_ascii=False)
    assert f"… +{60 - names}" in "\n".join(words_of(made).folded).split("\n")

    made, _, names, labels = crowded("x" * 16_000)
    assert (names, len(labels), len(labels[0])) == (3, 40, 40)

    made, _, names, labels = crowded("x" * 26_000)
    assert (names, 0 < len(labels) < 40, len(labels[0])) == (1, True, 12)


def test_reasoning_is_cut_from_its_beginning() -> None:
    thinking = "".join(f"thought {n}, " for n in range(90))
    made = shown(Show(text="x" * 27_000, thinking=thinking, sources=CROWD.sources[:4], final=True))
    [thought, _] = words_of(made).folded
    assert thought.startswith("…")
    assert thinking.strip().endswith(thought[1:])


@pytest.mark.parametrize("text", ["x" * 27_398, "中" * 9_132, "<" * 5_479, '"' * 13_000])
def test_a_text_that_fits_makes_a_card_of_28_kb(text: str) -> None:
    assert fits(text)
    made = card(Show(text=text), VALUE, streaming=True)
    assert rendered(text) in [e["content"] for e in elements(made)]
    assert size(made) <= 28_000


def test_what_cannot_be_sent_is_replaced() -> None:
    bad = "a\ud800\x00"
    op = Show(text=bad, thinking=bad, sources=(Source("1", bad),), buttons=(Button("k", bad, "choice"),))
    for case in (op, msgspec.structs.replace(op, plain=True), Show(status=bad)):
        assert "a?\ufffd" in msgspec.json.encode(shown(case)).decode()
        assert "a?\ufffd" in msgspec.json.encode(message(case)).decode()


def test_a_growing_text_changes_nothing_else() -> None:
    """Else the card would have to be sent anew for each preview."""
    op = Show(text="a", thinking="t", buttons=(Button("stop", "Stop", "stop"),))
    cards = [card(msgspec.structs.replace(op, text="a" * size), VALUE, streaming=True) for size in (1, 2, 9_000)]
    bodies = {re.sub(r'"a+"', "", json.dumps(made["body"])) for made in cards}
    assert len(bodies) == 1
