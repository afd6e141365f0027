"""What a new model is compared with besides the own local one: the model that served a month ago.

An attack in small steps passes a comparison with yesterday's model each time. One with a month ago adds the
steps up.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Engine

from daemon.config import Config
from daemon.peers.book import Book
from daemon.store import model_records
from daemon.store.model_records import ModelRecord
from models import artefact
from models.errors import ModelError
from models.serving import ServedModel

MONTH: Final = 30 * 86400.0


def reference(records: Sequence[ModelRecord], book: Book, *, now: float) -> ModelRecord | None:
    """Return the newest model that could have served a month ago; of the records, newest first.

    None whose learning was taken out may be in it: the reference must not carry on what was undone.
    """
    for record in records:
        ready = record.state in ("ready", "current") and record.created <= now - MONTH
        if ready and not book.unusable(tuple(record.survivors)):
            return record
    return None


def month_old(engine: Engine, config: Config, book: Book, *, now: float) -> ServedModel | None:
    """Return that model, None where there is none or its files are damaged."""
    record = reference(model_records.models(engine), book, now=now)
    if record is None:
        return None
    try:
        return artefact.load(config.models_dir / record.directory)
    except (ModelError, OSError):
        return None
