"""What suggestions achieved on the watch page, by day: totals that the plugin counted, about nobody."""

from collections.abc import Sequence
from dataclasses import asdict

from sqlalchemy import Connection, Engine, delete, insert, select

from daemon.store.engine import reads
from daemon.store.rows import DailyEffects
from daemon.store.tables import DailyEffectsRow


def replace(connection: Connection, days: Sequence[DailyEffects]) -> None:
    """Put what the plugin has in place of what was known, inside the caller's transaction."""
    connection.execute(delete(DailyEffectsRow))
    if days:
        connection.execute(insert(DailyEffectsRow), [asdict(day) for day in days])


def read(engine: Engine, *, since: str = "") -> list[DailyEffects]:
    """Return the totals from a day on (YYYY-MM-DD, UTC), oldest first."""
    query = (
        select(DailyEffectsRow.__table__).where(DailyEffectsRow.day >= since).order_by(DailyEffectsRow.day)
    )
    with reads(engine) as connection:
        return [DailyEffects(**row) for row in connection.execute(query).mappings()]
