"""The web chat in a browser: what the screen shows, and that nothing in an answer runs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TypeVar

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Request, expect

from adapters.web import Options
from bridge.model import Button, Entered, Field, Form, Message, Press, Show, Source
from tests.adapters.web_double import PUBLIC, Bot
from tests.stories.browser import chromium, needs_chromium

STOP = Button(key="stop", label="Stop", role="stop")
EVIL = (
    "Some <script>window.ran = 1</script> and <img src=x onerror='window.ran = 2'>.\n\n"
    "[link](javascript:window.ran=3) ![picture](https://example.invalid/a.png)\n\n"
)

pytestmark = [needs_chromium, pytest.mark.asyncio(loop_scope="module")]  # one browser for all


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


_Kind = TypeVar("_Kind", Message, Press)


async def event_of(bot: Bot, kind: type[_Kind]) -> _Kind:
    """The next event that is no greeting."""
    while isinstance(event := await bot.events.get(), Entered):
        pass
    assert isinstance(event, kind), event
    return event


async def test_a_question_and_its_answer(context: BrowserContext) -> None:
    async with Bot().running() as bot:
        page = await context.new_page()
        complaints: list[str] = []
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda message: complaints.append(message.text))
        elsewhere: list[str] = []

        def note(request: Request) -> None:
            if not request.url.startswith((bot.address, "data:")):
                elsewhere.append(request.url)

        page.on("request", note)
        await page.goto(bot.address)
        await expect(page.get_by_text("What can I help you with?")).to_be_visible()

        box = page.get_by_role("textbox")
        await box.fill("What <b>is</b> this?")
        await box.press("Shift+Enter")
        await box.type("Second line")
        await box.press("Enter")
        event = await event_of(bot, Message)
        assert event.text == "What <b>is</b> this?\nSecond line" and event.user.language == "en-US"
        asked = page.get_by_role("article", name="You")
        await expect(asked).to_have_text(event.text)
        await expect(box).to_have_value("")

        surface = bot.adapter.answer(event, "turn")
        told = page.get_by_role("article", name="Answer")
        await surface.show(Show(status="Searching…", buttons=(STOP,)))
        await expect(told.get_by_text("Searching…")).to_be_visible()
        await surface.show(Show(text=EVIL + "More", buttons=(STOP,)))
        await expect(told).to_contain_text(
            "Some <script>window.ran = 1</script> and <img src=x onerror='window.ran = 2'>."
        )
        await expect(told.get_by_text("Searching…")).to_be_hidden()
        assert await told.get_attribute("aria-busy") == "true"

        bot.toast = "Stopping…"
        await told.get_by_role("button", name="Stop").click()
        press = await event_of(bot, Press)
        assert (press.target, press.key, press.conversation) == ("turn.0", "stop", event.conversation)
        await expect(page.get_by_text("Stopping…")).to_be_visible()
        await surface.show(Show(text=EVIL + "More.\n\n```python\nprint(1)\n```", final=True))
        await expect(told.get_by_role("button", name="Stop")).to_have_count(0)
        await expect(told.get_by_role("button", name="Copy")).to_have_count(1)
        await expect(told).to_have_attribute("aria-busy", "false")

        before = await told.locator(".text").inner_text()
        await page.reload()
        await expect(page.get_by_role("article")).to_have_count(2)
        await expect(asked).to_have_text(event.text)
        assert await told.locator(".text").inner_text() == before
        assert await page.evaluate("window.ran") is None
        assert await told.locator("script, img, a[href^=javascript]").count() == 0
        assert complaints == [] and elsewhere == []


async def test_what_hangs_under_an_answer(context: BrowserContext) -> None:
    form = Form(
        key="f1",
        title="Who are you?",
        fields=(
            Field(key="name", label="Name", required=True),
            Field(key="kind", label="Kind", kind="select", options=(("Old", "o"), ("New", "n"))),
        ),
    )
    buttons = (
        Button(key="https://example.com/doc", label="Manual", role="link"),
        Button(key="javascript:alert(1)", label="Trap", role="link"),
        Button(key="c1", label="Yes", role="choice"),
    )
    async with Bot().running() as bot:
        page = await context.new_page()
        await page.goto(bot.address)
        await page.get_by_role("textbox").fill("Hello")
        await page.get_by_role("textbox").press("Enter")
        event = await event_of(bot, Message)
        source = Source(id="1", name="Handbook", text="Chapter <1>")
        show = Show(text="Hi.", final=True, form=form, sources=(source,), buttons=buttons, thinking="Hm.")
        await bot.adapter.answer(event, "turn").show(show)
        await page.get_by_text("Sources (1)").click()
        await expect(page.get_by_text("Chapter <1>")).to_be_visible()
        assert await page.get_by_role("link", name="Manual").get_attribute("href") == "https://example.com/doc"
        assert await page.get_by_text("Trap").get_attribute("href") is None
        await page.get_by_role("button", name="Yes").click()
        assert (await event_of(bot, Press)).key == "c1"
        await page.get_by_label("Name").fill("Ada")
        await page.get_by_label("Kind").select_option("New")
        await page.get_by_role("button", name="Submit").click()
        sent = await event_of(bot, Press)
        assert (sent.target, sent.key, sent.values) == ("turn.0", "f1", {"name": "Ada", "kind": "n"})


async def test_a_new_conversation_leaves_a_line(context: BrowserContext) -> None:
    async with Bot().running() as bot:
        page = await context.new_page()
        await page.goto(bot.address)
        await page.get_by_role("button", name="New chat").click()
        assert (await event_of(bot, Message)).text == "/new"
        await expect(page.get_by_role("article")).to_have_text("New conversation")
        await page.reload()
        await expect(page.get_by_role("article")).to_have_text("New conversation")


async def test_over_a_restart_the_page_keeps_what_is_unsent_and_unfinished(context: BrowserContext) -> None:
    store: dict[str, bytes] = {}
    async with Bot(PUBLIC, store).running() as bot:
        port = bot.server.port or 0
        page = await context.new_page()
        await page.goto(bot.address)
        box = page.get_by_role("textbox")
        await box.fill("First")
        await box.press("Enter")
        event = await event_of(bot, Message)
        ref = (await bot.adapter.answer(event, "turn").show(Show(text="Half of"))).ref
        await expect(page.get_by_role("article")).to_have_count(2)
    await expect(page.get_by_text("Connection lost")).to_be_visible()
    await box.fill("Second")
    await box.press("Enter")
    await expect(page.get_by_text("Not sent")).to_be_visible()
    async with Bot(PUBLIC, store, port).running() as bot:
        second = await event_of(bot, Message)
        assert second.text == "Second" and second.conversation == event.conversation
        await expect(page.get_by_text("Connection lost")).to_be_hidden()
        await expect(page.get_by_text("Not sent")).to_have_count(0)
        await expect(page.get_by_role("article", name="Answer")).to_have_text("Half of")
        await bot.adapter.answer(event, "turn", ref).show(Show(text="Half of it is whole.", final=True))
        await expect(page.get_by_role("article")).to_have_text(["First", "Half of it is whole.", "Second"])


async def test_the_newest_line_stays_in_sight_unless_the_reader_went_up(context: BrowserContext) -> None:
    async with Bot().running() as bot:
        page = await context.new_page()
        await page.goto(bot.address)
        await page.get_by_role("textbox").fill("Hello")
        await page.get_by_role("textbox").press("Enter")
        surface = bot.adapter.answer(await event_of(bot, Message), "turn")
        text = "Line.\n\n" * 100
        await surface.show(Show(text=f"{text}Newest."))
        await expect(page.get_by_text("Newest.")).to_be_in_viewport()
        await page.get_by_role("main").evaluate(
            "main => new Promise((done) => {"
            " main.addEventListener('scroll', () => done(), {once: true}); main.scrollTo(0, 100); })"
        )
        await surface.show(Show(text=f"{text}Newest.\n\nEnd.", final=True))
        await expect(page.get_by_text("End.")).to_be_attached()
        assert await page.get_by_role("main").evaluate("main => main.scrollTop") == 100


async def test_enter_that_ends_a_composition_sends_nothing(context: BrowserContext) -> None:
    async with Bot().running() as bot:
        page = await context.new_page()
        await page.goto(bot.address)
        box = page.get_by_role("textbox")
        await box.fill("ni hao")
        await box.dispatch_event("keydown", {"key": "Enter", "isComposing": True})
        await box.dispatch_event("keydown", {"key": "Enter", "keyCode": 229})
        await expect(page.get_by_role("article")).to_have_count(0)
        await expect(box).to_have_value("ni hao")
        await box.press("Enter")
        assert (await event_of(bot, Message)).text == "ni hao"


async def test_login_in_chinese(browser: Browser) -> None:
    context = await browser.new_context(locale="zh-CN")
    async with Bot(Options(keys=["k"])).running() as bot:
        page = await context.new_page()
        await page.goto(bot.address)
        await page.get_by_label("访问密钥").fill("wrong")
        await page.get_by_role("button", name="进入").click()
        await expect(page.get_by_role("alert")).to_have_text("密钥不正确。")
        await page.get_by_label("访问密钥").fill("k")
        await page.get_by_role("button", name="进入").click()
        await expect(page.get_by_placeholder("输入消息…")).to_be_focused()
    await context.close()
