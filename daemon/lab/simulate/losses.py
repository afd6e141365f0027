"""How often sums complete when members are lost: the rule, draws of it, and the state machines themselves.

A session of a sub-cohort is two sums, counts and pairs, of five stages each. A lost member stops answering at
a stage drawn at random. The rule that follows from the protocol: each sum needs its threshold at every stage,
and the pairs need exactly those whose counts are in the first sum, up to the stage where their vectors are
in. `check` holds the rule against real members and a real aggregator, on the same draws.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from federation.aggregator import REQUESTS, Aggregator
from federation.errors import CohortLost
from federation.flower.app.laboratory import ENTRY_BOUND, Laboratory
from federation.journal import MemoryJournal
from federation.proposal import SignedProposal, least_threshold

STAGES = len(REQUESTS)
DRAWS = 4000
"""Sessions drawn per share: it is then known to 0.8 percentage points (one standard error)."""
NEVER = 2 * STAGES
"""Stage of a member that is not lost."""
_VECTORS = 3
"""Stages of a sum until the vectors are in."""
_LENGTH = 8


@dataclass(frozen=True)
class Completed:
    """Shares of draws, in [0, 1].

    Attributes:
        counts: sub-cohorts whose first sum completes.
        sub_cohorts: sub-cohorts whose session completes.
        any_sub_cohort: sessions of the group in which at least one sub-cohort completes.
        all_sub_cohorts: sessions in which all do.
    """

    counts: float
    sub_cohorts: float
    any_sub_cohort: float
    all_sub_cohorts: float


def draw(
    members: int, loss: float, rng: np.random.Generator, *, from_the_start: bool = False
) -> NDArray[np.int64]:
    """Draw for each member the stage from which it is lost, (members,) int64, `NEVER` for the others."""
    lost = rng.random(members) < loss
    stage = np.zeros(members, np.int64) if from_the_start else rng.integers(0, NEVER, members)
    return np.where(lost, stage, NEVER)


def rule(lost_at: NDArray[np.int64], threshold: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Say whether the first sum, and the session, completes.

    Args:
        lost_at: (..., members) as `draw` gives them.
        threshold: of the sub-cohort.

    Returns:
        two arrays of the leading shape.
    """
    first = (lost_at >= STAGES).sum(axis=-1) >= threshold
    # Whose counts are in must answer until its pairs are in as well.
    missing = ((lost_at >= _VECTORS) & (lost_at < STAGES + _VECTORS)).any(axis=-1)
    return first, first & ~missing & ((lost_at >= NEVER).sum(axis=-1) >= threshold)


def completed(
    sub_cohorts: Sequence[int], loss: float, draws: int, seed: int, *, from_the_start: bool = False
) -> Completed:
    """Draw so many sessions of a group with sub-cohorts of these sizes, and count."""
    rng = np.random.default_rng([seed, round(loss * 1000), from_the_start])
    counts, whole = np.zeros((2, draws, len(sub_cohorts)), np.bool_)
    for number, members in enumerate(sub_cohorts):
        lost = np.stack([draw(members, loss, rng, from_the_start=from_the_start) for _ in range(draws)])
        counts[:, number], whole[:, number] = rule(lost, least_threshold(members))
    return Completed(
        float(counts.mean()),
        float(whole.mean()),
        float(whole.any(axis=1).mean()),
        float(whole.all(axis=1).mean()),
    )


@dataclass(frozen=True)
class Checked:
    """Real sessions: how many were run, in how many both sums ended as the rule says, how many completed."""

    runs: int
    agreed: int
    completed: int


def check(
    members: int,
    losses: Sequence[float],
    runs: int,
    seed: int,
    progress: Callable[[float], None] = lambda _: None,
) -> Checked:
    """Run sessions of one sub-cohort, short vectors, with losses taken from `losses` in turn.

    In every other session they are away from the start: large sub-cohorts would otherwise hardly ever
    complete, and the rule be held against failures only.
    """
    agreed = completed = 0
    for run in range(runs):
        rng = np.random.default_rng([seed, members, run])
        lost_at = draw(members, losses[run // 2 % len(losses)], rng, from_the_start=run % 2 == 1)
        first, whole = (bool(found) for found in rule(lost_at, least_threshold(members)))
        found = InProcessCohort(members, seed + run).session(lost_at)
        agreed += found == (first, whole)
        completed += found[1]
        progress((run + 1) / runs)
    return Checked(runs, agreed, completed)


class InProcessCohort:
    """Real members and an aggregator, who is one of them, in one process without a network."""

    def __init__(self, members: int, seed: int) -> None:
        self._laboratory = Laboratory(members, seed)
        instances = [self._laboratory.instance(number) for number in range(members)]
        self._aggregator = instances[0]
        self._members = {one.identity.host: (one, one.node(MemoryJournal())) for one in instances}

    def session(self, lost_at: NDArray[np.int64]) -> tuple[bool, bool]:
        """Run both sums; say whether the first, and the session, ended with the exact sum."""
        gone = dict(zip(self._members, lost_at.tolist(), strict=True))
        first = self._aggregator.propose(length=_LENGTH, entry_bound=ENTRY_BOUND)
        survivors = self._sum(first, gone, 0)
        if not survivors:
            return False, False
        follows = replace(
            first.proposal,
            round=1,
            parent=first.sum_id,
            survivors=survivors,
            nonce=secrets.token_bytes(16),
        )
        host, limits = self._aggregator.identity, self._aggregator.limits
        return True, self._sum(SignedProposal.sign(follows, host, limits), gone, STAGES) == survivors

    def _sum(self, signed: SignedProposal, gone: dict[str, int], before: int) -> tuple[str, ...]:
        """Return who is in an exact sum; nobody where there is none."""
        host = self._aggregator
        aggregator = Aggregator(signed, host.identity, MemoryJournal(), host.limits)
        stage = before
        try:
            while not aggregator.finished:
                for member, request in aggregator.requests().items():
                    if gone[member] > stage:
                        instance, node = self._members[member]
                        aggregator.receive(member, instance.answer(node, request))
                aggregator.close()
                stage += 1
        except CohortLost:
            return ()
        result = aggregator.result
        expected = self._laboratory.total(result.survivors, signed.proposal.length)
        return result.survivors if np.array_equal(result.total, expected) else ()
