"""When jobs run by themselves, inside the serving process; the work itself happens in child processes."""

import asyncio
import logging
import math
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from datetime import UTC, datetime, timedelta
from typing import Final

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.interval import IntervalTrigger
from sqlalchemy import Engine

from daemon.config import Config, PeerTubeSource
from daemon.jobs.registry import JOBS
from daemon.jobs.run import run_job
from daemon.process.job_context import JobOutcome
from daemon.serve.context import ServeContext
from daemon.store import activity

logger = logging.getLogger(__name__)

MISFIRE_GRACE_SECONDS: Final = 3600
SOON_SECONDS: Final = 1.0
CHECK_SECONDS: Final = 600.0
PEERS_EVERY: Final = timedelta(hours=1)
"""How often peers are greeted; those that do not answer are left alone for longer each time."""
SYNC_WHEN_LOST: Final = 10
"""A check that removes more than one viewer in so many brings the next sync forward."""
AT_LEAST_BETWEEN_SYNCS: Final = 3600.0


class Scheduler:
    """Runs sync, training, sessions and pruning at jittered intervals, one at a time.

    A run that was missed while the machine slept is made up for once. The first run of a job is due one
    interval after its last success, so that restarts neither skip nor repeat work.
    """

    def __init__(self, context: ServeContext, *, rng: random.Random | None = None) -> None:
        self._context = context
        self._rng = rng or random.Random()  # noqa: S311 (spreads load; nothing secret depends on it)
        self._scheduler = AsyncIOScheduler(timezone=UTC)
        self._one_at_a_time = asyncio.Lock()
        self._running: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Plan every job that the configuration wants."""
        settings = self._context.config.schedule
        if not settings.enabled:
            return
        self._plan("sync", settings.sync, self._sync)
        self._plan("prune", settings.prune, self._prune)
        source = self._context.config.source
        if isinstance(source, PeerTubeSource):
            self._plan("consent", source.check, self._consent)
        if "session" in JOBS and self._context.config.mode in {"consume", "contribute"}:
            self._plan("session", settings.session, self._session)
            self._plan("peers", PEERS_EVERY, self._peers)
        self._context.upcoming = self.upcoming
        self._scheduler.start()

    async def stop(self) -> None:
        """Plan nothing further and end the job that runs; what it had not finished never happened."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    def upcoming(self) -> Mapping[str, float]:
        """Return when each job runs next, Unix seconds."""
        return {job.id: job.next_run_time.timestamp() for job in self._scheduler.get_jobs()}

    def _plan(self, name: str, every: timedelta, work: Callable[[], Awaitable[None]]) -> None:
        seconds = every.total_seconds()
        spread = seconds * self._context.config.schedule.jitter
        now = time.time()
        last = activity.last_success(self._context.engine, name)
        if name == "session" and _session_open(self._context.config):
            # Its members wait, and their answers are journalled: go on before the proposals expire.
            first = now + SOON_SECONDS
        elif last is not None:
            first = max(last + seconds, now + SOON_SECONDS) + self._rng.uniform(0, spread)
        else:
            # A new instance wants content at once; it has nothing to add up with others before that.
            first = now + SOON_SECONDS + (spread if name == "session" else 0.0)

        async def begin() -> None:
            task = asyncio.create_task(_finish(work))
            self._running.add(task)
            try:
                await task
            finally:
                self._running.discard(task)

        self._scheduler.add_job(
            begin,
            IntervalTrigger(seconds=max(round(seconds), 1), jitter=spread or None, timezone=UTC),
            id=name,
            next_run_time=datetime.fromtimestamp(first, UTC),
            coalesce=True,
            max_instances=1,
            misfire_grace_time=MISFIRE_GRACE_SECONDS,
        )

    async def _sync(self) -> None:
        if (await self._run("sync")).ok and self._context.config.schedule.train_after_sync:
            await self._run("train")

    async def _session(self) -> None:
        if await asyncio.to_thread(_in_group, self._context.engine):
            # It learns through its group then, whose host asks.
            return
        later = await asyncio.to_thread(_next_sum_at, self._context.config)
        if later > time.time():
            # The peers gave this window's sum already, at an admin's request; they answer again when it is
            # over.
            self._scheduler.modify_job("session", next_run_time=datetime.fromtimestamp(later, UTC))
            return
        if (await self._run("session")).ok:
            await self._run("train")

    async def _prune(self) -> None:
        await self._run("prune")

    async def _peers(self) -> None:
        # Neither does it wait for a training, nor a session for it: peers answer within seconds, or later.
        await self._run("peers", nullcontext(), at_most=CHECK_SECONDS)

    async def _consent(self) -> None:
        # Not one at a time with the others: a session may wait for peers for an hour, a viewer must not.
        outcome = await self._run("consent", nullcontext(), at_most=CHECK_SECONDS)
        lost, before = outcome.result.get("removed", 0), outcome.result.get("viewers", 0)
        if lost * SYNC_WHEN_LOST > before and self._sync_is_old():
            # A video that many had seen is gone, most likely: their other rows are still there to be read.
            self._scheduler.modify_job("sync", next_run_time=datetime.now(UTC))

    def _sync_is_old(self) -> bool:
        last = activity.last_success(self._context.engine, "sync")
        return last is None or time.time() - last > AT_LEAST_BETWEEN_SYNCS

    async def _run(
        self, name: str, turn: AbstractAsyncContextManager[None] | None = None, at_most: float = math.inf
    ) -> JobOutcome:
        limit = min(self._context.config.limits.job_time.total_seconds(), at_most)
        async with turn or self._one_at_a_time:
            outcome = await run_job(name, self._context.config_file, time_limit=limit)
        metrics = self._context.metrics
        metrics.jobs.labels(name, outcome.code or "ok").inc()
        if outcome.ok:
            metrics.job_seconds.labels(name).set(outcome.seconds)
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


async def _finish(work: Callable[[], Awaitable[None]]) -> None:
    await work()


def _session_open(config: Config) -> bool:
    # Loaded only where sessions are planned: the other modes need none of it.
    from daemon.rounds.round_config import session_open

    return session_open(config)


def _in_group(engine: Engine) -> bool:
    from daemon.group import repository

    group = repository.current(engine)
    return group is not None and group.active


def _next_sum_at(config: Config) -> float:
    from daemon.rounds.aggregator_window import peer_windows

    return peer_windows(config, time.time).next_at()
