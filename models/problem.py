"""The Gram matrix that an instance trains on: the others' sum and its own release, each without its noise.

Items are the others' head and, after it, the videos that are in this instance's own release alone. Each of
the two matrices is estimated from its own numbers, by its own noise (`models.denoise`), and both are added up
where they overlap: what the noise of its own drowns is shrunk to next to nothing before it can drown
what the others know. Both are positive semi-definite, and so is the sum.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.denoise import denoise
from models.item_scores import Form
from models.released import Released
from models.trained import Recipe, TrainingData
from models.weights import UNIT

LARGE_COHORT: Final = 1_000.0
"""Viewers from which the smaller ridge and the sparse form are the better ones."""
RIDGE_LARGE, RIDGE_SMALL = 1.0, 3.0


LEAST_ALONE: Final = 75.0
"""Viewers from which an instance's own release says more than public counters and content do: NDCG@10 with it
and without it .144 and .163 at 60 viewers, .203 and .176 at 100 (ml-latest-small, default noise)."""
LEAST_TOGETHER: Final = 30.0
"""The same beside the sum of others: .31 and .34 at 20 viewers, .22 and .21 at 60."""


@dataclass(frozen=True)
class Items:
    """Which videos the matrix model covers; positions in the catalogue."""

    positions: NDArray[np.int64]
    """(m,) first the others' head, ascending, then what is in its own release alone, ascending."""
    head_size: int


@dataclass(frozen=True)
class GramProblem:
    """What the solvers need."""

    items: Items
    gram: NDArray[np.float64]
    """(m, m) symmetric positive semi-definite, in viewers."""
    counts: NDArray[np.float64]
    """(m,) viewers engaged with each item, as released; never negative."""
    count_deviation: NDArray[np.float64]
    """(m,) standard deviation of the noise of each count, in viewers."""
    pair_deviation: NDArray[np.float64]
    """(m,) the same of pairs: that of a pair is the lower one of its two items."""

    @property
    def unit(self) -> float:
        """Mean diagonal: the unit of lambda and alpha. 1 where nothing stands out of the noise."""
        return (float(np.diagonal(self.gram).mean()) if self.gram.size else 0.0) or 1.0


def default_ridge(data: TrainingData) -> float:
    """1 where at least 1,000 viewers are behind the model, else 3; by what is released of their number."""
    return RIDGE_LARGE if data.viewers >= LARGE_COHORT else RIDGE_SMALL


def worth_learning(own: Released | None, others: Released | None) -> Released | None:
    """Return an instance's own release where it has enough viewers to be more than noise, else None."""
    least = LEAST_ALONE if others is None else LEAST_TOGETHER
    exact = own is not None and not own.noise
    return own if exact or (own is not None and own.most >= least) else None


def default_form(data: TrainingData) -> Form:
    """Return the sparse form where at least 1,000 viewers are behind the model, else the factorized one.

    With few viewers rank 256 smooths out what is chance; with many it smooths out what is rare.
    """
    return "sparse" if data.viewers >= LARGE_COHORT else "factorized"


def choose_items(data: TrainingData, recipe: Recipe) -> Items:
    """Head of the others, then what its own release has beside it, at most `max_items` together.

    Of too many those with the highest counts stay, those of the others' head first.
    """
    head = np.zeros(0, np.int64)
    if data.others is not None:
        known = data.others.statistic
        head = known.head[np.sort(np.argsort(-known.counts, kind="stable")[: recipe.max_items])]
    if data.own is None:
        return Items(head, int(head.size))
    own = data.own.statistic
    alone = np.flatnonzero(~np.isin(own.head, head))
    room = max(0, recipe.max_items - head.size)
    kept = alone[np.argsort(-own.counts[alone], kind="stable")[:room]]
    return Items(np.concatenate((head, np.sort(own.head[kept]))), int(head.size))


def assemble(data: TrainingData, items: Items) -> GramProblem:
    """Add up what both releases say of the items."""
    size = items.positions.size
    place = np.full(data.features.videos, -1)
    place[items.positions] = np.arange(size)
    gram, counts = np.zeros((size, size)), np.zeros(size)
    count_variance, pair_variance = np.zeros(size), np.zeros(size)
    for released in (data.others, data.own):
        if released is not None:
            known = np.flatnonzero(place[released.statistic.head] >= 0)
            kept = released.statistic.of(known)
            rows = place[kept.head]
            _add(gram, rows, denoise(kept, released.noise))
            counts[rows] += kept.counts / UNIT
            count_variance[rows] += released.noise.counts
            pair_variance[rows] += released.noise.pairs
    return GramProblem(items, gram, np.maximum(counts, 0.0), np.sqrt(count_variance), np.sqrt(pair_variance))


def _add(gram: NDArray[np.float64], rows: NDArray[np.int64], found: NDArray[np.float64]) -> None:
    """Add a matrix to the given rows and columns, in place."""
    if np.array_equal(rows, np.arange(rows.size)):
        # Without a copy: the others' head can be 4,096 videos wide.
        gram[: rows.size, : rows.size] += found
    else:
        gram[np.ix_(rows, rows)] += found


def at_least(estimate: NDArray[np.float64], deviation: NDArray[np.float64]) -> NDArray[np.int32]:
    """Return how many viewers can be told of, given estimates and the standard deviation of their noise.

    Twice the deviation is taken off, and what is left is rounded down to a step that the noise supports: 1,
    2, 5, 10, 20 ... but not below the deviation. 0 where nothing can be told.
    """
    wanted = np.maximum(deviation, 1.0)
    power = 10.0 ** np.floor(np.log10(wanted))
    step = power * np.select(
        [wanted <= power, wanted <= 2 * power, wanted <= 5 * power], [1.0, 2.0, 5.0], 10.0
    )
    low: NDArray[np.float64] = np.floor(np.maximum(estimate - 2 * deviation, 0.0) / step) * step
    return low.astype(np.int32)
