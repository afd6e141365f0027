"""What releases cost: epsilon, and what it means for somebody who guesses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import isfinite, sqrt
from typing import Any

from policies.accounting import Relation, Release, detection, epsilon, guess
from policies.privacy import PROTECTION, Level

FALSE_ALARMS = 0.05
# Beyond this, the best guess fails less often than once in 30,000 times; as figures it counts as certain.
_CERTAIN = 64.0


@dataclass(frozen=True)
class Cost:
    """What is known after some releases by somebody who knows everything except one thing.

    Attributes:
        epsilon: at delta 1e-6.
        guess: part of right answers to "is it in the sums?", from 0.5, a coin, to 1.
        detection: part of what is really there that is found, while 5 of 100 claims about what is not there
            are wrong.
    """

    epsilon: float
    guess: float
    detection: float

    def as_json(self) -> dict[str, Any]:
        """Return numbers; an epsilon without bound is the string "infinite"."""
        return {
            "epsilon": number(self.epsilon),
            "guess": round(self.guess, 4),
            "detection": round(self.detection, 4),
        }


Costs = Mapping[Relation, Cost]


def cost(releases: Iterable[Release], relation: Relation) -> Cost:
    """Return the cost of all releases together for one relation."""
    known = tuple(releases)
    spent = epsilon(known, relation)
    if isfinite(spent) and sum(one.load(relation) for one in known) <= _CERTAIN:
        return Cost(spent, guess(known, relation), detection(known, FALSE_ALARMS, relation))
    # Never too low, and loss distributions of so many entries take their time.
    return Cost(spent, 1.0, 1.0)


def costs(releases: Iterable[Release]) -> dict[Relation, Cost]:
    """Return the cost of all releases together for each relation."""
    known = tuple(releases)
    return {relation: cost(known, relation) for relation in Relation}


def costs_as_json(found: Costs) -> dict[str, Any]:
    """Return `costs` as JSON values, by the relation's name."""
    return {relation.value: one.as_json() for relation, one in found.items()}


def level_of(counts_noise: float, pairs_noise: float, max_videos_per_user: int) -> Level:
    """Return the strongest level whose demands such a sum meets."""
    return max(
        (
            level
            for level, asked in PROTECTION.items()
            if counts_noise >= asked.counts_noise
            and pairs_noise >= asked.pairs_noise
            and max_videos_per_user <= asked.max_videos_per_user
        ),
        key=lambda level: PROTECTION[level].pairs_noise,
        default=Level.NONE,
    )


def deviation(variance: float) -> float:
    """Return the standard deviation: by how much a number in the sum is usually off."""
    return sqrt(variance)


def number(value: float) -> float | str:
    """Return a number that JSON can hold; infinity is the string "infinite"."""
    return round(value, 4) if isfinite(value) else "infinite"
