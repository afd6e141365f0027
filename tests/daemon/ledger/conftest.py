"""A ledger of seven entries, written once, and an empty one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from daemon.ledger import chain
from daemon.ledger.chain import Kind
from daemon.store.engine import open_checked, writes
from daemon.store.migrate import migrate
from federation.identity import Identity, format_key

HOST = "alice.example"
OLD, NEW = Identity(HOST, b"\x01" * 32), Identity(HOST, b"\x02" * 32)
MALLORY = Identity(HOST, b"\x03" * 32)
NOW = 1_790_000_000.75
ENTRIES, HANDOVER = 7, 5
"""Of the `ledger` below: how many, and which hands over from the old key to the new one."""


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    migrate(tmp_path / "shoal.db")
    found = open_checked(tmp_path / "shoal.db")
    yield found
    found.dispose()


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ledger") / "shoal.db"
    migrate(path)
    engine = open_checked(path)
    chain.append(engine, OLD, Kind.PEER_APPROVED, "bob.example", {"key": format_key(MALLORY.public.key)}, NOW)
    chain.append(engine, OLD, Kind.ROUND, "ab" * 32, {"roster": ["bob.example"], "users": 12}, NOW)
    chain.append(engine, OLD, Kind.MODEL, "20261121-local", {"quality": 0.25, "sum": None}, NOW)
    chain.rotate(engine, OLD, NEW, NOW)
    chain.append(engine, NEW, Kind.SERVED, "20261121-local", {}, NOW)
    chain.append(engine, NEW, Kind.REVERT, "bob.example", {"seconds": 1.5, "ok": True}, NOW)
    # Into the file itself: the tests copy it.
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    engine.dispose()
    return path


def change(engine: Engine, statement: str, **values: Any) -> None:
    with writes(engine) as connection:
        connection.execute(text(statement), values)
