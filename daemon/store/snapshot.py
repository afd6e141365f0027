"""Replacing the content of the instance by what the source says now, in one transaction.

Pages are collected in temporary tables first, so that a slow source never holds the write lock, and a sync
that dies half-way leaves the old content untouched. There is no event log: what the source lost is gone.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Final, get_type_hints

from sqlalchemy import Connection, Engine

from daemon.store import loss, source_state
from daemon.store.engine import emptying, truncate_wal
from daemon.store.rows import ENGAGEMENT_COLUMNS, VIDEO_COLUMNS, EngagementRow, SourceFacts, VideoRow
from daemon.store.viewers import Pseudonyms

MAX_TEXT: Final = 500
MAX_URL: Final = 2_000
MAX_TAG: Final = 100
MAX_TAGS_PER_VIDEO: Final = 200

# Names in statements below come from here and from the fields of rows, never from data.
_CONTENT: Final = ("videos", "tags", "video_tags", "viewers", "engagements")
_KINDS: Final = get_type_hints(VideoRow)
_engagement_of = attrgetter(*ENGAGEMENT_COLUMNS)
# Several engagements of one viewer with one video combine: the strongest counts.
_COMBINED: Final = ", ".join(f"{name} = max({name}, excluded.{name})" for name in ENGAGEMENT_COLUMNS)


@dataclass
class Counts:
    """What a snapshot holds, and what it left out because the catalogue does not have the video."""

    videos: int = 0
    tags: int = 0
    viewers: int = 0
    engagements: int = 0
    skipped: int = 0


class Snapshot:
    """Collects pages; ids are numbered in order of arrival."""

    def __init__(self, connection: Connection, pseudonyms: Pseudonyms) -> None:
        self._connection = connection
        self._pseudonyms = pseudonyms
        self._videos: dict[str, int] = {}
        self._tags: dict[str, int] = {}
        self._viewers: dict[str, int] = {}
        self._facts: tuple[SourceFacts, float, int] | None = None
        self.counts = Counts()

    def add_videos(self, page: Iterable[VideoRow]) -> None:
        """Add videos; of two with the same url the first stays. Text is cut to bounded lengths."""
        first, kept = len(self._videos) + 1, []
        tags: list[tuple[int, str]] = []
        links: list[tuple[int, int]] = []
        for video in page:
            if video.url in self._videos or not 0 < len(video.url) <= MAX_URL:
                self.counts.skipped += 1
                continue
            number = self._videos[video.url] = len(self._videos) + 1
            kept.append(video)
            for name in dict.fromkeys([t.strip().lower()[:MAX_TAG] for t in video.tags[:MAX_TAGS_PER_VIDEO]]):
                if not name:
                    continue
                tag = self._tags.get(name)
                if tag is None:
                    tag = self._tags[name] = len(self._tags) + 1
                    tags.append((tag, name))
                links.append((number, tag))
        columns = [_bounded(name, kept) for name in VIDEO_COLUMNS]
        rows = list(zip(range(first, first + len(kept)), *columns, strict=True))
        self._insert("videos", ("id", *VIDEO_COLUMNS), rows)
        self._insert("tags", ("id", "name"), tags)
        self._insert("video_tags", ("video_id", "tag_id"), links)
        self.counts.videos, self.counts.tags = len(self._videos), len(self._tags)

    def add_engagements(self, page: Iterable[EngagementRow]) -> None:
        """Add engagements with videos added before; several of one viewer and video combine."""
        viewers: list[tuple[int, bytes, str, float]] = []
        rows: list[tuple[object, ...]] = []
        for row in page:
            video = self._videos.get(row.video_url)
            if video is None or not (math.isfinite(row.at) and 0.0 <= row.watched <= 1.0):
                self.counts.skipped += 1
                continue
            viewer = self._viewers.get(row.viewer)
            if viewer is None:
                viewer = self._viewers[row.viewer] = len(self._viewers) + 1
                viewers.append((viewer, self._pseudonyms.of(row.viewer), "", 0.0))
            rows.append((viewer, video, *_engagement_of(row)))
        self._insert("viewers", ("id", "pseudonym", "state", "since"), viewers)
        key = ("viewer_id", "video_id")
        combined = f"ON CONFLICT ({', '.join(key)}) DO UPDATE SET {_COMBINED}"
        self._insert("engagements", (*key, *ENGAGEMENT_COLUMNS), rows, combined)
        self.counts.viewers = len(self._viewers)
        self.counts.engagements += len(rows)

    def confirm(self, states: Mapping[str, str]) -> None:
        """Keep only the viewers named here, each with the source's digest of their rows."""
        kept = [(states[viewer], number) for viewer, number in self._viewers.items() if viewer in states]
        gone = [(number,) for viewer, number in self._viewers.items() if viewer not in states]
        if kept:
            self._connection.exec_driver_sql("UPDATE temp.viewers SET state = ? WHERE id = ?", kept)
        if gone:
            self._connection.exec_driver_sql("DELETE FROM temp.engagements WHERE viewer_id = ?", gone)
            self._connection.exec_driver_sql("DELETE FROM temp.viewers WHERE id = ?", gone)
        self._viewers = {viewer: n for viewer, n in self._viewers.items() if viewer in states}
        self.counts.viewers = len(self._viewers)
        left = self._connection.exec_driver_sql("SELECT count(*) FROM temp.engagements").scalar()
        self.counts.engagements = int(left or 0)

    def describe(self, facts: SourceFacts, *, now: float, participants: int) -> None:
        """Store what the source says of itself, together with the content; `now` in Unix seconds."""
        self._facts = (facts, now, participants)

    def date_viewers(self) -> None:
        """Keep since when viewers are known, inside the caller's transaction."""
        known = self._connection.exec_driver_sql("SELECT count(*) FROM main.videos").scalar()
        # After a loss nobody knows who had just come.
        first = not known and loss.newest(self._connection) is None
        now = 0.0 if first or self._facts is None else self._facts[1]
        self._connection.exec_driver_sql(
            "UPDATE temp.viewers SET since = coalesce("
            "(SELECT since FROM main.viewers AS known WHERE known.pseudonym = temp.viewers.pseudonym), ?)",
            (now,),
        )

    def store_facts(self) -> None:
        """Write what `describe` was given, inside the caller's transaction."""
        if self._facts is not None:
            facts, now, participants = self._facts
            source_state.write(self._connection, facts, now=now, participants=participants)

    def _insert(self, table: str, columns: Sequence[str], rows: list[Any], otherwise: str = "") -> None:
        if rows:
            names, marks = ", ".join(columns), ", ".join("?" * len(columns))
            statement = f"INSERT INTO temp.{table} ({names}) VALUES ({marks}) {otherwise}"  # noqa: S608
            self._connection.exec_driver_sql(statement, rows)


def _bounded(name: str, videos: Sequence[VideoRow]) -> list[Any]:
    """Return a column: texts cut, counts not below zero, and unknown what is no finite number."""
    values = map(attrgetter(name), videos)
    if _KINDS[name] is str:
        most = MAX_URL if name == "url" else MAX_TEXT
        return [text[:most] for text in values]
    if _KINDS[name] is int:
        return [max(count, 0) for count in values]
    return [value if value is not None and math.isfinite(value) else None for value in values]


@contextmanager
def replace(engine: Engine, pseudonyms: Pseudonyms) -> Iterator[Snapshot]:
    """Collect a snapshot; on leaving the block without an error it replaces the stored one.

    ```
    with replace(engine, pseudonyms) as snapshot:
        snapshot.add_videos(page) snapshot.add_engagements(page)
    ```
    """
    with engine.connect() as connection:
        try:
            _create_temporary(connection)
            snapshot = Snapshot(connection, pseudonyms)
            yield snapshot
            connection.commit()
            _swap(connection, snapshot)
        finally:
            # Temporary tables hide the stored ones as long as the connection lives: never use it again.
            connection.invalidate()
    truncate_wal(engine)


def _swap(connection: Connection, snapshot: Snapshot) -> None:
    # Foreign keys hold by construction: a snapshot numbers its own rows.
    with emptying(connection):
        snapshot.date_viewers()
        for table in reversed(_CONTENT):
            connection.exec_driver_sql(f"DELETE FROM main.{table}")  # noqa: S608
        for table in _CONTENT:
            connection.exec_driver_sql(f"INSERT INTO main.{table} SELECT * FROM temp.{table}")  # noqa: S608
        snapshot.store_facts()


def _create_temporary(connection: Connection) -> None:
    for table in _CONTENT:
        connection.exec_driver_sql(f"CREATE TEMP TABLE {table} AS SELECT * FROM main.{table} WHERE 0")  # noqa: S608
    connection.exec_driver_sql("CREATE UNIQUE INDEX temp.one_per_pair ON engagements (viewer_id, video_id)")
    connection.exec_driver_sql("CREATE UNIQUE INDEX temp.one_viewer ON viewers (id)")
    connection.commit()
