"""Child processes of this very installation: started, listened to, and reliably ended."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any, Final

import daemon
from daemon.process.events import read_event

OnEvent = Callable[[Mapping[str, Any]], None]

GRACE_SECONDS: Final = 5.0
MAX_LINE: Final = 1_000_000
"""Bytes of an event; results of jobs are the longest."""


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


async def run_child(
    module: str,
    *arguments: str,
    on_event: OnEvent,
    stdin: bytes = b"",
    stderr: IO[bytes] | None = None,
    variables: Mapping[str, str] | None = None,
) -> int:
    """Run `python -m module ... --parent PID` until it ends by itself, or this call is cancelled.

    `stdin` is what it reads there, `stderr` takes its standard error instead of ours, `variables` are added
    to its environment. Returns its exit status. Must be called from the main thread: the kernel ends the
    child when the thread that started it ends. Its whole process group ends with this call.
    """
    command, environment = python_module(module, *arguments, "--parent", str(os.getpid()))
    process = await asyncio.create_subprocess_exec(
        *command,
        env={**environment, **(variables or {})},
        stdin=asyncio.subprocess.PIPE if stdin else asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=stderr,
        start_new_session=True,
        limit=MAX_LINE,
    )
    try:
        if process.stdin is not None:
            with contextlib.suppress(ConnectionError):
                process.stdin.write(stdin)
                await process.stdin.drain()
                process.stdin.close()
        if process.stdout is not None:
            await _listen(process.stdout, on_event)
        return await process.wait()
    finally:
        await asyncio.shield(_end_group(process))


async def _listen(lines: asyncio.StreamReader, on_event: OnEvent) -> None:
    while True:
        try:
            line = await lines.readline()
        except ValueError:
            # Longer than any event.
            continue
        if not line:
            return
        event = read_event(line)
        if event is not None:
            on_event(event)


async def _end_group(process: asyncio.subprocess.Process) -> None:
    """End what is left of a child's process group; SIGTERM comes first, so that it can finish."""
    for number, seconds in ((signal.SIGTERM, GRACE_SECONDS), (signal.SIGKILL, None)):
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), seconds)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
