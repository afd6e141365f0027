"""Attack 1: read histories off a sum, knowing nobody.

The videos of one person form a clique: every pair of them counts that person. Among rare videos little else
is there. The attacker grows a set from every video and its best partner, adding the video with the most
evidence (`law.evidence`) against all videos in the set, then exchanges members until nothing changes, and
keeps the sets with the most evidence. Larger sets gather more evidence under noise, smaller ones are purer
without: both sizes are tried.

Everybody may be a target: how well does the best set fit them? The same attack on the twin sum without
them, and without one other target to save time, says how well it would have fitted had they never been in
the sum: sets of what goes together for everybody fit strangers too, and heavy users best. The difference is
the gain. Taking out eight at a time instead overstates it by 0.01 at 600 users, because the twin then knows
less about everybody. Which kind of set to grow (`WAYS`) is chosen on a sixth of the pairs of targets and
measured on the rest. Nobody tells the attacker the weight of a person, which depends on videos that the set
does not hold. To look for a weight of 1 finds most, as many have or nearly: smaller ones, and sets of pairs
with exactly one weight where there is no noise, found fewer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from tests.adversaries.privacy.law import background, evidence
from tests.adversaries.privacy.release import Release

WAYS = ((4, 6), (4, 12), (16, 12))
"""(rank of the background, videos per set)."""
_RAREST = 1000
_EXCHANGES = 3
_GROUP = 2
_CHOSEN_ON = 6
Matrix = NDArray[np.float32]
Places = NDArray[np.int64]


@dataclass(frozen=True)
class Found:
    """How well the best of the sets fits each target.

    Attributes:
        fit: (n,) part of the set that the target has.
        fit_without: (n,) the same for the twin sum.
        way: kind of set, in words.
    """

    fit: NDArray[np.float64]
    fit_without: NDArray[np.float64]
    way: str


def attack(matrix: csr_array, release: Release, *, groups: int, seed: int) -> Found:
    """Grow sets from the sum, and from the sum without each of some groups of users.

    `matrix` are the true rows, for the twins and the evaluation. Targets are users who have at least as many
    of the videos attacked, the rarest of the head, as the largest set.
    """
    rare = np.sort(np.argsort(release.head_counts, kind="stable")[:_RAREST])
    small = release.of(rare)
    truth = matrix[:, small.head].toarray().astype(np.float32)
    largest = max(size for _, size in WAYS)
    users = np.random.default_rng(seed).permutation(np.flatnonzero(truth.sum(axis=1) >= largest))
    taken = [users[start : start + _GROUP] for start in range(0, users.size, _GROUP)][:groups]
    ways = [way for way in WAYS if rare.size > 2 * way[1]]
    if not taken or not ways:
        return Found(np.zeros(0), np.zeros(0), "nothing to attack")
    cut = len(taken) // _CHOSEN_ON
    for_choice, measured = taken[:cut], taken[cut:]
    chosen = max(ways, key=lambda way: _gain(truth, small, for_choice, way)) if for_choice else ways[0]
    fit, fit_without = _fits(truth, small, measured, chosen)
    return Found(fit, fit_without, f"sets of {chosen[1]}, background of rank {chosen[0]}")


def reconstruct(small: Release, rank: int, size: int, most: int) -> Places:
    """The `most` convincing sets, (n, size) positions within the head of the release."""
    others = background(small.pairs, rank).expected()
    strength = evidence(small.pairs, others, small.pairs_variance)
    np.fill_diagonal(strength, 0)
    return convincing(strength, size, most)


def _gain(truth: Matrix, small: Release, groups: list[Places], way: tuple[int, int]) -> float:
    fit, fit_without = _fits(truth, small, groups, way)
    return float((fit - fit_without).mean())


def _fits(
    truth: Matrix, small: Release, groups: list[Places], way: tuple[int, int]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    sets = reconstruct(small, *way, _RAREST)
    fit = [_best(truth[group], sets) for group in groups]
    fit_without = []
    for group in groups:
        twin = reconstruct(small.without_rows(truth[group], small.weights[group]), *way, _RAREST)
        fit_without.append(_best(truth[group], twin))
    return np.concatenate(fit), np.concatenate(fit_without)


def _best(people: Matrix, sets: Places) -> NDArray[np.float64]:
    """(people,) part of the set that fits each of them best."""
    chosen = np.zeros((len(sets), people.shape[1]), np.float32)
    np.put_along_axis(chosen, sets, 1, axis=1)
    return np.asarray((people @ chosen.T).max(axis=1) / sets.shape[1], np.float64)


def convincing(strength: Matrix, size: int, most: int) -> Places:
    """The `most` sets with the largest sum of evidence, (n, size), no two with the same seeds."""
    barred = strength.copy()
    np.fill_diagonal(barred, -np.inf)
    seeds = np.stack((np.arange(len(strength)), barred.argmax(axis=1)), axis=1)
    _, first = np.unique(np.sort(seeds, axis=1), axis=0, return_index=True)
    sets = _grow(strength, seeds[first], size)
    total = np.array([strength[np.ix_(one, one)].sum() for one in sets])
    return sets[np.argsort(-total, kind="stable")[:most]]


def _grow(strength: Matrix, seeds: Places, size: int) -> Places:
    """Grow all seeds, (n, 2), at once; returns (n, size)."""
    sets = np.zeros((len(seeds), size), np.int64)
    sets[:, :2] = seeds
    score = strength[seeds[:, 0]] + strength[seeds[:, 1]]
    every = np.arange(len(seeds))
    score[every, seeds[:, 0]] = score[every, seeds[:, 1]] = -np.inf
    for place in range(2, size):
        best = score.argmax(axis=1)
        sets[:, place] = best
        score += strength[best]
        score[every, best] = -np.inf
    for _ in range(_EXCHANGES):
        inside = np.zeros_like(strength, shape=(len(seeds), len(strength)))
        np.put_along_axis(inside, sets, 1, axis=1)
        score = inside @ strength
        score[every, seeds[:, 0]] = score[every, seeds[:, 1]] = -np.inf
        sets[:, 2:] = np.argpartition(-score, size - 3, axis=1)[:, : size - 2]
    return sets
