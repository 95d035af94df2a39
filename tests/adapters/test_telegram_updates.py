"""Telegram's updates as the platform sends them, and what the bridge makes of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from telegram import Update

from adapters.telegram.updates import TgUser, parse
from bridge.model import Attachment, Conversation, Event, Message, Press, Quote, User

PAYLOADS = Path(__file__).parent.parent / "payloads" / "telegram"
ME = TgUser(42, True, username="my_bot")
TEAM = Conversation(bot="tg", chat="-1001234567890", kind="group", name="Team")


def payload(name: str) -> dict[str, Any]:
    value: dict[str, Any] = json.loads((PAYLOADS / f"{name}.json").read_text("utf-8"))
    return value


def parsed(name: str) -> Event | None:
    return parse("tg", ME, payload(name), 1790000000.5)


EXPECTED: dict[str, Event | None] = {
    "private": Message(
        id="57",
        conversation=Conversation(bot="tg", chat="4242", kind="private"),
        user=User("4242", "小明 Li", "zh-hans"),
        at=1790000000.0,
        text="你好 🙂",
    ),
    "mention": Message(
        id="901",
        conversation=msgspec.structs.replace(TEAM, name="团队群"),
        user=User("4242", "Ann"),
        at=1790000001.0,
        text="🙂🙂  怎么 升级？",
    ),
    "topic_command": Message(
        id="902",
        conversation=msgspec.structs.replace(TEAM, thread="77"),
        user=User("4242", "Ann"),
        at=1790000002.0,
        text="/New",
    ),
    "reply": Message(
        id="903",
        conversation=TEAM,
        user=User("4243", "Bob"),
        at=1790000003.0,
        text="and then?",
        quotes=(Quote("900", "An answer", True),),
    ),
    "anonymous_admin": Message(
        id="904",
        conversation=TEAM,
        user=User("-1001234567890", "Team", real=False),
        at=1790000004.0,
        text="hi",
    ),
    "text_mention_photo": Message(
        id="905",
        conversation=TEAM,
        user=User("4243", "Bob"),
        at=1790000005.0,
        text=", what is this?",
        attachments=(Attachment("image", "large", size=99000),),
    ),
    "press": Press(
        id="4382bfdwdsb323b2d9",
        conversation=Conversation(bot="tg", chat="4242", kind="private"),
        user=User("4242", "Ann", "en"),
        at=1790000000.5,
        target="58",
        key="stop",
    ),
    "joined": None,
}


@pytest.mark.parametrize("name", sorted(path.stem for path in PAYLOADS.glob("*.json")))
def test_every_payload_becomes_its_event(name: str) -> None:
    event = parsed(name)
    assert event == EXPECTED[name]
    assert Update.de_json(payload(name), None) is not None, "the library reads it too"
    if event is not None:
        row = msgspec.json.encode(event)
        assert msgspec.json.decode(row, type=type(event)) == event


def test_other_bots_and_other_peoples_talk() -> None:
    talk = payload("mention")
    talk["message"]["entities"] = []
    event = parse("tg", ME, talk, 0.0)
    assert isinstance(event, Message)
    assert not event.addressed
    talk["message"]["from"]["is_bot"] = True
    assert parse("tg", ME, talk, 0.0) is None


def test_a_command_for_another_bot_is_left_as_it_is() -> None:
    update = payload("topic_command")
    update["message"]["text"] = "/New@otherbot"
    update["message"]["entities"] = [{"offset": 0, "length": 13, "type": "bot_command"}]
    event = parse("tg", ME, update, 0.0)
    assert isinstance(event, Message)
    assert (event.text, event.addressed) == ("/New@otherbot", False)


@pytest.mark.parametrize("broken", [{"update_id": "x"}, {"update_id": 1, "message": {"message_id": 1}}, {}])
def test_a_poison_update_is_an_error_of_its_own(broken: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        parse("tg", ME, broken, 0.0)


@given(
    st.text(max_size=40),
    st.lists(
        st.tuples(st.integers(-5, 50), st.integers(-5, 50), st.sampled_from(["mention", "bot_command", "bold"])),
        max_size=5,
    ),
)
def test_entities_whatever_they_say_do_no_harm(text: str, marks: list[tuple[int, int, str]]) -> None:
    text = text.encode("utf-8", "replace").decode()
    update = payload("private")
    update["message"]["text"] = text
    update["message"]["entities"] = [{"offset": o, "length": n, "type": kind} for o, n, kind in marks]
    event = parse("tg", ME, update, 0.0)
    assert event is None or isinstance(event, Message)
