"""The record of what was released: which sums this instance's viewers are in, with how much noise.

It is what the accounting of privacy rests on, so a row is written before anybody can open the sum, and kept
for as long as its budget counts. The same contribution given again within its window is the same row.
"""

from dataclasses import dataclass

from sqlalchemy import Engine, delete, select
from sqlalchemy.dialects.sqlite import insert

from daemon.store.engine import reads, writes
from daemon.store.tables import Release, Session


@dataclass(frozen=True)
class ReleaseRecord:
    """One noisy vector in one data window of one aggregator; `at` in Unix seconds.

    `noise` is the declared variance of the sum, `share_variance` that of this instance's own part. `videos`
    is the length of the vocabulary in round 0 (counts), of the head in round 1 (pairs). The hash is of the
    noisy vector before it was masked, `bytes` its size.
    """

    window: str
    round: int
    at: float
    aggregator: str
    session_id: str
    noise: int
    share_variance: float
    max_videos_per_user: int
    videos: int
    vector_sha256: str = ""
    bytes: int = 0


def save(engine: Engine, record: ReleaseRecord) -> None:
    """Keep a release; one that is on record stays as it was first written.

    It is on disk when this returns: what is sent next cannot be taken back, so no cut of power may lose it.
    """
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


def since(engine: Engine, start: float) -> list[ReleaseRecord]:
    """Return what was released since that time, oldest first."""
    query = select(Release.__table__).where(Release.at >= start).order_by(Release.at, Release.round)
    with reads(engine) as connection:
        return [ReleaseRecord(**row) for row in connection.execute(query).mappings()]


def of_session(engine: Engine, session_id: str) -> list[ReleaseRecord]:
    """Return what was given in a session for the first time, counts before pairs."""
    query = select(Release.__table__).where(Release.session_id == session_id).order_by(Release.round)
    with reads(engine) as connection:
        return [ReleaseRecord(**row) for row in connection.execute(query).mappings()]


def newest_window(engine: Engine, aggregator: str) -> list[ReleaseRecord]:
    """Return what was given to an aggregator in its newest data window, counts before pairs."""
    mine = Release.aggregator == aggregator
    newest = select(Release.window).where(mine).order_by(Release.at.desc()).limit(1).scalar_subquery()
    query = select(Release.__table__).where(mine, Release.window == newest).order_by(Release.round)
    with reads(engine) as connection:
        return [ReleaseRecord(**row) for row in connection.execute(query).mappings()]


def any_given(engine: Engine) -> bool:
    """Tell whether this instance's viewers were ever in a sum, as far as the records go."""
    with reads(engine) as connection:
        given = connection.execute(select(Release.window).limit(1)).first()
        member = connection.execute(select(Session.id).where(Session.role == "member").limit(1)).first()
    return given is not None or member is not None


def prune(engine: Engine, *, before: float) -> int:
    """Forget releases before that time; returns how many."""
    with writes(engine) as connection:
        return connection.execute(delete(Release).where(Release.at < before)).rowcount
