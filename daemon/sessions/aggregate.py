"""The job that asks the approved peers for a sum: two rounds over HTTP, then the statistic is stored.

With many peers the cohort is summed in parts (`daemon.sessions.cohorts`), all over one head: it follows from
the counts of all parts together. A part that fails is missing; the others count.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daemon import service
from daemon.errors import JobError
from daemon.identity import open_identity
from daemon.jobs.registry import JobContext
from daemon.ledger.book import Kind, append
from daemon.peers import book
from daemon.sessions import cohorts, terms
from daemon.sessions.contribution import noisy, open_windows, read_counts, trainer_of
from daemon.sessions.counting import over, own_viewers, public_vocabulary
from daemon.sessions.given import GivenRecord
from daemon.sessions.rounds import Carry, Part, Rounds
from daemon.store import sums
from daemon.store.records import SessionRecord, save_session
from daemon.store.traffic import add_all, month_of
from federation.aggregator import SumResult
from federation.envelope import Stage
from federation.errors import Code, CohortLost, Refusal
from federation.http.client import HttpCarrier, PeerClient, new_session
from federation.proposal import Proposal
from models import statistics
from models.errors import SumError
from models.trainer import PairCounting, Summed

log = logging.getLogger(__name__)

_LOST = (CohortLost, Refusal, SumError)


def run(context: JobContext) -> dict[str, Any]:
    """Run one session to its end, or continue the open one.

    Raises:
        PolicyRefusedError, NotRunningError: there can be no session now.
        JobError: the session was abandoned; nothing was learned.

    """
    terms.require_session(context.config, book.read(context.engine, context.config))
    session = _Session(context)
    return session.simulate() if context.config.mode == "simulate" else asyncio.run(session.run())


@dataclass(frozen=True)
class _Counted:
    part: Part
    result: SumResult


@dataclass
class _Session:
    context: JobContext

    def __post_init__(self) -> None:
        context, config = self.context, self.context.config
        self.config = config
        self.identity = open_identity(config.identity_file, config.instance.host)
        self.asked = {peer.host: peer for peer in terms.asked(book.read(context.engine, config))}
        self.rounds = Rounds(
            config,
            self.identity,
            terms.aggregator_journal(config),
            terms.limits(config),
            context.clock,
            context.progress,
            self._may_go_on,
        )
        self.asking = terms.asking(config, context.clock)
        self.own = own_viewers(context.engine, config, now=context.clock())
        self.records: dict[str, SessionRecord] = {}

    def simulate(self) -> dict[str, Any]:
        """Compute what would be asked and added, and send nothing."""
        catalogue = self.own.catalogue
        vocabulary = public_vocabulary(catalogue, self.config.sharing.max_vocabulary)
        users = over(vocabulary, catalogue, self.own.limited(self.own.most))
        counts = statistics.counts(users)
        return {
            "simulated": True,
            "peers": sorted(self.asked),
            "vocabulary": len(vocabulary),
            "own_users": users.users,
            "own_videos": int((counts > 0).sum()),
        }

    async def run(self) -> dict[str, Any]:
        """Both rounds of every part, then the store."""
        parts = self.rounds.open_parts()
        if not parts:
            self.asking.require_new()
            parts = self._propose()
        for part in parts:
            self.records[part.session] = self._begin(part)
        async with new_session() as http:
            client = PeerClient(http, on_traffic=self.rounds.traffic.add)
            carrier = HttpCarrier(client, {host: peer.url for host, peer in self.asked.items()})
            try:
                counted = await self._count(parts, lambda _sum: carrier)
                paired = await self._pair(parts, counted, lambda _sum: carrier)
            finally:
                # What was exchanged was exchanged, however the session ends.
                month = month_of(self.context.clock())
                add_all(self.context.engine, month, self.rounds.traffic.by_peer())
        vocabulary = terms.decode_vocabulary(
            self.rounds.vocabulary_of(paired[0][0].part), at_most=parts[0].first.proposal.length
        )
        stored = [
            (one.part, result)
            for one, (result, summed) in paired
            if self._store(one, result, summed, vocabulary)
        ]
        if not stored:
            raise _abandoned("a peer's learning was taken out while it was summed")
        self.asking.answered(parts[0].batch)
        for part in parts:
            self.rounds.forget(part)
        traffic = self.rounds.traffic
        return {
            "session": parts[0].batch,
            "survivors": sorted(host for _, result in stored for host in result.survivors),
            "lost": {
                host: why
                for result in (*(one.result for one in counted), *(result for _, (result, _) in paired))
                for host, why in result.lost.items()
            },
            # (owner, holder) of shares that did not fit together: one of the two broke the protocol.
            "doubts": [list(pair) for pair in sorted({p for _, result in stored for p in result.doubts})],
            "vocabulary": len(vocabulary),
            "head": len(paired[0][1][1].statistic.head),
            "parts": [self._told(part) for part in parts],
            "bytes_out": traffic.sent,
            "bytes_in": traffic.received,
            "seconds": self.rounds.seconds[stored[0][0].session],
        }

    # -- rounds ---------------------------------------------------------------------------------------------

    async def _count(self, parts: Sequence[Part], carry: Carry) -> list[_Counted]:
        results = await asyncio.gather(
            *(self.rounds.count(part, carry) for part in parts), return_exceptions=True
        )
        found = [
            _Counted(part, result)
            for part, result in zip(parts, results, strict=True)
            if self._came_through(part, result) and not isinstance(result, BaseException)
        ]
        if not found:
            raise _abandoned("; ".join(dict.fromkeys(str(result) for result in results)))
        return found

    async def _pair(
        self, parts: list[Part], counted: Sequence[_Counted], carry: Carry
    ) -> list[tuple[_Counted, tuple[SumResult, Summed]]]:
        first = parts[0].first.proposal
        shown = self.rounds.shown(parts)
        if shown is not None:
            counts = read_counts(shown, first.length)
        else:
            counts = np.sum([one.result.total for one in counted], axis=0) + self._own_part(counted[0].part)
        try:
            state = trainer_of(first).advance(trainer_of(first).start(first.length), counts)
        except SumError as error:
            self._all_abandoned(parts, str(error))
            raise _abandoned(str(error)) from error
        if not isinstance(state, PairCounting):
            self._all_abandoned(parts, "no pair has enough users")
            raise JobError(
                "no two videos have enough users in the cohort for pair counts",
                advice="Approve more or larger peers; the local model keeps serving.",
            )
        results = await asyncio.gather(
            *(self.rounds.pair(one.part, one.result, counts, state, carry) for one in counted),
            return_exceptions=True,
        )
        found = [
            (one, result)
            for one, result in zip(counted, results, strict=True)
            if self._came_through(one.part, result) and not isinstance(result, BaseException)
        ]
        if not found:
            raise _abandoned("; ".join(dict.fromkeys(str(result) for result in results)))
        return found

    def _came_through(self, part: Part, result: object) -> bool:
        """Tell whether a part has a result; note why where it has none. A bug of ours is raised."""
        if isinstance(result, _LOST):
            self._finish(part, "abandoned", reason=str(result), survivors=())
            self.rounds.forget(part)
            return False
        if isinstance(result, BaseException):
            raise result
        return True

    def _own_part(self, part: Part) -> NDArray[np.int64] | int:
        """Return our own viewers' noisy counts, as members will see them in the total, or 0.

        The members are shown this total, so our own part obeys the rules of any contribution: it carries
        noise, is frozen for a window, and costs budget. At home our own viewers are added in the clear, when
        training.
        """
        if self.config.mode != "contribute":
            return 0
        first = part.first
        blobs = {terms.VOCABULARY: self.rounds.vocabulary_of(part)}
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

    def _may_go_on(self, proposal: Proposal) -> None:
        """Give a sum up as soon as a member of it was taken out."""
        out = book.read(self.context.engine, self.config).unusable(proposal.hosts)
        if out:
            raise Refusal(Code.CLOSED, f"{', '.join(out)} was taken out while it was summed")

    # -- beginning and end ----------------------------------------------------------------------------------

    def _propose(self) -> list[Part]:
        asking = self.asking.current()
        if asking is None:
            fresh = public_vocabulary(self.own.catalogue, self.config.sharing.max_vocabulary)
            self.asking.open(terms.encode_vocabulary(fresh))
            asking = self.asking.current()
        vocabulary = asking.vocabulary if asking is not None else terms.encode_vocabulary(())
        groups = cohorts.divide(
            self.context.engine,
            self.config,
            tuple(self.asked),
            now=self.context.clock(),
            shuffle=secrets.SystemRandom().shuffle,
        )
        return self.rounds.propose(
            vocabulary, tuple(tuple(sorted(self.asked[host].identity for host in group)) for group in groups)
        )

    def _begin(self, part: Part) -> SessionRecord:
        proposal = part.first.proposal
        record = SessionRecord(
            id=part.session,
            role="aggregator",
            aggregator=self.identity.host,
            started=float(proposal.created),
            roster=list(proposal.hosts),
        )
        save_session(self.context.engine, record)
        return record

    def _store(self, one: _Counted, result: SumResult, summed: Summed, vocabulary: tuple[str, ...]) -> bool:
        """Store a part's sum, unless a member's learning was taken out while it was summed."""
        part, head = one.part, summed.statistic.head
        context = self.context
        with service.turn(self.config):
            out = book.read(context.engine, self.config).unusable(result.survivors)
            if out:
                reason = f"{', '.join(out)} was taken out while it was summed"
                self._finish(part, "abandoned", reason=reason, survivors=())
                return False
            self._finish(part, "done", reason="", survivors=result.survivors)
            sums.save(
                context.engine,
                self.config.sums_dir,
                session_id=part.session,
                urls=tuple(vocabulary[place] for place in head),
                counts=one.result.total[head],
                triangle=result.total,
                privacy=terms.privacy_of(part.first.proposal, survivors=len(result.survivors)),
                now=context.clock(),
                batch=part.batch,
                subcohort=part.number,
            )
        for host in result.survivors:
            # Who gave its part to us approves us, whether it ever said so or not.
            book.change(context.engine, self.config, host, lambda peer: replace(peer, theirs="approved"))
        return True

    def _all_abandoned(self, parts: Sequence[Part], reason: str) -> None:
        for part in parts:
            if self.records[part.session].outcome == "running":
                self._finish(part, "abandoned", reason=reason, survivors=())
            self.rounds.forget(part)

    def _finish(self, part: Part, outcome: str, *, reason: str, survivors: tuple[str, ...]) -> None:
        traffic = self.rounds.traffic
        hosts = part.first.proposal.hosts
        record = replace(
            self.records[part.session],
            ended=self.context.clock(),
            outcome=outcome,
            reason=reason,
            survivors=list(survivors),
            bytes_in=sum(traffic.received_from[host] for host in hosts),
            bytes_out=sum(traffic.sent_to[host] for host in hosts),
            seconds=self.rounds.seconds.get(part.session, {}),
        )
        self.records[part.session] = record
        save_session(self.context.engine, record)
        details = {
            "role": "aggregator",
            "roster": list(hosts),
            "survivors": list(survivors),
            "outcome": outcome,
            "reason": reason,
            "batch": part.batch,
            "part": part.number,
        }
        append(
            self.context.engine,
            self.identity,
            Kind.SESSION,
            part.session,
            details,
            now=self.context.clock(),
        )

    def _told(self, part: Part) -> dict[str, Any]:
        record = self.records[part.session]
        return {
            "session": record.id,
            "number": part.number,
            "outcome": record.outcome,
            "reason": record.reason,
            "roster": record.roster,
            "survivors": record.survivors,
        }


def _abandoned(reason: str) -> JobError:
    advice = "The served model is unchanged. `shoal sessions list` keeps who was missing and why."
    if Code.COHORT_TOO_SMALL in reason:
        advice += " A member adds up only with those its own admin approved: peers approve each other."
    return JobError(f"the session was abandoned: {reason}", advice=advice)
