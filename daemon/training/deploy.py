"""Which model serves: the one place where a model goes into service, and where that is made safe.

Training takes minutes, and a peer may be taken out meanwhile. So whatever decides about peers or about the
model in service holds the same lock, and a model is looked at once more at the moment it would begin to
serve.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from filelock import FileLock, Timeout
from sqlalchemy import Engine

from daemon.config import Config
from daemon.errors import JobBusyError, JobError
from daemon.identity import open_identity
from daemon.ledger.chain import Kind, append
from daemon.peers import repository
from daemon.store import current_model, model_records, sums
from daemon.store.model_records import ModelRecord

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
        JobError: it is not known any more, or was learnt from somebody whose learning was taken out.

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
        if current_model.read(config.models_dir) != record.directory:
            current_model.write(config.models_dir, record.directory)
            identity = open_identity(config.identity_file, config.instance.host, create=False)
            details = {"kind": record.kind, "manifest": record.manifest_sha256, "survivors": record.survivors}
            append(engine, identity, Kind.SERVED, record.id, details, now=time.time())
        model_records.make_current(engine, record.id)
        return record
