"""Two models side by side: their common videos, and what each knows of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from models.exposure import View
from models.labels import Labels
from models.serving import ServedModel
from models.trained import TrainedModel

Against = Literal["local", "month"]


@dataclass(frozen=True)
class Pair:
    """A reference and the candidate over the videos that both cover.

    Attributes:
        against: what the reference is.
        own: it was learnt from own viewers alone.
        videos: (n,) positions of the common videos in today's catalogue, ascending.
        before, after: what the two models know of them.
    """

    against: Against
    own: bool
    videos: NDArray[np.int64]
    before: View
    after: View


def with_local(local: TrainedModel, candidate: TrainedModel) -> Pair:
    """Put the own model beside the candidate; both are of one catalogue."""
    places = local.items.astype(np.int64)
    before = View(local.counts.astype(np.float64), local.U, local.V)
    return _pair("local", places, before, candidate, own=True)


def with_month(month: ServedModel, candidate: TrainedModel, labels: Labels) -> Pair:
    """Put a stored model beside the candidate, by the addresses of the videos: catalogues change."""
    items, U, V = month.factors
    places = [labels.index(month.labels.url[int(video)]) for video in items]
    at = np.array([-1 if place is None else place for place in places], np.int64)
    known = np.flatnonzero(at >= 0)
    before = View(month.counts[known].astype(np.float64), U[known], V[known])
    own = month.manifest.get("provenance", {}).get("kind") == "local"
    return _pair("month", at[known], before, candidate, own=own)


def _pair(
    against: Against, places: NDArray[np.int64], before: View, candidate: TrainedModel, *, own: bool
) -> Pair:
    common, here, there = np.intersect1d(places, candidate.items.astype(np.int64), return_indices=True)
    return Pair(
        against,
        own,
        common,
        View(before.counts[here], before.U[here], before.V[here]),
        View(candidate.counts[there].astype(np.float64), candidate.U[there], candidate.V[there]),
    )
