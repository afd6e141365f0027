"""Titles of videos, as they are today: reports keep addresses, so that none outlives its video."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Engine, select

from daemon.store.engine import reads
from daemon.store.tables import Video

_AT_ONCE = 500
"""Addresses in one query; SQLite takes at most some thousands."""


def public_titles(engine: Engine, urls: Iterable[str]) -> dict[str, str]:
    """Return the titles of those of these addresses that are in the public catalogue."""
    wanted = sorted(set(urls))
    found: dict[str, str] = {}
    with reads(engine) as connection:
        for start in range(0, len(wanted), _AT_ONCE):
            query = select(Video.url, Video.title).where(Video.url.in_(wanted[start : start + _AT_ONCE]))
            found |= {str(url): str(title) for url, title in connection.execute(query)}
    return found
