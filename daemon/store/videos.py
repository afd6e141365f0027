"""Single videos of the catalogue: their titles today, and since when they are public and not excluded here.

Reports keep addresses, so that no title outlives its video. Sums only count videos that have been public for
a while: one that was made to be watched by one person, and asked about the next day, has not.

A video that is there at the first sync counts from when the source stored it, any later one from when it was
first seen, and one that was gone or excluded from when it was seen again. Nothing that an origin says of its
videos makes them older; an own video is never older than its publication.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine, func, select, text

from daemon.store.engine import explained, reads
from daemon.store.tables import Video, VideoSince

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
# One look into an index for each: `NOT IN` would put all addresses of a catalogue into memory first.
_FORGET = f"""
    DELETE FROM video_since WHERE NOT EXISTS (SELECT 1 {_ALLOWED} AND main.videos.url = video_since.url)
"""  # noqa: S608
# In the order in which they are kept: page after page, where any other would write each page many times.
_NOTE = f"INSERT OR IGNORE INTO video_since (url, since) SELECT url, :now {_ALLOWED} ORDER BY url"
# A date that lies ahead is that of a clock that was wrong: the video is here now.
_NOTE_FIRST = f"""
    INSERT OR IGNORE INTO video_since (url, since)
    SELECT url, min(:now, coalesce(stored, :now)) {_ALLOWED} ORDER BY url
"""
_PUBLISHED_AGAIN = """
    UPDATE video_since SET since = min(:now, v.published) FROM main.videos v
    WHERE v.url = video_since.url AND v.own AND v.published > since
"""


def public_titles(engine: Engine, urls: Iterable[str]) -> dict[str, str]:
    """Return the titles of those of these addresses that are in the public catalogue."""
    wanted = sorted(set(urls))
    found: dict[str, str] = {}
    with reads(engine) as connection:
        for start in range(0, len(wanted), _AT_ONCE):
            query = select(Video.url, Video.title).where(Video.url.in_(wanted[start : start + _AT_ONCE]))
            found |= {str(url): str(title) for url, title in connection.execute(query)}
    return found


def by_host(engine: Engine, hosts: Iterable[str]) -> dict[str, tuple[int, float | None]]:
    """Return how many videos of each host the catalogue has, and since when it has any (Unix seconds)."""
    wanted = sorted(set(hosts))
    found: dict[str, tuple[int, float | None]] = {}
    with reads(engine) as connection:
        for start in range(0, len(wanted), _AT_ONCE):
            query = (
                select(Video.host, func.count(), func.min(VideoSince.since))
                .outerjoin(VideoSince, VideoSince.url == Video.url)
                .where(Video.host.in_(wanted[start : start + _AT_ONCE]))
                .group_by(Video.host)
            )
            found |= {str(host): (count, since) for host, count, since in connection.execute(query)}
    return found


def numbers_by_host(engine: Engine) -> dict[str, int]:
    """Return how many videos of each host the catalogue has."""
    with reads(engine) as connection:
        rows = connection.execute(select(Video.host, func.count()).group_by(Video.host)).all()
    return {str(host): int(count) for host, count in rows}


def note_public_since(connection: Connection, *, now: float, first: bool = False) -> None:
    """Forget videos that are gone or excluded, note new ones, inside the caller's transaction.

    `first` tells that nothing was known of this source before, and its own record of dates counts.
    """
    # An excluded video is forgotten, so that it starts anew when it is not excluded any more.
    connection.execute(text(_FORGET))
    connection.execute(text(_NOTE_FIRST if first else _NOTE), {"now": now})
    connection.execute(text(_PUBLISHED_AGAIN), {"now": now})


def first_public(engine: Engine) -> float | None:
    """Return since when the first of all videos has been public and not excluded, Unix seconds."""
    with reads(engine) as connection:
        found = connection.execute(text("SELECT min(since) FROM video_since")).scalar()
    return None if found is None else float(found)


def public_dates(engine: Engine) -> list[float]:
    """Return since when each video has been public and not excluded, Unix seconds, ascending."""
    with reads(engine) as connection:
        driver = connection.connection.driver_connection
        if driver is None:
            raise ValueError("the connection must be open")
        # A hundred thousand rows, which as objects would take ten times as long.
        with explained(Path(str(engine.url.database))):
            return [since for (since,) in driver.execute("SELECT since FROM video_since ORDER BY since")]


def public_since(engine: Engine, urls: tuple[str, ...], *, before: float) -> NDArray[np.bool_]:
    """Mark the videos, (len(urls),), that have been public and not excluded since `before` (Unix seconds)."""
    import numpy as np

    with reads(engine) as connection:
        rows = connection.execute(
            text("SELECT url FROM video_since WHERE since <= :before"), {"before": before}
        )
        known = set(rows.scalars())
    return np.array([url in known for url in urls], np.bool_)
