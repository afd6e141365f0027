"""The stored catalogue as numpy arrays, in an order that does not depend on when rows were written.

Videos are ordered by url (code points), so that instances with the same videos agree on the order.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Engine

from daemon.store.engine import explained
from daemon.store.rows import VIDEO_COLUMNS

Columns = dict[str, tuple[Any, ...]]


@dataclass(frozen=True)
class Catalogue:
    """Every stored video, ordered by url; all columns have one entry per video.

    Attributes:
        channel, category, language: int32 positions in the names beside them, -1 unknown.
        account: int32, equal for videos of one account, -1 unknown.
        scope: uint8, what the owner wants beside the video (`daemon.store.rows.VideoRow`).
        published: float64 Unix seconds, nan unknown.
        tag_offsets, tag_ids: CSR index, (videos + 1,) int64 and (stored tags,) int32 ascending per video.
    """

    urls: tuple[str, ...]
    uuids: tuple[str, ...]
    titles: tuple[str, ...]
    hosts: tuple[str, ...]
    channel: NDArray[np.int32]
    channel_names: tuple[str, ...]
    category: NDArray[np.int32]
    category_names: tuple[str, ...]
    language: NDArray[np.int32]
    language_names: tuple[str, ...]
    published: NDArray[np.float64]
    nsfw: NDArray[np.bool_]
    views: NDArray[np.int64]
    likes: NDArray[np.int64]
    account: NDArray[np.int32]
    scope: NDArray[np.uint8]
    tag_offsets: NDArray[np.int64]
    tag_ids: NDArray[np.int32]
    tag_names: tuple[str, ...]
    ids: NDArray[np.int64]
    """Row ids in the database; meaningless after the next sync."""

    def __len__(self) -> int:
        """Return the number of videos."""
        return len(self.urls)


def read(engine: Engine) -> Catalogue:
    """Read every stored video."""
    with engine.connect() as connection:
        return read_in(connection)


def read_urls(engine: Engine) -> tuple[str, ...]:
    """Read the addresses of all videos, in the order of the catalogue."""
    with engine.connect() as connection:
        return columns(connection, "videos", ("url",), "ORDER BY url")["url"]


def read_in(connection: Connection) -> Catalogue:
    """Read every stored video in an open snapshot."""
    videos = columns(connection, "videos", ("id", *VIDEO_COLUMNS), "ORDER BY url")
    tags = columns(connection, "tags", ("id", "name"), "ORDER BY name")
    links = columns(connection, "video_tags", ("video_id", "tag_id"))
    return _catalogue(videos, tags, links)


def columns(connection: Connection, table: str, names: Sequence[str], order: str = "") -> Columns:
    """Return the columns of a table by name, each with one value per row."""
    cursor = connection.exec_driver_sql(f"SELECT {', '.join(names)} FROM {table} {order}").cursor  # noqa: S608
    # SQLAlchemy's row objects would take longer to build than the query itself. It hears of no error here.
    with explained(Path(str(connection.engine.url.database))):
        rows = [] if cursor is None else cursor.fetchall()
    return {name: tuple(map(itemgetter(place), rows)) for place, name in enumerate(names)}


def _catalogue(videos: Columns, tags: Columns, links: Columns) -> Catalogue:
    ids = np.array(videos["id"], np.int64)
    channel, channel_names = codes(videos["channel"])
    category, category_names = codes(videos["category"])
    language, language_names = codes(videos["language"])
    rows = positions(ids)[np.array(links["video_id"], np.int64)]
    tag_ids = positions(np.array(tags["id"], np.int64))[np.array(links["tag_id"], np.int64)]
    order = np.lexsort((tag_ids, rows))
    offsets = np.concatenate(([0], np.cumsum(np.bincount(rows, minlength=len(ids)))))
    return Catalogue(
        urls=videos["url"],
        uuids=videos["uuid"],
        titles=videos["title"],
        hosts=videos["host"],
        channel=channel,
        channel_names=channel_names,
        category=category,
        category_names=category_names,
        language=language,
        language_names=language_names,
        # None becomes nan.
        published=np.array(videos["published"], np.float64),
        nsfw=np.array(videos["nsfw"], np.bool_),
        views=np.array(videos["views"], np.int64),
        likes=np.array(videos["likes"], np.int64),
        account=codes(videos["account"])[0],
        scope=np.array(videos["scope"], np.uint8),
        tag_offsets=offsets.astype(np.int64),
        tag_ids=tag_ids[order].astype(np.int32),
        tag_names=tags["name"],
        ids=ids,
    )


def codes(values: Sequence[str]) -> tuple[NDArray[np.int32], tuple[str, ...]]:
    """Return (n,) numbers of the distinct texts in sorted order, -1 for empty text; and those texts."""
    names = tuple(sorted(set(values) - {""}))
    position = {name: number for number, name in enumerate(names)}
    return np.array([position.get(value, -1) for value in values], np.int32), names


def positions(ids: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return where each row id stands among `ids`, by id; -1 where it does not."""
    table = np.full(int(ids.max(initial=0)) + 1, -1, np.int64)
    table[ids] = np.arange(len(ids))
    return table
