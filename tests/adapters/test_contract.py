"""What every adapter keeps to, whatever its platform."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import msgspec
import pytest

from adapters import ADAPTERS
from bridge.model import Adapter, AnyEvent, BridgeError, Button, Message, Press, Show, Shown, Surface
from tests.adapters.kits import KITS, Kit

STOP = Button("stop", "Stop", "stop")
FAULTS = [(name, fault) for name, kit in KITS.items() for fault in getattr(kit, "faults", ())]


def test_every_adapter_has_a_kit() -> None:
    assert {name.partition(":")[0] for name in KITS} == {*ADAPTERS, "console"}


@pytest.fixture(params=sorted(KITS))
async def kit(request: pytest.FixtureRequest) -> AsyncIterator[Kit]:
    async with AsyncExitStack() as stack:
        made = KITS[request.param]()
        stack.push_async_callback(made.wire.close)
        await made.open(stack)
        yield made


async def asked(kit: Kit, events: asyncio.Queue[AnyEvent], text: str = "hello 你好") -> Message:
    await kit.say(text)
    event = await asyncio.wait_for(events.get(), 5)
    assert isinstance(event, Message)
    return event


async def grown(adapter: Adapter, event: AnyEvent, surface: Surface, *ops: Show) -> Shown:
    """What came of the last one. Where nothing can be changed, there are no previews."""
    live = adapter.caps(event).live
    return [await shown_on(surface, op) for op in ops if live or op.final][-1]


async def shown_on(surface: Surface, op: Show) -> Shown:
    """As the pump does it."""
    while (shown := await surface.show(op)).staged:
        assert shown.ref, "there is nothing to commit"
    return shown


async def test_a_message_becomes_an_event_that_can_be_kept(kit: Kit) -> None:
    async with kit.bot() as (_, host):
        event = await asked(kit, host.events)
        assert event.text == "hello 你好"
        assert event.addressed
        assert (event.conversation.bot, event.conversation.kind) == ("bot", "private")
        assert event.id
        assert event.user.id
        assert event.at > 1_600_000_000
        assert msgspec.json.decode(msgspec.json.encode(event), type=AnyEvent) == event
        second = None
        if type(kit).__name__ != "Console":  # which reads on only after an answer
            second = await asked(kit, host.events, "again")
            assert second.id != event.id
            assert second.conversation == event.conversation


async def test_completing_a_message_changes_nothing_that_was_known(kit: Kit) -> None:
    async with kit.bot() as (adapter, host):
        event = await asked(kit, host.events)
        whole = await adapter.complete(event)
        assert (whole.id, whole.at, whole.text, whole.handle) == (event.id, event.at, event.text, event.handle)
        assert (whole.user.id, whole.conversation.chat) == (event.user.id, event.conversation.chat)


async def test_the_platform_is_told_after_the_commit_and_not_before(kit: Kit) -> None:
    async with kit.bot() as (_, host):
        host.committed.clear()
        await asked(kit, host.events)
        if kit.redelivers:
            assert not await kit.acknowledged()
        host.committed.set()
        assert await kit.acknowledged()


async def test_an_answer_grows_and_ends(kit: Kit) -> None:
    async with kit.bot() as (adapter, host):
        event = await asked(kit, host.events)
        shown = await grown(
            adapter,
            event,
            adapter.answer(event, "turn-1"),
            Show(status="…", buttons=(STOP,)),
            Show(text="First words", buttons=(STOP,)),
            Show(text="First words and the rest.", final=True),
        )
        assert shown.ids
        assert shown.ref
        assert await kit.screen() == ["First words and the rest."]


async def test_the_same_show_twice_changes_nothing(kit: Kit) -> None:
    async with kit.bot() as (adapter, host):
        event = await asked(kit, host.events)
        if not adapter.caps(event).live:
            return
        surface = adapter.answer(event, "turn-1")
        await shown_on(surface, Show(text="Words", buttons=(STOP,)))
        first = await shown_on(surface, Show(text="Words", buttons=(STOP,)))
        again = await shown_on(surface, Show(text="Words", buttons=(STOP,)))
        assert first.ids == again.ids
        await shown_on(surface, Show(text="Words", final=True))
        assert await kit.screen() == ["Words"]


async def test_parts_stand_in_their_order(kit: Kit) -> None:
    async with kit.bot() as (adapter, host):
        event = await asked(kit, host.events)
        surface = adapter.answer(event, "turn-1")
        for part in range(3):
            final = Show(part=part, text=f"Part {part}.", final=True)
            shown = await grown(adapter, event, surface, Show(part=part, status="…"), final)
        assert len(shown.ids) == 3
        assert await kit.screen() == ["Part 0.", "Part 1.", "Part 2."]


async def test_after_a_restart_the_same_messages_go_on(kit: Kit) -> None:
    async with kit.bot() as (adapter, host):
        event = await asked(kit, host.events)
        if not adapter.caps(event).live:
            return
        surface = adapter.answer(event, "turn-1")
        await shown_on(surface, Show(part=0, text="An early end"))
        await shown_on(surface, Show(part=0, text="An early end.", final=True))
        shown = await shown_on(surface, Show(part=1, text="and half a"))
    if not kit.lasting:
        return
    row = msgspec.json.encode(event)
    async with kit.bot() as (adapter, _):
        surface = adapter.answer(msgspec.json.decode(row, type=AnyEvent), "turn-1", shown.ref)
        again = await shown_on(surface, Show(part=0, text="Another end.", final=True))
        assert again.ids == shown.ids
        await shown_on(surface, Show(part=1, final=True))
        assert await kit.screen() == ["Another end."]


async def test_after_a_restart_an_answer_that_cannot_be_changed_goes_on(kit: Kit) -> None:
    async with kit.bot() as (adapter, host):
        event = await asked(kit, host.events)
        if adapter.caps(event).live:
            return
        first = await shown_on(adapter.answer(event, "turn-1"), Show(text="Its beginning.", final=True))
    row = msgspec.json.encode(event)
    async with kit.bot() as (adapter, _):
        surface = adapter.answer(msgspec.json.decode(row, type=AnyEvent), "turn-1", first.ref)
        shown = await shown_on(surface, Show(part=1, text="Its end.", final=True))
        assert shown.ids[:1] == first.ids
        assert len(shown.ids) == 2
        again = await shown_on(surface, Show(part=2, final=True))
        assert (again.ids, again.calls) == (shown.ids, 0), "what was sent cannot be taken off the screen"
        assert await kit.screen() == ["Its beginning.", "Its end."]


async def test_what_fits_is_accepted(kit: Kit) -> None:
    async with kit.bot() as (adapter, host):
        event = await asked(kit, host.events)
        fits = adapter.caps(event).fits
        assert not fits("字🙂**b** " * 200_000) or adapter.caps(event).fits("x" * 10**7), (
            "there is a limit, or none at all"
        )
        size = 1
        while size < 16_000 and fits("字🙂 " * (size * 2)):
            size *= 2
        surface = adapter.answer(event, "turn-1")
        await grown(adapter, event, surface, Show(status="…"), Show(text="字🙂 " * size, final=True))
        assert "".join((await kit.screen())[-1].split()).count("字🙂") == size


async def test_markup_of_a_model_is_shown_and_does_nothing(kit: Kit) -> None:
    async with kit.bot() as (adapter, host):
        event = await asked(kit, host.events)
        surface: Surface = adapter.answer(event, "turn-1")
        text = "use <b>tags</b> & a <script>alert(1)</script> here"
        await grown(adapter, event, surface, Show(status="…"), Show(text=text, final=True))
        assert await kit.screen() == [text]


async def test_a_press_names_the_message_and_the_key(kit: Kit) -> None:
    async with kit.bot() as (adapter, host):
        event = await asked(kit, host.events)
        if not adapter.caps(event).buttons:
            return
        button = STOP if kit.stoppable else Button("again", "Again", "retry")
        op = Show(text="Words", buttons=(button,), final=not kit.stoppable)
        shown = await shown_on(adapter.answer(event, "turn-1"), op)
        host.toast = "Stopping…"
        await kit.press(shown.ids[-1], button.key)
        press = await asyncio.wait_for(host.events.get(), 5)
        assert isinstance(press, Press)
        assert (press.target, press.key) == (shown.ids[-1], button.key)
        assert press.user == event.user
        assert press.conversation == event.conversation
        assert await kit.acknowledged()


@pytest.mark.parametrize(("name", "fault"), FAULTS)
async def test_each_fault_of_a_platform_has_its_error(name: str, fault: str) -> None:
    async with AsyncExitStack() as stack:
        kit = KITS[name]()
        stack.push_async_callback(kit.wire.close)
        await kit.open(stack)
        async with kit.bot() as (adapter, host):
            event = await asked(kit, host.events)
            kit.fault(fault)
            if fault == "down":  # the connections of before would still be open
                adapter = kit.build(host)
            with pytest.raises(BridgeError) as caught:
                await adapter.answer(event, "turn-1").show(Show(text="**Words**", final=not adapter.caps(event).live))
            assert type(caught.value) is kit.faults[fault]
            assert "Words" not in str(caught.value)
