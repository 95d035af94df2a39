"""What comes in from a wechaty gateway: each message once, in order, and what becomes of those that trouble it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from adapters.wechat.wechaty import intake
from adapters.wechat.wechaty.intake import PAUSES, STALE, Intake
from adapters.wechat.wechaty.lookup import Lookup
from adapters.wechat.wechaty.schema import Type, WxLink, WxMember
from bridge.model import AnyEvent, BridgeError, Message
from tests.adapters.host import Double
from tests.adapters.wechaty_shelf import BOT, ROOM, Shelf


class Core(Double):
    """It may refuse a message, by its id."""

    def __init__(self) -> None:
        super().__init__({})
        self.faults: dict[str, Exception] = {}

    async def receive(self, event: AnyEvent) -> str | None:
        self.fault = self.faults.get(event.id)
        return await super().receive(event)


class Counter:
    """Where messages are handed in, by their ids."""

    def __init__(self, shelf: Shelf, host: Core, taker: Intake) -> None:
        self.shelf = shelf
        self.host = host
        self._taker = taker

    def take(self, *ids: str) -> None:
        for message_id in ids:
            self._taker.take("bot", "FastBot", message_id)

    async def say(self, text: str, **fields: object) -> Message:
        """The event of a message, the only one on its way."""
        self.take(self.shelf.put(text, f"said {len(self.shelf.messages)}", **fields))
        event = await self.host.next()
        assert isinstance(event, Message)
        return event


@pytest.fixture
async def counter() -> AsyncIterator[Counter]:
    shelf, host = Shelf(), Core()
    taker = Intake(BOT, shelf, Lookup(shelf))
    async with taker.open(host.receive):
        yield Counter(shelf, host, taker)


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pause between the tries."""
    monkeypatch.setattr(intake, "PAUSES", (0.0,) * len(PAUSES))


# ------------------------------------------------------------------ in order


async def test_events_are_handed_in_in_the_order_of_the_stream(counter: Counter) -> None:
    ids = [counter.shelf.put(f"{number}.", f"m{number}") for number in range(20)]
    slow = counter.shelf.gates["m0"] = asyncio.Event()
    counter.take(*ids)
    await counter.shelf.until_asked(ids[-1])  # side by side
    assert counter.host.events.empty()
    slow.set()
    assert [await counter.host.text() for _ in ids] == [f"{number}." for number in range(20)]


async def test_who_takes_too_long_is_overtaken_and_comes_later(
    counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "PLACE", 0.05)
    hung = counter.shelf.gates["hung"] = asyncio.Event()
    counter.take(counter.shelf.put("slow", "hung"), counter.shelf.put("quick", "m1"), counter.shelf.put("last", "m2"))
    assert [await counter.host.text(), await counter.host.text()] == ["quick", "last"]
    hung.set()
    assert await counter.host.text() == "slow"


# ------------------------------------------------------------------ trouble


async def test_what_the_puppet_cannot_tell_yet_is_asked_for_again(counter: Counter, at_once: None) -> None:
    counter.shelf.refusals["m1"] = len(PAUSES)
    counter.take(counter.shelf.put("hello", "m1"))
    assert await counter.host.text() == "hello"


async def test_a_gateway_that_hangs_is_asked_again(
    counter: Counter, at_once: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "TRY", 0.05)
    counter.shelf.gates["never"] = asyncio.Event()
    counter.take(counter.shelf.put("lost", "never"))
    await counter.shelf.until_asked("never", 1 + len(PAUSES))


async def test_what_cannot_be_had_is_skipped_with_a_line_in_the_log(
    counter: Counter, at_once: None, caplog: pytest.LogCaptureFixture
) -> None:
    counter.take("nowhere", counter.shelf.put("next", "m2"))
    assert await counter.host.text() == "next"
    assert counter.shelf.asked.count("nowhere") == len(PAUSES) + 1
    assert "message nowhere cannot be had and is skipped" in caplog.text


@pytest.mark.parametrize("fault", [BridgeError("the store does not write"), ValueError("a bug")])
async def test_what_is_not_taken_in_is_logged_and_the_next_one_comes(
    counter: Counter, at_once: None, fault: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    """A store that does not write is tried again; here it never does."""
    counter.host.faults["m1"] = fault
    counter.take(counter.shelf.put("a secret", "m1"), counter.shelf.put("next", "m2"))
    assert await counter.host.text() == "next"
    assert "message m1" in caplog.text
    assert "secret" not in caplog.text


async def test_a_message_that_breaks_the_reader_is_logged_and_the_next_one_comes(
    counter: Counter, caplog: pytest.LogCaptureFixture
) -> None:
    counter.take(counter.shelf.put("broken", "m1", type=7, mention_ids=None, room_id=ROOM))
    counter.take(counter.shelf.put("next", "m2"))
    assert await counter.host.text() == "next"
    assert "message m1 cannot be read and is skipped" in caplog.text


# ------------------------------------------------------------------ what is for us


async def test_what_puppets_replay_is_dropped_when_it_is_old(
    counter: Counter, caplog: pytest.LogCaptureFixture
) -> None:
    counter.take(counter.shelf.put("old", "m1", timestamp=time.time() - STALE - 60))
    counter.take(counter.shelf.put("recent", "m2", timestamp=time.time() - STALE + 60))
    assert await counter.host.text() == "recent"
    assert "message m1 is dropped" in caplog.text


async def test_own_messages_are_nobodys_question(counter: Counter) -> None:
    counter.take(counter.shelf.put("mine", "m1", from_id="bot"), counter.shelf.put("yours", "m2"))
    assert await counter.host.text() == "yours"


@pytest.mark.parametrize("name", ["FastBot", "Helper"])
async def test_in_a_room_our_name_and_our_alias_there_mean_us(counter: Counter, name: str) -> None:
    counter.shelf.members[ROOM, "bot"] = WxMember("FastBot", "Helper")
    event = await counter.say(f"@{name}\u2005what is it?", room_id=ROOM)
    assert (event.addressed, event.text) == (True, "what is it?")


async def test_who_is_mentioned_by_id_loses_the_alias_from_the_text(counter: Counter) -> None:
    counter.shelf.members[ROOM, "bot"] = WxMember("FastBot", "Helper")
    event = await counter.say("@Helper\u2005what is it?", room_id=ROOM, mention_ids=("bot",))
    assert (event.addressed, event.text) == (True, "what is it?")


@pytest.mark.parametrize(
    "fields", [{"text": "no mention"}, {"text": "@Bob\u2005you?", "mention_ids": ("bob",)}], ids=["none", "another"]
)
async def test_the_alias_is_not_asked_for_where_it_does_not_matter(counter: Counter, fields: dict[str, object]) -> None:
    event = await counter.say(room_id=ROOM, **fields)  # type: ignore[arg-type]
    assert not event.addressed
    assert counter.shelf.asked == [event.id]


async def test_a_link_comes_with_its_address(counter: Counter) -> None:
    counter.shelf.links["m1"] = WxLink("A title", "https://example.com/page", "about")
    counter.take(counter.shelf.put("<xml/>", "m1", type=Type.URL))
    assert "https://example.com/page" in await counter.host.text()


async def test_a_link_that_the_puppet_cannot_read_is_a_message_all_the_same(counter: Counter) -> None:
    event = await counter.say("<xml/>", type=Type.URL)
    assert [attachment.name for attachment in event.attachments] == ["link"]
