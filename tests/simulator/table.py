"""A sum played by hand: every message to real members is made here, honestly or not."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping

import numpy as np

from federation import envelope, messages
from federation.envelope import Envelope, Stage
from federation.errors import Code, Refusal
from federation.identity import Identity
from federation.journal import Journal
from federation.messages import SealedShares
from federation.proposal import SignedProposal
from tests.simulator.cohort import Cohort, Instance

REQUESTS = (Stage.PROPOSE, Stage.KEYS, Stage.SHARES, Stage.SURVIVORS, Stage.CONFIRMATIONS)
Snapshot = dict[bytes, dict[str, bytes | None]]


def snapshot(journal: Journal) -> Snapshot:
    """Return everything a journal holds."""
    return {
        round_id: {n: journal.read(round_id, n) for n in journal.names(round_id)}
        for round_id in journal.ids()
    }


def read(raw: bytes) -> Envelope:
    """Return a message without any check of who signed it."""
    return envelope.parse(raw, max_size=1 << 30)


class Table:
    """A cohort of real members, the key of its aggregator, and what was answered so far."""

    def __init__(self, members: int = 5, *, length: int = 8, seed: int = 0, **changes: object) -> None:
        rng = np.random.default_rng(seed)
        self.cohort = Cohort.of([rng.integers(0, 1000, length) for _ in range(members)], seed=seed)
        for host, member in self.cohort.members.items():
            # The same secrets whenever asked, so that a crash before anything was answered repeats itself.
            member.random = hashlib.shake_256(host.encode()).digest
            member.start()
        self.signed: SignedProposal = self.cohort.propose(**changes)
        self.answers: dict[Stage, dict[str, bytes]] = {stage: {} for stage in REQUESTS}

    @property
    def hosts(self) -> tuple[str, ...]:
        """Hosts of the roster."""
        return self.signed.proposal.hosts

    @property
    def threshold(self) -> int:
        """Threshold of the proposal."""
        return self.signed.proposal.threshold

    def instance(self, host: str) -> Instance:
        """Return a member."""
        return self.cohort.members[host]

    def request(
        self,
        stage: Stage,
        payload: bytes,
        *,
        recipient: str = "",
        round_id: bytes | None = None,
        identity: Identity | None = None,
    ) -> bytes:
        """Return a signed request, the aggregator's where nobody else is named."""
        return envelope.seal(
            identity or self.cohort.aggregator,
            round_id=self.signed.round_id if round_id is None else round_id,
            stage=stage,
            recipient=recipient,
            payload=payload,
        )

    def answer(self, host: str, stage: Stage, payload: bytes) -> bytes:
        """Return an answer signed with a member's key: what a member under attack's control says."""
        return self.request(
            stage,
            payload,
            recipient=self.cohort.aggregator.host,
            identity=self.instance(host).identity,
        )

    def honest(self, stage: Stage, host: str) -> bytes:
        """Return the request of an honest aggregator to `host`, from the answers so far."""
        if stage is Stage.PROPOSE:
            return self.signed.raw
        if stage is Stage.KEYS:
            return self.request(stage, messages.encode_messages(self.answers[Stage.PROPOSE]))
        if stage is Stage.SHARES:
            return self.request(stage, messages.encode_sealed(self.boxes(host)), recipient=host)
        if stage is Stage.SURVIVORS:
            return self.request(stage, messages.encode_hosts([*self.answers[Stage.SHARES]]))
        return self.request(stage, messages.encode_messages(self.answers[Stage.SURVIVORS]))

    def boxes(self, host: str, sharers: Iterable[str] | None = None) -> dict[str, bytes]:
        """Return what the sharers sealed to `host`."""
        shared = self.answers[Stage.KEYS]
        return {
            other: SealedShares.from_payload(bytes(read(shared[other]).payload), self.cohort.limits).sealed[
                host
            ]
            for other in (shared if sharers is None else sharers)
            if other != host
        }

    def send(self, host: str, raw: bytes) -> bytes:
        """Give a request to a member and keep its answer under the request's stage."""
        answer = self.instance(host).handle(raw)
        self.answers[read(raw).stage][host] = answer
        return answer

    def play(self, stage: Stage, hosts: Collection[str] | None = None) -> Mapping[str, bytes]:
        """Play one stage honestly with `hosts`, or everybody."""
        chosen = sorted(self.hosts if hosts is None else hosts)
        for host, raw in [(host, self.honest(stage, host)) for host in chosen]:
            self.send(host, raw)
        return self.answers[stage]

    def play_until(self, stage: Stage) -> None:
        """Play every stage before `stage`."""
        for earlier in REQUESTS[: REQUESTS.index(stage)]:
            self.play(earlier)

    def refusal(self, host: str, raw: bytes) -> Code:
        """Give a member a request that it must refuse; check that nothing changed; return the code."""
        return self.refused(host, raw).code

    def refused(self, host: str, raw: bytes) -> Refusal:
        """Do the same and return the refusal."""
        instance = self.instance(host)
        before, states = snapshot(instance.journal), _states(instance)
        try:
            answer = instance.handle(raw)
        except Refusal as refusal:
            assert snapshot(instance.journal) == before, "a refused message changed the journal"
            after = _states(instance)
            assert after.keys() == states.keys()
            assert all(after[key] is states[key] for key in states), "a refused message changed the state"
            return refusal
        raise AssertionError(f"{host} answered {len(answer)} bytes to what it had to refuse")


def _states(instance: Instance) -> dict[bytes, object]:
    return {round_id: running.member.state for round_id, running in instance.node._running.items()}
