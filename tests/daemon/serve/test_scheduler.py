"""When jobs run by themselves, by a clock that is set; and a daemon left to itself that becomes ready."""

from __future__ import annotations

import asyncio
import logging
import math
import random
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.config import Config, load
from daemon.process.job_context import JobOutcome, Progress
from daemon.serve.context import ServeContext
from daemon.serve.runner import Runner
from daemon.serve.scheduler import (
    AFTER_A_FAILED_ROUND,
    AFTER_A_FAILED_SYNC,
    Rule,
    Scheduler,
    brings_sync_forward,
    first_run,
    rules,
)
from daemon.serve.server import build_context
from daemon.store import activity
from daemon.store.activity import JobRecord, save_job
from daemon.store.engine import open_checked
from daemon.store.migrate import migrate
from tests.daemon import fake_peertube
from tests.daemon.running_daemon import daemon, instance, until
from tests.daemon.small_dataset import write_set

pytestmark = pytest.mark.daemon

NOW = 4_000_000_000.0
"""Far ahead, so that nothing that is planned is due by the clock of the machine."""
HOUR, DAY = 3600.0, 86400.0


@dataclass
class Jobs:
    """Takes the place of jobs: notes each as it begins, and answers as it was told, when it may."""

    began: list[str] = field(default_factory=list)
    outcomes: dict[str, JobOutcome] = field(default_factory=dict)
    held: dict[str, asyncio.Event] = field(default_factory=dict)
    limits: dict[str, float] = field(default_factory=dict)
    ended: list[str] = field(default_factory=list)

    async def __call__(
        self,
        name: str,
        config_file: Path,
        *,
        time_limit: float,
        on_progress: Progress | None = None,
        arguments: Mapping[str, str] | None = None,
    ) -> JobOutcome:
        self.began.append(name)
        self.limits[name] = time_limit
        try:
            if name in self.held:
                await self.held[name].wait()
        finally:
            self.ended.append(name)
        return self.outcomes.get(name, JobOutcome(name, ok=True, exit_code=0, seconds=2.0))


@dataclass
class World:
    """A serving process without listeners, at a time that a test sets."""

    context: ServeContext
    jobs: Jobs
    runner: Runner
    schedulers: list[Scheduler] = field(default_factory=list)

    def started(self, *, due: Callable[[float], float] = lambda now: now) -> Scheduler:
        """Start a scheduler by the settings; `due` tells when a round may be."""
        found = rules(self.context.config)
        scheduler = Scheduler(self.context, self.runner, found, round_due=due, rng=random.Random(1))
        scheduler.start()
        self.schedulers.append(scheduler)
        return scheduler

    def succeeded(self, name: str, ago: float) -> None:
        """Write down that a job ended well some seconds ago."""
        at = NOW - ago
        save_job(self.context.engine, JobRecord(name, at - 1, at, "done", "", {}))


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    config = fake_peertube.configure(tmp_path, "http://127.0.0.1:9")
    config.write_text('mode = "consume"\n' + config.read_text())
    migrate(tmp_path / "shoal.db")
    context = build_context(load(config), config)
    schedule = context.config.schedule.model_copy(update={"enabled": True})
    context.config = context.config.model_copy(update={"schedule": schedule})
    context.clock = lambda: NOW
    jobs = Jobs()
    made = World(context, jobs, Runner(context, jobs))
    yield made
    for scheduler in made.schedulers:
        scheduler.stop()
    await made.runner.close()
    context.stored.close()
    context.engine.dispose()


def with_schedule(config: Config, **settings: Any) -> Config:
    return config.model_copy(update={"schedule": config.schedule.model_copy(update=settings)})


def test_the_settings_say_which_jobs_there_are(world: World, tmp_path: Path) -> None:
    config = world.context.config

    def names(config: Config) -> list[str]:
        return [rule.job for rule in rules(config)]

    assert names(config) == ["sync", "prune", "consent", "round", "peers"]
    assert names(config.model_copy(update={"mode": "off"})) == ["sync", "prune", "consent"]
    assert names(with_schedule(config, enabled=False)) == []
    of_a_data_set = load(instance(tmp_path / "other"))
    assert names(with_schedule(of_a_data_set, enabled=True)) == ["sync", "prune"]


@given(
    last=st.none() | st.floats(NOW - 100 * DAY, NOW),
    every=st.floats(1.0, 30 * DAY),
    spread=st.floats(0.0, DAY),
    share=st.floats(0.0, 1.0),
)
def test_a_first_run_is_one_interval_after_the_last_success(
    last: float | None, every: float, spread: float, share: float
) -> None:
    def first(rule: Rule) -> float:
        return first_run(rule, last, NOW, spread, share)

    rule = Rule("sync", timedelta(seconds=every))
    if last is None:
        assert first(rule) == NOW + 1
        assert first(Rule("round", rule.every, first="later")) == NOW + 1 + spread
    else:
        due = last + rule.every.total_seconds()
        assert first(rule) == max(due, NOW + 1) + share * spread
    # Whatever there was: its members wait.
    assert first(Rule("round", rule.every, first="each start")) == NOW + 1


async def test_a_new_instance_reads_and_trains_before_it_asks_others(world: World) -> None:
    planned = world.started().upcoming()
    assert planned == {
        "sync": NOW + 1,
        "prune": NOW + 1,
        "consent": NOW + 1,
        "round": NOW + 1,
        "peers": NOW + 1,
    }
    assert dict(world.context.upcoming()) == planned


async def test_a_restart_neither_repeats_nor_skips_work(world: World) -> None:
    settings = world.context.config.schedule
    every, jitter = settings.sync.total_seconds(), settings.jitter
    world.succeeded("sync", ago=60.0)
    world.succeeded("prune", ago=100 * DAY)
    world.succeeded("round", ago=60.0)
    planned = world.started().upcoming()
    assert NOW - 60 + every <= planned["sync"] <= NOW - 60 + every * (1 + jitter)
    assert NOW + 1 <= planned["prune"] <= NOW + 1 + settings.prune.total_seconds() * jitter
    # A round starts when nothing is in its way any more, and one that was interrupted goes on at once.
    assert planned["round"] == NOW + 1
    assert world.started(due=lambda _now: NOW + DAY).upcoming()["round"] == NOW + DAY
    assert "round" not in world.started(due=lambda _now: math.inf).upcoming()


@pytest.mark.parametrize(
    ("outcome", "after"),
    [
        (JobOutcome("sync", ok=False, exit_code=5, code="source"), AFTER_A_FAILED_SYNC),
        (JobOutcome("sync", ok=False, exit_code=1, code="timeout"), 6 * HOUR),
        (JobOutcome("sync", ok=True, exit_code=0), 6 * HOUR),
    ],
)
async def test_a_sync_that_found_no_peertube_is_tried_again_soon(
    world: World, outcome: JobOutcome, after: float
) -> None:
    world.succeeded("sync", ago=0)
    scheduler = world.started()
    world.jobs.outcomes["sync"] = outcome
    await scheduler.run("sync")
    jitter = world.context.config.schedule.jitter * 6 * HOUR if after > HOUR else 0
    assert NOW + after <= scheduler.upcoming()["sync"] <= NOW + after + jitter


async def test_a_training_follows_what_brings_something_to_learn(world: World) -> None:
    scheduler = world.started()
    for name in ("sync", "round", "prune", "peers", "consent"):
        await scheduler.run(name)
    assert world.jobs.began == ["sync", "train", "round", "train", "prune", "peers", "consent"]
    world.jobs.began.clear()
    world.jobs.outcomes["sync"] = JobOutcome("sync", ok=False, exit_code=5, code="source")
    await scheduler.run("sync")
    world.context.config = with_schedule(world.context.config, train_after_sync=False)
    world.jobs.outcomes.clear()
    await world.started().run("sync")
    assert world.jobs.began == ["sync", "sync"]


async def test_jobs_take_turns_but_for_those_that_must_not_wait(world: World) -> None:
    scheduler, jobs = world.started(), world.jobs
    jobs.held["prune"] = asyncio.Event()
    running = [asyncio.create_task(scheduler.run(name)) for name in ("prune", "sync", "consent", "peers")]
    await asyncio.gather(*running[2:])
    assert jobs.began == ["prune", "consent", "peers"]
    jobs.held["prune"].set()
    await asyncio.gather(*running)
    assert jobs.began[3:] == ["sync", "train"]
    assert jobs.limits["consent"] == jobs.limits["peers"] == 600.0
    assert jobs.limits["sync"] == world.context.config.limits.job_time.total_seconds()


async def test_peers_are_not_asked_twice_in_a_window_nor_while_a_group_asks(world: World) -> None:
    scheduler = world.started(due=lambda now: now + HOUR)
    await scheduler.run("round")
    assert scheduler.upcoming()["round"] == NOW + HOUR
    scheduler = world.started(due=lambda _now: math.inf)
    await scheduler.run("round")
    assert "round" not in scheduler.upcoming()
    assert world.jobs.began == []


async def test_a_round_that_failed_is_not_tried_again_every_minute(world: World) -> None:
    scheduler = world.started()
    world.jobs.outcomes["round"] = JobOutcome("round", ok=False, exit_code=5, code="job-failed")
    await scheduler.run("round")
    await scheduler.run("round")
    assert world.jobs.began == ["round"]
    assert scheduler.upcoming()["round"] == NOW + AFTER_A_FAILED_ROUND


async def test_a_failed_round_comes_again_when_its_window_says(world: World) -> None:
    world.jobs.outcomes["round"] = JobOutcome("round", ok=False, exit_code=5, code="job-failed")

    def due(now: float) -> float:
        return NOW + 60 if world.jobs.began else now

    scheduler = world.started(due=due)
    await scheduler.run("round")
    assert world.jobs.began == ["round"]
    assert scheduler.upcoming()["round"] == NOW + 60


async def test_many_viewers_who_are_gone_bring_the_next_sync_forward(world: World) -> None:
    world.succeeded("sync", ago=2 * HOUR)
    scheduler = world.started()
    planned = scheduler.upcoming()["sync"]
    for removed, expected in ((2, planned), (3, NOW)):
        outcome = JobOutcome("consent", ok=True, exit_code=0, result={"removed": removed, "viewers": 20})
        world.jobs.outcomes["consent"] = outcome
        await scheduler.run("consent")
        assert scheduler.upcoming()["sync"] == expected
    gone = {"removed": 3, "viewers": 20}
    assert brings_sync_forward(gone, None, NOW)
    assert not brings_sync_forward(gone, NOW - HOUR + 1, NOW)
    assert not brings_sync_forward({}, None, NOW)


@contextmanager
def logged(caplog: pytest.LogCaptureFixture) -> Iterator[list[dict[str, Any]]]:
    caplog.set_level(logging.INFO, logger="daemon.serve.runner")
    found: list[dict[str, Any]] = []
    yield found
    found += [vars(record) for record in caplog.records]


async def test_how_a_job_ended_is_logged_and_counted(world: World, caplog: pytest.LogCaptureFixture) -> None:
    failed = JobOutcome("sync", ok=False, exit_code=3, code="source", message="no file", advice="Look.")
    world.jobs.outcomes["sync"] = failed
    with logged(caplog) as lines:
        await world.runner.job("sync")
        await world.runner.job("prune")
    assert [(line["msg"], line["job"]) for line in lines] == [("job failed", "sync"), ("job done", "prune")]
    assert [lines[0][name] for name in ("code", "problem", "advice")] == ["source", "no file", "Look."]
    metrics = world.context.metrics.render(private=True).decode()
    assert 'shoal_jobs_total{code="source",name="sync"} 1.0' in metrics
    assert 'shoal_jobs_total{code="ok",name="prune"} 1.0' in metrics
    assert 'shoal_job_seconds{name="prune"} 2.0' in metrics
    assert 'shoal_job_seconds{name="sync"}' not in metrics


async def test_one_of_a_name_runs_at_a_time_and_closing_ends_all(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    jobs, runner = world.jobs, world.runner
    jobs.held["sync"] = asyncio.Event()

    async def sync() -> None:
        await runner.job("sync")

    async def breaks() -> None:
        raise OSError

    runner.begin("sync", sync)
    runner.begin("sync", sync)
    runner.begin("broken", breaks)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert jobs.began == ["sync"]
    assert runner.running("sync")
    assert not runner.running("broken")
    assert [vars(record)["task"] for record in caplog.records] == ["broken"]
    # Cancelled before it came to do anything.
    runner.begin("late", sync)
    await runner.close()
    assert jobs.ended == ["sync"]
    assert not runner.running("sync")
    assert not runner.running("late")


def test_a_new_daemon_becomes_ready_by_itself(tmp_path: Path) -> None:
    write_set(tmp_path / "dataset")
    config = instance(tmp_path)
    config.write_text(config.read_text().replace("[schedule]\nenabled = false\n", ""))
    with daemon(config) as running:
        until(lambda: running.call("/health/ready")[0] == 200, 90)
        _, status = running.call("/v1/status", admin=True)
        assert status["model"]["videos"] == 40
        assert {"sync", "prune"} == set(status["next"])
        assert min(status["next"].values()) > 0
        until(
            lambda: 'shoal_jobs_total{code="ok",name="train"} 1.0' in running.call("/metrics", admin=True)[1]
        )
        assert running.forbidden() == []
    names = {job.name for job in activity.jobs(open_checked(tmp_path / "shoal.db"))}
    assert names == {"sync", "train", "prune"}
