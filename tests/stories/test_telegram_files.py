"""Files on their way from a Telegram user to the app, and from an answer to the user."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from tests.fakes.fastgpt import Received, Script
from tests.fakes.telegram.files import PIXEL
from tests.fakes.telegram.items import Document, Photo, Video, Voice
from tests.product import free_port
from tests.stories.conftest import Stage

PDF = b"%PDF-1.4\n" + b"words " * 1000 + b"%%EOF\n"
ALL = {"fileSelectConfig": {"canSelectFile": True, "canSelectImg": True, "maxFiles": 3}}


async def test_files_are_uploaded_to_an_app_that_takes_uploads(stage: Stage) -> None:
    stage.gpt.era = "e26"
    stage.gpt.chat_config = ALL
    stage.app["app_id"] = stage.gpt.app_id
    await stage.product.start()
    stage.api.send(Photo(PIXEL), chat=7, caption="what is this?")
    await stage.answered(7)
    stage.api.send(Document(PDF, "合同.pdf"), chat=7, caption="and this?")
    await stage.answered(7, 2)
    photo, document = stage.gpt.asked
    assert photo.received == [Received("photo.png", "image/png", len(PIXEL))]
    assert document.received == [Received("合同.pdf", "application/pdf", len(PDF))]
    assert (photo.question, document.question) == ("what is this?", "and this?")
    assert [seen.text for seen in stage.answers(7)] == ["You asked: what is this?", "You asked: and this?"]


@pytest.mark.slow
async def test_an_app_without_uploads_fetches_them_from_the_bridge(stage: Stage) -> None:
    port = free_port()
    stage.product.config["http"] = {"listen": f"127.0.0.1:{port}", "public_url": f"http://127.0.0.1:{port}/"}
    stage.gpt.fetches = True
    await stage.product.start()
    stage.api.send(Document(PDF, "report.pdf"), chat=7, caption="read it")
    await stage.answered(7)
    [fetched] = stage.gpt.fetched
    assert fetched.status == 200
    assert fetched.data == PDF
    assert fetched.url.startswith(f"http://127.0.0.1:{port}/files/")
    assert stage.api.token not in fetched.url
    assert fetched.headers["content-disposition"].startswith("attachment")
    assert fetched.headers["x-content-type-options"] == "nosniff"
    assert fetched.headers["content-security-policy"] == "sandbox"
    async with aiohttp.ClientSession() as browser:
        async with browser.get(fetched.url.replace("/files/", "/files/A")) as forged:
            assert forged.status == 404
        await stage.product.kill()
        await stage.product.start()
        async with browser.get(fetched.url) as again:
            assert await again.read() == PDF


async def test_a_small_picture_goes_within_the_question(stage: Stage) -> None:
    await stage.product.start()
    stage.api.send(Photo(PIXEL), chat=7, caption="what is this?")
    await stage.answered(7)
    assert stage.gpt.asked[0].received[0].size == len(PIXEL)
    assert stage.gpt.asked[0].parts[1]["image_url"]["url"].startswith("data:image/png;base64,")


async def test_a_file_that_has_no_way_is_said_so_and_the_question_is_answered(stage: Stage) -> None:
    await stage.product.start()
    stage.api.send(Document(PDF, "report.pdf"), chat=7, caption="read it")
    [answer] = await stage.answered(7)
    assert answer.text.startswith("You asked: read it")
    assert "http.public_url: report.pdf" in answer.text


@pytest.mark.parametrize(
    ("config", "item", "words"),
    [
        ({"canSelectFile": False, "canSelectImg": True}, Document(PDF, "a.pdf"), "does not take this kind of file"),
        ({"canSelectFile": True, "canSelectImg": False}, Photo(PIXEL), "takes no pictures"),
        ({"canSelectFile": True, "canSelectImg": True, "canSelectAudio": False}, Voice(), "takes no audio"),
        ({"canSelectFile": True, "canSelectImg": True, "canSelectVideo": False}, Video(), "takes no video"),
    ],
)
async def test_what_the_app_does_not_take_is_explained(stage: Stage, config: object, item: object, words: str) -> None:
    stage.gpt.era = "e26"
    stage.gpt.chat_config = {"fileSelectConfig": config}
    stage.app["app_id"] = stage.gpt.app_id
    await stage.product.start()
    stage.api.send(item, chat=7)  # type: ignore[arg-type]
    [answer] = await stage.answered(7)
    assert words in answer.text
    assert stage.gpt.asked == []


@pytest.mark.slow
async def test_more_files_than_the_app_takes(stage: Stage) -> None:
    stage.gpt.era = "e26"
    stage.gpt.chat_config = ALL
    stage.app["app_id"] = stage.gpt.app_id
    await stage.product.start()
    stage.api.album([Photo(PIXEL) for _ in range(5)], chat=7, caption="look")
    [answer] = await stage.answered(7)
    assert len(stage.gpt.asked[0].received) == 3
    assert "takes 3 files at a time" in answer.text


async def test_a_file_that_telegram_does_not_hand_out(stage: Stage) -> None:
    await stage.product.start()
    stage.api.send(Document(b"%PDF" + bytes(21 << 20), "huge.pdf"), chat=7, caption="read it")
    [answer] = await stage.answered(7)
    assert "Too big, so it was not passed on: huge.pdf" in answer.text


# ------------------------------------------------------------------ in answers


@pytest.mark.slow
async def test_pictures_and_files_of_an_answer_are_sent_as_such(stage: Stage) -> None:
    picture = stage.gpt.publish("chart.png", PIXEL, content_type="image/png")
    report = stage.gpt.publish("report.pdf", PDF, content_type="application/pdf")
    await stage.product.start()
    stage.gpt.next(Script(text=f"See the chart:\n\n![chart]({picture})\n\nand [the report]({report})."))
    stage.api.say("show me", chat=7)
    await stage.api.until(lambda: [seen.media for seen in stage.answers(7)] == ["", "photo", "document"])
    text, photo, document = stage.answers(7)
    assert "See the chart" in text.text
    assert photo.data == PIXEL
    assert (document.file_name, document.data) == ("report.pdf", PDF)


@pytest.mark.slow
async def test_a_stop_ends_the_files_too(stage: Stage) -> None:
    hold = asyncio.Event()
    files = [stage.gpt.publish(f"{n}.png", PIXEL, content_type="image/png", hold=hold) for n in range(6)]
    await stage.product.start()
    stage.gpt.next(Script(text=" ".join(f"![{n}]({file})" for n, file in enumerate(files)) + " six"))
    stage.api.say("show me", chat=7)
    await stage.gpt.until(lambda: stage.gpt.published["0.png"].requests)
    stage.api.say("/stop", chat=7)
    stage.api.say("next", chat=8)
    await stage.answered(8)
    hold.set()
    stage.api.say("next", chat=7)
    await stage.api.until(lambda: any(seen.text == "You asked: next" for seen in stage.answers(7)))
    assert sum(seen.media == "photo" for seen in stage.answers(7)) <= 1


async def test_an_address_that_is_none_harms_nothing(stage: Stage) -> None:
    text = "See [a](http://[::1/a.pdf) and ![b](http://example.com℀/b.png) here."
    await stage.product.start()
    stage.gpt.next(Script(text=text))
    stage.api.say("show me", chat=7)
    assert "See a" in (await stage.answered(7))[0].text
    stage.api.say("next", chat=7)
    assert (await stage.answered(7, 2))[1].text == "You asked: next"


@pytest.mark.slow
async def test_private_addresses_are_not_fetched(stage: Stage) -> None:
    """The app's own host is configured; the metadata service of a cloud is not."""
    await stage.product.start()
    stage.gpt.next(Script(text=f"![a](http://127.0.0.1:{free_port()}/a.png) ![b](http://169.254.169.254/b.png) done"))
    stage.api.say("show me", chat=7)
    await stage.answered(7)
    stage.api.say("next", chat=7)
    answers = await stage.answered(7, 2)
    assert [seen.media for seen in answers] == ["", ""]


@pytest.mark.slow
async def test_a_file_is_sent_once_over_a_kill(stage: Stage) -> None:
    hold = asyncio.Event()
    first = stage.gpt.publish("a.png", PIXEL, content_type="image/png")
    second = stage.gpt.publish("b.png", PIXEL, content_type="image/png", hold=hold)
    await stage.product.start()
    stage.gpt.next(Script(text=f"![a]({first}) ![b]({second}) two pictures"))
    stage.api.say("show me", chat=7)
    await stage.gpt.until(lambda: stage.gpt.published["b.png"].requests)  # so the first one is written down
    await stage.product.kill()
    hold.set()
    await stage.product.start()
    await stage.api.until(lambda: [seen.media for seen in stage.answers(7)] == ["", "photo", "photo"])
    stage.api.say("next", chat=7)
    await stage.api.until(lambda: any(seen.text == "You asked: next" for seen in stage.answers(7)))
    assert [seen.media for seen in stage.answers(7)] == ["", "photo", "photo", ""]
