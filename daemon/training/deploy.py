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
from daemon.store import current_model, model_records, sums, withdrawn
from daemon.store.model_records import ModelRecord
from daemon.training import exact_own

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


def put_into_service(
    engine: Engine, config: Config, model_id: str, *, trained_from: Sequence[str] = ()
) -> ModelRecord:
    """Let a model serve; `trained_from` are stored sums that must still be there.

    Raises:
        JobError: it is not known any more, was learnt from somebody whose learning was taken out, or from
            exact numbers that lists must not rest on now.

    """
    with turn(config):
        record = model_records.model(engine, model_id)
        if record is None or not (config.models_dir / record.directory).is_dir():
            raise JobError("this model is gone", advice="See: shoal models list")
        out = repository.read(engine, config).unusable(tuple(record.survivors))
        if out or not sums.exist(engine, trained_from):
            who = ", ".join(out) or "a peer"
            raise JobError(
                f"this model was learnt from {who}, whose learning was taken out; it does not serve",
                advice="What serves now stays. Run `shoal train` for a model without it.",
            )
        if holds_withdrawn(record, config):
            raise JobError(
                "somebody withdrew who is in this model; it does not serve",
                advice="Run `shoal train` for a model without them.",
            )
        if too_exact(engine, config, record):
            raise JobError(
                "this model was learnt from exact numbers of own viewers, and people whom you did not let in "
                "could see its lists; it does not serve",
                advice="Run `shoal train` for a model from noisy numbers.",
            )
        if current_model.read(config.models_dir) != record.directory:
            current_model.write(config.models_dir, record.directory)
            identity = open_identity(config.identity_file, config.instance.host, create=False)
            details = {"kind": record.kind, "manifest": record.manifest_sha256, "survivors": record.survivors}
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
