"""What is stored of a peer's learning, and deleting it: sums and models that its viewers are in."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine, select

from daemon.config import Config
from daemon.group.published_sums import PublishedStore
from daemon.rounds import crash_points
from daemon.store import current_model, model_records, sums
from daemon.store.engine import reads, truncate_wal
from daemon.store.model_records import ModelRecord
from daemon.store.tables import Round, Sum
from models.artefact import MANIFEST, read_manifest
from models.errors import ModelError

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
    summed = survivors_by_round(engine)
    models = [
        record
        for record in records
        if (hosts := hosts_in_model(record, summed, config.models_dir)) is None or host in hosts
    ]
    known = {record.directory for record in records}
    folders = [
        path.name
        for path in _folders(config.models_dir)
        if path.name not in known and ((named := _named_in(path)) is None or host in named)
    ]
    return Artifacts(
        sums=tuple(one.round_id for one in sums.records(engine) if host in one.sources),
        models=tuple(record.id for record in models),
        folders=tuple(sorted(folders)),
    )


def survivors_by_round(engine: Engine) -> dict[str, tuple[str, ...]]:
    """Return who was summed in each round on record, and who passed its sum on to this instance."""
    with reads(engine) as connection:
        rows = connection.execute(select(Round.id, Round.survivors, Round.role, Round.aggregator)).all()
    return {
        round_id: (*survivors, *((aggregator,) if role == "newcomer" else ()))
        for round_id, survivors, role, aggregator in rows
    }


def hosts_in_model(
    record: ModelRecord, summed: Mapping[str, tuple[str, ...]], models_dir: Path
) -> frozenset[str] | None:
    """Return the other instances whose viewers are in a model; None where nobody knows any more.

    Its row, its round and its manifest must each name them; whoever one of the three names counts.
    """
    if record.kind == "local":
        return frozenset(_named_in(models_dir / record.directory) or ())
    found = {*record.survivors, *summed.get(record.round_id or "", ())}
    found |= _named_in(models_dir / record.directory) or frozenset()
    return frozenset(found) or None


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


def _named_in(directory: Path) -> frozenset[str] | None:
    """Return the hosts that a model's manifest names as its sources; None where it cannot be read."""
    if not (directory / MANIFEST).exists():
        return None
    try:
        manifest = read_manifest(directory)
    except ModelError:
        return None
    named = manifest.get("provenance", {}).get("survivors", [])
    return frozenset(str(host) for host in named)


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
