"""Which model serves: the one place where a model goes into service, and where that is made safe.

Training takes minutes, and a peer may be taken out meanwhile. So whatever decides about peers or about the
model in service holds the same lock, and a model is looked at once more at the moment it would begin to
serve.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from filelock import FileLock, Timeout
from sqlalchemy import Engine

from daemon.config import Config
from daemon.errors import JobBusyError, JobError
from daemon.identity import open_identity
from daemon.ledger.chain import Kind, append
from daemon.peers import repository
from daemon.store import activity, current_model, model_records, sums, withdrawn
from daemon.store.model_records import ModelRecord
from daemon.training import exact_own
from daemon.training.kept_models import hosts_in_model

LOCK_NAME = "service.lock"
PATIENCE = 10.0
"""Seconds; whoever holds the lock only writes a few rows and one small file."""


@contextmanager
def turn(config: Config) -> Iterator[None]:
    """Hold this while deciding what serves, or from whom may be learnt.

    Raises:
        JobBusyError: another process holds it for too long.

    """
    config.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = FileLock(config.data_dir / LOCK_NAME)
    try:
        lock.acquire(timeout=PATIENCE)
    except Timeout:
        raise JobBusyError(
            "another process is changing what serves", advice="Try again in a minute."
        ) from None
    try:
        yield
    finally:
        lock.release()


class MayServe:
    """Tells whether models may serve; peers and rounds are read once."""

    def __init__(self, engine: Engine, config: Config) -> None:
        self._engine, self._config = engine, config
        self._book = repository.read(engine, config)
        self._summed = activity.survivors_by_round(engine)

    def hosts(self, record: ModelRecord) -> frozenset[str] | None:
        """Return whose viewers are in a model beside our own; None where nobody knows any more."""
        return hosts_in_model(record, self._summed, self._config.models_dir)

    def refusal(self, record: ModelRecord, *, serving: bool = False) -> tuple[str, str] | None:
        """Return why a model must not serve, and what to do then; None where it may.

        One that is `serving` may go on with somebody in it who withdrew, until the next training is over.
        """
        hosts = self.hosts(record)
        if hosts is None:
            return (
                "nobody knows any more whom this model was learnt from; it does not serve",
                "What serves now stays. Run `shoal train` for a new model.",
            )
        if out := self._book.unusable(tuple(sorted(hosts))):
            return _taken_out(", ".join(out))
        if not serving and holds_withdrawn(record, self._config):
            return (
                "somebody withdrew who is in this model; it does not serve",
                "Run `shoal train` for a model without them.",
            )
        if too_exact(self._engine, self._config, record):
            return (
                (
                    "this model was learnt from exact numbers of own viewers, and people whom you did not "
                    "let in could see its lists; it does not serve"
                ),
                "Run `shoal train` for a model from noisy numbers.",
            )
        return None


def _taken_out(who: str) -> tuple[str, str]:
    return (
        f"this model was learnt from {who}, whose learning was taken out; it does not serve",
        "What serves now stays. Run `shoal train` for a model without it.",
    )


def put_into_service(
    engine: Engine, config: Config, model_id: str, *, trained_from: Sequence[str] = (), reason: str = ""
) -> ModelRecord:
    """Let a model serve; `trained_from` are stored sums that must still be there, `reason` is for the ledger.

    Raises:
        JobError: it is not known any more, was learnt from somebody whose learning was taken out, or from
            exact numbers that lists must not rest on now.

    """
    with turn(config):
        record = model_records.model(engine, model_id)
        if record is None or not (config.models_dir / record.directory).is_dir():
            raise JobError("this model is gone", advice="See: shoal models list")
        refused = MayServe(engine, config).refusal(record)
        if refused is None and not sums.exist(engine, trained_from):
            refused = _taken_out("a peer")
        if refused is not None:
            problem, advice = refused
            raise JobError(problem, advice=advice)
        if current_model.read(config.models_dir) != record.directory:
            current_model.write(config.models_dir, record.directory)
            identity = open_identity(config.identity_file, config.instance.host, create=False)
            details = {"kind": record.kind, "manifest": record.manifest_sha256, "survivors": record.survivors}
            details |= {"reason": reason} if reason else {}
            append(engine, identity, Kind.SERVED, record.id, details, now=time.time())
        model_records.make_current(engine, record.id)
        return record


def drop_withdrawn(engine: Engine, config: Config) -> list[str]:
    """Delete every model that somebody is in who withdrew, or that is too exact; the one in service as well.

    Returns their names. An older database or folder, put back, brings none of them back for longer than until
    this is called.
    """
    return _drop(engine, config, lambda one: holds_withdrawn(one, config) or too_exact(engine, config, one))


def drop_exact(engine: Engine, config: Config) -> list[str]:
    """Delete every model that is too exact to serve here, the one in service as well; returns their names."""
    return _drop(engine, config, lambda one: too_exact(engine, config, one))


def too_exact(engine: Engine, config: Config, record: ModelRecord) -> bool:
    """Tell whether a model was learnt from exact numbers of own viewers that its lists must not rest on."""
    return record.exact and not exact_own.allowed(engine, config)


def _drop(engine: Engine, config: Config, must_go: Callable[[ModelRecord], bool]) -> list[str]:
    with turn(config):
        gone = [record for record in model_records.models(engine) if must_go(record)]
        if current_model.read(config.models_dir) in {record.directory for record in gone}:
            current_model.clear(config.models_dir)
            model_records.make_current(engine, None)
        for record in gone:
            # The folder first: where this is interrupted, the row still says what has to go.
            shutil.rmtree(config.models_dir / record.directory, ignore_errors=True)
        model_records.forget(engine, [record.id for record in gone])
    return [record.id for record in gone]


def holds_withdrawn(record: ModelRecord, config: Config) -> bool:
    """Tell whether a model was learnt from a release that somebody may be in who withdrew since."""
    return bool(record.drawn) and record.drawn <= withdrawn.last(config.windows_dir, exact=record.exact)
