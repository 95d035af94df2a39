"""Messages by long polling: what comes in, once and in order, over faults, restarts and ended logins."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from adapters.wechat.ilink import account as accounts
from adapters.wechat.ilink import polling
from adapters.wechat.ilink.account import Account
from adapters.wechat.ilink.api import Api, Credentials
from adapters.wechat.ilink.polling import KEY, Place, Polling
from bridge.wire import Wire
from tests.adapters.host import Double
from tests.fakes.wechat.ilink import Ilink

LOGIN = Credentials("tok-1", "abc@im.bot", "u1@im.wechat", "")


@dataclass
class Core:
    """Takes messages in, and notes them."""

    texts: list[str] = field(default_factory=list)
    batches: list[list[str]] = field(default_factory=list)
    """All that was handed in, what was not committed too."""
    faults: list[Exception] = field(default_factory=list)
    """What the next commits raise."""
    commit: asyncio.Event = field(default_factory=asyncio.Event)
    """While it is not set, the commit does not come."""
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    def __post_init__(self) -> None:
        self.commit.set()

    async def take(self, messages: list[dict[str, Any]]) -> None:
        texts = [str(message["item_list"][0]["text_item"]["text"]) for message in messages]
        self.batches.append(texts)
        async with self._changed:
            self._changed.notify_all()
        await self.commit.wait()
        if self.faults:
            raise self.faults.pop(0)
        async with self._changed:
            self.texts += texts
            self._changed.notify_all()

    async def offered(self, batches: int) -> None:
        async with asyncio.timeout(5), self._changed:
            await self._changed.wait_for(lambda: len(self.batches) >= batches)

    async def has(self, *texts: str) -> None:
        """Wait for the last of these, and see that there is nothing else."""
        async with asyncio.timeout(5), self._changed:
            await self._changed.wait_for(lambda: texts[-1] in self.texts)
        assert self.texts == list(texts)


@dataclass
class Bot:
    """A bot that is logged in. Every ``running`` is a start of the service on the same store."""

    url: str
    wire: Wire
    store: dict[str, bytes] = field(default_factory=dict)
    core: Core = field(default_factory=Core)

    def __post_init__(self) -> None:
        self.host = Double(self.store, self.wire)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Double]:
        self.host = Double(self.store, self.wire)
        account = self.account
        if await account.stored() is None:
            await account.keep(LOGIN)
        await account.connect()
        task = asyncio.create_task(Polling(account, self.core.take, self.host).run())
        try:
            yield self.host
            assert not task.done()
        finally:
            task.cancel()
            await asyncio.wait([task])

    @property
    def account(self) -> Account:
        return Account("wx", Api(self.host.connection, self.url), self.host)

    @property
    def place(self) -> Place | None:
        return msgspec.json.decode(row, type=Place) if (row := self.store.get(KEY)) else None

    def told(self) -> list[str]:
        return [state.state for state in self.host.states]


@pytest.fixture
async def ilink() -> AsyncIterator[Ilink]:
    async with Ilink() as made:
        yield made
        assert made.complaints == []


@pytest.fixture
async def wire() -> AsyncIterator[Wire]:
    async with Wire({}) as made:
        yield made


@pytest.fixture
def bot(ilink: Ilink, wire: Wire) -> Bot:
    return Bot(ilink.url, wire)


def polls(ilink: Ilink) -> list[str]:
    """The cursors of the polls so far."""
    return [body["get_updates_buf"] for path, body in ilink.calls if path == "getupdates"]


# ------------------------------------------------------------------ in order, and not lost


async def test_messages_come_in_order_and_are_confirmed(bot: Bot, ilink: Ilink) -> None:
    async with bot.running():
        for text in ("one", "two", "three"):
            ilink.say(text)
        await bot.core.has("one", "two", "three")
        ilink.say("four")
        await bot.core.has("one", "two", "three", "four")
        await ilink.until(lambda: ilink.unconfirmed() == 0)


async def test_the_cursor_waits_for_the_commit(bot: Bot, ilink: Ilink) -> None:
    bot.core.commit.clear()
    ilink.say("one")
    async with bot.running():
        await bot.core.offered(1)
        assert bot.place is None
        assert ilink.unconfirmed() == 1
        bot.core.commit.set()
        await ilink.until(lambda: ilink.unconfirmed() == 0)
    assert bot.place is not None
    assert bot.place.cursor == polls(ilink)[-1]


async def test_what_was_not_committed_comes_again_after_a_restart(bot: Bot, ilink: Ilink) -> None:
    bot.core.commit.clear()
    ilink.say("one")
    async with bot.running():
        await bot.core.offered(1)
    bot.core.commit.set()
    async with bot.running():
        await bot.core.has("one")


async def test_what_was_committed_does_not(bot: Bot, ilink: Ilink) -> None:
    ilink.say("one")
    async with bot.running():
        await ilink.until(lambda: polls(ilink)[1:])
    async with bot.running():
        ilink.say("two")
        await bot.core.has("one", "two")
    assert bot.core.batches == [["one"], ["two"]]


async def test_what_cannot_be_committed_is_handed_in_again(bot: Bot, ilink: Ilink) -> None:
    bot.core.faults = [RuntimeError("about a private question"), RuntimeError("again")]
    ilink.say("a private question")
    async with bot.running() as host:
        await host.until_state("connecting", "RuntimeError")
        await bot.core.has("a private question")
        await ilink.until(lambda: ilink.unconfirmed() == 0)
        assert bot.core.batches == [["a private question"]] * 3
        assert bot.told() == ["connecting", "connected", "connecting", "connecting", "connected"]
        assert "private" not in str(host.states)


async def test_the_cursor_of_another_login_is_not_used(bot: Bot, ilink: Ilink) -> None:
    bot.store[KEY] = msgspec.json.encode(Place("other@im.bot", "bm90IG91cnM="))
    ilink.say("one")
    async with bot.running():
        await bot.core.has("one")
    assert polls(ilink)[0] == ""


# ------------------------------------------------------------------ twice, or too late


async def test_a_message_that_comes_again_is_dropped(bot: Bot, ilink: Ilink, caplog: pytest.LogCaptureFixture) -> None:
    ilink.say("a private question")
    async with bot.running():
        await bot.core.has("a private question")
        again = ilink.again(new_id=True)
        await ilink.until(lambda: ilink.unconfirmed() == 0)
        ilink.say("two")
        await bot.core.has("a private question", "two")
    assert f"message {again} is dropped" in caplog.text
    assert "private" not in caplog.text


async def test_a_message_that_comes_again_after_a_restart_is_dropped(bot: Bot, ilink: Ilink) -> None:
    ilink.say("one")
    async with bot.running():
        await ilink.until(lambda: polls(ilink)[1:])
    ilink.again(new_id=True)
    ilink.say("two")
    async with bot.running():
        await bot.core.has("one", "two")


async def test_a_message_that_comes_twice_at_once_is_taken_once(bot: Bot, ilink: Ilink) -> None:
    ilink.say("one")
    ilink.again(new_id=True)
    ilink.say("two")
    async with bot.running():
        await bot.core.has("one", "two")


async def test_people_may_say_the_same_thing_twice(bot: Bot, ilink: Ilink) -> None:
    now = time.time()
    ilink.say("more", created=now)
    ilink.say("more", created=now + 1)
    ilink.say("end")
    async with bot.running():
        await bot.core.has("more", "more", "end")


async def test_fingerprints_are_forgotten_after_a_minute(bot: Bot, ilink: Ilink) -> None:
    old = {"a": time.time() - 61, "b": time.time() + 3600}
    bot.store[KEY] = msgspec.json.encode(Place(LOGIN.bot_id, "", old))
    ilink.say("one")
    async with bot.running():
        await ilink.until(lambda: polls(ilink)[1:])
    assert bot.place is not None
    assert len(bot.place.recent) == 1
    assert not set(old) & set(bot.place.recent)


async def test_a_message_of_the_day_before_is_dropped(bot: Bot, ilink: Ilink, caplog: pytest.LogCaptureFixture) -> None:
    ilink.say("late", created=time.time() - 86500)
    ilink.say("in time", created=time.time() - 86000)
    async with bot.running():
        await bot.core.has("in time")
        await ilink.until(lambda: ilink.unconfirmed() == 0)
    assert "more than a day old" in caplog.text


# ------------------------------------------------------------------ where the bot stands


async def test_connected_is_told_before_anybody_writes(bot: Bot, ilink: Ilink) -> None:
    async with bot.running() as host:
        await host.until_state("connected", "abc@im.bot")
        await ilink.until(lambda: polls(ilink))
        assert [path for path, _ in ilink.calls] == ["msg/notifystart", "getupdates"]
    assert ilink.calls[-1][0] == "msg/notifystop"


async def test_a_service_that_cannot_say_goodbye_ends_all_the_same(bot: Bot, ilink: Ilink) -> None:
    ilink.fault("msg/notifystop", "hang")
    async with asyncio.timeout(8):
        async with bot.running() as host:
            await host.until_state("connected")


async def test_notifystart_may_be_refused(bot: Bot, ilink: Ilink) -> None:
    ilink.fail("msg/notifystart", ret=-1)
    async with bot.running() as host:
        await host.until_state("connected")


async def test_faults_are_told_and_end_by_themselves(bot: Bot, ilink: Ilink) -> None:
    ilink.fault("getupdates", "502", times=2)
    ilink.fault("getupdates", "drop_before")
    ilink.fault("getupdates", "drop_after")
    async with bot.running() as host:
        await host.until_state("connecting", "502")
        ilink.say("one")
        await bot.core.has("one")
        await ilink.until(lambda: ilink.unconfirmed() == 0)
    # what notifystart says counts for nothing while the polls fail
    assert bot.told() == ["connecting", "connected", *["connecting"] * 4, "connected"]


async def test_after_a_fault_a_poll_that_is_held_is_enough(
    bot: Bot, ilink: Ilink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(polling, "HELD", 0.05)
    ilink.hold = 60
    ilink.fault("getupdates", "502")
    async with bot.running() as host:
        await host.until_state("connecting", "502")
        host.states.clear()
        await host.until_state("connected", "abc@im.bot")


async def test_a_poll_without_an_answer_in_time_is_an_empty_one(
    bot: Bot, ilink: Ilink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(polling, "POLL", 0.1)
    monkeypatch.setattr(polling, "GRACE", 0.0)
    ilink.fault("getupdates", "hang")
    async with bot.running():
        await ilink.until(lambda: [path for path, _ in ilink.calls].count("msg/notifystart") > 1)
        assert bot.told() == ["connecting", "connected"]


async def test_a_server_that_answers_nothing_any_more_is_told(
    bot: Bot, ilink: Ilink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(polling, "POLL", 0.1)
    monkeypatch.setattr(polling, "GRACE", 0.0)
    async with bot.running() as host:
        await host.until_state("connected")
        monkeypatch.setattr(polling, "CALL", 0.1)
        ilink.fault("getupdates", "hang", times=99)
        ilink.fault("msg/notifystart", "hang", times=99)
        await host.until_state("connecting", "in time")


async def test_the_server_says_how_long_a_poll_takes(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(polling, "LEAST", 0.1)
    monkeypatch.setattr(polling, "GRACE", 0.0)
    monkeypatch.setattr(polling, "PAUSE", 0.0)
    asked: list[str] = []
    given_up = asyncio.Event()

    async def answer(request: web.Request) -> web.Response:
        if not request.path.endswith("/getupdates"):
            return web.json_response({})
        asked.append((await request.json())["get_updates_buf"])
        if len(asked) == 1:
            return web.json_response({"longpolling_timeout_ms": 100, "get_updates_buf": "next", "msgs": None})
        if len(asked) == 2:
            return web.json_response({})
        if len(asked) > 3:
            given_up.set()
        await asyncio.sleep(60)
        return web.json_response({})

    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", answer)
    async with TestServer(app) as server, Bot(str(server.make_url("")).rstrip("/"), wire).running():
        await asyncio.wait_for(given_up.wait(), 10)  # the third, long before the usual 35 s
    assert asked[:4] == ["", "next", "next", "next"]  # the cursor is that of the last answer which had one


# ------------------------------------------------------------------ an ended login


async def test_a_login_that_ends_is_told_and_the_next_one_goes_on(
    bot: Bot, ilink: Ilink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accounts, "LOOK", 0.01)
    async with bot.running() as host:
        ilink.say("one")
        await bot.core.has("one")
        await ilink.until(lambda: ilink.unconfirmed() == 0)
        ilink.expire()
        await host.until_state("login_needed", "run: fastgpt-bridge login wx")
        ilink.renew("tok-2")
        ilink.say("two")
        host.states.clear()
        await bot.account.keep(msgspec.structs.replace(LOGIN, token="tok-2"))
        await host.until_state("connected")
        await bot.core.has("one", "two")
        assert "failed" not in bot.told()


async def test_a_start_with_an_ended_login_is_never_called_connected(bot: Bot, ilink: Ilink) -> None:
    ilink.expire()
    async with bot.running() as host:
        await host.until_state("login_needed")
    assert "connected" not in bot.told()


# ------------------------------------------------------------------ a server that does not do as documented


@pytest.mark.parametrize("created", [0, -1, 10**400])
async def test_a_message_whose_time_cannot_be_is_handed_in(bot: Bot, ilink: Ilink, created: int) -> None:
    async with bot.running():
        ilink.say("when?", created=created / 1000 if abs(created) < 10**9 else None)
        if created > 0:
            ilink.incoming[-1]["create_time_ms"] = created
        await bot.core.has("when?")
