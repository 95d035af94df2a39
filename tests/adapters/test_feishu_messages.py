"""Answers on Feishu where the app may not use streaming cards, and the pictures and files of all answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from adapters.feishu import pictures
from adapters.feishu.files import kinds
from adapters.feishu.mode import Stream
from bridge.model import (
    BridgeError,
    Button,
    Download,
    Fatal,
    File,
    Gone,
    Overfull,
    RateLimited,
    Show,
    TooBig,
    Unreachable,
    Unsure,
    Vanished,
)
from tests.adapters.feishu_answers import CONSOLE, STOP, Stage, feishu, show
from tests.fakes.feishu import PIXEL
from tests.fakes.feishu.faults import Kind

LINK = Button("https://example.com/a", "Open", "link")
URL = "https://me:SECRET@files.example.com/SECRET/a.png?token=SECRET#SECRET"
PICTURED = f"Look:\n\n![a cat]({URL})\n\nA cat."
PNG = Download(PIXEL, "a.png", "image/png")
PDF = Download(b"%PDF", "报告 1.pdf", "application/pdf")


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with feishu() as made:
        yield made


def preview(text: str, part: int = 0) -> Show:
    return Show(part=part, text=text, buttons=(STOP,))


def final(text: str, part: int = 0) -> Show:
    return Show(part=part, text=text, final=True)


def shown_file(url: str = URL, part: int = 0) -> Show:
    return Show(part=part, files=(File(url, ""),), final=True)


def without_cards(stage: Stage) -> None:
    stage.platform.scopes.discard("cardkit:card:write")


# ------------------------------------------------------------------ edits


async def test_stream_edit_grows_in_one_message(stage: Stage) -> None:
    stage.streams("edit")
    surface = stage.surface()
    shown = await surface.show(preview("First **words**"))
    assert (stage.seen.text, stage.seen.buttons, shown.staged) == ("First **words**", ["Stop"], False)
    assert (await surface.show(preview("First **words**"))).calls == 0
    await surface.show(final("First **words** and the rest."))
    assert (stage.seen.text, stage.seen.buttons) == ("First **words** and the rest.", [])
    assert stage.made() == ["POST reply", f"PATCH {stage.seen.message_id}"]
    assert stage.refused() == []


async def test_without_the_permission_for_cards_answers_are_edited_and_the_log_says_once_why(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    without_cards(stage)
    surface = stage.surface()
    assert stage.mode.name == "card"
    shown = await show(surface, preview("First words"))
    assert (stage.texts, stage.mode.name) == (["First words"], "edit")
    await surface.show(final("First words and the rest."))
    assert (stage.texts, shown.ids) == (["First words and the rest."], (stage.seen.message_id,))
    await show(stage.surface(turn="turn-2"), final("Another."))
    assert len(stage.refused()) == 1, "it is not asked for with each answer"
    [record] = caplog.records
    assert "cardkit:card:write" in record.getMessage() and CONSOLE in record.getMessage()


async def test_a_permission_that_is_granted_counts_without_a_restart(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    without_cards(stage)
    await show(stage.surface(), final("One."))
    stage.wait(700)
    await show(stage.surface(turn="turn-2"), final("Two."))
    assert len(caplog.records) == 1
    stage.platform.scopes.add("cardkit:card:write")
    stage.wait(700)
    await show(stage.surface(turn="turn-3"), preview("Three"))
    assert [seen.streaming for seen in stage.platform.answers()] == [False, False, True]


async def test_a_part_goes_on_as_it_was_begun(stage: Stage) -> None:
    surface = stage.surface()
    shown = await show(surface, preview("First words"))
    stage.streams("edit")
    surface = stage.surface(shown.ref)
    await surface.show(preview("First words and"))
    assert stage.seen.streaming
    shown = await show(surface, preview("Second", part=1))
    stage.streams("card")
    surface = stage.surface(shown.ref)
    await surface.show(final("One."))
    await surface.show(final("Two.", part=1))
    assert stage.texts == ["One.", "Two."]
    assert [bool(seen.card_id) for seen in stage.platform.answers()] == [True, False]


async def test_a_message_that_was_deleted_is_begun_anew(stage: Stage) -> None:
    stage.streams("edit")
    surface = stage.surface()
    for text in ("First", "First words", "First words and"):
        shown = await surface.show(preview(text))
        stage.platform.recall(shown.ids[0])
        with pytest.raises(Vanished):
            await surface.show(preview(f"{text}!"))
    await surface.show(final("Whole."))
    assert stage.texts == ["Whole."]


async def test_a_send_that_may_have_arrived_is_not_there_twice(stage: Stage) -> None:
    stage.streams("edit")
    stage.platform.fault("/reply", "drop_after")
    with pytest.raises(Unsure):
        await stage.surface().show(preview("Words"))
    await stage.surface().show(final("Words."))  # after a restart
    assert len(stage.texts) == 1


async def test_too_many_edits_are_the_pumps_business(stage: Stage) -> None:
    stage.streams("edit")
    surface = stage.surface()
    await surface.show(preview("Words"))
    stage.platform.fail("/messages/", 230020, method="PATCH")
    with pytest.raises(RateLimited):
        await surface.show(preview("Words and"))
    await surface.show(preview("Words and"))
    assert stage.texts == ["Words and"]


async def test_messages_have_the_limits_of_cards(stage: Stage) -> None:
    stage.streams("edit")
    stage.platform.tables_most = 0
    surface = stage.surface()
    with pytest.raises(Overfull):
        await surface.show(final("字" * 11_000))
    await surface.show(final("| a |\n| - |\n| 1 |"))
    assert "```" in stage.seen.text


async def test_a_message_is_taken_off_the_screen(stage: Stage) -> None:
    stage.streams("edit")
    surface = stage.surface()
    await surface.show(final("One."))
    await surface.show(preview("Two", part=1))
    stage.platform.fault("/messages/", "502", method="DELETE")
    with pytest.raises(Unsure):
        await surface.show(Show(part=1, final=True))
    shown = await surface.show(Show(part=1, final=True))
    assert (stage.texts, len(shown.ids)) == (["One."], 1)
    shown = await surface.show(Show(part=1, final=True))
    await stage.surface(shown.ref).show(final("Two.", part=1))
    assert stage.texts == ["One.", "Two."], "what was taken back does not come again instead"


async def test_a_message_that_cannot_be_taken_back_stays(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    stage.streams("edit")
    surface = stage.surface()
    await surface.show(final("One."))
    stage.platform.fail("/messages/", 230026, method="DELETE")
    shown = await surface.show(Show(final=True))
    assert shown.ids == ()
    assert "cannot be taken back" in caplog.text


@pytest.mark.parametrize("stream", ["card", "edit"])
async def test_what_may_have_arrived_is_not_taken_for_what_is_shown(stage: Stage, stream: Stream) -> None:
    stage.streams(stream)
    surface = stage.surface()
    await show(surface, preview("Words"))
    stage.platform.fault("/open-apis", "drop_after", times=2)  # a PUT is tried again by the client
    with pytest.raises(Unsure):
        await surface.show(Show(text="Words"))
    stage.platform.faults.clear()
    await surface.show(preview("Words"))
    assert stage.seen.buttons == ["Stop"]


# ------------------------------------------------------------------ no previews


async def test_stream_off_shows_each_part_when_it_is_complete(stage: Stage) -> None:
    stage.streams("off")
    surface = stage.surface()
    assert (await surface.show(preview("First words"))).calls == 0
    assert stage.texts == []
    await surface.show(Show(text="First words.", final=True, buttons=(Button("g", "👍", "good"),)))
    assert (stage.seen.kind, stage.seen.text, stage.seen.buttons) == ("interactive", "First words.", ["👍"])
    await surface.show(final("First words."))
    assert (stage.seen.text, stage.seen.buttons) == ("First words.", []), "its buttons can still go"


async def test_where_edits_are_refused_the_final_text_is_a_message_of_its_own(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    without_cards(stage)
    surface = stage.surface()
    await surface.show(preview("First words"))
    scopes = "Access denied. One of the following scopes is required: [im:message, im:message:update]."
    stage.platform.fail("/messages/", 99991672, scopes, method="PATCH")
    await surface.show(preview("First words and"))
    assert stage.mode.name == "off"
    await surface.show(final("First words and the rest."))
    assert stage.texts == ["First words and the rest."]
    assert "im:message or im:message:update" in caplog.text


async def test_where_no_card_may_be_sent_at_all_the_words_are(stage: Stage) -> None:
    without_cards(stage)
    stage.platform.fail("/reply", 99991672, "scopes is required: [im:message:cards]")
    surface = stage.surface()
    await surface.show(preview("First words"))
    shown = await surface.show(Show(text="**Whole**.", final=True, buttons=(LINK,)))
    assert stage.seen.kind == "post"
    assert "Whole" in stage.seen.text and LINK.key in stage.seen.text
    assert (await stage.surface(shown.ref).show(final("**Whole**."))).calls == 0
    assert (await surface.show(Show(final=True))).ids == ()
    assert stage.texts == []


async def test_without_the_permission_to_send_the_answer_waits_for_the_operator(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    stage.platform.scopes.remove("im:message:send_as_bot")
    surface = stage.surface()
    with pytest.raises(Fatal) as caught:
        await show(surface, final("Words"))
    assert "im:message:send_as_bot" in str(caught.value)
    assert "Words" not in str(caught.value) + caplog.text
    stage.platform.scopes.add("im:message:send_as_bot")
    await show(surface, final("Words"))
    assert stage.seen.card_id, "and it is a card still"


async def test_plain_words_without_cards_are_a_text(stage: Stage) -> None:
    stage.streams("off")
    stage.platform.fail("/reply", 99991672)
    await stage.surface().show(Show(text="**Words**", final=True, plain=True))
    assert (stage.seen.kind, stage.seen.text) == ("text", "Words")


# ------------------------------------------------------------------ pictures


@pytest.mark.parametrize("stream", ["card", "edit", "off"])
async def test_pictures_are_shown_in_the_text(stage: Stage, stream: Stream) -> None:
    stage.streams(stream)
    stage.files[URL] = PNG
    surface = stage.surface()
    await show(surface, preview(PICTURED))
    assert stage.fetched == [], "not while it grows"
    shown = await show(surface, final(PICTURED))
    [key] = stage.seen.images
    assert stage.platform.files[key].data == PIXEL
    assert "SECRET" not in stage.seen.text
    assert (await surface.show(final(PICTURED))).calls == 0
    again = await stage.surface(shown.ref).show(final(PICTURED))
    assert (stage.seen.images, again.ids) == ([key], shown.ids)
    assert stage.fetched == [URL], "once, also after a restart"
    assert stage.refused() == []


@pytest.mark.parametrize(
    "found",
    [BridgeError("only public addresses are fetched"), TooBig(), Download(b"<html>", "a.html", "text/html")],
    ids=repr,
)
async def test_a_picture_that_cannot_be_shown_stays_a_link(
    stage: Stage, caplog: pytest.LogCaptureFixture, found: Download | BridgeError
) -> None:
    stage.files[URL] = found
    surface = stage.surface()
    await show(surface, final(PICTURED))
    assert "a cat" in stage.seen.text and URL in stage.seen.text
    assert stage.seen.images == []
    await surface.show(final(PICTURED))
    assert stage.fetched == [URL]
    [record] = caplog.records
    assert "files.example.com" in record.getMessage()
    assert "SECRET" not in caplog.text


async def test_pictures_have_a_time_limit_together(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(pictures, "SECONDS_MOST", 0.05)

    async def never(file: File, most: int) -> Download:
        stage.fetched.append(file.url)
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr(stage, "fetch", never)
    await show(stage.surface(), final(f"{PICTURED}\n![a dog](https://example.com/b.png)"))
    assert stage.fetched == [URL]
    assert "a dog" in stage.seen.text
    assert "too long" in caplog.text


async def test_plain_words_have_no_pictures(stage: Stage) -> None:
    stage.files[URL] = PNG
    await show(stage.surface(), Show(text=PICTURED, final=True, plain=True))
    assert (stage.fetched, stage.seen.images) == ([], [])


async def test_ten_pictures_are_enough(stage: Stage) -> None:
    urls = [f"https://example.com/{number}.png" for number in range(12)]
    stage.files = dict.fromkeys(urls, PNG)
    await show(stage.surface(), final("\n".join(f"![{url[-6]}]({url})" for url in urls)))
    assert len(stage.seen.images) == 10
    assert urls[11] in stage.seen.text


@pytest.mark.parametrize("stream", ["card", "edit"])
async def test_a_card_that_is_refused_with_its_pictures_keeps_their_links(
    stage: Stage, caplog: pytest.LogCaptureFixture, stream: Stream
) -> None:
    stage.streams(stream)
    stage.files[URL] = PNG
    surface = stage.surface()
    await show(surface, preview(PICTURED))
    shown = await show(surface, final(PICTURED))
    stage.platform.files.clear()  # so that nobody knows the key
    surface = stage.surface(shown.ref)
    await surface.show(preview(f"{PICTURED} Tw"))
    assert stage.refused() == []
    await surface.show(final(f"{PICTURED} Two."))
    assert URL in stage.seen.text and "Two." in stage.seen.text
    assert "stay links" in caplog.text
    assert (await surface.show(final(f"{PICTURED} Two."))).calls == 0


async def test_pictures_wait_for_the_permission(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    stage.files[URL] = PNG
    stage.platform.scopes.discard("im:resource")
    await show(stage.surface(), final(PICTURED))
    await show(stage.surface(turn="turn-2"), final(PICTURED))
    assert [seen.images for seen in stage.platform.answers()] == [[], []]
    assert len(stage.refused()) == 1
    [record] = caplog.records
    assert "im:resource" in record.getMessage()


# ------------------------------------------------------------------ files


@pytest.mark.parametrize(
    ("found", "kind", "sent"),
    [
        (PDF, "pdf", "file"),
        (Download(b"a", "a.xlsx", ""), "xls", "file"),
        (Download(b"a", "a.docx", ""), "doc", "file"),
        (Download(b"a", "a.PPTX", ""), "ppt", "file"),
        (Download(b"a", "a.zip", "application/zip"), "stream", "file"),
        (Download(b"a", "a.mp4", "video/mp4"), "mp4", "media"),
        (Download(b"a", "a.opus", "audio/ogg"), "opus", "audio"),
        (Download(b"a", "a.mp3", "audio/mpeg"), "stream", "file"),
    ],
    ids=repr,
)
async def test_a_file_is_sent_as_what_it_is(stage: Stage, found: Download, kind: str, sent: str) -> None:
    stage.files[URL] = found
    shown = await stage.surface().show(shown_file())
    [upload] = stage.platform.called("/im/v1/files")
    assert upload.body["file_type"] == kind
    assert stage.seen.kind == sent
    kept = stage.platform.files[stage.seen.file]
    assert (kept.data, kept.name) == (found.data, found.name)
    assert (shown.ids, shown.calls) == ((stage.seen.message_id,), 2)


async def test_a_picture_as_a_file_is_a_picture(stage: Stage) -> None:
    stage.files[URL] = PNG
    await stage.surface().show(shown_file())
    assert (stage.seen.kind, len(stage.seen.images)) == ("image", 1)


async def test_a_file_stands_below_the_text_and_is_sent_once(stage: Stage) -> None:
    stage.files[URL] = PDF
    surface = stage.surface()
    await show(surface, final("Here."))
    shown = await surface.show(shown_file(part=1))
    assert [(seen.kind, seen.reply_to) for seen in stage.platform.answers()] == [
        ("interactive", stage.place.reply_to),
        ("file", stage.place.reply_to),
    ]
    again = await stage.surface(shown.ref).show(shown_file(part=1))
    assert (again.ids, again.calls) == (shown.ids, 0)


@pytest.mark.parametrize("sent", ["drop_before", "drop_after"])
async def test_a_file_that_may_have_arrived_is_not_there_twice(stage: Stage, sent: Kind) -> None:
    stage.files[URL] = PDF
    surface = stage.surface()
    stage.platform.fault("/reply", sent)
    with pytest.raises(Unsure):
        await surface.show(shown_file())
    await surface.show(shown_file())
    assert [seen.kind for seen in stage.platform.answers()] == ["file"]
    assert stage.fetched == [URL]


async def test_a_video_that_is_refused_is_a_file(stage: Stage) -> None:
    stage.files[URL] = Download(b"a", "a.mp4", "video/mp4")
    stage.platform.fail("/reply", 230055)
    await stage.surface().show(shown_file())
    assert stage.seen.kind == "file"


@pytest.mark.parametrize("found", [BridgeError("it is not there"), TooBig(), Download(b"", "empty.pdf", "")], ids=repr)
async def test_a_file_that_cannot_be_sent_is_left_out(
    stage: Stage, caplog: pytest.LogCaptureFixture, found: Download | BridgeError
) -> None:
    stage.files[URL] = found
    surface = stage.surface()
    text = await show(surface, final("Here."))
    shown = await surface.show(shown_file(part=1))
    assert (shown.ids, stage.texts) == (text.ids, ["Here."])
    [record] = caplog.records
    assert "files.example.com" in record.getMessage()
    assert "SECRET" not in caplog.text


async def test_files_wait_for_the_permission(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    stage.files[URL] = PDF
    stage.platform.scopes.discard("im:resource")
    await stage.surface().show(shown_file())
    await stage.surface(turn="turn-2").show(shown_file())
    assert stage.texts == []
    assert len(stage.fetched) == 1
    [record] = caplog.records
    assert "im:resource" in record.getMessage()


async def test_what_stops_an_answer_stops_its_files(stage: Stage) -> None:
    stage.files[URL] = PDF
    surface = stage.surface()
    stage.platform.recall(stage.place.reply_to)
    with pytest.raises(Gone):
        await surface.show(shown_file())


async def test_a_platform_that_is_away_is_tried_again(stage: Stage) -> None:
    stage.files[URL] = PDF
    surface = stage.surface()
    await stage.platform.down()
    with pytest.raises(Unreachable):
        await surface.show(shown_file())
    await stage.platform.up()
    await surface.show(shown_file())
    assert [seen.kind for seen in stage.platform.answers()] == ["file"]
    assert stage.fetched == [URL]


async def test_words_in_the_place_of_a_file_are_a_message_of_their_own(stage: Stage) -> None:
    stage.files[URL] = PDF
    shown = await stage.surface().show(shown_file())
    surface = stage.surface(shown.ref)
    await show(surface, preview("Words"))
    shown = await surface.show(final("Words."))
    assert [seen.kind for seen in stage.platform.answers()] == ["file", "interactive"]
    assert shown.ids == (stage.platform.answers()[1].message_id,)


async def test_a_file_is_taken_off_the_screen(stage: Stage) -> None:
    stage.files[URL] = PDF
    shown = await stage.surface().show(shown_file())
    await stage.surface(shown.ref).show(Show(final=True))
    assert stage.platform.answers() == []


def test_a_picture_over_the_limit_of_pictures_is_a_file_at_once() -> None:
    assert kinds(Download(bytes(10 * 2**20 + 1), "a.png", "image/png")) == ("stream",)
