"""Damage and a full disk are said as what they are, by the engine itself: real errors of real files."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Engine, insert, select, text

from daemon.errors import StoreError
from daemon.store.engine import connect, open_checked, reads, truncate_wal, writes
from daemon.store.migrate import migrate
from daemon.store.tables import Tag

PAGE = 4096


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return a database with some hundred pages of tags."""
    path = tmp_path / "shoal.db"
    migrate(path)
    engine = open_checked(path)
    with writes(engine) as connection:
        connection.execute(insert(Tag), [{"id": n, "name": f"tag {n} {'x' * 200}"} for n in range(1, 2000)])
    assert truncate_wal(engine)
    engine.dispose()
    return path


def read(engine: Engine) -> None:
    with reads(engine) as connection:
        connection.execute(select(Tag.name)).all()


def write(engine: Engine) -> None:
    with writes(engine) as connection:
        connection.execute(text("UPDATE tags SET name = name || '!'"))


@pytest.mark.parametrize("work", [read, write])
@pytest.mark.parametrize("how", ["pages", "end"])
def test_damage_is_told_wherever_it_is_met(path: Path, how: str, work: Callable[[Engine], None]) -> None:
    size = path.stat().st_size
    if how == "end":
        os.truncate(path, size // PAGE // 2 * PAGE)
    else:
        with path.open("r+b") as file:
            file.seek(size // PAGE // 2 * PAGE)
            file.write(b"\xff" * (size // 4))
    engine = connect(path)
    with pytest.raises(StoreError) as told:
        work(engine)
    assert told.value.message == "shoal.db is damaged"
    assert "Restore" in told.value.advice or "restore" in told.value.advice
    engine.dispose()


def test_a_full_disk_is_told_and_loses_nothing(path: Path) -> None:
    engine = open_checked(path)
    with engine.connect() as connection:
        # SQLite then refuses to let the file grow, with the error of a full disk.
        pages = connection.execute(text("PRAGMA page_count")).scalar()
        connection.execute(text(f"PRAGMA max_page_count = {pages}"))
        connection.commit()
        connection.execution_options(writes=True)
        rows = [{"id": n, "name": f"more {n} {'x' * 200}"} for n in range(5000, 9000)]
        with connection.begin(), pytest.raises(StoreError, match="the disk is full") as told:
            connection.execute(insert(Tag), rows)
        assert "Free some space" in told.value.advice
    with reads(engine) as connection:
        assert connection.execute(text("SELECT count(*) FROM tags")).scalar() == 1999
