"""Whether this machine can carry a round of a group: runs `group_check_process`, and compares with limits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from daemon.config import Config
from daemon.errors import JobError
from daemon.group import flower_installed
from daemon.jobs.run import run_job
from daemon.process.limits import job_memory


@dataclass(frozen=True)
class GroupCheck:
    """What a dry round took on this machine.

    Attributes:
        members: of the group, this instance among them.
        sub_cohort, threshold: members of its largest sub-cohort, and how many of these have to stay.
        videos, head: of the round, as many as there can be.
        seconds: of computing, by what a member does.
        sent, received: bytes of one round, lists of videos included.
        memory_mb, memory_limit_mb: peak and limit of a job, MiB.
        stage_limit: seconds that a host with default settings waits for one stage.
    """

    members: int
    sub_cohort: int
    threshold: int
    videos: int
    head: int
    seconds: dict[str, float]
    sent: int
    received: int
    memory_mb: float
    memory_limit_mb: int
    stage_limit: float

    @property
    def in_time(self) -> bool:
        """Tell whether every stage takes at most half of what a host waits: the rest is for the lines."""
        return max(self.seconds.values()) <= self.stage_limit / 2


def check(
    config: Config,
    config_file: Path,
    members: int,
    progress: Callable[[str, float], None] = lambda _stage, _part: None,
) -> GroupCheck:
    """Run the dry round in a child process with the limits of a job; call from the main thread.

    Raises:
        FlowerMissingError: what carries a group is not installed.
        JobError: a round failed, or took too much memory or time.

    """
    flower_installed.require()
    outcome = asyncio.run(
        run_job(
            "group-check",
            config_file,
            time_limit=config.limits.job_time.total_seconds(),
            on_progress=progress,
            arguments={"members": str(members)},
            module="daemon.lab.group_check_process",
            quiet=True,
        )
    )
    if not outcome.ok:
        raise JobError(outcome.message, advice=outcome.advice)
    # Members cannot see what their host waits; the default is what this instance would wait.
    waits = type(config.cohort)().stage_timeout.total_seconds()
    limit = job_memory(config.limits.job_memory_mb)
    return GroupCheck(members=members, memory_limit_mb=limit, stage_limit=waits, **outcome.result)
