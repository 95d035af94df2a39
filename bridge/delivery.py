"""One answer onto the screen: reads what the app says, shows it, and keeps what a restart needs.

Rules of this file (DESIGN 3.4):
- after each call to the platform its ``ref`` is committed before the next: a restart changes the same messages;
- before something is sent that cannot be changed any more, the attempt is committed;
- an answer is whole before its last Show goes out, and kept so.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from dataclasses import dataclass, field

import msgspec

from bridge.answer import Answer, Rest, Said, Tried, rest_key, said_key
from bridge.asking import Asking
from bridge.core import STOP_KEY, Bot
from bridge.linked import files_in
from bridge.live import Live
from bridge.metrics import REPEATED
from bridge.model import AnyEvent, Button, Caps, File, Show, Shown, Surface
from bridge.present import Presenter
from bridge.pump import Pump
from bridge.question import Question, Questions
from bridge.replies import Replies, ReplySurface
from bridge.segments import Segments
from bridge.stops import Stops
from bridge.store import Engine, Job
from bridge.words import Language, say

log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class Delivery:
    """``run`` once. Without a question the answer is whole already."""

    _engine: Engine
    _questions: Questions
    _bot: Bot
    _job: Job
    _event: AnyEvent
    _answer: Answer
    _question: Question | None
    _earlier: str
    """What came before a restart: it stays when nothing more comes."""
    _stops: Stops
    _replies: Replies
    _unknown: int = -1
    """The part that an earlier process was about to send when it died."""
    _presenter: Presenter = field(init=False)

    @property
    def _language(self) -> Language:
        return self._bot.language(self._event)

    async def run(self) -> bool:
        """True when all of the answer is on the screen, False when it was parked."""
        bot, answer, event = self._bot, self._answer, self._event
        caps = bot.adapter.caps(event)
        self._unknown = answer.attempting
        self._presenter = presenter = self._on_screen(caps)
        pump = Pump(
            presenter,
            self._surface(caps),
            bot.budget,
            bot.back,
            event.conversation.chat if caps.rate_of == "chat" else self._job.lane,
            caps,
            kept=self._shown,
            attempting=self._attempting,
            typing=lambda: bot.adapter.typing(event),
        )
        reader = None
        if answer.whole:
            pump.think(answer.thinking)
            pump.feed(answer.text)
            pump.end(answer.note, self._files())
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
        mine = self._job.lane == bot.lane(event)  # what is said aside has no rest worth keeping
        if done and mine and (rest := presenter.rest()):
            log.info("job %s: %d characters wait for the next message", self._job.key, len(rest))
            await self._engine.put({rest_key(bot.lane(event)): msgspec.json.encode(Rest(rest))})
        return done

    def _surface(self, caps: Caps) -> Surface:
        answer = self._answer
        surface = self._bot.adapter.answer(self._event, self._job.key, answer.ref or None)
        if caps.live:
            return surface
        there = Shown(answer.ref, answer.ids, calls=0)
        return ReplySurface(self._replies, self._job.key, self._event.at, surface, there)

    def _on_screen(self, caps: Caps) -> Presenter:
        """The presenter for the platform, where an earlier process has left it."""
        answer, now = self._answer, asyncio.get_running_loop().time()
        if caps.live:
            stop = Button(STOP_KEY, say("stop", self._language), "stop")
            buttons = (stop,) if caps.buttons and not answer.whole else ()
            return Live(
                caps,
                now,
                shown=answer.parts,
                filed=answer.filed,
                owed=answer.owed,
                sent=answer.sent,
                anew=say("anew", self._language),
                buttons=buttons,
            )
        return Segments(
            caps,
            parts=answer.parts,
            filed=answer.filed,
            sent=answer.sent,
            tried=answer.tried,
            owed=answer.owed,
            reply_until=self._replies.until(self._job.key),
            until=math.inf if caps.window is None else now + self._event.at + caps.window - time.time(),
            more=say("more", self._language),
            anew=say("anew", self._language),
        )

    def _halt(self, pump: Pump, reader: asyncio.Task[None] | None) -> None:
        how = self._job.halted
        pump.withdrawn = how == "withdraw"
        if how == "again" and self._answer.whole:
            return  # answered already
        if how in ("park", "again") or (how == "withdraw" and not self._answer.ids):
            pump.park()
        elif self._answer.whole:
            self._answer.filed = len(self._files())
            pump.enough()
        if reader is None or reader.done():
            return
        reader.cancel()
        if how in ("stop", "withdraw"):
            self._whole(pump, say("stopped", self._language))
        if how != "park" and self._question and self._bot.api.present:
            self._stops.begin(self._bot.api, self._question.chat_id)

    async def _attempting(self, op: Show, again: bool) -> None:
        """Commit that something is about to be sent that cannot be taken back."""
        if again or self._unknown == op.part:
            REPEATED.labels(self._bot.name).inc()
            log.warning("job %s: part %d is sent again: it is not known whether it arrived", self._job.key, op.part)
        self._answer.attempting, self._unknown = op.part, -1
        if self._presenter.sent.text and not op.files:
            self._answer.tried = Tried(op.text, self._presenter.sent)
            self._came(self._presenter.text)
        await self._engine.put(self._answer.row(self._job.key))

    async def _shown(self, op: Show, shown: Shown | None, text: str) -> None:
        """Commit what a restart needs; await it when something new is on the screen, or something final."""
        answer = self._answer
        if shown is None:
            shown = Shown(answer.ref, answer.ids)  # a file that was given up is done with, too
        if not shown.staged:
            answer.attempting, answer.tried = -1, None
        new = [i for i in shown.ids if i not in answer.ids]
        fresh = bool(new) or shown.ref != answer.ref
        answer.ref, answer.ids = shown.ref, shown.ids
        if shown.staged:
            pass  # nothing of it is on the screen
        elif op.files:
            answer.filed += 1
        elif op.final or self._bot.adapter.caps(self._event).places:
            answer.parts = max(answer.parts, op.part + 1)
            answer.sent = self._presenter.sent
        self._came(text)
        kept = self._answer.row(self._job.key)
        if new:
            said = msgspec.json.encode(Said(self._job.key, self._job.lane, self._job.owner))
            chat = self._event.conversation.chat
            kept |= {said_key(self._bot.name, chat, shown_id): said for shown_id in new}
        written = self._engine.put(kept)
        if fresh or op.final:
            await written

    def _came(self, text: str) -> None:
        """So much of the answer is here; what an earlier process had may be more."""
        if not self._answer.whole and len(text) >= len(self._earlier):
            self._answer.text = text

    # ------------------------------------------------------------ from the app

    async def _read(self, pump: Pump) -> None:
        """Ask, and feed what comes to the pump; ends with the whole answer kept."""
        try:
            assert self._question
            attempt = self._answer.attempt
            ask, about_files = await self._questions.ask(
                self._bot, self._question, self._event, attempt, self._language
            )
            note = ""
            if ask is not None:
                await self._stops.over(ask.chat_id)
                note = await Asking(self._bot, self._event, ask, attempt, self._next_attempt, self._language).run(pump)
                if not note and not pump.text.strip():
                    note = say("empty", self._language)
            self._whole(pump, "\n\n".join(filter(None, [note, about_files])))
        except Exception:
            pump.park()
            raise

    def _whole(self, pump: Pump, note: str) -> None:
        answer = self._answer
        if note and not pump.text.strip():
            pump.feed(self._earlier)  # what came before a restart stays
        answer.text, answer.note, answer.whole = pump.text, note, True
        answer.thinking = pump.thinking
        pump.end(note, self._files())
        self._engine.put(self._answer.row(self._job.key))

    def _files(self) -> tuple[File, ...]:
        sends = self._bot.adapter.caps(self._event).files
        found = files_in(self._answer.text, self._bot.app_config.base_url) if sends else ()
        return tuple(file for file in found if ("image" if file.image else "file") in sends)

    async def _next_attempt(self) -> int:
        self._answer.attempt += 1
        await self._engine.put(self._answer.row(self._job.key))
        return self._answer.attempt
