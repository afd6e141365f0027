"""Starting a job in a child process, following its events, and ending it when it must end."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import daemon

ProgressCallback = Callable[[str, float], None]

GRACE_SECONDS: Final = 5.0
MAX_LINE: Final = 1_000_000


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


def python_module(module: str, *arguments: str) -> tuple[list[str], dict[str, str]]:
    """Return command and environment that run a module of this very installation, in any folder."""
    root = str(Path(next(iter(daemon.__path__))).parent)
    known = os.environ.get("PYTHONPATH", "")
    paths = [root, *(p for p in known.split(os.pathsep) if p and p != root)]
    # -P: a folder called `daemon` where the command happens to be run must not be imported instead.
    return [sys.executable, "-P", "-m", module, *arguments], {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(paths),
    }


async def run_job(
    name: str,
    config_file: Path,
    *,
    time_limit: float,
    on_progress: ProgressCallback | None = None,
    arguments: Mapping[str, str] | None = None,
) -> JobOutcome:
    """Run a job to its end, at most `time_limit` seconds; its whole process group ends with this call.

    Must be called from the main thread: the kernel ends the child when the thread that started it ends.
    """
    extra = [item for key, value in (arguments or {}).items() for item in ("--argument", f"{key}={value}")]
    command, environment = python_module(
        "daemon.jobs", name, "--config", str(config_file), "--parent", str(os.getpid()), *extra
    )
    process = await asyncio.create_subprocess_exec(
        *command,
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
        limit=MAX_LINE,
    )
    last: dict[str, Any] = {}
    try:
        async with asyncio.timeout(time_limit):
            async for event in _events(process):
                if event.get("event") == "progress":
                    if on_progress is not None:
                        on_progress(str(event.get("stage", "")), float(event.get("fraction", 0.0)))
                else:
                    last = event
            await process.wait()
    except TimeoutError:
        return JobOutcome(
            name,
            ok=False,
            exit_code=5,
            code="job-timeout",
            message=f"the job did not end within {time_limit:g} seconds and was stopped; nothing was changed",
            advice="Raise limits.job_time, or lower model.max_head.",
        )
    finally:
        await end_group(process)
    return _outcome(name, process.returncode or 0, last)


async def _events(process: asyncio.subprocess.Process) -> Any:
    if process.stdout is None:
        raise ValueError("the job was started without a pipe")
    async for line in process.stdout:
        with contextlib.suppress(json.JSONDecodeError):
            event = json.loads(line)
            if isinstance(event, dict):
                yield event


async def end_group(process: asyncio.subprocess.Process) -> None:
    """End whatever is left of a child's process group; politely first, so that a session can say goodbye."""
    for number, patience in ((signal.SIGTERM, GRACE_SECONDS), (signal.SIGKILL, None)):
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), patience)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


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
