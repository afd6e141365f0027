"""What is stored of a peer's learning: the sums and the models that its viewers are in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine, select

from daemon.config import Config
from daemon.store import model_records, sums
from daemon.store.engine import reads
from daemon.store.model_records import ModelRecord
from daemon.store.tables import Session
from models.artefact import MANIFEST, read_manifest
from models.errors import ModelError


@dataclass(frozen=True)
class AffectedArtifacts:
    """Sums by session, models by id, and folders below `models/` that no row names."""

    sums: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.sums or self.models or self.folders)


def holding(engine: Engine, config: Config, host: str) -> AffectedArtifacts:
    """Return everything that holds a host, in service or not, quarantined or not.

    A model that cannot be shown to be without the host, because nobody knows any more whom it was learnt
    from, counts as holding it.
    """
    records = model_records.models(engine)
    summed = survivors_by_session(engine)
    models = [
        record
        for record in records
        if (hosts := hosts_in(record, summed, config.models_dir)) is None or host in hosts
    ]
    known = {record.directory for record in records}
    folders = [
        path.name
        for path in _folders(config.models_dir)
        if path.name not in known and ((named := _named_in(path)) is None or host in named)
    ]
    return AffectedArtifacts(
        sums=tuple(part.session_id for part in sums.parts(engine) if host in part.survivors),
        models=tuple(record.id for record in models),
        folders=tuple(sorted(folders)),
    )


def survivors_by_session(engine: Engine) -> dict[str, tuple[str, ...]]:
    """Return who was summed in each session on record."""
    with reads(engine) as connection:
        rows = connection.execute(select(Session.id, Session.survivors)).all()
    return {session_id: tuple(survivors) for session_id, survivors in rows}


def hosts_in(
    record: ModelRecord, summed: Mapping[str, tuple[str, ...]], models_dir: Path
) -> frozenset[str] | None:
    """Return the other instances whose viewers are in a model; None where nobody knows any more.

    Its row, its session and its manifest must each name them; whoever one of the three names counts.
    """
    if record.kind == "local":
        return frozenset(_named_in(models_dir / record.directory) or ())
    found = {*record.survivors, *summed.get(record.session_id or "", ())}
    found |= _named_in(models_dir / record.directory) or frozenset()
    return frozenset(found) or None


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
