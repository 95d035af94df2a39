"""An answer on WeChat's screen, by a wechaty gateway; and the files that come in and go out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from adapters.wechat.wechaty.client import PuppetError
from adapters.wechat.wechaty.connection import Connection
from adapters.wechat.wechaty.lookup import Lookup
from adapters.wechat.wechaty.surface import AnswerSurface, Place
from bridge.model import (
    Attachment,
    BridgeError,
    Download,
    File,
    Message,
    Rejected,
    Show,
    Shown,
    Surface,
    Unreachable,
    Unsure,
)
from tests.adapters.host import Double
from tests.adapters.wechaty_shelf import ROOM, Shelf, question
from tests.adapters.wechaty_stage import Stage, stage_of

REPORT = File("https://files.example.com/secret/report", "report")


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with stage_of() as made:
        yield made


def final(text: str, part: int = 0) -> Show:
    return Show(part=part, text=text, final=True)


def sending(file: File, part: int = 0) -> Show:
    return Show(part=part, files=(file,), final=True)


async def shown(surface: Surface, *ops: Show) -> Shown:
    for op in ops:
        last = await surface.show(op)
    return last


# ------------------------------------------------------------------ messages


async def test_each_part_is_a_message_in_plain_words(stage: Stage) -> None:
    async with stage.bot() as (door, _):
        last = await shown(door.answer(question(), "turn"), final("**First** part"), final("Second part", 1))
    assert stage.gateway.screen() == ["First part", "Second part"]
    assert last.ids == tuple(sent.id for sent in stage.gateway.sent)


async def test_nothing_is_shown_that_would_have_to_change(stage: Stage) -> None:
    async with stage.bot() as (door, _):
        surface = door.answer(question(), "turn")
        for op in (Show(status="…"), Show(text="First wor"), Show(text="First words"), Show(final=True)):
            assert (await surface.show(op)).calls == 0
        assert (await surface.show(final("First words."))).calls == 1
    assert stage.gateway.screen() == ["First words."]


async def test_after_a_restart_the_ids_go_on(stage: Stage) -> None:
    async with stage.bot() as (door, _):
        before = await shown(door.answer(question(), "turn"), final("One"))
    async with stage.bot() as (door, _):
        after = await shown(door.answer(question(), "turn", before.ref), final("Two", 1))
    assert (stage.gateway.screen(), after.ids[:1]) == (["One", "Two"], before.ids)
    assert len(after.ids) == 2


# ------------------------------------------------------------------ rooms


async def test_in_a_room_the_first_message_mentions_whoever_asked(stage: Stage) -> None:
    async with stage.bot() as (door, _):
        await shown(door.answer(question(ROOM, "group"), "turn"), final("One"), final("Two", 1))
    assert stage.gateway.screen(ROOM) == ["@Alice\u2005One", "Two"]
    assert [sent.mentions for sent in stage.gateway.sent] == [("alice",), ()]


async def test_whoever_has_an_alias_in_the_room_is_mentioned_by_it(stage: Stage) -> None:
    stage.gateway.alias("Boss", contact="alice")
    async with stage.bot() as (door, _):
        await shown(door.answer(question(ROOM, "group"), "turn"), final("One"))
    assert stage.gateway.screen(ROOM) == ["@Boss\u2005One"]


async def test_without_a_name_nobody_is_mentioned() -> None:
    answers = Answers()
    await answers.surface(ROOM, "nobody knows").show(final("One"))
    assert answers.gateway.sent == [(ROOM, "One", ())]


# ------------------------------------------------------------------ trouble


async def test_while_nobody_is_logged_in_nothing_is_tried(stage: Stage) -> None:
    door, _ = stage.build()
    with pytest.raises(Unreachable):
        await door.answer(question(), "turn").show(final("Words"))
    assert stage.gateway.sent == []


async def test_a_message_whose_fate_is_unknown_is_unsure(stage: Stage) -> None:
    async with stage.bot() as (door, _):
        stage.gateway.fault("drop_after")
        with pytest.raises(Unsure):
            await door.answer(question(), "turn").show(final("Words"))
    assert stage.gateway.screen() == ["Words"]


async def test_a_puppet_that_throws_says_so_and_may_be_tried_again(stage: Stage) -> None:
    async with stage.bot() as (door, _):
        surface = door.answer(question(), "turn")
        stage.gateway.fail(1, "you are not in this room")
        with pytest.raises(PuppetError, match="you are not in this room"):
            await surface.show(final("Words"))
        await surface.show(final("Words"))
    assert stage.gateway.screen() == ["Words"]


async def test_an_answer_is_still_sent_while_the_service_ends(stage: Stage) -> None:
    door, host = stage.build()
    running = asyncio.create_task(door.run(host.receive))
    await asyncio.wait_for(host.connected.wait(), 5)
    running.cancel()
    await asyncio.wait([running])
    await door.answer(question(), "turn").show(final("The last words"))
    host.close()
    assert stage.gateway.screen() == ["The last words"]


@pytest.mark.parametrize("nothing", ["```\n```", "&nbsp;", "[x]: http://a"])
async def test_what_shows_nothing_is_no_message(stage: Stage, nothing: str) -> None:
    async with stage.bot() as (door, _):
        shown = await door.answer(question(), "turn").show(final(nothing))
    assert shown.calls == 0
    assert stage.gateway.screen() == []


# ------------------------------------------------------------------ order


class Slow(Shelf):
    """Takes a turn of the loop for each message, and notes when two are under way to one conversation."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[tuple[str, str, tuple[str, ...]]] = []
        self.under_way: list[str] = []
        self.overlaps: list[str] = []

    async def send_text(self, conversation: str, text: str, mentions: Sequence[str] = ()) -> str:
        if conversation in self.under_way:
            self.overlaps.append(conversation)
        self.under_way.append(conversation)
        await asyncio.sleep(0)
        self.under_way.remove(conversation)
        self.sent.append((conversation, text, tuple(mentions)))
        return ""


class Answers:
    """Surfaces on a gateway that is slow."""

    def __init__(self) -> None:
        self.gateway = Slow()
        self._host = Double({})
        self._lookup = Lookup(self.gateway)
        self._connection = Connection("wx", self.gateway, self._lookup, self._host)
        self._connection.logged_in = True
        self._turn = asyncio.Lock()

    def surface(self, chat: str, asker: str = "") -> AnswerSurface:
        place = Place(chat, asker, self._turn)
        return AnswerSurface(self.gateway, self._connection, self._lookup, place, None, self._host.download)


async def test_answers_in_one_room_do_not_overlap() -> None:
    answers = Answers()
    await asyncio.gather(*(answers.surface(ROOM).show(final(f"{number}.")) for number in range(10)))
    assert [text for _, text, _ in answers.gateway.sent] == [f"{number}." for number in range(10)]
    assert answers.gateway.overlaps == []


async def test_a_puppet_that_tells_no_ids_has_a_ref_all_the_same() -> None:
    last = await Answers().surface("alice").show(final("Words"))
    assert last.ids == ()
    assert last.ref


# ------------------------------------------------------------------ files


async def test_a_file_is_a_message_of_its_own(stage: Stage) -> None:
    async with stage.bot() as (door, host):
        host.downloads[REPORT.url] = Download(b"%PDF", "report.pdf", "application/pdf")
        await shown(door.answer(question(), "turn"), final("Here:"), sending(REPORT, 1))
    assert stage.gateway.screen() == ["Here:", "[file report.pdf]"]
    assert stage.gateway.sent[-1].file == ("report.pdf", b"%PDF")


async def test_a_file_that_cannot_be_had_is_refused_without_its_address(stage: Stage) -> None:
    async with stage.bot() as (door, _):
        with pytest.raises(Rejected, match=r"files\.example\.com cannot be had: it is not there") as refusal:
            await door.answer(question(), "turn").show(sending(REPORT))
    assert "secret" not in str(refusal.value)
    assert stage.gateway.sent == []


async def test_a_file_is_fetched_once_however_often_it_is_sent(stage: Stage) -> None:
    async with stage.bot() as (door, host):
        host.downloads[REPORT.url] = Download(b"%PDF", "report.pdf", "application/pdf")
        surface = door.answer(question(), "turn")
        stage.gateway.fail(1)
        with pytest.raises(PuppetError):
            await surface.show(sending(REPORT))
        host.downloads.clear()
        await surface.show(sending(REPORT))
    assert stage.gateway.screen() == ["[file report.pdf]"]


async def received(stage: Stage, data: bytes, **box: Any) -> bytes:
    """What the bot reads of a file that Alice has sent."""
    async with stage.bot() as (door, host):
        host.downloads["https://files.example.com/1"] = Download(data, "1", "")
        stage.gateway.say_file("photo.png", data, **box)
        event = await host.next()
        assert isinstance(event, Message)
        (attachment,) = event.attachments
        assert attachment.kind == "image"
        return b"".join([piece async for piece in door.fetch(attachment)])


@pytest.mark.parametrize(
    "box", [{"box": "base64"}, {"box": "uuid"}, {"box": "url", "url": "https://files.example.com/1"}]
)
async def test_a_file_comes_in_however_the_puppet_has_it(stage: Stage, box: dict[str, str]) -> None:
    assert await received(stage, b"pixels" * 10_000, **box) == b"pixels" * 10_000


async def test_a_file_that_is_not_there_is_a_designed_error(stage: Stage) -> None:
    async with stage.bot() as (door, _):
        with pytest.raises(BridgeError):
            [piece async for piece in door.fetch(Attachment("file", "nowhere/file"))]


# ------------------------------------------------------------------ what WeChat can do


async def test_what_fits_is_told_by_the_plain_words(stage: Stage) -> None:
    door, _ = stage.build(sends=3)
    caps = door.caps(question())
    assert (caps.live, caps.sends, caps.buttons, caps.typing) == (False, 3, False, False)
    assert caps.fits("字" * 2000)
    assert not caps.fits("🙂" * 1001)
