"""WeCom's callbacks as the platform sends them, and what the bridge makes of them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.wechat.wecom.events import MediaRef, parse, req_id_of
from bridge.model import AnyEvent, Attachment, Conversation, Entered, Message, Press, Quote, User

Json = dict[str, Any]

NOW = 1_790_000_009.0
FILE = {"url": "https://files.example/1", "aeskey": "S0VZ"}
REF = '{"u":"https://files.example/1","k":"S0VZ"}'


def wrote(kind: str = "text", content: Any = None, **fields: Any) -> Json:
    """The body of a message in a private chat."""
    return {
        "msgid": "m-1",
        "create_time": 1_790_000_001,
        "aibotid": "bot-1",
        "chattype": "single",
        "from": {"userid": "zhangsan"},
        "msgtype": kind,
        kind: {"content": "你好"} if content is None else content,
        **fields,
    }


def happened(kind: str, **event: Any) -> Json:
    body = wrote("event", {"eventtype": kind, **event})
    return body | {"msgid": "e-1"}


def message(body: Json) -> Message:
    event = parse("wc", "aibot_msg_callback", "req-1", body, NOW)
    assert isinstance(event, Message)
    return event


def event_of(body: Json) -> AnyEvent | None:
    return parse("wc", "aibot_event_callback", "req-e", body, NOW)


def in_group(text: str) -> Json:
    return wrote(content={"content": text}, chattype="group", chatid="g-1")


def test_a_text() -> None:
    event = message(wrote())
    assert event == Message(
        id="m-1",
        conversation=Conversation(bot="wc", chat="zhangsan", kind="private"),
        user=User("zhangsan"),
        at=1_790_000_001.0,
        handle='{"r":"req-1"}',
        text="你好",
    )
    assert req_id_of(event.handle) == "req-1"
    assert req_id_of("") == ""


def test_a_message_need_not_say_when_it_was_written() -> None:
    body = wrote()
    del body["create_time"]
    assert message(body).at == NOW
    assert message(wrote(create_time=None)).at == NOW


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("@Bot hi", "hi"),
        ("@Bot\u2005hi @Bot ", "hi @Bot"),
        ("@机器人 /new", "/new"),
        ("@Bot", ""),
        ("hi @Bot", "hi @Bot"),
        ("@Bot a\n\nb", "a\n\nb"),
    ],
)
def test_in_a_group_the_mention_is_taken_out(text: str, said: str) -> None:
    event = message(in_group(text))
    assert event.text == said
    assert event.conversation == Conversation(bot="wc", chat="g-1", kind="group")


def test_in_a_private_chat_nobody_is_mentioned() -> None:
    assert message(wrote(content={"content": "@me hi"})).text == "@me hi"


@pytest.mark.parametrize("kind", ["image", "file", "video"])
def test_a_file(kind: Any) -> None:
    event = message(wrote(kind, FILE))
    assert event.attachments == (Attachment(kind, REF),)
    assert not event.text


def test_a_voice_message_is_its_words() -> None:
    assert message(wrote("voice", {"content": "今天"})).text == "今天"


def test_text_and_images_in_one_message() -> None:
    items = [
        {"msgtype": "text", "text": {"content": "@Bot what"}},
        {"msgtype": "image", "image": FILE},
        {"msgtype": "hologram", "hologram": {}},
        {"msgtype": "text", "text": {"content": "is this?"}},
    ]
    event = message(wrote("mixed", {"msg_item": items}, chattype="group", chatid="g-1"))
    assert event.text == "what\nis this?"
    assert [each.kind for each in event.attachments] == ["image", "sticker"]


@pytest.mark.parametrize("body", [wrote("hologram", {}), wrote("text", "no object"), wrote("image", {"url": 1})])
def test_what_cannot_be_read_has_its_name(body: Json) -> None:
    (attachment,) = message(body).attachments
    assert (attachment.kind, attachment.name) == ("sticker", body["msgtype"])


@pytest.mark.parametrize(
    ("quote", "seen"),
    [
        ({"msgtype": "text", "text": {"content": "old"}}, Quote("", "old")),
        ({"msgtype": "file", "file": FILE}, Quote("", attachments=(Attachment("file", REF),))),
        (
            {"msgtype": "mixed", "mixed": {"msg_item": [{"msgtype": "text", "text": {"content": "x"}}]}},
            Quote("", "x"),
        ),
    ],
)
def test_a_quote(quote: Json, seen: Quote) -> None:
    assert message(wrote(quote=quote)).quotes == (seen,)


def test_a_message_without_content_is_none() -> None:
    assert parse("wc", "aibot_msg_callback", "r", wrote(content={"content": " "}), NOW) is None


def test_the_chat_is_opened_for_the_first_time_once() -> None:
    first, second = event_of(happened("enter_chat")), event_of(happened("enter_chat") | {"msgid": "e-2"})
    assert isinstance(first, Entered) and isinstance(second, Entered)
    assert first.id == second.id and first.first
    assert req_id_of(first.handle) == "req-e"


def test_a_press() -> None:
    chosen = [{"question_key": "city", "option_ids": {"option_id": ["sh"]}}]
    pressed = {
        "card_type": "multiple_interaction",
        "event_key": "k1",
        "task_id": "s-1",
        "selected_items": {"selected_item": chosen},
    }
    event = event_of(happened("template_card_event", template_card_event=pressed))
    assert isinstance(event, Press)
    assert (event.id, event.target, event.key, event.values) == ("e-1", "s-1", "k1", {"city": "sh"})


@pytest.mark.parametrize("kind", ["feedback_event", "disconnected_event", "news", "template_card_event"])
def test_other_events_say_nothing(kind: str) -> None:
    assert event_of(happened(kind)) is None


@pytest.mark.parametrize(
    "body", [{}, wrote() | {"msgid": None}, wrote() | {"from": {}}, wrote(chattype="group"), wrote(create_time="x")]
)
def test_a_message_from_nobody_or_nowhere(body: Json) -> None:
    with pytest.raises(msgspec.ValidationError):
        message(body)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(list(wrote())), inner, max_size=4),
    max_leaves=10,
)


@given(st.dictionaries(st.sampled_from([*wrote(), "mixed", "quote", "image", "event"]), _JSON), st.booleans())
def test_any_body_is_an_event_or_a_validation_error(fields: Json, is_event: bool) -> None:
    command = "aibot_event_callback" if is_event else "aibot_msg_callback"
    try:
        event = parse("wc", command, "r", wrote() | fields, NOW)
    except msgspec.ValidationError:
        return
    assert event is None or event.id


def test_a_deep_body_is_refused() -> None:
    body: Json = wrote()
    for _ in range(5000):
        body = wrote(quote=body)
    with pytest.raises(msgspec.ValidationError, match="deeply"):
        message(body)


def test_an_address_and_its_key_are_not_in_a_repr() -> None:
    assert "SECRET" not in repr(MediaRef("https://SECRET", "SECRET"))
