"""What a revert changed, as data: for a terminal, for the admin page, and kept for good without titles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

from sqlalchemy import Engine, desc, insert, select, update
from typing_extensions import TypedDict

from daemon.config import Config
from daemon.peers import repository
from daemon.revert.changed_lists import Change
from daemon.rounds.aggregator_window import peer_windows
from daemon.sentences import Sentence, sentence
from daemon.store.engine import reads, writes
from daemon.store.model_records import MEASURE, ModelRecord
from daemon.store.tables import Revert as Row
from daemon.store.videos import public_titles

Basis = Literal["sub-cohorts", "older sum", "local"]
"""What can be learnt from without the peer: other sub-cohorts of the same sums, sums that it was never in, or
the viewers of this instance alone."""


class Compared(TypedDict):
    """The same measure before and after, null where it was not measured."""

    before: float | None
    after: float | None


class Exposed(TypedDict):
    """Shares of lists before and after."""

    before: float
    after: float


class Deleted(TypedDict):
    """Ids of what is not stored any more."""

    sums: list[str]
    models: list[str]


class NamedVideo(TypedDict):
    """A video; its title is empty where it is not public any more."""

    url: str
    title: str


class ChangedList(NamedVideo):
    """The list beside one video, before and after."""

    before: list[NamedVideo]
    after: list[NamedVideo]


class ChangedLists(TypedDict):
    """How many lists changed, of how many that were looked at."""

    lists: int
    of: int
    examples: list[ChangedList]


class RevertReport(TypedDict):
    """What a revert did, or would do.

    Attributes:
        seconds_out_of_service: how long the peer still served after the decision.
        exposure: share of top-10 lists with any of its videos.
        quality: NDCG@10 on held-out engagements of this instance.
        next_window: from when on a new sum may be asked for, null where it may be now.
        proof: that nothing stored holds it, one line, which can be checked; empty until then.
        limits: what the revert does not undo.
    """

    host: str
    dry_run: bool
    at: float
    seconds_out_of_service: float | None
    served_before: str | None
    served_now: str | None
    basis: Basis
    deleted: Deleted
    changed: ChangedLists
    exposure: Exposed
    quality: Compared
    next_window: float | None
    proof: str
    limits: list[Sentence]


@dataclass(frozen=True)
class RevertRecord:
    """A revert as it is stored: `at` in Unix seconds, `report` grows with what is done."""

    id: int
    at: float
    host: str
    report: dict[str, Any]


def planned(
    engine: Engine, config: Config, host: str, *, dry_run: bool, basis: Basis, now: float
) -> dict[str, Any]:
    """Return a report in which nothing has been compared, deleted or proven yet."""
    return {
        "host": host,
        "dry_run": dry_run,
        "at": now,
        "seconds_out_of_service": None,
        "served_before": None,
        "served_now": None,
        "basis": basis,
        "deleted": {"sums": [], "models": []},
        "changed": {"lists": 0, "of": 0, "examples": []},
        "exposure": {"before": 0.0, "after": 0.0},
        "quality": {"before": None, "after": None},
        "next_window": next_window(config, now),
        "proof": "",
        "limits": limits(engine, config, host),
    }


def compared(change: Change) -> dict[str, Any]:
    """Return the part of a report about lists; examples hold addresses, see `with_titles`."""
    examples = [{"url": e.url, "before": list(e.before), "after": list(e.after)} for e in change.examples]
    return {
        "changed": {"lists": change.lists, "of": change.of, "examples": examples},
        "exposure": {"before": round(change.exposure[0], 4), "after": round(change.exposure[1], 4)},
    }


def quality(record: ModelRecord | None) -> float | None:
    """Return the NDCG@10 of a model on own held-out engagements, None where it was not measured."""
    value = None if record is None else record.quality.get(MEASURE)
    return float(value) if isinstance(value, (int, float)) else None


def next_window(config: Config, now: float) -> float | None:
    """Return from when on a sum without the host may be asked for, Unix seconds; None where it may be now."""
    if not config.journal_dir.is_dir():
        return None
    return peer_windows(config, lambda: now).next_at() or None


def limits(engine: Engine, config: Config, host: str) -> list[Sentence]:
    """Return what taking a peer out does not undo."""
    found = [sentence("limitPast"), sentence("limitVideos", host=host)]
    left = [peer.host for peer in repository.read(engine, config).approved() if peer.host != host]
    if config.federates and len(left) < config.cohort.min_cohort:
        found.append(sentence("limitCohort", count=len(left), needed=config.cohort.min_cohort))
    if config.privacy.publish_vectors:
        found.append(sentence("limitBrowsers"))
    return found


def begin_record(engine: Engine, host: str, report: dict[str, Any], now: float) -> int:
    """Begin a record and return its number."""
    with writes(engine) as connection:
        return int(
            connection.execute(
                insert(Row).values(at=now, host=host, report=report).returning(Row.id)
            ).scalar_one()
        )


def change_record(engine: Engine, number: int, report: dict[str, Any]) -> None:
    """Replace a report."""
    with writes(engine) as connection:
        connection.execute(update(Row).where(Row.id == number).values(report=report))


def newest_records(engine: Engine, host: str = "", *, limit: int = 100) -> list[RevertRecord]:
    """Return reverts, newest first; only those of a host where one is given."""
    query = select(Row.__table__).order_by(desc(Row.id)).limit(limit)
    if host:
        query = query.where(Row.host == host)
    with reads(engine) as connection:
        return [RevertRecord(**row) for row in connection.execute(query).mappings()]


def with_titles(engine: Engine, report: Mapping[str, Any]) -> RevertReport:
    """Return a report with the titles, as they are today, of the videos in its examples."""
    changed = dict(report.get("changed", {}))
    examples = changed.get("examples", [])
    today = public_titles(
        engine, {url for e in examples for url in (str(e["url"]), *e["before"], *e["after"])}
    )

    def named(url: str) -> NamedVideo:
        return {"url": url, "title": today.get(url, "")}

    changed["examples"] = [
        {
            **named(str(e["url"])),
            "before": [named(url) for url in e["before"]],
            "after": [named(url) for url in e["after"]],
        }
        for e in examples
    ]
    # "finished" is for the job alone.
    shown = {name: value for name, value in report.items() if name != "finished"}
    return cast("RevertReport", {**shown, "changed": changed})
