"""Attack 4: take one sum from another.

*Two windows*: one viewer is in the second sum and not in the first; noise is new in both. *A changed weight*:
one viewer with `FULL_WEIGHT` videos or more has got a tenth more of them between two windows, so that every
pair of the old ones falls by the same small step, and those with the new ones rise by the weight. *Two
aggregators*: they work together, and their cohorts differ by one small member. In all of them the difference
is the missing people's statistic with twice the variance of the noise.

The difference of pairs is a matrix of rank one (or few) plus noise. The attacker starts from the leading
eigenvector and the difference of the counts, and then weighs every video by the evidence of its pairs with
all others, each in proportion to how likely that other one is itself (mean-field inference). The baseline is
the same people without any difference to look at: what is popular. The attacker is given the weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.linalg import eigsh

from models.weights import FULL_WEIGHT, UNIT
from models.weights import weights as weights_by_length
from tests.adversaries.privacy.honeypot import precision
from tests.adversaries.privacy.law import evidence
from tests.adversaries.privacy.release import Release, noise, noise_matrix

_STEPS = 8
_NAMED = 10
_GROWTH: Final = 0.1
Matrix = NDArray[np.float32]


def one_viewer(
    matrix: csr_array, release: Release, targets: NDArray[np.int64], seed: tuple[int, ...]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Name ten videos of a viewer who came between two windows; only viewers with ten in the head.

    Returns:
        (n,) precision from the difference, and (n,) precision of naming what is popular.
    """
    truth = matrix[:, release.head][targets].toarray().astype(np.float32)
    enough = truth.sum(axis=1) >= _NAMED
    weights = release.weights[targets]
    prior = _prior(release)
    found, popular = [], []
    for number in np.flatnonzero(enough).tolist():
        weight = float(weights[number])
        seen = _noisy(*_statistic(truth[number][None], weights[number][None]), release, (*seed, number))
        odds = _infer(seen, _base(seen, prior, weight), weight)
        found.append(precision(odds, truth[number]))
        popular.append(precision(prior, truth[number]))
    return np.array(found), np.array(popular)


def changed_weight(
    matrix: csr_array, release: Release, targets: NDArray[np.int64], most: int, seed: tuple[int, ...]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Name ten videos, old or new, of a viewer whose weight has changed between two windows.

    Returns:
        as `one_viewer`, for the first `most` of the targets who had `FULL_WEIGHT` videos of the head.
    """
    rows = matrix[:, release.head][targets].toarray().astype(np.float32)
    rows = rows[np.floor((1 - _GROWTH) * rows.sum(axis=1)) >= FULL_WEIGHT][:most]
    rng = np.random.default_rng(seed)
    prior = _prior(release)
    found, popular = [], []
    for number, after in enumerate(rows):
        length = int(after.sum())
        more = int(np.ceil(_GROWTH * length))
        before = after.copy()
        before[rng.permutation(np.flatnonzero(after))[:more]] = 0
        weights = (weights_by_length([length - more, length]) / UNIT).astype(np.float32)
        new, old = _statistic(after[None], weights[1:]), _statistic(before[None], weights[:1])
        seen = _noisy(new[0] - old[0], new[1] - old[1], release, (*seed, number))
        odds = _infer_changed(seen, prior, float(weights[1]), float(weights[0] - weights[1]))
        found.append(precision(odds, after))
        popular.append(precision(prior, after))
    return np.array(found), np.array(popular)


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
        seen = _noisy(*_statistic(truth, release.weights[rows]), release, (*seed, number))
        there = (truth.T @ truth > 0)[upper].astype(np.float64)
        named = int(min(100, there.sum()))
        if not named:
            continue
        prior = np.log(np.clip(expected, 1e-6, 0.95))
        weight = float(release.weights[rows].mean())
        raw = prior + evidence(seen.pairs, expected * weight, seen.pairs_variance, weight)
        smooth = raw + 4 * _smoothed(seen.pairs, members.shape[1], seen.pairs_variance)
        hits.append([precision(scores[upper], there, named) for scores in (prior, raw, smooth)])
    table = np.array(hits).reshape(-1, 3)
    # How to rank is chosen on every other member, and measured on the rest.
    way = int(table[::2].mean(axis=0).argmax()) if len(table) else 0
    return table[1::2, way], table[1::2, 0]


@dataclass(frozen=True)
class _Difference:
    """(h,) counts and (h, h) pairs of one sum less another, and the variances of their noise."""

    counts: Matrix
    pairs: Matrix
    counts_variance: float
    pairs_variance: float


def _statistic(people: Matrix, weights: Matrix) -> tuple[Matrix, Matrix]:
    """Counts and pairs of (people, h) rows with their (people,) weights."""
    heavy = people * weights[:, None]
    pairs = people.T @ heavy
    np.fill_diagonal(pairs, 0)
    return heavy.sum(axis=0), pairs


def _noisy(counts: Matrix, pairs: Matrix, release: Release, seed: tuple[int, ...]) -> _Difference:
    """Add the noise of two sums."""
    size, twice = counts.size, (2 * release.counts_variance, 2 * release.pairs_variance)
    return _Difference(
        counts + noise(twice[0], size, (*seed, 3)), pairs + noise_matrix(twice[1], size, (*seed, 4)), *twice
    )


def _prior(release: Release) -> Matrix:
    share = np.clip(release.head_counts / release.users, 1e-3, 0.95)
    return np.asarray(np.log(share / (1 - share)), np.float32)


def _base(seen: _Difference, prior: Matrix, weight: float) -> Matrix:
    """Log odds of each video by popularity and by the difference of the counts."""
    return prior + evidence(seen.counts, np.zeros_like(prior), seen.counts_variance, weight)


def _infer(seen: _Difference, base: Matrix, weight: float) -> Matrix:
    """Log odds that each video is in the one history behind the difference."""
    strength = evidence(seen.pairs, np.zeros_like(seen.pairs), seen.pairs_variance, weight)
    np.fill_diagonal(strength, 0)
    odds = base + _start(seen.pairs)
    for _ in range(_STEPS):
        likely = 1 / (1 + np.exp(-np.clip(odds, -30, 30)))
        odds = 0.5 * odds + 0.5 * (base + strength @ likely)
    return np.asarray(odds, np.float32)


def _infer_changed(seen: _Difference, prior: Matrix, weight: float, step: float) -> Matrix:
    """Log odds that each video is old or new: new pairs have the weight, old ones lost a step."""
    none = np.zeros_like(seen.pairs)
    new = evidence(seen.pairs, none, seen.pairs_variance, weight)
    old = evidence(-seen.pairs, none, seen.pairs_variance, step)
    for strength in (new, old):
        np.fill_diagonal(strength, 0)
    is_new = _base(seen, prior, weight) + np.float32(np.log(_GROWTH))
    is_old = prior + evidence(-seen.counts, np.zeros_like(prior), seen.counts_variance, step)
    odds = np.stack((is_new + _start(seen.pairs), is_old))
    for _ in range(_STEPS):
        lifted = np.exp(np.clip(odds, -30, 30))
        likely = lifted / (1 + lifted.sum(axis=0))
        both = likely.sum(axis=0)
        told = np.stack((is_new + new @ both, is_old + new @ likely[0] + old @ likely[1]))
        odds = 0.5 * odds + 0.5 * told
    return np.asarray(np.logaddexp(odds[0], odds[1]), np.float32)


def _start(pairs: Matrix) -> Matrix:
    """Where the inference starts: the leading eigenvector."""
    size = pairs.shape[0]
    if size <= 2:
        return np.zeros(size, np.float32)
    _, vector = eigsh(pairs, k=1, which="LA", v0=np.ones(size), tol=1e-3)
    return np.asarray(np.abs(vector[:, 0]) * np.sqrt(size), np.float32)


def _smoothed(pairs: Matrix, rank: int, variance: float) -> Matrix:
    """The part of the difference above the edge of the noise's spectrum, 2 sigma sqrt(h)."""
    if pairs.shape[0] <= rank + 1:
        return np.zeros_like(pairs)
    values, vectors = eigsh(pairs, k=rank, which="LA", v0=np.ones(len(pairs)), tol=1e-3)
    values = np.where(values > 2 * np.sqrt(variance * len(pairs)), values, 0)
    return np.asarray((vectors * values) @ vectors.T, np.float32)
