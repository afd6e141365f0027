"""Cohorts to attack: real users where the set has enough of them, mixed ones where it has not."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from daemon.lab import experiment
from daemon.lab.experiment import Population
from daemon.lab.made_up import SHIPPED
from daemon.source.dataset_files import read
from models.interactions import Interactions


@dataclass(frozen=True)
class Cohort:
    """The users behind a sum.

    Attributes:
        users: (users, videos) with times, not yet limited per user.
        mixed: whether they are made up from real users.
    """

    users: Interactions
    mixed: bool

    def limited(self, limit: int) -> csr_array:
        """What the users contribute: (users, videos) uint8, at most `limit` most recent videos each."""
        return self.users.limited(limit).matrix


def load(folder: Path | None) -> Population:
    """Read a data set the way `shoal evaluate` does; the shipped one unless given."""
    return experiment.load(read(folder or SHIPPED))


def cohort(population: Population, size: int, seed: int) -> Cohort:
    """Draw users without replacement; mix them where there are too few.

    A mixed user has each video of two random real users with probability one half. Sizes of histories,
    popularities and what goes with what stay close to the real set. But every real user has about
    2 size / users half twins, and a video of k users becomes one of k size / users: a mixed cohort hides its
    members somewhat better than a real one of that size would.
    """
    rng = np.random.default_rng([seed, size])
    real = population.likes
    if real.recency is None:
        real = Interactions(real.matrix, rng.random(real.matrix.nnz))
    if size <= real.users:
        return Cohort(real.rows(rng.permutation(real.users)[:size].astype(np.int64)), mixed=False)
    parents = np.stack([rng.permutation(real.users)[:2] for _ in range(size)])
    halves = []
    for side in (0, 1):
        rows, videos, times = _half(real, parents[:, side], rng)
        halves.append((rows, videos, times))
    rows, videos, times = (np.concatenate(parts) for parts in zip(*halves, strict=True))
    _, first = np.unique(rows * real.videos + videos, return_index=True)
    indptr = np.concatenate(([0], np.cumsum(np.bincount(rows[first], minlength=size))))
    matrix = csr_array((np.ones(first.size, np.uint8), videos[first], indptr), shape=(size, real.videos))
    return Cohort(Interactions(matrix, times[first]), mixed=True)


def _half(
    real: Interactions, parents: NDArray[np.int64], rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """(row, video, time) of every video that the children take from one parent each."""
    starts, lengths = real.matrix.indptr[parents], np.diff(real.matrix.indptr)[parents]
    rows = np.repeat(np.arange(parents.size), lengths)
    where = np.arange(rows.size) + np.repeat(starts - (np.cumsum(lengths) - lengths), lengths)
    taken = rng.random(rows.size) < 0.5
    assert real.recency is not None
    return rows[taken], real.matrix.indices[where[taken]].astype(np.int64), real.recency[where[taken]]
