"""The stored content as numpy arrays, in an order that does not depend on when rows were written.

Videos are ordered by url (code points), so that instances with the same videos agree on the order; viewers by
their first appearance in the source.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Engine


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
        videos = _rows(
            connection,
            "SELECT id, url, uuid, title, host, channel, category, language, published, nsfw, views, likes, "
            "account, scope FROM videos ORDER BY url",
        )
        tags = _rows(connection, "SELECT id, name FROM tags ORDER BY name")
        links = _rows(connection, "SELECT video_id, tag_id FROM video_tags")
        events = _rows(
            connection, "SELECT viewer_id, video_id, liked, disliked, watched, at FROM engagements"
        )
        names = _rows(connection, "SELECT id, pseudonym FROM viewers")
    catalogue = _catalogue(videos, tags, links)
    return catalogue, _engagements(events, _positions(catalogue.ids), names)


def _rows(connection: Connection, query: str) -> list[tuple[object, ...]]:
    # SQLAlchemy's row objects would take longer to build than the query itself.
    cursor = connection.exec_driver_sql(query).cursor
    return [] if cursor is None else [tuple(row) for row in cursor.fetchall()]


def _catalogue(
    videos: list[tuple[object, ...]], tags: list[tuple[object, ...]], links: list[tuple[object, ...]]
) -> Catalogue:
    columns: list[tuple[object, ...]] = list(zip(*videos, strict=True)) or [()] * 14
    ids = np.array(columns[0], np.int64)
    text = [tuple(str(value) for value in column) for column in columns[1:8]]
    channel, channel_names = codes(text[4])
    category, category_names = codes(text[5])
    language, language_names = codes(text[6])
    tag_position = _positions(np.array([row[0] for row in tags], np.int64))
    pairs = np.array(links, np.int64).reshape(-1, 2)
    rows, tag_ids = _positions(ids)[pairs[:, 0]], tag_position[pairs[:, 1]]
    order = np.lexsort((tag_ids, rows))
    offsets = np.concatenate(([0], np.cumsum(np.bincount(rows, minlength=len(ids)))))
    return Catalogue(
        urls=text[0],
        uuids=text[1],
        titles=text[2],
        hosts=text[3],
        channel=channel,
        channel_names=channel_names,
        category=category,
        category_names=category_names,
        language=language,
        language_names=language_names,
        published=np.array([np.nan if value is None else value for value in columns[8]], np.float64),
        nsfw=np.array(columns[9], np.bool_),
        views=np.array(columns[10], np.int64),
        likes=np.array(columns[11], np.int64),
        account=codes([str(value) for value in columns[12]])[0],
        scope=np.array(columns[13], np.uint8),
        tag_offsets=offsets.astype(np.int64),
        tag_ids=tag_ids[order].astype(np.int32),
        tag_names=tuple(str(row[1]) for row in tags),
        ids=ids,
    )


def _engagements(
    events: list[tuple[object, ...]], positions: NDArray[np.int64], names: list[tuple[object, ...]]
) -> Engagements:
    columns: list[tuple[object, ...]] = list(zip(*events, strict=True)) or [()] * 6
    pseudonyms = {row[0]: row[1] for row in names}
    viewers, users = np.unique(np.array(columns[0], np.int64), return_inverse=True)
    videos = positions[np.array(columns[1], np.int64)]
    order = np.lexsort((videos, users))
    return Engagements(
        users=users.astype(np.int64)[order],
        videos=videos[order],
        liked=np.array(columns[2], np.bool_)[order],
        disliked=np.array(columns[3], np.bool_)[order],
        watched=np.array(columns[4], np.float64)[order],
        when=np.array(columns[5], np.float64)[order],
        user_count=len(viewers),
        pseudonyms=tuple(pseudonyms[int(viewer)] for viewer in viewers),  # type: ignore[misc]
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
