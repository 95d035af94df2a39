"""Files on their way from a Feishu user to the app, and from an answer to the user."""

from __future__ import annotations

import aiohttp

from tests.fakes.fastgpt import Received, Script
from tests.fakes.feishu import PIXEL
from tests.product import free_port
from tests.stories.conftest import FeishuStage

PDF = b"%PDF-1.4\n" + b"words " * 1000 + b"%%EOF\n"
ALL = {"fileSelectConfig": {"canSelectFile": True, "canSelectImg": True, "maxFiles": 3}}


async def test_what_users_send_is_uploaded_to_the_app(feishu: FeishuStage) -> None:
    feishu.gpt.era = "e26"
    feishu.gpt.chat_config = ALL
    feishu.app["app_id"] = feishu.gpt.app_id
    await feishu.start()
    feishu.platform.send_image(PIXEL)
    await feishu.answered()
    feishu.platform.send_file(PDF, "合同.pdf")
    await feishu.answered(count=2)
    picture, document = feishu.gpt.asked
    assert [(file.type, file.size) for file in picture.received] == [("image/png", len(PIXEL))]
    assert document.received == [Received("合同.pdf", "application/pdf", len(PDF))]


async def test_an_app_without_uploads_fetches_them_from_the_bridge(feishu: FeishuStage) -> None:
    port = free_port()
    feishu.product.config["http"] = {"listen": f"127.0.0.1:{port}", "public_url": f"http://127.0.0.1:{port}"}
    feishu.gpt.fetches = True
    await feishu.start()
    feishu.platform.send_file(PDF, "report.pdf")
    await feishu.answered()
    [fetched] = feishu.gpt.fetched
    assert (fetched.status, fetched.data) == (200, PDF)
    assert fetched.url.startswith(f"http://127.0.0.1:{port}/files/")
    assert not any(secret in fetched.url for secret in (feishu.platform.app_secret, "om_", "file_"))


async def test_a_sticker_is_politely_declined(feishu: FeishuStage) -> None:
    await feishu.start()
    feishu.platform.send_file(b"GIF89a", kind="sticker")
    [answer] = await feishu.answered()
    assert "sticker" in answer.text
    assert feishu.gpt.asked == []


async def test_pictures_of_an_answer_are_shown_on_its_card_and_files_behind_it(feishu: FeishuStage) -> None:
    picture = feishu.gpt.publish("chart.png", PIXEL, content_type="image/png")
    report = feishu.gpt.publish("report.pdf", PDF, content_type="application/pdf")
    await feishu.start()
    feishu.gpt.next(Script(text=f"See the chart:\n\n![chart]({picture})\n\nand [the report]({report})."))
    feishu.platform.say("show me")
    await feishu.platform.until(lambda: [seen.kind for seen in feishu.answers()] == ["interactive", "file"])
    card, file = feishu.answers()
    [key] = card.images
    assert feishu.platform.files[key].data == PIXEL
    assert "See the chart" in card.text
    assert feishu.platform.files[file.file].data == PDF
    assert all(call.code == 0 for call in feishu.platform.calls)


async def test_the_apps_own_pictures_are_shown_too(feishu: FeishuStage) -> None:
    """FastGPT writes them without its host."""
    picture = feishu.gpt.publish("chart.png", PIXEL, content_type="image/png")
    path = "/" + picture.split("/", 3)[3]
    await feishu.start()
    feishu.gpt.next(Script(text=f"See the chart: ![chart]({path}) there."))
    feishu.platform.say("show me")
    await feishu.platform.until(lambda: feishu.answers() and feishu.answers()[0].images)


async def test_a_picture_that_may_not_be_fetched_stays_a_link(feishu: FeishuStage) -> None:
    await feishu.start()
    feishu.gpt.next(Script(text=f"![a](http://127.0.0.1:{free_port()}/a.png) ![b](http://169.254.169.254/b.png) done"))
    feishu.platform.say("show me")
    [answer] = await feishu.answered()
    assert answer.images == []
    assert "[b](http://169.254.169.254/b.png) done" in answer.text


async def test_files_are_handed_out_to_nobody_else(feishu: FeishuStage) -> None:
    port = free_port()
    feishu.product.config["http"] = {"listen": f"127.0.0.1:{port}", "public_url": f"http://127.0.0.1:{port}"}
    feishu.gpt.fetches = True
    await feishu.start()
    feishu.platform.send_file(PDF, "report.pdf")
    await feishu.answered()
    forged = feishu.gpt.fetched[0].url.replace("/files/", "/files/A")
    async with aiohttp.ClientSession() as browser, browser.get(forged) as refused:
        assert refused.status == 404
