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
_PART = "part"

Carry = Callable[[SignedProposal], Carrier]
"""What carries the messages of one sum."""


@dataclass(frozen=True)
class Part:
    """One of the cohorts that a session sums: its first proposal, and where it belongs."""

    first: SignedProposal
    batch: str
    number: int

    @property
    def session(self) -> str:
        """The id of its session."""
        return self.first.sum_id.hex()


@dataclass
class Rounds:
    """What all parts of a session are driven with.

    `progress` is called with a stage's name and the part of a round that is done, in [0, 1]; `may_go_on`
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
        self.desk = BlobServer(self.identity, self.journal, clock=self.clock, limits=self.limits)

    # -- proposals ------------------------------------------------------------------------------------------

    def propose(self, vocabulary: bytes, rosters: tuple[tuple[PublicIdentity, ...], ...]) -> list[Part]:
        """Sign the first sum of every cohort, and journal it."""
        length = len(round_config.decode_vocabulary(vocabulary, at_most=self.config.sharing.max_vocabulary))
        signed = [self._first(vocabulary, length, roster, len(rosters)) for roster in rosters]
        batch = signed[0].sum_id.hex()
        parts = [Part(first, batch, number) for number, first in enumerate(signed)]
        for part in parts:
            # Last: what lacks it was not sent to anybody yet, and is forgotten after a crash.
            note = cbor.encode({"batch": part.batch, "number": part.number})
            self.journal.write(part.first.sum_id, _PART, note)
        return parts

    def _first(
        self, vocabulary: bytes, length: int, roster: tuple[PublicIdentity, ...], parts: int
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
            parameters=round_config.parameters(self.config, length, parts=parts),
            blobs={round_config.VOCABULARY: reference_to(vocabulary)},
        )
        return self._sign(proposal, {round_config.VOCABULARY: vocabulary})

    def _second(self, part: Part, counted: SumResult, shown: bytes, head: int) -> SignedProposal:
        first = part.first.proposal
        vocabulary = self.vocabulary_of(part)
        proposal = replace(
            first,
            round=1,
            parent=part.first.sum_id,
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
        self.desk.publish(signed.sum_id, blobs)
        self.journal.write(signed.sum_id, "proposal", signed.raw)
        return signed

    # -- rounds ---------------------------------------------------------------------------------------------

    async def count(self, part: Part, carry: Carry) -> SumResult:
        """Return the sum of a part's counts. Raises CohortLost, Refusal."""
        return await self._drive(part, part.first, carry, 0)

    async def pair(
        self,
        part: Part,
        counted: SumResult,
        counts: NDArray[np.int64],
        state: PairCounting,
        carry: Carry,
    ) -> tuple[SumResult, Summed]:
        """Return a part's pairs over the head of all parts. Raises CohortLost, Refusal, SumError."""
        second = self._child_of(part)
        if second is None:
            second = self._second(part, counted, write_counts(counts), len(state.head))
        result = await self._drive(part, second, carry, 1)
        summed = trainer_of(part.first.proposal).advance(state, result.total)
        if not isinstance(summed, Summed):
            raise TypeError("pair counts end a session")
        return result, summed

    async def _drive(self, part: Part, signed: SignedProposal, carry: Carry, round_: int) -> SumResult:
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
            spent = self.seconds.setdefault(part.session, {})
            spent.update({stage: round(seconds, 3) for stage, seconds in marks.items()})

    def _check(self, signed: SignedProposal) -> None:
        if self.journal.read(signed.sum_id, "proposal") is None:
            # Another process left this sum for good.
            raise Refusal(Code.CLOSED, "the session was left at the admin's wish")
        self.may_go_on(signed.proposal)

    # -- journal --------------------------------------------------------------------------------------------

    def open_parts(self) -> list[Part]:
        """Return the parts of the session that was interrupted, none where there is none."""
        now, found = self.clock(), []
        for signed in self._signed():
            if now >= signed.proposal.expires:
                self.journal.erase(signed.sum_id)
            elif signed.proposal.round == 0:
                part = self._read_part(signed)
                if part is None:
                    self.journal.erase(signed.sum_id)
                else:
                    found.append(part)
        newest = max(found, key=lambda part: part.first.proposal.created, default=None)
        return sorted((p for p in found if newest and p.batch == newest.batch), key=lambda part: part.number)

    def shown(self, parts: list[Part]) -> bytes | None:
        """Return the counts that members of these parts were shown already: they stay, whatever changed."""
        for part in parts:
            second = self._child_of(part)
            if second is not None:
                return self.journal.read(second.sum_id, f"blob.{round_config.COUNTS}")
        return None

    def vocabulary_of(self, part: Part) -> bytes:
        """Return the blob that a part asks about."""
        return self.journal.read(part.first.sum_id, f"blob.{round_config.VOCABULARY}") or b""

    def blobs_of(self, signed: SignedProposal) -> dict[str, bytes]:
        """Return the public data of a sum."""
        found = {name: self.journal.read(signed.sum_id, f"blob.{name}") for name in signed.proposal.blobs}
        return {name: data for name, data in found.items() if data is not None}

    def forget(self, part: Part) -> None:
        """Erase everything of a part's session."""
        session = part.first.sum_id
        for signed in self._signed():
            if session in (signed.sum_id, signed.proposal.parent):
                self.journal.erase(signed.sum_id)

    def _read_part(self, signed: SignedProposal) -> Part | None:
        raw = self.journal.read(signed.sum_id, _PART)
        if raw is None:
            return None
        try:
            content = cbor_fields.exact_map(cbor.decode(raw), "batch", "number")
            return Part(signed, cbor_fields.text(content["batch"]), cbor_fields.integer(content["number"]))
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

    def _child_of(self, part: Part) -> SignedProposal | None:
        return next((s for s in self._signed() if s.proposal.parent == part.first.sum_id), None)
