"""A wechaty gateway's messages, and what the bridge makes of them."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from adapters.wechat.wechaty.events import parse
from adapters.wechat.wechaty.schema import WxLink, WxMessage, link, seconds
from bridge.model import Attachment, Conversation, Message, Quote, Recalled, User

ME = "wxid_bot0000000000"
ALICE = "wxid_alice00000000"
ROOM = "21400000000@chatroom"
NAMES = ("FastBot", "Office Helper")
AT = 1795470000.5
DASHES = "- - - - - - - - - - - - - - -"


def wrote(text: str = "", kind: int = 7, **fields: object) -> WxMessage:
    """A message of Alice's, in private."""
    known = {"id": "1768000000000000001", "from_id": ALICE, "to_id": ME, "timestamp": AT}
    return WxMessage(type=kind, text=text, **{**known, **fields})  # type: ignore[arg-type]


def in_room(text: str = "", kind: int = 7, *mentions: str) -> WxMessage:
    return wrote(text, kind, room_id=ROOM, to_id="", mention_ids=mentions)


def parsed(message: WxMessage, link: WxLink | None = None) -> Message | Recalled | None:
    return parse("wx", ME, NAMES, message, link)


def read(message: WxMessage, link: WxLink | None = None) -> Message:
    event = parsed(message, link)
    assert isinstance(event, Message)
    return event


# ------------------------------------------------------------------ who and where


def test_a_private_message_is_for_the_bot() -> None:
    assert parsed(wrote(" hello\n")) == Message(
        id="1768000000000000001",
        conversation=Conversation(bot="wx", chat=ALICE, kind="private"),
        user=User(ALICE),
        at=AT,
        text="hello",
    )


def test_a_room_is_a_group_and_its_talk_is_not_for_the_bot() -> None:
    message = read(in_room("lunch?"))
    assert message.conversation == Conversation(bot="wx", chat=ROOM, kind="group")
    assert (message.user, message.text, message.addressed) == (User(ALICE), "lunch?", False)


@pytest.mark.parametrize(
    "message", [wrote("hi", from_id=ME), wrote("hi", from_id=ME, room_id=ROOM), wrote("joined", from_id="")]
)
def test_own_messages_and_messages_of_nobody_are_no_events(message: WxMessage) -> None:
    assert parsed(message) is None


# ------------------------------------------------------------------ mentions


def test_a_mention_by_id_addresses_the_bot_whatever_the_text_calls_it() -> None:
    message = read(in_room("@My Bot\u2005hi", 7, "wxid_bob000000000", ME))
    assert (message.addressed, message.text) == (True, "@My Bot\u2005hi")


@pytest.mark.parametrize("text", ["@FastBot\u2005hi", "@Office Helper hi", "hi @FastBot"])
def test_a_mention_by_name_addresses_the_bot_and_is_taken_out(text: str) -> None:
    message = read(in_room(text))
    assert (message.addressed, message.text) == (True, "hi")


def test_somebody_elses_mention_is_not_for_the_bot() -> None:
    message = read(in_room("@FastBot2\u2005hi", 7, "wxid_bob000000000"))
    assert (message.addressed, message.text) == (False, "@FastBot2\u2005hi")


# ------------------------------------------------------------------ quotes


def test_a_quote_comes_with_its_words() -> None:
    message = read(wrote(f"「Bob：line one\n「two」: three」\n{DASHES}\nwhat does it mean?"))
    assert message.quotes == (Quote(id="", text="line one\n「two」: three"),)
    assert message.text == "what does it mean?"
    assert not message.quotes[0].bare


def test_quoting_the_bot_addresses_it() -> None:
    message = read(in_room(f"「FastBot：It is 42.」\n{DASHES}\nwhy?"))
    assert (message.addressed, message.text) == (True, "why?")
    assert message.quotes[0].own


def test_a_mention_inside_a_quote_addresses_nobody() -> None:
    message = read(in_room(f"「Bob：@FastBot\u2005hi」\n{DASHES}\nthat was rude"))
    assert (message.addressed, message.quotes) == (False, (Quote(id="", text="@FastBot\u2005hi"),))


def test_the_answer_to_a_quote_may_mention_the_bot() -> None:
    message = read(in_room(f"「Bob：42」\n{DASHES}\n@FastBot\u2005is that so?"))
    assert (message.addressed, message.text) == (True, "is that so?")


@pytest.mark.parametrize("text", ["「Bob：42」", f"I said 「Bob：42」\n{DASHES}\nno", "「Bob：42」\n- - -\nno"])
def test_what_only_looks_like_a_quote_stays_text(text: str) -> None:
    message = read(wrote(text))
    assert (message.text, message.quotes) == (text, ())


# ------------------------------------------------------------------ types


@pytest.mark.parametrize(
    ("kind", "filename", "attachment"),
    [
        (6, "photo.jpg", Attachment("image", "1768000000000000001/image", "photo.jpg")),
        (6, "", Attachment("image", "1768000000000000001/image")),
        (1, "report.pdf", Attachment("file", "1768000000000000001/file", "report.pdf")),
        (2, "", Attachment("audio", "1768000000000000001/file", "voice message")),
        (15, "clip.mp4", Attachment("video", "1768000000000000001/file", "clip.mp4")),
    ],
)
def test_a_file_is_an_attachment_and_its_xml_no_text(kind: int, filename: str, attachment: Attachment) -> None:
    message = read(wrote('<?xml version="1.0"?><msg><img aeskey="00"/></msg>', kind, filename=filename))
    assert (message.text, message.attachments) == ("", (attachment,))


def test_a_link_is_its_title_and_address() -> None:
    found = WxLink("The title", "https://example.com/a", "More words")
    assert read(wrote("<msg><appmsg/></msg>", 14), found).text == "The title\nhttps://example.com/a"
    assert read(wrote("", 14), WxLink(url="https://example.com/a")).text == "https://example.com/a"


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (3, "contact card"),
        (4, "chat history"),
        (5, "sticker"),
        (8, "location"),
        (9, "mini program"),
        (11, "money transfer"),
        (12, "red envelope"),
        (14, "link"),
        (16, "post"),
        (17, "unknown message"),
        (99, "unknown message"),
    ],
)
def test_what_cannot_be_read_is_named_in_plain_words(kind: int, name: str) -> None:
    message = read(wrote("<msg><appmsg><title>secret</title></appmsg></msg>", kind))
    assert message.text == ""
    assert [(found.kind, found.name) for found in message.attachments] == [("sticker", name)]


@pytest.mark.parametrize("kind", [0, 16, 17])
def test_words_of_a_new_type_are_read(kind: int) -> None:
    message = read(wrote("a few words", kind))
    assert (message.text, message.attachments) == ("a few words", ())


@pytest.mark.parametrize(
    "message",
    [wrote("", 0), wrote("<sysmsg/>", 0), wrote("note", 10), in_room("note", 10), in_room("", 11), in_room("", 12)],
)
def test_what_wechat_shows_in_grey_is_no_event(message: WxMessage) -> None:
    assert parsed(message) is None


# ------------------------------------------------------------------ recalls


@pytest.mark.parametrize(
    "text",
    [
        "1768000000000000000",
        "<sysmsg type='revokemsg'><revokemsg><session>x</session><msgid>1040000000</msgid>"
        '<newmsgid>1768000000000000000</newmsgid><replacemsg>"Alice" recalled a message</replacemsg>'
        "</revokemsg></sysmsg>",
    ],
)
def test_a_recall_names_its_message(text: str) -> None:
    assert parsed(in_room(text, 13)) == Recalled(
        id="1768000000000000001",
        conversation=Conversation(bot="wx", chat=ROOM, kind="group"),
        user=User(ALICE),
        at=AT,
        target="1768000000000000000",
    )


@pytest.mark.parametrize("text", ["", '"Alice" recalled a message', "对方撤回了一条消息", "<sysmsg/>"])
def test_a_recall_that_names_no_message_is_no_event(text: str) -> None:
    assert parsed(wrote(text, 13)) is None


# ------------------------------------------------------------------ anything at all

IDS = st.sampled_from([ME, ALICE, ""])
PIECES = st.sampled_from(["「", "」", "Bob：", f"\n{DASHES}\n", "@FastBot", "\u2005", " ", "<msg>", "hi", "\n"])
TEXTS = st.text() | st.lists(PIECES).map("".join)
MESSAGES = st.builds(
    WxMessage,
    id=st.text(min_size=1, max_size=20),
    type=st.integers(-1, 20),
    from_id=IDS,
    room_id=st.sampled_from([ROOM, ""]),
    text=TEXTS,
    mention_ids=st.lists(IDS, max_size=3).map(tuple),
    timestamp=st.floats(0, 4e9),
    filename=st.text(max_size=20),
)


@given(MESSAGES, st.none() | st.builds(WxLink, st.text(), st.text()))
def test_any_message_can_be_read(message: WxMessage, link: WxLink | None) -> None:
    event = parsed(message, link)
    if event is None:
        return
    assert (event.id, event.user.id, event.user.id != ME) == (message.id, message.from_id, True)
    assert (event.conversation.kind == "group") == bool(message.room_id)
    if isinstance(event, Message):
        assert event.addressed or message.room_id
        assert not any(quote.bare for quote in event.quotes if quote.text)
        for attachment in event.attachments:
            assert attachment.ref.rpartition("/")[0] == message.id


@given(st.text(alphabet=st.characters(exclude_characters="」")), st.text())
@example("no colon at all", "")
def test_nothing_of_a_quote_or_its_answer_is_lost(quoted: str, answer: str) -> None:
    message = read(wrote(f"「Bob：{quoted}」\n{DASHES}\n{answer}"))
    assert (message.quotes[0].text, message.text) == (quoted.strip(), answer.strip())


# ------------------------------------------------------------------ JSON and times


def test_a_links_json_is_read_as_far_as_it_goes() -> None:
    assert link('{"title": "T", "url": "https://e.invalid/", "thumbnailUrl": "x"}') == WxLink("T", "https://e.invalid/")
    assert link('{"title": "half \\ud83d", "url": null}') == WxLink("half ?")
    assert link("") == link("[]") == link("{") == WxLink()


@given(st.recursive(st.none() | st.integers() | st.text(), lambda items: st.dictionaries(st.text(), items)))
def test_any_links_json_can_be_read(value: object) -> None:
    for text in link(json.dumps(value)).title, link(str(value)).url:
        text.encode()


@pytest.mark.parametrize(("stamp", "at"), [(1795470000, 1795470000.0), (1795470000500, 1795470000.5), (0, 0.0)])
def test_a_time_may_be_in_seconds_or_in_milliseconds(stamp: int, at: float) -> None:
    assert seconds(stamp) == at
