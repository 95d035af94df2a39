"""The web chat without a browser: what the core is given, what a page is sent."""

from __future__ import annotations

import asyncio
import itertools
import socket
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from adapters.web import Adapter, growing, screen, site, stream
from adapters.web.render import html
from bridge.model import (
    Attachment,
    Button,
    Entered,
    Field,
    Form,
    Message,
    Press,
    Rejected,
    Show,
    Source,
)
from tests.adapters.web_double import NAME, PUBLIC, Bot, Page, message, question

STOP = Button(key="stop", label="Stop", role="stop")


@pytest.fixture
async def bot() -> AsyncIterator[Bot]:
    async with Bot().running() as bot:
        yield bot


@pytest.fixture
async def page(bot: Bot) -> AsyncIterator[Page]:
    async with bot.visitor() as page:
        yield page


async def ask(bot: Bot, page: Page, text: str = "Hello", id: str = "question-1") -> Message:
    """The message as the core got it."""
    assert await page.say(text, id) == 204
    return question(await bot.events.get())


def html_of(entry: dict[str, Any]) -> str:
    return "".join(entry["html"])


# ------------------------------------------------------------------ what the core is given


async def test_a_message(bot: Bot) -> None:
    async with bot.visitor(**{"Accept-Language": "zh-CN,zh;q=0.9,en;q=0.8"}) as page:
        event = await ask(bot, page, "你好", "my-own_id")
    assert (event.id, event.text, event.user.language) == ("my-own_id", "你好", "zh-CN")
    assert event.conversation.kind == "private" and event.conversation.bot == NAME
    assert event.user.id == event.conversation.chat and len(event.user.id) == 22
    assert msgspec.json.decode(msgspec.json.encode(event), type=Message) == event


async def test_a_message_is_accepted_after_its_commit(bot: Bot, page: Page) -> None:
    bot.committed.clear()
    post = asyncio.create_task(page.say("Hello"))
    await bot.events.get()
    assert not post.done()
    bot.committed.set()
    assert await post == 204


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"id": "1234567", "text": "x"}, 400),
        ({"id": "x" * 65, "text": "x"}, 400),
        ({"id": "12345678\n", "text": "x"}, 400),
        ({"id": "../../etc", "text": "x"}, 400),
        ({"id": "12345678"}, 400),
        ({"id": "12345678", "text": "x", "more": 1}, 400),
        ({"id": "12345678", "text": " \n"}, 400),
        (b"\xff", 400),
        (b'{"id": "12345678", "text": "\xff"}', 400),
        (b"[]", 400),
        ({"id": "12345678", "text": "x" * 20_001}, 413),
        (b" " * (site.BODY + 1), 413),
        ({"id": "12345678", "text": "😀" * 20_000}, 204),
        ({"id": "x" * 64, "text": "x"}, 204),
    ],
)
async def test_bodies(bot: Bot, page: Page, body: object, status: int) -> None:
    got, reply = await page.post("/messages", body)
    assert got == status
    assert bool(reply.get("error")) == (status != 204) and bot.events.empty() == (status != 204)


async def test_a_message_sent_again_is_one_entry(bot: Bot, page: Page) -> None:
    first, second = await ask(bot, page), await ask(bot, page)
    assert first.id == second.id  # by which the core knows it
    assert [entry["text"] for entry in await page.screen()] == ["Hello"]


async def test_a_message_that_the_core_does_not_take_leaves_the_screen(bot: Bot, page: Page) -> None:
    async with page.events() as events:
        await events.state()
        bot.fault = OSError("the disk is full")
        assert await page.say("Hello") == 500
        assert await events.next() == {"gone": "question-1"}
        bot.fault = None
        assert await page.say("Hello") == 204
        assert (await events.next())["text"] == "Hello"


async def test_a_new_visitor_is_greeted_once_and_only_while_the_screen_is_empty(bot: Bot, page: Page) -> None:
    await page.screen()  # no cookie was sent: a script, or the very first request
    assert bot.events.empty()
    await page.screen()
    hello = bot.events.get_nowait()
    assert isinstance(hello, Entered) and hello.first
    await page.screen()
    assert bot.events.get_nowait().id == hello.id  # which the core drops
    await ask(bot, page)
    await page.screen()
    assert bot.events.empty()


async def test_a_press(bot: Bot, page: Page) -> None:
    bot.toast = "Stopping…"
    where = (await ask(bot, page)).conversation
    body = {"id": "press-001", "target": "turn.0", "key": "form", "values": {"name": "Ada"}}
    assert await page.post("/presses", body) == (200, {"toast": "Stopping…"})
    press = bot.events.get_nowait()
    assert isinstance(press, Press) and press.conversation == where
    assert (press.id, press.target, press.key, press.values) == ("press-001", "turn.0", "form", {"name": "Ada"})
    assert len(await page.screen()) == 1


async def test_a_pressed_suggestion_is_a_question_on_the_screen(bot: Bot, page: Page) -> None:
    event = await ask(bot, page)
    more = Button(key="s1", label="And then?", role="suggest")
    await bot.adapter.answer(event, "turn").show(Show(text="Hi.", final=True, buttons=(more,)))
    await page.post("/presses", {"id": "press-001", "target": "turn.0", "key": "s1"})
    press = bot.events.get_nowait()
    await bot.adapter.answer(press, "next").show(Show(text="The end.", final=True))
    assert [entry["id"] for entry in await page.screen()] == ["question-1", "turn.0", "press-001", "next.0"]


# ------------------------------------------------------------------ what a page is sent


async def test_an_answer_from_first_words_to_reload(bot: Bot, page: Page) -> None:
    event = await ask(bot, page)
    answer = bot.adapter.answer(event, "turn")
    async with page.events() as events:
        await events.state()
        await answer.show(Show(status="Searching…", buttons=(STOP,)))
        first = await events.next()
        assert (first["id"], first["after"], first["status"], first["live"]) == (
            "turn.0",
            "question-1",
            "Searching…",
            True,
        )
        assert first["extra"]["buttons"] == [{"key": "stop", "label": "Stop", "role": "stop"}]
        await answer.show(Show(text="One.\n\nTwo.\n\nThr", status="Searching…", buttons=(STOP,)))
        second = await events.next()
        assert second["keep"] == 0 and len(second["html"]) == 2
        assert html_of(second) == html("One.\n\nTwo.\n\nThr")
        assert "extra" not in second and "status" not in second  # unchanged buttons; text in place of the status
        await answer.show(Show(text="One.\n\nTwo.\n\nThree.", buttons=(STOP,)))
        third = await events.next()
        assert (third["keep"], third["html"]) == (1, [html("Three.")])  # finished blocks are not sent again
        shown = await answer.show(Show(text="One.\n\nTwo.\n\nThree.", final=True))
        last = await events.next()
        assert "live" not in last and last["extra"] == {}
    assert shown.ids == ("turn.0",)
    (asked, told) = await page.screen()
    assert asked == {"id": "question-1", "after": "", "text": "Hello"}
    assert html_of(told) == html("One.\n\nTwo.\n\nThree.") and "live" not in told


async def test_everything_that_hangs_under_an_answer(bot: Bot, page: Page) -> None:
    form = Form(key="f", title="Who?", fields=(Field(key="name", label="Name", required=True),))
    source = Source(id="1", name="Manual", text="x" * 5000)
    show = Show(text="Hi.", thinking="Hm.", final=True, form=form, sources=(source,))
    await bot.adapter.answer(await ask(bot, page), "turn").show(show)
    told = (await page.screen())[1]
    assert told["thinking"] == "Hm."
    assert told["extra"]["form"]["fields"] == [{"key": "name", "label": "Name", "required": True}]
    assert told["extra"]["sources"][0]["text"] == "x" * screen.PASSAGE + "…"


async def test_a_page_opened_in_the_middle_is_sent_what_is_there(bot: Bot, page: Page) -> None:
    answer = bot.adapter.answer(await ask(bot, page), "turn")
    await answer.show(Show(text="One.\n\nTw"))
    async with page.events() as events:
        told = (await events.state())[1]
        assert told["live"] and html_of(told) == html("One.\n\nTw")
        await answer.show(Show(text="One.\n\nTwo.", final=True))
        assert html_of(await events.next()) in (html("One.\n\nTwo."), html("Two."))


async def test_a_text_that_changes_its_beginning_is_sent_anew(bot: Bot, page: Page) -> None:
    answer = bot.adapter.answer(await ask(bot, page), "turn")
    async with page.events() as events:
        await events.state()
        for text in ("One.\n\nTwo.\n\nThree.", "Uno.\n\nTwo.\n\nThree."):
            await answer.show(Show(text=text))
            told = await events.next()
            assert (told["keep"], html_of(told)) == (0, html(text))


async def test_words_that_may_not_be_formatted(bot: Bot, page: Page) -> None:
    await bot.adapter.answer(await ask(bot, page), "turn").show(Show(text="**a** <b>", final=True, plain=True))
    assert html_of((await page.screen())[1]) == '<p class="plain">**a** &lt;b&gt;</p>'


async def test_a_part_is_taken_off(bot: Bot, page: Page) -> None:
    answer = bot.adapter.answer(await ask(bot, page), "turn")
    await answer.show(Show(text="One.", final=True))
    await answer.show(Show(part=1, text="Two.", final=True))
    async with page.events() as events:
        await events.state()
        shown = await answer.show(Show(part=1, final=True))
        assert await events.next() == {"gone": "turn.1"}
    assert shown.ref == "2"
    async with Bot(PUBLIC, bot.store).running() as again:
        page.address = again.address
        assert [entry["id"] for entry in await page.screen()] == ["question-1", "turn.0"]


async def test_an_answer_goes_on_after_a_crash(bot: Bot, page: Page) -> None:
    event = await ask(bot, page)
    answer = bot.adapter.answer(event, "turn")
    await answer.show(Show(text="One.", final=True))
    ref = (await answer.show(Show(part=1, text="Tw"))).ref
    await ask(bot, page, "Next", "question-2")
    async with Bot(PUBLIC, dict(bot.store)).running() as again:  # nothing more was written: kill -9
        page.address = again.address
        assert [entry["id"] for entry in await page.screen()] == ["question-1", "turn.0", "question-2"]
        resumed = again.adapter.answer(event, "turn", ref)
        shown = await resumed.show(Show(part=1, text="Two.", final=True))
        assert shown.ids == ("turn.0", "turn.1") and shown.ref == ref
        told = await page.screen()
        assert [entry["id"] for entry in told] == ["question-1", "turn.0", "turn.1", "question-2"]


async def test_a_question_lost_between_commit_and_transcript_comes_back_with_its_answer(bot: Bot, page: Page) -> None:
    event = await ask(bot, page)
    store = {key: value for key, value in bot.store.items() if key == "secret"}
    async with Bot(PUBLIC, store).running() as again:
        page.address = again.address
        await again.adapter.answer(event, "turn").show(Show(text="Hi.", final=True))
        assert [entry["id"] for entry in await page.screen()] == ["question-1", "turn.0"]
        assert await page.say("Hello") == 204  # the page's own repetition
        assert len(await page.screen()) == 2


async def test_a_final_is_saved_before_show_returns_and_a_preview_is_not() -> None:
    bot = Bot()
    answer = bot.adapter.answer(message("v"), "turn")
    await answer.show(Show(text="half of it"))
    assert "transcript:v" not in bot.store
    await answer.show(Show(text="all of it", final=True))
    assert b"all of it" in bot.store["transcript:v"]
    await answer.show(Show(text="once more"))  # an edit under way does not take the old words from the store
    await bot.adapter.answer(message("v", "question-2"), "other").show(Show(text="x", final=True))
    assert b"all of it" in bot.store["transcript:v"] and b"once more" not in bot.store["transcript:v"]


async def test_a_transcript_that_cannot_be_read_begins_anew(bot: Bot, page: Page) -> None:
    event = await ask(bot, page)
    bot.store[f"transcript:{event.conversation.chat}"] = b"[1]"
    assert await page.screen() == []


async def test_nothing_is_rendered_for_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = itertools.count()
    monkeypatch.setattr(growing, "html", lambda text: f"<p>{next(calls)}</p>")
    answer = Bot().adapter.answer(message("v"), "turn")
    for text in ("One.", "One.\n\nTwo."):
        await answer.show(Show(text=text))
    await answer.show(Show(text="One.\n\nTwo.", final=True))
    assert next(calls) == 0


async def test_two_pages_share_one_rendering(bot: Bot, page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = bot.adapter.answer(await ask(bot, page), "turn")
    async with page.events() as one, page.events() as two:
        await one.state()
        await two.state()
        calls = itertools.count()
        monkeypatch.setattr(growing, "html", lambda text: f"<p>{next(calls)}</p>")
        await answer.show(Show(text="One."))
        assert await one.next() == await two.next()
        assert next(calls) == 1


async def test_a_slow_reader_gets_the_newest_state_and_costs_no_memory(bot: Bot, page: Page) -> None:
    """300 previews of 100 kB, nobody reads: what waits is the sockets' buffers and one state, not 30 MB."""
    answer = bot.adapter.answer(await ask(bot, page), "turn")
    cookie = "; ".join(f"{cookie.key}={cookie.value}" for cookie in page.session.cookie_jar)
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", bot.server.port))
        reader, writer = await asyncio.open_connection(sock=sock, limit=65536)
        writer.write(f"GET /chat/{NAME}/events HTTP/1.1\r\nHost: x\r\nCookie: {cookie}\r\n\r\n".encode())
        await reader.readuntil(b'"ready"')
        for number in range(300):
            await answer.show(Show(text=f"{number:04d}{'x' * 100_000}", plain=True))
        await answer.show(Show(text="the end", plain=True, final=True))
        taken, tail = 0, b""
        while b"the end" not in tail:
            chunk = await reader.read(65536)
            assert chunk
            taken += len(chunk)
            tail = (tail + chunk)[-70_000:]
        assert taken < 15_000_000
        writer.close()
        await writer.wait_closed()


async def test_a_reader_that_is_stuck_is_hung_up_on(bot: Bot, page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "STUCK", 0.05)
    answer = bot.adapter.answer(await ask(bot, page), "turn")
    async with page.events() as events:
        await events.state()
        number = 0
        while bot.adapter._site._streams:  # until the buffers are full and the time is over
            number += 1
            await answer.show(Show(text=f"{number}{'x' * 100_000}", plain=True))
            await asyncio.sleep(0)


async def test_heartbeats(bot: Bot, page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "BEAT", 0.01)
    async with page.events() as events:
        await events.state()
        assert [await events.line() for _ in range(4)] == [b"\n", b":\n", b"\n", b":\n"]


async def test_there_is_an_end_to_open_pages(bot: Bot, page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    await ask(bot, page)
    monkeypatch.setattr(site, "STREAMS_EACH", 1)
    async with page.events(), page.get("/events") as second:
        assert second.status == 429
        monkeypatch.setattr(site, "STREAMS", 1)
        async with bot.visitor() as other, other.get("/events") as third:
            assert third.status == 503


async def test_the_end_of_the_adapter_ends_the_streams() -> None:
    bot = Bot()
    async with bot.server, bot.visitor() as page:
        async with page.get() as early:
            assert early.status == 503
        task = asyncio.create_task(bot.adapter.run(bot.receive))
        await bot.connected.wait()
        async with page.events() as events:
            await events.state()
            task.cancel()
            assert await events.response.content.read() == b"\n"
        assert await page.say("Hello") == 503


# ------------------------------------------------------------------ memory


async def test_a_transcript_is_in_memory_only_while_it_is_needed(bot: Bot, page: Page) -> None:
    screens = bot.adapter._screens
    event = await ask(bot, page)
    assert len(screens) == 0
    answer = bot.adapter.answer(event, "turn")
    await answer.show(Show(text="H"))
    assert len(screens) == 1  # an answer runs
    await answer.show(Show(text="Hi.", final=True))
    assert len(screens) == 0


async def test_running_answers_that_nobody_watches_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(screen, "CACHED", 3)
    adapter = Bot().adapter
    for number in range(10):
        await adapter.answer(message(f"v{number}"), "turn").show(Show(text="H"))
    assert len(adapter._screens) == 3


async def test_a_transcript_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = screen.Screen("v", Bot())
    for number in range(150):
        kept.ask(f"q{number}", "Hello")
    assert [entry.id for entry in kept.entries] == [f"q{number}" for number in range(50, 150)]
    kept.put("q149", "turn", Show(text="x" * (screen.CHARACTERS + 1), final=True))
    assert [entry.id for entry in kept.entries] == ["turn.0"]


async def test_saves_that_wait_share_a_write() -> None:
    bot = Bot()
    writes = []
    monkey = bot.save

    async def save(key: str, value: bytes) -> None:
        writes.append(value)
        await monkey(key, value)

    bot.save = save  # type: ignore[method-assign]
    kept = screen.Screen("v", bot)

    async def add(number: int) -> None:
        kept.ask(f"q{number}", "Hello")
        await kept.save()
        assert f'"q{number}"'.encode() in bot.store["transcript:v"]

    await asyncio.gather(*(add(number) for number in range(20)))
    assert len(writes) == 2


# ------------------------------------------------------------------ the rest


def test_the_rest_of_the_protocol() -> None:
    adapter = Adapter(NAME, PUBLIC, Bot())
    caps = adapter.caps(message("v"))
    assert caps.live and caps.buttons and not caps.typing and caps.rate is None and caps.inbound == frozenset()
    assert caps.fits("x" * 100_000) and not caps.fits("x" * 100_001)
    with pytest.raises(Rejected):
        adapter.fetch(Attachment("file", "ref"))


async def test_the_greeting_stands_above_a_question_that_overtook_it() -> None:
    bot = Bot()
    async with bot.running(), bot.visitor() as page:
        async with page.get():
            pass
        await page.screen()
        greeting = await bot.events.get()
        await page.say("Hello")
        asked = await bot.events.get()
        await bot.adapter.answer(asked, "turn-2").show(Show(text="An answer", final=True))
        await bot.adapter.answer(greeting, "turn-1").show(Show(text="Welcome", final=True))
        assert [entry.get("text") or "".join(entry["html"]) for entry in await page.screen()] == [
            "<p>Welcome</p>",
            "Hello",
            "<p>An answer</p>",
        ]
