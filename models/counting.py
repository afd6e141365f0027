"""Exact counting: from who engaged with what to the entries of a sum, before any noise.

Training imports none of this; a contract in pyproject.toml holds it to that. Everything is int64 and a plain
sum over viewers, so that secure aggregation of the parts gives the whole, bit for bit. What leaves an
instance is one vector: counts of the whole vocabulary, then pairs of the head, in which each viewer has the
weight of `models.weights`.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from models.interactions import Interactions
from models.statistics import pairs
from models.weights import weights

_BLOCK = 512


def counts(x: Interactions, columns: NDArray[np.int64] | None = None) -> NDArray[np.int64]:
    """Viewers per video, whole ones, (videos,) int64, or (len(columns),) for the given columns only."""
    total = np.bincount(x.matrix.indices, minlength=x.videos).astype(np.int64)
    return total if columns is None else total[columns]


def contribution(x: Interactions, head: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the entries of every column of `x`, then of the head's pairs: (videos + h(h-1)/2,) int64.

    Contributions add up: that of a union of viewers is the sum of theirs.
    """
    return np.concatenate((weighted_counts(x, head), pair_counts(x, head)))


def weighted_counts(x: Interactions, head: NDArray[np.int64]) -> NDArray[np.int64]:
    """Entries per video, (videos,) int64: the weights of its viewers, for a head of (h,) columns."""
    each = np.repeat(weights(np.diff(x.matrix[:, head].indptr)), np.diff(x.matrix.indptr))
    # Exact: sums of so few integers are far below 2^53.
    return np.bincount(x.matrix.indices, each, minlength=x.videos).astype(np.int64)


def pair_counts(x: Interactions, head: NDArray[np.int64]) -> NDArray[np.int64]:
    """Strict upper triangle of the head's weighted Gram matrix, row-major, (h(h-1)/2,) int64 entries."""
    triangle = np.empty(pairs(head.size), dtype=np.int64)
    start = 0
    for first, block in _gram_blocks(csr_array(x.matrix[:, head].astype(np.int32))):
        for row in range(block.shape[0]):
            part = block[row, first + row + 1 :]
            triangle[start : start + part.size] = part
            start += part.size
    return triangle


def _gram_blocks(columns: csr_array) -> Iterator[tuple[int, NDArray[np.int32]]]:
    """Yield (first row, dense int32 rows) of the Gram matrix of (users, h) int32 columns, users weighted."""
    lengths = np.diff(columns.indptr)
    heavy = columns.copy()
    heavy.data *= np.repeat(weights(lengths), lengths).astype(np.int32)
    transposed = csr_array(heavy.T.tocsr())
    for first in range(0, columns.shape[1], _BLOCK):
        yield first, (transposed[first : first + _BLOCK] @ columns).toarray()
