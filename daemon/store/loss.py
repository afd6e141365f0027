"""A database that was lost: missing, empty or damaged beside the key of an instance that had one.

Approvals, the ledger, releases and reverts were in it. Nothing is taken for granted that it may have
forbidden: the next database begins with a note of the loss, under which no peer counts as approved until the
admin decides. The note is a file until it is a row, so that a crash in between forgets nothing.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

from sqlalchemy import Connection, Engine, insert, select

from daemon.config import Config
from daemon.identity import fresh_mark
from daemon.process.daemon_lock import replace_file
from daemon.store.engine import is_damage, reads, trouble
from daemon.store.tables import DatabaseLoss

Cause = Literal["missing", "empty", "damaged"]

KEEP_DAMAGED_SECONDS: Final = 7 * 86400.0
"""A damaged file still holds viewers who may have left since: what an admin wants of it has to be soon."""
NOTE_NAME = "database-lost.json"
_BESIDE = ("", "-wal", "-shm")


@dataclass(frozen=True)
class Loss:
    """When it was found, in Unix seconds, why, and the name of what is left of the old file, or ""."""

    at: float
    cause: Cause
    kept: str


def find(config: Config, *, thorough: bool = False) -> Cause | None:
    """Return what is wrong with the database of an instance that had one; None where nothing is.

    A new instance has a key without a database, too: `daemon.identity` marks it. With `thorough`, every page
    is read.
    """
    if not config.identity_file.exists() or fresh_mark(config.identity_file).exists():
        return None
    path = config.database
    if not path.exists():
        return "missing"
    try:
        with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True)) as connection:
            tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
            found = connection.execute("PRAGMA quick_check(1)").fetchone()[0] if thorough else "ok"
    except sqlite3.Error as error:
        if is_damage(error):
            return "damaged"
        if (told := trouble(error, path)) is not None:
            raise told from error
        raise
    return "damaged" if found != "ok" else None if tables else "empty"


def begin_anew(config: Config, cause: Cause, now: float) -> Loss:
    """Note the loss durably, then move what is left of the database aside, so that a new one can be made."""
    loss = Loss(now, cause, "" if cause == "missing" else f"shoal.db.{cause}-{_stamp(now)}")
    replace_file(config.data_dir / NOTE_NAME, json.dumps(asdict(loss)).encode())
    for end in _BESIDE:
        left = config.database.with_name(config.database.name + end)
        if not left.exists():
            continue
        if loss.kept:
            left.replace(config.data_dir / (loss.kept + end))
        else:
            # A log without its database is nothing, and must not be taken for one of the next.
            left.unlink()
    return loss


def noted(config: Config) -> Loss | None:
    """Return a loss whose note is not in the database yet."""
    try:
        return Loss(**json.loads((config.data_dir / NOTE_NAME).read_bytes()))
    except FileNotFoundError:
        return None


def record(connection: Connection, loss: Loss) -> None:
    """Write the note into the database, inside the caller's transaction. `settle` follows when it is over."""
    connection.execute(insert(DatabaseLoss).values(asdict(loss)))


def settle(config: Config) -> None:
    """Remove the file with the note, and the mark of an instance that has had no database."""
    (config.data_dir / NOTE_NAME).unlink(missing_ok=True)
    fresh_mark(config.identity_file).unlink(missing_ok=True)


def recorded(engine: Engine) -> Loss | None:
    """Return the newest loss that this database began with, None where it is the instance's first."""
    with reads(engine) as connection:
        return newest(connection)


def newest(connection: Connection) -> Loss | None:
    """Return the same inside a transaction."""
    columns = select(DatabaseLoss.at, DatabaseLoss.cause, DatabaseLoss.kept)
    row = connection.execute(columns.order_by(DatabaseLoss.at.desc()).limit(1)).mappings().first()
    return None if row is None else Loss(**row)


def discard_damaged(config: Config, *, before: float) -> int:
    """Delete damaged files that were kept since before then, Unix seconds; returns how many."""
    old = [path for path in _kept(config) if path.stat().st_ctime < before]
    for path in old:
        path.unlink()
    return len(old)


def _kept(config: Config) -> Iterator[Path]:
    for cause in ("empty", "damaged"):
        yield from config.data_dir.glob(f"shoal.db.{cause}-*")


def _stamp(now: float) -> str:
    return f"{datetime.fromtimestamp(now, UTC):%Y%m%dT%H%M%SZ}"
