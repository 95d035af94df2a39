"""Every event comes in here: the guards in order, then the queue.

Rules of this file:
- ``receive`` returns after the durable commit, never before: only then is the platform told;
- it decides once what an event asks for (``Task.does``); a turn that is taken up after a restart does not decide anew;
- between the first guard and ``submit`` nothing is awaited for a message but its place in the rate limit: events that
  come in together keep their order;
- a stop has a lane of its own: it must not wait behind the answer that it is to end. It goes through the store like
  every message, so it comes after the question that it follows, and counts once.
"""

from __future__ import annotations

import logging
import re
import time
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec

from bridge.alarm import Bell
from bridge.answer import Said, said_key
from bridge.appapi import AppApi
from bridge.config import App, rate
from bridge.config import Bot as BotConfig
from bridge.fastgpt import FastGPT
from bridge.joined import AT_ONCE, with_quotes
from bridge.model import Adapter, AnyEvent, Entered, Message, Press, Recalled
from bridge.pace import Budget
from bridge.session import lane
from bridge.store import Engine, Job
from bridge.words import Language, language_of, say

log = logging.getLogger(__name__)
_T = TypeVar("_T")

STOP_KEY = "stop"
ASK, NEW, RETRY, HELP, START, STOP = "ask", "new", "retry", "help", "start", "stop"
WELCOME, SAY = "welcome", "say"
_COMMANDS = {"/new": NEW, "/reset": NEW, "新对话": NEW, "/stop": STOP, "/retry": RETRY, "/help": HELP, "/start": START}
_FOR_ANOTHER = re.compile(r"/\w+@\w+")
BACKLOG = 60.0
"""Seconds after which a message is no sign of haste any more: it waited while the bridge was away."""
RECENT_MOST = 1000
"""Messages whose place in the rate limit is remembered."""


class Task(msgspec.Struct, frozen=True, omit_defaults=True):
    """The body of an inbox row: an event, and what is to be done about it."""

    event: AnyEvent
    does: str = ASK
    """ask | new | retry | stop | welcome | say"""
    text: str = ""
    """What to say, with ``say``."""

    def __repr__(self) -> str:
        return f"Task({self.does}, event={self.event.id!r})"


@dataclass(frozen=True, slots=True)
class Bot:
    """A bot as it runs: its config, its adapter, the app behind it and its call budget."""

    name: str
    config: BotConfig
    adapter: Adapter
    app: FastGPT
    api: AppApi
    app_config: App
    budget: Budget
    back: Bell = field(default_factory=Bell)
    """Rung when the platform can be reached again."""

    def language(self, event: AnyEvent) -> Language:
        text = event.text if isinstance(event, Message) else ""
        return language_of(self.config.language, event.user.language, text)

    def lane(self, event: AnyEvent) -> str:
        return lane(event.conversation, event.user.id, self.config.session)


class Core:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._rated: dict[str, float] = {}  # message or album -> what the rate limit said, oldest first
        self._open: dict[str, tuple[float, float]] = {}  # lane -> between when what is sent may belong to a question

    async def receive(self, bot: Bot, event: AnyEvent) -> str | None:
        """See bridge.model.Receive."""
        if isinstance(event, Recalled):
            await self._recalled(bot, event)
        elif not self._allowed(bot, event):
            await self._turn_away(bot, event)
        elif isinstance(event, Message):
            await self._message(bot, event)
        elif isinstance(event, Press):
            return await self._press(bot, event)
        elif isinstance(event, Entered) and event.first and self._may_greet(bot, event):
            await self._submit(bot, event, Task(event, WELCOME), self._aside(bot, event))
        return None

    # ------------------------------------------------------------ guards

    @staticmethod
    def _allowed(bot: Bot, event: AnyEvent) -> bool:
        who = {event.user.id, event.conversation.chat, event.conversation.was} - {""}
        rules = bot.config
        return not who.intersection(rules.deny) and (not rules.allow or bool(who.intersection(rules.allow)))

    async def _turn_away(self, bot: Bot, event: AnyEvent) -> None:
        """Whoever is merely not on the list learns their id, in private, at most once a minute."""
        user, to = event.user.id, event.conversation
        log.info("bot %s: user %s in chat %s is not allowed", bot.name, user, to.chat)
        denied = {user, to.chat}.intersection(bot.config.deny)
        if denied or to.kind != "private" or not isinstance(event, Message):
            return
        if not await self._engine.slot(f"away:{bot.name}/{user}", 1 / 60, 1):
            await self._say(bot, event, say("not_allowed", bot.language(event), user=user))

    @staticmethod
    def addressed(bot: Bot, event: Message, command: str = ASK) -> bool:
        """Is the message for the bot?"""
        if event.conversation.kind == "private":
            return True
        mode = bot.config.groups
        ours = command != ASK and event.text.startswith("/")
        meant = event.addressed or ours or (mode == "all" and not _FOR_ANOTHER.match(event.text))
        return mode != "off" and meant

    # ------------------------------------------------------------ messages

    async def _message(self, bot: Bot, event: Message) -> None:
        command = _command(event.text)
        if not self.addressed(bot, event, command):
            if self._may_belong(bot, event):  # the turn that it may be a piece of decides
                await self._submit(bot, event, Task(event), bot.lane(event))
        elif event.edited:
            await self._amend(bot, event, command)
        elif command == STOP:
            await self._submit(bot, event, Task(event, STOP), self._aside(bot, event))
        elif command == START:
            await self._submit(bot, event, Task(event, WELCOME), self._aside(bot, event))
        elif command == HELP:
            to = event.conversation
            await self._say(bot, event, say("help", bot.language(event), user=event.user.id, chat=to.chat))
        elif command == ASK and not _asks(event):
            await self._say(bot, event, say("no_text", bot.language(event)))
        elif not await self._too_fast(bot, event):
            if pieces := AT_ONCE if event.cut else bot.config.debounce:
                _remember(self._open, bot.lane(event), (event.at, event.at + pieces))
            await self._submit(bot, event, Task(event, command), bot.lane(event))

    def _may_belong(self, bot: Bot, event: Message) -> bool:
        """Can it be a piece of a message that is for the bot? The caption of an album is on one picture, the mention in
        the first part of a cut text, or of a burst."""
        if bot.config.groups == "off" or event.edited:
            return False
        begin, end = self._open.get(bot.lane(event), (0.0, 0.0))
        return bool(event.group) or begin <= event.at <= end

    async def _amend(self, bot: Bot, event: Message, command: str) -> None:
        """A question that has changed is asked again while nobody has answered it and nothing came after it."""
        if command != ASK or not _asks(event) or await self._too_fast(bot, event):
            return
        if not await self._engine.amend(job_key(bot, event), bot.lane(event), msgspec.json.encode(Task(event))):
            await self._submit(bot, event, Task(event), bot.lane(event))  # unless it is known: now it is a question

    async def _too_fast(self, bot: Bot, event: Message) -> bool:
        """Does the rate limit turn it away? Then it was said, once a minute. What comes again, and the pieces of one
        album, count once."""
        count, seconds = rate(bot.config.per_user)
        if not count or time.time() - event.at > BACKLOG:
            return False
        place = f"{bot.name}/{event.conversation.chat}/{event.group or event.id}/{event.at if event.edited else ''}"
        wait = self._rated.get(place)
        if wait is None:
            wait = await self._engine.slot(f"user:{bot.name}/{event.user.id}", count / seconds, count)
            _remember(self._rated, place, wait)
        if wait and not await self._engine.slot(f"hurry:{bot.name}/{event.user.id}", 1 / 60, 1):
            await self._say(bot, event, say("too_fast", bot.language(event), seconds=int(wait) + 1))
        return bool(wait)

    # ------------------------------------------------------------ stopping

    async def stop(self, bot: Bot, event: Message, before: int) -> int:
        """End the caller's own answer, and say how many were ended; an admin's word, or a reply to an answer, names
        any. What was asked only after the stop (``before`` is its place in the order) goes on."""
        stopped = 0
        for quote in event.quotes:
            stopped += (await self._stop_answer(bot, event, quote.id))[0]
        if not stopped:
            owner = None if self._is_admin(bot, event) else event.user.id
            stopped = await self._engine.stop(bot.lane(event), owner, before=before)
        return stopped

    async def _press(self, bot: Bot, event: Press) -> str | None:
        if event.key != STOP_KEY:
            return say("ended", bot.language(event))
        return say((await self._stop_answer(bot, event, event.target))[1], bot.language(event))

    async def _stop_answer(self, bot: Bot, event: AnyEvent, target: str) -> tuple[int, str]:
        """Stop the answer that the message ``target`` belongs to: how many were stopped, and what to say."""
        to = event.conversation  # an answer may have begun before the chat was moved
        here, before = await self._engine.get(*(said_key(bot.name, chat, target) for chat in (to.chat, to.was)))
        row = here or before
        if row is None:
            return 0, "ended"
        said = msgspec.json.decode(row, type=Said)
        if event.user.id != said.owner and not self._is_admin(bot, event):
            return 0, "not_yours"
        stopped = await self._engine.stop(said.lane, key=said.job)
        return stopped, "stopping" if stopped else "ended"

    async def _recalled(self, bot: Bot, event: Recalled) -> None:
        """A question that is taken back needs no answer, and an answer that somebody takes off the screen no more."""
        chat = event.conversation.chat
        (row,) = await self._engine.get(said_key(bot.name, chat, event.target))
        asked = _job_key(bot, chat, Message, event.target)
        await self._engine.withdraw(msgspec.json.decode(row, type=Said).job if row else asked)

    @staticmethod
    def _may_greet(bot: Bot, event: AnyEvent) -> bool:
        return event.conversation.kind == "private" or bot.config.groups != "off"

    @staticmethod
    def _is_admin(bot: Bot, event: AnyEvent) -> bool:
        return event.user.real and event.user.id in bot.config.admins

    # ------------------------------------------------------------ the queue

    async def _say(self, bot: Bot, event: AnyEvent, text: str) -> None:
        """Say something of the bridge's own, in a lane of its own: it does not wait behind an answer."""
        again = f"~{event.at}" if isinstance(event, Message) and event.edited else ""
        await self._submit(bot, event, Task(event, SAY, text), self._aside(bot, event), again)

    @staticmethod
    def _aside(bot: Bot, event: AnyEvent) -> str:
        return f"{bot.lane(event)} {event.id}"

    async def _submit(self, bot: Bot, event: AnyEvent, task: Task, lane: str, again: str = "") -> None:
        key = job_key(bot, event) + again
        (fresh,) = await self._engine.submit([Job(key, lane, msgspec.json.encode(task), event.user.id)])
        if not fresh:
            log.info("%s came again and is dropped", key)


def job_key(bot: Bot, event: AnyEvent) -> str:
    """The job that a message, or whoever entered, begins."""
    return _job_key(bot, event.conversation.chat, type(event), event.id)


def _job_key(bot: Bot, chat: str, kind: type[AnyEvent], event_id: str) -> str:
    return f"{bot.name}/{chat}/{kind.__name__}/{event_id}"


def _command(text: str) -> str:
    """What a text commands. ``/start`` may carry what the link that led here says."""
    words = text.strip().lower().split(maxsplit=1)
    whole = "/start" if words[:1] == ["/start"] else " ".join(words)
    return _COMMANDS.get(whole, ASK)


def _asks(event: Message) -> bool:
    """Is there anything that the app could be asked?"""
    return any(map(bool, with_quotes(event))) or any(quote.bare for quote in event.quotes)


def _remember(memory: dict[str, _T], key: str, value: _T) -> None:
    memory.pop(key, None)
    memory[key] = value
    if len(memory) > RECENT_MOST:
        del memory[next(iter(memory))]
