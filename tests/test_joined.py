"""One question in several messages: which of them belong together, and how they read as one."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from bridge.joined import FULL, QUOTE_MOST, joined, pieces, waits, with_quotes
from bridge.model import Attachment, Conversation, Message, Quote, User

HERE = Conversation("tg", "-5", "group")
ANN, BOB = User("1", "Ann"), User("2", "Bob")
PHOTO = Attachment("image", "photo-1")


def message(number: int, text: str = "", *, user: User = ANN, at: float = 100.0, **more: Any) -> Message:
    return Message(id=str(number), conversation=HERE, user=user, at=at, text=text, **more)


def photo(number: int, text: str = "", **more: Any) -> Message:
    return message(number, text, group="album", attachments=(Attachment("image", f"photo-{number}"),), **more)


def test_a_plain_message_waits_for_nothing() -> None:
    assert not waits(message(1, "hi"))
    assert waits(photo(1))
    assert waits(message(1, "x" * 4096, cut=True))


def test_an_album_is_one_message_in_the_order_of_its_pictures() -> None:
    others = [photo(12), message(13, "by the way"), photo(10), photo(14, user=BOB)]
    found = pieces(photo(11, "what is this?"), others)
    assert [piece.id for piece in found] == ["10", "11", "12"]
    whole = joined(found)
    assert whole.text == "what is this?"
    assert [attachment.ref for attachment in whole.attachments] == ["photo-10", "photo-11", "photo-12"]


def test_an_album_is_meant_for_the_bot_when_one_of_its_messages_is() -> None:
    whole = joined([photo(1, addressed=False), photo(2, "look", addressed=True)])
    assert whole.addressed
    assert whole.id == "2"
    assert not joined([photo(1, addressed=False), photo(2, addressed=False)]).addressed


def test_a_cut_text_goes_on_with_what_its_writer_sends_at_once() -> None:
    first = message(1, "a" * FULL, cut=True)
    second = message(2, "b" * FULL, cut=True, at=101.0)
    found = pieces(
        first,
        [message(3, "meanwhile", user=BOB), second, message(4, "end", at=102.0), message(5, "and now?", at=102.0)],
    )
    assert [piece.id for piece in found] == ["1", "2", "4"]
    assert joined(found).text == "a" * FULL + "b" * FULL + "end"


def test_a_text_that_was_cut_at_a_line_keeps_its_line() -> None:
    assert joined([message(1, "a" * 4050, cut=True), message(2, "b")]).text == "a" * 4050 + "\nb"


def test_commands_pictures_and_late_messages_go_on_with_nothing() -> None:
    first = message(1, "a" * FULL, cut=True)
    for other in (message(2, "/stop"), photo(2), message(2, "an hour later", at=3700.0), message(2, "")):
        assert pieces(first, [other]) == [first]


@given(st.lists(st.text(max_size=20), min_size=1, max_size=6))
def test_no_word_is_lost(texts: list[str]) -> None:
    whole = joined([photo(number, text) for number, text in enumerate(texts)])
    assert whole.text.split() == " ".join(texts).split()
    assert len(whole.attachments) == len(texts)


def test_what_others_wrote_goes_along_as_a_quote() -> None:
    asked = message(2, "is that so?", quotes=(Quote("1", "The sky\nis green", attachments=(PHOTO,)),))
    assert with_quotes(asked) == ("> The sky\n> is green\n\nis that so?", (PHOTO,))


def test_the_bots_own_words_do_not() -> None:
    asked = message(2, "why?", quotes=(Quote("1", "Because.", own=True),))
    assert with_quotes(asked) == ("why?", ())


def test_a_long_quote_is_cut() -> None:
    text, _ = with_quotes(message(2, "?", quotes=(Quote("1", "x" * 9000),)))
    assert len(text) < QUOTE_MOST + 10


def test_a_joined_question_can_be_kept() -> None:
    whole = joined([photo(1, "one"), photo(2, "two")])
    assert msgspec.json.decode(msgspec.json.encode(whole), type=Message) == whole
