"""chatId, ids of turns and variables: DESIGN 2.3, which other programs rely on."""

from __future__ import annotations

import hashlib
import re
import time

from hypothesis import given
from hypothesis import strategies as st

from bridge.model import Conversation, Message, User
from bridge.session import Session, base36, c_time, item_id, lane, new_epoch, shown_name, variables

PRIVATE = Conversation(bot="tg", chat="42", kind="private")
TOPIC = Conversation(bot="tg", chat="-100123", kind="group", thread="7", name="Team")


def test_the_parts_of_a_chat_id() -> None:
    assert lane(PRIVATE, "42", "user") == "tg.42"
    assert lane(TOPIC, "42", "user") == "tg.-100123.t:7.u:42"
    assert lane(TOPIC, "42", "thread") == "tg.-100123.t:7"
    assert lane(TOPIC, "42", "chat") == "tg.-100123"


def test_unsafe_parts_are_hashed() -> None:
    to = Conversation(bot="wx", chat="群 1", kind="group")
    sha = [hashlib.sha256(part.encode()).hexdigest()[:32] for part in ("群 1", "a.b")]
    assert lane(to, "a.b", "user") == f"wx.h:{sha[0]}.u:h:{sha[1]}"


@given(st.text(min_size=1, max_size=300), st.text(max_size=300), st.text(min_size=1, max_size=300))
def test_a_chat_id_is_always_short_and_safe(chat: str, thread: str, user: str) -> None:
    to = Conversation(bot="b" * 32, chat=chat, kind="group", thread=thread)
    chat_id = lane(to, user, "user") + "." + base36(int(time.time()))
    assert len(chat_id) <= 200
    assert re.fullmatch(r"[A-Za-z0-9_.@:-]+", chat_id)


def test_all_three_are_hashed_when_the_whole_is_too_long() -> None:
    to = Conversation(bot="tg", chat="c" * 120, kind="group", thread="7")
    assert re.fullmatch(r"tg\.h:[0-9a-f]{32}\.t:h:[0-9a-f]{32}\.u:h:[0-9a-f]{32}", lane(to, "u" * 90, "user"))


def test_an_attempt_has_its_own_id() -> None:
    assert item_id(message("57"), 0) == "57"
    assert item_id(message("57"), 2) == "57~2"
    assert re.fullmatch(r"h:[0-9a-f]{32}~1", item_id(message("a b"), 1))


def test_a_chat_that_was_moved_names_its_turns_anew() -> None:
    moved = Conversation(bot="tg", chat="-1005", kind="group", was="-5")
    assert item_id(message("57", moved), 1) == "-1005:57~1"
    assert lane(moved, "1", "chat") == "tg.-5"


def message(number: str, to: Conversation = PRIVATE) -> Message:
    return Message(id=number, conversation=to, user=User("1"), at=0.0)


def test_epochs_are_base36_seconds_and_never_repeat() -> None:
    assert base36(0) == "0"
    first = new_epoch(None, 1_700_000_000.9)
    assert int(first, 36) == 1_700_000_000
    assert new_epoch(Session(first, 0.0), 1_700_000_000.0) != first


@given(st.integers(0, 10**12))
def test_base36_is_what_python_reads(number: int) -> None:
    assert int(base36(number), 36) == number


def test_variables_later_ones_win_and_absent_ones_are_empty() -> None:
    event = Message(
        id="5", conversation=TOPIC, user=User("42", "Ann\n\u202eB" + "x" * 80, "zh-hans"), at=0.0, text="hi"
    )
    values = variables("telegram", event, {"company": "Acme", "bot": "mine"}, {"company": "Other"})
    assert values["company"] == "Other"
    assert values["bot"] == "mine"
    assert values["user_name"].startswith("AnnB")
    assert len(values["user_name"]) <= 64
    assert (values["chat_type"], values["thread_id"], values["message_id"]) == ("group", "7", "5")
    assert variables("telegram", Message(id="1", conversation=PRIVATE, user=User("42"), at=0.0))["thread_id"] == ""
    assert set(values) >= {"platform", "chat_id", "chat_name", "user_id", "language", "cTime"}


def test_names_are_one_short_line() -> None:
    assert shown_name("a\u2028b\tc") == "abc"


def test_the_time_is_written_as_fastgpt_writes_it() -> None:
    assert c_time(time.strptime("2026-07-01 09:05", "%Y-%m-%d %H:%M")) == "2026/7/1 09:05"
