"""A revert from the order to the proof, for the command line: whatever is slow happens in a job."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from daemon.config import Config
from daemon.errors import JobError
from daemon.process.job_context import JobOutcome, Progress, RunJob
from daemon.process.running_daemon import answers_from
from daemon.revert.out_of_service import take_out_of_service
from daemon.sentences import sentence

JOB = "revert"


class UnfinishedRevertError(JobError):
    """The peer is out of service, but not everything that holds it could be deleted yet."""

    code = "revert-unfinished"


async def rehearse(
    config: Config,
    config_file: Path,
    host: str,
    run: RunJob,
    progress: Progress = lambda _stage, _part: None,
) -> dict[str, Any]:
    """Return the report of a revert that is not carried out. Raises JobError."""
    outcome = await _job(run, config, config_file, {"host": host, "dry_run": "1"}, progress)
    if not outcome.ok:
        raise JobError(outcome.message, advice=outcome.advice)
    return outcome.result


async def carry_out(
    engine: Engine,
    config: Config,
    config_file: Path,
    host: str,
    run: RunJob,
    *,
    progress: Progress = lambda _stage, _part: None,
    clock: Callable[[], float] = time.time,
) -> dict[str, Any]:
    """Take a host out; then delete what holds it, train again without it, and prove that it is gone.

    Returns the report, whose seconds run until the running daemon answers from another model. Must be called
    from the main thread, as jobs are.

    Raises:
        RequestError: nobody of that name was ever a peer.
        UnfinishedRevertError: it is out of service, but something that holds it is still stored.

    """
    began = time.monotonic()
    progress("out of service", 0.0)
    switch = await asyncio.to_thread(take_out_of_service, engine, config, host, clock())
    follows = await answers_from(config.data_dir, switch.now)
    arguments = {"host": host, "seconds": f"{time.monotonic() - began:.3f}"}
    outcome = await _job(run, config, config_file, arguments, progress)
    if not outcome.ok:
        raise UnfinishedRevertError(
            f"{host} is out of service, but what it took part in is not deleted yet: {outcome.message}",
            advice=f"Run it again: shoal peers revert {host}. {outcome.advice}".rstrip(),
        )
    report = dict(outcome.result)
    if not follows:
        report["limits"] = [*report["limits"], sentence("limitUnconfirmed")]
    return report


async def _job(
    run: RunJob, config: Config, config_file: Path, arguments: dict[str, str], progress: Progress
) -> JobOutcome:
    limit = config.limits.job_time.total_seconds()
    return await run(JOB, config_file, time_limit=limit, on_progress=progress, arguments=arguments)
