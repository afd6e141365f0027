"""What an aggregator that keeps every sum can still reckon of a peer's part after it has taken the peer out.

A revert deletes sums here; an aggregator that does not keep its word has all it ever held: sums of before
the peer joined, with it, and of after. They differ by the peer's part and by noise. These tests make such
sums at the default level from a public set (604 users on six instances). From one window to the next as few
users change as end a window. The estimate is the one with the least error: generalised least squares, which
knows the variance of the noise in each sum; then shrunk by the best factor there is, which only somebody
who knows the answer could choose. Relative error: length of the error over length of the part.

The floors are what documents may cite. They are floors of linear estimates, no guarantee about single
people: that is the accounting (`shoal privacy show`). Each window that a peer takes part in makes the
estimate better.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse import csr_array

from daemon.lab.demo.instances import build
from daemon.lab.experiment import poisson_noise
from federation.noise import share_variance
from federation.proposal import least_threshold
from models import counting, statistics
from models.interactions import Interactions
from models.noise import SumNoise
from models.weights import UNIT
from policies.privacy import PROTECTION, Level, head_minimum

LEVEL = PROTECTION[Level.DEFAULT]
INSTANCES, CHANGED = 6, 5
TYPICAL, LARGEST = 2, 0
"""Instances that are taken out: one of 79 users, and one of 216, more than a third of all."""

FLOORS = {
    "typical, one window": (8.8, 0.98),
    "largest, one window": (3.6, 0.94),
    "typical, half a year": (0.51, 0.45),
    "largest, half a year": (0.19, 0.18),
}
"""Relative error at least, of least squares and of its best shrinkage. One window: a sum before, one with
and one after, over all pairs of the head. Half a year: 26 windows with the peer and 26 without, over the
200 videos with most viewers, where the part stands out most."""


@dataclass(frozen=True)
class Windows:
    """How many sums the aggregator holds of before the peer took part, with it, and of after."""

    before: int
    with_peer: int
    after: int


@pytest.fixture(scope="module")
def instances(tmp_path_factory: pytest.TempPathFactory) -> list[Interactions]:
    world = build(tmp_path_factory.mktemp("floor"), None, INSTANCES)
    return [instance.history for instance in world.instances]


@pytest.mark.parametrize(
    ("name", "taken_out", "windows", "most"),
    [
        ("typical, one window", TYPICAL, Windows(1, 1, 1), 4096),
        ("largest, one window", LARGEST, Windows(1, 1, 1), 4096),
        ("typical, half a year", TYPICAL, Windows(13, 26, 13), 200),
        ("largest, half a year", LARGEST, Windows(13, 26, 13), 200),
    ],
)
def test_the_best_estimate_of_a_part_stays_above_the_floor(
    instances: list[Interactions], name: str, taken_out: int, windows: Windows, most: int
) -> None:
    found = errors(instances, taken_out, windows, most)
    print(f"{name}: least squares {found[0]:.3f}, shrunk {found[1]:.3f}")
    floor = FLOORS[name]
    assert found[0] > floor[0]
    assert found[1] > floor[1]
    # A floor far below what is measured would say nothing.
    assert found[0] < 1.35 * floor[0]


def test_without_noise_two_windows_give_the_part_away(instances: list[Interactions]) -> None:
    found = errors(instances, TYPICAL, Windows(1, 1, 0), 200, noisy=False)
    # Only what changed from one window to the next is in the way.
    assert found[0] < 0.25


def errors(
    instances: list[Interactions], taken_out: int, windows: Windows, most: int, *, noisy: bool = True
) -> tuple[float, float]:
    """Return the relative errors of least squares and of its best shrinkage."""
    rng = np.random.default_rng(5)
    aggregator = next(number for number in range(INSTANCES) if number != taken_out)
    total = np.sum([counting.counts(one) for one in instances], axis=0)
    least = head_minimum(5, LEVEL.counts_noise)
    head = statistics.head(total, min_users=least, max_head=most)
    users = list(instances)
    held, held_with, variances, parts = [], [], [], []
    schedule = [False] * windows.before + [True] * windows.with_peer + [False] * windows.after
    for with_peer in schedule:
        members = [n for n in range(INSTANCES) if n != aggregator and (with_peer or n != taken_out)]
        shares = float(share_variance(1, least_threshold(len(members)), 1)) * len(members)
        summed = np.sum([vector(users[n], head) for n in members], axis=0)
        if noisy:
            drawn = poisson_noise(SumNoise(shares * LEVEL.counts_noise, shares * LEVEL.pairs_noise), rng)
            noise = np.concatenate((drawn(0, head.size), drawn(1, summed.size - head.size)))
            summed = summed + noise / UNIT
        held.append(summed)
        held_with.append(with_peer)
        # What users changed is unknown as well, and small beside the noise.
        variances.append(shares if noisy else 1.0)
        if with_peer:
            parts.append(vector(users[taken_out], head))
        users = [changed(one, total, rng) for one in users]
    part = np.mean(parts, axis=0)
    estimate = least_squares(np.array(held), np.array(held_with), np.array(variances))
    shrunk = estimate * float(estimate @ part) / float(estimate @ estimate)
    length = np.linalg.norm(part)
    return (
        float(np.linalg.norm(estimate - part) / length),
        float(np.linalg.norm(shrunk - part) / length),
    )


def least_squares(
    held: NDArray[np.float64], with_peer: NDArray[np.bool_], variances: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the estimate of the peer's part, (entries,), that has the least variance of all unbiased ones.

    Each sum, a row of `held` (sums, entries), is the others' part, the peer's where it took part, and noise
    (Aitken 1935, "On least squares and linear combination of observations").
    """
    design = np.stack([np.ones(len(held)), with_peer.astype(float)], axis=1)
    weighted = design / variances[:, None]
    estimate: NDArray[np.float64] = np.linalg.solve(design.T @ weighted, weighted.T @ held)[1]
    return estimate


def vector(users: Interactions, head: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return an instance's exact part of both sums, in viewers: counts over the head, then pairs."""
    counts = counting.weighted_counts(users, head)[head]
    return np.concatenate([counts, counting.pair_counts(users, head)]) / UNIT


def changed(users: Interactions, popularity: NDArray[np.int64], rng: np.random.Generator) -> Interactions:
    """Return the same users, of whom a few engaged with one more video: the least that ends a window."""
    matrix = users.matrix.tolil()
    chance = popularity / popularity.sum()
    for row in rng.choice(users.users, min(CHANGED, users.users), replace=False):
        matrix[int(row), int(rng.choice(len(chance), p=chance))] = 1
    return Interactions(csr_array(matrix.tocsr().astype(np.uint8)))
