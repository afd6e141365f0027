"""The rows of the ledger. Nothing here changes or deletes one; their meaning is in `daemon.ledger.chain`."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Engine, RowMapping, bindparam, func, insert, select, text

from daemon.store.engine import reads
from daemon.store.tables import LedgerRow

PAGE: Final = 500
"""Rows that are read at a time."""


@dataclass(frozen=True)
class Row:
    """A row as it is stored; `at` in Unix seconds, `previous` and `hash` 32 bytes, `signature` 64."""

    seq: int
    at: float
    kind: str
    subject: str
    details: dict[str, Any]
    previous: bytes
    hash: bytes
    signature: bytes


# As SQLite holds them: a row that somebody altered must not end the program that looks for it.
_ROWS = "SELECT seq, at, kind, subject, details, previous, hash, signature FROM ledger"


def add(connection: Connection, row: Row) -> None:
    """Append a row inside the caller's transaction."""
    connection.execute(insert(LedgerRow).values(vars(row)))


def last(connection: Connection, kind: str = "") -> Row | None:
    """Return the newest row, or the newest of a kind; None where there is none."""
    where = "WHERE kind = :kind" if kind else ""
    query = text(f"{_ROWS} {where} ORDER BY seq DESC LIMIT 1")
    row = connection.execute(query, {"kind": kind} if kind else {}).mappings().first()
    return None if row is None else _read(row)


def after(engine: Engine, seq: int, *, limit: int = PAGE) -> list[Row]:
    """Return rows that follow a number, oldest first."""
    query = text(f"{_ROWS} WHERE seq > :seq ORDER BY seq LIMIT :limit")
    with reads(engine) as connection:
        return [_read(row) for row in connection.execute(query, {"seq": seq, "limit": limit}).mappings()]


def newest(
    engine: Engine, *, limit: int, before: int | None = None, kinds: Sequence[str] = (), subject: str = ""
) -> list[Row]:
    """Return rows newest first: before a number, of some kinds, about a subject, where asked for."""
    values: dict[str, Any] = {"limit": limit}
    where = []
    if before is not None:
        where.append("seq < :before")
        values["before"] = before
    if kinds:
        where.append("kind IN :kinds")
        values["kinds"] = list(kinds)
    if subject:
        where.append("subject = :subject")
        values["subject"] = subject
    condition = f"WHERE {' AND '.join(where)}" if where else ""
    query = text(f"{_ROWS} {condition} ORDER BY seq DESC LIMIT :limit")
    if kinds:
        query = query.bindparams(bindparam("kinds", expanding=True))
    with reads(engine) as connection:
        return [_read(row) for row in connection.execute(query, values).mappings()]


def since(engine: Engine, kind: str) -> float | None:
    """Return when the first row of a kind was written, Unix seconds; None where there is none."""
    with reads(engine) as connection:
        return connection.execute(select(func.min(LedgerRow.at)).where(LedgerRow.kind == kind)).scalar()


def size(engine: Engine) -> int:
    """Return how many rows there are."""
    with reads(engine) as connection:
        return connection.execute(select(func.count()).select_from(LedgerRow)).scalar_one()


def _read(row: RowMapping) -> Row:
    values = dict(row)
    for name in ("previous", "hash", "signature"):
        values[name] = values[name] if isinstance(values[name], bytes) else b""
    try:
        details = json.loads(values["details"])
    except (ValueError, TypeError, RecursionError):
        details = None
    # What is no object never was one: its hash tells.
    values["details"] = details if isinstance(details, dict) else {"unreadable": True}
    return Row(**values)
