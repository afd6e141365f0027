"""How often rounds complete when members are lost: the rule, draws of it, and the state machines themselves.

A round of a sub-cohort has five stages. A lost member stops answering at a stage drawn at random, and is back
or not at the next try, independently. The rule that follows from the protocol: an attempt needs its threshold
at every stage. One that fails before confirmations went out is retried with the whole roster; once they went
out, the same attempt is resumed, with those that confirmed, and what they reveal adds up.

`check` holds the rule against real members and a real aggregator, on the same draws.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from federation.aggregator import REQUESTS, Aggregator
from federation.envelope import Stage
from federation.errors import CohortLost
from federation.flower.app.laboratory import ENTRY_BOUND, Laboratory
from federation.journal import MemoryJournal
from federation.proposal import SignedProposal, least_threshold

STAGES = len(REQUESTS)
ATTEMPTS, RESUMES = 3, 2
"""The first attempt and two retries; each try after the one in which confirmations went out is a resumption.
The daemon goes on for longer: at its pauses all of these are over long before a proposal expires."""
TRIES = ATTEMPTS + RESUMES
DRAWS = 50_000
"""Rounds drawn per share: one of 99.9 % is then known to 0.01 percentage points (one standard error)."""
NEVER = STAGES
"""Stage of a member that is not lost."""
_CONFIRM, _UNMASK = REQUESTS.index(Stage.SURVIVORS), REQUESTS.index(Stage.CONFIRMATIONS)
_LENGTH = 8


def draw(shape: tuple[int, ...], loss: float, rng: np.random.Generator) -> NDArray[np.int8]:
    """Draw for each member and try the stage from which it is lost, `NEVER` where it is not."""
    stage = rng.integers(0, STAGES, shape, dtype=np.int8)
    return np.where(rng.random(shape, dtype=np.float32) < loss, stage, np.int8(NEVER))


def rule(lost_at: NDArray[np.int8], threshold: int) -> NDArray[np.bool_]:
    """Say after each try whether the round is complete.

    Args:
        lost_at: (tries, ..., members) as `draw` gives them.
        threshold: of the sub-cohort.

    Returns:
        (tries, ...), true from the try on that completes it.
    """
    confirmed = np.zeros(lost_at.shape[1:], np.bool_)
    revealed = np.zeros_like(confirmed)
    resumed = np.full(lost_at.shape[1:-1], -1)
    complete = np.zeros(lost_at.shape[:-1], np.bool_)
    for number, stage in enumerate(lost_at):
        answers = stage > _CONFIRM
        opens = (resumed < 0) & (answers.sum(axis=-1) >= threshold) & (number < ATTEMPTS)
        # Whoever confirmed stays whom this round is opened with.
        confirmed |= opens[..., None] & answers
        resumed += opens | (resumed >= 0)
        asked = confirmed & (resumed <= RESUMES)[..., None]
        revealed |= asked & (stage > _UNMASK)
        complete[number] = revealed.sum(axis=-1) >= threshold
    return complete


@dataclass(frozen=True)
class Shares:
    """Shares in [0, 1]: of rounds, or of runs, complete at the first attempt and after the last try."""

    first: float
    end: float


@dataclass(frozen=True)
class Completed:
    """What completes when so many members are lost.

    Attributes:
        loss: share of members lost at each try.
        rounds: of one sub-cohort each.
        any_sub_cohort: runs of the whole group in which at least one sub-cohort completes.
        all_sub_cohorts: runs in which all do.
    """

    loss: float
    rounds: Shares
    any_sub_cohort: Shares
    all_sub_cohorts: Shares


def completed(sub_cohorts: Sequence[int], loss: float, seed: int, draws: int = DRAWS) -> Completed:
    """Draw rounds of a group with sub-cohorts of these sizes, and count."""
    found = [_of_one(members, loss, seed, draws) for members in sub_cohorts]
    # Members of different sub-cohorts are lost independently.
    return Completed(
        loss,
        *(
            Shares(*(share([one[when] for one in found]) for when in (0, -1)))
            for share in (_mean, lambda each: 1 - math.prod(1 - one for one in each), math.prod)
        ),
    )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _of_one(members: int, loss: float, seed: int, draws: int) -> list[float]:
    """Return the share of rounds of one sub-cohort that are complete after each try."""
    rng = np.random.default_rng([seed, members, round(loss * 1000)])
    complete = rule(draw((TRIES, draws, members), loss, rng), least_threshold(members))
    return [float(share) for share in complete.mean(axis=1)]


@dataclass(frozen=True)
class Checked:
    """Real rounds: how many were run, in how many every try ended as the rule says, how many completed."""

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
    """Run rounds of one sub-cohort, short vectors, with losses taken from `losses` in turn."""
    agreed = completed = 0
    for run in range(runs):
        rng = np.random.default_rng([seed, members, run])
        lost_at = draw((TRIES, members), losses[run % len(losses)], rng)
        found = InProcessCohort(members, seed + run).round_(lost_at)
        agreed += found == rule(lost_at, least_threshold(members)).tolist()
        completed += found[-1]
        progress((run + 1) / runs)
    return Checked(runs, agreed, completed)


class InProcessCohort:
    """Real members and an aggregator, who is one of them, in one process without a network."""

    def __init__(self, members: int, seed: int) -> None:
        self._laboratory = Laboratory(members, seed)
        instances = [self._laboratory.instance(number) for number in range(members)]
        self._aggregator = instances[0]
        self._members = {one.identity.host: (one, one.node(MemoryJournal())) for one in instances}
        self._journal = MemoryJournal()

    def round_(self, lost_at: NDArray[np.int8]) -> list[bool]:
        """Run the tries of a round, (tries, members); say after each whether the exact sum is there."""
        signed: SignedProposal | None = None
        attempts = resumes = 0
        found: list[bool] = []
        for stages in lost_at.tolist():
            exact = any(found)
            if not exact and (resumes < RESUMES if signed else attempts < ATTEMPTS):
                attempts += signed is None
                resumes += signed is not None
                signed = signed or self._aggregator.propose(length=_LENGTH, entry_bound=ENTRY_BOUND)
                exact, bound = self._try(signed, dict(zip(self._members, stages, strict=True)))
                signed = signed if bound else None
            found.append(exact)
        return found

    def _try(self, signed: SignedProposal, gone: dict[str, int]) -> tuple[bool, bool]:
        """Begin or resume an attempt; say whether it gave the exact sum, and whether it binds its members."""
        host = self._aggregator
        aggregator = Aggregator(signed, host.identity, self._journal, host.limits)
        try:
            while (stage := aggregator.stage) is not None:
                for member, request in aggregator.requests().items():
                    if gone[member] > REQUESTS.index(stage):
                        instance, node = self._members[member]
                        aggregator.receive(member, instance.answer(node, request))
                aggregator.close()
        except CohortLost:
            return False, bool(aggregator.confirmed)
        result = aggregator.result
        expected = self._laboratory.total(result.survivors, signed.proposal.length)
        return bool(np.array_equal(result.total, expected)), True
