"""Chaos: the process is killed again and again while people ask and the platform stumbles.

What must hold afterwards (DESIGN 3.4): every answer is on the screen whole and once, the answers to one person in one
chat stand in the order of the questions, /new was obeyed once and in its place, and no request id reached the app
twice. What may be left over are orphans: previews whose message id died with the process.

Every choice comes from one seed, which a failure prints; ``CHAOS_SEED`` repeats it. A kill comes after a number of
calls to the platform, not of seconds, so a repetition comes close to the same run.
"""

from __future__ import annotations

import os
import random
import re
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

import pytest

from tests.fakes.botapi import BotApi, Kind
from tests.fakes.fastgpt import Script
from tests.fakes.telegram.screen import Seen
from tests.stories.conftest import Stage

KILLS = 36
LONG_LIFE = 6
"""Every so many lives the process may finish what it has: ten deaths in a row would end an answer with an apology."""
CALLS = 5, 22
"""How many calls to the platform a life lasts, the four of the start included: the least, the most."""
IDLE = 0.5
"""Seconds of a life in which these calls are not made: there is nothing to do, or a ban."""
PATIENCE = 10.0
"""Seconds that a long life may last. The last one may last three times as long."""
PRIVATE = (7, 8, 9, 10)
GROUPS = (-5, -6)
MEMBERS = (11, 12)
FAULTS: tuple[tuple[str, Kind], ...] = (
    *(("sendMessage", kind) for kind in ("429", "500", "drop_before", "drop_after")),
    *(("editMessageText", kind) for kind in ("429", "502", "drop_before", "drop_after")),
    *(("getUpdates", kind) for kind in ("429", "500", "drop_after")),
)
NEW = "a new conversation begins here"
WORDS = "These are some words to make it a paragraph, and a few more of them, as people do. " * 4
MARK = re.compile(r"<q\d+p\d+>")


@dataclass
class Question:
    number: int
    text: str
    marks: list[str]
    """What its answer consists of, in order; empty for /new."""
    message_id: int


@dataclass
class Person:
    """One person in one chat: what is answered in order."""

    chat: int
    user: int
    asked: list[Question] = field(default_factory=list)


class Crowd:
    """People who ask, and what must have become of it."""

    def __init__(self, stage: Stage, dice: random.Random) -> None:
        self._stage = stage
        self._dice = dice
        self._count = 0
        self.people = [Person(chat, chat) for chat in PRIVATE]
        self.people += [Person(chat, user) for chat in GROUPS for user in MEMBERS]

    def ask(self, most: int) -> None:
        """Up to so many questions, each from anybody."""
        for _ in range(self._dice.randint(0, most)):
            person = self._dice.choice(self.people)
            self._count += 1
            text, marks = "/new", []
            if not person.asked or self._dice.random() > 0.15:
                text = f"question {self._count}."
                marks = [f"<q{self._count}p{n}>" for n in range(self._dice.choice((1, 1, 2, 4, 20)))]
                said = "\n\n".join(f"{mark} {WORDS}" for mark in marks)
                rate = self._dice.choice((0.0, 60.0, 120.0)) * len(marks)
                self._stage.gpt.when(text, Script(text=said, piece=20, rate=rate))
            message = self._stage.api.say(text, chat=person.chat, user=person.user)
            person.asked.append(Question(self._count, text, marks, message["message_id"]))

    # -------------------------------------------------------------- what the screens show

    def finals(self, chat: int) -> list[Seen]:
        """The bot's messages without the previews: these have a stop button, or are but a status line."""
        return [seen for seen in self._stage.answers(chat) if not seen.buttons and seen.text != "…"]

    def complete(self) -> bool:
        """Nothing is missing. Whether it is right is another question."""
        for chat in (*PRIVATE, *GROUPS):
            shown = "\n".join(answer.text for answer in self.finals(chat))
            asked = [question for person in self.people if person.chat == chat for question in person.asked]
            if shown.count(NEW) < sum(not question.marks for question in asked):
                return False
            if not set(MARK.findall(shown)).issuperset(mark for question in asked for mark in question.marks):
                return False
        return True

    def faults(self) -> list[str]:
        """What is wrong, a line each."""
        return [fault for check in (self._answers, self._commands, self._requests) for fault in check()]

    def _answers(self) -> list[str]:
        wrong = []
        for person in self.people:
            who = f"chat {person.chat}, user {person.user}"
            finals = self.finals(person.chat)
            shown = [(mark, answer) for answer in finals for mark in MARK.findall(answer.text)]
            order: list[int] = []
            for question in person.asked:
                own = [(mark, answer) for mark, answer in shown if mark in question.marks]
                if [mark for mark, _ in own] != question.marks:
                    wrong.append(f"{who}: {question.text} has {question.marks}, shown are {[mark for mark, _ in own]}")
                if person.chat in GROUPS and {answer.reply_to for _, answer in own} - {question.message_id}:
                    wrong.append(f"{who}: {question.text} is not answered in reply to it")
                order += dict.fromkeys(answer.message_id for _, answer in own)
            if order != sorted(order):
                wrong.append(f"{who}: the answers are out of order: {order}")
            wrong += [f"{who}: an excuse: {answer.text!r}" for answer in finals if "⚠️" in answer.text]
        return wrong

    def _commands(self) -> list[str]:
        """/new was answered once, and what one person asks between two of them has one chatId of its own."""
        wrong = []
        for chat in (*PRIVATE, *GROUPS):
            said = sum(not question.marks for p in self.people if p.chat == chat for question in p.asked)
            done = sum(NEW in answer.text for answer in self.finals(chat))
            if said != done:
                wrong.append(f"chat {chat}: {said} times /new, {done} times obeyed")
        contexts = {asked.question: asked.chat_id for asked in self._stage.gpt.asked}
        for person in self.people:
            seen: list[str] = []
            renewed = True
            for question in person.asked:
                if not question.marks:
                    renewed = True
                    continue
                context = contexts.get(question.text, "")
                if (context in seen if renewed else context != seen[-1]) or not context:
                    wrong.append(f"chat {person.chat}: {question.text} was asked in {context!r}, before that {seen}")
                seen.append(context)
                renewed = False
        return wrong

    def _requests(self) -> list[str]:
        counts = Counter((asked.chat_id, asked.item_id) for asked in self._stage.gpt.asked)
        return [
            f"request {item} of {chat_id} came {count} times" for (chat_id, item), count in counts.items() if count > 1
        ]


def calls_made(api: BotApi, count: int) -> bool:
    return api.counts.total() >= count


@pytest.mark.slow
async def test_killed_at_any_moment_it_loses_and_doubles_nothing(stage: Stage) -> None:
    seed = int(os.environ.get("CHAOS_SEED") or random.SystemRandom().randrange(1_000_000))
    dice = random.Random(seed)
    api, gpt, product = stage.api, stage.gpt, stage.product
    gpt.era = dice.choice(("e24", "e26"))
    stage.app["app_id"] = gpt.app_id
    stage.bot.update(groups="all", per_user=0, calls_per_second=0)
    crowd = Crowd(stage, dice)
    for life in range(1, KILLS + 1):
        crowd.ask(3)  # while it is down
        if away := dice.random() < 0.1:
            await gpt.down()
        begin = api.counts.total()
        await product.start()
        crowd.ask(3)
        for _ in range(dice.randint(0, 2)):
            method, kind = dice.choice(FAULTS)
            api.fail(method, 1, kind)
        least, most = CALLS
        calls = begin + dice.randint(least, most)
        with suppress(TimeoutError):
            await api.until(partial(calls_made, api, calls), IDLE)
        if away:
            await gpt.up()
        if life % LONG_LIFE == 0:
            with suppress(TimeoutError):
                await api.until(crowd.complete, PATIENCE)
        await product.kill()
    await product.start()
    with suppress(TimeoutError):
        await api.until(crowd.complete, 3 * PATIENCE)
        await api.until(lambda: api.polling() and not gpt.runs, PATIENCE)
    wrong = crowd.faults()
    assert not wrong, "\n".join([f"CHAOS_SEED={seed}", *wrong, api.dump(), *product.log[-30:]])
