"""Viewers as they are stored: under a keyed hash, their own history, and forgotten without a trace.

A copy of the database alone names nobody. Three may write what concerns a viewer's consent: a sync that puts
a new snapshot in place, the regular check, and a viewer who withdraws. They take turns by a lock file, so
that a sync that has read a viewer's rows cannot put them back after they were withdrawn.
"""

import hashlib
import secrets
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from filelock import FileLock, Timeout
from sqlalchemy import Connection, Engine, desc, func, select, text

from daemon.errors import StoreError
from daemon.identity import write_once
from daemon.store.engine import emptying, reads, truncate_wal
from daemon.store.tables import Engagement, Video, Viewer

KEY_BYTES: Final = 32
PSEUDONYM_BYTES: Final = 16
LOCK_NAME: Final = "consent.lock"
PATIENCE: Final = 60.0
"""Seconds that are waited for the lock."""

# Names and keys for the statements below; numbers come from the database itself.
_VIEWERS: Final = (("viewers", "id"), ("engagements", "viewer_id"))


class Pseudonyms:
    """Turns the instance's viewer identifiers into pseudonyms (BLAKE2b with a key, RFC 7693)."""

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise ValueError(f"a pseudonym key has {KEY_BYTES} bytes")
        self._key = key

    @classmethod
    def open(cls, path: Path) -> "Pseudonyms":
        """Read the key file; create it, readable by its owner only, where it does not exist.

        Raises:
            StoreError: the file is damaged.
        """
        # Two jobs that start at once must not end up with two keys.
        with suppress(FileExistsError):
            write_once(path, secrets.token_bytes(KEY_BYTES))
        key = path.read_bytes()
        if len(key) != KEY_BYTES:
            raise StoreError(
                f"{path.name} is damaged",
                advice=f"Restore a backup: shoal restore FILE. Without one, move {path.name} elsewhere: the "
                "next sync makes a new one, and every viewer counts as new.",
            )
        return cls(key)

    def of(self, viewer: str) -> bytes:
        """Return 16 bytes that stand for the viewer in this database and in no other."""
        return hashlib.blake2b(viewer.encode(), key=self._key, digest_size=PSEUDONYM_BYTES).digest()


def viewer_states(engine: Engine) -> dict[bytes, str]:
    """Return every stored pseudonym with the source's digest of what was delivered."""
    with reads(engine) as connection:
        rows = connection.exec_driver_sql("SELECT pseudonym, state FROM viewers").all()
    return {bytes(pseudonym): state for pseudonym, state in rows}


def first_viewer_since(engine: Engine) -> float | None:
    """Return since when the first of all viewers is known, Unix seconds; None where there is nobody."""
    with reads(engine) as connection:
        return connection.execute(select(func.min(Viewer.since))).scalar()


def viewers_since(engine: Engine, *, before: float) -> frozenset[bytes]:
    """Return the pseudonyms of viewers who are known since `before`, Unix seconds, or longer."""
    with reads(engine) as connection:
        rows = connection.execute(select(Viewer.pseudonym).where(Viewer.since <= before)).scalars()
        return frozenset(bytes(row) for row in rows)


def ages_when_played(engine: Engine) -> list[float]:
    """Return how long a video had been here when a viewer last played or rated it, seconds, at least 0."""
    played = """
        SELECT max(0.0, e.at - coalesce(v.stored, v.published))
        FROM engagements e JOIN videos v ON v.id = e.video_id
        WHERE e.at > 0 AND coalesce(v.stored, v.published) IS NOT NULL
    """
    with reads(engine) as connection:
        return list(connection.execute(text(played)).scalars())


def viewer_history(
    engine: Engine, pseudonym: bytes, *, limit: int, watched_threshold: float = 0.5
) -> list[str]:
    """Return the urls a viewer liked or half watched, newest first; a dislike takes a video out."""
    query = (
        select(Video.url)
        .join(Engagement, Engagement.video_id == Video.id)
        .join(Viewer, Viewer.id == Engagement.viewer_id)
        .where(
            Viewer.pseudonym == pseudonym,
            Engagement.disliked.is_(False),
            Engagement.liked | (Engagement.watched >= watched_threshold),
        )
        .order_by(desc(Engagement.at), Video.url)
        .limit(limit)
    )
    with reads(engine) as connection:
        return list(connection.execute(query).scalars())


def viewer_rows(engine: Engine, pseudonym: bytes) -> list[dict[str, Any]]:
    """Return everything stored of a viewer: uuid, url, liked, disliked, watched, at; newest first."""
    columns = (
        Video.uuid,
        Video.url,
        Engagement.liked,
        Engagement.disliked,
        Engagement.watched,
        Engagement.at,
    )
    query = (
        select(*columns)
        .join(Engagement, Engagement.video_id == Video.id)
        .join(Viewer, Viewer.id == Engagement.viewer_id)
        .where(Viewer.pseudonym == pseudonym)
        .order_by(desc(Engagement.at), Video.url)
    )
    with reads(engine) as connection:
        return [dict(row) for row in connection.execute(query).mappings()]


@contextmanager
def consent_lock(data_dir: Path, *, patience: float = PATIENCE) -> Iterator[None]:
    """Hold the lock on what is stored of viewers; wait for it at most `patience` seconds.

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


def forget_viewers(engine: Engine, pseudonyms: Collection[bytes]) -> int:
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
            advice="End whatever else reads shoal.db; the next check then empties the log.",
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
