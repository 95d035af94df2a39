"""One answer from start to end, however often the process dies in between.

Rules of this file (DESIGN 3.4):
- before a request leaves, its attempt is committed: the same ``responseChatItemId`` never goes out twice, but where no
  byte of the request left;
- once the answer is whole it is kept whole: a restart, a ban or an hour without the platform delivers that text and
  does not ask again. Kept answers that wait for the screen are the outbox; there is no other;
- the death of the process is no failure of the turn. Three raised errors or ten deaths are: an apology ends it.

How it gets onto the screen is delivery.py.
"""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from bridge.answer import Answer, Rest, answer_key, rest_key
from bridge.core import ASK, NEW, RETRY, SAY, STOP, WELCOME, Bot, Core, Task
from bridge.delivery import Delivery
from bridge.history import History
from bridge.joined import in_words, waits
from bridge.metrics import TURNS
from bridge.model import AnyEvent, Gone, Message, Rejected
from bridge.question import Question, Questions
from bridge.replies import Replies
from bridge.session import Session, new_epoch
from bridge.stops import Stops
from bridge.store import Engine, Job, StoreError
from bridge.words import Language, say

log = logging.getLogger(__name__)

ERRORS_MOST = 3
DEATHS_MOST = 10
_OPENING = re.compile(r"^[ \t]*(?:[-*] )?\[([^\]\n]+)\][ \t]*$", re.MULTILINE)
"""A question that FastGPT's own page offers to be tapped: a line of the welcome text in brackets."""
MORE = frozenset(("", "继续", "continue", "more", "1"))
"""What a user sends for no other reason than to see the rest of an answer."""
STORE_WAIT = 5.0
"""Seconds before a turn that could not be written down is tried again."""


class Turns:
    """Works on the jobs of the inbox."""

    def __init__(
        self, engine: Engine, bots: Mapping[str, Bot], core: Core, questions: Questions, replies: Replies
    ) -> None:
        self._engine = engine
        self._bots = bots
        self._core = core
        self._questions = questions
        self._replies = replies
        self._stops = Stops()

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
            task = msgspec.structs.replace(task, does=SAY, text=say("nothing_to_stop", bot.language(task.event)))
        lane = bot.lane(task.event)
        session_key = f"session:{lane}"
        while True:
            try:
                kept, session, rest = await self._engine.get(answer_key(job.key), session_key, rest_key(lane))
                break
            except StoreError as error:
                if not await _outwaited(job, error):
                    return False
        answer = msgspec.json.decode(kept, type=Answer) if kept else Answer()
        if answer.piece_of:
            return True
        event = task.event
        if isinstance(event, Message) and event.edited and answer.edited != event.at and not answer.whole:
            answer.text, answer.asked, answer.edited = "", None, event.at  # what came was about other words
        turn = _Turn(
            self._engine,
            self._questions,
            bot,
            job,
            task,
            answer,
            session_key,
            msgspec.json.decode(session, type=Session) if session else None,
            msgspec.json.decode(rest, type=Rest).text if rest else "",
            self._stops,
            self._replies,
        )
        return await turn.run()

    async def close(self) -> None:
        await self._stops.close()


@dataclass(slots=True, eq=False)
class _Turn:
    _engine: Engine
    _questions: Questions
    _bot: Bot
    _job: Job
    _task: Task
    _answer: Answer
    _session_key: str
    _session: Session | None
    _rest: str
    """What the answer before could not show; it is shown first, unless the user turns away from it."""
    _stops: Stops
    _replies: Replies
    _chat_id: str = ""
    _pieces: dict[str, bytes | None] = field(default_factory=dict)
    """What the other messages of the question are to be told with the next commit."""

    @property
    def _event(self) -> AnyEvent:
        return self._task.event

    @property
    def _language(self) -> Language:
        return self._bot.language(self._event)

    # ------------------------------------------------------------ life and death

    async def run(self) -> bool:
        self._answer.begun += 1
        earlier = "" if self._answer.whole else self._answer.text
        while True:
            if self._job.halted == "withdraw" and not self._answer.ids:
                await self._give_back()
                TURNS.labels(self._bot.name, "stopped").inc()
                return True
            try:
                if self._answer.begun > DEATHS_MOST or self._answer.errors >= ERRORS_MOST:
                    self._apologise()
                else:
                    begun = await self._begin()
                    if begun != "show":
                        return begun == "skip"
                done = await self._deliver(earlier)
            except Rejected as refusal:
                log.warning("job %s: the platform refuses the answer for good: %s", self._job.key, refusal)
                sorry = say("refused", self._language)
                if isinstance(refusal, Gone) or self._answer.note == sorry:
                    TURNS.labels(self._bot.name, "refused").inc()
                    return True
                self._answer.text, self._answer.note, self._answer.whole = "", sorry, True
                self._answer.tried, self._answer.owed = None, ""  # they may be what is refused
                continue
            except StoreError as error:  # no fault of the turn: it goes on when the disk does
                if not await _outwaited(self._job, error):
                    return False
                continue
            except Exception:
                self._answer.errors += 1
                if self._answer.errors > ERRORS_MOST:
                    log.exception("job %s: even the apology failed", self._job.key)
                    TURNS.labels(self._bot.name, "lost").inc()
                    return True
                log.exception("job %s: error %d of %d", self._job.key, self._answer.errors, ERRORS_MOST)
                self._engine.put(self._answer.row(self._job.key))
                continue
            if done:
                stopped = self._job.halted in ("stop", "withdraw")
                TURNS.labels(self._bot.name, "stopped" if stopped else "done").inc()
                return True
            if self._job.halted == "withdraw":  # what came onto the screen just then gets its end
                self._answer.note, self._answer.whole = say("stopped", self._language), True
                continue
            self._answer.begun -= 1  # parked is not dead
            self._engine.put(self._answer.row(self._job.key))
            return False

    async def _give_back(self) -> None:
        """This turn was to bring the rest of an earlier answer, and will not: the next one shall."""
        if self._answer.owed and not self._answer.parts:
            row = msgspec.json.encode(Rest(self._answer.owed))
            await self._engine.put({rest_key(self._bot.lane(self._event)): row})

    def _apologise(self) -> None:
        trace = secrets.token_hex(4)
        log.error("job %s is given up after %d starts; error id %s", self._job.key, self._answer.begun, trace)
        if self._answer.errors >= ERRORS_MOST:
            self._answer.text = ""  # the text itself may be what cannot be shown
            self._answer.tried, self._answer.owed = None, ""
        self._answer.note = say("bug", self._language, trace=trace)
        self._answer.whole = True

    # ------------------------------------------------------------ what the task asks for

    async def _begin(self) -> Literal["show", "skip", "park"]:
        """Bring the answer to where it can be shown: its own words, or a question ready to be asked. ``skip``: there is
        nothing to answer."""
        does, event, session = self._task.does, self._event, self._session
        if self._answer.whole:
            self._rest = ""  # it may be this answer's own
            self._chat_id = self._chat(session.epoch) if session else ""
        elif does == NEW:
            self._session = Session(new_epoch(session, event.at), event.at)
            self._finish(say("new", self._language))
        elif does == RETRY and (session is None or session.last is None):
            self._finish(say("nothing_to_retry", self._language))
        elif does == WELCOME:
            self._finish(await self._welcome())
        elif does == SAY:
            self._finish(self._task.text)
        elif does == ASK and self._rest and self._wants_more():
            self._finish("")
        else:
            if does == ASK and isinstance(event, Message) and self._answer.asked is None:
                gathered = await self._questions.gather(self._bot, self._job, event)
                if gathered is None:
                    return "park"
                if gathered.message is None:
                    await self._engine.put(gathered.rows)
                    return "skip"
                if waits(event) or self._bot.config.debounce:
                    self._answer.asked, self._pieces = gathered.message, gathered.rows
            await self._complete()
            self._open_session()
            self._answer.attempt += 1
        rows = self._pieces
        if self._rest and does in (ASK, NEW, RETRY):
            self._answer.owed = self._rest if does == ASK else ""
            rows[rest_key(self._bot.lane(event))] = None
            self._rest = ""
        rows |= self._answer.row(self._job.key)
        if self._session is not None:
            rows[self._session_key] = msgspec.json.encode(self._session)
        await self._engine.put(rows)
        self._pieces = {}
        return "show"

    def _wants_more(self) -> bool:
        """Does the message say no more than that the answer before shall go on?"""
        event = self._event
        if not isinstance(event, Message) or event.quotes:
            return False
        readable = self._bot.adapter.caps(event).inbound
        more = event.text.strip().lower() in MORE
        return more and not any(attachment.kind in readable for attachment in event.attachments)

    async def _welcome(self) -> str:
        """The bot's own words, else the app's, else ours."""
        if self._bot.config.welcome:
            return self._bot.config.welcome
        settings = await self._bot.api.settings(self._chat(new_epoch(None, self._event.at)))
        theirs = _OPENING.sub(r"- \1", settings.welcome) if settings else ""
        return theirs or say("welcome", self._language)

    def _finish(self, text: str) -> None:
        self._answer.text, self._answer.whole = text, True

    async def _complete(self) -> None:
        """Learn what the event only named: the variables and the question tell it to the app."""
        if isinstance(event := self._event, Message):
            event = await self._questions.complete(self._bot, event)
            self._task = msgspec.structs.replace(self._task, event=event)
        if self._answer.asked is not None:
            self._answer.asked = await self._questions.complete(self._bot, self._answer.asked)

    def _open_session(self) -> None:
        event, idle = self._event, self._bot.config.reset_after * 3600
        session = self._session
        if session is None or (idle and event.at - session.at > idle):
            session = Session(new_epoch(session, event.at), event.at, session.last if session else None)
        session.at = max(session.at, event.at)
        if self._task.does == ASK:
            session.last = self._new_question()
        self._session = session
        self._chat_id = self._chat(session.epoch)

    def _chat(self, epoch: str) -> str:
        return f"{self._bot.lane(self._event)}.{epoch}"

    def _new_question(self) -> Message:
        asked = self._answer.asked or self._event
        assert isinstance(asked, Message)
        return asked

    # ------------------------------------------------------------ the answer

    async def _deliver(self, earlier: str) -> bool:
        asks = self._task.does in (ASK, RETRY) and bool(self._chat_id)
        again = self._task.does == RETRY
        asked = (self._session.last if again and self._session else self._new_question()) if asks else None
        delivery = Delivery(
            self._engine,
            self._questions,
            self._bot,
            self._job,
            self._event,
            self._answer,
            Question(asked, self._chat_id, again) if asked else None,
            earlier,
            self._stops,
            self._replies,
        )
        done = await delivery.run()
        if done and asked and self._bot.app_config.kind == "openai":  # FastGPT keeps its history itself
            question, answer = in_words(asked), self._answer.text
            if answer.strip():
                history = History(self._engine, self._chat_id, self._bot.app_config.history)
                await history.add(question, answer, again=again)
        return done


async def _outwaited(job: Job, error: StoreError) -> bool:
    """Wait for the store; False when the job is to be left instead."""
    log.error("job %s waits for the store: %s", job.key, error)
    await asyncio.sleep(STORE_WAIT)
    return job.halted not in ("park", "again")
