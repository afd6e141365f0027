"""How often sums complete when members are lost: the rule, draws of it, and the state machines themselves.

A session of a part is two sums, counts and pairs, of five stages each. A lost member answers from a stage
drawn at random on nothing more. The rule that follows from the protocol: each sum needs its threshold at
every stage, and the pairs need exactly those whose counts are in the first sum, up to the stage where their
vectors are in. `check` holds the rule against real members and a real aggregator, on the same draws.
"""

from __future__ import annotations

import random
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from federation.aggregator import REQUESTS, Aggregator, SumResult
from federation.errors import CohortLost
from federation.identity import Identity
from federation.journal import MemoryJournal
from federation.limits import Limits
from federation.node import MemberNode, Preparation
from federation.proposal import Proposal, SignedProposal, least_threshold

STAGES = len(REQUESTS)
DRAWS = 4000
"""Sessions drawn per share: it is then known to 0.8 percentage points (one standard error)."""
NEVER = 2 * STAGES
"""Stage of a member that is not lost."""
_VECTORS = 3
"""Stages of a sum until the vectors are in."""
_LENGTH = 8
_BOUND = 1000
_START = 1_800_000_000


@dataclass(frozen=True)
class Completed:
    """Shares of draws, in [0, 1].

    Attributes:
        counts: parts whose first sum completes.
        parts: parts whose session completes.
        any_part: sessions of the group in which at least one part completes.
        all_parts: sessions in which all do.
    """

    counts: float
    parts: float
    any_part: float
    all_parts: float


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
        threshold: of the part.

    Returns:
        two arrays of the leading shape.
    """
    first = (lost_at >= STAGES).sum(axis=-1) >= threshold
    # Whose counts are in must answer until its pairs are in as well.
    missing = ((lost_at >= _VECTORS) & (lost_at < STAGES + _VECTORS)).any(axis=-1)
    return first, first & ~missing & ((lost_at >= NEVER).sum(axis=-1) >= threshold)


def completed(
    parts: Sequence[int], loss: float, draws: int, seed: int, *, from_the_start: bool = False
) -> Completed:
    """Draw so many sessions of a group with these parts, and count."""
    rng = np.random.default_rng([seed, round(loss * 1000), from_the_start])
    counts, whole = np.zeros((2, draws, len(parts)), np.bool_)
    for number, members in enumerate(parts):
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
    on_run: Callable[[], None] = lambda: None,
) -> Checked:
    """Run sessions of one part, short vectors, with losses taken from `losses` in turn.

    In every other session they are away from the start: large parts would else hardly ever complete, and the
    rule be held against failures only.
    """
    agreed = completed = 0
    for run in range(runs):
        rng = np.random.default_rng([seed, members, run])
        lost_at = draw(members, losses[run // 2 % len(losses)], rng, from_the_start=run % 2 == 1)
        cohort = Cohort.of(members, seed + run)
        first, whole = (bool(found) for found in rule(lost_at, least_threshold(members)))
        found = cohort.session(lost_at)
        agreed += found == (first, whole)
        completed += found[1]
        on_run()
    return Checked(runs, agreed, completed)


@dataclass
class Cohort:
    """Real members and an aggregator, who is one of them, in one process without a network."""

    identities: tuple[Identity, ...]
    nodes: dict[str, MemberNode]
    vectors: dict[str, NDArray[np.int64]]

    @classmethod
    def of(cls, members: int, seed: int) -> Cohort:
        """Return a cohort in which everybody knows everybody."""
        rng = random.Random(seed)  # noqa: S311 (keys of nobody)
        identities = tuple(Identity(f"m{n:04}.example", rng.randbytes(32)) for n in range(members))
        known = {identity.host: identity.public for identity in identities}
        nodes = {
            identity.host: MemberNode(
                identity,
                MemoryJournal(),
                peer=known.get,
                admit=lambda _: None,
                clock=lambda: float(_START),
                random=rng.randbytes,
            )
            for identity in identities
        }
        numbers = np.random.default_rng(seed)
        vectors = {host: numbers.integers(0, _BOUND, _LENGTH) for host in nodes}
        return cls(identities, nodes, vectors)

    def session(self, lost_at: NDArray[np.int64]) -> tuple[bool, bool]:
        """Run both sums; say whether the first, and the session, ended with the exact sum."""
        gone = dict(zip(self.nodes, lost_at.tolist(), strict=True))
        proposal = self._proposal()
        signed, first = self._sum(proposal, gone, 0)
        if first is None:
            return False, False
        follows = replace(
            proposal,
            round=1,
            parent=signed.sum_id,
            survivors=first.survivors,
            nonce=secrets.token_bytes(16),
        )
        _, second = self._sum(follows, gone, STAGES)
        return True, second is not None and second.survivors == first.survivors

    def _proposal(self) -> Proposal:
        roster = tuple(identity.public for identity in self.identities)
        return Proposal(
            aggregator=self.identities[0].host,
            roster=roster,
            threshold=least_threshold(len(roster)),
            trainer="losses",
            round=0,
            length=_LENGTH,
            entry_bound=_BOUND,
            ring=32,
            nonce=secrets.token_bytes(16),
            created=_START,
            expires=_START + 600,
        )

    def _sum(
        self, proposal: Proposal, gone: dict[str, int], before: int
    ) -> tuple[SignedProposal, SumResult | None]:
        host, limits = self.identities[0], Limits()
        signed = SignedProposal.sign(proposal, host, limits)
        aggregator = Aggregator(signed, host, MemoryJournal(), limits)
        stage = before
        try:
            while not aggregator.finished:
                for member, request in aggregator.requests().items():
                    if gone[member] > stage:
                        aggregator.receive(member, self._answer(member, request))
                aggregator.close()
                stage += 1
        except CohortLost:
            return signed, None
        result = aggregator.result
        expected = np.sum([self.vectors[member] for member in result.survivors], axis=0)
        return signed, result if np.array_equal(result.total, expected) else None

    def _answer(self, member: str, request: bytes) -> bytes:
        node = self.nodes[member]
        answer = node.receive(request)
        if isinstance(answer, Preparation):
            return node.accept(answer, self.vectors[member])
        return answer
