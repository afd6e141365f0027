"""What an aggregator holds after a round: the noisy sum, and the same sum without one person.

Noise is drawn at the *declared* variance: the least that the honest survivors reach, with everybody else
working for the attacker. With five members all alive it is 5/3 of that; `REALISED` says so, and the quality
beside the table is measured with it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from daemon.lab.experiment import Noise, poisson_noise, summed_over
from models import counting, statistics
from models.interactions import Interactions
from models.noise import SumNoise
from models.weights import UNIT, weights
from policies.privacy import Protection, head_minimum

MEMBERS, THRESHOLD, COLLUDERS = 5, 4, 1
REALISED = MEMBERS / (THRESHOLD - COLLUDERS)
MIN_USERS = 5
MAX_HEAD = 4096
Matrix = NDArray[np.float32]


@dataclass(frozen=True)
class Release:
    """A noisy sum, in viewers.

    Attributes:
        head: (h,) positions of the videos whose pairs were summed, ascending.
        counts: (h,) noisy numbers of users.
        pairs: (h, h) noisy numbers of users of both videos, symmetric, diagonal 0.
        counts_variance, pairs_variance: of the noise in them.
        weights: (users,) of everybody in it: the truth, for twins and for attackers who may know it.
    """

    head: NDArray[np.int64]
    counts: Matrix
    pairs: Matrix
    counts_variance: float
    pairs_variance: float
    weights: Matrix

    @property
    def head_counts(self) -> Matrix:
        """(h,) noisy counts, at least 1."""
        return np.maximum(self.counts, np.float32(1))

    @property
    def users(self) -> float:
        """Users behind it, each with its weight."""
        return float(self.weights.sum())

    def without_rows(self, people: Matrix, weights: Matrix) -> Release:
        """The same sum, same noise and head, without some people: (people, h) binary rows, (people,)."""
        heavy = people * weights[:, None]
        part = people.T @ heavy
        np.fill_diagonal(part, 0)
        return replace(self, counts=self.counts - heavy.sum(axis=0), pairs=self.pairs - part)

    def of(self, columns: NDArray[np.int64]) -> Release:
        """Only these head videos, given as positions within the head."""
        pairs = self.pairs[np.ix_(columns, columns)]
        return replace(self, head=self.head[columns], counts=self.counts[columns], pairs=pairs)


def release(
    matrix: csr_array,
    level: Protection,
    seed: tuple[int, ...],
    *,
    head: NDArray[np.int64] | None = None,
) -> Release:
    """Sum the rows of a (users, videos) matrix that is already limited, with fresh noise.

    Without a `head`, (h,) ascending, it is that of the videos whose pairs are used.
    """
    likes, law = Interactions(matrix), noise_law(noise_of(level), seed)
    least = UNIT * head_minimum(MIN_USERS, level.counts_noise)
    asked = head
    if asked is None:
        plain = UNIT * counting.counts(likes) + law(0, likes.videos)
        asked = statistics.head(plain, min_users=least, max_head=MAX_HEAD)
    found = summed_over(asked, [likes], law)
    if head is None:
        found = found.of(np.flatnonzero(found.counts >= least))
    pairs = statistics.to_matrix(np.zeros_like(found.counts), found.triangle).astype(np.float32)
    return Release(
        found.head,
        (found.counts / UNIT).astype(np.float32),
        pairs,
        float(level.counts_noise),
        float(level.pairs_noise),
        weights_of(matrix, asked),
    )


def gram(matrix: csr_array, head: NDArray[np.int64], weights: Matrix) -> tuple[Matrix, Matrix]:
    """Exact (h,) counts and (h, h) pairs with diagonal 0, of users with these (users,) weights."""
    columns = matrix[:, head].toarray().astype(np.float32)
    heavy = columns * weights[:, None]
    dense = columns.T @ heavy
    np.fill_diagonal(dense, 0)
    return heavy.sum(axis=0), dense


def weights_of(matrix: csr_array, head: NDArray[np.int64]) -> Matrix:
    """(users,) weights in viewers, by how many videos of a head each has."""
    found = weights(np.diff(csr_array(matrix[:, head]).indptr)) / UNIT
    return np.asarray(found, np.float32)


def noise_of(level: Protection) -> SumNoise:
    """Variances that a level declares, in viewers squared."""
    return SumNoise(level.counts_noise, level.pairs_noise)


def noise_law(noise: SumNoise, seed: tuple[int, ...]) -> Noise:
    """Return the law of `poisson_noise`; each segment is drawn from a seed, the same whenever it is asked."""

    def drawn(segment: int, size: int) -> NDArray[np.int64]:
        return poisson_noise(noise, np.random.default_rng([*seed, segment]))(segment, size)

    return drawn


def noise(variance: float, size: int, seed: tuple[int, ...]) -> Matrix:
    """(size,) noise of this variance, in viewers, on the grid of 1/32."""
    return np.asarray(noise_law(SumNoise(variance), seed)(0, size) / UNIT, np.float32)


def noise_matrix(variance: float, size: int, seed: tuple[int, ...]) -> Matrix:
    """(size, size) symmetric noise, diagonal 0."""
    dense = np.zeros((size, size), np.float32)
    if variance and size > 1:
        rows, columns = np.triu_indices(size, 1)
        dense[rows, columns] = noise(variance, rows.size, seed)
        dense += dense.T
    return dense
