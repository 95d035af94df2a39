"""Mentions by the text: what the client writes, what people type, and what only looks like one."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from adapters.wechat.mention import mentioned, unmentioned

NAME = st.text(min_size=1, max_size=12).map(str.strip).filter(bool)
"""Any name that a person can give: with spaces, emoji, and what means something in a regular expression."""
WORDS = st.text(max_size=30).map(str.strip).filter(lambda text: not {"@", "＠", "\u2005"} & set(text))


@pytest.mark.parametrize(
    ("text", "names", "rest"),
    [
        ("@Bot\u2005你好", ["Bot"], "你好"),
        ("@Bot 你好", ["Bot"], "你好"),
        ("@Bot\u00a0你好", ["Bot"], "你好"),
        ("@Bot\u3000你好", ["Bot"], "你好"),
        ("＠小助手 你好", ["小助手"], "你好"),
        ("@Bot", ["Bot"], ""),
        ("@Bot\n第一行\n第二行", ["Bot"], "第一行\n第二行"),
        ("第一行\n@Bot\u2005\n第二行", ["Bot"], "第一行\n\n第二行"),
        ("请问@Bot\u2005今天", ["Bot"], "请问今天"),
        ("hi@Bot\u2005there", ["Bot"], "hithere"),
        ("hi @Bot\u2005 there", ["Bot"], "hi there"),
        ("what is it, @Bot", ["Bot"], "what is it,"),
        ("@Bot\u2005@Bot\u2005a", ["Bot"], "a"),
        ("@Bot\u2005问一下 @小李\u2005的电话", ["Bot"], "问一下 @小李\u2005的电话"),
        ("@Bot ask @小李\u2005", ["Bot"], "ask @小李"),
        ("@My Bot\u2005hi", ["My Bot"], "hi"),
        ("@Bot Two hi", ["Bot", "Bot Two"], "hi"),
        ("@🤖助手🇨🇳\u2005hi", ["🤖助手🇨🇳"], "hi"),
        ("@C++ (v1.0) [x]*?\u2005hi", ["C++ (v1.0) [x]*?"], "hi"),
        ("@机器人\u2005hi", ["Bot", "", "机器人"], "hi"),
    ],
)
def test_a_mention_is_seen_and_taken_out(text: str, names: list[str], rest: str) -> None:
    assert mentioned(text, names)
    assert unmentioned(text, names) == rest


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("@Bot2\u2005hi", ["Bot"]),
        ("@Bot2 hi", ["Bot"]),
        ("@Bot Two\u2005hi", ["Bot"]),
        ("@Bo\u2005hi", ["Bot"]),
        ("@机器人们 hi", ["机器人"]),
        ("mail me@Bot please", ["Bot"]),
        ("write to first.last@example.com", ["example.com"]),
        ("Bot hi", ["Bot"]),
        ("@Bxt hi", ["B.t"]),
        ("@ hi", ["", " "]),
        ("@所有人\u2005hi", ["Bot"]),
        ("@all hi", []),
    ],
)
def test_nobody_is_mentioned(text: str, names: list[str]) -> None:
    assert not mentioned(text, names)
    assert unmentioned(text, names) == text


@given(NAME, st.sampled_from(["\u2005", " ", "\u00a0", "\n"]), WORDS, WORDS)
def test_any_name_is_found_between_any_words(name: str, behind: str, before: str, after: str) -> None:
    assume("\u2005" not in name)
    text = f"{before} @{name}{behind}{after}"
    assert mentioned(text, [name])
    rest = unmentioned(text, [name])
    assert rest.split() == [*before.split(), *after.split()]


@given(NAME, NAME)
def test_a_longer_name_is_another(name: str, more: str) -> None:
    assume(not more[0].isspace() and "\u2005" not in name + more and not {"@", "＠"} & set(name + more))
    assert not mentioned(f"@{name}{more}\u2005hi", [name])
    assert mentioned(f"@{name}{more}\u2005hi", [name, name + more])


@given(st.text(), st.lists(st.text(max_size=5), max_size=3))
def test_a_text_without_a_mention_stays(text: str, names: list[str]) -> None:
    if not mentioned(text, names):
        assert unmentioned(text, names) == text.strip()
