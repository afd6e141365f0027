"""What is known of a model that is kept: whom it was learnt from, and whether its files are whole."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

from daemon.config import Config
from daemon.store.model_records import ModelRecord
from models import artefact
from models.artefact import MANIFEST, read_manifest
from models.errors import ModelError

log = logging.getLogger(__name__)


def hosts_in_model(
    record: ModelRecord, summed: Mapping[str, tuple[str, ...]], models_dir: Path
) -> frozenset[str] | None:
    """Return the other instances whose viewers are in a model; None where nobody knows any more.

    Its row, its round and its manifest must each name them; whoever one of the three names counts.
    """
    if record.kind == "local":
        return frozenset(named_in(models_dir / record.directory) or ())
    found = {*record.survivors, *summed.get(record.round_id or "", ())}
    found |= named_in(models_dir / record.directory) or frozenset()
    return frozenset(found) or None


def named_in(directory: Path) -> frozenset[str] | None:
    """Return the hosts that a model's manifest names as its sources; None where it cannot be read."""
    if not (directory / MANIFEST).exists():
        return None
    try:
        manifest = read_manifest(directory)
    except ModelError:
        return None
    named = manifest.get("provenance", {}).get("survivors", [])
    return frozenset(str(host) for host in named)


def loads(config: Config, record: ModelRecord) -> bool:
    """Tell whether a model's files are there and whole: the serving process would refuse others."""
    try:
        artefact.load(config.models_dir / record.directory)
    except (ModelError, OSError):
        log.warning("a model is damaged and cannot serve: %s", record.id)
        return False
    return True
