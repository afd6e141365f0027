"""The record of what was released: which sums this instance's viewers are in, with how much noise.

It is what the accounting of privacy rests on, so a row is written before anybody can open the sum, and kept
for as long as its budget counts. The same contribution given again within its window is the same row.

The year's account must survive the database. So every row is also a line of a file beside the data windows,
which is only ever appended to, and read when the database is opened for writing.
"""

import json
import logging
import math
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, get_type_hints

from sqlalchemy import Engine, Select, delete, func, select
from sqlalchemy.dialects.sqlite import insert

from daemon.store import loss
from daemon.store.engine import reads, writes
from daemon.store.tables import Release, Round

log = logging.getLogger(__name__)

OWN: Final = "own release"
"""Stands for the aggregator where an instance releases to itself; no host can be called so."""
KEEP_SECONDS: Final = 2 * 365 * 86400.0
"""Twice as long as the yearly budgets look back."""
COPY_NAME: Final = "releases.jsonl"


@dataclass(frozen=True)
class ReleaseRecord:
    """One noisy vector in one data window of one aggregator; `at` in Unix seconds.

    The noises are the declared variances of the sum, in viewers squared, of which this instance gives a
    `share`. `vocabulary` and `head` are numbers of videos; a head of 0 is a release of counts alone. The hash
    is of the noisy vector before it was masked, `bytes` its size. `viewers` tells that their number is in it.
    `decision` is the epsilon of what was decided by own viewers' likes; a record of nothing else has no
    videos.
    """

    window: str
    at: float
    aggregator: str
    round_id: str
    counts_noise: float
    pairs_noise: float
    share: float
    max_videos_per_user: int
    vocabulary: int
    head: int
    vector_sha256: str = ""
    bytes: int = 0
    viewers: bool = False
    decision: float = 0.0

    @property
    def numbers(self) -> bool:
        """Whether numbers were given at all, and not only something decided by them."""
        return self.max_videos_per_user > 0


def save(engine: Engine, record: ReleaseRecord, beside: Path) -> None:
    """Keep a release, and a copy of it in the folder `beside`; one on record stays as it was first written.

    Both are on disk when this returns: what is sent next cannot be taken back, so no cut of power may lose
    it.
    """
    if not _on_record(engine, record):
        _append(beside, [record])
    with engine.connect() as connection:
        connection.execution_options(writes=True)
        driver = connection.connection.driver_connection
        if driver is None:
            raise ValueError("the connection must be open")
        # Outside of the transaction, in which it could not be changed.
        driver.execute("PRAGMA synchronous = FULL")
        try:
            with connection.begin():
                connection.execute(insert(Release).values(vars(record)).on_conflict_do_nothing())
        finally:
            driver.execute("PRAGMA synchronous = NORMAL")


def reconcile(engine: Engine, beside: Path, *, since: float) -> None:
    """Bring back what the database lost of the releases since then, and copy what the file does not have."""
    copied = {one.window: one for one in reversed(_copies(beside)) if one.at >= since}
    kept = {one.window: one for one in _rows(engine, since)}
    if lost := [vars(one) for window, one in copied.items() if window not in kept]:
        log.warning("releases that the database lost are counted again", extra={"releases": len(lost)})
        with writes(engine) as connection:
            connection.execute(insert(Release).on_conflict_do_nothing(), lost)
    if new := [one for window, one in kept.items() if window not in copied]:
        _append(beside, new)


def add_copies(beside: Path, other: Path) -> None:
    """Add the releases that another folder's file has, to the file in the folder `beside`."""
    known = {one.window for one in _copies(beside)}
    if new := [one for one in _copies(other) if one.window not in known]:
        _append(beside, new)


def first(engine: Engine) -> float | None:
    """Return when the oldest release on record was given, Unix seconds; None before the first."""
    with reads(engine) as connection:
        return connection.execute(select(func.min(Release.at))).scalar()


def since(engine: Engine, start: float) -> list[ReleaseRecord]:
    """Return what was released since that time, oldest first."""
    return _rows(engine, start)


def of_round(engine: Engine, round_id: str) -> ReleaseRecord | None:
    """Return what was given in a round for the first time."""
    query = select(Release.__table__).where(Release.max_videos_per_user > 0)
    return _first(engine, query.where(Release.round_id == round_id))


def newest(engine: Engine, aggregator: str) -> ReleaseRecord | None:
    """Return what was given to an aggregator in its newest data window."""
    given = select(Release.__table__).where(Release.max_videos_per_user > 0)
    mine = given.where(Release.aggregator == aggregator)
    return _first(engine, mine.order_by(Release.at.desc()))


def _first(engine: Engine, query: Select[Any]) -> ReleaseRecord | None:
    with reads(engine) as connection:
        row = connection.execute(query.limit(1)).mappings().first()
    return None if row is None else ReleaseRecord(**row)


def any_given(engine: Engine) -> bool:
    """Tell whether this instance's viewers may have been in a sum; where the records were lost, they may."""
    with reads(engine) as connection:
        if loss.newest(connection) is not None:
            return True
        given = connection.execute(select(Release.window).limit(1)).first()
        member = connection.execute(select(Round.id).where(Round.role == "member").limit(1)).first()
    return given is not None or member is not None


def prune(engine: Engine, *, before: float) -> int:
    """Forget releases before that time; returns how many."""
    with writes(engine) as connection:
        return connection.execute(delete(Release).where(Release.at < before)).rowcount


def _rows(engine: Engine, start: float) -> list[ReleaseRecord]:
    query = select(Release.__table__).where(Release.at >= start).order_by(Release.at)
    with reads(engine) as connection:
        return [ReleaseRecord(**row) for row in connection.execute(query).mappings()]


def _on_record(engine: Engine, record: ReleaseRecord) -> bool:
    query = select(Release.window).where(Release.window == record.window)
    with reads(engine) as connection:
        return connection.execute(query).first() is not None


def _append(beside: Path, records: list[ReleaseRecord]) -> None:
    beside.mkdir(mode=0o700, parents=True, exist_ok=True)
    # A line begins with its break: what a crash left half-written spoils no other.
    lines = "".join(f"\n{json.dumps(asdict(one))}" for one in records)
    descriptor = os.open(beside / COPY_NAME, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        data = memoryview(lines.encode())
        while data:
            # A disk that is nearly full takes a part, and only the next write fails.
            data = data[os.write(descriptor, data) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    folder = os.open(beside, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _copies(beside: Path) -> list[ReleaseRecord]:
    """Return the copies in the order in which they were written; what cannot be read is logged."""
    try:
        text = (beside / COPY_NAME).read_text("utf-8", "replace")
    except FileNotFoundError:
        return []
    found, damaged = [], 0
    for line in filter(None, text.split("\n")):
        try:
            found.append(_checked(ReleaseRecord(**json.loads(line))))
        except (ValueError, TypeError):
            damaged += 1
    if damaged:
        log.warning("lines of releases.jsonl cannot be read", extra={"lines": damaged})
    return found


def _checked(record: ReleaseRecord) -> ReleaseRecord:
    """Return a record whose fields are of their kinds, numbers finite and not negative. Raises ValueError."""
    for name, kind in get_type_hints(ReleaseRecord).items():
        value = getattr(record, name)
        number = isinstance(value, (int, float)) and kind is not str
        fits = math.isfinite(value) and value >= 0 if number else kind is str
        if not fits or not isinstance(value, (int, float) if kind is float else kind):
            raise ValueError(f"{name} is not of its kind")
    return record
