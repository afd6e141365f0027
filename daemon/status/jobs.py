"""What the daemon does by itself: each job with how it stands, how it ended last, and when it runs next."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field
from sqlalchemy import Engine
from typing_extensions import TypedDict

from daemon.process.live import Live
from daemon.store import activity
from daemon.store.activity import JobRecord

ORDER: Final = ("sync", "train", "round", "group-round", "group-learn", "consent", "peers", "prune")
"""What an admin looks for first; others follow by name."""


class JobState(TypedDict):
    """One job; times in Unix seconds."""

    job: str
    running: Annotated[float | None, Field(description="Since when it runs; null while it does not.")]
    ended: Annotated[float | None, Field(description="When it last ended; null where it never ran.")]
    seconds: Annotated[float | None, Field(description="How long that took.")]
    outcome: Literal["", "done", "failed"]
    next: Annotated[float | None, Field(description="When it runs next by itself; null without a date.")]
    message: Annotated[str, Field(description="Why it failed, empty for a bug or where it did not.")]
    advice: Annotated[str, Field(description="What to do about that.")]


class Jobs(TypedDict):
    """All that ran or will run; `alive` tells whether a daemon runs them."""

    alive: bool
    jobs: list[JobState]


def states(engine: Engine, live: Live | None) -> Jobs:
    """Return how each job stands."""
    last = activity.last_runs(engine)
    running, upcoming = ({}, {}) if live is None else (live.running, live.upcoming)
    names = sorted({*last, *running, *upcoming}, key=lambda name: (_place(name), name))
    found = [_state(name, last.get(name), running.get(name), upcoming.get(name)) for name in names]
    return {"alive": live is not None, "jobs": found}


def _state(name: str, last: JobRecord | None, running: float | None, following: float | None) -> JobState:
    failed = last is not None and last.outcome == "failed"
    told = last.result if last is not None and failed else {}
    return {
        "job": name,
        "running": running,
        "ended": None if last is None else last.ended,
        "seconds": None if last is None else max(0.0, last.ended - last.started),
        "outcome": "" if last is None else "failed" if failed else "done",
        "next": following,
        "message": str(told.get("message", "")),
        "advice": str(told.get("advice", "")),
    }


def _place(name: str) -> int:
    return ORDER.index(name) if name in ORDER else len(ORDER)
