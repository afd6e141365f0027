"""Runs a job as the daemon does, in a process of its own, and says what it took."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from daemon.process.child import python_module

_MEASURED = """
import json, resource, subprocess, sys, time
began = time.perf_counter()
done = subprocess.run(sys.argv[1:], stdout=subprocess.PIPE, text=True)
seconds = time.perf_counter() - began
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps([done.returncode, seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024]))
print(done.stdout.splitlines()[-1])
"""


@dataclass(frozen=True)
class MeasuredJob:
    """How a job ended, and what it took.

    Attributes:
        seconds: of wall time; `processor_seconds` of all its threads.
        peak_mib: the most resident memory.
        result: as it ended; of one that failed, code, message and advice.
    """

    ok: bool
    seconds: float
    processor_seconds: float
    peak_mib: float
    result: dict[str, Any]


def measured_job(name: str, config: Path) -> MeasuredJob:
    """Run a job to its end, whatever that is."""
    command, environment = python_module("daemon.jobs", name, "--config", str(config))
    done = subprocess.run(
        [command[0], "-c", _MEASURED, *command],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    numbers, last = done.stdout.splitlines()
    status, seconds, processor, peak = json.loads(numbers)
    event = json.loads(last)
    return MeasuredJob(status == 0, seconds, processor, peak, event["result"] if status == 0 else event)
