"""A database that was lost, or is older than what is known beside it.

Missing, empty or damaged beside the key of an instance that had one, it is lost: approvals and what was
decided against peers were in it. Nothing is taken for granted that it may have forbidden: the next database
begins with a note of the loss, under which no peer counts as approved until the admin decides. The note is a
file until it is a row, so that a crash in between forgets nothing.

One that was put back from a backup has such a note as well, and so has one that was found to lack what the
second copy of the ledger has; there, what was decided against peers is known.
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

Cause = Literal["missing", "empty", "damaged", "older", "restored", "copied", "older-folder"]
"""What became of it. It was found `older` than the second copy of the ledger, or `restored` from a backup; as
`copied`, too, but with nothing that tells what was decided since. With an `older-folder` everything beside it
is older, too."""
UNDECIDED: Final[frozenset[Cause]] = frozenset({"missing", "empty", "damaged", "copied", "older-folder"})
"""Causes after which nobody knows what was decided about peers."""

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
    """Note the loss durably, then move what is left of the database aside, so that a new one can be made.

    Another is `replaced`, where a backup takes its place.
    """
    told = "replaced" if cause in ("restored", "copied") else cause
    there = any(config.database.with_name(config.database.name + end).exists() for end in _BESIDE)
    loss = Loss(now, cause, f"shoal.db.{told}-{_stamp(now)}" if there and cause != "missing" else "")
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


def newest(connection: Connection, *, undecided: bool = False) -> Loss | None:
    """Return the same inside a transaction; only of those `UNDECIDED` where asked to."""
    columns = select(DatabaseLoss.at, DatabaseLoss.cause, DatabaseLoss.kept)
    if undecided:
        columns = columns.where(DatabaseLoss.cause.in_(sorted(UNDECIDED)))
    row = connection.execute(columns.order_by(DatabaseLoss.at.desc()).limit(1)).mappings().first()
    return None if row is None else Loss(**row)


def discard_damaged(config: Config, *, before: float) -> int:
    """Delete damaged files that were kept since before then, Unix seconds; returns how many."""
    old = [path for path in _kept(config) if path.stat().st_ctime < before]
    for path in old:
        path.unlink()
    return len(old)


def _kept(config: Config) -> Iterator[Path]:
    for cause in ("empty", "damaged", "replaced"):
        yield from config.data_dir.glob(f"shoal.db.{cause}-*")


def _stamp(now: float) -> str:
    return f"{datetime.fromtimestamp(now, UTC):%Y%m%dT%H%M%SZ}"
