"""Starting the job "peers" for one host from the serving process, when a peer said something to look into."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from daemon.process.job_context import RunJob

log = logging.getLogger(__name__)

LEAST_BETWEEN: Final = 60.0
TIME_LIMIT: Final = 120.0


class ContactTrigger:
    """One per process, made inside its event loop. One errand at a time, and for one host once a minute.

    What is dropped is not lost: the same job looks after all peers every hour.
    """

    def __init__(
        self, config_file: Path, run: RunJob, *, ticks: Callable[[], float] = time.monotonic
    ) -> None:
        self._config_file = config_file
        self._run_job = run
        self._ticks = ticks
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[None] | None = None
        self._last: dict[str, float] = {}

    def send(self, host: str) -> None:
        """Start the job for a peer, from any thread."""
        self._loop.call_soon_threadsafe(self._begin, host)

    async def close(self) -> None:
        """End the job that runs."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _begin(self, host: str) -> None:
        busy = self._task is not None and not self._task.done()
        if busy or self._ticks() - self._last.get(host, float("-inf")) < LEAST_BETWEEN:
            return
        self._last[host] = self._ticks()
        self._task = asyncio.create_task(self._run(host))

    async def _run(self, host: str) -> None:
        outcome = await self._run_job(
            "peers", self._config_file, time_limit=TIME_LIMIT, arguments={"host": host}
        )
        if not outcome.ok:
            log.warning("job failed", extra={"job": "peers", "code": outcome.code})
