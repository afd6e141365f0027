"""Since when each video is public and not excluded here: sums only count what has been so for a while.

A video that somebody made for the purpose of being watched by one person, and asked about next day, is not.
"""

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Engine, text

from daemon.store.engine import reads

_ALLOWED = """
    FROM main.videos WHERE NOT (
        url IN (SELECT value FROM exclusions WHERE kind = 'video')
        OR uuid IN (SELECT value FROM exclusions WHERE kind = 'video')
        OR channel IN (SELECT value FROM exclusions WHERE kind = 'channel')
        OR host IN (SELECT value FROM exclusions WHERE kind = 'host')
    )
"""
_FORGET = f"DELETE FROM video_since WHERE url NOT IN (SELECT url {_ALLOWED})"  # noqa: S608
_NOTE = f"INSERT OR IGNORE INTO video_since (url, since) SELECT url, :now {_ALLOWED}"


def refresh(connection: Connection, *, now: float) -> None:
    """Forget videos that are gone or excluded, note new ones, inside the caller's transaction."""
    # An excluded video is forgotten, so that it starts anew when it is not excluded any more.
    connection.execute(text(_FORGET))
    connection.execute(text(_NOTE), {"now": now})


def settled(engine: Engine, urls: tuple[str, ...], *, before: float) -> NDArray[np.bool_]:
    """Tell of each video whether it has been public and not excluded since `before` (Unix seconds)."""
    with reads(engine) as connection:
        rows = connection.execute(
            text("SELECT url FROM video_since WHERE since <= :before"), {"before": before}
        )
        known = set(rows.scalars())
    return np.array([url in known for url in urls], np.bool_)
