"""Names at a wechaty gateway: who asks, where, and how people are written in a room."""

from __future__ import annotations

import asyncio

import pytest

from adapters.wechat.wechaty import lookup
from adapters.wechat.wechaty.lookup import MEMBERS, NAMES, UNKNOWN, Lookup
from adapters.wechat.wechaty.schema import WxMember
from tests.adapters.wechaty_shelf import ROOM, Shelf, question


class Asker:
    """A lookup on a clock of its own."""

    def __init__(self) -> None:
        self.now = 0.0
        self.shelf = Shelf()
        self.lookup = Lookup(self.shelf, lambda: self.now)


@pytest.fixture
def asker() -> Asker:
    return Asker()


async def test_a_question_in_a_room_gets_the_names_of_user_and_room(asker: Asker) -> None:
    asker.shelf.names |= {"alice": "Alice", ROOM: "Team"}
    completed = await asker.lookup.complete(question(ROOM, "group"))
    assert (completed.user.name, completed.conversation.name) == ("Alice", "Team")


async def test_a_private_question_gets_the_name_of_its_user_alone(asker: Asker) -> None:
    asker.shelf.names |= {"alice": "Alice"}
    completed = await asker.lookup.complete(question())
    assert (completed.user.name, completed.conversation.name) == ("Alice", "")
    assert asker.shelf.asked == ["alice"]


async def test_what_is_known_is_not_asked_for(asker: Asker) -> None:
    assert (await asker.lookup.complete(question(name="Ann"))).user.name == "Ann"
    assert asker.shelf.asked == []


async def test_what_cannot_be_had_stays_empty(asker: Asker) -> None:
    completed = await asker.lookup.complete(question(ROOM, "group"))
    assert (completed.user.name, completed.conversation.name) == ("", "")


async def test_in_a_room_the_alias_comes_before_the_name(asker: Asker) -> None:
    asker.shelf.members |= {(ROOM, "alice"): WxMember("Alice", "Boss"), (ROOM, "bob"): WxMember("Bob")}
    assert await asker.lookup.written(ROOM, "alice") == ("Boss", "Alice")
    assert await asker.lookup.written(ROOM, "bob") == ("Bob",)
    assert await asker.lookup.written(ROOM, "carol") == ()


async def test_names_are_kept_a_day_and_aliases_some_minutes(asker: Asker) -> None:
    asker.shelf.names["alice"] = "Alice"
    asker.shelf.members[ROOM, "alice"] = WxMember("Alice", "Boss")
    for now, asked in ((0.0, 2), (MEMBERS - 1, 2), (MEMBERS + 1, 3), (NAMES + 1, 5)):
        asker.now = now
        assert await asker.lookup.name("alice") == "Alice"
        assert await asker.lookup.written(ROOM, "alice") == ("Boss", "Alice")
        assert len(asker.shelf.asked) == asked


async def test_after_a_failure_nobody_asks_for_a_minute(asker: Asker) -> None:
    asker.shelf.refusals["alice"] = 1
    asker.shelf.names["alice"] = "Alice"
    for now, name in ((0.0, ""), (UNKNOWN - 1, ""), (UNKNOWN + 1, "Alice")):
        asker.now = now
        assert await asker.lookup.name("alice") == name
    assert asker.shelf.asked == ["alice"] * 2


async def test_a_name_outlives_a_failure_to_ask_for_it_again(asker: Asker) -> None:
    asker.shelf.names["alice"] = "Alice"
    await asker.lookup.name("alice")
    asker.now = NAMES + 1
    asker.shelf.refusals["alice"] = 1
    assert await asker.lookup.name("alice") == "Alice"


async def test_nobody_waits_long_and_the_next_not_at_all(asker: Asker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookup, "PATIENCE", 0.05)
    asker.shelf.gates["alice"] = asyncio.Event()
    for _ in range(2):
        assert await asyncio.wait_for(asker.lookup.name("alice"), 5) == ""
    assert asker.shelf.asked == ["alice"]


async def test_all_who_ask_at_once_share_one_call(asker: Asker) -> None:
    asker.shelf.names["alice"] = "Alice"
    gate = asker.shelf.gates["alice"] = asyncio.Event()
    first, *others = [asyncio.create_task(asker.lookup.name("alice")) for _ in range(20)]
    await asker.shelf.until_asked("alice")
    first.cancel()
    await asyncio.wait([first])
    gate.set()
    assert await asyncio.gather(*others) == ["Alice"] * 19
    assert asker.shelf.asked == ["alice"]


async def test_the_names_asked_for_last_are_kept(asker: Asker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookup, "MOST", 2)
    asker.shelf.names |= {"a": "A", "b": "B", "c": "C"}
    for user in ("a", "b", "a", "c", "a", "b"):
        await asker.lookup.name(user)
    assert asker.shelf.asked == ["a", "b", "c", "b"]
