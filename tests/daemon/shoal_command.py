"""Typing `shoal ...` in tests: in this process, which is much quicker than a process each."""

from __future__ import annotations

import json
import os
import pty
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from daemon.cli.main import app
from daemon.process.child import python_module


@dataclass(frozen=True)
class Done:
    """How a command ended, and what it printed."""

    returncode: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        """What `-o json` printed: one line, and nothing else."""
        assert len(self.stdout.splitlines()) == 1, self
        assert self.stderr == ""
        return json.loads(self.stdout)

    @property
    def said(self) -> str:
        """What was printed, without its line breaks."""
        return " ".join(self.stdout.split())


def shoal(*words: str | Path, typed: str = "", columns: int = 100) -> Done:
    """Run a command in this process; `typed` comes from a pipe. Bugs are raised."""
    done = CliRunner(env={"COLUMNS": str(columns)}).invoke(app, [*map(str, words)], input=typed)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return Done(done.exit_code, done.stdout, done.stderr)


def at_terminal(*words: str | Path, answer: str) -> Done:
    """Run a command in a process of its own, at a terminal where somebody types an answer when asked."""
    command, environment = python_module("daemon.cli.main", *map(str, words))
    environment |= {"COLUMNS": "80", "TERM": "dumb"}
    keyboard, terminal = pty.openpty()
    try:
        os.write(keyboard, f"{answer}\n".encode())
        done = subprocess.run(
            command, env=environment, stdin=terminal, capture_output=True, text=True, check=False, timeout=120
        )
    finally:
        os.close(keyboard)
        os.close(terminal)
    return Done(done.returncode, done.stdout, done.stderr)


def process(*words: str | Path, cwd: Path | None = None) -> Done:
    """Run a command in a process of its own, 80 columns wide, with nobody at the keyboard."""
    command, environment = python_module("daemon.cli.main", *map(str, words))
    environment |= {"COLUMNS": "80", "TERM": "dumb"}
    done = subprocess.run(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        timeout=120,
    )
    return Done(done.returncode, done.stdout, done.stderr)
