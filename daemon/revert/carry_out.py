"""A whole revert, from the order to the proof: for the command line and for the admin page alike."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from daemon import running
from daemon.config import Config
from daemon.errors import JobError
from daemon.jobs.process import JobOutcome, run_job
from daemon.revert import proof, steps
from daemon.revert.report import quality
from daemon.store import model_records, reverts

Progress = Callable[[str, float], None]
Follow = Callable[[str | None], Awaitable[bool]]
"""Waits until the serving process answers from a model (None: from none); tells whether it does."""

FOLLOW_SECONDS = 15.0
BUSY = "job-busy"
_ASK_EVERY = 0.05


class UnfinishedRevertError(JobError):
    """The peer is out of service, but not everything that holds it could be deleted yet."""

    code = "revert-unfinished"


async def rehearse(
    config: Config, config_file: Path, host: str, progress: Progress = lambda _stage, _part: None
) -> dict[str, Any]:
    """Return the report of a revert that is not carried out. Raises JobError."""
    outcome = await _job("revert", config, config_file, {"host": host, "dry_run": "1"}, progress)
    if not outcome.ok:
        raise _failed(outcome)
    return outcome.result


async def carry_out(
    engine: Engine,
    config: Config,
    config_file: Path,
    host: str,
    *,
    follow: Follow | None = None,
    progress: Progress = lambda _stage, _part: None,
    clock: Callable[[], float] = time.time,
) -> dict[str, Any]:
    """Take a host out, delete what holds it, train again without it, and prove that it is gone.

    Returns the report. `follow` asks the serving process; without one, the running daemon is asked over HTTP.
    Must be called from the main thread, as jobs are.

    Raises:
        RequestError: nobody of that name was ever a peer.
        UnfinishedRevertError: it is out of service, but something that holds it is still stored.

    """
    began = time.monotonic()
    progress("out of service", 0.0)
    switch = await asyncio.to_thread(steps.out_of_service, engine, config, host, clock())
    follows = await (follow or (lambda model: _answers_from(config, model)))(switch.now)
    seconds = time.monotonic() - began
    arguments = {"host": host, "seconds": f"{seconds:.3f}"}
    outcome = await _job("revert", config, config_file, arguments, _scaled(progress, 0.0, 0.5))
    if not outcome.ok:
        raise UnfinishedRevertError(
            f"{host} is out of service, but what it took part in is not deleted yet: {outcome.message}",
            advice=f"Run it again: shoal peers revert {host}. {outcome.advice}".rstrip(),
        )
    trained = await _job("train", config, config_file, {}, _scaled(progress, 0.5, 1.0))
    limits = [*outcome.result["limits"]]
    if not trained.ok:
        limits.append(f"No new model was trained: {trained.message} {trained.advice}".strip())
    if not follows:
        limits.append("The running daemon did not confirm that it changed over; see its log, or restart it.")
    return await asyncio.to_thread(_finish, engine, config, host, {**outcome.result, "limits": limits})


def _finish(engine: Engine, config: Config, host: str, report: dict[str, Any]) -> dict[str, Any]:
    """Prove it, and write the report down as it is at the end."""
    found = proof.prove(engine, config, host)
    served = None if found.model is None else model_records.model(engine, found.model)
    final = {
        **report,
        "served_now": found.model,
        "quality": {**report["quality"], "after": quality(served)},
        "proof": found.sentence,
    }
    record = reverts.newest(engine, host, limit=1)[0]
    reverts.change(engine, record.id, final)
    final.pop("finished", None)
    return final


async def _answers_from(config: Config, model: str | None) -> bool:
    """Wait until the running daemon answers from a model; True at once where none runs."""
    deadline = time.monotonic() + FOLLOW_SECONDS
    while time.monotonic() < deadline:
        found = running.find(config.data_dir)
        if found is None or await asyncio.to_thread(_serves, found.api) == (model or ""):
            return True
        await asyncio.sleep(_ASK_EVERY)
    return False


def _serves(api: str) -> str | None:
    """Return the model that a daemon answers from, empty where it has none, None where it does not answer."""
    # No proxy: this is a call to this machine.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://{api}/health/ready", timeout=2.0) as answer:
            return str(json.loads(answer.read()).get("model", ""))
    except urllib.error.HTTPError as error:
        return "" if error.code == 503 else None
    except (OSError, ValueError):
        return None


async def _job(
    name: str, config: Config, config_file: Path, arguments: dict[str, str], progress: Progress
) -> JobOutcome:
    """Run a job; while another one works on the data directory, wait for that one to end."""
    limit = config.limits.job_time.total_seconds()
    deadline = time.monotonic() + limit
    while True:
        outcome = await run_job(
            name, config_file, time_limit=limit, on_progress=progress, arguments=arguments
        )
        if outcome.ok or outcome.code != BUSY or time.monotonic() > deadline:
            return outcome


def _scaled(progress: Progress, start: float, end: float) -> Progress:
    return lambda stage, part: progress(stage, start + part * (end - start))


def _failed(outcome: JobOutcome) -> JobError:
    error = JobError(outcome.message, advice=outcome.advice)
    # The code and the exit status are the job's own.
    vars(error).update(code=outcome.code, exit_code=outcome.exit_code)
    return error


def latest(engine: Engine, host: str = "") -> list[dict[str, Any]]:
    """Return the reports of reverts, newest first: `{"id", "at", "host", "report"}`."""
    return [vars(record) for record in reverts.newest(engine, host)]
