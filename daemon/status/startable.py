"""The jobs that an admin starts by hand: how each stands, how it ended last, and what is in its way."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, get_args

from pydantic import Field
from sqlalchemy import Engine
from typing_extensions import TypedDict

from daemon.config import Config
from daemon.group import repository as groups
from daemon.rounds import due
from daemon.sentences import Sentence, sentence
from daemon.store import activity, source_state
from daemon.store.activity import JobRecord

Startable = Literal["sync", "train", "round"]
JOBS: Final[tuple[Startable, ...]] = get_args(Startable)


class LastRun(TypedDict):
    """How a job ended last; `problem` and `advice` are of a failure, in English."""

    at: float
    ok: bool
    sentence: Sentence | None
    problem: str
    advice: str


class StartableJob(TypedDict):
    """One job; times in Unix seconds."""

    job: Startable
    running: Annotated[float | None, Field(description="Since when it runs; null while it does not.")]
    progress: Annotated[
        float | None, Field(description="How far it is, in [0, 1]; null where it is unknown.")
    ]
    waits: Annotated[bool, Field(description="Whether it was started, and waits for its turn.")]
    last: LastRun | None
    next: Annotated[float | None, Field(description="When it runs next by itself.")]
    refused: Annotated[Sentence | None, Field(description="Why it cannot be started now.")]


class StartableJobs(TypedDict):
    """In the order in which a new instance needs them."""

    jobs: list[StartableJob]


@dataclass(frozen=True)
class Live:
    """What the serving process knows: since when jobs run and how far they are, what waits, what is next."""

    running: Mapping[str, float]
    progress: Mapping[str, float]
    waiting: Set[str]
    upcoming: Mapping[str, float]


def states(config: Config, engine: Engine, live: Live, now: float) -> StartableJobs:
    """Return how each stands."""
    last = activity.last_runs(engine)
    return {"jobs": [_state(name, config, engine, live, last.get(name), now) for name in JOBS]}


def hindrance(config: Config, engine: Engine, name: Startable, now: float) -> Sentence | None:
    """Return why a job cannot be started now, None where it can."""
    if name == "train":
        return sentence("trainNothing") if source_state.read(engine) is None else None
    if name == "round":
        group = groups.current(engine)
        if group is not None and group.active:
            return sentence("roundInGroup", host=group.host)
        return due.hindrance(config, engine, now)
    return None


def _state(
    name: Startable, config: Config, engine: Engine, live: Live, last: JobRecord | None, now: float
) -> StartableJob:
    return {
        "job": name,
        "running": live.running.get(name),
        "progress": live.progress.get(name),
        "waits": name in live.waiting,
        "last": None if last is None else _last(last),
        "next": live.upcoming.get(name),
        "refused": hindrance(config, engine, name, now),
    }


def _last(record: JobRecord) -> LastRun:
    failed = record.outcome == "failed"
    return {
        "at": record.ended,
        "ok": not failed,
        "sentence": None if failed else _ended(record.name, record.result),
        "problem": str(record.result.get("message", "")) if failed else "",
        "advice": str(record.result.get("advice", "")) if failed else "",
    }


def _ended(name: str, result: Mapping[str, Any]) -> Sentence | None:
    """Say what came of a job; None of a later version's result."""
    try:
        match name:
            case "sync":
                return sentence("syncEnded", count=int(result["videos"]), viewers=int(result["viewers"]))
            case "train" if result["kind"] == "federated":
                return sentence("trainedTogether", count=int(result["videos"]))
            case "train":
                return sentence("trainedAlone", count=int(result["videos"]))
            case "round" if result.get("simulated"):
                asked = len(result["peers"])
                return sentence("roundSimulated", count=asked, videos=int(result["vocabulary"]))
            case "round":
                return sentence("roundEnded", count=len(result["survivors"]))
    except (KeyError, TypeError, ValueError):
        pass
    return None
