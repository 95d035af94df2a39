"""What is SQLite's own: the file, its schema, and faults of the disk."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from bridge.store import Job, StoreError, sqlite
from bridge.store.sqlite import SQLite


async def test_a_newer_file_is_refused_with_a_sentence(tmp_path: Path) -> None:
    db = sqlite3.connect(tmp_path / "b.db")
    db.execute("PRAGMA user_version = 99")
    db.close()
    engine = SQLite(f"{tmp_path}/b.db")
    with pytest.raises(StoreError, match="written by a newer version"):
        await engine.start(None)
    await engine.close(0.0)


async def test_an_older_file_is_upgraded_after_a_backup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = SQLite(f"{tmp_path}/b.db")
    await old.start(None)
    await old.put({"k": b"v"})
    await old.close(0.0)
    monkeypatch.setattr(sqlite, "SCHEMA", (*sqlite.SCHEMA, "ALTER TABLE kept ADD COLUMN note TEXT;"))
    new = SQLite(f"{tmp_path}/b.db")
    await new.start(None)
    assert await new.get("k") == [b"v"]
    await new.close(0.0)
    backup = sqlite3.connect(tmp_path / "b.db.v1.bak")
    assert backup.execute("SELECT value FROM kept WHERE key = 'k'").fetchone() == (b"v",)
    assert backup.execute("PRAGMA user_version").fetchone() == (1,)
    backup.close()


async def test_an_upgrade_that_fails_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = SQLite(f"{tmp_path}/b.db")
    await old.start(None)
    await old.close(0.0)
    monkeypatch.setattr(sqlite, "SCHEMA", (*sqlite.SCHEMA, "ALTER TABLE kept ADD COLUMN note TEXT; SELECT nonsense();"))
    new = SQLite(f"{tmp_path}/b.db")
    with pytest.raises(StoreError):
        await new.start(None)
    await new.close(0.0)
    db = sqlite3.connect(tmp_path / "b.db")
    assert db.execute("PRAGMA user_version").fetchone() == (1,)
    assert [row[1] for row in db.execute("PRAGMA table_info(kept)")] == ["key", "value", "at"]
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
