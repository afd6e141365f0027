"""The second copy of the ledger: a file beside the database that is only ever appended to.

What was decided and learnt must survive the database. So every entry is also a line of `ledger.jsonl`,
written as soon as its transaction stands, in the form of an exported ledger. A database that was lost, cut
short or put back from an older copy has fewer entries than the file; `daemon.maintenance.database_loss`
brings them back. What the file lacks follows with the next entry.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any, Final

from sqlalchemy import Connection, Engine

from daemon.ledger.canonical import as_json, canonical
from daemon.process.full_disk import fields_of
from daemon.store import ledger_rows
from daemon.store.engine import after_commit
from daemon.store.ledger_rows import Row

logger = logging.getLogger(__name__)

NAME: Final = "ledger.jsonl"
_CHUNK: Final = 65_536


def path_of(engine: Engine) -> Path:
    """Return the file beside a database."""
    return Path(str(engine.url.database)).with_name(NAME)


def keep_up(connection: Connection) -> None:
    """Copy what a transaction appends, once it stands."""
    engine = connection.engine
    after_commit(connection, NAME, lambda: write(engine))


def write(engine: Engine) -> None:
    """Append the entries that the file does not have; what cannot be written follows the next time."""
    try:
        with _locked(path_of(engine)) as file:
            last = _newest(file)
            if last is not None and not _has(engine, last):
                # The file knows what the database does not: that is looked at when the next job opens it.
                return
            after = 0 if last is None else last.seq
            while page := ledger_rows.after(engine, after):
                _append(file, page)
                after = page[-1].seq
    except (OSError, ValueError, TypeError) as error:
        # The last two are an entry that somebody altered: whoever verifies the ledger is told.
        logger.error("the second copy of the ledger cannot be written", extra=fields_of(error))


def newest(path: Path) -> Row | None:
    """Return the last entry of a file; None where there is none, or nothing can be read."""
    try:
        with path.open("rb") as file:
            return _newest(file)
    except FileNotFoundError:
        return None


def read(path: Path) -> tuple[list[Row], int]:
    """Return the entries of a file in order, from the first without a gap, and how many follow a gap.

    A line with a number that was there before takes the place of all that followed.
    """
    found: list[Row] = []
    apart = 0
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return [], 0
    for line in filter(None, lines):
        entry = _read(line)
        if entry is None or entry.seq < 1:
            apart += 1
            continue
        if entry.seq <= len(found):
            if found[entry.seq - 1].hash == entry.hash:
                continue
            del found[entry.seq - 1 :]
        if entry.seq == len(found) + 1:
            found.append(entry)
        else:
            apart += 1
    return found, apart


def settle(engine: Engine, aside: str) -> None:
    """Copy what the file does not have; one that went on without the database is moved aside first."""
    path = path_of(engine)
    last = newest(path)
    strange = last is None or not _has(engine, last)
    if strange and path.exists() and path.stat().st_size:
        path.replace(path.with_name(f"{NAME}.{aside}"))
    write(engine)


def _has(engine: Engine, entry: Row) -> bool:
    found = ledger_rows.after(engine, entry.seq - 1, limit=1)
    return bool(found) and found[0].hash == entry.hash


class _locked:  # noqa: N801 (used as a function)
    """Opens a file for reading and appending, for one process at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> IO[bytes]:
        descriptor = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        self._file = os.fdopen(descriptor, "r+b", buffering=0)
        fcntl.flock(self._file, fcntl.LOCK_EX)
        return self._file

    def __exit__(self, *_error: object) -> None:
        self._file.close()


def _newest(file: IO[bytes]) -> Row | None:
    """Return the last whole entry, reading from the end."""
    end, text = file.seek(0, os.SEEK_END), b""
    while end > 0:
        begin = max(0, end - _CHUNK)
        file.seek(begin)
        text = file.read(end - begin) + text
        end = begin
        lines = text.split(b"\n")
        # The first may go on further ahead.
        for line in reversed(lines if begin == 0 else lines[1:]):
            if (entry := _read(line)) is not None:
                return entry
        text = lines[0] if begin else b""
    return None


def _append(file: IO[bytes], entries: Iterable[Row]) -> None:
    # A line begins with its break: what a crash left half-written spoils no other.
    data = memoryview(b"".join(b"\n" + canonical(as_json(entry)) for entry in entries))
    while data:
        # A disk that is nearly full takes a part, and only the next write fails.
        data = data[file.write(data) or 0 :]
    os.fsync(file.fileno())


def _read(line: bytes) -> Row | None:
    try:
        found: dict[str, Any] = json.loads(line)
        binary = {name: bytes.fromhex(found[name]) for name in ("previous", "hash", "signature")}
        details = found["details"]
        if not isinstance(details, dict):
            return None
        return Row(
            seq=int(found["seq"]),
            at=float(found["at"]),
            kind=str(found["kind"]),
            subject=str(found["subject"]),
            details=details,
            **binary,
        )
    except (ValueError, KeyError, TypeError, RecursionError, OverflowError):
        return None
