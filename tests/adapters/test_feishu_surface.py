"""One answer on a streaming card of Feishu: how it grows and ends, and what the platform may refuse meanwhile."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from adapters.feishu.messages import uuid
from bridge.model import (
    BridgeError,
    Button,
    Gone,
    Overfull,
    RateLimited,
    Rejected,
    Show,
    Shown,
    Unsure,
    Vanished,
)
from tests.adapters.feishu_answers import STOP, Stage, feishu, show
from tests.fakes.feishu import USER
from tests.fakes.feishu.faults import Fault, Kind
from tests.fakes.feishu.things import Call

RATINGS = (Button("g", "👍", "good"), Button("b", "👎", "bad"))
TABLE = "| a | b |\n| - | - |\n| 1 | 2 |\n"
WORDS = "First words"
WHOLE = "First words and **the rest**."


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with feishu() as made:
        yield made


def preview(text: str = "", status: str = "", thinking: str = "", part: int = 0) -> Show:
    return Show(part=part, text=text, status=status, thinking=thinking, buttons=(STOP,))


def final(text: str = WHOLE, part: int = 0) -> Show:
    return Show(part=part, text=text, final=True)


# ------------------------------------------------------------------ the ordinary way


async def test_an_answer_grows_on_one_card(stage: Stage) -> None:
    surface = stage.surface()
    shown = await show(surface, preview(status="Thinking…"))
    assert (stage.seen.text, stage.seen.buttons, stage.seen.streaming) == ("Thinking…", ["Stop"], True)
    assert shown.ids == (stage.seen.message_id,)
    await surface.show(preview(WORDS))
    assert (stage.seen.text, stage.seen.streaming) == (WORDS, True)
    shown = await surface.show(Show(text=WHOLE, final=True, buttons=RATINGS))
    seen = stage.seen
    assert (seen.text, seen.buttons, seen.streaming) == (WHOLE, ["👍", "👎"], False)
    assert seen.summary == "First words and the rest."
    assert shown.ids == (seen.message_id,)
    assert stage.made() == [
        "POST cards",
        "POST reply",
        "PUT content",
        "PUT content",
        "PATCH settings",
        f"PUT {seen.card_id}",
    ]
    assert stage.refused() == []
    assert shown.calls == 3


async def test_a_card_is_there_before_it_is_sent(stage: Stage) -> None:
    surface = stage.surface()
    shown = await surface.show(preview(WORDS))
    assert (shown.staged, shown.ids, stage.texts) == (True, (), [])
    shown = await surface.show(preview(WORDS))
    assert (shown.staged, shown.calls, stage.texts) == (False, 1, [WORDS])


async def test_a_staged_card_is_sent_with_what_is_newer(stage: Stage) -> None:
    surface = stage.surface()
    await surface.show(preview(status="Thinking…"))
    shown = await surface.show(final())
    assert (stage.seen.text, stage.seen.streaming, shown.staged) == (WHOLE, False, False)


async def test_a_final_text_without_a_preview_is_sent_complete(stage: Stage) -> None:
    shown = await show(stage.surface(), Show(text=WHOLE, final=True, buttons=RATINGS))
    assert (stage.seen.text, stage.seen.streaming, stage.seen.buttons) == (WHOLE, False, ["👍", "👎"])
    assert (stage.made(), shown.calls) == (["POST cards", "POST reply"], 1)


async def test_nothing_new_is_no_call(stage: Stage) -> None:
    surface = stage.surface()
    await show(surface, preview(WORDS))
    assert (await surface.show(preview(WORDS))).calls == 0
    await surface.show(final())
    assert (await surface.show(final())).calls == 0


async def test_the_text_on_the_screen_never_gets_shorter_while_it_streams(stage: Stage) -> None:
    surface = stage.surface()
    await show(surface, preview(WORDS))
    assert (await surface.show(preview(WORDS[:5]))).calls == 0
    await surface.show(Show(text=WORDS[:5]))  # the button goes
    assert (stage.seen.text, stage.seen.buttons) == (WORDS, [])
    await surface.show(final(WORDS[:5]))
    assert stage.texts == [WORDS[:5]]


async def test_each_part_has_its_card(stage: Stage) -> None:
    surface = stage.surface()
    for part in range(3):
        await show(surface, preview("Half of", part=part))
        shown = await surface.show(final(f"Part {part}.", part=part))
    assert stage.texts == ["Part 0.", "Part 1.", "Part 2."]
    assert shown.ids == tuple(seen.message_id for seen in stage.platform.answers())


async def test_a_part_is_taken_off_the_screen(stage: Stage) -> None:
    surface = stage.surface()
    await show(surface, final("One."))
    await show(surface, preview("Two", part=1))
    shown = await surface.show(Show(part=1, final=True))
    assert (stage.texts, len(shown.ids)) == (["One."], 1)
    assert (await surface.show(Show(part=1, final=True))).calls == 0


async def test_reasoning_is_folded_away_above_the_text(stage: Stage) -> None:
    surface = stage.surface()
    await show(surface, preview(status="Thinking…"))
    await surface.show(preview(status="Thinking…", thinking="Let me see"))
    assert "Let me see" in stage.seen.text + stage.seen.folded
    before = len(stage.platform.calls)
    await surface.show(preview(status="Thinking…", thinking="Let me see. Yes"))
    await surface.show(preview(WORDS, thinking="Let me see. Yes"))
    assert stage.made(before) == ["PUT content", "PUT content"], "what grows is typed"
    await surface.show(Show(text=WHOLE, thinking="Let me see. Yes.", final=True))
    assert "Let me see. Yes." in stage.seen.folded
    assert stage.seen.text.endswith(WHOLE)
    assert stage.refused() == []


async def test_plain_are_the_words_as_they_are(stage: Stage) -> None:
    surface = stage.surface()
    await show(surface, preview("**Words**"))
    await surface.show(Show(text="**Words** <b>", final=True, plain=True))
    assert "Words" in stage.seen.text and not stage.seen.streaming


async def test_words_that_would_notify_people_are_only_words(stage: Stage) -> None:
    await show(stage.surface(), final(f"<at id=all></at> <at id={USER}></at>"))
    assert stage.seen.mentions == []


async def test_an_answer_may_go_on_after_its_end(stage: Stage) -> None:
    surface = stage.surface()
    await show(surface, final(WORDS))
    await surface.show(preview(f"{WORDS} and"))
    assert stage.seen.streaming
    await surface.show(final(WORDS))
    assert (stage.texts, stage.seen.streaming, stage.seen.buttons) == ([WORDS], False, [])
    assert stage.refused() == []


# ------------------------------------------------------------------ where it goes


async def test_an_answer_replies_to_its_question(stage: Stage) -> None:
    await show(stage.surface(), preview(WORDS))
    assert stage.seen.reply_to == stage.place.reply_to


async def test_without_a_question_it_goes_into_the_chat(stage: Stage) -> None:
    stage.place = type(stage.place)(stage.place.chat)
    await show(stage.surface(), preview(WORDS))
    assert (stage.seen.text, stage.seen.reply_to) == (WORDS, "")


async def test_an_answer_opens_a_thread_where_it_should(stage: Stage) -> None:
    stage.place = type(stage.place)(stage.place.chat, stage.place.reply_to, in_thread=True)
    await show(stage.surface(), preview(WORDS))
    assert stage.seen.thread


@pytest.mark.parametrize("code", [230071, 230072])
async def test_where_there_are_no_threads_it_is_answered_without(stage: Stage, code: int) -> None:
    stage.place = type(stage.place)(stage.place.chat, stage.place.reply_to, in_thread=True)
    stage.platform.fail("/reply", code)
    surface = stage.surface()
    await show(surface, final("One."))
    await show(surface, final("Two.", part=1))
    assert (stage.texts, [code for _, code in stage.refused()]) == (["One.", "Two."], [code])
    assert {seen.thread for seen in stage.platform.answers()} == {""}


async def test_a_question_that_was_recalled_is_not_answered(stage: Stage) -> None:
    surface = stage.surface()
    await surface.show(preview(WORDS))
    stage.platform.recall(stage.place.reply_to)
    with pytest.raises(Gone):
        await surface.show(preview(WORDS))
    assert stage.texts == []


# ------------------------------------------------------------------ ten minutes


async def test_twelve_minutes_with_three_of_silence_end_whole(stage: Stage) -> None:
    surface, text = stage.surface(), "Begin."
    await show(surface, preview(text))
    for minute in range(12):
        for _ in range(4):
            if minute not in (5, 6, 7):
                text += " More words."
            stage.wait(15)
            await surface.show(preview(text))
            assert stage.seen.streaming
        assert stage.seen.text == text
    await surface.show(final(text))
    assert (stage.texts, stage.seen.streaming) == ([text], False)
    assert stage.refused() == []
    assert len([call for call in stage.made() if "settings" in call]) == 3, "on again twice, and off"


async def test_an_unchanged_preview_keeps_a_silent_card_open(stage: Stage) -> None:
    surface = stage.surface()
    await show(surface, preview(status="Searching…"))
    stage.wait(240)
    assert (await surface.show(preview(status="Searching…"))).calls == 0
    stage.wait(240)
    assert (await surface.show(preview(status="Searching…"))).calls == 1
    stage.wait(480)
    assert stage.seen.streaming


async def test_after_a_long_hold_the_card_is_opened_before_the_text(stage: Stage) -> None:
    surface = stage.surface()
    await show(surface, preview(WORDS))
    stage.wait(3600)
    await surface.show(preview(f"{WORDS} and"))
    assert (stage.seen.text, stage.seen.streaming, stage.refused()) == (f"{WORDS} and", True, [])
    stage.wait(3600)
    await surface.show(final())
    assert (stage.texts, stage.refused()) == ([WHOLE], [])


@pytest.mark.parametrize("code", [200850, 300309])
async def test_a_card_that_has_closed_is_opened_once_more(stage: Stage, code: int) -> None:
    surface = stage.surface()
    await show(surface, preview(WORDS))
    stage.platform.fail("/content", code)
    await surface.show(preview(f"{WORDS} and"))
    assert (stage.seen.text, stage.seen.streaming) == (f"{WORDS} and", True)
    assert stage.made()[-3:] == ["PUT content", "PATCH settings", "PUT content"]


@pytest.mark.parametrize("times", [2, 99])
async def test_a_card_that_stays_closed_is_replaced_as_a_whole(stage: Stage, times: int) -> None:
    surface = stage.surface()
    await show(surface, preview(WORDS))
    stage.platform.fail("/content", 300309, times=times)
    await surface.show(preview(f"{WORDS} and"))
    assert (stage.seen.text, stage.seen.buttons, stage.seen.streaming) == (f"{WORDS} and", ["Stop"], False)
    await surface.show(preview(f"{WORDS} and the"))
    assert stage.texts == [f"{WORDS} and the"]
    await surface.show(final())
    assert (stage.texts, stage.seen.streaming) == ([WHOLE], False)
    assert [code for _, code in stage.refused()] == [300309, 300309], "it is not asked for again and again"


async def test_a_card_that_cannot_be_opened_again_is_replaced(stage: Stage) -> None:
    surface = stage.surface()
    await show(surface, preview(WORDS))
    stage.platform.fail("/settings", 300315)
    stage.wait(400)
    await surface.show(preview(f"{WORDS} and"))
    assert stage.texts == [f"{WORDS} and"]
    await surface.show(final())
    assert (stage.texts, stage.seen.streaming) == ([WHOLE], False)


@pytest.mark.parametrize("code", [200850, 300309, 300313])
async def test_a_final_text_that_cannot_be_typed_is_there_at_once(stage: Stage, code: int) -> None:
    surface = stage.surface()
    await show(surface, preview(WORDS))
    stage.platform.fail("/content", code)
    await surface.show(final())
    assert (stage.texts, stage.seen.streaming) == ([WHOLE], False)


@pytest.mark.parametrize("code", [300301, 300313, 300315])
async def test_a_card_that_is_not_as_we_think_is_replaced(stage: Stage, code: int) -> None:
    surface = stage.surface()
    await show(surface, preview(WORDS))
    stage.platform.fail("/content", code)
    await surface.show(preview(f"{WORDS} and"))
    assert stage.texts == [f"{WORDS} and"]
    await surface.show(preview(f"{WORDS} and the"))
    await surface.show(final())
    assert (stage.texts, len(stage.refused())) == ([WHOLE], 1)


# ------------------------------------------------------------------ the sequence


async def test_the_sequence_rises_over_restarts(stage: Stage) -> None:
    shown = await show(stage.surface(), preview(WORDS))
    for number in range(3):
        shown = await show(stage.surface(shown.ref), preview(WORDS + "!" * number))
    await show(stage.surface(shown.ref), final())
    [card] = stage.platform.cards.values()
    numbers = [operation.sequence for operation in card.operations]
    assert numbers == sorted(set(numbers))
    assert (stage.texts, stage.refused()) == ([WHOLE], [])


@pytest.mark.parametrize("ahead", [1, 1000, 50_000, 5_000_000, 20_000_000])
async def test_a_sequence_that_is_behind_jumps_ahead(stage: Stage, ahead: int) -> None:
    """The clock has gone back, as on another machine."""
    surface = stage.surface()
    await show(surface, preview(WORDS))
    [card] = stage.platform.cards.values()
    card.sequence += ahead
    await surface.show(preview(f"{WORDS} and"))
    await surface.show(final())
    assert stage.texts == [WHOLE]
    assert {code for _, code in stage.refused()} <= {300317}
    assert len(stage.refused()) <= 3


async def test_a_uuid_that_is_taken_is_left(stage: Stage) -> None:
    surface = stage.surface()
    await show(surface, preview(WORDS))
    stage.platform.fail("/content", 200770)
    await surface.show(preview(f"{WORDS} and"))
    assert stage.texts == [f"{WORDS} and"]


# ------------------------------------------------------------------ too much


async def test_a_card_over_the_limit_is_overfull_and_a_shorter_one_goes_on(stage: Stage) -> None:
    surface = stage.surface()
    await show(surface, preview(WORDS))
    long = "字" * 11_000
    for op in (preview(long), final(long)):
        with pytest.raises(Overfull):
            await surface.show(op)
    await surface.show(final(long[:9_000]))
    await show(surface, final("The rest.", part=1))
    assert stage.texts == [long[:9_000], "The rest."]


async def test_a_new_card_over_the_limit_is_overfull(stage: Stage) -> None:
    surface = stage.surface()
    with pytest.raises(Overfull):
        await surface.show(final("字" * 11_000))
    await show(surface, final())
    assert stage.texts == [WHOLE]


@pytest.mark.parametrize("code", [300305, 11310])
async def test_tables_over_the_limit_become_code(stage: Stage, code: int) -> None:
    stage.platform.tables_most, stage.platform.table_code = 1, code
    surface = stage.surface()
    await show(surface, preview(TABLE))
    text = f"{TABLE}\nand\n\n{TABLE}"
    await surface.show(preview(text))
    assert "```" in stage.seen.text
    await surface.show(preview(f"{text}\nmore"))
    await surface.show(final(f"{text}\nmore."))
    assert stage.seen.text.endswith("more.") and stage.seen.text.count("1") == 2
    assert [code for _, code in stage.refused()] == [code], "it is tried once"


async def test_tables_in_a_new_card_become_code(stage: Stage) -> None:
    stage.platform.tables_most = 0
    await show(stage.surface(), final(TABLE))
    assert "```" in stage.seen.text and not stage.seen.streaming


async def test_what_is_too_much_even_as_code_is_overfull(stage: Stage) -> None:
    surface = stage.surface()
    await show(surface, preview(WORDS))
    stage.platform.fail("/cardkit", 300305, times=2)
    with pytest.raises(Overfull):
        await surface.show(preview(f"{WORDS} and"))
    await surface.show(final())
    assert stage.texts == [WHOLE]


async def test_what_the_platform_does_not_like_is_rejected_and_comes_plain(stage: Stage) -> None:
    surface = stage.surface()
    stage.platform.fail("/cards", 200621)
    with pytest.raises(Rejected) as caught:
        await surface.show(final())
    assert not isinstance(caught.value, Overfull)
    assert "words" not in str(caught.value)
    await show(surface, Show(text=WHOLE, final=True, plain=True))
    assert len(stage.texts) == 1


# ------------------------------------------------------------------ limits


async def test_a_user_at_the_card_delays_it_for_a_moment(stage: Stage) -> None:
    surface = stage.surface()
    shown = await show(surface, preview(WORDS))
    stage.platform.interact(shown.ids[0])
    with pytest.raises(Unsure):  # no limit: that would silence the bot
        await surface.show(final())
    stage.platform.interact(shown.ids[0], False)
    await surface.show(final())
    assert stage.texts == [WHOLE]


async def test_a_limit_is_the_pumps_business(stage: Stage) -> None:
    surface = stage.surface()
    await show(surface, preview(WORDS))
    stage.platform.fail("/content", 99991400, status=429, headers={"x-ogw-ratelimit-reset": "7"})
    with pytest.raises(RateLimited) as caught:
        await surface.show(preview(f"{WORDS} and"))
    assert caught.value.retry_after == 7
    await surface.show(preview(f"{WORDS} and"))
    assert stage.texts == [f"{WORDS} and"]


async def test_when_the_month_is_used_up_only_finals_are_tried(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    surface = stage.surface()
    await show(surface, preview(WORDS))
    stage.platform.quota = 0
    shown = await surface.show(preview(f"{WORDS} and"))
    assert (shown.calls, shown.ids) == (1, (stage.seen.message_id,))
    assert (await surface.show(preview(f"{WORDS} and the"))).calls == 0
    assert (await stage.surface(turn="turn-2").show(preview(WORDS))).calls == 0, "nor in other answers"
    with pytest.raises(RateLimited) as caught:
        await surface.show(final())
    assert caught.value.whole_bot
    stage.platform.quota = None
    await surface.show(final())
    assert (stage.texts, stage.seen.streaming) == ([WHOLE], False)
    assert caplog.text.count("used up") == 1


async def test_an_answer_that_begins_without_quota_comes_whole(stage: Stage) -> None:
    surface = stage.surface()
    stage.platform.quota = 0
    shown = await surface.show(preview(WORDS))
    assert (shown.ids, shown.staged) == ((), False)
    stage.platform.quota = None
    await show(surface, final())
    assert (stage.texts, stage.seen.streaming) == ([WHOLE], False)


async def test_previews_come_back_with_the_quota(stage: Stage) -> None:
    surface = stage.surface()
    stage.platform.quota = 0
    await surface.show(preview(WORDS))
    stage.platform.quota = None
    stage.wait(3601)
    await show(surface, preview(WORDS))
    assert stage.texts == [WORDS]


# ------------------------------------------------------------------ cards that are gone


async def test_a_card_that_is_gone_is_begun_anew(stage: Stage) -> None:
    surface = stage.surface()
    await show(surface, preview(WORDS))
    stage.platform.cards.clear()
    with pytest.raises(Vanished):
        await surface.show(preview(f"{WORDS} and"))
    shown = await show(surface, final())
    assert stage.texts == [WHOLE], "the message that showed it is gone, too"
    assert shown.ids == (stage.seen.message_id,)


async def test_a_card_that_is_too_old_is_begun_anew(stage: Stage) -> None:
    shown = await show(stage.surface(), final(WORDS))
    stage.wait(15 * 86400)
    surface = stage.surface(shown.ref)
    with pytest.raises(Vanished):
        await surface.show(final())
    await show(surface, final())
    assert stage.texts == [WHOLE]


async def test_a_card_whose_streaming_cannot_be_ended_is_replaced_as_a_whole(stage: Stage) -> None:
    surface = stage.surface()
    await show(surface, preview(WORDS))
    stage.platform.fail("/settings", 300309, times=10)
    await show(surface, final())
    assert (stage.seen.text, stage.seen.streaming, stage.seen.buttons) == (WHOLE, False, [])


# ------------------------------------------------------------------ faults and restarts

FLOW = (
    preview(status="Thinking…"),
    preview(WORDS),
    preview(f"{WORDS} and", thinking="Hm."),
    Show(text=WHOLE, thinking="Hm.", final=True, buttons=RATINGS),
)


async def flowed(stage: Stage, *, restarts: bool) -> Shown:
    """The flow, each Show repeated until it arrives; with ``restarts`` by a new process, from what was kept."""
    surface, kept = stage.surface(), Shown("", ())
    for op in FLOW:
        for _ in range(9):
            try:
                kept = await surface.show(op)
            except Unsure:
                if restarts:
                    surface = stage.surface(kept.ref or None)
                continue
            if not kept.staged:
                break
    return kept


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("kind", ["drop_before", "drop_after", "502"])
@pytest.mark.parametrize("lost", range(1, 8))
async def test_whatever_call_is_lost_the_answer_is_there_once(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, lost: int, kind: Kind, restarts: bool
) -> None:
    await stage.api.authorize()
    calls = stage.platform.calls
    before = len(calls)

    def fault_of(call: Call) -> Fault | None:
        return Fault("", kind, 1) if len(calls) - before == lost else None

    monkeypatch.setattr(stage.platform, "fault_of", fault_of)
    kept = await flowed(stage, restarts=restarts)
    assert calls[before + lost - 1].status in (0, 502)
    seen = stage.seen
    assert (seen.text.endswith(WHOLE), seen.buttons, seen.streaming) == (True, ["👍", "👎"], False)
    assert kept.ids == (seen.message_id,)
    assert stage.refused() == []


async def test_a_text_that_may_have_arrived_is_corrected(stage: Stage) -> None:
    surface = stage.surface()
    await show(surface, preview(WORDS))
    stage.platform.fault("/content", "drop_after", times=2)  # a PUT is tried again by the client
    with pytest.raises(Unsure):
        await surface.show(preview(f"{WORDS} and"))
    stage.platform.faults.clear()
    await surface.show(Show(text=WORDS, final=True, buttons=(STOP,)))
    assert stage.texts == [WORDS]


async def test_a_restart_before_the_card_is_sent_sends_that_card(stage: Stage) -> None:
    shown = await stage.surface().show(preview(WORDS))
    await stage.surface(shown.ref).show(preview(f"{WORDS} and"))
    assert stage.texts == [f"{WORDS} and"]
    assert len(stage.platform.cards) == 1


async def test_a_restart_after_the_card_was_sent_sends_it_once(stage: Stage) -> None:
    surface = stage.surface()
    staged = await surface.show(preview(WORDS))
    await surface.show(preview(WORDS))  # and the process dies before it notes that
    await show(stage.surface(staged.ref), final())
    assert stage.texts == [WHOLE]


@pytest.mark.parametrize("restart", [False, True])
async def test_a_card_that_was_sent_too_long_ago_to_know_is_made_anew(stage: Stage, restart: bool) -> None:
    """The platform was away for more than the hour in which it knows a uuid, or the bridge was."""
    surface = stage.surface()
    staged = await surface.show(preview(WORDS))
    stage.platform.fault("/reply", "drop_after")
    with pytest.raises(Unsure):
        await surface.show(preview(WORDS))
    stage.wait(4000)
    surface = stage.surface(staged.ref) if restart else surface
    with pytest.raises(Vanished):
        await surface.show(final())
    await show(surface, final())
    assert stage.texts == [WORDS, WHOLE]


async def test_a_restart_goes_on_with_all_cards(stage: Stage) -> None:
    surface = stage.surface()
    await show(surface, preview("One"))
    await surface.show(final("One."))
    shown = await show(surface, preview("Half of tw", part=1))
    surface = stage.surface(shown.ref)
    again = await surface.show(final("One, again.", part=0))
    assert again.ids == shown.ids
    await surface.show(preview("Half of two", part=1))
    assert stage.platform.answers()[1].streaming
    await surface.show(final("Two.", part=1))
    assert stage.texts == ["One, again.", "Two."]


async def test_an_old_answer_can_still_be_changed(stage: Stage) -> None:
    surface = stage.surface()
    await show(surface, preview(WORDS))
    shown = await surface.show(Show(text=WHOLE, final=True, buttons=RATINGS))
    stage.wait(86400)
    await stage.surface(shown.ref).show(Show(text=WHOLE, final=True, buttons=RATINGS[:1]))
    assert (stage.seen.text, stage.seen.buttons) == (WHOLE, ["👍"])


async def test_every_send_has_its_uuid(stage: Stage) -> None:
    surface = stage.surface()
    await show(surface, final("One."))
    await show(surface, final("Two.", part=1))
    await show(stage.surface(turn="turn-2"), final("Three."))
    uuids = [call.body["uuid"] for call in stage.platform.called("/reply")]
    assert len(set(uuids)) == 3
    assert all(len(name) <= 50 for name in uuids)
    assert uuid("a", "bc") != uuid("ab", "c")


async def test_no_error_says_what_the_user_reads(stage: Stage) -> None:
    surface = stage.surface()
    await show(surface, preview(WORDS))
    stage.platform.fail("/content", 12345, f"bad text: {WORDS}; ErrorValue: {WORDS}")
    with pytest.raises(BridgeError) as caught:
        await surface.show(preview(f"{WORDS} and"))
    assert isinstance(caught.value, Rejected)
