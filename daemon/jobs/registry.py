"""The jobs by name. What a job needs is imported when it runs, in a process of its own."""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Engine

from daemon.config import Config

Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class JobContext:
    """What a job works with.

    Attributes:
        engine: the database, at the schema of this program.
        progress: called with a stage's name and the part of the whole job that is done, in [0, 1].
        clock: Unix seconds.
        arguments: further words of the command line, `--name value`, for jobs that take any.
    """

    config: Config
    engine: Engine
    progress: Progress
    clock: Callable[[], float]
    arguments: Mapping[str, str] = field(default_factory=dict)


JobFunction = Callable[[JobContext], dict[str, Any]]
"""Does the work and returns a JSON-able summary. Failed or killed, it must leave everything as it was."""


def lazy(target: str) -> JobFunction:
    """Return a job that imports `package.module:function` only when it runs."""

    def job(context: JobContext) -> dict[str, Any]:
        module, _, name = target.partition(":")
        function: JobFunction = getattr(importlib.import_module(module), name)
        return function(context)

    return job


JOBS: dict[str, JobFunction] = {
    "sync": lazy("daemon.maintenance.sync:run"),
    "train": lazy("daemon.training.job:run"),
    "consent": lazy("daemon.maintenance.consent:run"),
    "prune": lazy("daemon.maintenance.prune:run"),
    "revert": lazy("daemon.revert.job:run"),
    "session": lazy("daemon.rounds.aggregate_job:run"),
    "contribution": lazy("daemon.rounds.contribution_job:run"),
    "group-session": lazy("daemon.group.session:run"),
    "group-nodes": lazy("daemon.group.hosting.node_registration:run"),
    "group-learn": lazy("daemon.group.learning:run"),
    "share": lazy("daemon.disclosure.next_share:run"),
    "peers": lazy("daemon.peers.contact_job:run"),
    "migrate": lambda _context: {},  # every job migrates first
}

LOCKS: Mapping[str, str] = {
    "session": "session.lock",
    "group-session": "session.lock",
    "group-nodes": "",
    "group-learn": "group.lock",
    "contribution": "",
    "share": "",
    "consent": "check.lock",
    "peers": "",
}
"""Jobs that do not take the data directory's job lock. A session waits for peers, whose own sessions may wait
for a contribution of ours: a contribution only reads, and never waits; so does a look at what would leave.
The check of consent does not wait for a training either; what it must not overlap with is in
`daemon.store.forget_viewers`. Word to one peer does not wait while hundreds of others are asked: each peer is
changed in a transaction of its own."""

WAITS: Mapping[str, float] = {"revert": 1800.0}
"""Seconds that a job waits for its lock, where that is longer than usual. What is left of a revert must not
depend on the admin asking twice because a training runs."""

UNRECORDED: frozenset[str] = frozenset({"migrate", "share"})
"""Jobs of which no record is kept: they change nothing, and what would leave is not for a list of jobs."""

RECORDED_ONCE: frozenset[str] = frozenset({"consent", "peers", "group-nodes"})
"""Jobs that run so often that only their last run is kept on record."""
