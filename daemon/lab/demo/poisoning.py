"""How a hostile member makes its contribution: fake viewers that push five videos, and multiplied numbers.

The targets are unpopular videos of the head: what is hardly watched has to be pushed, and what is not in the
head cannot be. Every fake viewer has one target and a few of the most watched videos, so that these lead to
it. Fewer fillers push harder per viewer, more look more like people (notes on both: B. Mobasher et al.,
"Toward trustworthy recommender systems", ACM TOIT 7(4), 2007).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from models.interactions import Interactions
from models.statistics import Statistic

TARGETS = 5
POPULAR = 50
FILLERS = (3, 10)
SCALE = 20
_UNPOPULAR = 0.25


@dataclass(frozen=True)
class Push:
    """Fake viewers and what they push: `targets` (5,) catalogue positions, ascending."""

    targets: NDArray[np.int64]
    fakes: Interactions


def targets(
    counts: NDArray[np.int64], head: NDArray[np.int64], rng: np.random.Generator
) -> NDArray[np.int64]:
    """Draw five of the least watched quarter of the head, (5,) catalogue positions, ascending.

    `counts` are viewers per video of the catalogue. Raises ValueError for a head of fewer than 20 videos.
    """
    if head.size < TARGETS / _UNPOPULAR:
        raise ValueError("a head of at least 20 videos is needed")
    order = head[np.argsort(counts[head], kind="stable")]
    few = order[: int(len(order) * _UNPOPULAR)]
    return np.sort(rng.choice(few, TARGETS, replace=False)).astype(np.int64)


def push(
    pushed: NDArray[np.int64],
    counts: NDArray[np.int64],
    users: int,
    fillers: int,
    rng: np.random.Generator,
) -> Push:
    """Make that many fake viewers, each with one target in turn and some of the fifty most watched videos."""
    order = np.argsort(-counts, kind="stable")
    popular = order[~np.isin(order, pushed)][:POPULAR]
    chosen = np.stack([rng.choice(popular, fillers, replace=False) for _ in range(users)])
    columns = np.sort(np.column_stack((pushed[np.arange(users) % len(pushed)], chosen)), axis=1)
    ones = np.ones(columns.size, np.uint8)
    starts = np.arange(users + 1) * columns.shape[1]
    return Push(pushed, Interactions(csr_array((ones, columns.ravel(), starts), shape=(users, counts.size))))


def scaled(own: Statistic, factor: int = SCALE) -> Statistic:
    """Multiply a contribution: no rule on single viewers notices, since it is never seen alone."""
    return replace(own, counts=own.counts * factor, triangle=own.triangle * factor)
