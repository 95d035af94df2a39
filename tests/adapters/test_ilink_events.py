"""iLink's messages as the platform sends them, and what the bridge makes of them."""

from __future__ import annotations

import base64
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.wechat.ilink.events import Handle, MediaRef, fingerprint, parse, token
from bridge.model import AnyEvent, Attachment, Conversation, Message, Quote, User

Json = dict[str, Any]

KEY = "00112233445566778899aabbccddeeff"
WIRE_KEY = base64.b64encode(KEY.encode()).decode()
MEDIA = {"encrypt_query_param": "dl-1", "aes_key": WIRE_KEY, "encrypt_type": 1, "full_url": "https://cdn.example/dl-1"}
REF = f'{{"param":"dl-1","key":"{WIRE_KEY}"}}'

TEXT = {"type": 1, "text_item": {"text": "你好"}, "create_time_ms": 1790000001500, "is_completed": True}
IMAGE = {"type": 2, "image_item": {"media": MEDIA, "mid_size": 2048, "url": "x"}}
VOICE = {"type": 3, "voice_item": {"media": MEDIA, "encode_type": 6, "playtime": 1800, "text": ""}}
HEARD = {"type": 3, "voice_item": {"media": MEDIA, "encode_type": 6, "text": "今天天气怎么样"}}
FILE = {"type": 4, "file_item": {"media": MEDIA, "file_name": "报告.pdf", "len": "12345", "md5": "0" * 32}}
VIDEO = {"type": 5, "video_item": {"media": MEDIA, "video_size": 4096, "play_length": 3}}
LOCATION = {"type": 48, "location_item": {"x": 1}}


def wrote(*items: Any, **fields: Any) -> Json:
    """A message as ``getupdates`` gives it."""
    return {
        "seq": 7,
        "message_id": 7600000000000000001,
        "from_user_id": "u1@im.wechat",
        "to_user_id": "abc@im.bot",
        "client_id": "c-1",
        "create_time_ms": 1790000001500,
        "session_id": "",
        "message_type": 1,
        "message_state": 2,
        "item_list": list(items),
        "context_token": "ctx-SECRET",
        **fields,
    }


def message(*items: Any, **fields: Any) -> Message:
    event = parse("wx", wrote(*items, **fields))
    assert event is not None
    return event


def quoting(ref: Json, text: str = "what?") -> Message:
    return message({"type": 1, "text_item": {"text": text}, "ref_msg": ref})


def test_a_text() -> None:
    assert message(TEXT) == Message(
        id="7600000000000000001",
        conversation=Conversation(bot="wx", chat="u1@im.wechat", kind="private"),
        user=User("u1@im.wechat"),
        at=1790000001.5,
        handle='{"token":"ctx-SECRET"}',
        text="你好",
    )
    assert token(message(TEXT).handle) == "ctx-SECRET"


@pytest.mark.parametrize(
    ("item", "attachment"),
    [
        (IMAGE, Attachment("image", REF)),
        (VOICE, Attachment("audio", REF, "voice")),
        (FILE, Attachment("file", REF, "报告.pdf", 12345)),
        (VIDEO, Attachment("video", REF)),
        (LOCATION, Attachment("sticker", "{}", "type 48")),
        ({"type": 1, "text_item": "not an object"}, Attachment("sticker", "{}", "type ?")),
        ("not an object", Attachment("sticker", "{}", "type ?")),
        ({"type": 4, "file_item": {"file_name": "a.txt"}}, Attachment("file", "{}", "a.txt")),
    ],
)
def test_an_attachment(item: Any, attachment: Attachment) -> None:
    assert message(item).attachments == (attachment,)
    assert message(TEXT, item).text == "你好", "the rest of the message counts"


def test_an_image_may_have_its_key_in_plain_digits() -> None:
    content = {"media": {"encrypt_query_param": "dl-1", "aes_key": "older"}, "aeskey": KEY}
    assert message({"type": 2, "image_item": content}).attachments == (Attachment("image", REF),)


def test_a_voice_message_is_what_was_heard_in_it() -> None:
    heard = message(HEARD)
    assert (heard.text, heard.attachments) == ("今天天气怎么样", ())


def test_items_are_one_message_in_their_order() -> None:
    both = message(TEXT, FILE, HEARD, IMAGE)
    assert both.text == "你好\n今天天气怎么样"
    assert [file.kind for file in both.attachments] == ["file", "image"]


@pytest.mark.parametrize(
    ("ref", "quote"),
    [
        ({"message_item": TEXT, "svr_id": "76"}, Quote("76", "你好")),
        ({"message_item": TEXT | {"msg_id": "75"}}, Quote("75", "你好")),
        ({"message_item": HEARD, "title": "[voice]"}, Quote("", "今天天气怎么样")),
        ({"message_item": IMAGE, "title": "[picture]"}, Quote("", attachments=(Attachment("image", REF),))),
        ({"title": "the report"}, Quote("", "the report")),
        ({"svr_id": 7600000000000000002, "partial_text": {"start": "a"}}, Quote("7600000000000000002")),
    ],
)
def test_a_quote(ref: Json, quote: Quote) -> None:
    asked = quoting(ref)
    assert (asked.text, asked.quotes) == ("what?", (quote,))


def test_a_quote_is_bare_when_only_its_id_came() -> None:
    assert quoting({"svr_id": "76"}).quotes[0].bare
    assert not quoting({"svr_id": "76", "message_item": TEXT}).quotes[0].bare
    assert quoting({}).quotes == (), "nothing is known of it"


@pytest.mark.parametrize(
    "raw",
    [
        wrote(TEXT, message_type=2),
        wrote(TEXT, group_id="g1@chatroom"),
        wrote(),
        wrote({"type": 1, "text_item": {"text": ""}}),
    ],
    ids=["a bot's", "of a group", "no items", "no words"],
)
def test_nothing_for_us(raw: Json) -> None:
    assert parse("wx", raw) is None


@pytest.mark.parametrize("id", [2**64 - 1, str(2**64 - 1)])
def test_an_id_may_be_any_uint64(id: int | str) -> None:
    assert message(TEXT, message_id=id).id == "18446744073709551615"


def test_null_is_the_same_as_nothing() -> None:
    nothing = dict.fromkeys(("group_id", "run_id", "update_time_ms"))
    item = TEXT | {"ref_msg": None, "image_item": None}
    assert message(item, **nothing) == message(TEXT)


@pytest.mark.parametrize(
    "fields", [{"message_id": None}, {"from_user_id": None}, {"item_list": "text"}, {"create_time_ms": "now"}]
)
def test_a_message_that_is_not_as_documented_is_said_so(fields: Json) -> None:
    with pytest.raises(msgspec.ValidationError):
        parse("wx", wrote(TEXT, **fields))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(sorted(TEXT | IMAGE | MEDIA)), inner, max_size=4)
    ),
    max_leaves=8,
)


@given(st.lists(JSON | st.fixed_dictionaries({"type": st.integers(0, 6), "ref_msg": JSON, "image_item": JSON})))
def test_whatever_the_items_are_the_message_is_an_inbox_row(items: list[Any]) -> None:
    event = message(TEXT, *items)
    assert msgspec.json.decode(msgspec.json.encode(event), type=AnyEvent) == event


def test_keys_and_tokens_are_not_shown() -> None:
    assert KEY not in repr(MediaRef("dl-1", KEY)) and "SECRET" not in repr(Handle("ctx-SECRET"))


# ------------------------------------------------------------------ the same message under another id


def test_a_copy_under_another_id_has_the_same_fingerprint() -> None:
    anew = {"media": MEDIA | {"encrypt_query_param": "dl-2", "full_url": "https://cdn.example/dl-2"}}
    copy = wrote(TEXT, {"type": 2, "image_item": anew}, message_id=76, seq=8, client_id="c-2", context_token="ctx-2")
    assert fingerprint(copy) == fingerprint(wrote(TEXT, IMAGE))


@pytest.mark.parametrize(
    "other",
    [
        wrote({"type": 1, "text_item": {"text": "你好!"}}, IMAGE),
        wrote(TEXT),
        wrote(TEXT, {"type": 2, "image_item": {"media": MEDIA | {"aes_key": "AAAA"}}}),
        wrote(TEXT, IMAGE, from_user_id="u2@im.wechat"),
        wrote(TEXT, IMAGE, create_time_ms=1790000001501),
    ],
    ids=["text", "no image", "another image", "sender", "time"],
)
def test_another_message_has_another_fingerprint(other: Json) -> None:
    assert fingerprint(other) != fingerprint(wrote(TEXT, IMAGE))


def test_without_a_time_nothing_is_taken_for_a_copy() -> None:
    assert fingerprint(wrote(TEXT, create_time_ms=0)) == ""


# ------------------------------------------------------------------ what is not as documented


def nested(depth: int) -> Json:
    item: Json = {"type": 1, "text_item": {"text": "deep"}}
    for _ in range(depth):
        item = {"type": 1, "text_item": {"text": "words"}, "ref_msg": {"message_item": item}}
    return item


@pytest.mark.parametrize("depth", [3, 250, 2000])
def test_quotes_within_quotes_do_not_end_in_an_accident(depth: int) -> None:
    try:
        event = parse("wx", wrote(nested(depth)))
    except msgspec.ValidationError:  # too deep: this message is passed over
        return
    assert event is not None
    assert event.text == "words"


@pytest.mark.parametrize(
    "odd", [{"ref_msg": []}, {"ref_msg": {"svr_id": 1.5}}, {"image_item": ""}, {"text_item": {"text": "hi", "len": ""}}]
)
def test_a_text_that_can_be_read_is_read_whatever_stands_beside_it(odd: Json) -> None:
    assert message({"type": 1, "text_item": {"text": "hi"}} | odd).text == "hi"


@pytest.mark.parametrize("none", [0, ""])
def test_a_message_without_an_id_is_known_by_what_it_says(none: Any) -> None:
    first, second = (message({"type": 1, "text_item": {"text": text}}, message_id=none) for text in ("one", "two"))
    assert first.id not in ("0", "", second.id)
    with pytest.raises(msgspec.ValidationError):
        message(TEXT, message_id=none, create_time_ms=0)
