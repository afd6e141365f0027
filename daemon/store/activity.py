"""The daemon's own record: rounds, refusals, finished jobs. Short transactions, safe while a job writes."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from sqlalchemy import Engine, delete, desc, func, select
from sqlalchemy.dialects.sqlite import insert

from daemon.store.engine import reads, writes
from daemon.store.tables import JobRun, Refusal, Round, Sum

Outcome = Literal["running", "waiting", "done", "abandoned"]
Role = Literal["aggregator", "member", "host", "group", "newcomer"]
"""What an instance was in a round: it asked for the sum, gave to one, hosted its group's, was given what the
other members of its group gave, or was none yet when its aggregator passed the sum on to it."""


@dataclass(frozen=True)
class RoundRecord:
    """One secure sum round; times are Unix seconds, `seconds` wall time per stage."""

    id: str
    role: Role
    aggregator: str
    started: float
    ended: float | None = None
    outcome: Outcome = "running"
    reason: str = ""
    roster: list[str] = field(default_factory=list)
    survivors: list[str] = field(default_factory=list)
    bytes_in: int = 0
    bytes_out: int = 0
    seconds: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class JobRecord:
    """A job that ended: `outcome` is "done" or "failed", `code` the error code of a failure.

    The `result` of a failure is its `message` and `advice`, for people.
    """

    name: str
    started: float
    ended: float
    outcome: str
    code: str
    result: dict[str, Any]


def save_round(engine: Engine, record: RoundRecord) -> None:
    """Insert the round, or overwrite what was known of it."""
    values = vars(record)
    statement = insert(Round).values(values)
    changed = {key: value for key, value in values.items() if key != "id"}
    with writes(engine) as connection:
        connection.execute(statement.on_conflict_do_update(index_elements=["id"], set_=changed))


def rounds(engine: Engine, *, limit: int = 50) -> list[RoundRecord]:
    """Newest first."""
    with reads(engine) as connection:
        rows = connection.execute(select(Round.__table__).order_by(desc(Round.started)).limit(limit))
        return [RoundRecord(**row) for row in rows.mappings()]


def round_(engine: Engine, round_id: str) -> RoundRecord | None:
    """Return one round."""
    with reads(engine) as connection:
        row = connection.execute(select(Round.__table__).where(Round.id == round_id)).mappings().first()
        return None if row is None else RoundRecord(**row)


def survivors_by_round(engine: Engine) -> dict[str, tuple[str, ...]]:
    """Return who was summed in each round on record, and who passed its sum on to this instance."""
    with reads(engine) as connection:
        rows = connection.execute(select(Round.id, Round.survivors, Round.role, Round.aggregator)).all()
    return {
        round_id: (*survivors, *((aggregator,) if role == "newcomer" else ()))
        for round_id, survivors, role, aggregator in rows
    }


def newest_survivors(engine: Engine) -> list[str]:
    """Return who is in the newest sum that this instance asked for and received, nobody before the first."""
    query = select(Round.survivors).where(Round.role == "aggregator", Round.outcome == "done")
    with reads(engine) as connection:
        return list(connection.execute(query.order_by(desc(Round.started)).limit(1)).scalar() or ())


def round_ids(engine: Engine, beginning: str) -> list[str]:
    """Return the ids that begin so."""
    query = select(Round.id).where(Round.id.startswith(beginning, autoescape=True))
    with reads(engine) as connection:
        return list(connection.execute(query).scalars())


def unfinished_rounds(engine: Engine, role: Role) -> list[RoundRecord]:
    """Return the rounds in that role that have not ended."""
    query = select(Round.__table__).where(Round.role == role, Round.outcome.in_(("running", "waiting")))
    with reads(engine) as connection:
        return [RoundRecord(**row) for row in connection.execute(query).mappings()]


def prune_rounds(engine: Engine, *, before: float) -> int:
    """Forget rounds that ended before that time and have no sum; returns how many."""
    with writes(engine) as connection:
        kept = select(Sum.round_id)
        statement = delete(Round).where(Round.ended < before, Round.id.not_in(kept))
        return connection.execute(statement).rowcount


def count_refusal(engine: Engine, code: str, *, peer: str = "", now: float, times: int = 1) -> None:
    """Count refusals of that code; `peer` only when its signature was checked."""
    statement = insert(Refusal).values(code=code, peer=peer, count=times, last=now)
    with writes(engine) as connection:
        connection.execute(
            statement.on_conflict_do_update(
                index_elements=["code", "peer"], set_={"count": Refusal.count + times, "last": now}
            )
        )


def refusals(engine: Engine) -> dict[str, int]:
    """How often each code was refused, over all peers."""
    with reads(engine) as connection:
        rows = connection.execute(select(Refusal.code, func.sum(Refusal.count)).group_by(Refusal.code))
        return {code: int(count) for code, count in rows}


def save_job(engine: Engine, record: JobRecord, *, only: bool = False) -> None:
    """Append a finished job; as the only one of its name where asked to."""
    with writes(engine) as connection:
        if only:
            connection.execute(delete(JobRun).where(JobRun.name == record.name))
        connection.execute(insert(JobRun).values(vars(record)))


def jobs(engine: Engine, *, names: Sequence[str] = (), limit: int = 50) -> list[JobRecord]:
    """Newest first."""
    columns = (JobRun.name, JobRun.started, JobRun.ended, JobRun.outcome, JobRun.code, JobRun.result)
    query = select(*columns).order_by(desc(JobRun.ended)).limit(limit)
    if names:
        query = query.where(JobRun.name.in_(names))
    with reads(engine) as connection:
        return [JobRecord(*row) for row in connection.execute(query)]


def last_runs(engine: Engine) -> dict[str, JobRecord]:
    """Return how each job that ever ran ended last, by name."""
    columns = (JobRun.name, JobRun.started, JobRun.ended, JobRun.outcome, JobRun.code, JobRun.result)
    newest = select(func.max(JobRun.id)).group_by(JobRun.name)
    with reads(engine) as connection:
        rows = connection.execute(select(*columns).where(JobRun.id.in_(newest)).order_by(JobRun.name))
        return {row.name: JobRecord(*row) for row in rows}


def last_success(engine: Engine, name: str) -> float | None:
    """Return when that job last ended well, Unix seconds."""
    query = select(func.max(JobRun.ended)).where(JobRun.name == name, JobRun.outcome == "done")
    with reads(engine) as connection:
        return connection.execute(query).scalar()


def prune_jobs(engine: Engine, *, before: float) -> int:
    """Forget jobs that ended before that time; returns how many."""
    with writes(engine) as connection:
        return connection.execute(delete(JobRun).where(JobRun.ended < before)).rowcount
