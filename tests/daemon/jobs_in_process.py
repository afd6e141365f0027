"""Jobs in the process of the test: the same code as in a child process, a second faster each time."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

import pytest

from daemon import log
from daemon.jobs import __main__ as entry
from daemon.jobs.run import _outcome
from daemon.process import limits
from daemon.process.events import read_event
from daemon.process.job_context import JobOutcome


class _Events(io.StringIO):
    """What a job's parent would read."""

    def close(self) -> None:
        """Stay readable."""


def run_here(name: str, config_file: Path, arguments: Mapping[str, str] | None = None) -> JobOutcome:
    """Run a job as `run_job` does, but for its process: limits, log and standard output stay the test's."""
    events = _Events()
    extra = [item for key, value in (arguments or {}).items() for item in ("--argument", f"{key}={value}")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(entry, "claim_stdout", lambda: events)
        patch.setattr(limits, "be_modest", lambda _memory_mb: None)
        patch.setattr(log, "configure", lambda _config, level="": None)
        status = entry.main([name, "--config", str(config_file), *extra])
    last = read_event(events.getvalue().splitlines()[-1])
    assert last is not None
    return _outcome(name, status, dict(last))
