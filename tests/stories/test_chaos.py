"""Chaos: the process is killed, stopped and told to reload again and again while people ask and the platform stumbles.

What must hold afterwards (DESIGN 3.4): every answer is on the screen whole and once, the answers to one person in one
chat stand in the order of the questions, /stop ended nothing that was asked after it, /new was obeyed once and in its
place, and no request id reached the app twice. What may be left over are orphans: previews whose message id died with
the process.

Every choice comes from one seed, which a failure prints; ``CHAOS_SEED`` repeats it. A life of the process ends after a
number of calls to the platform, not of seconds, so a repetition comes close to the same run.
"""

from __future__ import annotations

import os
import random
import re
import signal
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple, Protocol

import pytest

from tests.fakes.botapi import Kind
from tests.fakes.fastgpt import FakeFastGPT, Script
from tests.product import Product
from tests.stories.conftest import FeishuStage, Stage

LIVES = 36
ENDS = (*("kill",) * 7, *("stop",) * 2, "reload")
"""How a life ends: kill -9 mostly, SIGTERM, or a kill right after a SIGHUP."""
LONG_LIFE = 6
"""Every so many lives the process may finish what it has: ten deaths in a row would end an answer with an apology."""
CALLS = 5, 22
"""How many calls to the platform a life lasts, the four of the start included: the least, the most."""
IDLE = 0.5
"""Seconds of a life in which these calls are not made: there is nothing to do, or a ban."""
PATIENCE = 10.0
"""Seconds that a long life may last. The last one may last three times as long."""
NEW, STOPPED = "a new conversation begins here", "⏹ Stopped"
WORDS = "These are some words to make it a paragraph, and a few more of them, as people do. " * 4
MARK = re.compile(r"<q\d+p\d+>")


class Answer(NamedTuple):
    """A message of the bot that is no preview: previews have a stop button, or are but a status line."""

    message_id: str
    text: str
    reply_to: str


class Platform(Protocol):
    """What the chaos needs to know of a platform."""

    @property
    def stage(self) -> Stage | FeishuStage: ...

    @property
    def private(self) -> Sequence[str]:
        """People, each in a private chat of the same name."""
        ...

    @property
    def groups(self) -> Sequence[str]: ...

    @property
    def members(self) -> Sequence[str]: ...

    def say(self, text: str, chat: str, user: str) -> str:
        """A person writes; the id of the message."""
        ...

    def finals(self, chat: str) -> list[Answer]: ...

    def calls(self) -> int:
        """How many calls the bot has made."""
        ...

    def stumble(self, dice: random.Random) -> None:
        """The next call of some kind goes wrong."""
        ...

    async def met(self) -> None:
        """The bot is there, and what was said while it was away is brought before anything new."""
        ...

    async def until(self, condition: Callable[[], object], timeout: float) -> None: ...

    def dump(self) -> str: ...


class OnTelegram:
    private = ("7", "8", "9", "10")
    groups = ("-5", "-6")
    members = ("11", "12")
    _FAULTS: tuple[tuple[str, Kind], ...] = (
        *(("sendMessage", kind) for kind in ("429", "500", "drop_before", "drop_after")),
        *(("editMessageText", kind) for kind in ("429", "502", "drop_before", "drop_after")),
        *(("getUpdates", kind) for kind in ("429", "500", "drop_after")),
    )

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.dump = stage.api.dump
        stage.bot["calls_per_second"] = 0

    def say(self, text: str, chat: str, user: str) -> str:
        return str(self.stage.api.say(text, chat=int(chat), user=int(user))["message_id"])

    def finals(self, chat: str) -> list[Answer]:
        return [
            Answer(str(seen.message_id), seen.text, str(seen.reply_to))
            for seen in self.stage.answers(int(chat))
            if not seen.buttons and seen.text != "…"
        ]

    def calls(self) -> int:
        return self.stage.api.counts.total()

    def stumble(self, dice: random.Random) -> None:
        method, kind = dice.choice(self._FAULTS)
        self.stage.api.fail(method, 1, kind)

    async def met(self) -> None:
        """Telegram keeps the order by itself."""

    async def until(self, condition: Callable[[], object], timeout: float) -> None:
        await self.stage.api.until(condition, timeout)


class OnFeishu:
    private = tuple(f"ou_{number:032d}" for number in range(4))
    members = tuple(f"ou_{number:032d}" for number in range(11, 13))

    def __init__(self, stage: FeishuStage) -> None:
        self.stage = stage
        self.dump = stage.platform.dump
        stage.platform.scopes.add("im:message.group_msg")
        stage.platform.client_config["ReconnectNonce"] = 0
        self.groups = (stage.platform.group("one"), stage.platform.group("two"))

    def say(self, text: str, chat: str, user: str) -> str:
        return self.stage.platform.say(text, "" if chat == user else chat, user).message_id

    def finals(self, chat: str) -> list[Answer]:
        seen = self.stage.platform.answers(chat) if chat in self.groups else self.stage.platform.answers(user=chat)
        return [
            Answer(one.message_id, one.text, one.reply_to)
            for one in seen
            if not one.buttons and not one.streaming and one.text != "…"
        ]

    def calls(self) -> int:
        return len(self.stage.platform.calls)

    def stumble(self, dice: random.Random) -> None:
        part = dice.choice(("/cards", "/reply", "/content", "/settings", "/cardkit/"))
        match dice.choice(("limit", "closed", "500", "502", "drop_before", "drop_after")):
            case "limit":
                self.stage.platform.fail(part, 99991400, status=429, headers={"x-ogw-ratelimit-reset": "1"})
            case "closed":
                self.stage.platform.fail("/content", 200850)
            case kind:
                self.stage.platform.fault(part, kind)
        if dice.random() < 0.3:
            self.stage.platform.drop_connections()

    async def met(self) -> None:
        await self.stage.platform.connected()
        self.stage.platform.redeliver()

    async def until(self, condition: Callable[[], object], timeout: float) -> None:
        self.stage.platform.redeliver()
        await self.stage.platform.until(condition, timeout)


@dataclass
class Said:
    """What a person said: a question, or a command."""

    text: str
    marks: list[str]
    """What the answer consists of, in order; empty for a command."""
    message_id: str
    stoppable: bool = False
    """There was a /stop after it."""


@dataclass
class Person:
    """One person in one chat: what is answered in order."""

    chat: str
    user: str
    said: list[Said] = field(default_factory=list)

    @property
    def questions(self) -> list[Said]:
        return [said for said in self.said if said.marks]


class Crowd:
    """People who ask, and what must have become of it."""

    def __init__(self, platform: Platform, dice: random.Random) -> None:
        self._platform = platform
        self._gpt: FakeFastGPT = platform.stage.gpt
        self._dice = dice
        self._count = 0
        self._chats = (*platform.private, *platform.groups)
        self.people = [Person(chat, chat) for chat in platform.private]
        self.people += [Person(chat, user) for chat in platform.groups for user in platform.members]

    def speak(self, most: int) -> None:
        """Up to so many messages, each from anybody."""
        for _ in range(self._dice.randint(0, most)):
            person = self._dice.choice(self.people)
            text = self._dice.choice(("/new", "/stop", *("",) * 8))
            for said in person.said if text == "/stop" else ():
                said.stoppable = True
            marks = [] if text else self._script()
            text = text or f"question {self._count}."
            person.said.append(Said(text, marks, self._platform.say(text, person.chat, person.user)))

    def _script(self) -> list[str]:
        """Tell the app what to answer to the next question."""
        self._count += 1
        marks = [f"<q{self._count}p{n}>" for n in range(self._dice.choice((1, 1, 2, 4, 20)))]
        rate = self._dice.choice((0.0, 60.0, 120.0)) * len(marks)
        answer = "\n\n".join(f"{mark} {WORDS}" for mark in marks)
        self._gpt.when(f"question {self._count}.", Script(text=answer, piece=20, rate=rate))
        return marks

    # -------------------------------------------------------------- what the screens show

    def complete(self) -> bool:
        """Nothing is missing. Whether it is right is another question."""
        for chat in self._chats:
            shown = "\n".join(answer.text for answer in self._platform.finals(chat))
            here = [said for person in self.people if person.chat == chat for said in person.said]
            if shown.count(NEW) < sum(said.text == "/new" for said in here):
                return False
            found = set(MARK.findall(shown))
            short = [said for said in here if not found.issuperset(said.marks)]
            ends = {said.marks[-1] for said in here if said.marks}
            stopped = [answer for answer in self._platform.finals(chat) if STOPPED in answer.text]
            stopped = [answer for answer in stopped if ends.isdisjoint(MARK.findall(answer.text))]
            if len(short) != len(stopped) or not all(said.stoppable for said in short):
                return False
        return True

    def faults(self) -> list[str]:
        """What is wrong, a line each."""
        checks = (self._answers, self._commands, self._contexts, self._requests)
        return [fault for check in checks for fault in check()]

    def _answers(self) -> list[str]:
        wrong = []
        for person in self.people:
            who = f"chat {person.chat}, user {person.user}"
            finals = self._platform.finals(person.chat)
            shown = [(mark, answer) for answer in finals for mark in MARK.findall(answer.text)]
            place = {answer.message_id: number for number, answer in enumerate(finals)}
            order: list[int] = []
            for said in person.questions:
                own = [(mark, answer) for mark, answer in shown if mark in said.marks]
                marks = [mark for mark, _ in own]
                if marks != (said.marks[: len(marks)] if said.stoppable else said.marks):
                    wrong.append(f"{who}: {said.text} has {said.marks}, shown are {marks}")
                if person.chat in self._platform.groups and {answer.reply_to for _, answer in own} - {said.message_id}:
                    wrong.append(f"{who}: {said.text} is not answered in reply to it")
                order += dict.fromkeys(place[answer.message_id] for _, answer in own)
            if order != sorted(order):
                wrong.append(f"{who}: the answers are out of order: {order}")
            wrong += [f"{who}: an excuse: {answer.text!r}" for answer in finals if "⚠️" in answer.text]
        return wrong

    def _commands(self) -> list[str]:
        wrong = []
        for chat in self._chats:
            said = [one.text for person in self.people if person.chat == chat for one in person.said]
            shown = "\n".join(answer.text for answer in self._platform.finals(chat))
            if said.count("/new") != shown.count(NEW):
                wrong.append(f"chat {chat}: {said.count('/new')} times /new, {shown.count(NEW)} times obeyed")
            if said.count("/stop") < shown.count(STOPPED):
                wrong.append(f"chat {chat}: {said.count('/stop')} times /stop, {shown.count(STOPPED)} answers stopped")
        return wrong

    def _contexts(self) -> list[str]:
        """What a person asks between two /new has one chatId, of its own."""
        wrong = []
        contexts = {asked.question: asked.chat_id for asked in self._gpt.asked}
        for person in self.people:
            before: list[str] = []
            renewed = True
            for said in person.said:
                renewed |= said.text == "/new"
                context = contexts.get(said.text)  # one that was stopped may never have been asked
                if context is None:
                    continue
                if context in before if renewed else context != before[-1]:
                    wrong.append(f"chat {person.chat}: {said.text} was asked in {context}, before that {before}")
                before.append(context)
                renewed = False
        return wrong

    def _requests(self) -> list[str]:
        counts = Counter((asked.chat_id, asked.item_id) for asked in self._gpt.asked)
        return [f"request {item} of {chat} came {count} times" for (chat, item), count in counts.items() if count > 1]


def ready(product: Product, count: int) -> bool:
    return sum("ready on" in line for line in product.out) >= count


async def end(product: Product, how: str) -> None:
    if how == "stop":
        assert await product.stop() == 0
        return
    if how == "reload":
        product.signal(signal.SIGHUP)
        await product.until(partial(ready, product, 2))
    await product.kill()


async def survived(platform: Platform) -> None:
    seed = int(os.environ.get("CHAOS_SEED") or random.SystemRandom().randrange(1_000_000))
    dice = random.Random(seed)
    gpt, product = platform.stage.gpt, platform.stage.product
    gpt.era = dice.choice(("e24", "e26"))
    platform.stage.app["app_id"] = gpt.app_id
    platform.stage.bot.update(groups="all", per_user=0)
    product.config["shutdown_grace"] = 1
    crowd = Crowd(platform, dice)
    for life in range(1, LIVES + 1):
        crowd.speak(4)  # while it is down
        if away := dice.random() < 0.1:
            await gpt.down()
        end_at = platform.calls() + dice.randint(*CALLS)
        await product.start()
        await platform.met()
        crowd.speak(3)
        for _ in range(dice.randint(0, 2)):
            platform.stumble(dice)
        with suppress(TimeoutError):
            await platform.until(partial(_called, platform, end_at), IDLE)
        if away:
            await gpt.up()
        if life % LONG_LIFE == 0:
            with suppress(TimeoutError):
                await platform.until(crowd.complete, PATIENCE)
        await end(product, dice.choice(ENDS))
    await product.start()
    await platform.met()
    with suppress(TimeoutError):
        await platform.until(crowd.complete, 3 * PATIENCE)
        await platform.until(lambda: not gpt.runs, PATIENCE)
    wrong = crowd.faults()
    assert not wrong, "\n".join([f"CHAOS_SEED={seed}", *wrong, platform.dump(), *product.log[-30:]])


def _called(platform: Platform, count: int) -> bool:
    return platform.calls() >= count


@pytest.mark.slow
async def test_on_telegram_it_loses_and_doubles_nothing(stage: Stage) -> None:
    await survived(OnTelegram(stage))


@pytest.mark.slow
async def test_on_feishu_it_loses_and_doubles_nothing(feishu: FeishuStage) -> None:
    await survived(OnFeishu(feishu))
