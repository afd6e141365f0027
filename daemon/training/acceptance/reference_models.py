"""What a new model is compared with besides the own local one: the model that served a month ago.

An attack in small steps passes a comparison with yesterday's model each time. One with a month ago adds the
steps up.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Engine

from daemon.config import Config
from daemon.peers.repository import KnownPeers
from daemon.store import model_records
from daemon.store.model_records import ModelRecord
from models import artefact
from models.errors import ModelError
from models.serving import ServedModel

MONTH: Final = 30 * 86400.0


def reference(records: Sequence[ModelRecord], book: KnownPeers, *, now: float) -> ModelRecord | None:
    """Return the newest model learnt with others that could have served a month ago, of records newest first.

    In the first month it is the oldest there is. Nobody whose learning was taken out may be in it: the
    reference must not carry on what was undone.
    """
    usable = [
        record
        for record in records
        if record.kind == "federated"
        and record.state in ("ready", "current")
        and not book.unusable(tuple(record.survivors))
    ]
    month_old = next((record for record in usable if record.created <= now - MONTH), None)
    return month_old or (usable[-1] if usable else None)


def month_old(engine: Engine, config: Config, book: KnownPeers, *, now: float) -> ServedModel | None:
    """Return that model, None where there is none or its files are damaged."""
    record = reference(model_records.models(engine), book, now=now)
    if record is None:
        return None
    try:
        return artefact.load(config.models_dir / record.directory)
    except (ModelError, OSError):
        return None
