"""Does for the admin what takes long, so that nobody who waits for a list notices it.

What reads the store happens in one thread, a few requests deep; what computes or asks the network is a job
in a child process, one of a kind at a time. A request that finds no room is told so at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final, Generic, ParamSpec, TypeVar

from daemon.errors import DiskFullError, ShoalError, StoreError
from daemon.jobs.run import run_job
from daemon.process.job_context import JobOutcome, Progress
from daemon.serve.context import ServeContext

logger = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")
R = TypeVar("R")

MOST_WAITING: Final = 16
MOST_AT_ONCE: Final = 8
SHARE_OF_TIME: Final = 0.5
"""Of the time, the thread works at most this part: what it does competes with answers to viewers."""
PATIENCE: Final = 50.0
"""Seconds that a caller waits for other instances to answer; the plugin waits for a minute."""


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
        # What a rule forbids is no failure of the job; nor is what became of the disk or the database.
        self.status = {2: 400, 3: 403, 4: 409, StoreError.exit_code: StoreError.status}.get(
            outcome.exit_code, self.status
        )
        if self.code == DiskFullError.code:
            self.status = DiskFullError.status


@dataclass
class Running(Generic[R]):
    """Work in progress: `started` in Unix seconds, `fraction` of it done in [0, 1]."""

    details: Mapping[str, Any]
    started: float
    stage: str = ""
    fraction: float = 0.0
    task: asyncio.Task[R] = field(init=False, repr=False)

    def progress(self, stage: str, fraction: float) -> None:
        """Note how far it is."""
        self.stage, self.fraction = stage, fraction


class Executor:
    """One per process; its methods are called from the event loop."""

    def __init__(self, context: ServeContext) -> None:
        self._context = context
        self._thread = ThreadPoolExecutor(1, "admin")
        self._waiting = 0
        self._rest_until = 0.0
        self._turn = asyncio.Lock()
        self._running: dict[str, Running[Any]] = {}

    async def read(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function that reads or writes the store, in the admin's thread.

        Raises:
            OverloadedError: too many wait already.
        """

        def work() -> T:
            time.sleep(max(0.0, self._rest_until - time.perf_counter()))
            began = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                ended = time.perf_counter()
                self._rest_until = ended + (ended - began) * (1 / SHARE_OF_TIME - 1)

        with self._admitted():
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Let one at a time do what is done a little at a time between other requests.

        Raises:
            OverloadedError: too many wait already.
        """
        with self._admitted():
            async with self._turn:
                yield

    @contextlib.contextmanager
    def _admitted(self) -> Iterator[None]:
        if self._waiting >= MOST_WAITING:
            raise OverloadedError(
                "too many requests of admins are waiting", advice="Wait a few seconds, then try again."
            )
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1

    def running(self, kind: str) -> Running[Any] | None:
        """Return the work of a kind that is being done now."""
        return self._running.get(kind)

    def start(
        self,
        kind: str,
        work: Callable[[Progress], Coroutine[Any, Any, R]],
        *,
        urgent: bool = False,
        **details: Any,
    ) -> Running[R]:
        """Start work that takes long; it goes on when the caller has left.

        Raises:
            BusyError: work of this kind is being done.
            OverloadedError: too much is, and this is not `urgent`.
        """
        if kind in self._running:
            raise BusyError(f"already in progress: {kind}", advice="Wait until it has ended.")
        if len(self._running) >= MOST_AT_ONCE and not urgent:
            raise OverloadedError("too much is in progress already", advice="Wait until some of it ended.")
        running = Running[R](details, self._context.clock())
        running.task = asyncio.create_task(work(running.progress))
        self._running[kind] = running

        def ended(task: asyncio.Task[R]) -> None:
            self._running.pop(kind, None)
            if not task.cancelled() and (error := task.exception()) is not None:
                code = error.code if isinstance(error, ShoalError) else "bug"
                logger.error("task of an admin failed", extra={"task": kind, "code": code})

        running.task.add_done_callback(ended)
        return running

    def start_job(
        self, name: str, arguments: Mapping[str, str] | None = None, *, kind: str = ""
    ) -> Running[dict[str, Any]]:
        """Start a job in a child process; one at a time of its name, or of a `kind`. Raises BusyError."""
        return self.start(kind or name, lambda progress: self.job(name, arguments or {}, progress))

    async def job(self, name: str, arguments: Mapping[str, str], progress: Progress) -> dict[str, Any]:
        """Run a job in a child process, as a part of work that was started. Raises JobFailedError."""
        limit = self._context.config.limits.job_time.total_seconds()
        outcome = await run_job(
            name, self._context.config_file, time_limit=limit, on_progress=progress, arguments=arguments
        )
        self._context.metrics.job_ended(outcome)
        if not outcome.ok:
            raise JobFailedError(outcome)
        return outcome.result

    @staticmethod
    async def result_of(running: Running[R]) -> R:
        """Wait for a result, which several may do.

        Raises:
            ShoalError: it failed; of a job a `JobFailedError`.
        """
        # One who waits may leave; the others, and the work, must not notice.
        return await asyncio.shield(running.task)

    async def answer_of(self, running: Running[R]) -> R:
        """Wait for a result for which other instances are asked, as long as a caller can wait.

        Raises:
            BusyError: that was not long enough; the work goes on. Otherwise as `result_of`.
        """
        try:
            return await asyncio.wait_for(self.result_of(running), PATIENCE)
        except TimeoutError:
            raise BusyError(
                "other instances take long to answer; they are still being asked",
                advice="Look again in a minute.",
            ) from None

    async def close(self) -> None:
        """End what is being done; what a job had not finished never happened."""
        tasks = [running.task for running in self._running.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._thread.shutdown(wait=True, cancel_futures=True)
