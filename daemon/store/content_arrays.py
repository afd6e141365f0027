"""The stored content as numpy arrays, in an order that does not depend on when rows were written.

Videos are ordered by url (code points), so that instances with the same videos agree on the order; viewers by
their first appearance in the source.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Engine

from daemon.store.rows import ENGAGEMENT_COLUMNS, VIDEO_COLUMNS

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


@dataclass(frozen=True)
class Engagements:
    """Parallel arrays, sorted by viewer, then video: input of `models.interactions.from_events`.

    Attributes:
        users: int64 row numbers of viewers, 0..user_count-1.
        videos: int64 positions in the catalogue.
        liked, disliked: bool. watched: float64 fraction. when: float64 Unix seconds.
        pseudonyms: 16 bytes per row number.
    """

    users: NDArray[np.int64]
    videos: NDArray[np.int64]
    liked: NDArray[np.bool_]
    disliked: NDArray[np.bool_]
    watched: NDArray[np.float64]
    when: NDArray[np.float64]
    user_count: int
    pseudonyms: tuple[bytes, ...]


def read(engine: Engine) -> tuple[Catalogue, Engagements]:
    """Read both from one snapshot: a sync in between cannot mix old and new."""
    with engine.connect() as connection:
        videos = _columns(connection, "videos", ("id", *VIDEO_COLUMNS), "ORDER BY url")
        tags = _columns(connection, "tags", ("id", "name"), "ORDER BY name")
        links = _columns(connection, "video_tags", ("video_id", "tag_id"))
        events = _columns(connection, "engagements", ("viewer_id", "video_id", *ENGAGEMENT_COLUMNS))
        viewers = _columns(connection, "viewers", ("id", "pseudonym"))
    catalogue = _catalogue(videos, tags, links)
    return catalogue, _engagements(events, _positions(catalogue.ids), viewers)


def _columns(connection: Connection, table: str, names: Sequence[str], order: str = "") -> Columns:
    """Return the columns of a table by name, each with one value per row."""
    # SQLAlchemy's row objects would take longer to build than the query itself.
    cursor = connection.exec_driver_sql(f"SELECT {', '.join(names)} FROM {table} {order}").cursor  # noqa: S608
    rows = [] if cursor is None else cursor.fetchall()
    return {name: tuple(map(itemgetter(place), rows)) for place, name in enumerate(names)}


def _catalogue(videos: Columns, tags: Columns, links: Columns) -> Catalogue:
    ids = np.array(videos["id"], np.int64)
    channel, channel_names = codes(videos["channel"])
    category, category_names = codes(videos["category"])
    language, language_names = codes(videos["language"])
    rows = _positions(ids)[np.array(links["video_id"], np.int64)]
    tag_ids = _positions(np.array(tags["id"], np.int64))[np.array(links["tag_id"], np.int64)]
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


def _engagements(events: Columns, positions: NDArray[np.int64], viewers: Columns) -> Engagements:
    pseudonyms = dict(zip(viewers["id"], viewers["pseudonym"], strict=True))
    numbers, users = np.unique(np.array(events["viewer_id"], np.int64), return_inverse=True)
    videos = positions[np.array(events["video_id"], np.int64)]
    order = np.lexsort((videos, users))
    return Engagements(
        users=users.astype(np.int64)[order],
        videos=videos[order],
        liked=np.array(events["liked"], np.bool_)[order],
        disliked=np.array(events["disliked"], np.bool_)[order],
        watched=np.array(events["watched"], np.float64)[order],
        when=np.array(events["at"], np.float64)[order],
        user_count=len(numbers),
        pseudonyms=tuple(pseudonyms[number] for number in numbers.tolist()),
    )


def codes(values: Sequence[str]) -> tuple[NDArray[np.int32], tuple[str, ...]]:
    """Return (n,) numbers of the distinct texts in sorted order, -1 for empty text; and those texts."""
    names = tuple(sorted(set(values) - {""}))
    position = {name: number for number, name in enumerate(names)}
    return np.array([position.get(value, -1) for value in values], np.int32), names


def _positions(ids: NDArray[np.int64]) -> NDArray[np.int64]:
    table = np.full(int(ids.max(initial=0)) + 1, -1, np.int64)
    table[ids] = np.arange(len(ids))
    return table
