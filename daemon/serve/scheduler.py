"""When the instance's jobs run by themselves: a table of rules, and APScheduler to keep the time."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.interval import IntervalTrigger

from daemon.config import Config, PeerTubeSource
from daemon.errors import SourceError
from daemon.serve.context import ServeContext
from daemon.serve.runner import Runner
from daemon.store import activity

MISFIRE_GRACE_SECONDS: Final = 3600
SOON_SECONDS: Final = 1.0
CHECK_SECONDS: Final = 600.0
ROUND_EVERY: Final = timedelta(minutes=1)
"""How often to look whether a round is due: it starts when the last approval comes, and not days later."""
AFTER_A_FAILED_ROUND: Final = 600.0
"""Seconds before a round is tried again whose failure is no matter of its data window."""
PEERS_EVERY: Final = timedelta(hours=1)
"""How often peers are greeted; those that do not answer are left alone for longer each time."""
SYNC_WHEN_LOST: Final = 10
"""A check that removes more than one viewer in so many brings the next sync forward."""
AT_LEAST_BETWEEN_SYNCS: Final = 3600.0
AFTER_A_FAILED_SYNC: Final = 600.0
"""Seconds before a sync is tried again whose source failed: PeerTube may start later than the daemon."""


@dataclass(frozen=True)
class Rule:
    """When a job runs by itself, and what follows.

    Attributes:
        in_turn: whether it waits for the others that run in turn.
        at_most: seconds that it may take, where that is less than `limits.job_time`.
        first: when it runs for the first time: soon, after the time that spreads the load, or soon after each
            start, whenever it ran before.
        then: the job that follows when this one succeeded, if any.
    """

    job: str
    every: timedelta
    in_turn: bool = True
    at_most: float = math.inf
    first: Literal["soon", "later", "each start"] = "soon"
    then: str = ""


def rules(config: Config) -> Iterator[Rule]:
    """Yield the rules by which jobs run by themselves, as the settings are."""
    if config.schedule.enabled:
        yield from _all_rules(config)


def by_hand(config: Config, name: str) -> Rule:
    """Return the rule of a job that the admin starts, whether it runs by itself or not."""
    if name == "train":
        return Rule("train", config.schedule.sync)
    if name == "round" and not config.federates:
        # Nothing is sent, so nothing comes of it that could be learnt from.
        return Rule("round", ROUND_EVERY)
    return next(rule for rule in _all_rules(config) if rule.job == name)


def _all_rules(config: Config) -> Iterator[Rule]:
    schedule, source = config.schedule, config.source
    yield Rule("sync", schedule.sync, then="train" if schedule.train_after_sync else "")
    yield Rule("prune", schedule.prune)
    if isinstance(source, PeerTubeSource):
        # A round may wait for peers for an hour; a viewer who withdraws must not wait for it.
        yield Rule("consent", source.check, in_turn=False, at_most=CHECK_SECONDS)
    if config.federates:
        # Members of an interrupted one wait, so it is looked for at each start.
        yield Rule("round", ROUND_EVERY, first="each start", then="train")
        # It need not wait for a training, nor a round for it: peers answer within seconds, or later.
        yield Rule("peers", PEERS_EVERY, in_turn=False, at_most=CHECK_SECONDS)


def first_run(rule: Rule, last: float | None, now: float, spread: float, share: float) -> float:
    """Return when a job runs first after a start of the daemon, in Unix seconds.

    That is one interval after its `last` success, so that restarts neither skip nor repeat work. Runs are
    scattered over `spread` seconds, of which this one gets a `share` in [0, 1].
    """
    soon = now + SOON_SECONDS
    if rule.first == "each start":
        return soon
    if last is None:
        return soon + (spread if rule.first == "later" else 0.0)
    return max(last + rule.every.total_seconds(), soon) + share * spread


def brings_sync_forward(checked: Mapping[str, Any], last_sync: float | None, now: float) -> bool:
    """Tell whether the result of a check of consent calls for a sync at once.

    Where many viewers are gone, most likely a video that they had seen is gone: their other rows are still
    there to be read.
    """
    many = checked.get("removed", 0) * SYNC_WHEN_LOST > checked.get("viewers", 0)
    return many and (last_sync is None or now - last_sync > AT_LEAST_BETWEEN_SYNCS)


class Scheduler:
    """Runs jobs by their rules, each at its interval with jitter.

    A run that was missed while the machine slept is made up for once. `round_due` tells from now, in Unix
    seconds, when a round can start; infinity while it waits for something that has no date.
    """

    def __init__(
        self,
        context: ServeContext,
        runner: Runner,
        rules: Iterable[Rule] = (),
        *,
        round_due: Callable[[float], float] = lambda _now: math.inf,
        rng: random.Random | None = None,
    ) -> None:
        self._context = context
        self._runner = runner
        self._rules = {rule.job: rule for rule in rules}
        self._round_due = round_due
        self._rng = rng or random.Random()  # noqa: S311 (spreads load; nothing secret depends on it)
        self._round_failed: float | None = None
        # As of the last look: whoever asks for the status must not wait for the database.
        self._round_at = math.inf
        self._timer = AsyncIOScheduler(timezone=UTC)

    def start(self) -> None:
        """Plan every job."""
        if "round" in self._rules:
            self._round_at = self._next_round(self._context.clock())
        for rule in self._rules.values():
            self._plan(rule)
        self._context.upcoming = self.upcoming
        self._timer.start()

    def stop(self) -> None:
        """Begin nothing further; what runs is the runner's to end."""
        if self._timer.running:
            self._timer.shutdown(wait=False)

    def upcoming(self) -> Mapping[str, float]:
        """Return when each job runs next, Unix seconds."""
        times = {job.id: job.next_run_time.timestamp() for job in self._timer.get_jobs()}
        found = {name: times[name] for name in self._rules if name in times}
        if "round" in found:
            del found["round"]
            if self._round_at < math.inf:
                found["round"] = max(self._round_at, times["round"])
        return found

    def repeat(self, name: str, work: Callable[[], Awaitable[None]], seconds: float) -> None:
        """Do something every few seconds from now on, apart from the rules."""
        self._at(name, work, self._context.clock(), IntervalTrigger(seconds=seconds, timezone=UTC))

    async def run(self, name: str) -> None:
        """Run a job that is due, and what follows."""
        rule, now = self._rules[name], self._context.clock()
        if name == "round":
            self._round_at = await asyncio.to_thread(self._next_round, now)
            if self._round_at > now:
                return
        await self._run(rule, now)

    def begin_now(self, name: str) -> None:
        """Begin a job that the admin wants now, and what follows; it may wait for its turn."""
        rule = by_hand(self._context.config, name)
        self._runner.begin(name, lambda: self._run(rule, self._context.clock()))

    async def _run(self, rule: Rule, now: float) -> None:
        name = rule.job
        outcome = await self._runner.job(name, in_turn=rule.in_turn, at_most=rule.at_most)
        if name == "round":
            # What a data window noted has a growing pause of its own, and people are shown that one.
            noted = outcome.ok or await asyncio.to_thread(self._round_due, now) > now
            self._round_failed = None if noted else now
            self._round_at = await asyncio.to_thread(self._next_round, self._context.clock())
        if name == "consent" and brings_sync_forward(outcome.result, self._last("sync"), now):
            self._move("sync", now)
        if name == "sync" and outcome.code == SourceError.code:
            self._move("sync", self._context.clock() + min(AFTER_A_FAILED_SYNC, rule.every.total_seconds()))
        if outcome.ok and rule.then:
            await self._runner.job(rule.then, in_turn=True)

    def _next_round(self, now: float) -> float:
        held_off = 0.0 if self._round_failed is None else self._round_failed + AFTER_A_FAILED_ROUND
        return max(self._round_due(now), held_off)

    def _plan(self, rule: Rule) -> None:
        seconds = rule.every.total_seconds()
        spread = seconds * self._context.config.schedule.jitter
        trigger = IntervalTrigger(seconds=max(round(seconds), 1), jitter=spread or None, timezone=UTC)
        first = first_run(rule, self._last(rule.job), self._context.clock(), spread, self._rng.random())
        self._at(rule.job, lambda: self.run(rule.job), first, trigger)

    def _at(
        self, name: str, work: Callable[[], Awaitable[None]], first: float, trigger: IntervalTrigger
    ) -> None:
        async def begin() -> None:
            self._runner.begin(name, work)

        self._timer.add_job(
            begin,
            trigger,
            id=name,
            next_run_time=datetime.fromtimestamp(first, UTC),
            coalesce=True,
            misfire_grace_time=MISFIRE_GRACE_SECONDS,
        )

    def _move(self, name: str, when: float) -> None:
        if self._timer.get_job(name) is None:
            return
        self._timer.modify_job(name, next_run_time=datetime.fromtimestamp(when, UTC))

    def _last(self, name: str) -> float | None:
        return activity.last_success(self._context.engine, name)
