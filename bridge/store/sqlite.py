"""The embedded engine: one SQLite file (writer.py), and an actor per lane.

Rules of this file:
- a job is in its lane's queue until it was worked on: rows are the truth, queues are made of them;
- a lane does not wait for the done mark of a job. While the disk refuses it, the mark is tried again: the process knows
  that the job is done, and asks nothing twice;
- a lane lives while it has jobs: thousands of conversations cost nothing while they are silent.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress

from bridge.store import Handle, Job, StoreError, nobody
from bridge.store.writer import Writer

log = logging.getLogger(__name__)

SCHEMA = (
    """
    CREATE TABLE inbox (
        id    INTEGER PRIMARY KEY AUTOINCREMENT,
        key   TEXT NOT NULL UNIQUE,
        lane  TEXT NOT NULL,
        owner TEXT NOT NULL,
        body  BLOB NOT NULL,
        at    REAL NOT NULL,
        done  INTEGER NOT NULL DEFAULT 0
    );
    CREATE INDEX inbox_open ON inbox (id) WHERE done = 0;
    CREATE TABLE kept (
        key   TEXT PRIMARY KEY,
        value BLOB NOT NULL,
        at    REAL NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX kept_at ON kept (at);
    """,
    """
    CREATE INDEX inbox_done ON inbox (at) WHERE done = 1;
    """,
)
"""Step n leads from version n to n + 1. Never edit a step that was released: add one."""

PIECE = 500
"""Rows deleted in one transaction."""
REDELIVERED = 48 * 3600.0
"""Seconds for which a platform may deliver an event again: as long its key stays known."""
PRUNE_INBOX = "DELETE FROM inbox WHERE id IN (SELECT id FROM inbox WHERE done = 1 AND at < ? LIMIT ?)"
PRUNE_KEPT = """
    DELETE FROM kept WHERE key IN (
        SELECT key FROM kept WHERE at < ? AND key >= ? AND key < ?
            AND NOT EXISTS (SELECT 1 FROM inbox WHERE inbox.key = substr(kept.key, ?) AND done = 0)
        LIMIT ?
    )
"""
AMEND = """
    UPDATE inbox SET body = ? WHERE key = ? AND lane = ? AND done = 0
        AND NOT EXISTS (SELECT 1 FROM inbox AS newer WHERE newer.id > inbox.id AND newer.lane = inbox.lane)
"""
WITHDRAW = """
    INSERT INTO inbox (key, lane, owner, body, at, done) VALUES (?, '', '', '', ?, 1)
        ON CONFLICT (key) DO UPDATE SET done = 1
"""
LAST = "\U0010ffff"
"""No key goes on with a character behind this one."""
MARK_AGAIN = 1.0, 5.0
"""Seconds before a done mark that could not be written is tried again: the first time, each other time."""
PARK = 1.0
"""Seconds that parked jobs get to finish the call they are in."""


class SQLite:
    """See bridge.store.Engine. ``path`` may be ``:memory:``."""

    def __init__(self, path: str) -> None:
        self._writer = Writer(path, SCHEMA)
        self._do = self._writer.do
        self._lanes: dict[str, deque[Job]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._unmarked: set[str] = set()
        self._marking: asyncio.Task[None] | None = None
        self._slots: dict[str, float] = {}
        self._numbers = 0
        self._closing = False
        self._handle: Handle | None = None

    # ------------------------------------------------------------ life

    async def start(self, handle: Handle | None) -> None:
        self._handle = handle
        await self._writer.open(upgrade=handle is not None)
        if handle is not None:
            for key, lane, owner, body in await self._do(
                lambda db: db.execute("SELECT key, lane, owner, body FROM inbox WHERE done = 0 ORDER BY id").fetchall()
            ):
                self._enqueue(Job(key, lane, body, owner))

    async def close(self, grace: float) -> None:
        self._closing = True
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=max(0.0, grace - PARK))
        for lane in self._lanes.values():
            lane[0].halt("park")
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=PARK)
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        if self._marking is not None:
            self._marking.cancel()
            await asyncio.wait((self._marking,))
        if self._unmarked:
            with suppress(StoreError):
                await self._mark(*self._unmarked)
        await self._writer.close()

    # ------------------------------------------------------------ inbox

    async def submit(self, jobs: Sequence[Job]) -> list[bool]:
        at = time.time()

        def insert(db: sqlite3.Connection) -> list[bool]:
            sql = "INSERT OR IGNORE INTO inbox (key, lane, owner, body, at) VALUES (?, ?, ?, ?, ?)"
            return [db.execute(sql, (j.key, j.lane, j.owner, j.body, at)).rowcount == 1 for j in jobs]

        fresh: list[bool] = await self._do(insert)
        for job, new in zip(jobs, fresh, strict=True):
            if new and self._handle is not None:
                self._enqueue(job)
        return fresh

    async def stop(
        self, lane: str, owner: str | None = None, *, key: str | None = None, before: int | None = None
    ) -> int:
        job = next(iter(self._lanes.get(lane, ())), None)
        if job is None or owner not in (None, job.owner) or key not in (None, job.key):
            return 0
        if job.halted in ("stop", "withdraw", "park") or (before is not None and job.number > before):
            return 0
        job.halt("stop")
        return 1

    async def withdraw(self, key: str) -> None:
        at = time.time()
        if not self._halt_running(key):
            await self._do(lambda db: db.execute(WITHDRAW, (key, at)) and None)
            self._halt_running(key)  # it came to its turn meanwhile, or its submission was on its way

    def _halt_running(self, key: str) -> bool:
        """Halt a job that runs, and take one that waits out of its lane; was it running?"""
        for lane in self._lanes.values():
            for place, job in enumerate(lane):
                if job.key == key and place:
                    lane.remove(job)
                    return False
                if job.key == key:
                    job.halt("withdraw")
                    return True
        return False

    async def waiting(self, lane: str) -> list[Job]:
        return list(self._lanes.get(lane, ()))[1:]

    async def pending(self, key: str) -> bool:
        select = "SELECT 1 FROM inbox WHERE key = ? AND done = 0"
        return bool(await self._do(lambda db: db.execute(select, (key,)).fetchone()))

    async def amend(self, key: str, lane: str, body: bytes) -> bool:
        if self._ending(key, lane):
            return False
        if not await self._do(lambda db: db.execute(AMEND, (body, key, lane)).rowcount):
            return False
        for place, job in enumerate(self._lanes.get(lane, ())):
            if job.key == key and job.halted not in ("stop", "withdraw"):
                job.body = body
                if place == 0:
                    job.halt("again")
                return True
        # It has left its lane meanwhile, done or not: its mark, if any, was given to the writer before this question.
        still_open = await self._do(
            lambda db: db.execute("SELECT 1 FROM inbox WHERE key = ? AND done = 0", (key,)).fetchone()
        )
        return still_open is not None and not self._ending(key, lane)

    def _ending(self, key: str, lane: str) -> bool:
        """Is the job as good as done, whatever its row says?"""
        running = next(iter(self._lanes.get(lane, ())), None)
        return key in self._unmarked or (
            running is not None and running.key == key and running.halted in ("stop", "withdraw")
        )

    def _enqueue(self, job: Job) -> None:
        self._numbers += 1
        job.number = self._numbers
        lane = self._lanes.get(job.lane)
        if lane is not None:
            lane.append(job)
            return
        self._lanes[job.lane] = lane = deque((job,))
        task = asyncio.create_task(self._drain(job.lane, lane))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _drain(self, name: str, lane: deque[Job]) -> None:
        while lane and not self._closing:
            job = lane[0]
            try:
                if await self._work(job):
                    self._done(job.key)
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if task is None or task.cancelling():
                    raise
                log.exception("job %s was cancelled from within and is left for the next start", job.key)
            except Exception:
                log.exception("job %s failed and is left for the next start", job.key)
            lane.popleft()
        del self._lanes[name]

    async def _work(self, job: Job) -> bool:
        """Run the handler, and once more each time that it left the job because it was amended."""
        assert self._handle is not None
        while True:
            if job.halted == "again":
                job.halted = ""
            body, job.on_halt = job.body, nobody
            if await self._handle(job):
                return True
            if job.halted == "park" or job.body is body:
                return False

    def _done(self, key: str) -> None:
        def written(mark: asyncio.Future[None]) -> None:
            if mark.exception() is not None:
                self._unmarked.add(key)
                if self._marking is None and not self._closing:
                    self._marking = asyncio.create_task(self._mark_again())

        self._mark(key).add_done_callback(written)

    async def _mark_again(self) -> None:
        log.warning("jobs that are done cannot be marked so; tried again until they are")
        wait, later = MARK_AGAIN
        while self._unmarked:
            await asyncio.sleep(wait)
            wait = later
            keys = tuple(self._unmarked)
            with suppress(StoreError):
                await self._mark(*keys)
                self._unmarked.difference_update(keys)
        self._marking = None

    def _mark(self, *keys: str) -> asyncio.Future[None]:
        rows = [(key,) for key in keys]
        return self._do(lambda db: db.executemany("UPDATE inbox SET done = 1 WHERE key = ?", rows) and None)

    # ------------------------------------------------------------ values

    async def get(self, *keys: str) -> list[bytes | None]:
        def select(db: sqlite3.Connection) -> list[bytes | None]:
            rows = (db.execute("SELECT value FROM kept WHERE key = ?", (key,)).fetchone() for key in keys)
            return [row[0] if row else None for row in rows]

        values: list[bytes | None] = await self._do(select)
        return values

    def put(self, values: Mapping[str, bytes | None]) -> asyncio.Future[None]:
        at = time.time()
        rows = [(key, value, at) for key, value in values.items() if value is not None]
        gone = [(key,) for key, value in values.items() if value is None]

        def write(db: sqlite3.Connection) -> None:
            if rows:
                db.executemany("REPLACE INTO kept (key, value, at) VALUES (?, ?, ?)", rows)
            if gone:
                db.executemany("DELETE FROM kept WHERE key = ?", gone)

        return self._do(write)

    async def prune(self, before: float, prefixes: Sequence[str]) -> int:
        """In small pieces: between two of them the writer serves everybody else."""
        total = await self._delete(PRUNE_INBOX, min(before, time.time() - REDELIVERED), PIECE)
        for prefix in prefixes:
            total += await self._delete(PRUNE_KEPT, before, prefix, prefix + LAST, len(prefix) + 1, PIECE)
        return total

    async def _delete(self, sql: str, *bounds: object) -> int:
        total = 0
        while True:
            deleted: int = await self._do(lambda db: db.execute(sql, bounds).rowcount)
            total += deleted
            if deleted < PIECE:
                return total

    async def slot(self, key: str, per_second: float, burst: int) -> float:
        """GCRA in memory: one process owns this file, and a restart may forgive."""
        now, step = time.monotonic(), 1.0 / per_second
        due = max(self._slots.get(key, 0.0), now)
        if wait := max(0.0, due - now - step * (burst - 1)):
            return wait
        if len(self._slots) > 10_000:
            self._slots = {k: v for k, v in self._slots.items() if v > now}
        self._slots[key] = due + step
        return 0.0
