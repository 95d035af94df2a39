"""Every event comes in here: the guards in order, then the queue.

Rules of this file:
- ``receive`` returns after the durable commit, never before: only then is the platform told;
- it decides once what an event asks for (``Task.does``); a turn that is taken up after a restart does not decide anew;
- between the first guard and ``submit`` nothing is awaited for a message: events that come in together keep their
  order;
- a stop has a lane of its own: it must not wait behind the answer that it is to end. It goes through the store like
  every message, so it comes after the question that it follows, and counts once.
"""

from __future__ import annotations

import logging
import re
import time
from dataclasses import dataclass

import msgspec

from bridge.answer import Said, said_key
from bridge.appapi import AppApi
from bridge.config import App, rate
from bridge.config import Bot as BotConfig
from bridge.fastgpt import FastGPT
from bridge.model import Adapter, AnyEvent, Entered, Message, Press
from bridge.pace import Budget
from bridge.session import lane
from bridge.store import Engine, Job
from bridge.words import Language, language_of, say

log = logging.getLogger(__name__)

STOP_KEY = "stop"
ASK, NEW, RETRY, HELP, START, STOP = "ask", "new", "retry", "help", "start", "stop"
WELCOME, SAY = "welcome", "say"
_COMMANDS = {"/new": NEW, "/reset": NEW, "新对话": NEW, "/stop": STOP, "/retry": RETRY, "/help": HELP, "/start": START}
_FOR_ANOTHER = re.compile(r"/\w+@\w+")
BACKLOG = 60.0
"""Seconds after which a message is no sign of haste any more: it waited while the bridge was away."""
GROUPS_MOST = 1000
"""Albums that are remembered, to count each as one message."""


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

    def language(self, event: AnyEvent) -> Language:
        text = event.text if isinstance(event, Message) else ""
        return language_of(self.config.language, event.user.language, text)

    def lane(self, event: AnyEvent) -> str:
        return lane(event.conversation, event.user.id, self.config.session)


class Core:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._groups: dict[str, None] = {}  # in the order of their first message

    async def receive(self, bot: Bot, event: AnyEvent) -> str | None:
        """See bridge.model.Receive."""
        if not self._allowed(bot, event):
            await self._turn_away(bot, event)
        elif isinstance(event, Message):
            await self._message(bot, event)
        elif isinstance(event, Press):
            return await self._press(bot, event)
        elif isinstance(event, Entered) and event.first:
            await self._submit(bot, event, Task(event, WELCOME), self._aside(bot, event))
        return None

    # ------------------------------------------------------------ guards

    @staticmethod
    def _allowed(bot: Bot, event: AnyEvent) -> bool:
        who = {event.user.id, event.conversation.chat}
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
        if not self.addressed(bot, event, command) and not (event.group and bot.config.groups != "off"):
            return  # a piece of an album may be: its caption is on another
        if event.edited:
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
        elif wait := await self._too_fast(bot, event):
            if not await self._engine.slot(f"hurry:{bot.name}/{event.user.id}", 1 / 60, 1):
                await self._say(bot, event, say("too_fast", bot.language(event), seconds=int(wait) + 1))
        else:
            await self._submit(bot, event, Task(event, command), bot.lane(event))

    async def _amend(self, bot: Bot, event: Message, command: str) -> None:
        """A question that has changed is asked again while nobody has answered it and nothing came after it."""
        if command == ASK and _asks(event):
            body = msgspec.json.encode(Task(event))
            if await self._engine.amend(_job_key(bot, event), bot.lane(event), body):
                log.info("%s was edited and is asked again", _job_key(bot, event))

    async def _too_fast(self, bot: Bot, event: Message) -> float:
        count, seconds = rate(bot.config.per_user)
        if not count or time.time() - event.at > BACKLOG or self._counted(bot, event):
            return 0.0
        return await self._engine.slot(f"user:{bot.name}/{event.user.id}", count / seconds, count)

    def _counted(self, bot: Bot, event: Message) -> bool:
        """Was another piece of the same album counted already?"""
        if not event.group:
            return False
        group = f"{bot.name}/{event.conversation.chat}/{event.group}"
        known = group in self._groups
        self._groups[group] = None
        if len(self._groups) > GROUPS_MOST:
            del self._groups[next(iter(self._groups))]
        return known

    # ------------------------------------------------------------ stopping

    async def stop(self, bot: Bot, event: Message, before: int) -> int:
        """End the caller's own answer, and say how many were ended; an admin's word, or a reply to an answer, names
        any. What was asked only after the stop (``before`` is its place in the order) goes on."""
        stopped = 0
        for quote in event.quotes:
            if quote.own:
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
        (row,) = await self._engine.get(said_key(bot.name, event.conversation.chat, target))
        if row is None:
            return 0, "ended"
        said = msgspec.json.decode(row, type=Said)
        if event.user.id != said.owner and not self._is_admin(bot, event):
            return 0, "not_yours"
        stopped = await self._engine.stop(said.lane, key=said.job)
        return stopped, "stopping" if stopped else "ended"

    @staticmethod
    def _is_admin(bot: Bot, event: AnyEvent) -> bool:
        return event.user.real and event.user.id in bot.config.admins

    # ------------------------------------------------------------ the queue

    async def _say(self, bot: Bot, event: AnyEvent, text: str) -> None:
        """Say something of the bridge's own, in a lane of its own: it does not wait behind an answer."""
        await self._submit(bot, event, Task(event, SAY, text), self._aside(bot, event))

    @staticmethod
    def _aside(bot: Bot, event: AnyEvent) -> str:
        return f"{bot.lane(event)} {event.id}"

    async def _submit(self, bot: Bot, event: AnyEvent, task: Task, lane: str) -> None:
        key = _job_key(bot, event)
        (fresh,) = await self._engine.submit([Job(key, lane, msgspec.json.encode(task), event.user.id)])
        if not fresh:
            log.info("%s came again and is dropped", key)


def _job_key(bot: Bot, event: AnyEvent) -> str:
    return f"{bot.name}/{event.conversation.chat}/{type(event).__name__}/{event.id}"


def _command(text: str) -> str:
    """What a text commands. ``/start`` may carry what the link that led here says."""
    words = text.strip().lower().split(maxsplit=1)
    whole = "/start" if words[:1] == ["/start"] else " ".join(words)
    return _COMMANDS.get(whole, ASK)


def _asks(event: Message) -> bool:
    """Is there anything that the app could be asked?"""
    return bool(event.text.strip() or event.attachments or any(quote.attachments for quote in event.quotes))
