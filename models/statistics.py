"""The additive statistic: viewers engaged per video, and with both videos per pair of the head.

Everything is int64, in entries of one 32nd of a viewer (`models.weights.UNIT`). Nothing here knows viewers:
`models.counting` makes these numbers of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.errors import SumError
from models.noise import NO_NOISE, SumNoise, slack
from models.weights import UNIT


@dataclass(frozen=True)
class Statistic:
    """What a release holds, in entries. Raises ValueError when the lengths disagree."""

    head: NDArray[np.int64]
    """(h,) positions in the catalogue, ascending."""
    counts: NDArray[np.int64]
    """(h,) entries for each head video: the diagonal of the Gram matrix."""
    triangle: NDArray[np.int64]
    """(h(h-1)/2,) entries for both videos of a pair: the strict upper triangle, row-major."""

    def __post_init__(self) -> None:
        """Check the lengths against the head."""
        if self.counts.shape != self.head.shape or self.triangle.shape != (pairs(self.head.size),):
            raise ValueError("counts and triangle must have h and h(h-1)/2 entries for a head of h videos")
        if (np.diff(self.head) <= 0).any():
            raise ValueError("head positions must be strictly ascending")

    def check(self, noise: SumNoise = NO_NOISE) -> None:
        """Raise SumError when no set of users, with noise of this size, can have produced these numbers.

        Tested are 0 <= pair <= both counts, each with the slack that honest noise needs; a full test of
        realisability is NP-hard.
        """
        below = entry_slack(noise.counts), entry_slack(noise.pairs)
        if (self.counts < -below[0]).any() or (self.triangle < -below[1]).any():
            raise _negative()
        start = 0
        above = entry_slack(noise.counts + noise.pairs)
        for row in range(self.head.size - 1):
            stop = start + self.head.size - 1 - row
            most = np.minimum(self.counts[row], self.counts[row + 1 :]) + above
            if (self.triangle[start:stop] > most).any():
                raise SumError(
                    "the sum counts more users for a pair than for one of its videos; run the round again"
                )
            start = stop

    def of(self, kept: NDArray[np.int64]) -> Statistic:
        """Return the part over some videos of the head, (k,) ascending places in it."""
        if kept.size == self.head.size:
            return self
        rows, columns = np.triu_indices(kept.size, k=1)
        first, second = kept[rows], kept[columns]
        places = first * (2 * self.head.size - first - 1) // 2 + second - first - 1
        return Statistic(self.head[kept], self.counts[kept], self.triangle[places])


def entry_slack(variance: float) -> int:
    """Return `models.noise.slack`, in entries, of noise with this variance in viewers squared."""
    return slack(variance * UNIT**2)


def pairs(head: int) -> int:
    """Return the number of unordered pairs of that many videos."""
    return head * (head - 1) // 2


def head(counts: NDArray[np.int64], *, min_users: int, max_head: int) -> NDArray[np.int64]:
    """Vocabulary positions with at least `min_users` in `counts`, sorted ascending, (h,) int64.

    Both are in one unit, entries or viewers. When more than `max_head` qualify, the highest counts stay;
    ties: lower position first.
    """
    if min_users < 1 or max_head < 0:
        raise ValueError("min_users must be at least 1 and max_head at least 0")
    qualified = np.flatnonzero(counts >= min_users)
    order = np.argsort(-counts[qualified], kind="stable")[:max_head]
    return np.sort(qualified[order]).astype(np.int64)


def of_sum(
    counts: NDArray[np.int64], head: NDArray[np.int64], triangle: NDArray[np.int64], noise: SumNoise
) -> Statistic:
    """Return the statistic over the head of a sum: entries of the vocabulary, (v,), and pairs, (h(h-1)/2,).

    Raises:
        SumError: no viewers can have made these numbers, with noise of this size.

    """
    if counts.size and counts.min() < -entry_slack(noise.counts):
        raise _negative()
    found = Statistic(head, counts[head], triangle)
    found.check(noise)
    return found


def to_matrix(diagonal: NDArray[np.int64], triangle: NDArray[np.int64]) -> NDArray[np.float64]:
    """Symmetric (h, h) float64 matrix in viewers, from entries: diagonal, strict upper triangle, row-major.

    Exact: the unit is a power of two.
    """
    size = diagonal.size
    if triangle.shape != (pairs(size),):
        raise ValueError(f"a head of {size} videos has {pairs(size)} pairs, not {triangle.size}")
    dense = np.empty((size, size))
    start = 0
    for row in range(size):
        stop = start + size - 1 - row
        dense[row, row] = diagonal[row]
        dense[row, row + 1 :] = triangle[start:stop]
        dense[row + 1 :, row] = triangle[start:stop]
        start = stop
    dense /= UNIT
    return dense


def _negative() -> SumError:
    return SumError("the sum holds a negative number of users; run the round again")
