"""How many viewers took part, day by day: a total for the admin, and no part of any answer to others."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, Engine, delete, select
from sqlalchemy.dialects.sqlite import insert

from daemon.store.engine import reads, writes
from daemon.store.tables import ViewersOfDay

DAY: Final = 86400.0


def note(connection: Connection, *, now: float, viewers: int) -> None:
    """Set the number of the day of `now` (Unix seconds), inside the caller's transaction."""
    statement = insert(ViewersOfDay).values(day=now - now % DAY, viewers=viewers)
    changed = {"viewers": statement.excluded.viewers}
    connection.execute(statement.on_conflict_do_update(index_elements=["day"], set_=changed))


def since(engine: Engine, start: float) -> list[tuple[float, int]]:
    """Return days from a moment on (Unix seconds, of their start in UTC) with their numbers, oldest first."""
    query = select(ViewersOfDay.day, ViewersOfDay.viewers).order_by(ViewersOfDay.day)
    with reads(engine) as connection:
        rows = connection.execute(query.where(ViewersOfDay.day >= start - start % DAY))
        return [(float(day), int(viewers)) for day, viewers in rows]


def prune(engine: Engine, *, before: float) -> int:
    """Forget days before that moment; returns how many."""
    with writes(engine) as connection:
        return connection.execute(delete(ViewersOfDay).where(ViewersOfDay.day < before)).rowcount
