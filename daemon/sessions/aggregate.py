"""The job that asks the approved peers for a sum: two rounds over HTTP, then the statistic is stored.

The journal makes it resumable: a job that is started again while its session is open continues with the same
proposals, and members answer what they have answered before.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daemon.errors import JobError
from daemon.identity import open_identity
from daemon.jobs.registry import JobContext
from daemon.sessions import faults, terms
from daemon.sessions.contribution import noisy, open_windows, read_counts, trainer_of, write_counts
from daemon.sessions.counting import over, own_viewers
from daemon.sessions.given import GivenRecord
from daemon.sessions.traffic import Traffic
from daemon.store import sums
from daemon.store.reading import Catalogue
from daemon.store.records import SessionRecord, save_session
from federation import envelope
from federation.aggregator import REQUESTS, Aggregator, SumResult
from federation.desk import BlobDesk, reference_to
from federation.envelope import Stage
from federation.errors import CohortLost, Refusal
from federation.http.aggregator import Patience, drive
from federation.http.client import PeerClient, new_session
from federation.proposal import Proposal, SignedProposal, least_threshold
from models import statistics
from models.errors import SumError
from models.trainer import PairCounting, Summed
from policies.sharing import TRAINER

log = logging.getLogger(__name__)

ROUNDS = ("counts", "pairs")


def run(context: JobContext) -> dict[str, Any]:
    """Run one session to its end, or continue the open one.

    Raises:
        PolicyRefusedError, NotRunningError: there can be no session now.
        JobError: the session was abandoned; nothing was learned.

    """
    terms.require_session(context.config)
    session = _Session(context)
    return session.simulate() if context.config.mode == "simulate" else asyncio.run(session.run())


@dataclass
class _Session:
    context: JobContext
    seconds: dict[str, float] = field(default_factory=dict)
    traffic: Traffic = field(default_factory=Traffic)

    def __post_init__(self) -> None:
        config = self.context.config
        self.config = config
        self.urls = terms.urls(config)
        self.limits = terms.limits(config)
        self.identity = open_identity(config.identity_file, config.instance.host)
        self.journal = terms.aggregator_journal(config)
        self.desk = BlobDesk(self.identity, self.journal, clock=self.context.clock, limits=self.limits)
        self.asking = terms.asking(config, self.context.clock)
        self.own = own_viewers(self.context.engine, config, now=self.context.clock())

    def simulate(self) -> dict[str, Any]:
        """Compute what would be asked and added, and send nothing."""
        catalogue = self.own.catalogue
        vocabulary = _vocabulary(catalogue, self.config.sharing.max_vocabulary)
        users = over(vocabulary, catalogue, self.own.limited(self.own.most))
        counts = statistics.counts(users)
        return {
            "simulated": True,
            "peers": sorted(self.urls),
            "vocabulary": len(vocabulary),
            "own_users": users.users,
            "own_videos": int((counts > 0).sum()),
        }

    async def run(self) -> dict[str, Any]:
        """Both rounds, then the store."""
        first = self._open_session()
        if first is None:
            self.asking.require_new()
            first = self._propose_first()
        record = SessionRecord(
            id=first.sum_id.hex(),
            role="aggregator",
            aggregator=self.identity.host,
            started=float(first.proposal.created),
            roster=list(first.proposal.hosts),
        )
        save_session(self.context.engine, record)
        try:
            async with new_session() as http:
                client = PeerClient(http, on_traffic=self.traffic.add)
                counted, counts = await self._count(first, client)
                paired, summed = await self._pair(first, counted, counts, client)
        except (CohortLost, Refusal, SumError) as error:
            reason = str(error)
            self._finish(record, "abandoned", reason=reason, survivors=())
            self._forget(first.sum_id)
            raise JobError(
                f"the session was abandoned: {reason}",
                advice="The served model is unchanged. `shoal sessions show` lists who was missing and why.",
            ) from error
        vocabulary = self._vocabulary_of(first)
        statistic = summed.statistic
        record = self._finish(record, "done", reason="", survivors=paired.survivors)
        sums.save(
            self.context.engine,
            self.config.sums_dir,
            session_id=record.id,
            urls=tuple(vocabulary[place] for place in statistic.head),
            counts=counted.total[statistic.head],
            triangle=paired.total,
            privacy=terms.privacy_of(first.proposal, survivors=len(paired.survivors)),
            now=self.context.clock(),
        )
        self.asking.answered(record.id)
        self._forget(first.sum_id)
        return {
            "session": record.id,
            "survivors": list(paired.survivors),
            "lost": {**counted.lost, **paired.lost},
            # (owner, holder) of shares that did not fit together: one of the two broke the protocol.
            "doubts": [list(pair) for pair in sorted({*counted.doubts, *paired.doubts})],
            "vocabulary": len(vocabulary),
            "head": len(statistic.head),
            "bytes_out": self.traffic.sent,
            "bytes_in": self.traffic.received,
            "seconds": self.seconds,
        }

    # -- rounds ---------------------------------------------------------------------------------------------

    async def _count(self, first: SignedProposal, client: PeerClient) -> tuple[SumResult, NDArray[np.int64]]:
        """Return the others' counts, and those with our own part, which members are shown."""
        result = await self._drive(first, client, 0)
        return result, result.total + self._own_part(first)

    async def _pair(
        self, first: SignedProposal, counted: SumResult, counts: NDArray[np.int64], client: PeerClient
    ) -> tuple[SumResult, Summed]:
        second = self._child_of(first)
        if second is not None:
            # What members were shown stays, whatever changed here since.
            shown = self.journal.read(second.sum_id, f"blob.{terms.COUNTS}") or b""
            counts = read_counts(shown, first.proposal.length)
        trainer = trainer_of(first.proposal)
        state = trainer.advance(trainer.start(first.proposal.length), counts)
        if not isinstance(state, PairCounting):
            raise JobError(
                "no two videos have enough users in the cohort for pair counts",
                advice="Approve more or larger peers; the local model keeps serving.",
            )
        if second is None:
            second = self._propose_second(first, counted, counts, state)
        result = await self._drive(second, client, 1)
        summed = trainer.advance(state, result.total)
        if not isinstance(summed, Summed):
            raise TypeError("pair counts end a session")
        return result, summed

    async def _drive(self, signed: SignedProposal, client: PeerClient, round_: int) -> SumResult:
        aggregator = Aggregator(signed, self.identity, self.journal, self.limits)
        marks: dict[str, float] = defaultdict(float)
        last = time.monotonic()

        # A member answers a proposal only after it has fetched these from our listener.
        blobs = sum(blob.size for blob in signed.proposal.blobs.values())

        def on_stage(stage: str, _host: str, outcome: str) -> None:
            nonlocal last
            now = time.monotonic()
            marks[f"{ROUNDS[round_]}.{stage}"] += now - last
            last = now
            if outcome == "answered" and stage == Stage.PROPOSE:
                self.traffic.sent += blobs
            done = (round_ + (REQUESTS.index(Stage(stage)) + 1) / len(REQUESTS)) / len(ROUNDS)
            self.context.progress(f"{ROUNDS[round_]}: {stage}", done)
            faults.pass_point(f"aggregator.{ROUNDS[round_]}.{stage}")

        stage_timeout = self.config.cohort.stage_timeout.total_seconds()
        patience = Patience(propose=max(stage_timeout, Patience.propose), stage=stage_timeout)
        try:
            return await drive(
                aggregator,
                client,
                self.urls,
                threshold=signed.proposal.threshold,
                patience=patience,
                on_stage=on_stage,
            )
        finally:
            self.seconds.update({stage: round(spent, 3) for stage, spent in marks.items()})

    def _own_part(self, first: SignedProposal) -> NDArray[np.int64] | int:
        """Return our own viewers' noisy counts, as members will see them in the total, or 0.

        The members are shown this total, so our own part obeys the rules of any contribution: it carries
        noise, is frozen for a window, and costs budget. At home our own viewers are added in the clear, when
        training.
        """
        if self.config.mode != "contribute":
            return 0
        blobs = {terms.VOCABULARY: self.journal.read(first.sum_id, f"blob.{terms.VOCABULARY}") or b""}
        context = self.context
        windows = open_windows(context)
        # Read again: since the session began somebody may have left.
        own = own_viewers(context.engine, self.config, now=context.clock())
        try:
            counts = noisy(context, first.proposal, blobs, own, windows)
            record = GivenRecord(windows, context.engine, context.clock)
            record.check(first.sum_id, first.proposal, Stage.SURVIVORS)
        except Refusal as refusal:
            log.info("own viewers sit out of this session: %s", refusal)
            return 0
        return counts

    def _vocabulary_of(self, first: SignedProposal) -> tuple[str, ...]:
        blob = self.journal.read(first.sum_id, f"blob.{terms.VOCABULARY}") or b""
        return terms.decode_vocabulary(blob, at_most=first.proposal.length)

    # -- proposals ------------------------------------------------------------------------------------------

    def _propose_first(self) -> SignedProposal:
        asking = self.asking.current()
        if asking is None:
            fresh = _vocabulary(self.own.catalogue, self.config.sharing.max_vocabulary)
            self.asking.open(terms.encode_vocabulary(fresh))
            asking = self.asking.current()
        blob = asking.vocabulary if asking is not None else terms.encode_vocabulary(())
        length = len(terms.decode_vocabulary(blob, at_most=self.config.sharing.max_vocabulary))
        roster = terms.allowlist(self.config).members()
        threshold = least_threshold(len(roster))
        now = int(self.context.clock())
        proposal = Proposal(
            aggregator=self.identity.host,
            roster=roster,
            threshold=threshold,
            trainer=TRAINER,
            round=0,
            length=length,
            entry_bound=self.config.sharing.max_users,
            ring=32,
            nonce=secrets.token_bytes(16),
            created=now,
            expires=now + int(self.config.cohort.session_expiry.total_seconds()),
            noise=terms.protection(self.config).counts_noise,
            colluders=terms.COLLUDERS,
            parameters=terms.parameters(self.config, length),
            blobs={terms.VOCABULARY: reference_to(blob)},
        )
        return self._sign(proposal, {terms.VOCABULARY: blob})

    def _propose_second(
        self,
        first: SignedProposal,
        counted: SumResult,
        counts: NDArray[np.int64],
        state: PairCounting,
    ) -> SignedProposal:
        vocabulary = self.journal.read(first.sum_id, f"blob.{terms.VOCABULARY}") or b""
        shown = write_counts(counts)
        head = len(state.head)
        proposal = replace(
            first.proposal,
            round=1,
            parent=first.sum_id,
            survivors=counted.survivors,
            length=head * (head - 1) // 2,
            noise=first.proposal.parameters["pairs_noise"],
            nonce=secrets.token_bytes(16),
            blobs={terms.VOCABULARY: reference_to(vocabulary), terms.COUNTS: reference_to(shown)},
        )
        return self._sign(proposal, {terms.VOCABULARY: vocabulary, terms.COUNTS: shown})

    def _sign(self, proposal: Proposal, blobs: dict[str, bytes]) -> SignedProposal:
        signed = SignedProposal.sign(proposal, self.identity, self.limits)
        self.desk.publish(signed.sum_id, blobs)
        self.journal.write(signed.sum_id, "proposal", signed.raw)
        return signed

    # -- journal --------------------------------------------------------------------------------------------

    def _signed(self) -> list[SignedProposal]:
        found = []
        for sum_id in self.journal.sums():
            raw = self.journal.read(sum_id, "proposal")
            if raw is None:
                self.journal.erase(sum_id)
                continue
            message = envelope.parse(raw, max_size=self.limits.max_request)
            found.append(SignedProposal.read(message, self.identity.public, self.limits))
        return found

    def _open_session(self) -> SignedProposal | None:
        now = self.context.clock()
        for signed in self._signed():
            if now >= signed.proposal.expires:
                self.journal.erase(signed.sum_id)
            elif signed.proposal.round == 0:
                return signed
        return None

    def _child_of(self, first: SignedProposal) -> SignedProposal | None:
        return next((s for s in self._signed() if s.proposal.parent == first.sum_id), None)

    def _forget(self, session: bytes) -> None:
        for signed in self._signed():
            if session in (signed.sum_id, signed.proposal.parent):
                self.journal.erase(signed.sum_id)

    def _finish(
        self, record: SessionRecord, outcome: str, *, reason: str, survivors: tuple[str, ...]
    ) -> SessionRecord:
        record = replace(
            record,
            ended=self.context.clock(),
            outcome=outcome,
            reason=reason,
            survivors=list(survivors),
            bytes_in=self.traffic.received,
            bytes_out=self.traffic.sent,
            seconds=self.seconds,
        )
        save_session(self.context.engine, record)
        return record


def _vocabulary(catalogue: Catalogue, at_most: int) -> tuple[str, ...]:
    """Every video of the public catalogue; of too many, the most viewed. Public numbers alone decide."""
    if len(catalogue) <= at_most:
        return catalogue.urls
    order = np.lexsort((np.arange(len(catalogue)), -catalogue.likes, -catalogue.views))[:at_most]
    return tuple(catalogue.urls[place] for place in np.sort(order))
