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
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import msgspec

from bridge.answer import Answer, Said, answer_key, said_key
from bridge.asking import Asking
from bridge.core import ASK, NEW, RETRY, STOP, STOP_KEY, Bot, Core, Task
from bridge.fastgpt import Ask
from bridge.history import History
from bridge.metrics import TURNS
from bridge.model import AnyEvent, Button, Gone, Message, Rejected, Show, Shown
from bridge.present import Presenter
from bridge.pump import Pump
from bridge.session import Session, item_id, new_epoch, variables
from bridge.store import Engine, Job, StoreError
from bridge.words import Language, say

log = logging.getLogger(__name__)

ERRORS_MOST = 3
DEATHS_MOST = 10
STORE_WAIT = 5.0
"""Seconds before a turn that could not be written down is tried again."""


class Turns:
    """Works on the jobs of the inbox."""

    def __init__(self, engine: Engine, bots: Mapping[str, Bot], core: Core) -> None:
        self._engine = engine
        self._bots = bots
        self._core = core
        self._aside: set[asyncio.Task[None]] = set()

    async def run(self, job: Job) -> bool:
        """See bridge.store.Handle."""
        task = msgspec.json.decode(job.body, type=Task)
        bot = self._bots.get(task.event.conversation.bot)
        if bot is None:
            log.warning("job %s is for a bot that is not in the config; it stays until the bot comes back", job.key)
            return False
        if task.does == STOP and isinstance(task.event, Message):
            if await self._core.stop(bot, task.event, job.number):
                return True
            task = msgspec.structs.replace(task, does="say", text=say("nothing_to_stop", bot.language(task.event)))
        session_key = f"session:{bot.lane(task.event)}"
        kept, session = await self._engine.get(answer_key(job.key), session_key)
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


@dataclass(slots=True, eq=False)
class _Turn:
    _engine: Engine
    _bot: Bot
    _job: Job
    _task: Task
    _answer: Answer
    _session_key: str
    _session: Session | None
    _beside: Callable[[Awaitable[None]], None]
    _chat_id: str = ""
    _earlier: str = ""
    """What came before a restart: it stays when nothing more comes."""

    @property
    def _event(self) -> AnyEvent:
        return self._task.event

    @property
    def _language(self) -> Language:
        return self._bot.language(self._event)

    # ------------------------------------------------------------ life and death

    async def run(self) -> bool:
        self._answer.begun += 1
        self._earlier = "" if self._answer.whole else self._answer.text
        while True:
            try:
                if self._answer.begun > DEATHS_MOST or self._answer.errors >= ERRORS_MOST:
                    self._apologise()
                else:
                    await self._begin()
                done = await self._show()
            except Rejected as refusal:
                log.warning("job %s: the platform refuses the answer for good: %s", self._job.key, refusal)
                sorry = say("refused", self._language)
                if isinstance(refusal, Gone) or self._answer.note == sorry:
                    TURNS.labels(self._bot.name, "refused").inc()
                    return True
                self._answer.text, self._answer.note, self._answer.whole = "", sorry, True
                continue
            except StoreError as error:  # no fault of the turn: it goes on when the disk does
                log.error("job %s waits for the store: %s", self._job.key, error)
                await asyncio.sleep(STORE_WAIT)
                if self._job.halted == "park":
                    return False
                continue
            except Exception:
                self._answer.errors += 1
                if self._answer.errors > ERRORS_MOST:
                    log.exception("job %s: even the apology failed", self._job.key)
                    TURNS.labels(self._bot.name, "lost").inc()
                    return True
                log.exception("job %s: error %d of %d", self._job.key, self._answer.errors, ERRORS_MOST)
                await self._engine.put(self._record())
                continue
            if done:
                TURNS.labels(self._bot.name, "stopped" if self._job.halted == "stop" else "done").inc()
            elif not self._answer.whole:
                self._answer.begun -= 1  # parked is not dead
                await self._engine.put(self._record())
            return done

    def _apologise(self) -> None:
        trace = secrets.token_hex(4)
        log.error("job %s is given up after %d starts; error id %s", self._job.key, self._answer.begun, trace)
        if self._answer.errors >= ERRORS_MOST:
            self._answer.text = ""  # the text itself may be what cannot be shown
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
        kept = self._record()
        if self._session is not None:
            kept[self._session_key] = msgspec.json.encode(self._session)
        await self._engine.put(kept)

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

    async def _shown(self, op: Show, shown: Shown, text: str) -> None:
        """Commit what a restart needs; await it only when something new is on the screen."""
        answer = self._answer
        new = [i for i in shown.ids if i not in answer.ids]
        fresh = bool(new) or shown.ref != answer.ref
        answer.ref, answer.ids = shown.ref, shown.ids
        answer.parts = max(answer.parts, op.part + 1)
        if not answer.whole and len(text) >= len(self._earlier):
            answer.text = text
        kept = self._record()
        if new:
            said = msgspec.json.encode(Said(self._job.key, self._job.lane, self._job.owner))
            chat = self._event.conversation.chat
            kept |= {said_key(self._bot.name, chat, shown_id): said for shown_id in new}
        written = self._engine.put(kept)
        if fresh:
            await written

    # ------------------------------------------------------------ from the app

    async def _read(self, pump: Pump) -> None:
        """Ask, and feed what comes to the pump; ends with the whole answer kept."""
        try:
            asking = Asking(
                self._bot, self._event, await self._question(), self._answer.attempt, self._next_attempt, self._language
            )
            note = await asking.run(pump)
        except Exception:
            pump.park()
            raise
        if not note and not pump.text.strip():
            note = say("empty", self._language)
        self._whole(pump, note)

    def _whole(self, pump: Pump, note: str) -> None:
        answer = self._answer
        if note and not pump.text.strip():
            pump.feed(self._earlier)  # what came before a restart stays
        answer.text, answer.note, answer.whole = pump.text, note, True
        pump.end(note)
        self._engine.put(self._record())

    async def _next_attempt(self) -> int:
        self._answer.attempt += 1
        await self._engine.put(self._record())
        return self._answer.attempt

    async def _question(self) -> Ask:
        bot, event = self._bot, self._event
        text = self._asked().text
        openai = bot.app_config.kind == "openai"
        return Ask(
            chat_id=self._chat_id,
            content=text,
            item_id=item_id(event.id, self._answer.attempt),
            uid=f"{bot.name}.{event.user.id}",
            variables=variables(bot.config.platform, event, bot.app_config.variables, bot.config.variables),
            history=await self._history().before(text, again=self._task.does == RETRY) if openai else (),
        )

    def _asked(self) -> Message:
        """The question: the event itself, or the last one with /retry."""
        asked = self._session.last if self._session and self._task.does == RETRY else self._event
        assert isinstance(asked, Message)
        return asked

    def _history(self) -> History:
        return History(self._engine, self._chat_id, self._bot.app_config.history)

    # ------------------------------------------------------------ into the store

    def _record(self) -> dict[str, bytes | None]:
        return {answer_key(self._job.key): msgspec.json.encode(self._answer)}

    async def _end(self) -> None:
        """Kind openai keeps its history here; FastGPT keeps it itself."""
        text = self._answer.text
        if self._bot.app_config.kind == "openai" and self._task.does in (ASK, RETRY) and self._chat_id and text.strip():
            await self._history().add(self._asked().text, text, again=self._task.does == RETRY)
