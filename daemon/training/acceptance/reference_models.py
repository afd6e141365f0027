"""The models that a new one is compared with, over the videos that both cover.

That is the instance's own model, which no peer had a hand in, and the one learnt with others that served a
month ago. An attack in small steps passes a comparison with yesterday's model each time; one with a month ago
adds them up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Engine

from daemon.config import Config
from daemon.peers.repository import KnownPeers
from daemon.store import model_records
from daemon.store.model_records import ModelRecord
from daemon.training.acceptance.report import Against
from models import artefact, exposure
from models.errors import ModelError
from models.exposure import View
from models.labels import Labels
from models.serving import ServedModel
from models.trained import TrainedModel

MONTH: Final = 30 * 86400.0


@dataclass(frozen=True)
class Pair:
    """A reference and the candidate over the videos that both cover.

    Attributes:
        against: what the reference is.
        own: it was learnt from own viewers alone.
        videos: (n,) positions of the common videos in today's catalogue, ascending.
        before, after: what the two models know of them.
        summed: (n,) whether all viewers of the cohort are counted now, not own ones alone.
        summed_before: (n,) likewise then; true throughout for a local model, which knows no others.
        weights: whether both were learnt with the same weight of the ridge.
    """

    against: Against
    own: bool
    videos: NDArray[np.int64]
    before: View
    after: View
    summed: NDArray[np.bool_]
    summed_before: NDArray[np.bool_]
    weights: bool

    def risen(self, sum_variance: float, own_variance: float) -> NDArray[np.bool_]:
        """Mark videos with viewers from nowhere, (n,), given the variances of the noise on a count."""
        before, after = self.before.counts, self.after.counts
        if self.own:
            # Our own release is in both, noise and all.
            after = np.maximum(after - before, 0.0)
            variances = own_variance, sum_variance
        else:
            variances = sum_variance + own_variance, sum_variance + own_variance
            if self.summed_before.any():
                # What was no part of the head then may have had as many viewers as what just was.
                least = float(before[self.summed_before].min())
                before = np.where(self.summed_before, before, np.maximum(before, least))
        counted = self.summed & self.summed_before
        marked = exposure.risen(before, after, variances, own=self.own, counted=counted)
        return marked & self.summed


def month_old_record(records: Sequence[ModelRecord], book: KnownPeers, *, now: float) -> ModelRecord | None:
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
    old_enough = next((record for record in usable if record.created <= now - MONTH), None)
    return old_enough or (usable[-1] if usable else None)


def month_old_model(engine: Engine, config: Config, book: KnownPeers, *, now: float) -> ServedModel | None:
    """Return that model, None where there is none or its files are damaged."""
    record = month_old_record(model_records.models(engine), book, now=now)
    if record is None:
        return None
    try:
        return artefact.load(config.models_dir / record.directory)
    except (ModelError, OSError):
        return None


def with_local(local: TrainedModel, candidate: TrainedModel) -> Pair:
    """Put this instance's own model beside the candidate; both are of one catalogue."""
    places = local.items.astype(np.int64)
    # Of the others the noise says how many viewers they have.
    standing = np.flatnonzero(local.audience > 0)
    places = places[standing]
    before = View(local.counts.astype(np.float64), local.scoring).among(standing)
    everywhere = np.ones(len(places), np.bool_)
    return _pair("local", places, before, everywhere, local.ridge, candidate, own=True)


def with_month(month: ServedModel, candidate: TrainedModel, labels: Labels) -> Pair:
    """Put a stored model beside the candidate, by the addresses of the videos: catalogues change."""
    items = month.items
    places = [labels.index(month.labels.url[int(video)]) for video in items]
    at = np.array([-1 if place is None else place for place in places], np.int64)
    known = np.flatnonzero(at >= 0)
    before = View(month.counts.astype(np.float64), month.scoring).among(known)
    manifest = month.manifest
    own = manifest.get("provenance", {}).get("kind") == "local"
    summed = known < (len(items) if own else manifest["scalars"]["head_size"])
    return _pair("month", at[known], before, summed, manifest.get("ridge"), candidate, own=own)


def _pair(
    against: Against,
    places: NDArray[np.int64],
    before: View,
    summed_before: NDArray[np.bool_],
    ridge: float | None,
    candidate: TrainedModel,
    *,
    own: bool,
) -> Pair:
    common, here, there = np.intersect1d(places, candidate.items.astype(np.int64), return_indices=True)
    return Pair(
        against,
        own,
        common,
        before.among(here),
        View(candidate.counts.astype(np.float64), candidate.scoring).among(there),
        there < candidate.head_size,
        summed_before[here],
        ridge == candidate.ridge,
    )
