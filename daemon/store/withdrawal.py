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
from sqlalchemy import Engine

from daemon.errors import StoreError
from daemon.store.engine import reads, truncate_wal, writes

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

    Raises:
        StoreError: the rows are deleted, but a reader keeps the log from being emptied.
    """
    gone = 0
    with writes(engine) as connection:
        for pseudonym in pseudonyms:
            which = "SELECT id FROM viewers WHERE pseudonym = ?"
            connection.exec_driver_sql(f"DELETE FROM engagements WHERE viewer_id = ({which})", (pseudonym,))  # noqa: S608
            deleted = connection.exec_driver_sql("DELETE FROM viewers WHERE pseudonym = ?", (pseudonym,))
            gone += deleted.rowcount
    if not truncate_wal(engine):
        raise StoreError(
            "withdrawn rows are deleted, but still in the log of the database",
            advice="The next check empties it; end whatever else reads shoal.db.",
        )
    return gone


def states(engine: Engine) -> dict[bytes, str]:
    """Return every stored pseudonym with the source's digest of what was delivered."""
    with reads(engine) as connection:
        rows = connection.exec_driver_sql("SELECT pseudonym, state FROM viewers").all()
    return {bytes(pseudonym): state for pseudonym, state in rows}
