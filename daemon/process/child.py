"""A child process that lives for long and says in JSON lines how it is; ended politely, then surely."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import Callable, Mapping
from typing import Any, Final

from daemon.process.run_job import end_group, python_module

MAX_LINE: Final = 100_000

OnEvent = Callable[[Mapping[str, Any]], None]


async def run_child(module: str, *arguments: str, on_event: OnEvent, told: bytes = b"") -> int:
    """Run `python -m module ... --parent PID` until it ends by itself, or this call is cancelled.

    `told` is what it reads on its standard input. Returns its exit status. Must be called from the main
    thread: the kernel ends the child when the thread that started it ends.
    """
    command, environment = python_module(module, *arguments, "--parent", str(os.getpid()))
    process = await asyncio.create_subprocess_exec(
        *command,
        env=environment,
        stdin=asyncio.subprocess.PIPE if told else asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
        limit=MAX_LINE,
    )
    try:
        if process.stdin is not None:
            with contextlib.suppress(ConnectionError):
                process.stdin.write(told)
                await process.stdin.drain()
                process.stdin.close()
        if process.stdout is not None:
            await _listen(process.stdout, on_event)
        return await process.wait()
    finally:
        await asyncio.shield(end_group(process))


async def _listen(lines: asyncio.StreamReader, on_event: OnEvent) -> None:
    while True:
        try:
            line = await lines.readline()
        except ValueError:
            # Longer than any event: not for us.
            continue
        if not line:
            return
        with contextlib.suppress(json.JSONDecodeError):
            event = json.loads(line)
            if isinstance(event, dict):
                on_event(event)
