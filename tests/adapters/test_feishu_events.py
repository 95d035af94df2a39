"""Feishu's events as the platform sends them, and what the bridge makes of them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from adapters.feishu.content import LEVELS, MOST, content_of, forwarded
from adapters.feishu.events import left, parse
from bridge.model import (
    AnyEvent,
    Attachment,
    Conversation,
    Entered,
    Message,
    Press,
    Quote,
    Reacted,
    Recalled,
    User,
)

Json = dict[str, Any]

PAYLOADS = Path(__file__).parent.parent / "payloads" / "feishu"
ME = "ou_b07000000000000000000000000000b0"
BOB = "ou_b0b000000000000000000000000000bb"
ANN = User("ou_a44000000000000000000000000000a4")
PRIVATE = Conversation(bot="fs", chat="oc_d1200000000000000000000000000d12", kind="private")
TEAM = Conversation(bot="fs", chat="oc_94000000000000000000000000000094", kind="group")
TOPICS = Conversation(bot="fs", chat="oc_70600000000000000000000000000706", kind="group")


def payload(name: str) -> Json:
    value: Json = json.loads((PAYLOADS / f"{name}.json").read_text("utf-8"))
    return value


def parsed(value: Json) -> AnyEvent | None:
    return parse("fs", ME, value)


def message(value: Json) -> Message:
    event = parsed(value)
    assert isinstance(event, Message)
    return event


def wrote(content: Any, kind: str = "text", **fields: Any) -> Json:
    """A message in a group; ``content`` may be broken JSON."""
    value = payload("text_group")
    written = content if isinstance(content, str) else json.dumps(content)
    value["event"]["message"] |= {"message_type": kind, "content": written, **fields}
    return value


def mention(number: int, open_id: str, name: str = "小助手") -> Json:
    return {"key": f"@_user_{number}", "id": {"open_id": open_id, "user_id": None}, "name": name}


def inside(conversation: Conversation, thread: str) -> Conversation:
    return msgspec.structs.replace(conversation, thread=thread)


# ------------------------------------------------------------------ real payloads

EXPECTED: dict[str, AnyEvent | None] = {
    "text_p2p": Message(
        id="om_00000000000000000000000000000001",
        conversation=PRIVATE,
        user=ANN,
        at=1790000001.0,
        text="你好 🙂",
    ),
    "text_mention_command": Message(
        id="om_00000000000000000000000000000004",
        conversation=TEAM,
        user=ANN,
        at=1790000004.0,
        text="/new",
    ),
    "post": Message(
        id="om_0000000000000000000000000000000e",
        conversation=TEAM,
        user=ANN,
        at=1790000014.0,
        text="周报\n看 [文档](https://example.org/a)，@Bob\n:SMILE:\n---\n"
        "```go\nfunc main() int64 {\n    return  0\n}\n```",
        attachments=(
            Attachment("image", "om_0000000000000000000000000000000e/img_v3_0001/image", "image"),
            Attachment("video", "om_0000000000000000000000000000000e/file_v3_0002/file", "video.mp4", mime="video/mp4"),
        ),
    ),
    "reply": Message(
        id="om_0000000000000000000000000000000a",
        conversation=TEAM,
        user=ANN,
        at=1790000010.0,
        text="然后呢",
        quotes=(Quote("om_fffffffffffffffffffffffffffffff1"),),
    ),
    "merge_forward": Message(
        id="om_00000000000000000000000000000018",
        conversation=PRIVATE,
        user=ANN,
        at=1790000024.0,
        quotes=(Quote("om_00000000000000000000000000000018"),),
    ),
    "press_form": Press(
        id="5e3702a84e847582be8db7fb73280050",
        conversation=TEAM,
        user=ANN,
        at=1790000050.12,
        target="om_" + "a" * 32,
        key="form1",
        values={"city": "柏林", "days": "3", "note": "", "extra": '["a", "b"]'},
    ),
    "recalled": Recalled(
        id="5e3702a84e847582be8db7fb73280042",
        conversation=TEAM,
        user=User(""),
        at=1790000042.12,
        target="om_" + "b" * 32,
    ),
    "reaction_created": Reacted(
        id="5e3702a84e847582be8db7fb73280043",
        conversation=Conversation(bot="fs", chat="", kind="group"),
        user=ANN,
        at=1790000043.12,
        target="om_" + "b" * 32,
        emoji="THUMBSUP",
    ),
    "bot_added": Entered(
        id="5e3702a84e847582be8db7fb73280038",
        conversation=msgspec.structs.replace(TEAM, name="产品群"),
        user=ANN,
        at=1790000038.12,
        first=True,
    ),
    "p2p_entered_first": Entered(id="first", conversation=PRIVATE, user=ANN, at=1790000040.12, first=True),
    "p2p_entered": Entered(
        id="5e3702a84e847582be8db7fb73280041", conversation=PRIVATE, user=ANN, at=1790000041.12, first=False
    ),
    "text_from_app": None,
    "reaction_by_app": None,
    "bot_deleted": None,
    "message_read": None,
    "press_foreign": None,
    "old_card_callback": None,
    "old_event": None,
}
FILES = sorted(path.stem for path in PAYLOADS.glob("*.json"))


@pytest.mark.parametrize("name", EXPECTED)
def test_a_payload_becomes_its_event(name: str) -> None:
    assert parsed(payload(name)) == EXPECTED[name]


@pytest.mark.parametrize("name", FILES)
def test_every_payload_can_be_read_and_survives_the_inbox(name: str) -> None:
    event = parsed(payload(name))
    assert (event is None) == (name in EXPECTED and EXPECTED[name] is None)
    if event is not None:
        assert msgspec.json.decode(msgspec.json.encode(event), type=AnyEvent) == event


@pytest.mark.parametrize("name", FILES)
def test_only_the_removal_from_a_chat_is_one(name: str) -> None:
    assert left(payload(name)) == (TEAM.chat if name == "bot_deleted" else None)


# ------------------------------------------------------------------ who is meant


@pytest.mark.parametrize(
    ("name", "text", "addressed"),
    [
        ("text_group", "中午吃什么", False),
        ("text_mention", "怎么升级？", True),
        ("text_mentions", "请 告诉 @Bob 结果", True),
        ("text_mention_other", "@小助手 在吗", False),
        ("text_mention_all", "@all 明天放假", False),
        ("text_nulls", "hi", True),
    ],
)
def test_the_bot_is_meant_in_private_or_by_its_open_id(name: str, text: str, addressed: bool) -> None:
    event = message(payload(name))
    assert (event.text, event.addressed) == (text, addressed)


def test_a_reply_alone_does_not_address_the_bot() -> None:
    event = message(wrote({"text": "no"}, root_id="om_a", parent_id="om_b"))
    assert (event.addressed, event.quotes) == (False, (Quote("om_b"),))


def test_all_are_mentioned_by_the_name_that_the_platform_gives() -> None:
    everyone = {"key": "@_all", "id": {"open_id": "", "user_id": "all"}, "name": "所有人"}
    event = message(wrote({"text": "@_all 开会"}, mentions=[everyone]))
    assert (event.text, event.addressed) == ("@所有人 开会", False)


def test_nobody_is_the_bot_while_its_open_id_is_unknown() -> None:
    everyone = {"key": "@_all", "id": {"open_id": ""}, "name": "所有人"}
    event = parse("fs", "", wrote({"text": "@_all"}, mentions=[everyone]))
    assert isinstance(event, Message) and not event.addressed


# ------------------------------------------------------------------ where


@pytest.mark.parametrize(
    ("name", "thread", "quotes"),
    [
        ("topic_head", "omt_2222222222222222", ()),
        ("topic", "omt_1111111111111111", ()),
        ("topic_reply", "omt_1111111111111111", (Quote("om_" + "d" * 32),)),
    ],
)
def test_in_a_topic_only_a_parent_that_was_picked_is_quoted(name: str, thread: str, quotes: tuple[Quote, ...]) -> None:
    event = message(payload(name))
    assert (event.conversation, event.quotes) == (inside(TOPICS, thread), quotes)


def test_outside_of_topics_the_first_message_can_be_quoted() -> None:
    event = message(wrote({"text": "?"}, root_id="om_a", parent_id="om_a"))
    assert (event.conversation.thread, event.quotes) == ("", (Quote("om_a"),))


def test_a_merged_forward_that_replies_quotes_both() -> None:
    event = message(wrote({"content": "Merged and Forwarded Message"}, "merge_forward", parent_id="om_a"))
    assert event.quotes == (Quote("om_a"), Quote(event.id))


@pytest.mark.parametrize(
    ("name", "conversation", "key", "values"),
    [
        ("press", TEAM, "stop", {}),
        ("press_p2p", PRIVATE, "b7", {}),
        ("press_topic", inside(TOPICS, "omt_1111111111111111"), "b7", {}),
        ("press_select", TEAM, "pick", {"value": "2"}),
        ("press_input", TEAM, "ask", {"value": "三天"}),
    ],
)
def test_a_press_is_where_its_card_is(name: str, conversation: Conversation, key: str, values: dict[str, str]) -> None:
    event = parsed(payload(name))
    assert isinstance(event, Press)
    assert (event.conversation, event.key, event.values) == (conversation, key, values)
    assert 1790000000 < event.at < 1790000100, "the callbacks count in microseconds"


@pytest.mark.parametrize("value", [None, {}, {"action": "approve"}, {"k": ""}, "k", ["k"]])
def test_the_buttons_of_other_cards_are_no_press(value: Any) -> None:
    callback = payload("press")
    callback["event"]["action"]["value"] = value
    assert parsed(callback) is None


def test_a_reaction_that_is_taken_off() -> None:
    event = parsed(payload("reaction_deleted"))
    assert isinstance(event, Reacted)
    assert (event.emoji, event.added) == ("THUMBSUP", False)


def test_a_group_is_greeted_each_time_the_bot_is_added_but_a_redelivery_is_the_same() -> None:
    once, again = payload("bot_added"), payload("bot_added")
    again["header"]["event_id"] = "another"
    ids = [event.id for event in map(parsed, (once, payload("bot_added"), again)) if event]
    assert ids[0] == ids[1] != ids[2]


# ------------------------------------------------------------------ what is said


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("post_locale", "**一**\n- 二\n\nhttps://example.org/"),
        ("folder", "[文件夹: 资料]"),
        ("card", "审批\n申请人 @Bob[详情](https://example.org/b)\n[图片]\n[同意][拒绝]\n\n[图片]备注"),
        ("card_empty", "[卡片]"),
        ("share_chat", "[群名片: oc_94000000000000000000000000000094]"),
        ("share_user", "[个人名片: ou_b0b000000000000000000000000000bb]"),
        ("location", "[位置: 北京市海淀区, 39.98, 116.32]"),
        ("system", "[系统消息: Ann invited 小明, 小红 to this chat.]"),
        ("system_divider", "[系统消息: 新会话]"),
        ("todo", "[任务: 多吃水果。, 2021-06-08 03:51 UTC]"),
        ("vote", "[投票: 午饭]\n- 面\n- 饭"),
        ("hongbao", "[红包]"),
        ("calendar", "[日程: 评审, 2020-12-18 04:23 UTC, 2020-12-18 04:50 UTC]"),
        ("share_calendar_event", "[日程: 评审, 2020-12-18 04:23 UTC, 2020-12-18 04:50 UTC]"),
        ("general_calendar", "[日程: 评审, 2020-12-18 04:23 UTC]"),
        ("video_chat", "[视频会议: 周会, 2021-06-08 03:55 UTC]"),
        ("unknown_kind", "[消息: hologram]"),
    ],
)
def test_what_is_no_text_is_put_into_words(name: str, text: str) -> None:
    event = message(payload(name))
    assert (event.text, event.attachments) == (text, ())


@pytest.mark.parametrize(
    ("name", "kind", "ref", "called", "mime"),
    [
        ("image", "image", "img_v3_0004/image", "image", ""),
        ("file", "file", "file_v3_0005/file", "预算.xlsx", ""),
        ("audio", "audio", "file_v3_0007/file", "voice.ogg", "audio/ogg"),
        ("media", "video", "file_v3_0008/file", "演示.mp4", "video/mp4"),
        ("sticker", "sticker", "file_v3_0010/file", "sticker", ""),
    ],
)
def test_a_file_is_an_attachment(name: str, kind: Any, ref: str, called: str, mime: str) -> None:
    event = message(payload(name))
    assert (event.text, event.attachments) == ("", (Attachment(kind, f"{event.id}/{ref}", called, mime=mime),))


@pytest.mark.parametrize(
    ("typed", "text"),
    [
        ("@_user_1", ""),
        ("@_user_1/new", "/new"),
        ("/new @_user_1", "/new"),
        ("看 @_user_1 这里", "看 这里"),
        ("看@_user_1 这里", "看 这里"),
        ("@_user_1 @_user_1  hi", "hi"),
        ("a @_user_1@_user_1 b", "a b"),
        ("x\n@_user_1   y", "x\n  y"),
        ("@_user_1 ```\nif  a:\n    b\n```", "```\nif  a:\n    b\n```"),
        ("@_user_1 @_user_10 hi", "@Bob hi"),
        ("@_user_7 @_all_hands @_all", "@_user_7 @_all_hands @all"),
    ],
)
def test_the_bots_mention_is_taken_out_and_nothing_else(typed: str, text: str) -> None:
    assert message(wrote({"text": typed}, mentions=[mention(1, ME), mention(10, BOB, "Bob")])).text == text


def test_a_mention_without_a_key_still_means_the_bot() -> None:
    event = message(wrote({"text": "hi"}, mentions=[{"key": None, "id": {"open_id": ME}, "name": "小助手"}]))
    assert (event.text, event.addressed) == ("hi", True)


@pytest.mark.parametrize("stamp", ["soon", "", None, {}, "1790000002.5"])
def test_a_time_in_the_header_that_is_none_loses_no_event(stamp: Any) -> None:
    for name in ("text_group", "press"):
        value = payload(name)
        value["header"]["create_time"] = stamp
        assert parsed(value) is not None


def test_a_user_without_an_id_is_heard() -> None:
    value = wrote({"text": "hi"})
    value["event"]["sender"]["sender_id"] = None
    assert message(value).user == User("")


def test_what_other_apps_write_is_not_even_read() -> None:
    value = payload("text_from_app")
    value["event"] |= {"message": {"content": 7}}
    assert parsed(value) is None


def test_a_mention_without_a_name_is_written_as_its_id() -> None:
    assert message(wrote({"text": "@_user_1"}, mentions=[mention(1, BOB, "")])).text == f"@{BOB}"


def post(*elements: Json, **fields: Any) -> Message:
    return message(wrote({"title": "", "content": [elements]}, "post", **fields))


@pytest.mark.parametrize(
    ("element", "text"),
    [
        ({"tag": "at", "user_id": "@_user_1"}, "a b"),
        ({"tag": "at", "user_id": ME}, "a b"),
        ({"tag": "at", "user_id": "@_user_9", "user_name": "Cy"}, "a @Cy b"),
        ({"tag": "at", "user_id": "@_user_9"}, "a @@_user_9 b"),
        ({"tag": "at", "user_id": "@_all", "user_name": "所有人"}, "a @all b"),
        ({"tag": "a", "text": "", "href": "https://e.org"}, "a https://e.org b"),
        ({"tag": "code_block", "text": "```\nx\n```"}, "a ````\n```\nx\n```\n```` b"),
        ({"tag": "of_next_year", "text": "new"}, "a new b"),
        ({"tag": "text", "text": "@_user_1 typed"}, "a @_user_1 typed b"),
        ({"tag": "text", "text": None}, "a  b"),
    ],
)
def test_an_element_of_a_rich_text(element: Json, text: str) -> None:
    around = {"tag": "text", "text": "a "}, element, {"tag": "text", "text": " b"}
    assert post(*around, mentions=[mention(1, ME)]).text == text


def test_nulls_in_lists_are_passed_over() -> None:
    content = {"title": None, "content": [None, [None, {"tag": "text", "text": "hi"}]]}
    assert message(wrote(content, "post", mentions=[None])).text == "hi"


def test_words_and_a_picture_in_one_line_both_come() -> None:
    event = post({"tag": "text", "text": "look"}, {"tag": "img", "image_key": "k"})
    assert (event.text, event.attachments) == ("look", (Attachment("image", f"{event.id}/k/image", "image"),))


@pytest.mark.parametrize("content", ["", "null", "[]", "[[", '{"text": 5}', "\ud800", "[" * 100_000])
def test_content_that_cannot_be_read_does_not_fail_the_message(content: str) -> None:
    assert message(wrote(content)).text == "[消息: text]"


@pytest.mark.parametrize(("kind", "label"), [("image", "图片"), ("audio", "语音"), ("sticker", "表情")])
def test_a_file_without_a_key_is_words(kind: str, label: str) -> None:
    event = message(wrote({}, kind))
    assert (event.text, event.attachments) == (f"[{label}]", ())


def test_half_an_emoji_does_not_lose_the_message() -> None:
    event = message(wrote('{"text": "hi \\ud83d"}'))
    assert event.text == "hi ?"
    assert msgspec.json.decode(msgspec.json.encode(event), type=AnyEvent) == event


# ------------------------------------------------------------------ merged forwards


def item(number: int, content: Json, kind: str = "text", upper: str | None = "om_root", **fields: Any) -> Json:
    return {
        "message_id": f"om_{number}",
        "msg_type": kind,
        "body": {"content": json.dumps(content)},
        "sender": {"id": "ou_x", "id_type": "open_id", "sender_type": "user"},
        "create_time": str(1790000000000 + number),
        "upper_message_id": upper,
        **fields,
    }


ROOT = item(0, {"content": "Merged and Forwarded Message"}, "merge_forward", None, message_id="om_root")


def test_a_merged_forward_is_told_line_by_line() -> None:
    said = forwarded(
        [
            ROOT,
            item(3, {}, "merge_forward"),
            item(2, {"image_key": "img"}, "image", sender={"id": "ou_y", "sender_name": "Bob"}),
            item(1, {"text": "@_user_1\nhi"}, mentions=[{"key": "@_user_1", "id": ME, "name": "小助手"}]),
            item(5, {"text": "two\nlines"}, upper="om_3"),
            item(4, {"file_key": "f", "file_name": "a.pdf"}, "file", "om_3"),
        ],
        "om_root",
    )
    assert said.text == (
        "ou_x: @小助手\n  hi\nBob: [图片]\nou_x: [聊天记录]\n  ou_x: [文件: a.pdf]\n  ou_x: two\n    lines"
    )
    assert said.attachments == ()


def test_a_long_merged_forward_is_cut_and_says_so() -> None:
    said = forwarded([ROOT, *(item(number, {"text": "x"}) for number in range(1, MOST + 13))], "om_root")
    lines = said.text.splitlines()
    assert (len(lines), lines[-1]) == (MOST + 1, "[还有 12 条消息]")


def test_a_deep_merged_forward_is_cut_and_says_so() -> None:
    chain = [item(number, {}, "merge_forward", f"om_{number - 1}") for number in range(1, LEVELS + 3)]
    lines = forwarded([ROOT | {"message_id": "om_0"}, *chain], "om_0").text.splitlines()
    assert lines == ["ou_x: [聊天记录]", "  ou_x: [聊天记录]", "    ou_x: [聊天记录]", "[还有 2 条消息]"]


def test_forwards_in_a_circle_come_to_an_end() -> None:
    circle = [item(1, {}, "merge_forward", "om_2"), item(2, {}, "merge_forward", "om_1")]
    assert forwarded(circle, "om_1").text.count("[聊天记录]") == 1


def test_a_message_that_cannot_be_read_does_not_lose_the_others() -> None:
    assert forwarded([ROOT, {"message_id": 5}, None, item(1, {"text": "hi"})], "om_root").text == "ou_x: hi"


# ------------------------------------------------------------------ whatever comes

plain = st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="@0123456789")
words = st.text(st.sampled_from("a 🙂\u200d👧é中文𠀀\n\t`_/") | plain, max_size=8)
"""Nothing that could be the key of a mention, or go on with one."""
junk = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**16), 10**16) | st.floats() | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=6,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path to everything in a JSON value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, item in inner for place in places(item, (*path, key)))]


def with_one_changed(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    copy = value.copy()
    copy[path[0]] = with_one_changed(copy[path[0]], path[1:], new)
    return copy


def outcome(value: Json) -> AnyEvent | str | None:
    try:
        return parsed(value)
    except msgspec.ValidationError as error:
        return str(error)


@given(st.sampled_from(FILES), st.data(), junk)
def test_one_wrong_value_anywhere_is_a_designed_error_at_most(name: str, data: st.DataObject, new: Any) -> None:
    value = payload(name)
    value = with_one_changed(value, data.draw(st.sampled_from(places(value)[1:])), new)
    event = outcome(value)
    if event is not None and not isinstance(event, str):
        assert msgspec.json.decode(msgspec.json.encode(event), type=AnyEvent) == event


@given(st.sampled_from(FILES), st.data(), junk)
def test_one_wrong_value_in_its_content_never_loses_a_message(name: str, data: st.DataObject, new: Any) -> None:
    value = payload(name)
    if not isinstance(parsed(value), Message):
        return
    written = value["event"]["message"]
    content = json.loads(written["content"])
    written["content"] = json.dumps(with_one_changed(content, data.draw(st.sampled_from(places(content))), new))
    event = message(value)
    assert msgspec.json.decode(msgspec.json.encode(event), type=AnyEvent) == event


@given(st.sampled_from(FILES), st.data())
def test_null_is_like_nothing_there(name: str, data: st.DataObject) -> None:
    value = payload(name)
    *path, last = data.draw(st.sampled_from([place for place in places(value) if place and isinstance(place[-1], str)]))
    outer = value
    for step in path:
        outer = outer[step]
    outer[last] = None
    null = outcome(value)
    del outer[last]
    assert null == outcome(value)


Wrap = Callable[[list[str]], tuple[Any, str]]


def as_text(parts: list[str]) -> tuple[Any, str]:
    return {"text": "".join(parts)}, "text"


def as_post(parts: list[str]) -> tuple[Any, str]:
    elements = [
        {"tag": "at", "user_id": part} if part.startswith("@_user_") else {"tag": "text", "text": part}
        for part in parts
    ]
    return {"title": "", "content": [elements]}, "post"


@given(
    st.lists(words | st.sampled_from(["@_user_1", "@_user_2"]), min_size=1, max_size=8),
    st.sampled_from([as_text, as_post]),
)
@example(["`  a", "@_user_1", "  b`"], as_text)
def test_taking_mentions_out_keeps_every_other_character(parts: list[str], wrap: Wrap) -> None:
    content, kind = wrap(parts)
    event = message(wrote(content, kind, mentions=[mention(1, ME), mention(2, BOB, "Bob")]))
    assert event.addressed
    assert "@_user_" not in event.text and "小助手" not in event.text
    rest = "".join("@Bob" if part == "@_user_2" else "" if part == "@_user_1" else part for part in parts)
    assert re.sub(r"\s", "", event.text) == re.sub(r"\s", "", rest)
    if "@_user_1" not in parts:
        assert event.text == rest.strip()
    else:
        assert len(event.text) >= len(rest.strip()) - parts.count("@_user_1"), "at most one space for each mention"


@given(st.sampled_from(["text", "post", "interactive", "todo", "system", "vote", "location", "calendar", "x"]), junk)
def test_any_content_gets_words(kind: str, content: Any) -> None:
    said = content_of(kind, json.dumps(content))
    assert said.attachments == ()
    assert said.text or kind in {"text", "post"}
