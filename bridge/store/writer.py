"""The thread that SQLite lives on.

Rules of this file:
- SQL runs here alone: a stalled disk delays commits, never the event loop;
- group commit: whatever waits is committed together, so that ``synchronous=FULL`` costs one fsync a batch;
- work takes effect in the order in which it was given, awaited or not;
- a faulty statement fails its own caller, a failing commit everybody in the batch.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import sqlite3
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from bridge.store import StoreError

log = logging.getLogger(__name__)

BATCH = 512

Work = Callable[[sqlite3.Connection], Any]
_Item = tuple[Work, "asyncio.Future[Any]"]
_Result = tuple["asyncio.Future[Any]", Any, Exception | None]


class Writer:
    """One file, one connection, one thread. ``schema`` is the steps from an empty file to this version."""

    def __init__(self, path: str, schema: tuple[str, ...]) -> None:
        self._path = path
        self._schema = schema
        self._queue: queue.SimpleQueue[_Item | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._open = False

    async def open(self, *, upgrade: bool = True) -> None:
        """``upgrade`` = False leaves an older file as it is: a process of that version may be running on it."""
        self._upgrade = upgrade
        self._loop = asyncio.get_running_loop()
        opened: asyncio.Future[None] = self._loop.create_future()
        self._thread = threading.Thread(target=self._run, args=(opened,), name="store", daemon=True)
        self._thread.start()
        await opened
        self._open = True

    async def close(self) -> None:
        """Do what was given so far, then close the file."""
        self._open = False
        if self._thread is not None:
            self._queue.put(None)
            await asyncio.to_thread(self._thread.join)

    def do(self, work: Work) -> asyncio.Future[Any]:
        """Run ``work`` in a transaction; its result, once committed."""
        future: asyncio.Future[Any] = self._loop.create_future()
        if self._open:
            self._queue.put((work, future))
        else:
            _fail(future, StoreError("the store is closed"))
        return future

    def _run(self, opened: asyncio.Future[None]) -> None:
        try:
            db = _connect(self._path, self._schema, self._upgrade)
        except (sqlite3.Error, OSError, StoreError) as error:
            self._loop.call_soon_threadsafe(_fail, opened, StoreError(f"store {self._path}: {error}"))
            return
        self._tell([(opened, None, None)])
        while (first := self._queue.get()) is not None:
            batch: list[_Item] = [first]
            last = False
            with suppress(queue.Empty):
                while len(batch) < BATCH and not last:
                    item = self._queue.get_nowait()
                    if item is None:
                        last = True
                    else:
                        batch.append(item)
            self._tell(_commit(db, batch))
            if last:
                break
        db.close()

    def _tell(self, results: list[_Result]) -> None:
        with suppress(RuntimeError):  # the loop is gone: nobody is waiting any more
            self._loop.call_soon_threadsafe(_settle, results)


def _commit(db: sqlite3.Connection, batch: list[_Item]) -> list[_Result]:
    """Run a batch in one transaction. When a statement fails, each piece of work gets a transaction of its own; when
    the transaction itself does (locked, no space), trying it again for each would only multiply the wait."""
    results: list[_Result] = []
    _rollback(db)  # the last one may have failed to
    try:
        db.execute("BEGIN IMMEDIATE")
        for work, future in batch:
            results.append((future, work(db), None))
        db.execute("COMMIT")
    except Exception as error:
        begun = db.in_transaction
        _rollback(db)
        if begun and len(results) < len(batch) > 1:
            return [result for item in batch for result in _commit(db, [item])]
        return [(future, None, error) for _, future in batch]
    return results


def _rollback(db: sqlite3.Connection) -> None:
    """Should it fail, the transaction stays open: no other can be begun and committed before it is rolled back."""
    if db.in_transaction:
        try:
            db.execute("ROLLBACK")
        except sqlite3.Error as error:
            log.error("store: a transaction could not be rolled back: %s", error)


def _settle(results: list[_Result]) -> None:
    for future, value, error in results:
        if future.done():
            continue
        if error is None:
            future.set_result(value)
        else:
            log.error("store: %s", error)
            _fail(future, StoreError(str(error)))


def _fail(future: asyncio.Future[Any], error: Exception) -> None:
    future.set_exception(error)
    future.exception()  # a write that nobody awaits needs no second report


def _connect(path: str, schema: tuple[str, ...], upgrade: bool) -> sqlite3.Connection:
    if path != ":memory:":
        Path(path).parent.mkdir(parents=True, exist_ok=True)
    # isolation_level=None: transactions are ours alone
    db = sqlite3.connect(path, isolation_level=None, timeout=10)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        _bring_up(db, path, schema, upgrade)
    except BaseException:
        db.close()
        raise
    return db


def _bring_up(db: sqlite3.Connection, path: str, schema: tuple[str, ...], upgrade: bool) -> None:
    """Bring the file to this version's schema: all steps in one transaction, after a backup."""
    version: int = db.execute("PRAGMA user_version").fetchone()[0]
    if version > len(schema):
        raise StoreError(f"it was written by a newer version (schema {version}, this one knows {len(schema)})")
    if version == len(schema) or (version and not upgrade):
        return
    if version and path != ":memory:":
        backup = Path(f"{path}.v{version}.bak")
        backup.unlink(missing_ok=True)
        db.execute("VACUUM INTO ?", (str(backup),))
    steps = "\n".join(schema[version:])
    try:
        db.executescript(f"BEGIN IMMEDIATE;\n{steps}\nPRAGMA user_version = {len(schema)};\nCOMMIT;")
    except sqlite3.Error:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
