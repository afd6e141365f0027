"""What is stored of a peer's learning, and deleting it: sums and models that its viewers are in."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine, select

from daemon.config import Config
from daemon.group.published_sums import PublishedStore
from daemon.rounds import crash_points
from daemon.store import activity, current_model, model_records, sums
from daemon.store.engine import reads, truncate_wal
from daemon.store.tables import Sum
from daemon.training.kept_models import hosts_in_model, named_in

_LOG_PATIENCE = 2.0
"""Seconds that are waited for readers, before the log of the database is left as it is."""


@dataclass(frozen=True)
class Artifacts:
    """Sums by round, models by id, and folders below `models/` that no row names."""

    sums: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.sums or self.models or self.folders)


def artifacts_of(engine: Engine, config: Config, host: str) -> Artifacts:
    """Return everything that holds a host, in service or not, quarantined or not.

    A model that cannot be shown to be without the host, because nobody knows any more whom it was learnt
    from, counts as holding it.
    """
    records = model_records.models(engine)
    summed = activity.survivors_by_round(engine)
    models = [
        record
        for record in records
        if (hosts := hosts_in_model(record, summed, config.models_dir)) is None or host in hosts
    ]
    known = {record.directory for record in records}
    folders = [
        path.name
        for path in _folders(config.models_dir)
        if path.name not in known and ((named := named_in(path)) is None or host in named)
    ]
    return Artifacts(
        sums=tuple(one.round_id for one in sums.records(engine) if host in one.sources),
        models=tuple(record.id for record in models),
        folders=tuple(sorted(folders)),
    )


@dataclass(frozen=True)
class Deleted:
    """What was deleted: sums by round, models by id with the SHA-256 of their manifests."""

    sums: tuple[str, ...]
    models: dict[str, str]


def delete(engine: Engine, config: Config, held: Artifacts) -> Deleted:
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
    return Deleted(tuple(held.sums), {name: hashes[name] for name in held.models})


def _folders(models_dir: Path) -> list[Path]:
    return [path for path in models_dir.iterdir() if path.is_dir()] if models_dir.is_dir() else []


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
