"""What an aggregator holds after a session: the noisy sum, and the same sum without one person.

Noise is drawn at the *declared* variance: the least that the honest survivors reach, with everybody else
working for the attacker. With five members all alive it is 5/3 of that; `REALISED` says so, and the quality
beside the table is measured with it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from federation.noise import skellam
from models import statistics
from policies.privacy import Protection, head_minimum

MEMBERS, THRESHOLD, COLLUDERS = 5, 4, 1
REALISED = MEMBERS / (THRESHOLD - COLLUDERS)
MIN_USERS = 5
MAX_HEAD = 4096
Matrix = NDArray[np.float32]


@dataclass(frozen=True)
class Release:
    """A noisy sum.

    Attributes:
        counts: (videos,) noisy number of users of each video of the vocabulary.
        head: (h,) positions of the videos whose pairs were summed, ascending.
        pairs: (h, h) noisy numbers of users of both videos, symmetric, diagonal 0.
        counts_variance, pairs_variance: of the noise in them.
        users: size of the cohort.
    """

    counts: NDArray[np.int64]
    head: NDArray[np.int64]
    pairs: Matrix
    counts_variance: float
    pairs_variance: float
    users: int

    @property
    def head_counts(self) -> Matrix:
        """(h,) noisy counts of the head, at least 1."""
        return np.maximum(self.counts[self.head], 1).astype(np.float32)

    def without_rows(self, people: Matrix) -> Release:
        """The same sum, same noise and head, without some people: (people, h) binary rows over it."""
        part = people.T @ people
        np.fill_diagonal(part, 0)
        counts = self.counts.copy()
        counts[self.head] -= people.sum(axis=0).astype(np.int64)
        return replace(self, counts=counts, pairs=self.pairs - part)

    def of(self, columns: NDArray[np.int64]) -> Release:
        """Only these head videos, given as positions within the head."""
        return replace(self, head=self.head[columns], pairs=self.pairs[np.ix_(columns, columns)])


def release(matrix: csr_array, level: Protection, seed: tuple[int, ...]) -> Release:
    """Sum the rows of a (users, videos) matrix that is already limited, with fresh noise."""
    users = int(matrix.shape[0])
    exact = np.bincount(matrix.indices, minlength=matrix.shape[1]).astype(np.int64)
    counts = exact + noise(level.counts_noise, exact.size, (*seed, 1))
    least = head_minimum(MIN_USERS, level.counts_noise)
    head = statistics.head(counts, min_users=least, max_head=MAX_HEAD)
    pairs = gram(matrix, head) + noise_matrix(level.pairs_noise, head.size, (*seed, 2))
    return Release(counts, head, pairs, float(level.counts_noise), float(level.pairs_noise), users)


def gram(matrix: csr_array, head: NDArray[np.int64]) -> Matrix:
    """Exact numbers of users of both videos, (h, h), diagonal 0."""
    dense = statistics.gram(matrix, head).astype(np.float32)
    np.fill_diagonal(dense, 0)
    return dense


def noise(variance: int, size: int, seed: tuple[int, ...]) -> NDArray[np.int64]:
    """(size,) of the noise that members add, drawn with the very code they use."""
    key = hashlib.sha256(repr(("attack", *seed)).encode()).digest()
    return skellam(Fraction(variance), size, key)


def noise_matrix(variance: int, size: int, seed: tuple[int, ...]) -> Matrix:
    """(size, size) symmetric noise, diagonal 0."""
    dense = np.zeros((size, size), np.float32)
    if variance and size > 1:
        rows, columns = np.triu_indices(size, 1)
        dense[rows, columns] = noise(variance, rows.size, seed)
        dense += dense.T
    return dense
