"""Writing a trained model down: its folder, its signed manifest, its row, its entry in the ledger."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from daemon.ledger import manifests
from daemon.ledger.chain import Kind, append, head
from daemon.process.job_context import JobContext
from daemon.store import model_records
from daemon.store.model_records import ERROR, MEASURE
from daemon.store.sums import StoredSum
from daemon.training.own_numbers import OwnNumbers, Quality
from federation.identity import Identity
from models import artefact, vector_file, vectors
from models.errors import TooLittleDataError
from models.labels import Labels
from models.released import Released
from models.trained import TrainedModel


class ModelWriter:
    """Keeps the models of one training."""

    def __init__(self, context: JobContext, labels: Labels, identity: Identity, own: OwnNumbers) -> None:
        self._context, self._labels, self._identity, self._own = context, labels, identity, own

    def keep(
        self,
        trained: TrainedModel,
        *,
        kind: model_records.Kind,
        stored: StoredSum | None = None,
        report: Mapping[str, Any] | None = None,
        state: model_records.State = "ready",
        quality: Quality | None = None,
    ) -> model_records.ModelRecord:
        """Store and record one model, not in service yet.

        `stored` is the sum that it was learnt from.
        """
        config, now = self._context.config, self._context.clock()
        created = datetime.fromtimestamp(now, UTC)
        name = f"{created:%Y%m%d-%H%M%S}-{kind}-{secrets.token_hex(3)}"
        directory = config.models_dir / name
        exact = self._own.exact is not None
        provenance: dict[str, Any] = {"host": config.instance.host, "kind": kind, "exact": exact}
        if stored is not None:
            provenance |= {
                "round": stored.round_id,
                "rounds": list(stored.rounds),
                "survivors": list(stored.sources),
                "passed_on_by": stored.passed_on_by,
                "privacy": asdict(stored.privacy),
            }
        artefact.save(trained, directory, labels=self._labels, provenance=provenance, created=created)
        manifests.sign(directory, self._identity, head(self._context.engine))
        digest = hashlib.sha256((directory / artefact.MANIFEST).read_bytes()).hexdigest()
        measured = (
            {} if quality is None else {MEASURE: round(quality.mean, 4), ERROR: round(quality.error, 4)}
        )
        record = model_records.ModelRecord(
            id=name,
            created=now,
            kind=kind,
            round_id=None if stored is None else stored.round_id,
            directory=name,
            manifest_sha256=digest,
            quality={"lambda": trained.ridge, **measured},
            state=state,
            survivors=[] if stored is None else list(stored.sources),
            report=dict(report or {}),
            drawn=self._own.drawn,
            exact=exact,
        )
        model_records.save(self._context.engine, record)
        details = {
            "kind": kind,
            "manifest": digest,
            "sums": [] if stored is None else list(stored.rounds),
            "survivors": record.survivors,
            "state": state,
            # The row goes when the model is superseded; how quality went stays.
            "quality": record.quality.get(MEASURE),
        }
        append(self._context.engine, self._identity, Kind.MODEL, name, details, now=now)
        return record

    def publish(self, model: model_records.ModelRecord, others: Released) -> str:
        """Put beside a model what browsers may rank from, made of the others' noisy sum alone.

        Returns why there is nothing, or an empty text.
        """
        created = datetime.fromtimestamp(model.created, UTC)
        try:
            made = vectors.build(others, self._labels.uuid, created=created)
        except TooLittleDataError as error:
            # The model is none the worse for it.
            return str(error)
        vector_file.save(made, self._context.config.models_dir / model.directory)
        return ""
