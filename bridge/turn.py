"""One answer from start to end, however often the process dies in between.

Rules of this file (DESIGN 3.4):
- before a request leaves, its attempt is committed: the same ``responseChatItemId`` never goes out twice, but where no
  byte of the request left;
- after each call to the platform its ``ref`` is committed before the next: a restart changes the same messages;
- once the answer is whole it is kept whole: a restart, a ban or an hour without the platform delivers that text and
  does not ask again. Kept answers that wait for the screen are the outbox; there is no other;
- the death of the process is no failure of the turn. Three raised errors or ten deaths are: an apology ends it.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing

import msgspec

from bridge.core import ASK, NEW, RETRY, STOP_KEY, Bot, Said, Task, said_key
from bridge.fastgpt import Ask, Choices, Delta, Done, Status, UpstreamError
from bridge.metrics import TURNS, UPSTREAM_ERRORS
from bridge.model import AnyEvent, Button, Form, Message, Rejected, Show, Shown
from bridge.present import Presenter
from bridge.pump import Pump
from bridge.session import Session, item_id, new_epoch, variables
from bridge.store import Engine, Job
from bridge.words import Language, say

log = logging.getLogger(__name__)

ERRORS_MOST = 3
DEATHS_MOST = 10
BUSY_TRIES = 10
"""How often an app that is still busy with this conversation is asked again, 2 s, 4 s … 10 s apart."""
UNSENT_WAIT = 1.0, 15.0
"""Seconds between two tries of a request that never left: the first, the most."""


class Answer(msgspec.Struct, omit_defaults=True):
    """What is kept of an answer. ``text`` is what came so far, or all of it once ``whole``."""

    attempt: int = -1
    begun: int = 0
    errors: int = 0
    ref: str = ""
    ids: tuple[str, ...] = ()
    parts: int = 0
    text: str = ""
    note: str = ""
    whole: bool = False

    def __repr__(self) -> str:
        return f"Answer(attempt={self.attempt}, begun={self.begun}, whole={self.whole})"


class Turns:
    """Works on the jobs of the inbox."""

    def __init__(self, engine: Engine, bots: Mapping[str, Bot]) -> None:
        self._engine = engine
        self._bots = bots
        self._aside: set[asyncio.Task[None]] = set()

    async def run(self, job: Job) -> bool:
        """See bridge.store.Handle."""
        task = msgspec.json.decode(job.body, type=Task)
        bot = self._bots.get(task.event.conversation.bot)
        if bot is None:
            log.warning("job %s is for a bot that is not in the config; it stays until the bot comes back", job.key)
            return False
        session_key = f"session:{bot.lane(task.event)}"
        kept, session = await self._engine.get(f"answer:{job.key}", session_key)
        turn = _Turn(
            self._engine,
            bot,
            job,
            task,
            msgspec.json.decode(kept, type=Answer) if kept else Answer(),
            session_key,
            msgspec.json.decode(session, type=Session) if session else None,
            self._beside,
        )
        return await turn.run()

    async def close(self) -> None:
        """Give what was begun beside the turns its last moments."""
        if self._aside:
            await asyncio.wait(self._aside, timeout=1.0)

    def _beside(self, work: Awaitable[None]) -> None:
        """Do something that the turn does not wait for."""
        task = asyncio.ensure_future(work)
        self._aside.add(task)
        task.add_done_callback(self._aside.discard)


class _Turn:
    def __init__(
        self,
        engine: Engine,
        bot: Bot,
        job: Job,
        task: Task,
        answer: Answer,
        session_key: str,
        session: Session | None,
        beside: Callable[[Awaitable[None]], None],
    ) -> None:
        self._engine = engine
        self._bot = bot
        self._job = job
        self._task = task
        self._answer = answer
        self._session_key = session_key
        self._session = session
        self._beside = beside
        self._event: AnyEvent = task.event
        self._earlier = "" if answer.whole else answer.text
        self._language: Language = bot.language(task.event)
        self._chat_id = ""

    # ------------------------------------------------------------ life and death

    async def run(self) -> bool:
        self._answer.begun += 1
        while True:
            try:
                if self._answer.begun > DEATHS_MOST or self._answer.errors >= ERRORS_MOST:
                    self._apologise()
                else:
                    await self._begin()
                done = await self._show()
            except Rejected as refusal:
                log.warning("job %s: the platform refuses the answer for good: %s", self._job.key, refusal)
                TURNS.labels(self._bot.name, "refused").inc()
                return True
            except Exception:
                self._answer.errors += 1
                if self._answer.errors > ERRORS_MOST:
                    log.exception("job %s: even the apology failed", self._job.key)
                    TURNS.labels(self._bot.name, "lost").inc()
                    return True
                log.exception("job %s: error %d of %d", self._job.key, self._answer.errors, ERRORS_MOST)
                await self._keep()
                continue
            if done:
                TURNS.labels(self._bot.name, "stopped" if self._job.halted == "stop" else "done").inc()
            return done

    def _apologise(self) -> None:
        trace = secrets.token_hex(4)
        log.error("job %s is given up after %d starts; error id %s", self._job.key, self._answer.begun, trace)
        self._answer.note = say("bug", self._language, trace=trace)
        self._answer.whole = True

    # ------------------------------------------------------------ what the task asks for

    async def _begin(self) -> None:
        """Bring the answer to where it can be shown: its own words, or a question ready to be asked."""
        does, event, session = self._task.does, self._event, self._session
        if self._answer.whole:
            self._chat_id = self._chat(session.epoch) if session else ""
            return
        if does == NEW:
            self._session = Session(new_epoch(session, event.at), event.at)
            self._finish(say("new", self._language))
        elif does == RETRY and (session is None or session.last is None):
            self._finish(say("nothing_to_retry", self._language))
        elif does in (ASK, RETRY):
            self._open_session()
            self._answer.attempt += 1
        else:
            self._finish(self._task.text)
        await self._keep(session=True)

    def _finish(self, text: str) -> None:
        self._answer.text, self._answer.whole = text, True

    def _open_session(self) -> None:
        event, idle = self._event, self._bot.config.reset_after * 3600
        session = self._session
        if session is None or (idle and event.at - session.at > idle):
            session = Session(new_epoch(session, event.at), event.at)
        session.at = max(session.at, event.at)
        if isinstance(event, Message) and self._task.does == ASK:
            session.last = event
        self._session = session
        self._chat_id = self._chat(session.epoch)

    def _chat(self, epoch: str) -> str:
        return f"{self._bot.lane(self._event)}.{epoch}"

    # ------------------------------------------------------------ onto the screen

    async def _show(self) -> bool:
        bot, answer, event = self._bot, self._answer, self._event
        caps = bot.adapter.caps(event)
        stop = Button(STOP_KEY, say("stop", self._language), "stop")
        buttons = (stop,) if caps.buttons and not answer.whole else ()
        presenter = Presenter(caps, asyncio.get_running_loop().time(), shown=answer.parts, buttons=buttons)
        surface = bot.adapter.answer(event, self._job.key, answer.ref or None)
        pump = Pump(presenter, surface, bot.budget, event.conversation.chat, caps, self._shown)
        self._pump = pump
        reader = None
        if answer.whole:
            pump.feed(answer.text)
            pump.end(answer.note)
        else:
            reader = asyncio.create_task(self._read(pump))
        self._job.on_halt = lambda: self._halt(pump, reader)
        if self._job.halted:
            self._job.on_halt()
        try:
            done = await pump.run()
        finally:
            if reader is not None:
                reader.cancel()
        if reader is not None and reader.done() and not reader.cancelled():
            reader.result()  # a bug in it is a bug of the turn
        if done:
            await self._end()
        return done

    def _halt(self, pump: Pump, reader: asyncio.Task[None] | None) -> None:
        if self._job.halted == "park":
            pump.park()
        if reader is None or reader.done():
            return
        reader.cancel()
        if self._job.halted == "stop":
            self._whole(pump, say("stopped", self._language))
            if self._bot.app_config.app_id:
                self._beside(self._bot.app.stop(self._chat_id))

    async def _shown(self, op: Show, shown: Shown) -> None:
        """Commit what a restart needs; await it only when something new is on the screen."""
        answer = self._answer
        new = [i for i in shown.ids if i not in answer.ids]
        fresh = bool(new) or shown.ref != answer.ref
        answer.ref, answer.ids = shown.ref, shown.ids
        answer.parts = max(answer.parts, op.part + 1)
        if not answer.whole:
            answer.text = self._pump.text
        said = msgspec.json.encode(Said(self._job.key, self._job.lane, self._job.owner)) if new else b""
        chat = self._event.conversation.chat
        written = self._engine.put(
            {f"answer:{self._job.key}": self._record(), **{said_key(self._bot.name, chat, i): said for i in new}}
        )
        if fresh:
            await written

    # ------------------------------------------------------------ from the app

    async def _read(self, pump: Pump) -> None:
        """Ask, and feed what comes to the pump; ends with the whole answer kept."""
        try:
            note = await self._ask(pump)
        except UpstreamError as error:
            UPSTREAM_ERRORS.labels(self._bot.config.app, error.reason).inc()
            log.warning("job %s: app %s: %s: %s", self._job.key, self._bot.config.app, error.reason, error.detail)
            note = say(error.reason, self._language)
            if not pump.text.strip():
                pump.feed(self._earlier)  # what came before the restart stays
        except Exception:
            pump.park()
            raise
        if not pump.text.strip() and not note:
            note = say("empty", self._language)
        self._whole(pump, note)

    def _whole(self, pump: Pump, note: str) -> None:
        answer = self._answer
        answer.text, answer.note, answer.whole = pump.text, note, True
        pump.end(note)
        self._engine.put({f"answer:{self._job.key}": self._record()})

    async def _ask(self, pump: Pump) -> str:
        """One question, asked until it is answered; gives a last paragraph, or nothing."""
        deadline = time.monotonic() + self._bot.app_config.first_token_timeout
        unsent, busy = UNSENT_WAIT[0], 0
        ask = await self._question()
        while True:
            try:
                return await self._stream(ask, pump)
            except UpstreamError as error:
                if error.reason == "rate":
                    log.info("job %s: the app is at its limit; held for %.0f s", self._job.key, error.retry_after or 0)
                    await asyncio.sleep(error.retry_after or UNSENT_WAIT[1])
                elif error.reason == "busy" and busy < BUSY_TRIES:
                    busy += 1
                    if busy == 1 and self._answer.attempt:  # our own turn, lost in a crash, still holds the lock
                        await self._bot.app.stop(self._chat_id)
                    await asyncio.sleep(min(10.0, 2.0 * busy))
                elif not error.sent and time.monotonic() < deadline:
                    await asyncio.sleep(unsent)
                    unsent = min(UNSENT_WAIT[1], unsent * 2)
                    continue  # the same id: no byte of it left
                else:
                    raise
            self._answer.attempt += 1
            await self._keep()
            ask = msgspec.structs.replace(ask, item_id=item_id(self._event.id, self._answer.attempt))

    async def _stream(self, ask: Ask, pump: Pump) -> str:
        async with aclosing(self._bot.app.stream(ask)) as pieces:
            async for piece in pieces:
                if isinstance(piece, Delta):
                    pump.feed(piece.text)
                elif isinstance(piece, Status):
                    pump.status(f"{piece.text}…")
                elif isinstance(piece, Choices):
                    pump.feed(_listed(piece.description, [label for label, _ in piece.options]))
                elif isinstance(piece, Form):
                    pump.feed(_listed(piece.title, [field.label for field in piece.fields]))
                elif isinstance(piece, Done):
                    if piece.cut:
                        return say("cut", self._language)
                    if piece.finish in ("length", "content_filter"):
                        return say(f"finish_{piece.finish}", self._language)
        return ""

    async def _question(self) -> Ask:
        bot, event, session = self._bot, self._event, self._session
        assert session is not None
        asked = session.last if self._task.does == RETRY else event
        assert isinstance(asked, Message)
        history: tuple[tuple[str, str], ...] = ()
        if bot.app_config.kind == "openai":
            history = await self._history()
            if self._task.does == RETRY and history and history[-1][0] == asked.text:
                history = history[:-1]
        values = variables(bot.config.platform, event, bot.app_config.variables, bot.config.variables)
        return Ask(
            chat_id=self._chat_id,
            content=asked.text,
            item_id=item_id(event.id, self._answer.attempt),
            uid=f"{bot.name}.{event.user.id}",
            variables=values,
            history=history,
        )

    async def _history(self) -> tuple[tuple[str, str], ...]:
        (row,) = await self._engine.get(f"history:{self._chat_id}")
        return msgspec.json.decode(row, type=tuple[tuple[str, str], ...]) if row else ()

    # ------------------------------------------------------------ into the store

    def _record(self) -> bytes:
        return msgspec.json.encode(self._answer)

    async def _keep(self, *, session: bool = False) -> None:
        values: dict[str, bytes | None] = {f"answer:{self._job.key}": self._record()}
        if session and self._session is not None:
            values[self._session_key] = msgspec.json.encode(self._session)
        await self._engine.put(values)

    async def _end(self) -> None:
        """Kind openai keeps its history here; FastGPT keeps it itself."""
        bot, answer, session = self._bot, self._answer, self._session
        if bot.app_config.kind != "openai" or self._task.does not in (ASK, RETRY) or not answer.text.strip():
            return
        asked = session.last if session and self._task.does == RETRY else self._event
        if isinstance(asked, Message):
            turns = (*await self._history(), (asked.text, answer.text))[-bot.app_config.history :]
            await self._engine.put({f"history:{self._chat_id}": msgspec.json.encode(turns)})


def _listed(title: str, items: list[str]) -> str:
    """What the app asks, as text: the words of an option answer it."""
    rows = [f"{number}. {item}" for number, item in enumerate(items, 1)]
    return "\n\n" + "\n".join(filter(None, [title, *rows]))
