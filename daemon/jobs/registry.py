"""The jobs by name. What a job needs is imported when it runs, in a process of its own."""

import importlib
from collections.abc import Callable
from typing import Any

from daemon.process.job_context import JobContext, JobFunction


def lazy(target: str, *, unless: str = "") -> JobFunction:
    """Return a job that imports `package.module:function` only when it runs.

    `unless` names a function that is called first, and refuses by raising.
    """

    def job(context: JobContext) -> dict[str, Any]:
        if unless:
            resolve(unless)(context)
        result: dict[str, Any] = resolve(target)(context)
        return result

    return job


def resolve(target: str) -> Callable[[JobContext], Any]:
    """Return what `package.module:function` names."""
    module, _, name = target.partition(":")
    function: Callable[[JobContext], Any] = getattr(importlib.import_module(module), name)
    return function


_FLOWER = "daemon.group.flower_installed:require"

JOBS: dict[str, JobFunction] = {
    "sync": lazy("daemon.maintenance.sync:run"),
    "train": lazy("daemon.maintenance.training:run"),
    "consent": lazy("daemon.maintenance.consent:run"),
    "prune": lazy("daemon.maintenance.prune:run"),
    "revert": lazy("daemon.revert.job:run"),
    "round": lazy("daemon.rounds.aggregate_job:run", unless="daemon.group.membership.rules:require_no_group"),
    "contribution": lazy("daemon.rounds.contribution_job:run"),
    "catch-up": lazy("daemon.rounds.catch_up:run"),
    "group-round": lazy("daemon.group.hosting.group_run:run", unless=_FLOWER),
    "group-nodes": lazy("daemon.group.hosting.node_registration:run", unless=_FLOWER),
    "group-learn": lazy("daemon.group.learning:run"),
    "share": lazy("daemon.disclosure.share_report:run"),
    "level-plans": lazy("daemon.disclosure.level_plans:run"),
    "peers": lazy("daemon.peers.contact_job:run"),
    "migrate": lazy("daemon.maintenance.database_loss:run"),  # every job migrates first
}

UNRECORDED: frozenset[str] = frozenset({"migrate", "share", "level-plans", "measure", "group-check"})
"""Jobs without a record: they change nothing, and what would leave does not belong in a list of jobs."""

RECORDED_ONCE: frozenset[str] = frozenset({"consent", "peers", "group-nodes", "catch-up"})
"""Jobs that run so often that only the last run is on record."""
