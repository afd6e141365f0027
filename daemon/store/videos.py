"""Single videos of the catalogue: their titles today, and since when they are public and not excluded here.

Reports keep addresses, so that no title outlives its video. Sums only count videos that have been public for
a while: one that was made to be watched by one person, and asked about the next day, has not.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine, select, text

from daemon.store.engine import reads
from daemon.store.tables import Video

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_AT_ONCE = 500
"""Addresses in one query; SQLite takes at most some thousands."""

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


def public_titles(engine: Engine, urls: Iterable[str]) -> dict[str, str]:
    """Return the titles of those of these addresses that are in the public catalogue."""
    wanted = sorted(set(urls))
    found: dict[str, str] = {}
    with reads(engine) as connection:
        for start in range(0, len(wanted), _AT_ONCE):
            query = select(Video.url, Video.title).where(Video.url.in_(wanted[start : start + _AT_ONCE]))
            found |= {str(url): str(title) for url, title in connection.execute(query)}
    return found


def note_public_since(connection: Connection, *, now: float) -> None:
    """Forget videos that are gone or excluded, note new ones, inside the caller's transaction."""
    # An excluded video is forgotten, so that it starts anew when it is not excluded any more.
    connection.execute(text(_FORGET))
    connection.execute(text(_NOTE), {"now": now})


def public_since(engine: Engine, urls: tuple[str, ...], *, before: float) -> NDArray[np.bool_]:
    """Mark the videos, (len(urls),), that have been public and not excluded since `before` (Unix seconds)."""
    import numpy as np

    with reads(engine) as connection:
        rows = connection.execute(
            text("SELECT url FROM video_since WHERE since <= :before"), {"before": before}
        )
        known = set(rows.scalars())
    return np.array([url in known for url in urls], np.bool_)
