"""The embedded engine: one SQLite file, one writer thread, an actor per lane.

Rules of this file:
- SQL runs on the writer thread alone: a stalled disk delays commits, never the event loop;
- group commit: whatever waits is committed together, so that ``synchronous=FULL`` costs one fsync a batch;
- a faulty statement fails its own caller, a failing commit everybody in the batch.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from bridge.store import Handle, Job, StoreError

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

BATCH = 512
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

Work = Callable[[sqlite3.Connection], Any]


class SQLite:
    """See bridge.store.Engine. ``path`` may be ``:memory:``."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._queue: queue.SimpleQueue[tuple[Work, asyncio.Future[Any]] | None] = queue.SimpleQueue()
        self._lanes: dict[str, deque[Job]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._slots: dict[str, float] = {}
        self._closing = False
        self._handle: Handle | None = None
        self._thread: threading.Thread | None = None

    # ------------------------------------------------------------ life

    async def start(self, handle: Handle | None) -> None:
        self._loop = asyncio.get_running_loop()
        self._handle = handle
        opened: asyncio.Future[None] = self._loop.create_future()
        self._thread = threading.Thread(target=self._write, args=(opened,), name="store", daemon=True)
        self._thread.start()
        await opened
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
        if self._thread is not None:
            self._queue.put(None)
            await asyncio.to_thread(self._thread.join)

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

    async def stop(self, lane: str, owner: str | None = None, *, key: str | None = None) -> int:
        job = next(iter(self._lanes.get(lane, ())), None)
        if job is None or job.halted or owner not in (None, job.owner) or key not in (None, job.key):
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
        lane = self._lanes.get(job.lane)
        if lane is not None:
            lane.append(job)
            return
        self._lanes[job.lane] = lane = deque((job,))
        task = self._loop.create_task(self._drain(job.lane, lane))
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

    # ------------------------------------------------------------ the writer thread

    def _do(self, work: Work) -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = self._loop.create_future()
        if self._thread is None or not self._thread.is_alive():
            future.set_exception(StoreError("the store is closed"))
        else:
            self._queue.put((work, future))
        return future

    def _write(self, opened: asyncio.Future[None]) -> None:
        try:
            db = _open(self._path)
        except (sqlite3.Error, OSError, StoreError) as error:
            self._tell(_settle, [(opened, None, StoreError(f"store {self._path}: {error}"))])
            return
        self._tell(_settle, [(opened, None, None)])
        while (first := self._queue.get()) is not None:
            batch, last = [first], False
            with suppress(queue.Empty):
                while len(batch) < BATCH and not last:
                    item = self._queue.get_nowait()
                    if item is None:
                        last = True
                    else:
                        batch.append(item)
            self._tell(_settle, _commit(db, batch))
            if last:
                break
        db.close()

    def _tell(self, call: Callable[..., None], *args: Any) -> None:
        with suppress(RuntimeError):  # the loop is gone: nobody is waiting any more
            self._loop.call_soon_threadsafe(call, *args)


Result = tuple["asyncio.Future[Any]", Any, Exception | None]


def _commit(db: sqlite3.Connection, batch: list[tuple[Work, asyncio.Future[Any]]]) -> list[Result]:
    """Run a batch in one transaction; when anything in it fails, each piece of work in a transaction of its own."""
    try:
        db.execute("BEGIN IMMEDIATE")
        results: list[Result] = [(future, work(db), None) for work, future in batch]
        db.execute("COMMIT")
    except Exception as error:
        if db.in_transaction:
            db.execute("ROLLBACK")
        if len(batch) == 1:
            return [(batch[0][1], None, error)]
        return [result for item in batch for result in _commit(db, [item])]
    return results


def _settle(results: list[Result]) -> None:
    for future, value, error in results:
        if future.done():
            continue
        if error is None:
            future.set_result(value)
        else:
            log.error("store: %s", error)
            future.set_exception(error)
            future.exception()  # logged here: a write that nobody awaits needs no second report


def _open(path: str) -> sqlite3.Connection:
    if path != ":memory:":
        Path(path).parent.mkdir(parents=True, exist_ok=True)
    # isolation_level=None: transactions are ours alone. The thread that opens is the only one that uses it.
    db = sqlite3.connect(path, isolation_level=None, timeout=10)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute("PRAGMA foreign_keys = ON")
    _upgrade(db, path)
    return db


def _upgrade(db: sqlite3.Connection, path: str) -> None:
    """Bring the file to this version's schema: all steps in one transaction, after a backup."""
    version: int = db.execute("PRAGMA user_version").fetchone()[0]
    if version > len(SCHEMA):
        raise StoreError(f"it was written by a newer version (schema {version}, this one knows {len(SCHEMA)})")
    if version == len(SCHEMA):
        return
    if version and path != ":memory:":
        backup = Path(f"{path}.v{version}.bak")
        backup.unlink(missing_ok=True)
        db.execute("VACUUM INTO ?", (str(backup),))
    script = "\n".join(SCHEMA[version:])
    try:
        db.executescript(f"BEGIN IMMEDIATE;\n{script}\nPRAGMA user_version = {len(SCHEMA)};\nCOMMIT;")
    except sqlite3.Error:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
