"""All checks in the order of the chain, of an instance whose daemon runs or does not."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from daemon.config import Config, PeerTubeSource
from daemon.disclosure import waiting
from daemon.doctor import cryptography, history, machine, serving, silent_lists, source
from daemon.doctor import database as databases
from daemon.doctor import peers as others
from daemon.doctor.check import Outcome, Report, Result, failure, sentence, unchecked
from daemon.doctor.peers import Network
from daemon.errors import ShoalError
from daemon.identity import open_identity
from daemon.peers import repository
from daemon.process.daemon_lock import Running
from daemon.process.limits import job_memory
from daemon.process.live import Live
from daemon.sentences import english
from daemon.source.plugin_probe import Probe
from daemon.store import activity, current_model, model_records
from daemon.store.engine import open_checked
from federation import self_test

MOST_ROUNDS = 50


@dataclass(frozen=True)
class Subject:
    """The instance that is examined, and how its surroundings are asked.

    Attributes:
        running: the daemon that holds the data directory, None for none; `live` what it tells of itself,
            None where it does not answer.
        probe: what PeerTube and the plugin say, None with a data set.
        free: bytes that can be written below a folder.
        clock: Unix seconds.
    """

    config: Config
    running: Running | None = None
    live: Live | None = None
    probe: Probe | None = None
    free: machine.Free = machine.free_bytes
    clock: Callable[[], float] = time.time


def quick(subject: Subject) -> Report:
    """Check what is checked in an instant: source, clock, machine, key file, database, daemon, ports."""
    stored = [databases.identity(subject.config), _database(subject)]
    return Report.of([*_source(subject), *_machine(subject), *stored, *_daemon(subject)])


async def full(subject: Subject, net: Network) -> Report:
    """Check everything, peers and every page of the database included."""
    database = _database(subject, thorough=True)
    found = [
        *_source(subject),
        cryptography.cryptography(self_test.failures),
        *_machine(subject),
        databases.identity(subject.config),
        database,
        *_daemon(subject),
    ]
    if database.outcome is not Outcome.OK:
        told = "Model, key, peers, rounds and jobs were not looked at: that needs the database."
        return Report.of([*found, unchecked("the rest", told, database.next_step)])
    engine = open_checked(subject.config.database)
    try:
        found += await _stored(subject, engine, net)
    finally:
        engine.dispose()
    return Report.of(found)


def _source(subject: Subject) -> Iterator[Result]:
    settings = subject.config.source
    if not isinstance(settings, PeerTubeSource):
        yield source.dataset(settings.path)
        return
    if subject.probe is not None:
        yield from source.peertube(subject.probe)
    yield machine.clock(subject.probe)


def _machine(subject: Subject) -> Iterator[Result]:
    config = subject.config
    current = current_model.read(config.models_dir)
    written = machine.will_be_written(config.database, config.models_dir / current if current else None)
    yield machine.disk(config.data_dir, written, subject.free)
    yield machine.memory(job_memory(config.limits.job_memory_mb), machine.available_memory())


def _database(subject: Subject, *, thorough: bool = False) -> Result:
    return databases.database(subject.config, thorough=thorough)


def _daemon(subject: Subject) -> Iterator[Result]:
    yield serving.process(subject.running, subject.live, subject.clock())
    yield from serving.ports(subject.config, subject.running)


async def _stored(subject: Subject, engine: Engine, net: Network) -> list[Result]:
    config, now = subject.config, subject.clock()

    async def model() -> Sequence[Result]:
        return [serving.model(subject.live, *_current(config.models_dir, engine), now)]

    async def card() -> Sequence[Result]:
        key = open_identity(config.identity_file, config.instance.host, create=False).public.key
        return await others.own_card(config, key, subject.running, net)

    async def peers() -> Sequence[Result]:
        return await others.peers(config, repository.read(engine, config).approved(), net)

    async def rounds() -> Sequence[Result]:
        found = activity.rounds(engine, limit=MOST_ROUNDS)
        return [history.last_round(config.mode, found, waiting.gather(config, engine, now), now)]

    async def jobs() -> Sequence[Result]:
        return list(history.jobs(activity.last_runs(engine), now))

    async def lists() -> Sequence[Result]:
        silence = silent_lists.find(engine, config, now)
        if silence is not None:
            return [failure("lists", english(silence.said), english(silence.advice))]
        return [serving.list_filled(subject.live, now)]

    checks = {"model": model, "key": card, "peers": peers, "rounds": rounds, "jobs": jobs, "lists": lists}
    return [result for name, check in checks.items() for result in await _guarded(name, check)]


async def _guarded(name: str, check: Callable[[], Awaitable[Sequence[Result]]]) -> Sequence[Result]:
    """Return what a check finds; what it raises is a finding, too, and the others go on."""
    try:
        return await check()
    except ShoalError as error:
        return [failure(name, sentence(error.message), error.advice or "See the daemon's log.")]
    except (OSError, SQLAlchemyError) as error:
        told = f"This could not be read ({type(error).__name__})."
        return [failure(name, told, "Check the disk, and that this user may read data_dir.")]


def _current(models_dir: Path, engine: Engine) -> tuple[str | None, float | None]:
    """Return the id of the model in service, and when it was trained."""
    name = current_model.read(models_dir)
    found = [model for model in model_records.models(engine) if model.directory == name]
    return name, found[0].created if found else None
