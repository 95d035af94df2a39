"""One answer on Telegram's screen: messages, drafts, files, buttons, reasoning."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from itertools import chain

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from adapters.telegram.api import Api, as_file
from adapters.telegram.compose import THINKING_LEAST, composed
from adapters.telegram.draft import DraftSurface, draft_id
from adapters.telegram.files import kinds
from adapters.telegram.keyboard import LINE_LEAST, MOST, keyboard
from adapters.telegram.render import LIMIT, MAX_ENTITIES, fits, head, render, tail, utf16_len
from adapters.telegram.surface import MessageSurface
from bridge.model import (
    BridgeError,
    Button,
    Download,
    File,
    Gone,
    RateLimited,
    Rejected,
    Show,
    TooBig,
    Unsure,
    Vanished,
)
from bridge.wire import Wire
from tests.fakes.botapi import BotApi
from tests.fakes.telegram.files import PIXEL
from tests.fakes.telegram.rules import formatted
from tests.fakes.telegram.rules import keyboard as taken
from tests.fakes.telegram.screen import Seen
from tests.markdown_texts import MARKDOWN

USER, GROUP = 7, -100123
STOP = Button("stop", "Stop", "stop")
LONG = "这是一个非常长的选项标签，手机屏幕上根本显示不下，所以必须换成数字按钮"


@dataclass
class Stage:
    """A platform with a user and a group, and surfaces for the bot's answers."""

    platform: BotApi
    api: Api
    now: float = 1000.0
    files: dict[str, Download | BridgeError] = field(default_factory=dict)
    """What the bridge can download, by address."""

    def message(self, chat: int = USER, reply_to: str = "", resume: str | None = None) -> MessageSurface:
        return MessageSurface(self.api, str(chat), "", reply_to, resume, self.fetch)

    def draft(self, turn: str = "turn-1", resume: str | None = None, thread: str = "") -> DraftSurface:
        return DraftSurface(self.api, str(USER), thread, turn, resume, self.fetch)

    async def fetch(self, file: File, most: int) -> Download:
        found = self.files.get(file.url, BridgeError("it is not there"))
        if isinstance(found, BridgeError):
            raise found
        if len(found.data) > most:
            raise TooBig
        return found

    def screen(self, chat: int = USER) -> list[Seen]:
        return [seen for seen in self.platform.screen(chat) if seen.from_bot]

    def texts(self, chat: int = USER) -> list[str]:
        return [seen.text for seen in self.screen(chat)]

    def drafts(self) -> list[str]:
        return [draft.text for draft in self.platform.drafts(USER)]


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with Wire({}) as wire, BotApi() as platform:
        made = Stage(platform, Api(platform.token, platform.url, *wire.connection(platform.url)))
        platform.clock = lambda: made.now
        platform.open(USER)
        platform.open(GROUP)
        yield made


def quoted(seen: Seen) -> list[str]:
    """The folded quotes of a message."""
    units = seen.text.encode("utf-16-le")
    return [
        units[2 * mark["offset"] : 2 * (mark["offset"] + mark["length"])].decode("utf-16-le")
        for mark in seen.entities
        if mark["type"] == "expandable_blockquote"
    ]


# ------------------------------------------------------------------ messages


async def test_an_answer_grows_in_its_message(stage: Stage) -> None:
    surface = stage.message()
    await surface.show(Show(status="Thinking…", buttons=(STOP,)))
    assert stage.texts() == ["Thinking…"]
    await surface.show(Show(text="First **words**", buttons=(STOP,)))
    assert stage.texts() == ["First words"]
    assert stage.screen()[0].buttons == [[("Stop", "stop")]]
    shown = await surface.show(Show(text="First **words** and the rest.", final=True))
    [seen] = stage.screen()
    assert (seen.text, seen.buttons, shown.calls) == ("First words and the rest.", [], 1)
    assert shown.ids == (str(seen.message_id),)


async def test_a_restart_goes_on_in_the_same_messages(stage: Stage) -> None:
    surface = stage.message()
    await surface.show(Show(text="One.", final=True))
    shown = await surface.show(Show(part=1, text="Half of tw"))
    surface = stage.message(resume=shown.ref)
    await surface.show(Show(text="One.", final=True))
    again = await surface.show(Show(part=1, text="Two.", final=True))
    assert stage.texts() == ["One.", "Two."]
    assert again.ids == shown.ids


async def test_a_ref_of_message_ids_alone_still_works(stage: Stage) -> None:
    shown = await stage.message().show(Show(text="One"))
    await stage.message(resume=shown.ids[0]).show(Show(text="One.", final=True))
    assert stage.texts() == ["One."]


async def test_a_deleted_message_is_begun_anew(stage: Stage) -> None:
    surface = stage.message()
    shown = await surface.show(Show(text="Words"))
    await stage.api.call("deleteMessage", {"chat_id": USER, "message_id": int(shown.ids[0])})
    with pytest.raises(Vanished):
        await surface.show(Show(text="Words and more"))
    await surface.show(Show(text="Words and more"))
    assert stage.texts() == ["Words and more"]


async def test_a_part_is_taken_off_the_screen_also_when_the_first_try_meets_a_limit(stage: Stage) -> None:
    surface = stage.message()
    await surface.show(Show(text="One.", final=True))
    await surface.show(Show(part=1, text="Two."))
    stage.platform.fail("deleteMessage", 1, "429")
    with pytest.raises(RateLimited):
        await surface.show(Show(part=1, final=True))
    shown = await surface.show(Show(part=1, final=True))
    assert stage.texts() == ["One."]
    assert len(shown.ids) == 1
    assert (await surface.show(Show(part=1, final=True))).calls == 0


async def test_an_answer_goes_on_where_the_group_went(stage: Stage) -> None:
    stage.platform.open(-5, type="group")
    question = stage.platform.say("hi", chat=-5)
    surface = stage.message(-5, reply_to=str(question["message_id"]))
    await surface.show(Show(text="One.", final=True))
    await surface.show(Show(part=1, text="Half of"))
    new = stage.platform.migrate(-5)
    with pytest.raises(Vanished):
        await surface.show(Show(part=1, text="Half of two"))
    shown = await surface.show(Show(part=1, text="Half of two"))
    assert shown.ids == (str(stage.screen(new)[0].message_id),)
    # and after a restart that has not heard of the move
    surface = stage.message(-5, reply_to="1", resume=shown.ref)
    again = await surface.show(Show(part=1, text="Two.", final=True))
    assert again.ids == shown.ids
    await surface.show(Show(part=2, text="Three.", final=True))
    assert stage.texts(new) == ["Two.", "Three."]
    assert [seen.reply_to for seen in stage.screen(new)] == [None, None]


async def test_a_restart_that_knows_the_new_group_does_not_touch_other_messages_there(stage: Stage) -> None:
    stage.platform.open(-5, type="group")
    shown = await stage.message(-5).show(Show(text="Half"))
    new = stage.platform.migrate(-5)
    other = await stage.message(new).show(Show(text="Another answer.", final=True))
    surface = stage.message(new, resume=shown.ref)
    with pytest.raises(Vanished):
        await surface.show(Show(text="Whole.", final=True))
    await surface.show(Show(text="Whole.", final=True))
    assert stage.texts(new) == ["Another answer.", "Whole."]
    assert other.ids


async def test_plain_are_the_same_words_without_anything_that_can_be_refused(stage: Stage) -> None:
    surface, link = stage.message(), Button("https://example.com/a", "Open", "link")
    op = Show(text="**Words**", thinking="Hm.", buttons=(link, Button("k", "Again", "retry")), final=True)
    stage.platform.fail("sendMessage", 1, "entities")
    with pytest.raises(Rejected):
        await surface.show(op)
    await surface.show(msgspec.structs.replace(op, plain=True))
    [seen] = stage.screen()
    assert (seen.text, seen.entities, seen.buttons) == ("Words", [], [[("Again", "k")]])


# ------------------------------------------------------------------ reasoning


async def test_reasoning_is_folded_away_above_the_text(stage: Stage) -> None:
    surface = stage.message()
    await surface.show(Show(status="…", thinking="Let me see"))
    assert quoted(stage.screen()[0]) == ["Let me see"]
    await surface.show(Show(text="It is **so**.", thinking="Let me *see*.\nYes.", final=True))
    [seen] = stage.screen()
    assert seen.text == "Let me *see*.\nYes.\n\nIt is so."
    assert quoted(seen) == ["Let me *see*.\nYes."]
    assert seen.entities[1] == {"type": "bold", "offset": 26, "length": 2}


def fitting(text: str) -> bool:
    return bool(text.strip()) and fits(text)


THINKING = st.one_of(
    st.text(max_size=300),
    st.builds(lambda text, times: text * times, st.text("a字😀 \n", min_size=1, max_size=9), st.integers(1, 2000)),
)
ANSWERS = st.one_of(
    MARKDOWN,
    st.builds(lambda size: "字" * size, st.integers(LIMIT - 60, LIMIT)),
    st.builds(lambda marks: "**b** " * marks, st.integers(96, 101)),
)


@settings(max_examples=200)
@given(ANSWERS.filter(fitting), THINKING, st.booleans(), st.lists(st.text(max_size=60), max_size=12))
@example("字" * LIMIT, "hm", True, [LONG] * 3)
@example("字" * (LIMIT - 2 - THINKING_LEAST), "想" * 99, True, [])
def test_whatever_stands_above_and_below_the_text_the_message_fits(
    text: str, thinking: str, final: bool, labels: list[str]
) -> None:
    buttons = tuple(Button(f"k{number}", label, "choice") for number, label in enumerate(labels))
    body = composed(Show(text=text, thinking=thinking, final=final, buttons=buttons))
    assert body is not None
    assert utf16_len(body["text"]) <= LIMIT
    assert len(body.get("entities", ())) <= MAX_ENTITIES
    assert formatted(body["text"], body.get("entities"))[1] == body.get("entities", [])
    markup = taken(body.get("reply_markup"))
    assert sum(map(len, markup["inline_keyboard"])) == len(labels) if markup else not labels
    above, answer, _ = body["text"].partition(render(text)[0] or text)
    assert answer
    if above:
        kept = above.removesuffix("\n\n")
        assert kept == thinking.strip() or (kept[0] == "…" and thinking.strip().endswith(kept[1:]))


@given(st.text("a字😀 \n", max_size=40), st.integers(0, 50))
def test_what_is_cut_says_so_and_keeps_its_end(text: str, room: int) -> None:
    for cut in (head(text, room), tail(text, room)):
        assert utf16_len(cut) <= room
        assert cut == text or "…" in cut or not room
    assert head(text, room) == text or text.startswith(head(text, room)[:-1])
    assert tail(text, room) == text or text.endswith(tail(text, room)[1:])


def test_the_end_of_the_reasoning_is_what_stays() -> None:
    thinking = " ".join(str(number) for number in range(9999))
    body = composed(Show(text="Answer", thinking=thinking, final=True))
    assert body is not None
    assert body["text"].startswith("…") and body["text"].endswith("9997 9998\n\nAnswer")
    assert len(body["text"]) == LIMIT


def test_a_part_without_words_is_nothing_even_with_reasoning() -> None:
    assert composed(Show(thinking="Hm.", final=True)) is None
    assert composed(Show(thinking="Hm.")) is not None


# ------------------------------------------------------------------ drafts


async def test_a_draft_grows_and_becomes_a_message(stage: Stage) -> None:
    surface = stage.draft()
    await surface.show(Show(status="Thinking…", buttons=(STOP,)))
    await surface.show(Show(text="First **words**", buttons=(STOP,)))
    [draft] = stage.platform.drafts(USER)
    assert (draft.text, draft.can_stop, draft.keep_on_stop) == ("First words", True, True)
    assert draft.entities == [{"type": "bold", "offset": 6, "length": 5}]
    assert stage.texts() == []
    ratings = (Button("g", "👍", "good"), Button("b", "👎", "bad"))
    shown = await surface.show(Show(text="First **words**", final=True, buttons=ratings))
    [seen] = stage.screen()
    assert (seen.text, seen.buttons) == ("First words", [[("👍", "g"), ("👎", "b")]])
    assert shown.ids == (str(seen.message_id), f"draft:{draft.draft_id}")


async def test_without_a_stop_button_a_draft_cannot_be_stopped(stage: Stage) -> None:
    await stage.draft().show(Show())
    [draft] = stage.platform.drafts(USER)
    assert (draft.text, draft.can_stop) == ("…", False)


async def test_a_stop_names_a_draft_that_the_answer_knows(stage: Stage) -> None:
    surface = stage.draft()
    await surface.show(Show(text="One.", final=True))
    shown = await surface.show(Show(part=1, text="Two", buttons=(STOP,)))
    stage.platform.stop_draft(USER)
    [draft] = stage.platform.drafts(USER)  # kept on stop
    assert f"draft:{draft.draft_id}" in shown.ids
    again = await surface.show(Show(part=1, text="Two. (Stopped)", final=True))
    assert stage.texts() == ["One.", "Two. (Stopped)"]
    assert set(shown.ids) < set(again.ids)


async def test_an_unchanged_draft_that_is_shown_again_stays(stage: Stage) -> None:
    surface = stage.draft()
    await surface.show(Show(status="Searching…"))
    stage.now += 20
    await surface.show(Show(status="Searching…"))
    stage.now += 20
    assert stage.drafts() == ["Searching…"]


async def test_drafts_and_messages_go_into_the_topic(stage: Stage) -> None:
    stage.platform.topic(USER, 12)
    surface = stage.draft(thread="12")
    await surface.show(Show(text="Words"))
    assert [draft.thread for draft in stage.platform.drafts(USER)] == [12]
    await surface.show(Show(text="Words.", final=True))
    assert [seen.thread for seen in stage.screen()] == [12]


async def test_after_a_death_the_draft_goes_on_and_its_message_is_changed(stage: Stage) -> None:
    surface = stage.draft()
    first = await surface.show(Show(text="One.", final=True))
    before = await surface.show(Show(part=1, text="Half of"))
    surface = stage.draft(resume=before.ref)
    after = await surface.show(Show(part=1, text="Half of two"))
    assert set(after.ids) == set(before.ids), "the stop button of before works"
    await surface.show(Show(text="One, again", buttons=(STOP,)))
    assert stage.texts() == ["One, again"]
    await surface.show(Show(text="One, again.", final=True))
    await surface.show(Show(part=1, text="Two.", final=True))
    assert stage.texts() == ["One, again.", "Two."]
    assert str(stage.screen()[0].message_id) == first.ids[0]


async def test_a_death_before_any_message_leaves_a_usable_ref(stage: Stage) -> None:
    shown = await stage.draft().show(Show(text="Half"))
    assert shown.ref
    await stage.draft(resume=shown.ref).show(Show(text="Whole.", final=True))
    assert stage.texts() == ["Whole."]


async def test_a_server_without_drafts_gets_messages_and_nothing_is_lost(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    stage.platform.unknown("sendMessageDraft")
    surface = stage.draft()
    shown = await surface.show(Show(text="First words", buttons=(STOP,)))
    assert stage.screen()[0].buttons == [[("Stop", "stop")]]
    assert shown.ids == (str(stage.screen()[0].message_id),)
    assert shown.calls == 2
    await surface.show(Show(text="First words."))
    await surface.show(Show(text="First words.", final=True))
    await stage.draft("turn-2").show(Show(text="Another"))
    assert stage.texts() == ["First words.", "Another"]
    assert not stage.api.drafts
    assert stage.platform.counts["sendMessageDraft"] == 1
    assert "First" not in caplog.text and "drafts are refused" in caplog.text


async def test_a_chat_that_takes_no_drafts_gets_messages(stage: Stage) -> None:
    surface = DraftSurface(stage.api, str(GROUP), "", "turn-1", None, stage.fetch)
    await surface.show(Show(text="Words"))
    assert stage.texts(GROUP) == ["Words"]
    assert not stage.api.drafts


async def test_a_refused_text_comes_again_plain_and_only_then_as_a_message(stage: Stage) -> None:
    surface = stage.draft()
    stage.platform.fail("sendMessageDraft", 2, "entities")
    with pytest.raises(Rejected):
        await surface.show(Show(text="**Words**"))
    assert stage.api.drafts
    await surface.show(Show(text="**Words**", plain=True))
    assert stage.texts() == ["Words"]


async def test_limits_and_blocks_are_no_reason_to_give_drafts_up(stage: Stage) -> None:
    surface = stage.draft()
    stage.platform.fail("sendMessageDraft", 1, "429", seconds=3)
    with pytest.raises(RateLimited):
        await surface.show(Show(text="Words"))
    stage.platform.fail("sendMessageDraft", 1, "502")
    with pytest.raises(Unsure):
        await surface.show(Show(text="Words"))
    stage.platform.block(USER)
    with pytest.raises(Gone):
        await surface.show(Show(text="Words", plain=True))
    assert stage.api.drafts


async def test_a_draft_holds_as_much_as_a_message(stage: Stage) -> None:
    await stage.draft().show(Show(text="字" * LIMIT, thinking="想" * 5000))
    await stage.draft().show(Show(text="字" * 9, thinking="想" * 5000))
    assert [len(text) for text in stage.drafts()] == [LIMIT]


@given(st.text(), st.integers(0, 99))
def test_draft_ids_are_positive_stable_and_differ(turn: str, part: int) -> None:
    assert 0 < draft_id(turn, part) < 2**31
    assert draft_id(turn, part) == draft_id(turn, part)
    assert draft_id(turn, part) != draft_id(turn, part + 1)


# ------------------------------------------------------------------ buttons


def choices(*labels: str) -> tuple[Button, ...]:
    return tuple(Button(f"c{number}", label, "choice") for number, label in enumerate(labels))


async def test_choices_have_a_row_each_and_the_ratings_share_the_last(stage: Stage) -> None:
    buttons = (
        Button("g", "👍", "good"),
        Button("b", "👎", "bad"),
        Button("r", "🔄", "retry"),
        *choices("退款", "换货"),
        Button("s", "What else?", "suggest"),
        Button("https://example.com/x?a=1", "Source", "link"),
    )
    await stage.message().show(Show(text="Which?", buttons=buttons, final=True))
    assert stage.screen()[0].buttons == [
        [("退款", "c0")],
        [("换货", "c1")],
        [("What else?", "s")],
        [("Source", "https://example.com/x?a=1")],
        [("👍", "g"), ("👎", "b"), ("🔄", "r")],
    ]


async def test_choices_that_a_phone_would_cut_become_numbers(stage: Stage) -> None:
    labels = [f"{LONG}{number}" for number in range(6)] + ["短"]
    await stage.message().show(Show(text="选哪个？", buttons=choices(*labels), final=True))
    [seen] = stage.screen()
    assert seen.text.split("\n") == ["选哪个？", "", *(f"{n}. {label}" for n, label in enumerate(labels, 1))]
    assert seen.buttons == [
        [("1", "c0"), ("2", "c1"), ("3", "c2"), ("4", "c3"), ("5", "c4")],
        [("6", "c5"), ("7", "c6")],
    ]


async def test_the_list_of_choices_is_cut_where_the_text_is_long(stage: Stage) -> None:
    labels = [f"第{number}个{LONG * 3}" for number in range(4)]
    await stage.message().show(Show(text="字" * (LIMIT - 102), buttons=choices(*labels), final=True))
    [seen] = stage.screen()
    assert len(seen.text) <= LIMIT
    lines = seen.text.split("\n")[2:]
    assert [line[:6] for line in lines] == ["1. 第0个", "2. 第1个", "3. 第2个", "4. 第3个"]
    assert all(line.endswith("…") for line in lines)


async def test_where_no_list_fits_the_choices_keep_their_beginnings(stage: Stage) -> None:
    await stage.message().show(Show(text="字" * LIMIT, buttons=choices(LONG, "短"), final=True))
    [seen] = stage.screen()
    assert [label[:5] for [(label, _)] in seen.buttons] == ["这是一个非", "短"]
    assert all(len(label.encode()) <= 64 for [(label, _)] in seen.buttons)


async def test_a_button_that_would_be_refused_is_left_out(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    buttons = (
        Button("k" * 65, "secret label", "choice"),
        Button("k" * 64, "fits", "choice"),
        Button("", "secret label", "retry"),
        Button("javascript:alert(1)", "secret label", "link"),
        Button("k", " ", "suggest"),
    )
    await stage.message().show(Show(text="Words", buttons=buttons, final=True))
    assert stage.screen()[0].buttons == [[("fits", "k" * 64)], [("…", "k")]]
    assert len(caplog.records) == 3
    assert "secret" not in caplog.text and "alert" not in caplog.text


def test_a_message_bears_a_hundred_buttons() -> None:
    for labels in (["short"] * 150, [LONG] * 150):
        _, rows = keyboard(choices(*labels), LIMIT)
        assert len(list(chain.from_iterable(rows))) == MOST


@given(st.lists(st.text("a字😀 ", max_size=80), max_size=20), st.integers(-5, 600))
def test_a_list_keeps_to_its_room_and_has_a_line_for_each_choice(labels: list[str], room: int) -> None:
    legend, rows = keyboard(choices(*labels), room)
    assert utf16_len(legend) <= max(0, room)
    keys = [button["callback_data"] for button in chain.from_iterable(rows)]
    assert keys == [f"c{number}" for number in range(len(labels))]
    if legend:
        assert len(legend.split("\n")) == len(labels)
        assert utf16_len(legend) >= LINE_LEAST


# ------------------------------------------------------------------ files


def shown_file(url: str = "https://files.example.com/a?token=SECRET", part: int = 0) -> Show:
    return Show(part=part, files=(File(url, "a"),), final=True)


def flat(width: int, height: int) -> bytes:
    """A PNG that says it has these sides."""
    return PIXEL[:16] + width.to_bytes(4, "big") + height.to_bytes(4, "big") + PIXEL[24:]


@pytest.mark.parametrize(
    ("download", "media"),
    [
        (Download(PIXEL, "a.png", "image/png"), "photo"),
        (Download(PIXEL, "a.png", "IMAGE/PNG; x=y"), "photo"),
        (Download(flat(9000, 9000), "wide.png", "image/png"), "document"),
        (Download(b"<svg/>", "a.svg", "image/svg+xml"), "document"),
        (Download(b"no picture", "a.jpg", "image/jpeg"), "document"),
        (Download(PIXEL + bytes(10 * 2**20), "big.png", "image/png"), "document"),
        (Download(b"GIF89a", "a.gif", "image/gif"), "animation"),
        (Download(b"film", "a.mp4", "video/mp4"), "video"),
        (Download(b"song", "a.mp3", "audio/mpeg"), "audio"),
        (Download(b"OggS", "a.ogg", "audio/ogg"), "voice"),
        (Download(b"%PDF", "报告 1.pdf", "application/pdf"), "document"),
        (Download(b"?", "a", ""), "document"),
    ],
    ids=repr,
)
async def test_a_file_is_sent_as_what_it_is(stage: Stage, download: Download, media: str) -> None:
    op = shown_file()
    stage.files[op.files[0].url] = download
    shown = await stage.message().show(op)
    [seen] = stage.screen()
    assert (seen.media, seen.data) == (media, download.data)
    assert shown.ids == (str(seen.message_id),)
    if media == "document":
        assert seen.file_name == download.name


async def test_a_file_stands_below_the_text_and_replies_to_the_question(stage: Stage) -> None:
    question = stage.platform.say("draw", chat=GROUP)["message_id"]
    op = shown_file(part=1)
    stage.files[op.files[0].url] = Download(PIXEL, "a.png", "image/png")
    surface = stage.message(GROUP, reply_to=str(question))
    await surface.show(Show(text="Here.", final=True))
    shown = await surface.show(op)
    assert [(seen.text, seen.media, seen.reply_to) for seen in stage.screen(GROUP)] == [
        ("Here.", "", question),
        ("", "photo", question),
    ]
    again = await stage.message(GROUP, resume=shown.ref).show(op)
    assert (again.ids, again.calls) == (shown.ids, 0)
    assert len(stage.screen(GROUP)) == 2


async def test_a_file_after_drafts_is_a_message_too(stage: Stage) -> None:
    op = shown_file(part=1)
    stage.files[op.files[0].url] = Download(PIXEL, "a.png", "image/png")
    surface = stage.draft()
    await surface.show(Show(text="Here"))
    await surface.show(Show(text="Here.", final=True))
    await surface.show(op)
    assert [(seen.text, seen.media) for seen in stage.screen()] == [("Here.", ""), ("", "photo")]


@pytest.mark.parametrize("fault", [BridgeError("only public addresses are fetched"), TooBig()])
async def test_a_file_that_cannot_be_had_is_left_out(
    stage: Stage, caplog: pytest.LogCaptureFixture, fault: BridgeError
) -> None:
    op = shown_file("https://me:SECRET@files.example.com/SECRET/a.pdf?token=SECRET#SECRET", part=1)
    stage.files[op.files[0].url] = fault
    surface = stage.message()
    text = await surface.show(Show(text="Here.", final=True))
    shown = await surface.show(op)
    assert (shown.ids, shown.calls) == (text.ids, 0)
    assert stage.texts() == ["Here."]
    [record] = caplog.records
    assert str(fault) in record.getMessage() and "files.example.com" in record.getMessage()
    assert "SECRET" not in caplog.text


async def test_a_file_that_telegram_refuses_is_left_out(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    op = shown_file()
    stage.files[op.files[0].url] = Download(b"", "empty.png", "image/png")
    shown = await stage.message().show(op)
    assert (shown.ids, shown.calls, stage.screen()) == ((), 2, [])
    assert "non-empty" in caplog.text and "SECRET" not in caplog.text


async def test_a_limit_on_files_is_the_pumps_business(stage: Stage) -> None:
    op = shown_file()
    stage.files[op.files[0].url] = Download(PIXEL, "a.png", "image/png")
    surface = stage.message()
    stage.platform.fail("sendPhoto", 1, "429", seconds=4)
    with pytest.raises(RateLimited):
        await surface.show(op)
    stage.platform.fail("sendPhoto", 1, "drop_before")
    with pytest.raises(Unsure):
        await surface.show(op)
    await surface.show(op)
    assert [seen.media for seen in stage.screen()] == ["photo"]


async def test_a_file_is_fetched_once_until_it_is_sent(stage: Stage) -> None:
    op, other = shown_file(), shown_file("https://files.example.com/b", part=1)
    stage.files[op.files[0].url] = Download(PIXEL, "a.png", "image/png")
    surface = stage.message()
    stage.platform.fail("sendPhoto", 1, "drop_before")
    with pytest.raises(Unsure):
        await surface.show(op)
    stage.files = {other.files[0].url: Download(PIXEL, "b.png", "image/png")}
    await surface.show(op)
    await surface.show(other)
    assert [seen.media for seen in stage.screen()] == ["photo", "photo"]
    await surface.show(shown_file(part=2))
    assert len(stage.screen()) == 2, "what was sent is kept no longer"


async def test_a_file_goes_where_the_group_went(stage: Stage) -> None:
    stage.platform.open(-5, type="group")
    op = shown_file()
    stage.files[op.files[0].url] = Download(PIXEL, "a.png", "image/png")
    new = stage.platform.migrate(-5)
    surface = stage.message(-5)
    with pytest.raises(Vanished):
        await surface.show(op)
    await surface.show(op)
    assert [seen.media for seen in stage.screen(new)] == ["photo"]


async def test_words_in_the_place_of_a_file_are_a_new_message(stage: Stage) -> None:
    op = shown_file()
    stage.files[op.files[0].url] = Download(PIXEL, "a.png", "image/png")
    surface = stage.message()
    await surface.show(op)
    with pytest.raises(Vanished):
        await surface.show(Show(text="Words"))
    await surface.show(Show(text="Words"))
    assert stage.texts() == ["", "Words"]


def test_a_picture_over_the_limit_of_photos_is_a_document_at_once() -> None:
    assert kinds(Download(bytes(10 * 2**20 + 1), "a.png", "image/png")) == ("Document",)


def test_an_upload_says_nothing_of_its_bytes() -> None:
    assert "secret" not in repr(as_file(b"secret", "a.txt"))
