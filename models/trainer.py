"""Trainers: models learnt from sums over users, one sum after another.

A trainer answers four questions and knows nothing of peers: the first public state, the contribution of my
users given the public state, the next state given the sum, and whether it is done. Federation code drives
it and knows nothing of models.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from models import statistics
from models.errors import SumError
from models.interactions import Interactions
from models.noise import NO_NOISE, SumNoise, slack
from models.statistics import Statistic

S = TypeVar("S")


class Trainer(Protocol[S]):
    """A model whose every step needs nothing of the users but a sum of integers over them."""

    def start(self, vocabulary: int) -> S:
        """Return the first public state, for a vocabulary of that many videos."""

    def contribution(self, state: S, users: Interactions) -> NDArray[np.int64]:
        """Return the flat vector of these users, (n,) int64; it is all that leaves the instance.

        Columns of `users` are the vocabulary. Contributions add up: that of a union of users is the sum of
        theirs.
        """

    def advance(self, state: S, total: NDArray[np.int64]) -> S:
        """Return the next public state, given the sum. Raises SumError for an impossible sum."""

    def done(self, state: S) -> bool:
        """Say whether no further sum is needed."""


@dataclass(frozen=True)
class Counting:
    """First sum: users per video of the vocabulary."""

    vocabulary: int


@dataclass(frozen=True)
class PairCounting:
    """Second sum: users per pair of head videos. `counts` is the first sum, (vocabulary,) int64."""

    counts: NDArray[np.int64]
    head: NDArray[np.int64]


@dataclass(frozen=True)
class Summed:
    """The end: `counts` over the vocabulary and the statistic, its head as positions in the vocabulary."""

    counts: NDArray[np.int64]
    statistic: Statistic


GramState = Counting | PairCounting | Summed


@dataclass(frozen=True)
class GramTrainer:
    """Two sums, counts and then the Gram matrix over the head: all that the item model needs."""

    min_users: int
    """Users a video needs for the head, by the first sum as it is: noise must be allowed for here."""
    max_head: int
    noise: SumNoise = NO_NOISE
    """The largest that honest sums may carry: with every member among the survivors."""

    def start(self, vocabulary: int) -> GramState:
        """Begin with the counts."""
        return Counting(vocabulary)

    def contribution(self, state: GramState, users: Interactions) -> NDArray[np.int64]:
        """Return counts, (vocabulary,), then the head's pair counts, (h(h-1)/2,)."""
        match state:
            case Counting(vocabulary=vocabulary) if vocabulary == users.videos:
                return statistics.counts(users)
            case PairCounting(counts=counts, head=head) if counts.size == users.videos:
                return statistics.pair_counts(users, head)
            case Summed():
                raise ValueError("the session is done; there is nothing left to contribute")
        raise ValueError("the columns of the users' matrix must be the vocabulary of the session")

    def advance(self, state: GramState, total: NDArray[np.int64]) -> GramState:
        """Go from counts to the head, then from pairs to the statistic; a head of one has no pairs to sum."""
        match state:
            case Counting():
                _check_total(total, state.vocabulary, self.noise.counts)
                head = statistics.head(total, min_users=self.min_users, max_head=self.max_head)
                following = PairCounting(total.astype(np.int64), head)
                return following if head.size > 1 else self.advance(following, np.zeros(0, np.int64))
            case PairCounting():
                _check_total(total, statistics.pairs(state.head.size), self.noise.pairs)
                found = Statistic(state.head, state.counts[state.head], total.astype(np.int64))
                found.check(self.noise)
                return Summed(state.counts, found)
            case Summed():
                raise ValueError("the session is done; it takes no further sum")

    def done(self, state: GramState) -> bool:
        """Say whether the statistic is complete."""
        return isinstance(state, Summed)


def _check_total(total: NDArray[np.int64], length: int, variance: float) -> None:
    if total.shape != (length,):
        raise SumError(
            f"the sum has {total.size} entries where {length} were expected; run the session again"
        )
    if total.size and total.min() < -slack(variance):
        raise SumError("the sum holds a negative number of users; drop this session and run it again")
