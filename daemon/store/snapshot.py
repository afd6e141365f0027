"""Replacing the content of the instance by what the source says now, in one transaction.

Pages are collected in a database of their own first, so that a slow source never holds the write lock, and a
sync that dies half-way leaves the old content untouched. There is no event log: what the source lost is gone.

That database is a file without a name, beside the stored one: whatever ends the process, nothing of it is
left. Its tables are made by the same statements, so that SQLite copies them entry after entry, indexes
included, and sorts nothing again. Memory is needed for a page of the source, for caches, and for the names of
viewers.
"""

import math
import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from operator import attrgetter
from pathlib import Path
from typing import Any, Final, TypeVar, get_type_hints

from sqlalchemy import Connection, Engine

from daemon.store import loss, source_state
from daemon.store.engine import emptying, explained, truncate_wal
from daemon.store.rows import ENGAGEMENT_COLUMNS, VIDEO_COLUMNS, EngagementRow, SourceFacts, VideoRow
from daemon.store.viewers import Pseudonyms

MAX_TEXT: Final = 500
MAX_URL: Final = 2_000
MAX_TAG: Final = 100
MAX_TAGS_PER_VIDEO: Final = 200
_PAGE: Final = 1_000
"""Rows that are written at once, however many a source delivers."""
_AT_ONCE: Final = 500
"""Names in one query; SQLite takes at most some thousands."""
_CACHE_KIB: Final = 131_072
"""Of what is collected: room for the index of a million addresses. They come in no order: with less, each of
them is a page read and another one written."""

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
        # A source has to hold all its viewers to compare who takes part before and after.
        self._viewers: dict[str, int] = {}
        self._facts: tuple[SourceFacts, float, int] | None = None
        self.counts = Counts()

    def add_videos(self, videos: Iterable[VideoRow]) -> None:
        """Add videos; of two with the same url the first stays. Text is cut to bounded lengths."""
        for page in _pages(videos):
            self._add_videos(page)

    def _add_videos(self, page: Sequence[VideoRow]) -> None:
        first, kept = self.counts.videos + 1, []
        seen = set(self._numbers("videos", "url", {video.url for video in page if len(video.url) <= MAX_URL}))
        for video in page:
            if video.url in seen or not 0 < len(video.url) <= MAX_URL:
                self.counts.skipped += 1
                continue
            seen.add(video.url)
            kept.append(video)
        named = [_tags_of(video) for video in kept]
        numbers = self._numbers("tags", "name", {name for names in named for name in names})
        tags: list[tuple[int, str]] = []
        for name in dict.fromkeys(name for names in named for name in names if name not in numbers):
            numbers[name] = self.counts.tags + len(tags) + 1
            tags.append((numbers[name], name))
        links = [(video, numbers[name]) for video, names in enumerate(named, first) for name in names]
        columns = [_bounded(name, kept) for name in VIDEO_COLUMNS]
        rows = list(zip(range(first, first + len(kept)), *columns, strict=True))
        self._insert("videos", ("id", *VIDEO_COLUMNS), rows)
        self._insert("tags", ("id", "name"), tags)
        self._insert("video_tags", ("video_id", "tag_id"), links)
        self.counts.videos += len(kept)
        self.counts.tags += len(tags)

    def add_engagements(self, engagements: Iterable[EngagementRow]) -> None:
        """Add engagements with videos added before; several of one viewer and video combine."""
        for page in _pages(engagements):
            self._add_engagements(page)

    def _add_engagements(self, page: Sequence[EngagementRow]) -> None:
        viewers: list[tuple[int, bytes, str, float]] = []
        rows: list[tuple[object, ...]] = []
        videos = self._numbers("videos", "url", {row.video_url for row in page})
        for row in page:
            video = videos.get(row.video_url)
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
            self._connection.exec_driver_sql("UPDATE collected.viewers SET state = ? WHERE id = ?", kept)
        if gone:
            self._connection.exec_driver_sql("DELETE FROM collected.engagements WHERE viewer_id = ?", gone)
            self._connection.exec_driver_sql("DELETE FROM collected.viewers WHERE id = ?", gone)
        self._viewers = {viewer: n for viewer, n in self._viewers.items() if viewer in states}
        self.counts.viewers = len(self._viewers)
        left = self._connection.exec_driver_sql("SELECT count(*) FROM collected.engagements").scalar()
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
            "UPDATE collected.viewers AS new SET since = coalesce("
            "(SELECT since FROM main.viewers AS known WHERE known.pseudonym = new.pseudonym), ?)",
            (now,),
        )

    def store_facts(self) -> None:
        """Write what `describe` was given, inside the caller's transaction."""
        if self._facts is not None:
            facts, now, participants = self._facts
            source_state.write(self._connection, facts, now=now, participants=participants)

    def _numbers(self, table: str, column: str, names: Collection[str]) -> dict[str, int]:
        """Return the ids of those names that were added before."""
        found: dict[str, int] = {}
        wanted = iter(names)
        while some := tuple(islice(wanted, _AT_ONCE)):
            marks = ", ".join("?" * len(some))
            statement = f"SELECT {column}, id FROM collected.{table} WHERE {column} IN ({marks})"  # noqa: S608
            found.update((name, number) for name, number in self._connection.exec_driver_sql(statement, some))
        return found

    def _insert(self, table: str, columns: Sequence[str], rows: list[Any], otherwise: str = "") -> None:
        if rows:
            names, marks = ", ".join(columns), ", ".join("?" * len(columns))
            statement = f"INSERT INTO collected.{table} ({names}) VALUES ({marks}) {otherwise}"  # noqa: S608
            self._connection.exec_driver_sql(statement, rows)


_Row = TypeVar("_Row")


def _pages(rows: Iterable[_Row]) -> Iterator[list[_Row]]:
    remaining = iter(rows)
    while page := list(islice(remaining, _PAGE)):
        yield page


def _tags_of(video: VideoRow) -> list[str]:
    names = [tag.strip().lower()[:MAX_TAG] for tag in video.tags[:MAX_TAGS_PER_VIDEO]]
    return [name for name in dict.fromkeys(names) if name]


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
            _attach(connection, Path(str(engine.url.database)))
            snapshot = Snapshot(connection, pseudonyms)
            yield snapshot
            # Of all rows at once: a sort, where each row by itself would look for its place.
            for statement in _made_by(connection.connection.driver_connection, "index"):
                connection.exec_driver_sql(statement)
            connection.commit()
            _swap(connection, snapshot)
        finally:
            # What was collected lives as long as the connection: never use it again.
            connection.invalidate()
    truncate_wal(engine)


def _swap(connection: Connection, snapshot: Snapshot) -> None:
    # Foreign keys hold by construction: a snapshot numbers its own rows.
    with emptying(connection):
        snapshot.date_viewers()
        for table in reversed(_CONTENT):
            connection.exec_driver_sql(f"DELETE FROM main.{table}")  # noqa: S608
        for table in _CONTENT:
            connection.exec_driver_sql(f"INSERT INTO main.{table} SELECT * FROM collected.{table}")  # noqa: S608
        snapshot.store_facts()


def _attach(connection: Connection, database: Path) -> None:
    """Open the database that is collected into, with the tables and indexes of the stored content."""
    driver = connection.connection.driver_connection
    if driver is None or connection.in_transaction():
        raise ValueError("the connection must be open, and outside of a transaction")
    with explained(database):
        with tempfile.NamedTemporaryFile(dir=database.parent, prefix=".sync-") as file:
            driver.execute("ATTACH ? AS collected", (file.name,))
            # Nothing of it is ever rolled back, or read by anybody else.
            for pragma in ("journal_mode = OFF", "locking_mode = EXCLUSIVE", "synchronous = OFF"):
                driver.execute(f"PRAGMA collected.{pragma}")
        driver.execute(f"PRAGMA collected.cache_size = {-_CACHE_KIB}")
        # What is copied has all its rows at once.
        driver.execute("PRAGMA foreign_keys = OFF")
        for statement in _made_by(driver, "table"):
            driver.execute(statement)


def _made_by(driver: Any, kind: str) -> list[str]:
    """Return what makes the tables, or the indexes beside their keys, of the stored content once more."""
    marks = ", ".join("?" * len(_CONTENT))
    found = driver.execute(
        f"SELECT sql FROM main.sqlite_master WHERE type = ? AND tbl_name IN ({marks}) AND sql IS NOT NULL",  # noqa: S608
        (kind, *_CONTENT),
    )
    word = f"{kind.upper()} "
    return [statement.replace(word, f"{word}collected.", 1) for (statement,) in found]
