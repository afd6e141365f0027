"""Why aggregators leave this instance out of a window: what each said last."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from sqlalchemy import Engine, delete, select
from sqlalchemy.dialects.sqlite import insert

from daemon.store.engine import reads, writes
from daemon.store.tables import WaitRow


@dataclass(frozen=True)
class WaitRecord:
    """What an aggregator said; see `federation.rosters.Wait`. Times are Unix seconds."""

    aggregator: str
    told: float
    until: float
    rejected_by: list[str]
    rejects: list[str]
    too_many: bool


def save(engine: Engine, record: WaitRecord) -> None:
    """Keep it in place of what this aggregator said before."""
    values = asdict(record)
    changed = {name: value for name, value in values.items() if name != "aggregator"}
    statement = insert(WaitRow).values(values)
    with writes(engine) as connection:
        connection.execute(statement.on_conflict_do_update(index_elements=["aggregator"], set_=changed))


def forget(engine: Engine, aggregator: str) -> None:
    """Delete what an aggregator said: it counts this instance again."""
    with writes(engine) as connection:
        connection.execute(delete(WaitRow).where(WaitRow.aggregator == aggregator))


def find(engine: Engine, aggregator: str, now: float) -> WaitRecord | None:
    """Return why this instance waits, None if it does not, or not any more (`now` in Unix seconds)."""
    query = select(WaitRow.__table__).where((WaitRow.aggregator == aggregator) & (WaitRow.until > now))
    with reads(engine) as connection:
        row = connection.execute(query).mappings().first()
    return None if row is None else WaitRecord(**row)
