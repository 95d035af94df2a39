"""What is SQLite's own: the file, its schema, and faults of the disk."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bridge.store import Job, StoreError, sqlite
from bridge.store.sqlite import SCHEMA, SQLite
from bridge.store.writer import Writer


async def test_a_newer_file_is_refused_with_a_sentence(tmp_path: Path) -> None:
    db = sqlite3.connect(tmp_path / "b.db")
    db.execute("PRAGMA user_version = 99")
    db.close()
    engine = SQLite(f"{tmp_path}/b.db")
    with pytest.raises(StoreError, match="written by a newer version"):
        await engine.start(None)
    await engine.close(0.0)


OLD, NEW = "CREATE TABLE kept (key TEXT PRIMARY KEY, value BLOB);", "ALTER TABLE kept ADD COLUMN at REAL DEFAULT 0;"


def first_version(path: Path) -> None:
    """The file as the first release wrote it: a job that was done, and one that was not."""
    db = sqlite3.connect(path)
    db.executescript(f"{SCHEMA[0]} PRAGMA user_version = 1;")
    row = "INSERT INTO inbox (key, lane, owner, body, at, done) VALUES (?, 'lane', 'ann', x'', 0, ?)"
    db.executemany(row, [("open", 0), ("done", 1)])
    db.commit()
    db.close()


async def left(job: Job) -> bool:
    return False


async def test_a_file_of_the_first_version_is_upgraded_after_a_backup(tmp_path: Path) -> None:
    first_version(tmp_path / "b.db")
    engine = SQLite(f"{tmp_path}/b.db")
    await engine.start(left)
    assert await engine.submit([Job("open", "lane", b""), Job("done", "lane", b"")]) == [False, False]
    assert await engine.prune(1.0, []) == 1
    await engine.close(0.0)
    backup = sqlite3.connect(tmp_path / "b.db.v1.bak")
    assert backup.execute("SELECT key, done FROM inbox").fetchall() == [("open", 0), ("done", 1)]
    assert backup.execute("PRAGMA user_version").fetchone() == (1,)
    backup.close()


async def test_whoever_only_looks_upgrades_nothing(tmp_path: Path) -> None:
    path = f"{tmp_path}/b.db"
    old = Writer(path, SCHEMA[:1])
    await old.open()
    await old.close()
    engine = SQLite(path)
    await engine.start(None)
    assert await engine.get("a") == [None]
    await engine.close(0.0)
    db = sqlite3.connect(path)
    assert db.execute("PRAGMA user_version").fetchone() == (1,)
    db.close()


async def test_an_upgrade_that_fails_changes_nothing(tmp_path: Path) -> None:
    path = f"{tmp_path}/b.db"
    old = Writer(path, (OLD,))
    await old.open()
    await old.close()
    new = Writer(path, (OLD, NEW, "SELECT nonsense();"))
    with pytest.raises(StoreError):
        await new.open()
    await new.close()
    db = sqlite3.connect(path)
    assert db.execute("PRAGMA user_version").fetchone() == (1,)
    assert [row[1] for row in db.execute("PRAGMA table_info(kept)")] == ["key", "value"]
    db.close()


async def test_a_faulty_statement_fails_its_own_caller_alone(tmp_path: Path) -> None:
    engine = SQLite(f"{tmp_path}/b.db")
    await engine.start(None)
    good = engine.put({"a": b"1"})
    bad = engine._do(lambda db: db.execute("INSERT INTO nowhere VALUES (1)"))
    also_good = engine.put({"b": b"2"})
    await good
    await also_good
    with pytest.raises(StoreError, match="nowhere"):
        await bad
    assert await engine.get("a", "b") == [b"1", b"2"]
    await engine.close(0.0)


async def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    engine = SQLite(f"{tmp_path}/file/b.db")
    with pytest.raises(StoreError, match="file"):
        await engine.start(None)
    await engine.close(0.0)


async def test_after_closing_every_call_fails_at_once(tmp_path: Path) -> None:
    engine = SQLite(f"{tmp_path}/b.db")
    await engine.start(None)
    await engine.close(0.0)
    with pytest.raises(StoreError, match="closed"):
        await engine.submit([Job("k", "lane", b"")])


async def started(path: Path, done: list[str]) -> SQLite:
    async def handle(job: Job) -> bool:
        done.append(job.key)
        return True

    engine = SQLite(str(path))
    await engine.start(handle)
    return engine


async def until(engine: SQLite, condition: Callable[[], bool], sql: str = "SELECT 1") -> None:
    """Looks once for each answer of the writer, until the condition holds and the query has a result."""
    async with asyncio.timeout(10):
        while not (await engine._do(lambda db: db.execute(sql).fetchone()) and condition()):
            pass


FULL = "CREATE TRIGGER full BEFORE UPDATE OF done ON inbox BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END"


@pytest.mark.parametrize("closed_before", [False, True], ids=["while it runs", "as it closes"])
async def test_a_done_mark_is_written_once_the_disk_has_room(
    closed_before: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "MARK_AGAIN", (3600.0, 3600.0) if closed_before else (0.01, 0.01))
    done: list[str] = []
    engine = await started(tmp_path / "b.db", done)
    await engine._do(lambda db: db.execute(FULL) and None)
    await engine.submit([Job("a1", "lane", b""), Job("a2", "lane", b"")])
    await until(engine, lambda: len(engine._unmarked) == 2)
    assert done == ["a1", "a2"], "the lane goes on"
    assert await engine.submit([Job("a1", "lane", b"")]) == [False]
    assert not await engine.amend("a2", "lane", b"x"), "it is done, whatever its row says"
    await engine._do(lambda db: db.execute("DROP TRIGGER full") and None)
    if not closed_before:
        await until(engine, lambda: not engine._unmarked, "SELECT 1 FROM inbox WHERE key = 'a2' AND done = 1")
    await engine.close(0.0)
    again: list[str] = []
    engine = await started(tmp_path / "b.db", again)
    await engine.submit([Job("later", "lane", b"")])
    await until(engine, lambda: "later" in again)
    await engine.close(0.0)
    assert again == ["later"], "nothing was asked twice"


class Stubborn(sqlite3.Connection):
    """A connection whose next rollback fails."""

    faults = 1

    def execute(self, sql: str, *bounds: Any) -> sqlite3.Cursor:
        if sql == "ROLLBACK" and self.faults:
            self.faults -= 1
            raise sqlite3.OperationalError("disk I/O error")
        return super().execute(sql, *bounds)


async def test_the_writer_outlives_a_rollback_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda path, **options: connect(path, factory=Stubborn, **options))
    engine = SQLite(f"{tmp_path}/b.db")
    await engine.start(None)

    def fault(db: sqlite3.Connection) -> None:
        db.execute("INSERT INTO kept (key, value, at) VALUES ('half', x'', 0)")
        raise sqlite3.OperationalError("disk I/O error")

    with pytest.raises(StoreError):
        await asyncio.wait_for(engine._do(fault), 10)
    await asyncio.wait_for(engine.put({"k": b"v"}), 10)
    assert await engine.get("k", "half") == [b"v", None]
    await engine.close(0.0)
