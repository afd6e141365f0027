"""The additive statistic: users engaged per video, and users engaged with both videos per pair of the head.

Everything is int64 and a plain sum over users, so that secure aggregation of the parts gives the whole, bit
for bit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from models.errors import SumError
from models.interactions import Interactions
from models.noise import NO_NOISE, SumNoise, slack

_BLOCK = 512


@dataclass(frozen=True)
class Statistic:
    """What a finished session yields. Raises ValueError when the lengths disagree."""

    head: NDArray[np.int64]
    """(h,) positions in the catalogue, ascending."""
    counts: NDArray[np.int64]
    """(h,) users engaged with each head video: the diagonal of the Gram matrix."""
    triangle: NDArray[np.int64]
    """(h(h-1)/2,) users engaged with both videos of a pair: the strict upper triangle, row-major."""

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
        if (self.counts < -slack(noise.counts)).any() or (self.triangle < -slack(noise.pairs)).any():
            raise SumError("the sum holds a negative number of users; drop this session and run it again")
        start = 0
        above = slack(noise.counts + noise.pairs)
        for row in range(self.head.size - 1):
            stop = start + self.head.size - 1 - row
            most = np.minimum(self.counts[row], self.counts[row + 1 :]) + above
            if (self.triangle[start:stop] > most).any():
                raise SumError(
                    "the sum counts more users for a pair than for one of its videos; "
                    "drop this session and run it again"
                )
            start = stop


def pairs(head: int) -> int:
    """Return the number of unordered pairs of that many videos."""
    return head * (head - 1) // 2


def counts(x: Interactions, columns: NDArray[np.int64] | None = None) -> NDArray[np.int64]:
    """Users per video, (videos,) int64, or (len(columns),) for the given columns only."""
    total = np.bincount(x.matrix.indices, minlength=x.videos).astype(np.int64)
    return total if columns is None else total[columns]


def head(counts: NDArray[np.int64], *, min_users: int, max_head: int) -> NDArray[np.int64]:
    """Vocabulary positions with at least `min_users` users, sorted ascending, (h,) int64.

    When more than `max_head` qualify, the highest counts stay; ties: lower position first.
    """
    if min_users < 1 or max_head < 0:
        raise ValueError("min_users must be at least 1 and max_head at least 0")
    qualified = np.flatnonzero(counts >= min_users)
    order = np.argsort(-counts[qualified], kind="stable")[:max_head]
    return np.sort(qualified[order]).astype(np.int64)


def pair_counts(x: Interactions, head: NDArray[np.int64]) -> NDArray[np.int64]:
    """Strict upper triangle of the head's Gram matrix, row-major, (h(h-1)/2,) int64."""
    triangle = np.empty(pairs(head.size), dtype=np.int64)
    start = 0
    for first, block in _gram_blocks(x.matrix[:, head]):
        for row in range(block.shape[0]):
            part = block[row, first + row + 1 :]
            triangle[start : start + part.size] = part
            start += part.size
    return triangle


def gram(matrix: csr_array, columns: NDArray[np.int64]) -> NDArray[np.float64]:
    """Dense Gram matrix of the given columns, diagonal included, (c, c) float64 of exact integers."""
    dense = np.empty((columns.size, columns.size))
    for first, block in _gram_blocks(matrix[:, columns]):
        dense[first : first + block.shape[0]] = block
    return dense


def to_matrix(diagonal: NDArray[np.int64], triangle: NDArray[np.int64]) -> NDArray[np.float64]:
    """Symmetric (h, h) float64 matrix from its diagonal and its strict upper triangle, row-major."""
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
    return dense


def _gram_blocks(columns: csr_array) -> Iterator[tuple[int, NDArray[np.int32]]]:
    """Yield (first row, dense int32 rows) of the Gram matrix of the given columns."""
    wide = csr_array(columns.astype(np.int32))
    transposed = csr_array(wide.T.tocsr())
    for first in range(0, wide.shape[1], _BLOCK):
        yield first, (transposed[first : first + _BLOCK] @ wide).toarray()
