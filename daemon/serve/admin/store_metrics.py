"""Numbers for Prometheus that are read when they are asked for: from the store, the disk, the process."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, get_args

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import func, select

from daemon.peers import repository
from daemon.serve.context import ServeContext
from daemon.status import notices
from daemon.store.engine import reads
from daemon.store.tables import JobRun, Round

_FAMILIES: Final[Mapping[str, tuple[str, Sequence[str]]]] = {
    "shoal_notices": ("Things that wait for a decision of the admin.", ["kind"]),
    "shoal_peers": ("Known instances, by the admin's decision.", ["state"]),
    "shoal_rounds": (
        "Rounds on record (schedule.keep_rounds), by what this instance was in them.",
        ["role", "outcome"],
    ),
    "shoal_round_ended_timestamp_seconds": ("When the latest round ended, Unix time.", ["role", "outcome"]),
    "shoal_job_ended_timestamp_seconds": (
        "When a job last ended so, Unix time; kept across restarts.",
        ["name", "outcome"],
    ),
    "shoal_jobs_running": ("Jobs that run now.", ()),
    "shoal_list_filled_timestamp_seconds": (
        "When a list was last answered with videos, Unix time; missing if none was since the start.",
        (),
    ),
    "shoal_disk_free_bytes": ("Bytes that can still be written where data_dir is.", ()),
    "shoal_database_bytes": ("Size of shoal.db.", ()),
}
"""Name, help and labels of each. No label is called job or instance: Prometheus gives these itself."""


class StoreMetrics(Collector):
    """What only the admin may read. Labels are kinds, states and names of jobs, never hosts."""

    def __init__(self, context: ServeContext) -> None:
        self._context = context

    def describe(self) -> Iterable[Metric]:
        """Return the names alone: registering must not read anything."""
        return [GaugeMetricFamily(name, text, labels=labels) for name, (text, labels) in _FAMILIES.items()]

    def collect(self) -> Iterable[Metric]:
        """Return everything as it is now."""
        found = {
            name: GaugeMetricFamily(name, text, labels=labels) for name, (text, labels) in _FAMILIES.items()
        }
        for name, labels, value in self._samples():
            found[name].add_metric(labels, value)
        return found.values()

    def _samples(self) -> Iterator[tuple[str, Sequence[str], float]]:
        context = self._context
        config, engine = context.config, context.engine
        kinds = Counter(one.kind for one in notices.current(engine, config, context.clock()))
        for kind in notices.KINDS:
            yield "shoal_notices", [kind], kinds[kind]
        states = Counter(peer.state for peer in repository.read(engine, config).peers.values())
        for state in get_args(repository.State):
            yield "shoal_peers", [state], states[state]
        rounds = select(Round.role, Round.outcome, func.count(), func.max(Round.ended))
        jobs = select(JobRun.name, JobRun.outcome, func.max(JobRun.ended))
        with reads(engine) as connection:
            by_role = connection.execute(rounds.group_by(Round.role, Round.outcome)).all()
            by_job = connection.execute(jobs.group_by(JobRun.name, JobRun.outcome)).all()
        for role, outcome, number, ended in by_role:
            yield "shoal_rounds", [role, outcome], number
            if ended is not None:
                yield "shoal_round_ended_timestamp_seconds", [role, outcome], ended
        for job, outcome, ended in by_job:
            yield "shoal_job_ended_timestamp_seconds", [job, outcome], ended
        live = context.live()
        yield "shoal_jobs_running", [], len(live.running)
        if live.list_filled is not None:
            yield "shoal_list_filled_timestamp_seconds", [], live.list_filled
        yield "shoal_disk_free_bytes", [], shutil.disk_usage(config.data_dir).free
        yield "shoal_database_bytes", [], config.database.stat().st_size
