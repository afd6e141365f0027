"""The command line in a process of its own, as people and programs use it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from daemon.process.child import python_module


def shoal(*words: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command, environment = python_module("daemon.cli.main", *map(str, words))
    environment |= {"COLUMNS": "100", "TERM": "dumb"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, cwd=cwd)


def as_json(done: subprocess.CompletedProcess[str]) -> Any:
    assert len(done.stdout.splitlines()) == 1, done
    assert done.stderr == ""
    return json.loads(done.stdout)
