"""Attack 4: take one sum from another.

*Two windows*: one viewer is in the second sum and not in the first; noise is new in both. *Two aggregators*:
they work together, and their cohorts differ by one small member. Either way the difference is the missing
people's statistic with twice the variance of the noise.

The difference of pairs is a matrix of rank one (or few) plus noise. The attacker starts from the leading
eigenvector and the difference of the counts, and then weighs every video by the evidence of its pairs with
all others, each in proportion to how likely that other one is itself (mean-field inference). The baseline is
the same people without any difference to look at: what is popular.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.linalg import eigsh

from tests.adversaries.privacy.honeypot import precision
from tests.adversaries.privacy.law import evidence
from tests.adversaries.privacy.release import Release, noise, noise_matrix

_STEPS = 8
_NAMED = 10
Matrix = NDArray[np.float32]


def one_viewer(
    matrix: csr_array, release: Release, targets: NDArray[np.int64], seed: tuple[int, ...]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Name ten videos of a viewer who came between two windows; only viewers with ten in the head.

    Returns:
        (n,) precision from the difference, and (n,) precision of naming what is popular.
    """
    truth = matrix[:, release.head][targets].toarray().astype(np.float32)
    truth = truth[truth.sum(axis=1) >= _NAMED]
    prior = _prior(release)
    found, popular = np.zeros(len(truth)), np.zeros(len(truth))
    for number, history in enumerate(truth):
        pairs, counts, twice = _difference(history[None], release, (*seed, number))
        odds = _infer(pairs, counts, twice, prior, 2 * release.counts_variance)
        found[number] = precision(odds, history)
        popular[number] = precision(prior, history)
    return found, popular


def one_member(
    matrix: csr_array, release: Release, members: NDArray[np.int64], seed: tuple[int, ...]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Find the pairs of a member whose users are a row of `members`, (members, users per member).

    Named are the 100 most likely pairs, or as many as there are.

    Returns:
        (members / 2,) part of the named pairs that somebody there has, and the same naming popular pairs.
    """
    hits: list[list[float]] = []
    share = (release.head_counts / release.users)[:, None]
    expected = np.asarray(share * share.T, np.float32) * members.shape[1]
    upper = np.triu_indices(release.head.size, 1)
    for number, rows in enumerate(members):
        truth = matrix[:, release.head][rows].toarray().astype(np.float32)
        pairs, _, twice = _difference(truth, release, (*seed, number))
        there = (truth.T @ truth > 0)[upper].astype(np.float64)
        named = int(min(100, there.sum()))
        if not named:
            continue
        prior = np.log(np.clip(expected, 1e-6, 0.95))
        raw = prior + evidence(pairs, expected, twice)
        smooth = raw + 4 * _smoothed(pairs, members.shape[1], twice)
        hits.append([precision(scores[upper], there, named) for scores in (prior, raw, smooth)])
    table = np.array(hits).reshape(-1, 3)
    # How to rank is chosen on every other member, and measured on the rest.
    way = int(table[::2].mean(axis=0).argmax()) if len(table) else 0
    return table[1::2, way], table[1::2, 0]


def _difference(people: Matrix, release: Release, seed: tuple[int, ...]) -> tuple[Matrix, Matrix, float]:
    """Pairs and counts over the head of (people, h) rows, with the noise of two sums, and its variance."""
    size = release.head.size
    twice = int(2 * release.pairs_variance)
    exact = people.T @ people
    np.fill_diagonal(exact, 0)
    counts = people.sum(axis=0) + noise(int(2 * release.counts_variance), size, (*seed, 3))
    return exact + noise_matrix(twice, size, (*seed, 4)), counts.astype(np.float32), float(twice)


def _prior(release: Release) -> Matrix:
    share = np.clip(release.head_counts / release.users, 1e-3, 0.95)
    return np.asarray(np.log(share / (1 - share)), np.float32)


def _infer(pairs: Matrix, counts: Matrix, variance: float, prior: Matrix, counts_variance: float) -> Matrix:
    """Log odds that each video is in the one history behind the difference."""
    base = prior + evidence(counts, np.zeros_like(counts), counts_variance)
    strength = evidence(pairs, np.zeros_like(pairs), variance)
    np.fill_diagonal(strength, 0)
    start = np.zeros_like(prior)
    if prior.size > 2:
        _, vector = eigsh(pairs, k=1, which="LA", v0=np.ones(prior.size), tol=1e-3)
        leading = np.abs(vector[:, 0])
        start = leading * np.sqrt(prior.size)
    odds = base + start
    for _ in range(_STEPS):
        likely = 1 / (1 + np.exp(-np.clip(odds, -30, 30)))
        odds = 0.5 * odds + 0.5 * (base + strength @ likely)
    return np.asarray(odds, np.float32)


def _smoothed(pairs: Matrix, rank: int, variance: float) -> Matrix:
    """The part of the difference above the edge of the noise's spectrum, 2 sigma sqrt(h)."""
    if pairs.shape[0] <= rank + 1:
        return np.zeros_like(pairs)
    values, vectors = eigsh(pairs, k=rank, which="LA", v0=np.ones(len(pairs)), tol=1e-3)
    values = np.where(values > 2 * np.sqrt(variance * len(pairs)), values, 0)
    return np.asarray((vectors * values) @ vectors.T, np.float32)
