"""Answers on WeChat by iLink, the sign that one is coming, and how its questions are taken in."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any, Literal

import msgspec
import pytest

from adapters.wechat.ilink.api import LoginNeeded
from adapters.wechat.ilink.contexts import Context, Contexts
from adapters.wechat.ilink.intake import Intake
from adapters.wechat.ilink.typing import LASTS, Typing
from bridge.model import (
    BridgeError,
    Exhausted,
    RateLimited,
    Shown,
    Surface,
    Unreachable,
    Unsure,
)
from tests.adapters.host import Double
from tests.adapters.ilink_stage import Stage, final, ilink_bot


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with ilink_bot() as made:
        yield made


@pytest.fixture
async def surface(stage: Stage) -> Surface:
    """For the answer to a question."""
    return stage.door.answer(await stage.asked(), "turn-1")


# ------------------------------------------------------------------ on the screen


async def test_each_part_is_a_message(stage: Stage, surface: Surface) -> None:
    first = await surface.show(final("Some **bold** words\n\n- and `code`"))
    second = await surface.show(final("More.", part=1))
    assert stage.ilink.screen() == ["Some bold words\n\n• and `code`", "More."]
    assert first.ids + second.ids[1:] == second.ids == tuple(sent.id for sent in stage.ilink.sent)
    assert (first.calls, second.calls) == (1, 1)


async def test_what_fits_arrives_whole(stage: Stage, surface: Surface) -> None:
    fits = stage.door.caps(await stage.asked()).fits
    longest = "字" * 1798 + "😀"
    assert fits(longest) and not fits(longest + "!")
    await surface.show(final(longest))
    assert stage.ilink.screen() == [longest]


async def test_an_answer_goes_on_after_a_restart(stage: Stage, surface: Surface) -> None:
    first = await surface.show(final("One."))
    event = await stage.asked()
    second = await stage.door.answer(event, "turn-1", first.ref).show(final("Two.", part=1))
    assert second.ids == tuple(sent.id for sent in stage.ilink.sent)


@pytest.mark.parametrize("text", ["", "[a]: https://example.com"])
async def test_what_shows_nothing_is_not_sent(stage: Stage, surface: Surface, text: str) -> None:
    before = await surface.show(final("One."))
    assert await surface.show(final(text, part=1)) == Shown(before.ref, before.ids, calls=0)
    assert stage.ilink.screen() == ["One."]


async def test_the_same_words_have_the_same_client_id(stage: Stage, surface: Surface) -> None:
    stage.ilink.swallow(2)
    for text in ("One.", "One."):
        with pytest.raises(Unreachable):
            await surface.show(final(text))
    await surface.show(final("Two."))
    await surface.show(final("Two.", part=1))
    await stage.door.answer(await stage.asked(), "turn-2").show(final("Two."))
    ids = [body["msg"]["client_id"] for path, body in stage.ilink.calls if path == "sendmessage"]
    assert ids[0] == ids[1]
    assert len(set(ids)) == 4, "other words, another part, another answer"


@pytest.mark.parametrize("repeats", ["known", "refused"])
async def test_what_may_have_arrived_is_there_once_where_the_platform_knows_it_again(
    stage: Stage, surface: Surface, repeats: Literal["known", "refused"]
) -> None:
    stage.ilink.repeats = repeats
    stage.ilink.fault("sendmessage", "drop_after")
    with pytest.raises(Unsure):
        await surface.show(final("One."))
    await surface.show(msgspec.structs.replace(final("One."), again=True))
    await surface.show(final("Two.", part=1))
    assert stage.ilink.screen() == ["One.", "Two."]


# ------------------------------------------------------------------ what a question grants


async def used_up(stage: Stage, surface: Surface) -> None:
    """Send what the question grants, and see that there is no more."""
    for part in range(stage.ilink.budget):
        await surface.show(final("Words.", part=part))
    with pytest.raises(Exhausted):
        await surface.show(final("Too much.", part=stage.ilink.budget))


async def test_an_answer_ends_where_its_question_grants_no_more(stage: Stage, surface: Surface) -> None:
    await used_up(stage, surface)
    assert stage.ilink.screen() == ["Words."] * 10


async def test_it_goes_on_when_the_user_has_written_since(stage: Stage, surface: Surface) -> None:
    stage.ilink.budget = 2
    await used_up(stage, surface)
    await stage.asked("Go on")
    shown = await surface.show(final("The rest.", part=2))
    assert (stage.ilink.screen()[-1], shown.calls) == ("The rest.", 2)
    assert (await surface.show(final("And more.", part=3))).calls == 1


async def test_it_goes_on_once(stage: Stage, surface: Surface) -> None:
    stage.ilink.budget = 1
    await used_up(stage, surface)
    await stage.asked("Go on")
    await surface.show(final("The rest.", part=1))
    await stage.asked("And on")
    with pytest.raises(Exhausted):
        await surface.show(final("And more.", part=2))
    assert stage.ilink.screen() == ["Words.", "The rest."]


async def test_what_the_user_has_written_since_is_known_after_a_restart(stage: Stage) -> None:
    stage.ilink.budget = 1
    event = await stage.asked()
    first = await stage.door.answer(event, "turn-1").show(final("One."))
    await stage.asked("Go on")
    async with stage.running():
        await stage.host.until_state("connected")
        await stage.door.answer(event, "turn-1", first.ref).show(final("Two.", part=1))
    assert stage.ilink.screen() == ["One.", "Two."]


async def test_an_old_message_does_not_bring_its_token_back(stage: Stage) -> None:
    stage.ilink.budget = 1
    surface = stage.door.answer(await stage.asked(), "turn-1")
    await used_up(stage, surface)
    go_on = await stage.asked("Go on")
    stage.ilink.say("It comes last and was written first", created=go_on.at - 60)
    await stage.ilink.until(lambda: stage.ilink.unconfirmed() == 0)
    await surface.show(final("The rest.", part=1))
    assert stage.ilink.sent[-1].context_token == "ctx-2"


async def test_what_is_accepted_and_not_delivered_is_sent_again_and_then_kept(
    stage: Stage, surface: Surface, caplog: pytest.LogCaptureFixture
) -> None:
    stage.ilink.swallow(3)
    for expected in (Unreachable, Unreachable, Exhausted):
        with pytest.raises(expected):
            await surface.show(final("One."))
    assert "part 1 and not delivered it (time 3)" in caplog.text
    stage.ilink.swallow(1)
    with pytest.raises(Unreachable):
        await surface.show(final("Two.", part=1))
    await surface.show(final("Two.", part=1))
    assert stage.ilink.screen() == ["Two."]


async def test_what_may_have_arrived_is_said_so(stage: Stage, surface: Surface) -> None:
    stage.ilink.fault("sendmessage", "drop_after")
    with pytest.raises(Unsure):
        await surface.show(final("One."))
    assert stage.ilink.screen() == ["One."]


async def test_an_ended_login_holds_the_answer(stage: Stage, surface: Surface) -> None:
    stage.ilink.expire()
    with pytest.raises(LoginNeeded) as caught:
        await surface.show(final("One."))
    assert caught.value.calls == 1
    stage.ilink.renew(stage.ilink.token)
    await surface.show(final("One."))
    assert stage.ilink.screen() == ["One."]


def test_a_token_is_not_shown() -> None:
    assert "SECRET" not in repr(Context("SECRET", 1.0))


# ------------------------------------------------------------------ the sign


async def test_the_sign_is_given_with_one_ticket(stage: Stage) -> None:
    event = await stage.asked()
    for _ in range(3):
        await stage.door.typing(event)
    assert (stage.ilink.typing, stage.made("getconfig")) == ([1, 1, 1], 1)


async def test_a_ticket_is_kept_for_an_hour(stage: Stage) -> None:
    event, now = await stage.asked(), 0.0
    sign = Typing(stage.api(), lambda: now)
    await sign.show(event.user.id, "")
    now = LASTS - 1
    await sign.show(event.user.id, "")
    assert stage.made("getconfig") == 1
    now = LASTS + 1
    await sign.show(event.user.id, "")
    assert (stage.ilink.typing, stage.made("getconfig")) == ([1, 1, 1], 2)


@pytest.mark.parametrize("ret", [-1, -2])
async def test_a_ticket_that_is_refused_is_fetched_anew(stage: Stage, ret: int) -> None:
    event = await stage.asked()
    await stage.door.typing(event)
    stage.ilink.fail("sendtyping", ret=ret)
    await stage.door.typing(event)
    assert (stage.ilink.typing, stage.made("getconfig")) == ([1, 1], 2)


@pytest.mark.parametrize("path", ["getconfig", "sendtyping"])
async def test_nobody_misses_the_sign(stage: Stage, path: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "adapters.wechat.ilink.typing")
    event = await stage.asked()
    stage.ilink.fail(path, ret=-1)
    await stage.door.typing(event)
    stage.ilink.fault(path, "502")
    await stage.door.typing(event)
    assert stage.ilink.typing == []
    assert len(caplog.records) == 2
    await stage.door.typing(event)
    assert stage.ilink.typing == [1]


async def test_the_bridge_is_told_of_a_rate_limit(stage: Stage) -> None:
    event = await stage.asked()
    stage.ilink.fail("sendtyping", status=429)
    with pytest.raises(RateLimited):
        await stage.door.typing(event)


# ------------------------------------------------------------------ taken in


async def test_messages_are_taken_in_together_in_order_and_then_committed() -> None:
    host = Double({})
    host.committed.clear()
    intake = Intake("wx", Contexts(host), host.receive)
    texts = [f"Message {number}" for number in range(20)]
    taking = asyncio.create_task(intake.take([wrote(text, number) for number, text in enumerate(texts)]))
    assert [await host.text() for _ in texts] == texts
    assert not taking.done()
    host.committed.set()
    await taking
    assert await Contexts(host).newest("u1@im.wechat") == "ctx-19"


def wrote(text: str, number: int) -> dict[str, Any]:
    """A message as ``getupdates`` gives it."""
    return {
        "message_id": 76 + number,
        "from_user_id": "u1@im.wechat",
        "create_time_ms": 1790000000000 + number,
        "message_type": 1,
        "item_list": [{"type": 1, "text_item": {"text": text}}],
        "context_token": f"ctx-{number}",
    }


async def test_what_could_not_be_committed_comes_again(stage: Stage) -> None:
    stage.host.fault = BridgeError("the store is full")
    stage.ilink.say("One.")
    await stage.host.until_state("connecting", "the store is full")
    stage.host.fault = None
    assert await stage.host.text() == "One."


async def test_a_message_that_is_not_as_documented_is_passed_over(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    stage.ilink.say("a secret")
    stage.ilink.incoming[-1]["from_user_id"] = ["SECRET"]
    stage.ilink.say("One.")
    assert await stage.host.text() == "One."
    assert "passed over" in caplog.text and "secret" not in caplog.text.lower()


async def test_a_message_for_nobody_is_passed_over(stage: Stage) -> None:
    stage.ilink.say("in a group")
    stage.ilink.incoming[-1]["group_id"] = "g1@chatroom"
    assert (await stage.asked("to the bot")).text == "to the bot"
