"""What became of taking peers' learning out: one report each, kept for good."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, desc, insert, select, update

from daemon.store.engine import reads, writes
from daemon.store.tables import Revert as Row


@dataclass(frozen=True)
class RevertRecord:
    """A revert: `at` in Unix seconds, `report` as `daemon.revert.report` describes it."""

    id: int
    at: float
    host: str
    report: dict[str, Any]


def begin(engine: Engine, host: str, report: dict[str, Any], now: float) -> int:
    """Begin a record and return its number."""
    with writes(engine) as connection:
        return int(
            connection.execute(
                insert(Row).values(at=now, host=host, report=report).returning(Row.id)
            ).scalar_one()
        )


def change(engine: Engine, number: int, report: dict[str, Any]) -> None:
    """Replace a report."""
    with writes(engine) as connection:
        connection.execute(update(Row).where(Row.id == number).values(report=report))


def newest(engine: Engine, host: str = "", *, limit: int = 100) -> list[RevertRecord]:
    """Return reverts, newest first; only those of a host where one is given."""
    query = select(Row.__table__).order_by(desc(Row.id)).limit(limit)
    if host:
        query = query.where(Row.host == host)
    with reads(engine) as connection:
        return [RevertRecord(**row) for row in connection.execute(query).mappings()]
