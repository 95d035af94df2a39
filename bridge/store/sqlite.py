"""The embedded engine: one SQLite file (writer.py), and an actor per lane.

Rules of this file:
- a job is in its lane's queue exactly as long as its row is open: rows are the truth, queues are made of them;
- a lane lives while it has jobs: thousands of conversations cost nothing while they are silent.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections import deque
from collections.abc import Mapping, Sequence

from bridge.store import Handle, Job
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
)
"""Step n leads from version n to n + 1. Never edit a step that was released: add one."""

PIECE = 500
"""Rows deleted in one transaction."""
PRUNE_INBOX = """
    DELETE FROM inbox WHERE id IN (
        SELECT id FROM (SELECT id, at, done FROM inbox ORDER BY id LIMIT ?) WHERE done = 1 AND at < ?
    )
"""
"""The oldest rows alone are looked at: the table may hold a million."""
PRUNE_KEPT = "DELETE FROM kept WHERE key IN (SELECT key FROM kept WHERE at < ? AND key >= ? AND key < ? LIMIT ?)"
LAST = "\U0010ffff"
"""No key goes on with a character behind this one."""
PARK = 1.0
"""Seconds that parked jobs get to finish the call they are in."""


class SQLite:
    """See bridge.store.Engine. ``path`` may be ``:memory:``."""

    def __init__(self, path: str) -> None:
        self._writer = Writer(path, SCHEMA)
        self._do = self._writer.do
        self._lanes: dict[str, deque[Job]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._slots: dict[str, float] = {}
        self._numbers = 0
        self._closing = False
        self._handle: Handle | None = None

    # ------------------------------------------------------------ life

    async def start(self, handle: Handle | None) -> None:
        self._handle = handle
        await self._writer.open()
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
        if job is None or job.halted or owner not in (None, job.owner) or key not in (None, job.key):
            return 0
        if before is not None and job.number > before:
            return 0
        job.halt("stop")
        return 1

    async def take_waiting(self, lane: str) -> list[Job]:
        jobs = self._lanes.get(lane) or deque()
        taken = [jobs.pop() for _ in range(len(jobs) - 1)][::-1]
        if taken:
            await self._done(*taken)
        return taken

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
        assert self._handle is not None
        while lane and not self._closing:
            job = lane[0]
            try:
                if await self._handle(job):
                    self._done(job)
            except Exception:
                log.exception("job %s failed and is left for the next start", job.key)
            lane.popleft()
        del self._lanes[name]

    def _done(self, *jobs: Job) -> asyncio.Future[None]:
        keys = [(job.key,) for job in jobs]
        return self._do(lambda db: db.executemany("UPDATE inbox SET done = 1 WHERE key = ?", keys) and None)

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
        total = await self._delete(PRUNE_INBOX, PIECE, before)
        for prefix in prefixes:
            total += await self._delete(PRUNE_KEPT, before, prefix, prefix + LAST, PIECE)
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
