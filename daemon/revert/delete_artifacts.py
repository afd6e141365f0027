"""Deleting what holds a peer: rows and files, whatever its state. Whoever calls this holds the job lock."""

from __future__ import annotations

import shutil
from dataclasses import dataclass

from sqlalchemy import Engine, select

from daemon.config import Config
from daemon.group.published_store import PublishedStore
from daemon.revert.affected_artifacts import AffectedArtifacts
from daemon.rounds import crash_points
from daemon.store import current_model, model_records, sums
from daemon.store.engine import reads, truncate_wal
from daemon.store.tables import Sum

_LOG_PATIENCE = 2.0


@dataclass(frozen=True)
class Removed:
    """What was deleted: sums by session, models by id with the SHA-256 of their manifests."""

    sums: tuple[str, ...]
    models: dict[str, str]


def remove(engine: Engine, config: Config, held: AffectedArtifacts) -> Removed:
    """Delete sums and models, with the vectors for browsers beside them; rows first, then files.

    A model's folder may still be mapped by the serving process: it keeps what it has open for the second
    until it looks at the pointer again.
    """
    hashes = {record.id: record.manifest_sha256 for record in model_records.models(engine)}
    folders = {r.directory for r in model_records.models(engine) if r.id in held.models}
    current = current_model.read(config.models_dir)
    if current in folders or current in held.folders:
        raise ValueError("the model in service is taken out of service before it is deleted")
    sums.drop(engine, config.sums_dir, held.sums)
    if held.sums and config.group_dir.is_dir():
        # What a group's host published holds everybody; whoever is still to learn of it gets the next one.
        PublishedStore(config).clear()
    crash_points.pass_point("revert.sums-deleted")
    model_records.forget(engine, list(held.models))
    crash_points.pass_point("revert.models-forgotten")
    for name in sorted(folders | set(held.folders)):
        if (config.models_dir / name).is_dir():
            shutil.rmtree(config.models_dir / name)
    _sweep(engine, config, current)
    truncate_wal(engine, patience=_LOG_PATIENCE)
    return Removed(tuple(held.sums), {name: hashes[name] for name in held.models})


def _sweep(engine: Engine, config: Config, current: str | None) -> None:
    """Delete files that no row names: what a job that died left behind may hold the peer as well."""
    known = {record.directory for record in model_records.models(engine)} | {current}
    for path in config.models_dir.iterdir() if config.models_dir.is_dir() else ():
        if path.is_dir() and path.name not in known:
            shutil.rmtree(path)
    with reads(engine) as connection:
        files = set(connection.execute(select(Sum.triangle_file)).scalars())
    for path in config.sums_dir.iterdir() if config.sums_dir.is_dir() else ():
        if path.name not in files:
            path.unlink()
