"""What may differ between two inputs that must look alike, and what a release changes by it: plain types.

The arithmetic is in `policies.accounting`, which takes most of a second to load.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from itertools import pairwise

from models.weights import UNIT, weights

YEAR = 365 * 24 * 3600.0

Change = Counter[tuple[float, int]]
"""How many entries of a release change: by the variance of their noise, in viewers squared, and by how many
steps of one `UNIT`th of a viewer."""


class Relation(StrEnum):
    """What is added or removed between two inputs that must look alike."""

    PAIR = "pair"
    VIEW = "view"
    USER = "user"


@dataclass(frozen=True)
class Release:
    """What is given in one data window of one aggregator: counts and pairs, or, with a head of 0, counts.

    Noise is the declared variance per entry, in viewers squared. The same contribution given again is the
    same release.

    Attributes:
        viewers: the number of viewers is in it, with the noise of a count.
        decision: epsilon of what was decided by own viewers' likes, by an exponential mechanism or a
            threshold with noise. A release that is nothing else has no videos and no head.
    """

    counts_noise: float
    pairs_noise: float
    max_videos_per_user: int
    head: int
    viewers: bool = False
    decision: float = 0.0

    def changes(self, relation: Relation) -> tuple[Change, ...]:
        """Return what may change: no case changes more than one of these, entry by entry.

        There are several, since a viewer with more videos of the head weighs less.
        """
        paired = min(self.max_videos_per_user, self.head)
        return _changes(
            (self.counts_noise, self.pairs_noise, self.max_videos_per_user, paired, self.viewers), relation
        )

    def most(self, relation: Relation) -> Change:
        """Return the change that is largest against the noise."""
        return max(self.changes(relation), key=_load)

    def load(self, relation: Relation) -> float:
        """Return the squared shift, in standard deviations, of a Gaussian with as much loss.

        For a decision that is epsilon squared (Bun & Steinke 2016, proposition 1.4).
        """
        return _load(self.most(relation)) + self.decision**2


def _load(change: Change) -> float:
    return sum(
        count * (steps / UNIT) ** 2 / variance if variance else float("inf")
        for (variance, steps), count in change.items()
    )


_Sizes = tuple[float, float, int, int, bool]


@lru_cache(maxsize=1024)
def _changes(sizes: _Sizes, relation: Relation) -> tuple[Change, ...]:
    """Return the changes that no other one exceeds, for noises, videos, paired videos, and `viewers`."""
    counts_noise, pairs_noise, videos, paired, viewers = sizes
    if relation is Relation.PAIR:
        return (Change({(pairs_noise, UNIT): 1}) if paired > 1 else Change(),)
    if not videos:
        return (Change({(counts_noise, UNIT): 1}) if viewers and relation is Relation.USER else Change(),)
    weight: list[int] = weights(list(range(paired + 1))).tolist()
    found = []
    if relation is Relation.USER:
        for c in _largest([(one,) for one in weight]):
            change = _entries(counts_noise, weight[c], videos)
            change.update(_entries(pairs_noise, weight[c], c * (c - 1) // 2))
            change.update(_entries(counts_noise, UNIT, int(viewers)))
            found.append(change)
        return tuple(found)
    # Another video outside of the head, or the first one of the head: somebody's first view of all may make
    # one viewer more.
    found.append(_entries(counts_noise, UNIT, 1 + viewers))
    for c in _largest(list(pairwise(weight))):
        # From c videos of the head to c + 1, with as many others as the limit allows.
        fall = weight[c] - weight[c + 1]
        change = _entries(counts_noise, weight[c + 1], 1)
        change.update(_entries(pairs_noise, weight[c + 1], c))
        change.update(_entries(counts_noise, fall, videos - 1))
        change.update(_entries(pairs_noise, fall, c * (c - 1) // 2))
        found.append(change)
    return tuple(found)


def _largest(steps: list[tuple[int, ...]]) -> Iterator[int]:
    """Give the last place of each run: with the same weights, more videos change more entries."""
    for place, here in enumerate(steps):
        if place + 1 == len(steps) or steps[place + 1] != here:
            yield place


def _entries(variance: float, steps: int, number: int) -> Change:
    return Change({(variance, steps): number}) if steps and number else Change()
