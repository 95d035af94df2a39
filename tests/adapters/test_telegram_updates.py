"""Telegram's updates as the platform sends them, and what the bridge makes of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from telegram import Update

from adapters.telegram.updates import ALLOWED, Moved, TgUser, left, parse
from bridge.model import AnyEvent, Attachment, Conversation, Entered, Message, Press, Quote, User

Json = dict[str, Any]

PAYLOADS = Path(__file__).parent.parent / "payloads" / "telegram"
NOW = 1790000000.5
ME = TgUser(42, True, username="my_bot")
TEAM = Conversation(bot="tg", chat="-1001234567890", kind="group", name="Team")

ANN: Json = {"id": 4242, "is_bot": False, "first_name": "Ann", "language_code": "en"}
BOT: Json = {"id": 42, "is_bot": True, "first_name": "Bot", "username": "my_bot"}
OTHER_BOT: Json = {"id": 43, "is_bot": True, "first_name": "Other", "username": "other_bot"}
ANONYMOUS: Json = {"id": 1087968824, "is_bot": True, "first_name": "Group", "username": "GroupAnonymousBot"}
CHANNEL_BOT: Json = {"id": 136817688, "is_bot": True, "first_name": "Channel", "username": "Channel_Bot"}
TELEGRAM: Json = {"id": 777000, "is_bot": False, "first_name": "Telegram"}
PRIVATE: Json = {"id": 4242, "first_name": "Ann", "last_name": "Li", "type": "private"}
GROUP: Json = {"id": -1001234567890, "title": "Team", "type": "supergroup"}
FORUM: Json = GROUP | {"is_forum": True}
CHANNEL: Json = {"id": -1009, "title": "News", "type": "channel"}


def payload(name: str) -> Json:
    value: Json = json.loads((PAYLOADS / f"{name}.json").read_text("utf-8"))
    return value


def wrote(kind: str = "message", chat: Json = GROUP, sender: Json | None = ANN, **fields: Any) -> Json:
    """An update with a message in it; the bot's mentions are marked as the platform does."""
    body = {"message_id": 7, "chat": chat, "date": 1790000000, **fields}
    if sender is not None:
        body["from"] = sender
    for field, entities in (("text", "entities"), ("caption", "caption_entities")):
        before, found, _ = body.get(field, "").partition("@my_bot")
        if found and entities not in body:
            body[entities] = [{"type": "mention", "offset": units(before), "length": 7}]
    return {"update_id": 1, kind: body}


def units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def parsed(update: Json, moved: dict[str, str] | None = None) -> AnyEvent | Moved | None:
    return parse("tg", ME, update, NOW, moved or {})


def message(update: Json) -> Message:
    event = parsed(update)
    assert isinstance(event, Message)
    return event


# ------------------------------------------------------------------ real updates

EXPECTED: dict[str, AnyEvent | None] = {
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
        attachments=(Attachment("image", "large", "photo.jpg", 99000, "image/jpeg"),),
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
KINDS: dict[type, str] = {
    Message: "private private_topic group supergroup mention reply quote text_mention_photo topic_command forum_topic"
    " general_topic channel_post edited_channel_post linked_post comment anonymous_admin as_channel via_bot edited"
    " edited_caption photo album_1 album_2 document voice audio video video_note animation sticker sticker_animated"
    " location contact poll dice",
    Press: "press press_stale stopped stopped_topic",
    Entered: "added",
    Moved: "migrated_to migrated_from",
    type(None): "joined left other_bot added_service promoted removed blocked unblocked reaction",
}
FILES = sorted(path.stem for path in PAYLOADS.glob("*.json"))


@pytest.mark.parametrize("name", FILES)
def test_every_payload_can_be_read_here_and_by_the_library_and_survives_the_inbox(name: str) -> None:
    event = parsed(payload(name))
    assert Update.de_json(payload(name), None) is not None
    if event is not None and not isinstance(event, Moved):
        row = msgspec.json.encode(event)
        assert msgspec.json.decode(row, type=AnyEvent) == event


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, names in KINDS.items() for name in names.split()])
def test_a_payload_becomes_an_event_of_its_kind(kind: type, name: str) -> None:
    assert type(parsed(payload(name))) is kind


@pytest.mark.parametrize("name", EXPECTED)
def test_a_payload_becomes_its_event(name: str) -> None:
    assert parsed(payload(name)) == EXPECTED[name]


def test_a_plain_message_asks_for_nothing_more() -> None:
    assert parsed(wrote(text="hi", chat=PRIVATE)) == Message(
        id="7",
        conversation=Conversation(bot="tg", chat="4242", kind="private"),
        user=User("4242", "Ann", "en"),
        at=1790000000.0,
        text="hi",
    )


# ------------------------------------------------------------------ who


@pytest.mark.parametrize(
    "update",
    [
        wrote(text="hi", sender=BOT, chat=PRIVATE),
        wrote(text="hi @my_bot", sender=OTHER_BOT),
        wrote(text="hi", sender=ANN, via_bot=BOT),
        wrote("edited_message", text="hi", sender=OTHER_BOT),
        wrote("channel_post", text="hi @my_bot", sender=BOT, chat=CHANNEL),
    ],
)
def test_what_bots_write_is_no_event(update: Json) -> None:
    assert parsed(update) is None


def test_what_a_user_sends_through_another_bot_is_the_users() -> None:
    assert message(wrote(text="hi", via_bot=OTHER_BOT)).user.id == "4242"


@pytest.mark.parametrize(
    ("fields", "addressed"),
    [
        ({"text": "hi"}, False),
        ({"text": "hi @my_bot"}, True),
        ({"caption": "@my_bot what?", "photo": [{"file_id": "p"}]}, True),
        ({"text": "hi @other_bot", "entities": [{"type": "mention", "offset": 3, "length": 10}]}, False),
        ({"text": "/ask@my_bot2", "entities": [{"type": "bot_command", "offset": 0, "length": 12}]}, False),
        ({"text": "/ask@MY_BOT", "entities": [{"type": "bot_command", "offset": 0, "length": 11}]}, True),
        ({"text": "hi", "reply_to_message": {"message_id": 3, "chat": GROUP, "from": BOT, "text": "x"}}, True),
        ({"text": "hi", "reply_to_message": {"message_id": 3, "chat": GROUP, "from": ANN, "text": "x"}}, False),
    ],
)
@pytest.mark.parametrize("chat", [GROUP, CHANNEL])
def test_in_groups_and_channels_the_bot_is_meant_only_when_it_is_named(
    fields: Json, addressed: bool, chat: Json
) -> None:
    kind, sender = ("channel_post", None) if chat is CHANNEL else ("message", ANN)
    assert message(wrote(kind, chat, sender, **fields)).addressed is addressed


@pytest.mark.parametrize(("signature", "name"), [({}, "News"), ({"author_signature": "Eve"}, "Eve")])
def test_a_channel_is_a_group_with_one_user(signature: Json, name: str) -> None:
    event = message(wrote("channel_post", CHANNEL, None, text="@my_bot hi", sender_chat=CHANNEL, **signature))
    assert event.conversation == Conversation(bot="tg", chat="-1009", kind="group", name="News")
    assert event.user == User("-1009", name, real=False)
    assert (event.text, event.addressed) == ("hi", True)


@pytest.mark.parametrize(("text", "addressed"), [("news", False), ("@my_bot news", True)])
def test_a_linked_post_in_the_discussion_group_is_the_channels(text: str, addressed: bool) -> None:
    answer = {"message_id": 3, "chat": GROUP, "from": BOT, "text": "x"}
    event = message(
        wrote(
            text=text,
            sender=TELEGRAM,
            sender_chat=CHANNEL,
            author_signature="Eve",
            is_automatic_forward=True,
            reply_to_message=answer,
        )
    )
    assert event.user == User("-1009", "Eve", real=False)
    assert event.conversation == TEAM
    assert (event.text, event.addressed) == ("news", addressed)


@pytest.mark.parametrize(
    ("sender", "mask", "user"),
    [
        (ANONYMOUS, GROUP, User("-1001234567890", "Team", real=False)),
        (CHANNEL_BOT, CHANNEL, User("-1009", "News", real=False)),
    ],
)
def test_masks_are_the_chat_they_write_as(sender: Json, mask: Json, user: User) -> None:
    assert message(wrote(text="hi", sender=sender, sender_chat=mask, author_signature="boss")).user == user


# ------------------------------------------------------------------ where


@pytest.mark.parametrize(
    ("chat", "fields", "thread", "handle"),
    [
        (FORUM, {"message_thread_id": 77, "is_topic_message": True}, "77", ""),
        (FORUM, {}, "", "general"),
        (FORUM, {"message_thread_id": 900}, "", "general"),
        (FORUM, {"message_thread_id": 1, "is_topic_message": True}, "", "general"),
        (GROUP, {"message_thread_id": 900}, "", ""),
        (PRIVATE, {"message_thread_id": 5, "is_topic_message": True}, "5", ""),
        (PRIVATE, {}, "", ""),
    ],
)
def test_a_thread_is_a_topic_and_nothing_else(chat: Json, fields: Json, thread: str, handle: str) -> None:
    event = message(wrote(text="hi", chat=chat, **fields))
    assert (event.conversation.thread, event.handle) == (thread, handle)


@pytest.mark.parametrize(
    "update",
    [
        wrote(chat={"id": -5, "title": "Team", "type": "group"}, migrate_to_chat_id=-1005),
        wrote(chat={"id": -1005, "title": "Team", "type": "supergroup"}, sender=ANONYMOUS, migrate_from_chat_id=-5),
    ],
)
def test_either_end_of_a_migration_tells_of_it(update: Json) -> None:
    assert parsed(update) == Moved(old="-5", new="-1005")


@pytest.mark.parametrize(
    "update",
    [
        wrote(text="hi", chat=FORUM),
        {
            "update_id": 1,
            "callback_query": {
                "id": "9",
                "from": ANN,
                "message": {"message_id": 3, "chat": FORUM, "date": 0},
                "data": "k",
            },
        },
    ],
)
def test_a_group_that_moved_carries_its_old_id(update: Json) -> None:
    event = parsed(update, {"-1001234567890": "-77", "-1": "-2"})
    assert event is not None and not isinstance(event, Moved)
    assert (event.conversation.chat, event.conversation.was) == ("-1001234567890", "-77")


# ------------------------------------------------------------------ words


def test_a_command_for_another_bot_is_left_as_it_is() -> None:
    event = message(wrote(text="/New@otherbot", entities=[{"offset": 0, "length": 13, "type": "bot_command"}]))
    assert (event.text, event.addressed) == ("/New@otherbot", False)


@pytest.mark.parametrize(
    ("text", "url", "expected"),
    [
        ("see 文档🙂 now", "https://e.org/a", "see 文档🙂 (https://e.org/a) now"),
        ("see https://e.org now", "https://e.org/", "see https://e.org now"),
        ("see e.org/a now", "http://e.org/a", "see e.org/a now"),
        ("see e.org now", "https://evil.org/", "see e.org (https://evil.org/) now"),
    ],
)
def test_the_address_behind_a_word_is_written_out(text: str, url: str, expected: str) -> None:
    label = text.removeprefix("see ").removesuffix(" now")
    link = {"type": "text_link", "offset": 4, "length": units(label), "url": url}
    assert message(wrote(text=text, entities=[{"type": "bold", "offset": 0, "length": 4}, link])).text == expected
    assert message(wrote(caption=text, photo=[{"file_id": "p"}], caption_entities=[link])).text == expected


def test_formatting_stays_as_typed() -> None:
    text = "**a** _b_ <i> `c`"
    assert message(wrote(text=text, entities=[{"type": "code", "offset": 10, "length": 3}])).text == text


wide = st.text(st.sampled_from("a 🙂👩‍👩‍👧é中文𠀀\n@_/"), max_size=12)


@given(st.lists(wide, min_size=1, max_size=6), st.sampled_from(["@my_bot", "@My_BOT", "小助手🙂", "/ask@my_bot"]))
def test_taking_mentions_out_keeps_every_other_character(parts: list[str], name: str) -> None:
    entities, text = [], parts[0]
    for part in parts[1:]:
        kind = {"@": "mention", "/": "bot_command"}.get(name[0], "text_mention")
        entities.append({"type": kind, "offset": units(text), "length": units(name), "user": BOT})
        text += name + part
    kept = "/ask" if name[0] == "/" else ""
    event = parsed(wrote(text=text, chat=PRIVATE, entities=entities))
    rest = kept.join(parts).strip()
    if isinstance(event, Message):
        assert event.text == rest
    else:
        assert not rest and not entities


@given(
    st.text(st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"]), min_size=1, max_size=40),
    st.lists(
        st.tuples(
            st.integers(-5, 50),
            st.integers(-5, 50),
            st.sampled_from(["mention", "text_mention", "bot_command", "bold"]),
        ),
        max_size=5,
    ),
)
@example("abcdef", [(3, -2, "text_mention")])
@example("abcdef", [(3, 1, "text_mention"), (0, 1, "text_mention")])
@example("abcdef", [(-3, 5, "text_mention")])
def test_entities_whatever_they_say_do_no_harm(text: str, marks: list[tuple[int, int, str]]) -> None:
    entities = [{"offset": offset, "length": length, "type": kind, "user": BOT} for offset, length, kind in marks]
    event = parsed(wrote(text=text, chat=PRIVATE, entities=entities))
    if isinstance(event, Message):
        rest = iter(text)
        assert all(character in rest for character in event.text), "nothing comes twice or in another order"
    else:
        assert not text.strip()


@pytest.mark.parametrize(
    ("text", "cut"), [("x" * 3999, False), ("x" * 4000, True), ("🙂" * 2000, True), ("中" * 3999, False)]
)
def test_a_text_as_long_as_may_be_is_cut(text: str, cut: bool) -> None:
    assert message(wrote(text=text)).cut is cut


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"sticker": {"file_id": "s", "emoji": "👍"}}, "👍"),
        ({"location": {"latitude": 52.516275, "longitude": 13}}, "📍 52.516275, 13.0"),
        (
            {
                "location": {"latitude": 52.5, "longitude": 13.4},
                "venue": {"location": {"latitude": 52.5, "longitude": 13.4}, "title": "Zoo", "address": "Main St 1"},
            },
            "📍 52.5, 13.4\nZoo\nMain St 1",
        ),
        ({"contact": {"phone_number": "+49301", "first_name": "小", "last_name": "Li"}}, "小 Li, +49301"),
        ({"poll": {"question": "Lunch?", "options": [{"text": "Pizza"}, {"text": "寿司"}]}}, "Lunch?\n- Pizza\n- 寿司"),
        ({"dice": {"emoji": "🎲", "value": 6}}, "🎲 6"),
    ],
)
def test_what_is_no_text_is_put_into_words(fields: Json, text: str) -> None:
    event = message(wrote(chat=PRIVATE, **fields))
    assert (event.text, event.attachments) == (text, ())
    quoting = message(wrote(text="?", reply_to_message={"message_id": 3, "chat": GROUP, "from": ANN, **fields}))
    assert quoting.quotes == (Quote("3", text),)


@pytest.mark.parametrize(
    "fields",
    [
        {"story": {"id": 1, "chat": CHANNEL}},
        {"giveaway": {"winner_count": 1}},
        {"game": {"title": "Snake"}},
        {"pinned_message": {"message_id": 1, "chat": GROUP, "date": 0}},
        {"new_chat_title": "x"},
        {"forum_topic_created": {"name": "Ops", "icon_color": 1}},
        {"sticker": {"file_id": "s"}},
    ],
)
def test_what_says_nothing_is_no_event(fields: Json) -> None:
    assert parsed(wrote(chat=PRIVATE, **fields)) is None


def test_a_bare_mention_is_a_message() -> None:
    event = message(wrote(text="@my_bot"))
    assert (event.text, event.addressed) == ("", True)


def test_paid_and_protected_messages_are_messages() -> None:
    assert parsed(wrote(text="hi", has_protected_content=True, paid_star_count=5)) == parsed(wrote(text="hi"))


# ------------------------------------------------------------------ files

FILE: Json = {"file_id": "f", "file_unique_id": "u", "file_size": 9}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (
            {"photo": [FILE | {"width": 90, "height": 51}, {"file_id": "big", "width": 1280, "height": 720}, FILE]},
            Attachment("image", "big", "photo.jpg", 0, "image/jpeg"),
        ),
        (
            {"document": FILE | {"file_name": "表.xlsx", "mime_type": "application/x"}},
            Attachment("file", "f", "表.xlsx", 9, "application/x"),
        ),
        ({"voice": FILE | {"duration": 3}}, Attachment("audio", "f", "voice.ogg", 9, "audio/ogg")),
        (
            {"audio": FILE | {"file_name": "a.m4a", "performer": "P", "title": "T", "mime_type": "audio/mp4"}},
            Attachment("audio", "f", "a.m4a", 9, "audio/mp4"),
        ),
        ({"audio": FILE | {"performer": "P", "title": "T"}}, Attachment("audio", "f", "P - T", 9, "audio/mpeg")),
        ({"audio": FILE | {"title": "T"}}, Attachment("audio", "f", "T", 9, "audio/mpeg")),
        (
            {"video": FILE | {"file_name": "v.mov", "mime_type": "video/quicktime"}},
            Attachment("video", "f", "v.mov", 9, "video/quicktime"),
        ),
        ({"video_note": FILE}, Attachment("video", "f", "video.mp4", 9, "video/mp4")),
        (
            {"animation": FILE | {"file_name": "cat.mp4"}, "document": FILE | {"file_name": "twin.mp4"}},
            Attachment("video", "f", "cat.mp4", 9, "video/mp4"),
        ),
    ],
)
def test_a_file_comes_with_its_name_size_and_type(fields: Json, expected: Attachment) -> None:
    event = message(wrote(chat=PRIVATE, **fields))
    assert (event.text, event.attachments) == ("", (expected,))
    target = {"message_id": 3, "chat": GROUP, "from": ANN, "caption": "look", **fields}
    assert message(wrote(text="?", reply_to_message=target)).quotes == (Quote("3", "look", False, (expected,)),)


def test_the_pieces_of_an_album_belong_together() -> None:
    event = message(wrote(photo=[FILE], media_group_id="138"))
    assert (event.group, event.text) == ("138", "")
    assert message(wrote(photo=[FILE])).group == ""


# ------------------------------------------------------------------ replies


def replying(target: Json, **fields: Any) -> tuple[Quote, ...]:
    target = {"message_id": 3, "chat": GROUP, "from": BOT, **target}
    return message(wrote(text="?", reply_to_message=target, **fields)).quotes


def test_a_passage_that_was_picked_stands_for_the_whole_text() -> None:
    assert replying({"text": "one two"}) == (Quote("3", "one two", True),)
    assert replying({"text": "one two"}, quote={"text": "two", "position": 4, "is_manual": True}) == (
        Quote("3", "two", True),
    )
    assert replying({"text": "one two"}, quote={"text": "one", "position": 0}) == (Quote("3", "one two", True),)


def test_the_first_message_of_a_topic_is_no_quote() -> None:
    root = {"forum_topic_created": {"name": "Ops", "icon_color": 1}}
    assert replying(root) == ()
    elsewhere = {"origin": {"type": "user", "sender_user": BOT, "date": 1}, "chat": CHANNEL, "message_id": 3}
    assert replying(root, external_reply=elsewhere, quote={"text": "that", "position": 0}) == (Quote("", "that"),)


def test_a_reply_to_another_chat_quotes_what_it_shows() -> None:
    origin = {"type": "user", "sender_user": BOT, "date": 1}
    quoted = message(wrote(text="?", external_reply={"origin": origin}, quote={"text": "that", "position": 0}))
    assert quoted.quotes == (Quote("", "that"),)
    assert not quoted.addressed
    pictured = message(wrote(text="?", external_reply={"origin": origin, "photo": [FILE]}))
    assert pictured.quotes == (Quote("", "", False, (Attachment("image", "f", "photo.jpg", 9, "image/jpeg"),)),)
    assert message(wrote(text="?", external_reply={"origin": origin})).quotes == ()


# ------------------------------------------------------------------ edits


@pytest.mark.parametrize(("kind", "chat"), [("edited_message", GROUP), ("edited_channel_post", CHANNEL)])
def test_an_edit_is_the_message_anew(kind: str, chat: Json) -> None:
    event = message(wrote(kind, chat, text="@my_bot better", edit_date=1790000060))
    assert (event.id, event.text, event.edited, event.at) == ("7", "better", True, 1790000060.0)
    assert not message(wrote(text="hi", edit_date=1790000060)).edited


@pytest.mark.parametrize("fields", [{"location": {"latitude": 1, "longitude": 2}}, {"new_chat_title": "x"}, {}])
def test_an_edit_without_words_or_files_is_no_event(fields: Json) -> None:
    assert parsed(wrote("edited_message", PRIVATE, edit_date=1790000060, **fields)) is None


# ------------------------------------------------------------------ buttons


def pressed(**fields: Any) -> Json:
    return {"update_id": 1, "callback_query": {"id": "9", "from": ANN, "chat_instance": "1", **fields}}


def test_a_button_on_an_old_message_in_a_topic() -> None:
    old = {"message_id": 3, "chat": FORUM, "date": 0}
    expected = Press(id="9", conversation=TEAM, user=User("4242", "Ann", "en"), at=NOW, target="3", key="k1")
    assert parsed(pressed(message=old, data="k1")) == expected
    topic = old | {"date": 1, "message_thread_id": 77, "is_topic_message": True}
    in_topic = parsed(pressed(message=topic, data="k1"))
    assert in_topic == msgspec.structs.replace(expected, conversation=msgspec.structs.replace(TEAM, thread="77"))


@pytest.mark.parametrize(
    "fields",
    [
        {"message": {"message_id": 3, "chat": GROUP, "date": 0}, "game_short_name": "snake"},
        {"inline_message_id": "x", "data": "k1"},
    ],
)
def test_games_and_inline_messages_have_no_buttons_of_ours(fields: Json) -> None:
    assert parsed(pressed(**fields)) is None


@pytest.mark.parametrize(("fields", "thread"), [({}, ""), ({"message_thread_id": 5}, "5")])
def test_the_native_stop_button_is_a_press_on_the_draft(fields: Json, thread: str) -> None:
    stop = {"chat": PRIVATE, "draft_id": 2816, **fields}
    assert parsed({"update_id": 11, "stopped_message_generation": stop}) == Press(
        id="stop:11",
        conversation=Conversation(bot="tg", chat="4242", kind="private", thread=thread),
        user=User("4242", "Ann Li"),
        at=NOW,
        target="draft:2816",
        key="stop",
    )


# ------------------------------------------------------------------ coming and going

LEFT, KICKED, MEMBER = {"status": "left"}, {"status": "kicked", "until_date": 0}, {"status": "member"}
ADMIN, MUTED = {"status": "administrator"}, {"status": "restricted", "is_member": True}
MUTED_OUT = {"status": "restricted", "is_member": False}


def became(old: Json, new: Json, chat: Json = GROUP, sender: Json = ANN) -> Json:
    change = {"chat": chat, "from": sender, "date": 1790000009, "old_chat_member": old, "new_chat_member": new}
    return {"update_id": 1, "my_chat_member": change}


@pytest.mark.parametrize("old", [LEFT, KICKED, MUTED_OUT])
@pytest.mark.parametrize("new", [MEMBER, ADMIN, MUTED])
def test_the_bot_is_greeted_into_a_group(old: Json, new: Json) -> None:
    assert parsed(became(old, new)) == Entered(
        id="-1001234567890:1790000009",
        conversation=TEAM,
        user=User("4242", "Ann", "en"),
        at=1790000009.0,
        first=True,
    )
    assert left(became(old, new)) is None


def test_an_anonymous_admin_adds_the_bot_to_a_forum() -> None:
    event = parsed(became(LEFT, MEMBER, FORUM, ANONYMOUS))
    assert isinstance(event, Entered)
    assert (event.user, event.handle) == (User("-1001234567890", "Team", real=False), "general")


@pytest.mark.parametrize(
    ("update", "gone"),
    [
        (became(MEMBER, ADMIN), None),
        (became(ADMIN, MUTED), None),
        (became(LEFT, KICKED), None),
        (became(MEMBER, LEFT), "-1001234567890"),
        (became(ADMIN, KICKED), "-1001234567890"),
        (became(MEMBER, MUTED_OUT), "-1001234567890"),
        (became(LEFT, ADMIN, CHANNEL), None),
        (became(ADMIN, LEFT, CHANNEL), "-1009"),
        (became(MEMBER, KICKED, PRIVATE), "4242"),
        (became(KICKED, MEMBER, PRIVATE), None),
        (wrote(text="hi"), None),
    ],
)
def test_being_removed_or_blocked_is_no_event_but_can_be_told(update: Json, gone: str | None) -> None:
    assert left(update) == gone
    if "my_chat_member" in update:
        assert parsed(update) is None


# ------------------------------------------------------------------ the rest


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"update_id": "x"},
        {"update_id": 1, "message": {"message_id": 1}},
        {"update_id": 1, "message": {"message_id": 1, "chat": GROUP, "text": 5}},
        {"update_id": 1, "my_chat_member": {"chat": GROUP}},
    ],
)
def test_a_poison_update_is_an_error_of_its_own(broken: Json) -> None:
    with pytest.raises(msgspec.ValidationError):
        parsed(broken)


@pytest.mark.parametrize("kind", ["business_message", "message_reaction", "poll", "something_of_next_year"])
def test_what_was_not_asked_for_is_not_read(kind: str) -> None:
    assert kind not in ALLOWED
    assert parsed({"update_id": 1, kind: {"unheard": "of"}}) is None


@pytest.mark.parametrize("kind", ALLOWED)
def test_what_was_asked_for_is_read(kind: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        parsed({"update_id": 1, kind: {"unheard": "of"}})
