"""Runs the daemon's jobs and other tasks by name, in the serving process: one of a name at a time."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, nullcontext

from sqlalchemy.exc import SQLAlchemyError

from daemon.errors import ShoalError
from daemon.jobs.run import run_job
from daemon.process.full_disk import fields_of
from daemon.process.job_context import JobOutcome, RunJob
from daemon.serve.context import ServeContext

logger = logging.getLogger(__name__)


class Runner:
    """Knows what runs. Made and used inside the event loop, which must be in the main thread.

    When something is due is said elsewhere: for the instance in `daemon.serve.scheduler`, for its group in
    `daemon.group.schedule`.
    """

    def __init__(self, context: ServeContext, run: RunJob = run_job) -> None:
        self._context = context
        self._run = run
        self._turn = asyncio.Lock()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._jobs: dict[str, float] = {}
        self._waiting: set[str] = set()
        self._progress: dict[str, float] = {}
        context.running = lambda: dict(self._jobs)
        context.progress = lambda: dict(self._progress)
        context.waiting = lambda: frozenset(self._waiting)
        context.begun = lambda: self._tasks.keys() | self._jobs.keys() | self._waiting

    def running(self, name: str) -> bool:
        """Tell whether a task of that name runs."""
        return name in self._tasks

    def begin(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """Begin a task, unless one of that name runs. What it raises is logged."""
        if name in self._tasks:
            return

        async def run() -> None:
            try:
                await work()
            except (OSError, SQLAlchemyError, ShoalError) as error:
                logger.error("task failed", extra={"task": name, **fields_of(error)})

        task = self._tasks[name] = asyncio.create_task(run())
        # Not in `run`: a task that is cancelled at once never gets there.
        task.add_done_callback(lambda _task: self._tasks.pop(name, None))

    async def end(self, *names: str) -> None:
        """Cancel tasks, wait until their child processes are gone, and forget them."""
        tasks = [task for name in names if (task := self._tasks.get(name)) is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def close(self) -> None:
        """End everything; what a job had not finished never happened."""
        await self.end(*self._tasks)

    async def job(
        self,
        name: str,
        arguments: Mapping[str, str] | None = None,
        *,
        in_turn: bool = False,
        at_most: float = math.inf,
    ) -> JobOutcome:
        """Run a job in a child process for `at_most` so many seconds; count it, and log how it ended.

        Of those that run `in_turn`, one runs at a time.
        """
        limit = min(self._context.config.limits.job_time.total_seconds(), at_most)

        def progress(_stage: str, fraction: float) -> None:
            self._progress[name] = fraction

        async with self._my_turn(name) if in_turn else nullcontext():
            self._jobs[name] = self._context.clock()
            try:
                outcome = await self._run(
                    name,
                    self._context.config_file,
                    time_limit=limit,
                    on_progress=progress,
                    arguments=arguments,
                )
            finally:
                self._jobs.pop(name, None)
                self._progress.pop(name, None)
        self._context.metrics.job_ended(outcome)
        if outcome.ok:
            logger.info("job done", extra={"job": name, "seconds": outcome.seconds})
        else:
            problem = {
                "job": name,
                "code": outcome.code,
                "problem": outcome.message,
                "advice": outcome.advice,
            }
            logger.error("job failed", extra=problem)
        return outcome

    @asynccontextmanager
    async def _my_turn(self, name: str) -> AsyncIterator[None]:
        self._waiting.add(name)
        try:
            await self._turn.acquire()
        finally:
            self._waiting.discard(name)
        try:
            yield
        finally:
            self._turn.release()
