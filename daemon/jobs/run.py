"""Runs a job in a child process of its own, follows it, and ends it when it must end."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from daemon.process.child import run_child
from daemon.process.job_context import JobOutcome, Progress


async def run_job(
    name: str,
    config_file: Path,
    *,
    time_limit: float,
    on_progress: Progress | None = None,
    arguments: Mapping[str, str] | None = None,
    module: str = "daemon.jobs",
    quiet: bool = False,
) -> JobOutcome:
    """Run a job to its end, at most `time_limit` seconds; its whole process group ends with this call.

    `module` runs it, `daemon.jobs` or one with jobs of its own. Its log goes to this process's standard
    error; of a `quiet` one, errors only. Must be called from the main thread: the kernel ends the child when
    the thread that started it ends.
    """
    last: dict[str, Any] = {}

    def heard(event: Mapping[str, Any]) -> None:
        if event.get("event") != "progress":
            last.clear()
            last.update(event)
        elif on_progress is not None:
            on_progress(str(event.get("stage", "")), float(event.get("fraction", 0.0)))

    extra = [item for key, value in (arguments or {}).items() for item in ("--argument", f"{key}={value}")]
    extra += ["--quiet"] if quiet else []
    try:
        async with asyncio.timeout(time_limit):
            status = await run_child(module, name, "--config", str(config_file), *extra, on_event=heard)
    except TimeoutError:
        return JobOutcome(
            name,
            ok=False,
            exit_code=5,
            code="job-timeout",
            message=f"the job was stopped after {time_limit:g} seconds, its time limit; nothing was changed",
            advice="Raise limits.job_time, or lower model.max_head.",
        )
    return _outcome(name, status, last)


def _outcome(name: str, status: int, last: dict[str, Any]) -> JobOutcome:
    if status == 0 and last.get("event") == "done":
        return JobOutcome(name, ok=True, exit_code=0, seconds=last["seconds"], result=last["result"])
    if last.get("event") == "failed":
        code, message, advice = (str(last.get(key, "")) for key in ("code", "message", "advice"))
        return JobOutcome(name, ok=False, exit_code=status or 5, code=code, message=message, advice=advice)
    how = f"by signal {signal.Signals(-status).name}" if status < 0 else f"with status {status}"
    return JobOutcome(
        name,
        ok=False,
        exit_code=5,
        code="job-died",
        message=f"the job's process ended {how}; nothing was changed",
        advice="If the machine ran out of memory, lower limits.job_memory_mb or model.max_head; see the log.",
    )
