"""The question of a turn: put together from the messages it came in, and made ready for the app.

Rules of this file:
- whatever waits in the lane and belongs to the question is part of it; the jobs of the pieces are told so in the same
  transaction as the attempt, so a crash finds either all of them open or one question;
- a file that cannot reach the app does not hold the question up: the user is told at the end of the answer.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from itertools import takewhile
from typing import NamedTuple

import msgspec

from bridge.answer import Answer, Said, answer_key, said_key
from bridge.attach import Attaching
from bridge.core import ASK, Bot, Core, Task
from bridge.fastgpt import Ask
from bridge.history import History, Pair
from bridge.joined import QUIET, in_words, joined, pieces, waits, with_quotes
from bridge.model import AnyEvent, Message, Quote
from bridge.session import item_id, variables
from bridge.store import Engine, Job
from bridge.words import Language, say

LATE = 5.0
"""Seconds to wait for the pieces of a message that is older than that: the platform may still be handing out what came
while the bridge was away."""


class Question(NamedTuple):
    """What is asked, in which chat of the app, and whether it was asked before (/retry)."""

    message: Message
    chat_id: str
    retry: bool


class Gathered(msgspec.Struct, frozen=True):
    """``message`` is None when no piece was meant for the bot; ``rows`` tell the other pieces' jobs."""

    message: Message | None
    rows: dict[str, bytes | None]


class Questions:
    def __init__(
        self, engine: Engine, attaching: Attaching, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self._engine = engine
        self._attaching = attaching
        self._sleep = sleep

    async def gather(self, bot: Bot, job: Job, first: Message) -> Gathered | None:
        """The whole question that begins with ``first``; waits while more of it may be on its way. None when the job
        was parked, or the message edited, meanwhile."""
        debounce = bot.config.debounce
        if not (waits(first) or debounce):
            return Gathered(first if Core.addressed(bot, first) else None, {})
        found, keys = await self._pieces(job, first, debounce)
        quiet = debounce
        if waits(first):
            quiet = max(quiet, QUIET if time.time() - first.at < LATE else LATE)
        while not job.halted:
            await self._rest(job, quiet)
            before = len(found)
            found, keys = await self._pieces(job, first, debounce)
            if len(found) == before:
                break
        if job.halted in ("park", "again"):
            return None
        if job.halted == "withdraw":  # the others are questions of their own
            return Gathered(None, {})
        note = msgspec.json.encode(Answer(piece_of=job.key))
        rows: dict[str, bytes | None] = {answer_key(keys[piece.id]): note for piece in found if piece.id != first.id}
        meant = any(Core.addressed(bot, piece) for piece in found)
        return Gathered(joined(found) if meant else None, rows)

    async def _rest(self, job: Job, seconds: float) -> None:
        """Wait, or until the job is halted."""
        nap = asyncio.ensure_future(self._sleep(seconds))

        def wake() -> None:
            nap.cancel()

        job.on_halt = wake
        try:
            if not job.halted:
                await asyncio.wait([nap])
        finally:
            nap.cancel()

    async def _pieces(self, job: Job, first: Message, debounce: float) -> tuple[list[Message], dict[str, str]]:
        """What has come of the question, and the job of each message by its id."""
        tasks = [(job.key, msgspec.json.decode(job.body, type=Task)) for job in await self._engine.waiting(job.lane)]
        if not first.group:  # the pieces of a text follow each other
            tasks = list(takewhile(lambda each: each[1].does == ASK, tasks))
        waiting = {
            task.event.id: (key, task.event)
            for key, task in tasks
            if task.does == ASK and isinstance(task.event, Message)
        }
        keys = {number: key for number, (key, _) in waiting.items()}
        return pieces(first, [message for _, message in waiting.values()], debounce), keys

    async def complete(self, bot: Bot, message: Message) -> Message:
        """The message with what its event only named: our own answers are in the store, the platform knows the rest."""
        if any(quote.bare for quote in message.quotes):
            quotes = [await self._answered(bot, message, quote) if quote.bare else quote for quote in message.quotes]
            message = msgspec.structs.replace(message, quotes=tuple(quotes))
        return await bot.adapter.complete(message)

    async def _answered(self, bot: Bot, message: Message, quote: Quote) -> Quote:
        """The quote with its words, when it is an answer of ours."""
        (said,) = await self._engine.get(said_key(bot.name, message.conversation.chat, quote.id))
        if said is None:
            return quote
        (row,) = await self._engine.get(answer_key(msgspec.json.decode(said, type=Said).job))
        text = msgspec.json.decode(row, type=Answer).text if row else ""
        return msgspec.structs.replace(quote, text=text, own=not text)

    async def ask(
        self, bot: Bot, question: Question, to: AnyEvent, attempt: int, language: Language
    ) -> tuple[Ask | None, str]:
        """The question as the app gets it, in the turn of the event ``to``, and what the user has to know about its
        files; None when nothing is left to be asked."""
        chat_id = question.chat_id
        text, attachments = with_quotes(question.message)
        brought = await self._attaching.parts(bot, to, chat_id, attachments)
        note = "\n".join(say(key, language, **values) for key, values in brought.notes)
        content = [{"type": "text", "text": text}, *brought.parts] if text else brought.parts
        if not content:
            return None, note or say("quote_unreadable" if question.message.quotes else "no_text", language)
        app = bot.app_config
        history: tuple[Pair, ...] = ()
        if app.kind == "openai":
            kept = History(self._engine, chat_id, app.history)
            history = await kept.before(in_words(question.message), again=question.retry)
        ask = Ask(
            chat_id=chat_id,
            content=content if brought.parts else text,
            item_id=item_id(to, attempt),
            uid=f"{bot.name}.{to.user.id}",
            variables=variables(bot.config.platform, to, app.variables, bot.config.variables),
            history=history,
        )
        return ask, note
