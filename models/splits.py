"""Splits one population of users into instances: sizes as on the real network, tastes that differ."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

# Logarithm of the accounts per instance, 415 PeerTube instances listed by the-federation.info in 2023.
LOG_SIZE_MEAN = 2.44
LOG_SIZE_SD = 2.15
_NO_SKEW = 1e-9  # below it a Dirichlet draw is the population's mixture to within rounding


def heavy_tailed_sizes(
    users: int, instances: int, rng: np.random.Generator, *, at_least: int = 5
) -> NDArray[np.int64]:
    """Draw log-normal sizes that add up to `users`, largest first.

    Args:
        users: users to distribute; at least `instances * at_least`.
        instances: number of sizes.
        rng: source of the draw.
        at_least: users that every instance gets.

    Raises:
        ValueError: there are too few users.
    """
    if instances < 1 or at_least < 0:
        raise ValueError("at least one instance and no negative sizes")
    if users < instances * at_least:
        raise ValueError(f"{users} users cannot fill {instances} instances with at least {at_least} each")
    shares = np.sort(rng.lognormal(LOG_SIZE_MEAN, LOG_SIZE_SD, instances))[::-1]
    floor = np.full(instances, at_least, np.int64)
    # Those whose share of everything falls below the minimum get the minimum; the others share what is left.
    for filled in range(instances, 0, -1):
        wanted = shares[:filled] / shares[:filled].sum() * (users - at_least * (instances - filled))
        if wanted[-1] >= at_least or filled == 1:
            floor[:filled] = np.maximum(np.floor(wanted), at_least).astype(np.int64)
            break
    floor[0] += users - floor.sum()
    return floor


def profiles(matrix: csr_array, tags: csr_array) -> NDArray[np.float32]:
    """Describe what each user's videos are tagged with, relative to the whole population.

    Args:
        matrix: (users, videos) binary.
        tags: (videos, tags) non-zero where tagged.

    Returns:
        (users, at most 200 tags) float32 rows of length 1: shares of the most frequent tags, minus the mean
        share. A user without tagged videos is a row of zeros.
    """
    common = np.argsort(-np.diff(tags.tocsc().indptr), kind="stable")[:200]
    profile = (matrix.astype(np.float32) @ tags[:, common].astype(np.float32)).toarray()
    total = profile.sum(axis=1, keepdims=True)
    known = total[:, 0] > 0
    profile[known] /= total[known]
    profile[known] -= profile[known].mean(axis=0) if known.any() else 0
    length = np.linalg.norm(profile, axis=1, keepdims=True)
    np.divide(profile, length, out=profile, where=length > 0)
    return np.asarray(profile, np.float32)


def clusters(points: NDArray[np.float32], k: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Spherical k-means (Dhillon, Modha. Machine Learning 42, 2001), 20 sweeps.

    Args:
        points: (n, d) rows of length 1 or 0.
        k: number of clusters; fewer are used where there are fewer points.
        rng: draws the first centres among the points.

    Returns:
        (n,) cluster of each point.
    """
    centres = points[rng.choice(len(points), size=min(k, len(points)), replace=False)]
    for _ in range(20):
        nearest = (points @ centres.T).argmax(axis=1)
        sums = np.zeros_like(centres)
        np.add.at(sums, nearest, points)
        length = np.linalg.norm(sums, axis=1, keepdims=True)
        # An empty cluster keeps its old centre.
        centres = np.where(length > 0, sums / np.where(length > 0, length, 1), centres)
    return np.asarray((points @ centres.T).argmax(axis=1), np.int64)


def taste_skewed(
    taste: NDArray[np.int64],
    sizes: Sequence[int] | NDArray[np.int64],
    rng: np.random.Generator,
    *,
    strength: float,
) -> list[NDArray[np.int64]]:
    """Assign users to instances of exact sizes, each with its own mixture of tastes.

    Every instance draws a mixture from a Dirichlet distribution around the population's own shares (Hsu, Qi,
    Brown. arXiv 1909.06335), then seats are filled, smallest instance first, with users of the drawn tastes
    as long as there are any, so that the large ones take what is left.

    Args:
        taste: (users,) cluster of each user.
        sizes: users per instance; together at most `len(taste)`. Who is left over is in no instance.
        rng: source of all draws.
        strength: 0 for the population's mixture everywhere; the larger, the fewer tastes per instance
            (Dirichlet concentration 1 / strength).

    Returns:
        per instance, ascending user numbers.

    Raises:
        ValueError: a size below 1, a negative strength, or too few users.
    """
    wanted = np.asarray(sizes, np.int64)
    if wanted.size == 0 or wanted.min() < 1 or strength < 0:
        raise ValueError("every instance needs at least one user, and the strength must not be negative")
    if wanted.sum() > len(taste):
        raise ValueError(f"{len(taste)} users cannot fill instances of {wanted.sum()} users in total")
    kinds = int(taste.max()) + 1
    waiting = [rng.permutation(np.flatnonzero(taste == kind)).tolist() for kind in range(kinds)]
    shares = np.bincount(taste, minlength=kinds) / len(taste)
    members: list[NDArray[np.int64]] = [np.zeros(0, np.int64)] * len(wanted)
    for instance in np.argsort(wanted, kind="stable"):
        mixture = shares if strength < _NO_SKEW else _dirichlet(shares / strength, rng)
        members[instance] = np.sort(_fill(int(wanted[instance]), mixture, waiting, rng))
    return members


def _dirichlet(concentration: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    draws = np.where(concentration > 0, rng.gamma(np.maximum(concentration, 1e-12)), 0.0)
    total = draws.sum()
    mixture = draws / total if total > 0 else concentration / concentration.sum()
    return np.asarray(mixture, np.float64)


def _fill(
    size: int, mixture: NDArray[np.float64], waiting: list[list[int]], rng: np.random.Generator
) -> NDArray[np.int64]:
    chosen: list[int] = []
    while len(chosen) < size:
        left = np.array([len(kind) for kind in waiting], np.float64)
        weights = np.where(left > 0, mixture, 0.0)
        if weights.sum() <= 0:
            weights = left
        for kind, seats in enumerate(rng.multinomial(size - len(chosen), weights / weights.sum())):
            taken = min(int(seats), len(waiting[kind]))
            chosen.extend(waiting[kind][:taken])
            del waiting[kind][:taken]
    return np.array(chosen, np.int64)
