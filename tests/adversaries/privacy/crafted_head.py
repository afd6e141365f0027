"""Attack 9: a head of rare videos, chosen by the aggregator to isolate whoever has some of them.

With one sum the head is the aggregator's word, and pairs are summed whatever their number. Pairs of videos
that one or two viewers have are theirs alone: without protection, a few known rare videos show all others.
Two things stand against it. Members count no video with fewer than 20 views on their own copy of the public
counter: such pairs hold noise and nothing else. And noise is in all pairs: the attack is that of
`completion`, with five known videos, on a head of rare ones. Which are rare is given to the attacker for
nothing. A viewer has few of them, and so the weight of one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from models.head import LEAST_VIEWS
from policies.privacy import Protection
from tests.adversaries.privacy import completion
from tests.adversaries.privacy.release import Release, release

KNOWN = 5
RARE = 5
"""Viewers in the cohort, at most."""


@dataclass(frozen=True)
class Crafted:
    """What the attacker gets.

    Attributes:
        release: the sum over the crafted head.
        counted: (h,) 1 where members count the video at all, else 0.
    """

    release: Release
    counted: NDArray[np.float32]


def craft(
    matrix: csr_array, at_most: int, seed: tuple[int, ...], *, among: NDArray[np.bool_] | None = None
) -> NDArray[np.int64]:
    """Choose (h,) videos with 1 to `RARE` users, ascending, at random where there are more.

    `among`: (videos,) those that may be chosen; None for all.
    """
    users = np.bincount(matrix.indices, minlength=matrix.shape[1])
    rare = (users > 0) & (users <= RARE)
    places = np.flatnonzero(rare if among is None else rare & among)
    return np.sort(np.random.default_rng([*seed, 9]).permutation(places)[:at_most]).astype(np.int64)


def ask(
    matrix: csr_array,
    head: NDArray[np.int64],
    views: NDArray[np.int64],
    level: Protection,
    seed: tuple[int, ...],
) -> Crafted:
    """Sum the pairs of this head, as members with these public counters count them."""
    public = views >= LEAST_VIEWS
    given = csr_array(matrix.multiply(public[None, :].astype(np.uint8)))
    given.eliminate_zeros()
    return Crafted(release(given, level, seed, head=head), public[head].astype(np.float32))


def attack(
    matrix: csr_array, crafted: Crafted, targets: NDArray[np.int64], seed: int
) -> completion.Completed:
    """Complete histories within the head from `KNOWN` of their videos."""
    knowledge = completion.prepare(crafted.release)
    return completion.attack(matrix, knowledge, targets, KNOWN, seed, counted=crafted.counted)
