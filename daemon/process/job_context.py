"""What a job works with, how it ended, and the locks that keep jobs apart. The jobs: `daemon.jobs`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from daemon.config import Config

Progress = Callable[[str, float], None]
"""Called with the name of a stage and the share of the whole work that is done, in [0, 1]."""


@dataclass(frozen=True)
class JobContext:
    """What a job works with.

    Attributes:
        engine: the database, at the schema of this program.
        clock: Unix seconds.
        arguments: further arguments, `--argument NAME=VALUE`, for jobs that take any.
    """

    config: Config
    engine: Engine
    progress: Progress
    clock: Callable[[], float]
    arguments: Mapping[str, str] = field(default_factory=dict)


JobFunction = Callable[[JobContext], dict[str, Any]]
"""Does the work and returns a JSON-able summary. Failed or killed, it must leave everything as it was."""


@dataclass(frozen=True)
class JobOutcome:
    """How a job ended: `code`, `message` and `advice` are empty when it is `ok`."""

    name: str
    ok: bool
    exit_code: int
    seconds: float = 0.0
    result: dict[str, Any] = field(default_factory=dict)
    code: str = ""
    message: str = ""
    advice: str = ""


class RunJob(Protocol):
    """Runs a job to its end, as `daemon.jobs.run.run_job`; rooms below the jobs are handed it."""

    async def __call__(
        self,
        name: str,
        config_file: Path,
        *,
        time_limit: float,
        on_progress: Progress | None = None,
        arguments: Mapping[str, str] | None = None,
    ) -> JobOutcome:
        """Return how it ended, after at most `time_limit` seconds."""
        ...


LOCKS: Mapping[str, str] = {
    "round": "round.lock",
    "group-round": "round.lock",
    "group-nodes": "",
    "group-learn": "group.lock",
    "contribution": "",
    "share": "",
    "level-plans": "",
    "measure": "",
    "group-check": "",
    "consent": "check.lock",
    "peers": "",
    "catch-up": "catch-up.lock",
}
"""Jobs that do not take the data directory's job lock, but another or none. A round waits for peers, whose
own rounds may wait for a contribution of ours: so a contribution only reads and never waits, nor do the
look at what would leave and measurements. The check of consent does not wait for a training either; what it
must not overlap with is in `daemon.store.viewers`. A message to one peer does not wait while hundreds
of others are asked: each peer is changed in a transaction of its own."""

WAITS: Mapping[str, float] = {"revert": 1800.0}
"""Seconds that a job waits for its lock, where that is longer than usual. The rest of a revert must not
depend on an admin who asks again because a training was running."""
