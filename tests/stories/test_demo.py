"""``fastgpt-bridge demo``: the product on a machine where nothing is set up."""

from __future__ import annotations

import re
import signal
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from tests.product import Product, command
from tests.stories.browser import chromium, needs_chromium, visitor

pytestmark = pytest.mark.asyncio(loop_scope="module")  # one demo and one browser for all


@contextmanager
def listening(port: int = 0) -> Iterator[int]:
    """Somebody else on the port: us, or (for a wanted one) whoever keeps it from us for seconds."""
    deadline = time.monotonic() + 5
    while True:
        with socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)  # another run of this test may hold it too
            try:
                listener.bind(("127.0.0.1", port))
                listener.listen()
            except OSError:
                if time.monotonic() < deadline:
                    time.sleep(0.1)  # it may be free again before the demo looks
                    continue
                yield port
            else:
                yield listener.getsockname()[1]
            return


def page_of(product: Product) -> str:
    """The first address printed."""
    first = re.search(r"http://\S+", "\n".join(product.out))
    assert first
    return first[0]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def demo(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Product]:
    """The demo as it starts where 8080 is taken."""
    product = Product(tmp_path_factory.mktemp("demo"), {})
    try:
        with listening(8080):
            await product.start("demo")
        yield product
        assert await product.stop() == 0
    finally:
        await product.close()
    assert "Traceback" not in "\n".join(product.log)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as browser:
        yield browser


async def test_where_8080_is_taken_it_takes_another(demo: Product) -> None:
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/chat/demo", page_of(demo))
    assert ":8080/" not in page_of(demo)
    assert (await demo.readyz())[0] == 200


async def test_a_port_that_was_asked_for_is_the_port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with listening() as port:
        code, out, err = await command("demo", "--port", str(port))
        assert (code, out, err) == (1, "", f"error: port {port} is taken; choose another with --port\n")
    product = Product(tmp_path, {})
    try:
        await product.start("demo", "--port", str(port))
        assert page_of(product) == f"http://127.0.0.1:{port}/chat/demo"
        assert len(list(tmp_path.iterdir())) == 1
        assert await product.stop(signal.SIGINT) == 0
    finally:
        await product.close()
    assert list(tmp_path.iterdir()) == [], "its folder is gone with it"
    assert "Traceback" not in "\n".join(product.log)


async def test_a_question_over_plain_http(demo: Product) -> None:
    async with visitor(page_of(demo)) as page:
        async with page.get() as response:
            assert (response.status, response.content_type) == (200, "text/html")
        async with page.session.get(demo.address) as response:
            assert str(response.url) == page_of(demo), "the bare address leads there too"
        async with page.events() as events:
            assert await page.say("What {is} <this>?") == 204
            extra: Any = None
            while "built-in demo app" not in "".join((event := await events.next()).get("html", [])):
                extra = event.get("extra", extra)  # sent once: nothing of it changes while the answer grows
            assert event["live"], "it grows"
            stop = event.get("extra", extra)["buttons"][0]
            assert (stop["role"], stop["label"]) == ("stop", "⏹ Stop")
            status, body = await page.post("/presses", {"id": "press-1234", "target": event["id"], "key": stop["key"]})
            assert (status, body["toast"]) == (200, "Stopping…")
            while "Stopped" not in "".join((event := await events.next()).get("html", [])):
                pass
        screen = {entry["id"]: entry for entry in await page.screen()}
        assert screen["question-1"]["text"] == "What {is} <this>?"
        assert "You asked: What {is} &lt;this&gt;?" in "".join(screen[event["id"]]["html"])
        assert "live" not in screen[event["id"]]


async def test_its_app_takes_no_other_key(demo: Product) -> None:
    async with visitor(demo.address) as anyone:
        question = {"chatId": "c", "stream": True, "messages": [{"role": "user", "content": "hi"}]}
        assert (await anyone.post("/demo/api/v1/chat/completions", question))[0] == 401


@needs_chromium
@pytest.mark.slow
async def test_what_its_visitor_does_first(demo: Product, browser: Browser) -> None:
    context = await browser.new_context(locale="en-US")
    context.set_default_timeout(15_000)
    page = await context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.append(message.text))
    await page.goto(page_of(demo))
    box, answers = page.get_by_role("textbox"), page.get_by_role("article", name="Answer")
    await expect(answers).to_have_count(1)  # the greeting

    await box.fill("这是什么？")
    await box.press("Enter")
    told = answers.nth(1)
    await expect(told).to_contain_text("你问的是：这是什么？")
    await expect(told).to_have_attribute("aria-busy", "true")
    await expect(told.get_by_role("button", name="停止")).to_be_visible()
    await expect(told.get_by_role("table").get_by_role("cell", name="Telegram")).to_be_visible()
    await expect(told).to_have_attribute("aria-busy", "false", timeout=20_000)
    await expect(told.get_by_role("row")).to_have_count(3)
    await expect(told.locator("pre code")).to_contain_text('api_key: "${FASTGPT_API_KEY}"')
    await expect(told.get_by_role("listitem")).to_have_count(3)
    await expect(told.get_by_role("link", name="FastGPT")).to_have_attribute("href", "https://fastgpt.io")
    await expect(told.get_by_role("button", name="停止")).to_have_count(0)

    await box.fill("And once more?")
    await box.press("Enter")
    cut = answers.nth(2)
    await expect(cut).to_contain_text("built-in demo app")
    await cut.get_by_role("button", name="Stop").click()
    await expect(cut).to_contain_text("⏹ Stopped")
    await expect(cut).to_have_attribute("aria-busy", "false")

    before = await page.get_by_role("log").inner_text()
    await page.reload()
    await expect(answers).to_have_count(3)
    await expect(cut).to_contain_text("⏹ Stopped")
    assert await page.get_by_role("log").inner_text() == before
    assert complaints == []
    await context.close()
