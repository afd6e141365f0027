"""Attempts at one secure sum, as its aggregator: proposed, journalled, driven, resumed.

The journal makes an attempt resumable: started again before its proposal expires, it continues with the same
requests, and members answer what they have answered before.
"""

from __future__ import annotations

import secrets
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from daemon.config import Config
from daemon.rounds import crash_points
from daemon.rounds.aggregator_window import AggregatorWindows
from daemon.store.traffic import TrafficCounter
from federation import cbor, cbor_fields, envelope
from federation.aggregator import REQUESTS, Aggregator, SumResult, asked_in
from federation.aggregator_driver import StageTimeouts, drive
from federation.blob_access import BlobServer
from federation.carrier import Carrier
from federation.envelope import Stage
from federation.errors import Code, Refusal
from federation.identity import Identity
from federation.journal import Journal
from federation.limits import Limits
from federation.proposal import Proposal, SignedProposal

_PLACE = "place"

Carry = Callable[[SignedProposal], Carrier]
"""What carries the messages of one attempt."""


@dataclass(frozen=True)
class Attempt:
    """One attempt at the sum of the sub-cohort `number` of a run."""

    signed: SignedProposal
    run: str
    number: int
    asked: frozenset[str]
    """Members of the roster that are sent anything."""

    @property
    def id(self) -> str:
        """Names the attempt here and at its members."""
        return self.signed.round_id.hex()


@dataclass
class Attempts:
    """The attempts of an aggregator, for its own peers or for the group it hosts.

    `progress` is called with a stage's name and the share of the round that is done, in [0, 1]; `may_go_on`
    after every answer, and raises Refusal when an attempt must be given up.
    """

    config: Config
    identity: Identity
    journal: Journal
    windows: AggregatorWindows
    limits: Limits
    clock: Callable[[], float]
    progress: Callable[[str, float], None]
    may_go_on: Callable[[Attempt], None] = lambda _attempt: None
    traffic: TrafficCounter = field(default_factory=TrafficCounter)
    seconds: dict[str, dict[str, float]] = field(default_factory=dict)
    """By attempt: wall time per stage."""

    def __post_init__(self) -> None:
        self.blob_server = BlobServer(self.identity, self.journal, clock=self.clock, limits=self.limits)

    def begin(
        self,
        proposal: Proposal,
        blobs: Mapping[str, bytes],
        *,
        run: str,
        number: int,
        asked: Iterable[str],
        exactly: bool,
    ) -> Attempt:
        """Sign a new attempt at what `proposal` proposes, and journal it. For `asked` see `Aggregator`."""
        now = int(self.clock())
        expires = now + int(self.config.cohort.round_expiry.total_seconds())
        fresh = replace(proposal, nonce=secrets.token_bytes(16), created=now, expires=expires)
        signed = SignedProposal.sign(fresh, self.identity, self.limits)
        self.blob_server.publish(signed.round_id, dict(blobs))
        Aggregator(signed, self.identity, self.journal, self.limits, asked=asked, exactly=exactly)
        # Last: what lacks it was not sent to anybody yet, and is forgotten after a crash.
        self.journal.write(signed.round_id, _PLACE, cbor.encode({"run": run, "number": number}))
        return Attempt(signed, run, number, asked_in(signed.round_id, self.journal, self.limits))

    async def drive(self, attempt: Attempt, carry: Carry) -> SumResult:
        """Return the sum of an attempt. Raises CohortLost, Refusal."""
        signed = attempt.signed
        aggregator = Aggregator(signed, self.identity, self.journal, self.limits)
        marks: dict[str, float] = defaultdict(float)
        last = time.monotonic()
        # A member answers a proposal only when it has these.
        blobs = sum(blob.size for blob in signed.proposal.blobs.values())

        def before_stage(stage: Stage) -> None:
            if stage is Stage.SHARES:
                self.windows.note_left()
            elif stage is Stage.CONFIRMATIONS:
                revealed = aggregator.answered > 0
                self.windows.bind(attempt.number, aggregator.confirmed, revealed=revealed)

        def on_stage(stage: str, host: str, outcome: str) -> None:
            nonlocal last
            self._check(attempt)
            now = time.monotonic()
            marks[stage] += now - last
            last = now
            if outcome == "answered" and stage == Stage.PROPOSE:
                self.traffic.add(host, blobs, 0)
            if outcome == "answered" and stage == Stage.CONFIRMATIONS:
                self.windows.bind(attempt.number, aggregator.confirmed, revealed=True)
            self.progress(stage, (REQUESTS.index(Stage(stage)) + 1) / len(REQUESTS))
            crash_points.pass_point(f"aggregator.{stage}")

        stage_timeout = self.config.cohort.stage_timeout.total_seconds()
        timeouts = StageTimeouts(propose=max(stage_timeout, StageTimeouts.propose), stage=stage_timeout)
        try:
            return await drive(
                aggregator,
                carry(signed),
                timeouts=timeouts,
                on_stage=on_stage,
                before_stage=before_stage,
            )
        finally:
            self.seconds[attempt.id] = {stage: round(seconds, 3) for stage, seconds in marks.items()}

    def _check(self, attempt: Attempt) -> None:
        if self.journal.read(attempt.signed.round_id, "proposal") is None:
            # Another process left this attempt for good.
            raise Refusal(Code.CLOSED, "the round was left at the admin's wish")
        self.may_go_on(attempt)

    # -- journal --------------------------------------------------------------------------------------------

    def open(self, run: str) -> dict[int, Attempt]:
        """Return the attempts of a run that can be resumed, by sub-cohort; erase all others."""
        found: dict[int, Attempt] = {}
        for round_id in self.journal.ids():
            attempt = self._read(round_id)
            if attempt is None or attempt.run != run or self.clock() >= attempt.signed.proposal.expires:
                self.journal.erase(round_id)
            else:
                found[attempt.number] = attempt
        return found

    def forget(self, attempt: Attempt) -> None:
        """Erase everything of an attempt."""
        self.journal.erase(attempt.signed.round_id)

    def blobs_of(self, signed: SignedProposal) -> dict[str, bytes]:
        """Return the public data of an attempt."""
        found = {name: self.journal.read(signed.round_id, f"blob.{name}") for name in signed.proposal.blobs}
        return {name: data for name, data in found.items() if data is not None}

    def _read(self, round_id: bytes) -> Attempt | None:
        raw, place = self.journal.read(round_id, "proposal"), self.journal.read(round_id, _PLACE)
        if raw is None or place is None:
            return None
        try:
            message = envelope.parse(raw, max_size=self.limits.max_request)
            signed = SignedProposal.read(message, self.identity.public, self.limits)
            content = cbor_fields.exact_map(cbor.decode(place), "run", "number")
            return Attempt(
                signed,
                cbor_fields.text(content["run"]),
                cbor_fields.integer(content["number"]),
                asked_in(round_id, self.journal, self.limits),
            )
        except Refusal:
            # Of a key that was replaced since: nobody goes on with it.
            return None
