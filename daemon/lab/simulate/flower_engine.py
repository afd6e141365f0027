"""Runs Flower's simulation engine in a child process, and takes away whatever it leaves behind."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from daemon.errors import JobError
from daemon.process.child import python_module
from federation.flower.app.laboratory import Laboratory
from federation.flower.app.simulation import LEAST_STORE, Measured

_INSTALL = "Install it with `pip install 'shoal[simulation]'`."
_ENTRY_BYTES = 16
"""A node's state passes through ray with its vector and its masked vector in it, there and back."""
_LOG_END = 400


def engine(
    laboratory: Laboratory,
    lengths: Sequence[int],
    *,
    parent: Path | None = None,
    cores: int = 2,
    on_sum: Callable[[Measured], None] = lambda _: None,
) -> list[Measured]:
    """Run one secure sum of each length over the laboratory's members, through Flower.

    Args:
        laboratory: the members.
        lengths: entries of the vectors, one sum each.
        parent: where the engine's temporary folder is made; sockets need a short path.
        cores: processes that answer for members.
        on_sum: called after each sum.

    Raises:
        JobError: the engine is not installed, or failed.

    """
    found: list[Measured] = []
    with tempfile.TemporaryDirectory(prefix="s", dir=parent, ignore_cleanup_errors=True) as name:
        log = Path(name) / "engine.log"
        settings = {
            "parent": os.getpid(),
            "members": laboratory.members,
            "seed": laboratory.seed,
            "lengths": list(lengths),
            "folder": name,
            "cores": cores,
            "store": max(LEAST_STORE, 4 * cores * _ENTRY_BYTES * max(lengths)),
        }
        command, environment = python_module("daemon.lab.simulate.flower_worker")
        with log.open("wb") as errors:
            process = subprocess.Popen(  # noqa: S603
                command,
                # Members compute side by side already.
                env={**environment, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,
                text=True,
            )
        try:
            last = _follow(process, settings, found, on_sum)
        finally:
            _end(process)
        if len(found) != len(lengths):
            raise _failure(last, log)
    return found


def _follow(
    process: subprocess.Popen[str],
    settings: dict[str, Any],
    found: list[Measured],
    on_sum: Callable[[Measured], None],
) -> dict[str, Any]:
    if process.stdin is None or process.stdout is None:
        raise ValueError("the engine was started without pipes")
    last: dict[str, Any] = {}
    with process.stdin, process.stdout:
        with contextlib.suppress(BrokenPipeError):
            json.dump(settings, process.stdin)
            process.stdin.close()
        for line in process.stdout:
            last = json.loads(line)
            if last.pop("event") == "sum":
                found.append(Measured(**last))
                on_sum(found[-1])
    return last


def _end(process: subprocess.Popen[str]) -> None:
    """End the engine and every process of its group: ray's own are in it."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _failure(last: dict[str, Any], log: Path) -> JobError:
    message = str(last.get("message", ""))
    if "is not installed" in message:
        return JobError(message, advice=_INSTALL)
    if not message:
        with contextlib.suppress(OSError):
            message = " ".join(log.read_text("utf-8", errors="replace")[-_LOG_END:].split())
    return JobError(
        f"Flower's simulation engine ended without a result: {message}",
        advice="It needs about 1 GB of memory; try fewer instances.",
    )
