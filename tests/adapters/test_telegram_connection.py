"""How a Telegram bot is connected: what it takes in and when, and what it says of its connection."""

from __future__ import annotations

import asyncio
import io
import logging
import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import aiohttp
import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from adapters import telegram
from adapters.telegram import polling, webhook
from bridge.model import (
    AnyEvent,
    Attachment,
    BridgeError,
    Conversation,
    Entered,
    Fatal,
    Finding,
    Message,
    Press,
    RateLimited,
    Show,
    State,
    User,
    Vanished,
)
from bridge.wire import Wire
from tests.adapters.host import Double
from tests.fakes.botapi import BotApi
from tests.fakes.telegram.state import Webhook

GROUP = -7
POISON = {"message": {"message_id": "not a number", "chat": None}}


class Host(Double):
    """A Double whose saving can be held up and whose budget can be full."""

    def __init__(self, store: dict[str, bytes], wire: Wire) -> None:
        super().__init__(store, wire)
        self.waits: list[float] = []
        """What the budget says to the next calls."""
        self.saved = asyncio.Event()
        """While it is not set, nothing gets saved."""
        self.saved.set()
        self.saving = asyncio.Event()

    async def save(self, key: str, value: bytes) -> None:
        self.saving.set()
        await self.saved.wait()
        if self.fault is not None:
            raise self.fault
        await super().save(key, value)

    async def spend(self, chat: str, durable: bool, within: float = math.inf) -> None:
        if self.waits and (wait := self.waits.pop(0)) > within:
            raise RateLimited(wait)


class Stage:
    """A platform, a store, and bots on them one after the other."""

    def __init__(self, api: BotApi, wire: Wire) -> None:
        self.api = api
        self.store: dict[str, bytes] = {}
        self._wire = wire

    def build(self, **options: Any) -> tuple[telegram.Adapter, Host]:
        host = Host(self.store, self._wire)
        options = {"token": self.api.token, "api_base": self.api.url, **options}
        return telegram.Adapter("tg", telegram.Options(**options), host), host

    @asynccontextmanager
    async def bot(self, **options: Any) -> AsyncIterator[tuple[telegram.Adapter, Host]]:
        """The adapter, running; with mode webhook also the port that Telegram posts to."""
        adapter, host = self.build(**options)
        async with TestServer(host.app) as server:
            host.public_url = str(server.make_url("")).rstrip("/")
            async with running(adapter, host):
                await asyncio.wait_for(host.connected.wait(), 5)
                yield adapter, host

    async def probe(self, *, public_url: str = "", **options: Any) -> list[Finding]:
        adapter, host = self.build(**options)
        host.public_url = public_url
        return await adapter.probe()

    async def elsewhere(self, method: str, **body: Any) -> int:
        """Another program makes a call with our token."""
        url = f"{self.api.url}/bot{self.api.token}/{method}"
        async with aiohttp.ClientSession() as session, session.post(url, json=body) as response:
            return response.status

    async def a_while(self) -> None:
        """Time enough for a bot to confirm what it should not: it is as far from the platform as we are."""
        for _ in range(5):
            await self.elsewhere("getMe")

    def hook(self) -> str | None:
        """Where Telegram posts to."""
        found = self.api.bot().webhook
        return found.url if found else None


@asynccontextmanager
async def running(adapter: telegram.Adapter, host: Host) -> AsyncIterator[None]:
    task = asyncio.create_task(adapter.run(host.receive))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@pytest.fixture
async def stage(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    monkeypatch.setattr(webhook, "LOOK", (0.02, 0.02))
    monkeypatch.setattr(polling, "CONFLICT", 0.01)
    wire = Wire({})
    async with BotApi() as api:
        yield Stage(api, wire)
    await wire.close()


both = pytest.mark.parametrize("mode", ["polling", "webhook"])


def update(number: int) -> bytes:
    """What Telegram posts of a message with this number."""
    return msgspec.json.encode(
        {
            "update_id": number,
            "message": {
                "message_id": number,
                "date": 1,
                "chat": {"id": 1, "type": "private"},
                "from": {"id": 1, "is_bot": False, "first_name": "User"},
                "text": "hello",
            },
        }
    )


def event(chat: str, kind: Any = "private", **more: Any) -> Message:
    return Message(id="9", conversation=Conversation("tg", chat, kind), user=User("1"), at=1.0, **more)


async def confirmed(api: BotApi) -> None:
    await api.until(lambda: not api.unconfirmed())


# ------------------------------------------------------------------ taking in, either way


@both
async def test_an_update_is_confirmed_after_the_commit_and_not_before(stage: Stage, mode: str) -> None:
    async with stage.bot(mode=mode) as (_, host):
        host.committed.clear()
        stage.api.say("hello", chat=7)
        assert await host.text() == "hello"
        await stage.a_while()
        assert stage.api.unconfirmed() == 1
        host.committed.set()
        await confirmed(stage.api)


async def refused(stage: Stage, mode: str) -> None:
    """Until the platform knows that an update was not taken in."""
    if mode == "webhook":
        hook = stage.api.bot().webhook
        assert hook is not None
        await stage.api.until(lambda: "503" in hook.failure)
    else:
        polls = stage.api.counts["getUpdates"]
        await stage.api.until(lambda: stage.api.counts["getUpdates"] > polls + 1)


@both
async def test_a_store_that_fails_gets_the_update_again(stage: Stage, mode: str) -> None:
    async with stage.bot(mode=mode) as (_, host):
        host.fault = BridgeError("disk full")
        stage.api.say("hello", chat=7)
        await refused(stage, mode)
        assert stage.api.unconfirmed() == 1
        host.fault = None
        assert await host.text() == "hello"
        await confirmed(stage.api)


@both
async def test_what_cannot_be_read_holds_up_nobody(stage: Stage, mode: str, caplog: pytest.LogCaptureFixture) -> None:
    async with stage.bot(mode=mode) as (_, host):
        stage.api.push(POISON)
        stage.api.push({"message": ["a list"]})
        stage.api.say("hello", chat=7)
        assert await host.text() == "hello"
        await confirmed(stage.api)
        assert "cannot be read and is skipped" in caplog.text


@both
async def test_an_event_that_meets_a_bug_holds_up_nobody(
    stage: Stage, mode: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with stage.bot(mode=mode) as (_, host):
        host.fault = ZeroDivisionError()
        stage.api.say("first", chat=7)
        await confirmed(stage.api)
        host.fault = None
        stage.api.say("second", chat=7)
        assert await host.text() == "second"
        assert "is skipped" in caplog.text


async def pressed(stage: Stage, adapter: telegram.Adapter, host: Host) -> None:
    """A press on a button of the bot's, up to the core."""
    shown = await adapter.answer(event("7"), "turn").show(Show(text="Words"))
    stage.api.open(7)
    stage.api.press(7, int(shown.ids[0]), "key", stale=True)
    assert isinstance(await host.next(), Press)


@both
async def test_a_press_is_answered_with_its_toast(stage: Stage, mode: str) -> None:
    async with stage.bot(mode=mode) as (adapter, host):
        stage.api.say("hello", chat=7)
        await host.text()
        host.toast = "Stopping…"
        host.waits = [0.01]
        await pressed(stage, adapter, host)
        await stage.api.until(stage.api.answers)
        assert stage.api.answers()[0].text == "Stopping…"


async def test_the_answer_to_a_press_is_dropped_when_the_budget_has_no_room_soon(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with stage.bot() as (adapter, host):
        stage.api.say("hello", chat=7)
        await host.text()
        await stage.api.until(lambda: stage.api.counts["setMyCommands"] == 2)
        host.waits = [2.5]
        await pressed(stage, adapter, host)
        await confirmed(stage.api)
        assert "a press was not answered" in caplog.text
        assert not stage.api.answers()


@both
async def test_where_a_group_went_is_saved_before_the_update_is_confirmed(stage: Stage, mode: str) -> None:
    async with stage.bot(mode=mode) as (_, host):
        host.saved.clear()
        stage.api.open(GROUP, type="group")
        stage.api.migrate(GROUP)
        told = stage.api.unconfirmed()
        await asyncio.wait_for(host.saving.wait(), 5)
        await stage.a_while()
        assert stage.api.unconfirmed() == told
        assert "moved" not in stage.store
        host.saved.set()
        await confirmed(stage.api)
        assert "moved" in stage.store


@both
async def test_a_group_that_moved_goes_on(stage: Stage, mode: str) -> None:
    old = event(str(GROUP), "group")
    stage.api.open(GROUP, type="group")
    async with stage.bot(mode=mode) as (adapter, host):
        begun = await adapter.answer(old, "turn").show(Show(text="The ans"))
        host.fault = BridgeError("disk full")
        new = stage.api.migrate(GROUP)
        stage.api.say("@my_bot hello", chat=new)
        await refused(stage, mode)
        host.fault = None
        assert (await host.next()).conversation.was == str(GROUP)
        await confirmed(stage.api)
        await adapter.typing(old)
        assert stage.api.typing(new) == "typing"
    async with stage.bot(mode=mode) as (adapter, host):
        stage.api.say("@my_bot again", chat=new)
        assert (await host.next()).conversation.was == str(GROUP), "a restart knows it"
        with pytest.raises(Vanished):
            await adapter.answer(old, "turn", begun.ref).show(Show(text="The answer", final=True))
        await adapter.answer(old, "turn").show(Show(text="The answer", final=True))
        assert [seen.text for seen in stage.api.screen(new) if seen.from_bot] == ["The answer"]
        sent = stage.api.history[-1].body
        assert sent is not None
        assert "reply_parameters" not in sent, "what it replied to is not there"


async def test_a_bot_that_is_blocked_says_so_in_the_log(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with stage.bot():
        stage.api.say("hello", chat=7)
        stage.api.block(7)
        await confirmed(stage.api)
        assert "blocked by, or removed from, chat 7" in caplog.text


# ------------------------------------------------------------------ polling


async def test_a_second_poller_is_named_and_noted_once_a_minute(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    async with stage.bot() as (_, host):
        for _ in range(2):
            await stage.api.until(stage.api.polling)
            met = len(host.states)
            assert await stage.elsewhere("getUpdates", timeout=0) == 200
            await stage.api.until(stage.api.polling)
            assert "another program polls" in " ".join(state.detail for state in host.states[met:])
            first = stage.store.setdefault("first", stage.store["conflict"])
        assert stage.store["conflict"] == first
        assert caplog.text.count("another program polls") == 1
        stage.api.say("hello", chat=7)
        assert await host.text() == "hello"
    [row] = [row for row in await stage.probe() if not row.ok]
    assert "another program polled with this token at " in row.text
    assert "@BotFather" in row.fix


async def test_a_second_poller_of_yesterday_is_no_news(stage: Stage) -> None:
    stage.store["conflict"] = msgspec.json.encode({"at": time.time() - 4000, "detail": "another program polled"})
    assert all(row.ok for row in await stage.probe())


async def test_polling_removes_a_webhook_and_notes_one_that_came_while_it_polled(stage: Stage) -> None:
    await stage.elsewhere("setWebhook", url="http://127.0.0.1:9/x")
    stage.api.fail("deleteWebhook", 1, "500")
    async with stage.bot() as (_, host):
        assert stage.hook() is None
        assert "conflict" not in stage.store, "it may have been our own"
        await stage.api.until(stage.api.polling)
        await stage.elsewhere("setWebhook", url="http://127.0.0.1:9/x")
        await stage.api.until(lambda: stage.hook() is None)
        stage.api.say("hello", chat=7)
        assert await host.text() == "hello"
        assert b"another program set a webhook" in stage.store["conflict"]


async def test_an_outage_is_shown_and_ends(stage: Stage) -> None:
    stage.api.fail("getMe", 2, "502")
    async with stage.bot() as (_, host):
        assert "did not answer as expected" in host.states[1].detail
        await stage.api.until(stage.api.polling)
        await stage.api.stop()
        await host.until_state("connecting", "cannot be reached")
        await stage.api.start()
        stage.api.say("hello", chat=7)
        assert await host.text() == "hello"
        assert host.states[-1] == State("connected", "@my_bot")


@both
async def test_a_token_that_is_not_known_is_fatal(stage: Stage, mode: str) -> None:
    adapter, host = stage.build(mode=mode, token="42:other")
    with pytest.raises(Fatal, match="does not know this token"):
        await adapter.run(host.receive)


async def test_the_command_menu_is_set_in_both_languages(stage: Stage) -> None:
    async with stage.bot():
        await stage.api.until(lambda: stage.api.commands("zh"))
        assert [entry["command"] for entry in stage.api.commands()] == ["new", "stop", "retry", "help"]


# ------------------------------------------------------------------ webhook


async def test_the_webhook_is_set_whatever_it_takes_and_stays_at_the_end(stage: Stage) -> None:
    stage.api.fail("setWebhook", 2, "500")
    stage.api.fail("setWebhook", 1, "429", seconds=1)
    async with stage.bot(mode="webhook") as (_, host):
        hook = stage.api.bot().webhook
        assert hook is not None
        assert hook.url == f"{host.public_url}/hooks/tg"
        assert len(hook.secret) == 64
        assert stage.api.token not in hook.secret
        body = next(call.body for call in reversed(stage.api.history) if call.method == "setWebhook")
        assert body is not None
        assert body["drop_pending_updates"] is False
        assert "callback_query" in body["allowed_updates"]
    stage.api.say("said in the meantime", chat=7)
    assert stage.hook() is not None
    assert stage.api.unconfirmed() == 1
    async with stage.bot(mode="webhook") as (_, host):
        assert await host.text() == "said in the meantime"
        assert stage.api.bot().webhook.secret == hook.secret  # type: ignore[union-attr]


async def test_polling_takes_over_from_our_webhook(stage: Stage) -> None:
    async with stage.bot(mode="webhook"):
        pass
    stage.api.say("hello", chat=7)
    async with stage.bot() as (_, host):
        assert await host.text() == "hello"
        assert stage.hook() is None
        assert "conflict" not in stage.store


async def post(host: Host, data: Any, secret: str | None) -> int:
    headers = {} if secret is None else {webhook.HEADER: secret}
    url = f"{host.public_url}/hooks/tg"
    async with aiohttp.ClientSession(headers=headers) as session, session.post(url, data=data) as response:
        return response.status


@pytest.mark.parametrize("wrong", [None, "", "wrong", "wröng", "0" * 64, "right of another bot"])
async def test_without_the_secret_no_body_is_read(stage: Stage, wrong: str | None) -> None:
    if wrong == "right of another bot":
        wrong = webhook.secret(stage.api.token, "other")
    ended = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        yield update(1)
        await ended.wait()

    async with stage.bot(mode="webhook") as (_, host):
        assert await asyncio.wait_for(post(host, endless(), wrong), 5) == 401
        ended.set()
        assert host.events.empty()


LONG = update(1) + b" " * webhook.BODY


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"a": "\xff"}', LONG, b"{}"])
async def test_a_body_that_is_no_update_is_not_asked_for_again(
    stage: Stage, body: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with stage.bot(mode="webhook") as (_, host):
        assert await post(host, io.BytesIO(body), webhook.secret(stage.api.token, "tg")) == 200
        assert host.events.empty()
        assert "cannot be read and is skipped" in caplog.text


async def test_a_bot_that_does_not_run_asks_for_the_update_again(stage: Stage) -> None:
    adapter, host = stage.build(mode="webhook")
    secret = webhook.secret(stage.api.token, "tg")
    async with TestServer(host.app) as server:
        host.public_url = str(server.make_url("")).rstrip("/")
        assert await post(host, update(1), secret) == 503
        async with running(adapter, host):
            await asyncio.wait_for(host.connected.wait(), 5)
            assert await post(host, update(1), secret) == 200
        assert await post(host, update(1), secret) == 503
        assert host.events.qsize() == 1


async def test_slow_commits_do_not_hold_up_each_other(stage: Stage) -> None:
    async with stage.bot(mode="webhook") as (_, host):
        host.committed.clear()
        secret = webhook.secret(stage.api.token, "tg")
        posts = [asyncio.create_task(post(host, update(number), secret)) for number in (1, 2)]
        assert {(await host.next()).id, (await host.next()).id} == {"1", "2"}
        await stage.a_while()
        assert not any(task.done() for task in posts)
        host.committed.set()
        assert await asyncio.gather(*posts) == [200, 200]


@pytest.mark.parametrize(
    ("call", "note"),
    [
        ({"method": "deleteWebhook"}, b"another program removed the webhook of this token"),
        ({"method": "setWebhook", "url": "http://127.0.0.1:9/secret"}, b"another program set another webhook"),
    ],
)
async def test_a_webhook_that_somebody_takes_away_is_set_again(
    stage: Stage, call: dict[str, str], note: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with stage.bot(mode="webhook") as (_, host):
        ours = stage.hook()
        await stage.elsewhere(**call)
        stage.api.say("hello", chat=7)
        assert await host.text() == "hello"
        assert stage.hook() == ours
        assert note in stage.store["conflict"]
        assert note.decode() in caplog.text
        assert "/secret" not in caplog.text


async def test_a_telegram_that_cannot_reach_us_is_shown_until_it_can(stage: Stage) -> None:
    async with stage.bot(mode="webhook") as (_, host):
        host.fault = BridgeError("disk full")
        stage.api.say("hello", chat=7)
        await host.until_state("connected", "Telegram cannot reach us: Wrong response from the webhook: 503")
        host.fault = None
        assert await host.text() == "hello"
        host.states.clear()
        await host.until_state("connected", "@my_bot")


@pytest.mark.parametrize("public_url", ["", "ftp://example.com"])
async def test_without_an_address_that_telegram_takes_the_operator_is_told_what_to_do(
    stage: Stage, public_url: str
) -> None:
    adapter, host = stage.build(mode="webhook")
    host.public_url = public_url
    with pytest.raises(Fatal, match=r"https .*443, 80, 88 or 8443"):
        await adapter.run(host.receive)


async def test_a_token_that_is_revoked_is_fatal_in_the_end(stage: Stage) -> None:
    adapter, host = stage.build(mode="webhook")
    host.public_url = "http://127.0.0.1:9"
    run = asyncio.create_task(adapter.run(host.receive))
    await asyncio.wait_for(host.connected.wait(), 5)
    stage.api.revoke()
    with pytest.raises(Fatal, match="does not know this token"):
        await asyncio.wait_for(run, 5)


# ------------------------------------------------------------------ values and small calls


def test_options() -> None:
    assert telegram.Options(token="1:abc", mode="webhook").needs_public_url
    assert not telegram.Options(token="1:abc").needs_public_url
    with pytest.raises(ValueError, match="api_base"):
        telegram.Options(token="1:abc", api_base="api.telegram.org")


async def test_what_the_platform_can_do(stage: Stage) -> None:
    private, crowd = event("7"), event(str(GROUP), "group")

    def values(stream: str, to: AnyEvent) -> tuple[bool, float, float]:
        adapter, _ = stage.build(stream=stream)
        caps = adapter.caps(to)
        assert caps.typing
        assert caps.files
        assert caps.inbound == {"image", "file", "audio", "video"}
        return caps.places, caps.interval, caps.lasts

    edits = (True, 1.0, math.inf)
    assert values("auto", private) == values("edit", private) == edits
    assert values("auto", crowd) == values("draft", crowd) == edits
    assert values("draft", private) == (False, 1.0, 10.0)
    assert values("off", private) == values("off", crowd) == (False, math.inf, math.inf)


async def test_a_draft_grows_in_private_chats_alone(stage: Stage) -> None:
    adapter, _ = stage.build(stream="draft")
    for chat in (7, GROUP):
        stage.api.open(chat)
        surface = adapter.answer(event(str(chat), "private" if chat > 0 else "group"), "turn")
        await surface.show(Show(text="Words"))
    assert [draft.text for draft in stage.api.drafts(7)] == ["Words"]
    assert not stage.api.screen(7)
    assert [seen.text for seen in stage.api.screen(GROUP)] == ["Words"]


async def test_a_server_without_drafts_gets_edits(stage: Stage) -> None:
    adapter, _ = stage.build(stream="draft")
    stage.api.open(7)
    stage.api.unknown("sendMessageDraft")
    await adapter.answer(event("7"), "turn").show(Show(text="Words"))
    assert adapter.caps(event("7")).places
    surface = adapter.answer(event("7"), "turn-2")
    await surface.show(Show(text="Other"))
    await surface.show(Show(text="Other words", final=True))
    assert [seen.text for seen in stage.api.screen(7)] == ["Words", "Other words"]


async def test_typing_shows_in_the_topic(stage: Stage) -> None:
    adapter, _ = stage.build()
    stage.api.topic(GROUP, 30)
    await adapter.typing(event(str(GROUP), "group", handle="general"))
    assert stage.api.history[-1].body == {"chat_id": GROUP, "action": "typing", "message_thread_id": 1}
    assert not stage.api.typing(GROUP, 30)
    topic = Conversation("tg", str(GROUP), "group", thread="30")
    await adapter.typing(Entered(id="1", conversation=topic, user=User("1"), at=1.0))
    assert stage.api.typing(GROUP, 30) == "typing"


async def test_typing_fails_in_silence_but_for_a_limit(stage: Stage) -> None:
    adapter, _ = stage.build()
    stage.api.open(7)
    stage.api.fail("sendChatAction", 1, "500")
    await adapter.typing(event("7"))
    stage.api.fail("sendChatAction", 1, "429", seconds=3)
    with pytest.raises(RateLimited):
        await adapter.typing(event("7"))


async def test_a_greeting_in_a_group_replies_to_nothing(stage: Stage) -> None:
    adapter, _ = stage.build()
    stage.api.open(GROUP)
    entered = Entered(id="1:1", conversation=Conversation("tg", str(GROUP), "group"), user=User("1"), at=1.0)
    await adapter.answer(entered, "turn").show(Show(text="Welcome", final=True))
    assert [seen.text for seen in stage.api.screen(GROUP)] == ["Welcome"]


async def test_an_attachment_is_brought(stage: Stage) -> None:
    adapter, _ = stage.build()
    file = Attachment("file", stage.api.file(b"bytes"))
    assert b"".join([piece async for piece in adapter.fetch(file)]) == b"bytes"


# ------------------------------------------------------------------ check --online


async def test_a_bot_in_order(stage: Stage) -> None:
    assert await stage.probe() == [Finding(True, "the token is that of @my_bot (id 42)")]


@both
async def test_nothing_is_taken_in_or_changed(stage: Stage, mode: str) -> None:
    await stage.probe(mode=mode, public_url="https://bot.example.com")
    assert set(stage.api.counts) == {"getMe", "getWebhookInfo"}


async def test_a_token_that_is_not_known(stage: Stage) -> None:
    stage.api.revoke()
    [row] = await stage.probe()
    assert (row.ok, row.text) == (False, "Telegram does not know this token")
    assert "@BotFather" in row.fix


async def test_a_limit_is_told_as_one(stage: Stage) -> None:
    stage.api.fail("getMe", 1, "429", seconds=30)
    [row] = await stage.probe()
    assert (row.ok, row.fix) == (False, "try again then")


async def test_a_server_that_is_not_there_or_is_another(stage: Stage) -> None:
    [row] = await stage.probe(api_base="http://127.0.0.1:9")
    assert not row.ok
    assert "cannot be reached" in row.text
    assert "proxy" in row.fix
    [row] = await stage.probe(api_base=f"{stage.api.url}/nowhere")
    assert not row.ok
    assert "api_base" in row.text


async def test_any_bot_api_server(stage: Stage) -> None:
    """Behind a path of its own, with a slash at the end or without."""

    async def forward(request: web.Request) -> web.Response:
        url = stage.api.url + request.path.removeprefix("/some/path")
        async with aiohttp.ClientSession() as session, session.post(url, data=await request.read()) as response:
            return web.Response(body=await response.read(), status=response.status, content_type="application/json")

    app = web.Application()
    app.router.add_post("/some/path/{rest:.*}", forward)
    async with TestServer(app) as server:
        for base in ("/some/path", "/some/path/"):
            assert all(row.ok for row in await stage.probe(api_base=str(server.make_url(base))))


async def test_privacy_mode_is_told_and_no_fault(stage: Stage) -> None:
    stage.api.bot().privacy = True
    row = (await stage.probe())[1]
    assert row.ok
    assert "privacy mode is on" in row.text
    assert "/setprivacy" in row.fix


async def test_a_webhook_in_the_way_of_polling(stage: Stage) -> None:
    await stage.elsewhere("setWebhook", url="http://127.0.0.1:9/my-secret")
    row = (await stage.probe())[1]
    assert not row.ok
    assert "127.0.0.1" in row.text
    assert "my-secret" not in row.text + row.fix


@pytest.mark.parametrize(
    ("public_url", "said"),
    [
        ("", "no http.public_url"),
        ("http://bot.example.com", "not https"),
        ("https://bot.example.com:8080", "port 8080"),
        ("https://bot.example.com:port", "no address"),
    ],
)
async def test_an_address_that_telegram_does_not_take(stage: Stage, public_url: str, said: str) -> None:
    rows = await stage.probe(mode="webhook", public_url=public_url)
    [row] = [row for row in rows if not row.ok]
    assert said in row.text
    assert row.fix


async def test_the_webhook_before_the_first_run_and_after_it(stage: Stage) -> None:
    url = "https://bot.example.com:8443"
    assert [row.text for row in await stage.probe(mode="webhook", public_url=url)][1:] == [
        "no webhook is set yet: `run` does it"
    ]
    await stage.elsewhere("setWebhook", url="https://other.example.com/my-secret")
    [row] = [row for row in await stage.probe(mode="webhook", public_url=url) if not row.ok]
    assert "set to other.example.com, not to us" in row.text
    await stage.elsewhere("setWebhook", url=f"{url}/hooks/tg")
    assert [row.text for row in await stage.probe(mode="webhook", public_url=url)][1:] == ["the webhook is set"]


async def test_an_address_that_the_server_has_taken_is_right(stage: Stage) -> None:
    await stage.elsewhere("setWebhook", url="http://127.0.0.1:9/hooks/tg")
    assert all(row.ok for row in await stage.probe(mode="webhook", public_url="http://127.0.0.1:9"))


@pytest.mark.parametrize(("age", "fine"), [(60, False), (4000, True)])
async def test_a_webhook_that_telegram_could_not_reach(stage: Stage, age: int, fine: bool) -> None:
    url = "https://bot.example.com"
    stage.api.bot().webhook = Webhook(
        f"{url}/hooks/tg", "", failed_at=int(time.time()) - age, failure="Connection timed out"
    )
    stage.api.say("hello", chat=7)
    rows = await stage.probe(mode="webhook", public_url=url)
    assert all(row.ok for row in rows) is fine
    assert any("Telegram could not reach us at" in row.text for row in rows) is not fine
    assert rows[-1].text == "1 updates wait at Telegram"


def test_the_secret_depends_on_token_and_bot() -> None:
    secrets = {webhook.secret(token, bot) for token in ("1:abc", "1:abd") for bot in ("tg", "tg2")}
    assert len(secrets) == 4
    assert all(len(secret) == 64 and set(secret) <= set("0123456789abcdef") for secret in secrets)
