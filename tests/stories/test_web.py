"""The web chat as its visitors meet it: the real command, a FastGPT server, and a browser where only one can tell."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, expect

from tests.adapters.web_double import Events, Page
from tests.fakes.fastgpt import FakeFastGPT, Gate, Script
from tests.product import Product
from tests.stories.browser import chromium, needs_chromium, visitor

KEYS = ["first-key", "second-key"]
EVIL = (
    "Some <script>window.ran = 1</script> and <img src=x onerror='window.ran = 2'> and <b onclick=1>bold</b>.\n\n"
    "<script>\nwindow.ran = 3\n</script>\n\n<svg onload='window.ran = 4'></svg>\n\n"
    "[good](https://example.invalid/good) [link](javascript:window.ran=5) "
    "[data](data:text/html,<script>opener.ran=6</script>) "
    "![picture](https://example.invalid/a.png) <javascript:window.ran=7>\n\n"
    "| <script>window.ran = 8</script> |\n| --- |\n| <iframe srcdoc='<script>parent.ran=9</script>'></iframe> |\n\n"
    '```"><script>window.ran = 10</script>\n</code></pre><script>window.ran = 11</script>\n```\n\nThe end.'
)

pytestmark = pytest.mark.asyncio(loop_scope="module")  # one browser for all


@dataclass
class Stage:
    gpt: FakeFastGPT
    product: Product

    @property
    def site(self) -> dict[str, Any]:
        """The bot's part of the config, to be changed before the start."""
        part: dict[str, Any] = self.product.config["bots"]["site"]
        return part

    @property
    def page(self) -> str:
        return f"{self.product.address}/chat/site"

    async def restart(self) -> None:
        """Start again on the port of before, as a service does: pages that are open find it there."""
        self.product.config["http"] = {"listen": urlsplit(self.product.address).netloc}
        await self.product.start()

    async def status(self, path: str, **headers: str) -> tuple[int, str]:
        """Status and body of a GET."""
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{self.product.address}{path}", headers=headers) as response,
        ):
            return response.status, await response.text()


@pytest_asyncio.fixture(loop_scope="module")
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with FakeFastGPT("e24") as gpt:
        product = Product(
            tmp_path,
            {
                "fastgpt": {"support": {"base_url": gpt.base_url, "api_key": gpt.key}},
                "bots": {"site": {"platform": "web", "app": "support"}},
            },
        )
        try:
            yield Stage(gpt, product)
        finally:
            await product.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as browser:
        yield browser


@pytest_asyncio.fixture(loop_scope="module")
async def context(browser: Browser) -> AsyncIterator[BrowserContext]:
    context = await browser.new_context(locale="en-US")
    context.set_default_timeout(10_000)
    yield context
    await context.close()


async def shown(events: Events, words: str, *, live: bool = False) -> None:
    """Return when the page shows an answer with these words of HTML: a final one, or one that still grows."""
    pieces: dict[str, list[str]] = {}
    async with asyncio.timeout(10):
        while True:
            event = await events.next()
            if "html" in event:
                kept = pieces[event["id"]] = [*pieces.get(event["id"], [])[: event["keep"]], *event["html"]]
                if bool(event.get("live")) == live and words in "".join(kept):
                    return


# ------------------------------------------------------------------ an answer


async def test_what_the_app_receives_and_the_page_shows(stage: Stage) -> None:
    await stage.product.start()
    stage.gpt.next(Script(text="Hello **world**, and more than the first words.", gate=(gate := Gate(8))))
    async with visitor(stage.page, **{"Accept-Language": "de-AT,en;q=0.5"}) as page:
        who = await entered(page)
        async with page.events() as events:
            assert await page.say("hi there", id="question-1") == 204
            await shown(events, "<strong>world</strong>", live=True)
            gate.open()
            await shown(events, "first words.")
            await page.say("again", id="question-2")
            await shown(events, "You asked: again")
            await page.say("/new", id="question-3")
            await shown(events, "a new conversation begins")
            await page.say("and again", id="question-4")
            await shown(events, "You asked: and again")
    first, second, third = stage.gpt.asked
    assert re.fullmatch(rf"site\.{re.escape(who)}\.[0-9a-z]{{6,7}}", first.chat_id)
    assert first.chat_id == second.chat_id != third.chat_id
    assert [asked.item_id for asked in stage.gpt.asked] == ["question-1", "question-2", "question-4"]
    assert first.body["customUid"] == f"site.{who}"
    assert first.body["messages"] == [{"role": "user", "content": "hi there"}]
    sent = first.body["variables"]
    assert (sent["platform"], sent["bot"], sent["chat_type"]) == ("web", "site", "private")
    assert (sent["chat_id"], sent["user_id"], sent["message_id"], sent["language"]) == (who, who, "question-1", "de-AT")


@pytest.mark.slow
async def test_each_visitor_has_a_transcript_that_lasts(stage: Stage) -> None:
    await stage.product.start()
    async with visitor(stage.page) as one, visitor(stage.page) as two:
        for page, words in ((one, "from one"), (two, "from two")):
            await entered(page)
            async with page.events() as events:
                await page.say(words)
                await shown(events, f"You asked: {words}")
        assert len({asked.chat_id for asked in stage.gpt.asked}) == 2, "the same id of a message is no duplicate"
        before = await one.screen()
        greeting, asked, told = before
        assert "/help" in "".join(greeting["html"])
        assert asked["text"] == "from one"
        assert told["html"] == ["<p>You asked: from one</p>"]
        async with one.events():
            assert await stage.product.stop() == 0, "an open page does not hold the end"
        await stage.restart()
        assert await one.screen() == before
        assert "from two" not in str(before)


async def test_kill_9_in_mid_answer_ends_as_one_whole_answer(stage: Stage) -> None:
    await stage.product.start()
    stage.gpt.next(Script(text="The first half, and the second half. The end.", gate=(gate := Gate(6))))
    async with visitor(stage.page) as page:
        await entered(page)
        async with page.events() as events:
            await page.say("hello")
            await gate.reached()
            await shown(events, "The first half", live=True)
            await stage.product.kill()
        stage.gpt.next(Script(text="The first half, and the second half. The end.", gate=(again := Gate(6))))
        await stage.restart()
        await again.reached()
        async with page.events() as events:
            again.open()
            await shown(events, "The end.")
        *_, asked, told = await page.screen()
        assert asked["text"] == "hello"
        assert told["html"] == ["<p>The first half, and the second half. The end.</p>"]
        assert [question.item_id for question in stage.gpt.asked] == ["question-1", "question-1~1"]


# ------------------------------------------------------------------ who may come in


async def test_with_keys_only_who_has_one_comes_in(stage: Stage) -> None:
    stage.site["keys"] = KEYS
    await stage.product.start()
    for path in ("", "/events"):
        assert (await stage.status(f"/chat/site{path}"))[0] == 401
        wrong = await stage.status(f"/chat/site{path}", Authorization="Bearer wrong")
        assert wrong[0] == 401
        assert "first-key" not in wrong[1]
    async with visitor(stage.page) as stranger:
        assert await stranger.say("let me in") == 401
        assert (await stranger.post("/presses", {"id": "pressed-1", "target": "t", "key": "stop"}))[0] == 401
        assert await stranger.login("wrong") == 401
        assert await stranger.say("let me in") == 401
    assert stage.gpt.asked == []
    async with visitor(stage.page) as page:
        assert await page.login("second-key") == 200
        await talk(page, "by login")
    async with visitor(stage.page, Authorization="Bearer first-key") as page:
        assert await opened(page) == 200
        await talk(page, "by bearer")
    assert [asked.question for asked in stage.gpt.asked] == ["by login", "by bearer"]


@pytest.mark.slow
async def test_a_key_that_was_taken_away_ends_its_logins(stage: Stage) -> None:
    stage.site["keys"] = KEYS
    await stage.product.start()
    async with visitor(stage.page) as one, visitor(stage.page) as two:
        assert [await one.login(KEYS[0]), await two.login(KEYS[1])] == [200, 200]
        await stage.product.stop()
        stage.site["keys"] = KEYS[1:]
        await stage.restart()
        assert [await opened(one), await opened(two)] == [401, 200]


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "bridge.example.com"},
        {"Host": "127.0.0.1.example.com"},
        {"X-Forwarded-For": "203.0.113.9"},
        {"Forwarded": "for=203.0.113.9"},
        {"X-Real-IP": "203.0.113.9"},
        {"Origin": "https://example.com"},
        {"Origin": "null"},
    ],
    ids=str,
)
async def test_without_keys_only_this_machine_comes_in(stage: Stage, headers: dict[str, str]) -> None:
    await stage.product.start()
    assert (await stage.status("/chat/site"))[0] == 200
    code, text = await stage.status("/chat/site", **headers)
    assert code == 401
    assert "bots.site" in text, "it says what to set"
    assert (await stage.status("/chat/site/events", **headers))[0] == 401
    async with visitor(stage.page, **headers) as page:
        assert await page.say("let me in") in (401, 403)
    assert stage.gpt.asked == []


async def test_a_public_page_is_open_but_takes_nothing_from_other_sites(stage: Stage) -> None:
    stage.site["public"] = True
    await stage.product.start()
    proxied = {"Host": "chat.example.com", "X-Forwarded-For": "203.0.113.9"}
    async with visitor(stage.page, **proxied) as page:
        assert await opened(page) == 200
        assert await page.say("from elsewhere", Origin="https://evil.example.com") == 403
        await talk(page, "from our page", Origin="https://chat.example.com")
    assert [asked.question for asked in stage.gpt.asked] == ["from our page"]


async def test_health_and_metrics_without_a_token_are_for_this_machine(stage: Stage) -> None:
    await stage.product.start()
    proxied = {"X-Forwarded-For": "203.0.113.9"}
    assert await stage.status("/healthz") == await stage.status("/healthz", **proxied) == (200, "ok\n")
    assert '"site":{"state":"connected"' in (await stage.status("/readyz"))[1]
    assert await stage.status("/readyz", **proxied) == (200, '{"ready":true}')
    assert await stage.status("/readyz", Host="example.com") == (200, '{"ready":true}')
    code, text = await stage.status("/metrics")
    assert (code, "# TYPE " in text) == (200, True)
    assert (await stage.status("/metrics", **proxied))[0] == 401
    assert (await stage.status("/metrics", Host="example.com"))[0] == 401


async def test_health_and_metrics_with_a_token_are_for_who_has_it(stage: Stage) -> None:
    stage.product.config["http"]["admin_token"] = "admin"
    await stage.product.start()
    proxied = {"Host": "example.com", "X-Forwarded-For": "203.0.113.9"}
    right, wrong = {"Authorization": "Bearer admin"}, {"Authorization": "Bearer admin2"}
    assert (await stage.status("/healthz", **proxied))[0] == 200
    for headers in ({}, wrong, proxied):
        assert await stage.status("/readyz", **headers) == (200, '{"ready":true}')
        assert (await stage.status("/metrics", **headers))[0] == 401
    assert '"site":{"state":"connected"' in (await stage.status("/readyz", **right, **proxied))[1]
    assert (await stage.status("/metrics", **right, **proxied))[0] == 200


# ------------------------------------------------------------------ in a browser


@needs_chromium
@pytest.mark.slow
async def test_nothing_in_an_answer_runs(stage: Stage, context: BrowserContext) -> None:
    await stage.product.start()
    page = await context.new_page()
    seen: list[str] = []
    page.on("pageerror", lambda error: seen.append(str(error)))
    page.on("console", lambda message: seen.append(message.text))
    page.on("dialog", lambda dialog: seen.append(dialog.message))
    page.on(
        "request",
        lambda request: (
            seen.append(request.url) if urlsplit(request.url).netloc != urlsplit(stage.page).netloc else None
        ),
    )
    stage.gpt.next(Script(text=EVIL, piece=7))
    await page.goto(stage.page)
    question = "<img src=x onerror='window.ran = 0'>"
    await page.get_by_role("textbox").fill(question)
    await page.get_by_role("textbox").press("Enter")
    told = page.get_by_role("article", name="Answer").last
    await expect(told).to_contain_text("The end.")
    await expect(told).to_have_attribute("aria-busy", "false")
    for _ in range(2):  # as it came, and as it was kept
        assert await told.locator("script, img, svg, iframe, [onclick], [onerror], [onload]").count() == 0
        links = [await link.get_attribute("href") for link in await told.locator("a").all()]
        assert links == ["https://example.invalid/good", "https://example.invalid/a.png"], "and no other"
        assert await page.evaluate("window.ran") is None
        await page.reload()
        await expect(told).to_contain_text("<script>window.ran = 1</script>")
        await expect(page.get_by_role("article", name="You")).to_have_text(question)
    assert seen == []


@needs_chromium
async def test_the_stop_button(stage: Stage, context: BrowserContext) -> None:
    await stage.product.start()
    stage.gpt.next(Script(text="One two three four five six seven eight nine ten eleven.", gate=(gate := Gate(10))))
    page = await context.new_page()
    await page.goto(stage.page)
    await page.get_by_role("textbox").fill("count")
    await page.get_by_role("textbox").press("Enter")
    await gate.reached()
    told = page.get_by_role("article", name="Answer").last
    await expect(told).to_contain_text("One two three")
    await told.get_by_role("button", name="Stop").click()
    await expect(told).to_contain_text("⏹ Stopped")
    await expect(told).to_contain_text("One two three")
    await expect(told.get_by_role("button", name="Stop")).to_have_count(0)
    await stage.gpt.until(lambda: stage.gpt.running == 0)
    await page.get_by_role("textbox").fill("next")
    await page.get_by_role("textbox").press("Enter")
    await expect(page.get_by_role("article", name="Answer").last).to_have_text("You asked: next")


@needs_chromium
@pytest.mark.slow
async def test_an_open_page_lives_through_kill_9(stage: Stage, context: BrowserContext) -> None:
    await stage.product.start()
    text = "The first half of it,\n\nand the second half of it.\n\nThe end."
    stage.gpt.next(Script(text=text, gate=(gate := Gate(8))))
    page = await context.new_page()
    await page.goto(stage.page)
    await page.get_by_role("textbox").fill("hello")
    await page.get_by_role("textbox").press("Enter")
    await gate.reached()
    told = page.get_by_role("article", name="Answer").last
    await expect(told).to_contain_text("The first half of it")
    await told.evaluate("answer => { answer.dataset.bubble = 'the same' }")
    await stage.product.kill()
    await expect(page.get_by_text("Connection lost")).to_be_visible()
    await expect(told).to_contain_text("The first half of it")
    stage.gpt.next(Script(text=text, gate=(again := Gate(8))))
    await stage.restart()
    await again.reached()
    await expect(page.get_by_text("Connection lost")).to_be_hidden()
    await expect(told).to_have_attribute("data-bubble", "the same")
    again.open()
    await expect(told).to_contain_text("The end.")
    await expect(told).to_have_attribute("aria-busy", "false")
    await expect(told).to_have_attribute("data-bubble", "the same")
    assert await told.locator("p:visible").all_inner_texts() == text.split("\n\n")
    assert await page.get_by_role("article", name="You").all_inner_texts() == ["hello"]


# ------------------------------------------------------------------ helpers


async def opened(page: Page) -> int:
    """The status of the page."""
    async with page.get() as response:
        return response.status


async def entered(page: Page) -> str:
    """Open the page for the first time and be greeted; gives the visitor's id."""
    async with page.get() as response:
        visitor_id = response.cookies["bridge_site"].value.partition(".")[0]
    async with page.events() as events:
        await shown(events, "Hello!")
    return visitor_id


async def talk(page: Page, words: str, **headers: str) -> None:
    """Ask something and wait for the answer."""
    assert await page.say(words, **headers) == 204
    async with page.events() as events:
        await shown(events, f"You asked: {words}")
