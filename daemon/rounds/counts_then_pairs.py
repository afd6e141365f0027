"""The two sums of one cohort, or sub-cohort, as its aggregator: proposals, journal, driving.

The journal makes it resumable: started again while its session is open, it continues with the same proposals,
and members answer what they have answered before.
"""

from __future__ import annotations

import secrets
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from daemon.config import Config
from daemon.rounds import crash_points, round_config
from daemon.rounds.contribution_job import trainer_of, write_counts
from daemon.store.traffic import TrafficCounter
from federation import cbor, cbor_fields, envelope
from federation.aggregator import REQUESTS, Aggregator, SumResult
from federation.aggregator_driver import StageTimeouts, drive
from federation.blob_access import BlobServer, reference_to
from federation.carrier import Carrier
from federation.envelope import Stage
from federation.errors import Code, Refusal
from federation.identity import Identity, PublicIdentity
from federation.journal import Journal
from federation.limits import Limits
from federation.masks import RING
from federation.proposal import Proposal, SignedProposal, least_threshold
from models.trainer import PairCounting, Summed
from policies.sharing import TRAINER

ROUNDS = ("counts", "pairs")
_SUB_COHORT = "sub-cohort"

Carry = Callable[[SignedProposal], Carrier]
"""What carries the messages of one sum."""


@dataclass(frozen=True)
class SubCohort:
    """One of the cohorts that a session sums: its first proposal, and where it belongs."""

    first: SignedProposal
    run: str
    number: int

    @property
    def session(self) -> str:
        """The id of its session."""
        return self.first.sum_id.hex()


@dataclass
class Rounds:
    """What all sub-cohorts of a session are driven with.

    `progress` is called with a stage's name and the share of a round that is done, in [0, 1]; `may_go_on`
    after every answer, and raises Refusal when a sum must be given up.
    """

    config: Config
    identity: Identity
    journal: Journal
    limits: Limits
    clock: Callable[[], float]
    progress: Callable[[str, float], None]
    may_go_on: Callable[[Proposal], None] = lambda _proposal: None
    colluders: int = round_config.COLLUDERS
    traffic: TrafficCounter = field(default_factory=TrafficCounter)
    seconds: dict[str, dict[str, float]] = field(default_factory=dict)
    """By session: wall time per stage."""

    def __post_init__(self) -> None:
        self.blob_server = BlobServer(self.identity, self.journal, clock=self.clock, limits=self.limits)

    # -- proposals ------------------------------------------------------------------------------------------

    def propose(self, vocabulary: bytes, rosters: tuple[tuple[PublicIdentity, ...], ...]) -> list[SubCohort]:
        """Sign the first sum of every cohort, and journal it."""
        length = len(round_config.decode_vocabulary(vocabulary, at_most=self.config.sharing.max_vocabulary))
        signed = [self._first(vocabulary, length, roster, len(rosters)) for roster in rosters]
        run = signed[0].sum_id.hex()
        sub_cohorts = [SubCohort(first, run, number) for number, first in enumerate(signed)]
        for sub_cohort in sub_cohorts:
            # Last: what lacks it was not sent to anybody yet, and is forgotten after a crash.
            note = cbor.encode({"run": sub_cohort.run, "number": sub_cohort.number})
            self.journal.write(sub_cohort.first.sum_id, _SUB_COHORT, note)
        return sub_cohorts

    def _first(
        self, vocabulary: bytes, length: int, roster: tuple[PublicIdentity, ...], sub_cohorts: int
    ) -> SignedProposal:
        now = int(self.clock())
        proposal = Proposal(
            aggregator=self.identity.host,
            roster=roster,
            threshold=least_threshold(len(roster)),
            trainer=TRAINER,
            round=0,
            length=length,
            entry_bound=self.config.sharing.max_users,
            ring=RING,
            nonce=secrets.token_bytes(16),
            created=now,
            expires=now + int(self.config.cohort.session_expiry.total_seconds()),
            noise=round_config.protection(self.config).counts_noise,
            colluders=self.colluders,
            parameters=round_config.parameters(self.config, length, parts=sub_cohorts),
            blobs={round_config.VOCABULARY: reference_to(vocabulary)},
        )
        return self._sign(proposal, {round_config.VOCABULARY: vocabulary})

    def _second(self, sub_cohort: SubCohort, counted: SumResult, shown: bytes, head: int) -> SignedProposal:
        first = sub_cohort.first.proposal
        vocabulary = self.vocabulary_of(sub_cohort)
        proposal = replace(
            first,
            round=1,
            parent=sub_cohort.first.sum_id,
            survivors=counted.survivors,
            length=head * (head - 1) // 2,
            noise=first.parameters["pairs_noise"],
            nonce=secrets.token_bytes(16),
            blobs={
                round_config.VOCABULARY: reference_to(vocabulary),
                round_config.COUNTS: reference_to(shown),
            },
        )
        return self._sign(proposal, {round_config.VOCABULARY: vocabulary, round_config.COUNTS: shown})

    def _sign(self, proposal: Proposal, blobs: dict[str, bytes]) -> SignedProposal:
        signed = SignedProposal.sign(proposal, self.identity, self.limits)
        self.blob_server.publish(signed.sum_id, blobs)
        self.journal.write(signed.sum_id, "proposal", signed.raw)
        return signed

    # -- rounds ---------------------------------------------------------------------------------------------

    async def count(self, sub_cohort: SubCohort, carry: Carry) -> SumResult:
        """Return the sum of a sub-cohort's counts. Raises CohortLost, Refusal."""
        return await self._drive(sub_cohort, sub_cohort.first, carry, 0)

    async def pair(
        self,
        sub_cohort: SubCohort,
        counted: SumResult,
        counts: NDArray[np.int64],
        state: PairCounting,
        carry: Carry,
    ) -> tuple[SumResult, Summed]:
        """Return a sub-cohort's pairs over the head of the run. Raises CohortLost, Refusal, SumError."""
        second = self._child_of(sub_cohort)
        if second is None:
            second = self._second(sub_cohort, counted, write_counts(counts), len(state.head))
        result = await self._drive(sub_cohort, second, carry, 1)
        summed = trainer_of(sub_cohort.first.proposal).advance(state, result.total)
        if not isinstance(summed, Summed):
            raise TypeError("pair counts end a session")
        return result, summed

    async def _drive(
        self, sub_cohort: SubCohort, signed: SignedProposal, carry: Carry, round_: int
    ) -> SumResult:
        aggregator = Aggregator(signed, self.identity, self.journal, self.limits)
        marks: dict[str, float] = defaultdict(float)
        last = time.monotonic()
        # A member answers a proposal only when it has these.
        blobs = sum(blob.size for blob in signed.proposal.blobs.values())

        def on_stage(stage: str, host: str, outcome: str) -> None:
            nonlocal last
            self._check(signed)
            now = time.monotonic()
            marks[f"{ROUNDS[round_]}.{stage}"] += now - last
            last = now
            if outcome == "answered" and stage == Stage.PROPOSE:
                self.traffic.add(host, blobs, 0)
            done = (round_ + (REQUESTS.index(Stage(stage)) + 1) / len(REQUESTS)) / len(ROUNDS)
            self.progress(f"{ROUNDS[round_]}: {stage}", done)
            crash_points.pass_point(f"aggregator.{ROUNDS[round_]}.{stage}")

        stage_timeout = self.config.cohort.stage_timeout.total_seconds()
        timeouts = StageTimeouts(propose=max(stage_timeout, StageTimeouts.propose), stage=stage_timeout)
        try:
            return await drive(
                aggregator,
                carry(signed),
                threshold=signed.proposal.threshold,
                timeouts=timeouts,
                on_stage=on_stage,
            )
        finally:
            spent = self.seconds.setdefault(sub_cohort.session, {})
            spent.update({stage: round(seconds, 3) for stage, seconds in marks.items()})

    def _check(self, signed: SignedProposal) -> None:
        if self.journal.read(signed.sum_id, "proposal") is None:
            # Another process left this sum for good.
            raise Refusal(Code.CLOSED, "the session was left at the admin's wish")
        self.may_go_on(signed.proposal)

    # -- journal --------------------------------------------------------------------------------------------

    def open_sub_cohorts(self) -> list[SubCohort]:
        """Return the sub-cohorts of the session that was interrupted, none where there is none."""
        now, found = self.clock(), []
        for signed in self._signed():
            if now >= signed.proposal.expires:
                self.journal.erase(signed.sum_id)
            elif signed.proposal.round == 0:
                sub_cohort = self._read_sub_cohort(signed)
                if sub_cohort is None:
                    self.journal.erase(signed.sum_id)
                else:
                    found.append(sub_cohort)
        newest = max(found, key=lambda one: one.first.proposal.created, default=None)
        of_newest = [one for one in found if newest and one.run == newest.run]
        return sorted(of_newest, key=lambda one: one.number)

    def shown(self, sub_cohorts: list[SubCohort]) -> bytes | None:
        """Return the counts that members were shown already, None where they were not: they stay."""
        for sub_cohort in sub_cohorts:
            second = self._child_of(sub_cohort)
            if second is not None:
                return self.journal.read(second.sum_id, f"blob.{round_config.COUNTS}")
        return None

    def vocabulary_of(self, sub_cohort: SubCohort) -> bytes:
        """Return the blob that a sub-cohort asks about."""
        return self.journal.read(sub_cohort.first.sum_id, f"blob.{round_config.VOCABULARY}") or b""

    def blobs_of(self, signed: SignedProposal) -> dict[str, bytes]:
        """Return the public data of a sum."""
        found = {name: self.journal.read(signed.sum_id, f"blob.{name}") for name in signed.proposal.blobs}
        return {name: data for name, data in found.items() if data is not None}

    def forget(self, sub_cohort: SubCohort) -> None:
        """Erase everything of a sub-cohort's session."""
        session = sub_cohort.first.sum_id
        for signed in self._signed():
            if session in (signed.sum_id, signed.proposal.parent):
                self.journal.erase(signed.sum_id)

    def _read_sub_cohort(self, signed: SignedProposal) -> SubCohort | None:
        raw = self.journal.read(signed.sum_id, _SUB_COHORT)
        if raw is None:
            return None
        try:
            content = cbor_fields.exact_map(cbor.decode(raw), "run", "number")
            return SubCohort(signed, cbor_fields.text(content["run"]), cbor_fields.integer(content["number"]))
        except Refusal:
            return None

    def _signed(self) -> list[SignedProposal]:
        found = []
        for sum_id in self.journal.sums():
            raw = self.journal.read(sum_id, "proposal")
            if raw is None:
                self.journal.erase(sum_id)
                continue
            try:
                message = envelope.parse(raw, max_size=self.limits.max_request)
                found.append(SignedProposal.read(message, self.identity.public, self.limits))
            except Refusal:
                # Of a key that was replaced since: nobody goes on with it.
                self.journal.erase(sum_id)
        return found

    def _child_of(self, sub_cohort: SubCohort) -> SignedProposal | None:
        return next((s for s in self._signed() if s.proposal.parent == sub_cohort.first.sum_id), None)
