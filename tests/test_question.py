"""Which question an answer is about: albums, cut texts, quotes, edited messages, files."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import AsyncIterator
from typing import cast

import msgspec
import pytest

from bridge.answer import Answer, answer_key
from bridge.appapi import AppApi
from bridge.core import Task
from bridge.model import Attachment, Message, Quote, User
from bridge.store import Job
from tests.turnstage import GROUP, PRIVATE, Stage


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    made = Stage()
    await made.engine.start(made.turns.run)
    yield made
    await made.engine.close(0.0)


def picture(number: int) -> tuple[Attachment, ...]:
    return (Attachment("image", f"ref-{number}", f"{number}.jpg"),)


async def test_an_album_is_one_question(stage: Stage) -> None:
    stage.quiet.clear()
    await stage.say("", 1, group="a", attachments=picture(1))
    await stage.say("what are these?", 2, group="a", attachments=picture(2))
    await stage.say("", 3, group="a", attachments=picture(3))
    await stage.say("next question", 4)
    stage.quiet.set()
    await stage.screen.until(lambda: len(stage.screen.finals) == 2)
    assert stage.screen.finals == ["You asked: what are these?, 1.jpg, 2.jpg, 3.jpg", "You asked: next question"]


async def test_in_a_group_the_caption_speaks_for_all_of_an_album(stage: Stage) -> None:
    stage.quiet.clear()
    await stage.say("", 1, GROUP, group="a", addressed=False, attachments=picture(1))
    await stage.say("look", 2, GROUP, group="a", addressed=True, attachments=picture(2))
    stage.quiet.set()
    await stage.screen.until(lambda: stage.screen.finals == ["You asked: look, 1.jpg, 2.jpg"])


async def test_an_album_that_is_for_others_is_not_answered(stage: Stage) -> None:
    await stage.say("", 1, GROUP, group="a", addressed=False, attachments=picture(1))
    await stage.say("", 2, GROUP, group="a", addressed=False, attachments=picture(2))
    await stage.say("hello", 3, GROUP)
    await stage.screen.until(lambda: stage.screen.finals == ["You asked: hello"])
    assert len(stage.app.asked) == 1


async def test_an_album_counts_as_one_message(stage: Stage) -> None:
    stage.quiet.clear()
    for number in range(25):
        await stage.say("", number, group="a", at=time.time(), attachments=picture(number))
    stage.quiet.set()
    await stage.screen.until(lambda: len(stage.screen.finals) == 1)
    assert stage.screen.finals[0].count(".jpg") == 25


async def test_a_text_that_the_client_has_cut_is_one_question(stage: Stage) -> None:
    stage.quiet.clear()
    await stage.say("a" * 4096, 1, cut=True)
    await stage.say("b" * 100, 2)
    stage.quiet.set()
    await stage.screen.until(lambda: len(stage.screen.finals) == 1)
    [ask] = stage.app.asked
    assert ask.content == "a" * 4096 + "b" * 100


async def test_the_pieces_of_a_question_are_not_asked_again_after_a_restart() -> None:
    stage = Stage()
    await stage.engine.start(None)
    await stage.say("", 2, group="a", attachments=picture(2))
    [(key, body)] = await stage.engine._do(lambda db: db.execute("SELECT key, body FROM inbox").fetchall())
    await stage.engine.put({answer_key(key): msgspec.json.encode(Answer(piece_of="tg/7/Message/1"))})
    assert await stage.turns.run(Job(key, "lane", body))
    assert stage.app.asked == []
    await stage.engine.close(0.0)


async def test_retry_asks_the_whole_question_again(stage: Stage) -> None:
    stage.quiet.clear()
    await stage.say("one", 1, group="a", attachments=picture(1))
    await stage.say("two", 2, group="a", attachments=picture(2))
    stage.quiet.set()
    await stage.screen.until(lambda: len(stage.screen.finals) == 1)
    await stage.say("/retry", 3)
    await stage.screen.until(lambda: len(stage.screen.finals) == 2)
    assert stage.screen.finals[0] == stage.screen.finals[1] == "You asked: one\ntwo, 1.jpg, 2.jpg"


async def test_a_file_that_does_not_reach_the_app_is_told_under_the_answer(stage: Stage) -> None:
    await stage.say("what is it?", 1, attachments=(Attachment("file", "r", "no"),))
    await stage.screen.until(lambda: len(stage.screen.finals) == 1)
    answer, _, note = stage.screen.finals[0].partition("\n\n")
    assert answer == "You asked: what is it?"
    assert note.startswith("⚠️")


async def test_without_any_file_or_word_the_app_is_not_asked(stage: Stage) -> None:
    await stage.say("", 1, attachments=(Attachment("file", "r", "no"),))
    await stage.screen.until(lambda: len(stage.screen.finals) == 1)
    assert stage.screen.finals[0].startswith("⚠️")
    assert stage.app.asked == []


async def test_a_quoted_picture_goes_along(stage: Stage) -> None:
    await stage.say("what is it?", 2, quotes=(Quote("1", "look", attachments=picture(1)),))
    await stage.screen.until(lambda: stage.screen.finals == ["You asked: > look\n\nwhat is it?, 1.jpg"])


async def test_a_quoted_answer_of_our_own_goes_along_where_its_event_told_only_its_id(stage: Stage) -> None:
    await stage.say("hello", 1)
    await stage.screen.until(lambda: stage.screen.finals)
    (answer,) = stage.screen.parts
    await stage.say("what does that mean?", 2, quotes=(Quote(f"{answer[0]}.{answer[1]}"),))
    await stage.screen.until(lambda: len(stage.screen.finals) == 2)
    assert stage.screen.finals[1] == "You asked: > You asked: hello\n\nwhat does that mean?"


async def test_what_the_platform_knows_more_of_a_message_reaches_the_app(stage: Stage) -> None:
    bare = Message(id="1", conversation=GROUP, user=User("7"), at=1e9, text="see this", quotes=(Quote("q"),))
    stage.screen.completed["1"] = msgspec.structs.replace(
        bare,
        conversation=msgspec.structs.replace(GROUP, name="Team"),
        user=User("7", "Ann"),
        quotes=(Quote("q", "the plan"),),
    )
    await stage.core.receive(stage.bot, bare)
    await stage.screen.until(lambda: stage.screen.finals == ["You asked: > the plan\n\nsee this"])
    told = stage.app.asked[0].variables
    assert (told["chat_name"], told["user_name"]) == ("Team", "Ann")
    await stage.say("/retry", 2, GROUP)
    await stage.screen.until(lambda: len(stage.screen.finals) == 2)
    assert stage.screen.finals[1] == "You asked: > the plan\n\nsee this"


async def test_what_was_passed_on_is_the_question_and_not_cut_like_a_quote(stage: Stage) -> None:
    long = "\n".join(f"line {number} of it" for number in range(500))
    await stage.say("", 1, quotes=(Quote("1", long),))
    await stage.screen.until(lambda: stage.app.asked)
    assert str(stage.app.asked[0].content).endswith("> line 499 of it")
    await stage.say("and?", 2, quotes=(Quote("other", long),))
    await stage.screen.until(lambda: len(stage.app.asked) == 2)
    assert "…\n\nand?" in str(stage.app.asked[1].content), "a cut quote says so"


async def test_a_quote_of_which_nothing_is_known_does_not_make_a_question(stage: Stage) -> None:
    await stage.say("", 1, quotes=(Quote("lost"),))
    await stage.screen.until(lambda: stage.screen.finals)
    assert stage.screen.finals[0].startswith("I cannot read the quoted or forwarded message")
    assert stage.app.asked == []


# ------------------------------------------------------------------ edited messages


async def test_an_edited_question_is_asked_again_in_the_same_message(stage: Stage) -> None:
    stage.app.hold = asyncio.Event()
    await stage.say("whot?", 1)
    await stage.screen.until(lambda: stage.app.asked)
    await stage.say("what?", 1, edited=True, at=1e9 + 5)
    await stage.screen.until(lambda: len(stage.app.asked) == 2)
    stage.app.hold.set()
    await stage.screen.until(lambda: stage.screen.finals == ["Well, You asked: what?"])
    assert [ask.item_id for ask in stage.app.asked] == ["1", "1~1"]


async def test_an_edited_question_that_waits_is_asked_as_it_is_now(stage: Stage) -> None:
    stage.app.hold = asyncio.Event()
    await stage.say("first", 1)
    await stage.screen.until(lambda: stage.app.asked)
    await stage.say("secnd", 2)
    await stage.say("second", 2, edited=True, at=1e9 + 5)
    stage.app.hold.set()
    await stage.screen.until(lambda: len(stage.screen.finals) == 2)
    assert stage.screen.finals == ["Well, You asked: first", "Well, You asked: second"]


async def test_an_edit_is_too_late_when_it_is_answered_or_not_the_newest(stage: Stage) -> None:
    await stage.say("one", 1)
    await stage.screen.until(lambda: len(stage.screen.finals) == 1)
    await stage.say("won", 1, edited=True, at=1e9 + 5)
    stage.app.hold = asyncio.Event()
    await stage.say("two", 2)
    await stage.say("three", 3)
    await stage.say("too", 2, edited=True, at=1e9 + 5)
    stage.app.hold.set()
    await stage.screen.until(lambda: len(stage.screen.finals) == 3)
    assert [ask.content for ask in stage.app.asked] == ["one", "two", "three"]


async def test_an_edit_can_make_it_a_question(stage: Stage) -> None:
    await stage.say("what is the time?", 1, GROUP, addressed=False)
    await stage.say("what is the time?", 1, GROUP, edited=True, at=1e9 + 9)
    await stage.screen.until(lambda: stage.screen.finals == ["You asked: what is the time?"])


async def test_an_edit_of_an_answer_that_waits_for_the_screen_does_not_take_it_away() -> None:
    """The answer is whole and a ban holds it back; the process dies."""
    stage = Stage()
    await stage.engine.start(None)
    await stage.say("what now?", 1)
    [(key, _)] = await stage.engine._do(lambda db: db.execute("SELECT key, body FROM inbox").fetchall())
    await stage.engine.put(Answer(attempt=0, whole=True, text="The answer.").row(key))
    edited = Message(id="1", conversation=PRIVATE, user=User("7"), at=1e9 + 5, text="what?", edited=True)
    assert await stage.turns.run(Job(key, "lane", msgspec.json.encode(Task(edited))))
    assert stage.screen.finals == ["The answer."]
    await stage.engine.close(0.0)


async def test_edits_are_limited_like_questions(stage: Stage) -> None:
    stage.bot = dataclasses.replace(stage.bot, config=msgspec.structs.replace(stage.bot.config, per_user="2/min"))
    stage.app.hold = asyncio.Event()
    now = time.time()
    await stage.say("one", 1, at=now)
    await stage.screen.until(lambda: stage.app.asked)
    for number in range(5):
        await stage.say(f"edit {number}", 1, edited=True, at=now + number)
    stage.app.hold.set()
    await stage.screen.until(lambda: len(stage.screen.finals) == 2)
    assert {"Well, You asked: edit 0"} < set(stage.screen.finals), "and a word about haste"


async def test_the_stop_of_a_run_is_over_before_its_chat_is_asked_again(stage: Stage) -> None:
    api = SlowStop()
    stage.bot = dataclasses.replace(stage.bot, api=cast(AppApi, api))
    stage.turns._bots["tg"] = stage.bot  # type: ignore[index]
    stage.app.hold = asyncio.Event()
    await stage.say("whot?", 1)
    await stage.screen.until(lambda: stage.app.asked)
    await stage.say("what?", 1, edited=True, at=1e9 + 5)
    await asyncio.wait_for(api.begun.wait(), 5)
    assert len(stage.app.asked) == 1
    stage.app.hold.set()
    api.end.set()
    await stage.screen.until(lambda: len(stage.screen.finals) == 1)
    assert len(stage.app.asked) == 2


class SlowStop:
    """An app that takes its time to end a run."""

    present = True

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.end = asyncio.Event()

    async def stop(self, chat_id: str) -> None:
        self.begun.set()
        await self.end.wait()


# ------------------------------------------------------------------ the rate limit


async def test_an_album_that_comes_too_fast_is_refused_as_a_whole(stage: Stage) -> None:
    stage.bot = dataclasses.replace(stage.bot, config=msgspec.structs.replace(stage.bot.config, per_user="1/min"))
    await stage.say("one", 1, at=time.time())
    await stage.screen.until(lambda: len(stage.screen.finals) == 1)
    for number in range(2, 5):
        await stage.say("look", number, group="a", at=time.time(), attachments=picture(number))
    await stage.screen.until(lambda: len(stage.screen.finals) == 2)
    assert "Too many messages" in stage.screen.finals[1]
    assert len(stage.app.asked) == 1


async def test_what_the_platform_brings_again_is_no_haste(stage: Stage) -> None:
    stage.bot = dataclasses.replace(stage.bot, config=msgspec.structs.replace(stage.bot.config, per_user="2/min"))
    now = time.time()
    for _ in range(5):
        await stage.say("one", 1, at=now)
    await stage.say("two", 2, at=now)
    await stage.screen.until(lambda: len(stage.screen.finals) == 2)
    assert [ask.content for ask in stage.app.asked] == ["one", "two"]


async def test_albums_for_others_cost_nobody_anything(stage: Stage) -> None:
    stage.bot = dataclasses.replace(stage.bot, config=msgspec.structs.replace(stage.bot.config, per_user="1/min"))
    for number in range(3):
        await stage.say("新对话", number, GROUP, group=f"{number}", addressed=False, at=time.time())
    await stage.say("hello", 9, GROUP, at=time.time())
    await stage.screen.until(lambda: stage.screen.finals == ["You asked: hello"])


async def test_in_a_group_a_cut_text_goes_on_without_another_mention(stage: Stage) -> None:
    stage.quiet.clear()
    await stage.say("a" * 4096, 1, GROUP, cut=True)
    await stage.say("b", 2, GROUP, addressed=False)
    await stage.say("c", 3, GROUP, addressed=False, at=1e9 + 60)
    stage.quiet.set()
    await stage.screen.until(lambda: len(stage.screen.finals) == 1)
    assert [ask.content for ask in stage.app.asked] == ["a" * 4096 + "b"]


async def test_parking_in_the_quiet_second_tears_nothing_apart() -> None:
    stage = Stage()
    await stage.engine.start(stage.turns.run)
    stage.quiet.clear()
    await stage.say("what are these?", 1, group="a", attachments=picture(1))
    await stage.engine.close(0.0)
    assert stage.screen.parts == {}
    assert stage.app.asked == []


async def test_retry_after_an_idle_time_asks_the_last_question(stage: Stage) -> None:
    stage.bot = dataclasses.replace(stage.bot, config=msgspec.structs.replace(stage.bot.config, reset_after=1.0))
    stage.turns._bots["tg"] = stage.bot  # type: ignore[index]
    await stage.say("one", 1)
    await stage.screen.until(lambda: len(stage.screen.finals) == 1)
    await stage.say("/retry", 2, at=1e9 + 9000)
    await stage.screen.until(lambda: len(stage.screen.finals) == 2)
    assert stage.screen.finals == ["You asked: one"] * 2
    first, second = stage.app.asked
    assert first.chat_id != second.chat_id
