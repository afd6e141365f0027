"""A cohort in one process, without network: real nodes, real bytes, chosen losses and crashes."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from federation.aggregator import Aggregator, resume
from federation.errors import CohortLost, Refusal
from federation.identity import Identity, PublicIdentity
from federation.journal import Journal, MemoryJournal
from federation.limits import Limits
from federation.node import Contributions, MemberNode, Preparation
from federation.proposal import Proposal, Segment, SignedProposal, least_threshold

Values = NDArray[np.int64]
NOW = 1_800_000_000


class Clock:
    """Seconds that pass only when told to."""

    def __init__(self, now: float = NOW) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@dataclass
class Instance:
    """One simulated instance: what survives a crash (identity, journal, values) and its node."""

    identity: Identity
    values: Values
    random: Callable[[int], bytes]
    clock: Clock
    peers: dict[str, PublicIdentity] = field(default_factory=dict)
    check_policies: Callable[[Proposal], None] = lambda _: None
    journal: Journal = field(default_factory=MemoryJournal)
    limits: Limits = field(default_factory=Limits)
    count: Callable[[Proposal], Values] | None = None
    """What it gives to a proposal; without it, always `values`."""
    contributions: Contributions | None = None
    node: MemberNode = field(init=False)

    def start(self) -> None:
        """Start, or start again after a crash: all that is left is in the journal."""
        self.node = MemberNode(
            self.identity,
            self.journal,
            peer=self.peers.get,
            check_policies=self.check_policies,
            clock=self.clock,
            random=self.random,
            limits=self.limits,
            contributions=self.contributions,
        )

    def handle(self, raw: bytes) -> bytes:
        """Answer one request, preparing a proposal with this instance's values."""
        answer = self.node.receive(raw)
        if isinstance(answer, Preparation):
            values = self.values if self.count is None else self.count(answer.proposal)
            return self.node.accept(answer, values)
        return answer


Fault = Callable[[str, str], str]
"""From (stage, host) to "" (answer), "lost" (the request never arrives), "deaf" (the answer never arrives) or
"crash" (the instance starts again after answering, and is asked the same once more)."""


@dataclass
class Cohort:
    """An aggregator and its members, who all know each other."""

    aggregator: Identity
    members: dict[str, Instance]
    clock: Clock
    limits: Limits
    journal: MemoryJournal = field(default_factory=MemoryJournal)
    log: list[tuple[str, str, str]] = field(default_factory=list)

    @classmethod
    def of(cls, inputs: Sequence[Values], *, seed: int = 0, limits: Limits | None = None) -> Cohort:
        """Return a cohort of len(inputs) members with these vectors, all of the same length."""
        rng = random.Random(seed)
        clock, limits = Clock(), limits or Limits()
        aggregator = Identity("aggregator.example", rng.randbytes(32))
        members = {}
        for number, values in enumerate(inputs):
            identity = Identity(f"m{number:03}.example", rng.randbytes(32))
            members[identity.host] = Instance(identity, values, rng.randbytes, clock, limits=limits)
        everyone = {m.identity.host: m.identity.public for m in members.values()}
        everyone[aggregator.host] = aggregator.public
        for member in members.values():
            member.peers = everyone
            member.start()
        return cls(aggregator, members, clock, limits)

    def propose(self, **changes: object) -> SignedProposal:
        """Return a signed proposal to everybody, with some of its fields changed."""
        roster = tuple(member.identity.public for _, member in sorted(self.members.items()))
        values = next(iter(self.members.values())).values
        content: dict[str, object] = {
            "aggregator": self.aggregator.host,
            "roster": roster,
            "threshold": least_threshold(len(roster)),
            "trainer": "test",
            "segments": (Segment(len(values)),),
            "entry_bound": 1000,
            "ring": 32,
            "nonce": bytes(16),
            "created": int(self.clock.now),
            "expires": int(self.clock.now) + 600,
        }
        proposal = Proposal(**{**content, **changes})  # type: ignore[arg-type]
        return SignedProposal.sign(proposal, self.aggregator, self.limits)

    def aggregate(self, signed: SignedProposal) -> Aggregator:
        """Return the aggregator of a proposal."""
        return Aggregator(signed, self.aggregator, self.journal, self.limits)

    def run(
        self,
        signed: SignedProposal,
        fault: Fault = lambda _stage, _host: "",
        *,
        crash_aggregator_at: frozenset[str] = frozenset(),
    ) -> Aggregator:
        """Drive one sum to its end.

        Raises:
            CohortLost: too few members were left.

        """
        aggregator = self.aggregate(signed)
        while not aggregator.finished:
            stage = str(aggregator.stage)
            for host, request in aggregator.requests().items():
                self._ask(aggregator, stage, host, request, fault(stage, host))
                if stage in crash_aggregator_at:
                    aggregator = resume(signed.round_id, self.aggregator, self.journal, self.limits)
            aggregator.close()
        return aggregator

    def _ask(self, aggregator: Aggregator, stage: str, host: str, request: bytes, fault: str) -> None:
        if fault == "lost" or host not in aggregator.awaited:
            return
        member = self.members[host]
        try:
            answer = member.handle(request)
            if fault == "crash":
                member.start()
                assert member.handle(request) == answer, "the same request must get the same bytes"
            if fault != "deaf":
                aggregator.receive(host, answer)
            self.log.append((stage, host, "answered"))
        except Refusal as refusal:
            self.log.append((stage, host, str(refusal.code)))
            if host in aggregator.awaited:
                aggregator.drop(host, str(refusal.code))


__all__ = ["NOW", "Clock", "Cohort", "CohortLost", "Instance"]
