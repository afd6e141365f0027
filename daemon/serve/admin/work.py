"""Work for the admin that takes long, so that nobody who waits for a list notices it.

What reads the store happens in one thread, a few requests deep; what computes or asks the network is a job
in a child process, one of a kind at a time. Whoever comes when there is no room is told so.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final, ParamSpec, TypeVar

from daemon.errors import ShoalError
from daemon.jobs.process import JobOutcome, run_job
from daemon.serve.context import ServeContext

logger = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

MOST_WAITING: Final = 16
SHARE_OF_TIME: Final = 0.5
"""Of the time, the thread works at most this part: what it does competes with answers to viewers."""


class BusyError(ShoalError):
    """The same work is being done already, or too much of it waits."""

    code = "busy"
    status = 409


class OverloadedError(BusyError):
    """Too many requests to the admin API at once."""

    status = 503


class JobFailedError(ShoalError):
    """A job that the admin started failed; code, message and advice are the job's."""

    status = 502

    def __init__(self, outcome: JobOutcome) -> None:
        super().__init__(outcome.message, advice=outcome.advice)
        self.code = outcome.code
        # What a rule forbids is no failure of the job.
        self.status = {2: 400, 3: 403, 4: 409}.get(outcome.exit_code, self.status)


@dataclass
class Running:
    """A job in progress: `started` in Unix seconds, `fraction` of it done in [0, 1]."""

    kind: str
    arguments: Mapping[str, str]
    started: float
    stage: str = ""
    fraction: float = 0.0
    task: asyncio.Task[JobOutcome] = field(init=False, repr=False)


class Work:
    """One per process; its methods are called from the event loop."""

    def __init__(self, context: ServeContext) -> None:
        self._context = context
        self._thread = ThreadPoolExecutor(1, "admin")
        self._waiting = 0
        self._rest_until = 0.0
        self._running: dict[str, Running] = {}

    async def read(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function that reads or writes the store, in the admin's thread.

        Raises:
            OverloadedError: too many wait already.
        """
        if self._waiting >= MOST_WAITING:
            raise OverloadedError(
                "too many questions about this instance at once", advice="Wait a few seconds, then try again."
            )

        def work() -> T:
            time.sleep(max(0.0, self._rest_until - time.perf_counter()))
            began = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                ended = time.perf_counter()
                self._rest_until = ended + (ended - began) * (1 / SHARE_OF_TIME - 1)

        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        finally:
            self._waiting -= 1

    def running(self, kind: str) -> Running | None:
        """Return the job of a kind that runs now."""
        return self._running.get(kind)

    def start(self, kind: str, arguments: Mapping[str, str] | None = None) -> Running:
        """Start a job; it goes on when the one who asked for it has left.

        Raises:
            BusyError: one of its kind runs.
        """
        if kind in self._running:
            raise BusyError(
                f'a job "{kind}" is running already', advice="Wait until it has ended, then try again."
            )
        running = Running(kind, dict(arguments or {}), self._context.clock())
        running.task = asyncio.create_task(self._run(running))
        self._running[kind] = running
        return running

    async def job(self, kind: str, arguments: Mapping[str, str] | None = None) -> JobOutcome:
        """Run a job to its end.

        Raises:
            BusyError: one of its kind runs. JobFailedError: it failed.
        """
        return await self.end_of(self.start(kind, arguments))

    async def end_of(self, running: Running) -> JobOutcome:
        """Wait for a job, which several may do.

        Raises:
            JobFailedError: it failed.
        """
        # Whoever waits may leave; the others, and the job, must not notice.
        outcome = await asyncio.shield(running.task)
        if not outcome.ok:
            raise JobFailedError(outcome)
        return outcome

    async def close(self) -> None:
        """End what runs; what a job had not finished never happened."""
        tasks = [running.task for running in self._running.values()]
        for task in tasks:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks, return_exceptions=True)
        self._thread.shutdown(wait=True, cancel_futures=True)

    async def _run(self, running: Running) -> JobOutcome:
        def on_progress(stage: str, fraction: float) -> None:
            running.stage, running.fraction = stage, fraction

        try:
            outcome = await run_job(
                running.kind,
                self._context.config_file,
                time_limit=self._context.config.limits.job_time.total_seconds(),
                on_progress=on_progress,
                arguments=running.arguments,
            )
        finally:
            self._running.pop(running.kind, None)
        metrics = self._context.metrics
        metrics.jobs.labels(running.kind, outcome.code or "ok").inc()
        if outcome.ok:
            metrics.job_seconds.labels(running.kind).set(outcome.seconds)
        else:
            logger.error("job failed", extra={"job": running.kind, "code": outcome.code})
        return outcome
