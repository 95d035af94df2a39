"""The pure checks of the fake Telegram: texts, entities, keyboards, call limits."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from telegram.constants import MessageEntityType, ReactionEmoji

from tests.fakes.telegram.rules import (
    ENTITY_TYPES,
    REACTIONS,
    Json,
    Limit,
    Refused,
    Window,
    formatted,
    found,
    keyboard,
    too_many_requests,
    utf16,
)

TEXTS = st.text(st.sampled_from("a字😀 \n"), min_size=1, max_size=12)


def bold(offset: int, length: int, **more: Any) -> Json:
    return {"type": "bold", "offset": offset, "length": length, **more}


def cut(text: str, entity: Json) -> str:
    """The characters an entity covers; raises UnicodeDecodeError when it splits one."""
    data = text.encode("utf-16-le")
    return data[2 * entity["offset"] : 2 * (entity["offset"] + entity["length"])].decode("utf-16-le")


def refusal(text: str, *entities: Any) -> str:
    with pytest.raises(Refused) as caught:
        formatted(text, list(entities))
    assert caught.value.code == 400
    return caught.value.description


def test_the_lists_are_those_of_the_library() -> None:
    assert {kind.value for kind in MessageEntityType} == ENTITY_TYPES
    assert {emoji.value for emoji in ReactionEmoji} == REACTIONS


@given(TEXTS, st.lists(st.builds(bold, st.integers(-1, 14), st.integers(-1, 14)), max_size=4))
def test_what_is_accepted_is_valid_and_stays_as_it_is(text: str, entities: list[Json]) -> None:
    try:
        kept, marks = formatted(text, entities)
    except Refused as refused:
        assert refused.description.startswith("Bad Request: can't parse entities: ")
        return
    assert kept in text
    assert (kept, marks) == formatted(kept, marks)
    for mark in marks:
        assert mark["length"] > 0 and len(cut(kept, mark)) > 0
    spans = [(mark["offset"], mark["offset"] + mark["length"]) for mark in marks]
    for a, b in spans:
        for c, d in spans:
            assert b <= c or d <= a or (a <= c and d <= b) or (c <= a and b <= d)


@given(TEXTS)
def test_an_entity_over_one_character_survives_the_trim(text: str) -> None:
    for index, char in enumerate(text):
        kept, marks = formatted(text, [bold(utf16(text[:index]), utf16(char))])
        covered = [cut(kept, mark) for mark in marks]
        assert covered == [char] or (covered == [] and char.isspace())


@pytest.mark.parametrize(
    ("entity", "reason"),
    [
        (bold(0, 4), "ends after the end of the text at UTF-16 offset 3"),
        (bold(2, 1), "in the middle of a UTF-16 symbol"),
        (bold(0, 2), "in the middle of a UTF-16 symbol"),
        (bold(-1, 1), "incorrect offset"),
        (bold(0, 1, language="python"), "language is not allowed in an entity of type bold"),
        (bold(0, 1, url="https://example.com"), "url is not allowed"),
        ({"type": "text_link", "offset": 0, "length": 1}, "needs url"),
        ({"type": "big", "offset": 0, "length": 1}, "unsupported MessageEntity type 'big'"),
        ({"type": "bold", "offset": "0", "length": 1}, "needs the numbers"),
        ("bold", "must be an Object"),
    ],
)
def test_a_wrong_entity_is_refused(entity: Any, reason: str) -> None:
    assert reason in refusal("a😀", entity)


def test_entities_may_nest_but_not_overlap() -> None:
    code = {"type": "pre", "offset": 0, "length": 3, "language": "python"}
    assert formatted("abcdef", [bold(1, 1), code, bold(3, 3)])[1] == [code, bold(1, 1), bold(3, 3)]
    assert "overlaps another" in refusal("abcdef", bold(0, 3), bold(2, 3))


def test_only_the_first_hundred_entities_count() -> None:
    many = [bold(index, 1) for index in range(100)]
    assert formatted("x" * 200, [*many, bold(500, 9)])[1] == many


def test_space_around_a_text_is_cut_off() -> None:
    assert formatted(" \n a b \n") == ("a b", [])
    assert formatted("\n\nhi  ", [bold(2, 4)]) == ("hi", [bold(0, 2)])
    assert formatted("\nhi", [bold(0, 3)]) == ("\nhi", [bold(0, 3)])
    assert formatted("hi  ", [bold(2, 1)]) == ("hi", [])
    italic = {"type": "italic", "offset": 0, "length": 4}
    assert formatted("hi  ", [italic, bold(0, 3)]) == ("hi", [bold(0, 2), {**italic, "length": 2}])


def test_commands_and_mentions_are_found_where_the_platform_finds_them() -> None:
    def words(text: str) -> list[tuple[str, str]]:
        return [(mark["type"], cut(text, mark)) for mark in found(text)]

    assert words("/new@My_Bot 😀 @my_bot, hi") == [("bot_command", "/new@My_Bot"), ("mention", "@my_bot")]
    assert words("你好@my_bot") == words("a@my_bot.com") == words("1/2 and/or /新对话") == []


@pytest.mark.parametrize(
    ("button", "reason"),
    [
        ({"text": "x", "callback_data": ""}, "BUTTON_DATA_INVALID"),
        ({"text": "x", "callback_data": "字" * 22}, "BUTTON_DATA_INVALID"),
        ({"text": "x", "url": "example"}, "BUTTON_URL_INVALID"),
        ({"text": "x", "copy_text": {"text": "x" * 257}}, "BUTTON_COPY_TEXT_INVALID"),
        ({"text": "x"}, "text buttons are unallowed"),
        ({"text": " ", "callback_data": "x"}, "text must be non-empty"),
        ({"text": "x", "callback_data": "x", "url": "https://example.com"}, "text buttons are unallowed"),
        ({"text": "x", "callback_data": "x", "style": "red"}, "invalid button style"),
    ],
)
def test_a_wrong_button_is_refused(button: Json, reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        keyboard({"inline_keyboard": [[button]]})


def test_a_keyboard_is_kept_without_empty_rows() -> None:
    row = [{"text": "x", "callback_data": "字" * 21, "style": "danger"}]
    assert keyboard({"inline_keyboard": [[], row]}) == {"inline_keyboard": [row]}
    assert keyboard({"inline_keyboard": []}) is None
    assert keyboard({"remove_keyboard": True}) is None
    with pytest.raises(Refused, match="inline keyboard expected"):
        keyboard({"remove_keyboard": True}, edit=True)


def test_a_ban_begins_with_the_first_call_too_many_and_grows_with_each_call_during_it() -> None:
    window, limit = Window(), Limit(calls=2, seconds=10, penalty=8, lengthen=5)
    assert [window.spend(limit, now) for now in (0.0, 1.0, 2.0)] == [0, 0, 8]
    assert window.spend(limit, 9.0) == 6  # 1 s was left, and 5 more
    assert window.spend(limit, 14.0) == 6
    assert window.spend(limit, 20.0) == 0
    assert too_many_requests(6.2).body()["parameters"] == {"retry_after": 7}


@given(st.lists(st.floats(0, 30), min_size=1, max_size=60), st.integers(1, 5))
def test_no_window_holds_more_calls_than_its_limit(times: list[float], calls: int) -> None:
    window, limit = Window(), Limit(calls, 10.0, 1.0)
    passed = [now for now in sorted(times) if window.spend(limit, now) == 0]
    assert passed
    assert all(sum(start <= now < start + 10.0 for now in passed) <= calls for start in passed)
