"""What an answer becomes on WeCom: the content of a stream, and the card below it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from adapters.wechat.wecom.cards import card, pressed
from adapters.wechat.wecom.render import content, fits, message
from bridge.model import Button, Field, Form, Show

GOOD = Button("good-1", "Good", "good")
STOP = Button("stop", "Stop", "stop")
LINK = Button("https://example.com/a", "The handbook of everything", "link")
CITY = Field("city", "Which city?", "select", options=(("Shanghai", "sh"), ("Beijing", "bj")), default="bj")


def size(text: str) -> int:
    return len(text.encode())


# ------------------------------------------------------------------ content


def test_markdown_goes_out_as_it_is() -> None:
    text = "# Title\n\n**bold** `code`\n\n| a | b |\n| - | - |\n| 1 | 2 |"
    assert content(Show(text=text)) == text


def test_a_status_stands_in_for_the_text() -> None:
    assert content(Show(status="Searching")) == "Searching"
    assert content(Show(text="Words", status="Searching")) == "Words"


def test_reasoning_is_folded_above_the_text() -> None:
    show = Show(text="Words", thinking="first\nthen")
    assert content(show) == "<think>\nfirst\nthen\n</think>\n\nWords"
    assert message(show) == "Words"


def test_a_think_tag_of_the_text_hides_nothing() -> None:
    made = content(Show(text="Say <think> and < /THINK>.", thinking="a </think> b"))
    assert made.count("<think>") == made.count("</think>") == 1
    assert made.index("</think>") > made.index(" b")
    assert made.endswith("Say <\u2060think> and <\u2060 /THINK>.")


def test_a_plain_text_has_no_marks() -> None:
    assert content(Show(text="**bold**", plain=True)) == "bold"


def test_nothing_to_show_is_empty() -> None:
    assert content(Show(final=True, thinking="hm")) == content(Show(text=" \n")) == ""


def test_what_does_not_fit_is_the_reasoning() -> None:
    text = "字" * 6600
    made = content(Show(text=text, thinking="x" * 1200))
    assert fits(text) and not fits(text * 2)
    assert made.endswith(text) and made.startswith("<think>\n…xxx")
    assert size(made) <= 20_480


@given(st.text(), st.text(), st.booleans())
def test_a_content_has_its_text_and_keeps_the_limit(text: str, thinking: str, final: bool) -> None:
    text, thinking = text * 50, thinking * 500
    made = content(Show(text=text, thinking=thinking, final=final))
    if fits(text):
        assert size(made) <= 20_480
    assert made.endswith(message(Show(text=text)))


@given(st.text("<>/think a\n"), st.integers(0, 30))
def test_a_preview_is_the_beginning_of_the_text(text: str, end: int) -> None:
    whole, part = message(Show(text=text)), message(Show(text=text[:end]))
    if not text[:end].endswith("<") and "<" not in text[max(0, end - 9) : end]:
        assert whole.startswith(part)


# ------------------------------------------------------------------ cards


def test_buttons_are_a_card_without_stop() -> None:
    made = card("s1", [STOP, GOOD, LINK], None)
    assert made is not None
    assert made["card_type"] == "button_interaction"
    assert made["button_list"] == [{"text": "Good", "style": 1, "key": "good-1"}]
    assert [jump["url"] for jump in made["jump_list"]] == [LINK.key]
    assert made["task_id"] == "s1"


def test_links_alone_are_a_notice_that_leads_to_the_first() -> None:
    made = card("s1", [LINK], None)
    assert made is not None
    assert (made["card_type"], made["card_action"]["url"]) == ("text_notice", LINK.key)
    assert made["jump_list"][0]["title"] == "The handbook…"


def test_what_cannot_be_shown_is_no_card() -> None:
    assert card("s1", [], None) is card("s1", [STOP], None) is None
    assert card("s1", [Button("javascript:alert(1)", "x", "link")], None) is None


def test_labels_and_numbers_are_kept_within_limits() -> None:
    made = card("s1", [Button(f"k{n}", "a very\nlong label", "choice") for n in range(9)], None)
    assert made is not None
    assert len(made["button_list"]) == 6
    assert made["button_list"][0]["text"] == "a very lo…"


def test_a_form_of_menus() -> None:
    made = card("s1", [GOOD], Form("f1", "Where?", (CITY,)))
    assert made is not None
    assert made["card_type"] == "multiple_interaction" and "button_list" not in made
    assert made["submit_button"]["key"] == "f1"
    (menu,) = made["select_list"]
    assert (menu["question_key"], menu["selected_id"]) == ("city", "bj")
    assert menu["option_list"][0] == {"id": "sh", "text": "Shanghai"}


def test_other_forms_are_in_the_words() -> None:
    many = Field("n", "Number?", "select", options=tuple((str(n), str(n)) for n in range(11)))
    twice = Field("n", "Number?", "select", options=(("a", "1"), ("b", "1")))
    for fields in ((), (CITY, Field("name", "Name?")), (CITY,) * 4, (many,), (twice,)):
        assert card("s1", [], Form("f1", "Where?", fields)) is None


def test_a_card_after_a_press_shows_the_choice() -> None:
    made = pressed("button_interaction", "s1", "Good")
    assert made["task_id"] == "s1"
    assert made["button_list"][0]["text"] == "Good"
    assert made["button_list"][0]["key"] != GOOD.key
    assert pressed("multiple_interaction", "s1")["button_list"][0]["text"] == "已选择"
