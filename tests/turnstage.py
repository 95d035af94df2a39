"""A turn without a platform and without an app: everything between ``Core.receive`` and ``Surface.show``."""

from __future__ import annotations

import asyncio
import dataclasses
import math
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any, cast

import httpx
import msgspec

from bridge.appapi import AppApi
from bridge.attach import Attaching, Parts
from bridge.config import App
from bridge.config import Bot as BotConfig
from bridge.core import Bot, Core
from bridge.fastgpt import Ask, Delta, Done, FastGPT, Piece
from bridge.model import (
    AnyEvent,
    Attachment,
    Caps,
    Conversation,
    Finding,
    Message,
    Overfull,
    Receive,
    Rejected,
    Show,
    Shown,
    User,
)
from bridge.pace import Budget
from bridge.question import Questions
from bridge.replies import Replies
from bridge.store import Job, StoreError
from bridge.store.sqlite import SQLite
from bridge.turn import Turns

PRIVATE = Conversation(bot="tg", chat="7", kind="private")
GROUP = Conversation(bot="tg", chat="-5", kind="group")


class Screen:
    """An adapter and all its surfaces: what is shown, by turn and part."""

    def __init__(self) -> None:
        self.parts: dict[tuple[str, int], Show] = {}
        self.faults: list[Exception | None] = []
        """What the next calls raise, each its own; None = nothing."""
        self.refuse = ""
        """A word that the platform does not take."""
        self.takes = math.inf
        """Characters that the platform takes in one part, whatever ``limits`` say."""
        self.stages = False
        """Each answer is staged before it becomes visible."""
        self.on_visible: Callable[[], Awaitable[None]] | None = None
        self.calls: list[Show] = []
        """Every Show that was tried."""
        self.completed: dict[str, Message] = {}
        """What the platform knows more of a message than its event, by id."""
        self.changed = asyncio.Condition()
        self.limits = Caps(fits=lambda text: len(text) < 1000, live=True, interval=0.0)

    def caps(self, to: AnyEvent) -> Caps:
        return self.limits

    def answer(self, to: AnyEvent, turn: str, resume: str | None = None) -> Surface:
        return Surface(self, turn)

    async def run(self, receive: Receive) -> None:
        raise NotImplementedError

    async def typing(self, to: AnyEvent) -> None:
        raise NotImplementedError

    async def complete(self, message: Message) -> Message:
        return self.completed.get(message.id, message)

    async def probe(self) -> list[Finding]:
        raise NotImplementedError

    def fetch(self, what: Attachment) -> AsyncIterator[bytes]:
        raise NotImplementedError

    @property
    def finals(self) -> list[str]:
        return [show.text for show in self.parts.values() if show.final]

    async def until_called(self, times: int) -> None:
        await self.until(lambda: len(self.calls) >= times)

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(10), self.changed:
            await self.changed.wait_for(condition)


class Surface:
    def __init__(self, screen: Screen, turn: str) -> None:
        self._screen = screen
        self._turn = turn
        self._staged = False

    async def show(self, op: Show) -> Shown:
        screen = self._screen
        screen.calls.append(op)
        async with screen.changed:
            screen.changed.notify_all()
        if screen.faults and (fault := screen.faults.pop(0)) is not None:
            raise fault
        if screen.refuse and screen.refuse in op.text:
            raise Rejected("bad text")
        if len(op.text) > screen.takes:
            raise Overfull
        if screen.stages and not self._staged:
            self._staged = True
            return Shown("staged", (), staged=True)
        if screen.on_visible is not None:
            await screen.on_visible()
        async with screen.changed:
            screen.parts[self._turn, op.part] = op
            screen.changed.notify_all()
        return Shown(self._turn, (f"{self._turn}.{op.part}",))


class Echo:
    """An app that answers with the question."""

    def __init__(self) -> None:
        self.asked: list[Ask] = []
        self.faults: list[Exception] = []
        self.says: list[Piece] = []
        """Instead of the question."""
        self.hold: asyncio.Event | None = None
        """Until it is set, answers stand after their first word."""

    async def stream(self, ask: Ask) -> AsyncGenerator[Piece, None]:
        self.asked.append(ask)
        if self.hold:
            yield Delta("Well, ")
            await self.hold.wait()
        if self.faults:
            raise self.faults.pop(0)
        for piece in self.says or [Delta(f"You asked: {_told(ask.content)}")]:
            yield piece
        yield Done()


def _told(content: str | list[dict[str, Any]]) -> str:
    return content if isinstance(content, str) else ", ".join(str(part.get("text") or part["name"]) for part in content)


class Files:
    """Files come as their names; those named "no" do not reach the app."""

    async def parts(self, bot: Bot, to: AnyEvent, chat_id: str, attachments: Sequence[Attachment]) -> Parts:
        refused = [("file_failed", {"name": file.name}) for file in attachments if file.name == "no"]
        return Parts([{"type": "file_url", "name": file.name} for file in attachments if file.name != "no"], refused)


class Flaky(SQLite):
    """A store that does not write for a while."""

    failures = 0
    unread = 0
    """Reads of answers that fail."""

    async def get(self, *keys: str) -> list[bytes | None]:
        if self.unread and any(key.startswith("answer:") for key in keys):
            self.unread -= 1
            raise StoreError("disk I/O error")
        return await super().get(*keys)

    def put(self, values: Mapping[str, bytes | None]) -> asyncio.Future[None]:
        if self.failures and any(key.startswith("answer:") for key in values):
            self.failures -= 1
            return self._do(_no_space)
        return super().put(values)


def _no_space(db: Any) -> None:
    raise StoreError("database or disk is full")


class Stage:
    def __init__(self) -> None:
        self.engine = Flaky(":memory:")
        self.screen = Screen()
        self.app = Echo()
        config = BotConfig(platform="test", app="echo", language="en")
        app_config = App(base_url="http://x", api_key="k")
        api = AppApi(app_config, httpx.AsyncClient())
        self.bot = Bot("tg", config, self.screen, cast(FastGPT, self.app), api, app_config, Budget())
        self.core = Core(self.engine)
        self.quiet = asyncio.Event()
        """Until it is set, more of a message may come."""
        self.quiet.set()
        self.questions = Questions(self.engine, cast(Attaching, Files()), self.sleep)
        self.replies = Replies(self.engine)
        self.turns = Turns(self.engine, {"tg": self.bot}, self.core, self.questions, self.replies)

    async def sleep(self, seconds: float) -> None:
        await self.quiet.wait()

    async def say(self, text: str, number: int, to: Conversation = PRIVATE, at: float = 1e9, **more: Any) -> None:
        message = Message(id=str(number), conversation=to, user=User("7"), at=at, text=text, **more)
        await self.core.receive(self.bot, message)

    async def job(self) -> Job:
        """The job of the question "hello", which nobody works on."""
        await self.engine.start(None)
        await self.say("hello", 1)
        [(key, body)] = await self.engine._do(lambda db: db.execute("SELECT key, body FROM inbox").fetchall())
        return Job(key, "lane", body)

    async def idle(self) -> None:
        """Until nobody works on anything."""
        async with asyncio.timeout(10):
            while await self.engine._do(lambda db: db.execute("SELECT 1 FROM inbox WHERE NOT done").fetchall()):
                pass

    def debounce(self, seconds: float) -> None:
        self.bot = dataclasses.replace(self.bot, config=msgspec.structs.replace(self.bot.config, debounce=seconds))
        self.turns._bots = {"tg": self.bot}
