"""Forgetting viewers: their rows are overwritten in the file, and the log that may hold copies is emptied.

Three may write what concerns a viewer's consent: a sync that puts a new snapshot in place, the regular
check, and a viewer who withdraws. They take turns by a lock file, so that a sync that has read a viewer's
rows cannot put them back after they were withdrawn.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout
from sqlalchemy import Connection, Engine

from daemon.errors import StoreError
from daemon.store.engine import emptying, reads, truncate_wal

# Names and keys for the statements below; numbers come from the database itself.
_VIEWERS: Final = (("viewers", "id"), ("engagements", "viewer_id"))

LOCK_NAME: Final = "consent.lock"
PATIENCE: Final = 60.0


@contextmanager
def turn(data_dir: Path, *, patience: float = PATIENCE) -> Iterator[None]:
    """Hold the lock on what is stored of viewers, at most `patience` seconds being waited for.

    Raises:
        StoreError: another process holds it all that time.
    """
    lock = FileLock(data_dir / LOCK_NAME)
    try:
        lock.acquire(timeout=patience)
    except Timeout:
        raise StoreError(
            "what is stored of viewers is being replaced right now", advice="Try again in a minute."
        ) from None
    try:
        yield
    finally:
        lock.release()


def forget(engine: Engine, pseudonyms: Collection[bytes]) -> int:
    """Delete viewers and all their rows, so that the files hold no byte of them; returns how many there were.

    Deleting single rows is not enough, even with `secure_delete`: when half-empty pages are merged, SQLite
    leaves old copies of rows in the unused part of a page. So both tables are emptied, by which their pages
    are overwritten as a whole, and filled again with the rows of those who stay.

    Raises:
        StoreError: the rows are deleted, but a reader keeps the log from being emptied.
    """
    gone = _gone(engine, pseudonyms)
    if gone:
        with _own_connection(engine) as connection, emptying(connection):
            marks = ", ".join(map(str, gone))
            for table, column in _VIEWERS:
                connection.exec_driver_sql(
                    f"CREATE TEMP TABLE kept_{table} AS SELECT * FROM main.{table} WHERE {column} NOT IN ({marks})"  # noqa: S608, E501
                )
            for table, _ in reversed(_VIEWERS):
                connection.exec_driver_sql(f"DELETE FROM main.{table}")  # noqa: S608
            for table, _ in _VIEWERS:
                connection.exec_driver_sql(f"INSERT INTO main.{table} SELECT * FROM temp.kept_{table}")  # noqa: S608
    if not truncate_wal(engine):
        raise StoreError(
            "withdrawn rows are deleted, but still in the log of the database",
            advice="The next check empties it; end whatever else reads shoal.db.",
        )
    return len(gone)


@contextmanager
def _own_connection(engine: Engine) -> Iterator[Connection]:
    with engine.connect() as connection:
        try:
            yield connection
        finally:
            # Its temporary tables, and foreign keys that it does not look after, end with it.
            connection.invalidate()


def _gone(engine: Engine, pseudonyms: Collection[bytes]) -> list[int]:
    wanted = set(pseudonyms)
    with reads(engine) as connection:
        rows = connection.exec_driver_sql("SELECT id, pseudonym FROM viewers").all()
    return [int(number) for number, pseudonym in rows if bytes(pseudonym) in wanted]


def states(engine: Engine) -> dict[bytes, str]:
    """Return every stored pseudonym with the source's digest of what was delivered."""
    with reads(engine) as connection:
        rows = connection.exec_driver_sql("SELECT pseudonym, state FROM viewers").all()
    return {bytes(pseudonym): state for pseudonym, state in rows}
