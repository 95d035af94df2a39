"""Where messages cannot be changed: what the budget did not allow, and how the next message brings it."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator

import msgspec
import pytest

from bridge import pump
from bridge.answer import Answer, Rest, answer_key, rest_key
from bridge.fastgpt import Delta
from bridge.model import Attachment, Exhausted, Quote, RateLimited, Recalled, Unreachable, Unsure, User
from bridge.store import Job
from tests.turnstage import GROUP, PRIVATE, Stage

LANE = "tg.7"
MORE = "\n\n(There is more: reply anything to continue.)"
LONG = "".join(f"Sentence {number:3}. " for number in range(100))


@pytest.fixture
async def stage(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    monkeypatch.setattr(pump, "BACKOFF", (pump.SOON, pump.SOON))
    monkeypatch.setattr(pump, "ONCE_MORE", pump.SOON)
    made = Stage()
    made.screen.limits = dataclasses.replace(
        made.screen.limits, fits=lambda text: len(text) <= 400, live=False, sends=2, inbound=frozenset({"image"})
    )
    await made.engine.start(made.turns.run)
    yield made
    await made.engine.close(0.0)


async def rest(stage: Stage) -> str:
    (row,) = await stage.engine.get(rest_key(LANE))
    return msgspec.json.decode(row, type=Rest).text if row else ""


async def cut_short(stage: Stage) -> str:
    """The first question gets an answer that is too long; what is left of it."""
    stage.app.says = [Delta(LONG)]
    await stage.say("hello", 1)
    await stage.screen.until(lambda: len(stage.screen.parts) == 2)
    await stage.idle()
    stage.app.says = []
    left = await rest(stage)
    shown = "".join(text.removesuffix(MORE) for text in stage.screen.finals)
    assert words(shown + left) == words(LONG)
    assert stage.screen.finals[-1].endswith(MORE)
    return left


def words(text: str) -> str:
    return "".join(text.split())


@pytest.mark.parametrize("word", ["继续", "Continue", " more", "1", ""])
async def test_a_word_that_asks_for_more_brings_all_of_it_and_asks_nothing(stage: Stage, word: str) -> None:
    for number in range(2, 9):
        if not (left := await (cut_short(stage) if number == 2 else rest(stage))):
            break
        shown = stage.screen.finals
        sticker = Attachment("sticker", "s") if not word else None
        await stage.say(word, number, attachments=(sticker,) if sticker else ())
        await stage.idle()
        assert len(stage.screen.finals) > len(shown)
        assert await rest(stage) != left
    assert await rest(stage) == ""
    assert words(" ".join(text.removesuffix(MORE) for text in stage.screen.finals)) == words(LONG)
    assert len(stage.app.asked) == 1


async def test_a_question_brings_the_rest_first_and_is_answered_behind_it(stage: Stage) -> None:
    stage.app.says = [Delta("Sentence. " * 60)]
    stage.screen.limits = dataclasses.replace(stage.screen.limits, sends=1)
    await stage.say("hello", 1)
    await stage.screen.until(lambda: stage.screen.parts)
    await stage.idle()
    left = await rest(stage)
    stage.app.says = []
    stage.screen.limits = dataclasses.replace(stage.screen.limits, sends=5)
    await stage.say("and another thing", 2)
    await stage.screen.until(lambda: len(stage.screen.parts) == 3)
    assert stage.screen.finals[1:] == [left.strip(), "You asked: and another thing"]
    await stage.idle()
    assert await rest(stage) == ""


@pytest.mark.parametrize("command", ["/new", "/retry"])
async def test_whoever_turns_away_does_not_get_it(stage: Stage, command: str) -> None:
    await cut_short(stage)
    await stage.say(command, 2)
    await stage.screen.until(lambda: len(stage.screen.parts) == 3)
    await stage.idle()
    assert await rest(stage) == ""
    assert "Sentence" not in stage.screen.finals[-1]


async def test_without_a_rest_such_a_word_is_a_question(stage: Stage) -> None:
    await stage.say("1", 1)
    await stage.screen.until(lambda: stage.screen.finals == ["You asked: 1"])


async def test_a_platform_that_takes_no_more_gets_the_rest_with_the_next_message(stage: Stage) -> None:
    stage.screen.faults = [None, Exhausted()]
    stage.app.says = [Delta(LONG[:600])]
    await stage.say("hello", 1)
    await stage.idle()
    left = await rest(stage)
    assert words(stage.screen.finals[0] + left) == words(LONG[:600])
    await stage.say("继续", 2)
    await stage.screen.until(lambda: len(stage.screen.parts) == 2)
    assert stage.screen.finals[-1] == left.strip()


async def test_a_window_that_is_over_keeps_the_answer(stage: Stage) -> None:
    stage.screen.limits = dataclasses.replace(stage.screen.limits, window=60.0)  # and the question is of 2001
    await stage.say("hello", 1)
    await stage.idle()
    assert await rest(stage) == "You asked: hello"
    assert stage.screen.calls == []


async def test_what_may_have_arrived_is_sent_again_as_it_was(stage: Stage) -> None:
    stage.screen.faults = [Unsure()]
    await stage.say("hello", 1)
    await stage.screen.until(lambda: stage.screen.parts)
    assert [(op.text, op.again) for op in stage.screen.calls] == [
        ("You asked: hello", False),
        ("You asked: hello", True),
    ]


async def test_what_may_have_arrived_twice_is_kept_for_the_next_message(stage: Stage) -> None:
    stage.screen.faults = [Unsure(), Unsure()]
    await stage.say("hello", 1)
    await stage.idle()
    assert len(stage.screen.calls) == 2
    assert await rest(stage) == "You asked: hello"
    await stage.say("1", 2)
    await stage.screen.until(lambda: stage.screen.finals == ["You asked: hello"])


async def test_a_limit_on_a_file_does_not_keep_the_process_busy(stage: Stage) -> None:
    stage.screen.limits = dataclasses.replace(stage.screen.limits, sends=5, files=frozenset({"image"}))
    stage.app.says = [Delta("![a](http://x/a.png)")]
    stage.screen.faults = [None, RateLimited(0.2)]
    await stage.say("show me", 1)
    await stage.screen.until(lambda: len(stage.screen.parts) == 2)
    assert len(stage.screen.calls) == 3


async def test_a_refused_answer_is_said_so(stage: Stage) -> None:
    stage.screen.refuse = "badword"
    await stage.say("badword", 1)
    await stage.screen.until(lambda: any("does not accept this answer" in text for text in stage.screen.finals))


async def test_a_help_that_is_not_taken_leaves_the_rest_of_the_answer_alone(stage: Stage) -> None:
    left = await cut_short(stage)
    stage.screen.faults = [Exhausted()]
    await stage.say("/help", 2)
    await stage.idle()
    assert await rest(stage) == left


async def test_a_crash_before_the_job_is_done_does_not_bring_its_own_rest(stage: Stage) -> None:
    await cut_short(stage)
    left, shown = await rest(stage), list(stage.screen.finals)
    again = Job("tg/7/Message/1", LANE, await body_of(stage, "tg/7/Message/1"))
    assert await stage.turns.run(again)
    assert (await rest(stage), stage.screen.finals) == (left, shown)


async def body_of(stage: Stage, key: str) -> bytes:
    [(body,)] = await stage.engine._do(lambda db: db.execute("SELECT body FROM inbox WHERE key = ?", (key,)).fetchall())
    return bytes(body)


async def test_a_question_that_is_taken_back_gives_the_rest_back(stage: Stage) -> None:
    left = await cut_short(stage)
    stage.screen.faults = [Unreachable()] * 1000
    await stage.say("another question", 2)
    await stage.screen.until_called(3)
    await stage.core.receive(stage.bot, Recalled(id="r", conversation=PRIVATE, user=User(""), at=1e9, target="2"))
    await stage.idle()
    assert await rest(stage) == left


async def test_a_restart_goes_on_or_begins_anew() -> None:
    for words_after in (LONG[:600], "Another answer, of other words."):
        stage = Stage()
        stage.screen.limits = dataclasses.replace(stage.screen.limits, fits=lambda text: len(text) <= 400, live=False)
        stage.app.says = [Delta(LONG[:600])]
        job = await stage.job()

        async def park(job: Job = job) -> None:
            job.halt("park")

        stage.screen.on_visible = park
        assert not await stage.turns.run(job)
        [first] = stage.screen.finals
        stage.screen.on_visible = None
        row = answer_key(job.key)
        (kept,) = await stage.engine.get(row)
        assert kept is not None
        answer = msgspec.json.decode(kept, type=Answer)
        answer.whole = False  # as if the process had died before the end of the answer
        await stage.engine.put(answer.row(job.key))
        stage.app.says = [Delta(words_after)]
        assert await stage.turns.run(Job(job.key, "lane", job.body))
        again = stage.screen.finals[1:]
        if words_after == LONG[:600]:
            assert words(" ".join([first, *again])) == words(LONG[:600])
        else:
            assert again == ["(The connection was lost; the answer begins anew.)\n\n" + words_after]
        await stage.engine.close(0.0)


async def test_messages_in_a_burst_are_one_question(stage: Stage) -> None:
    stage.debounce(2.0)
    stage.quiet.clear()
    await stage.say("look", 1, at=1e9)
    await stage.say("", 2, at=1e9 + 1, attachments=(Attachment("image", "r", "cat.png"),))
    await stage.say("what is it?", 3, at=1e9 + 3)
    await stage.say("something else", 4, at=1e9 + 60)
    stage.quiet.set()
    await stage.screen.until(lambda: len(stage.screen.finals) == 2)
    assert stage.screen.finals == ["You asked: look\nwhat is it?, cat.png", "You asked: something else"]


async def test_a_command_ends_a_burst(stage: Stage) -> None:
    stage.debounce(2.0)
    stage.quiet.clear()
    for number, text in enumerate(("one", "/new", "two"), 1):
        await stage.say(text, number)
    stage.quiet.set()
    await stage.screen.until(lambda: len(stage.screen.finals) == 3)
    assert [stage.screen.finals[0], stage.screen.finals[2]] == ["You asked: one", "You asked: two"]


async def test_in_a_group_a_burst_goes_on_without_another_mention(stage: Stage) -> None:
    stage.debounce(2.0)
    stage.quiet.clear()
    await stage.say("look", 1, GROUP)
    await stage.say("at this", 2, GROUP, addressed=False)
    await stage.say("not for you", 3, GROUP, at=1e9 + 60, addressed=False)
    stage.quiet.set()
    await stage.screen.until(lambda: stage.screen.finals)
    assert stage.screen.finals == ["You asked: look\nat this"]


async def test_a_burst_whose_first_message_is_taken_back_is_asked_without_it(stage: Stage) -> None:
    stage.debounce(2.0)
    stage.quiet.clear()
    await stage.say("helo", 1)
    await stage.say("what is 2+2?", 2, at=1e9 + 1)
    await stage.core.receive(stage.bot, Recalled(id="r", conversation=PRIVATE, user=User(""), at=1e9, target="1"))
    stage.quiet.set()
    await stage.screen.until(lambda: stage.screen.finals == ["You asked: what is 2+2?"])


async def test_a_quote_in_a_later_message_of_a_burst_goes_along(stage: Stage) -> None:
    stage.debounce(2.0)
    stage.quiet.clear()
    await stage.say("look", 1)
    await stage.say("what is it?", 2, quotes=(Quote("9", "QUOTED WORDS"),))
    stage.quiet.set()
    await stage.screen.until(lambda: stage.screen.finals == ["You asked: > QUOTED WORDS\n\nlook\nwhat is it?"])
