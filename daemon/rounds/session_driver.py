"""One session as its aggregator, over any carrier: both rounds of all sub-cohorts, and how they ended.

What differs between a sum of one's own peers and that of a group is left to those that derive from
`SessionDriver`: who is asked, whether own viewers are added apart, and what becomes of the sums.
"""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from daemon.errors import JobError
from daemon.identity import open_identity
from daemon.ledger.chain import Kind, append
from daemon.peers import repository
from daemon.process.job_context import JobContext
from daemon.rounds import round_config
from daemon.rounds.aggregator_window import AggregatorWindows
from daemon.rounds.contribution_job import read_counts, trainer_of
from daemon.rounds.counts_then_pairs import Carry, Rounds, SubCohort
from daemon.rounds.own_statistics import own_viewers, public_vocabulary
from daemon.store.activity import Role, SessionRecord, save_session
from daemon.store.traffic import add_all, month_of
from federation.aggregator import SumResult
from federation.errors import Code, CohortLost, Refusal
from federation.identity import PublicIdentity
from federation.journal import Journal
from federation.proposal import Proposal
from models.errors import SumError
from models.trainer import PairCounting, Summed

log = logging.getLogger(__name__)

_LOST = (CohortLost, Refusal, SumError)


@dataclass(frozen=True)
class Counted:
    """A sub-cohort after its first round."""

    sub_cohort: SubCohort
    result: SumResult


@dataclass(frozen=True)
class Paired:
    """A sub-cohort after both rounds."""

    sub_cohort: SubCohort
    counted: SumResult
    result: SumResult
    summed: Summed


class SessionDriver(ABC):
    """A session of this instance as aggregator.

    `journal` and `windows` are this kind of session's own. Started again while a session is open, it goes on.
    """

    role: ClassVar[Role] = "aggregator"

    def __init__(
        self,
        context: JobContext,
        journal: Journal,
        windows: AggregatorWindows,
        *,
        colluders: int = round_config.COLLUDERS,
    ) -> None:
        config = context.config
        self.context, self.config, self.windows = context, config, windows
        self.identity = open_identity(config.identity_file, config.instance.host)
        self.rounds = Rounds(
            config,
            self.identity,
            journal,
            round_config.limits(config),
            context.clock,
            context.progress,
            self._may_go_on,
            colluders=colluders,
        )
        self.own = own_viewers(context.engine, config, now=context.clock())
        self.records: dict[str, SessionRecord] = {}

    @abstractmethod
    def rosters(self) -> tuple[tuple[PublicIdentity, ...], ...]:
        """Return who is asked, sub-cohort by sub-cohort, each sorted by host."""

    @abstractmethod
    def keep(self, paired: Sequence[Paired], vocabulary: tuple[str, ...]) -> list[Paired]:
        """Store what was summed, and `finish` each sub-cohort; return those that were kept."""

    def own_counts(self, sub_cohort: SubCohort) -> NDArray[np.int64] | int:  # noqa: ARG002
        """Return what is added to the counts that members are shown, beside the sums of the sub-cohorts."""
        return 0

    def record_id(self, sub_cohort: SubCohort) -> str:
        """Return under which id a sub-cohort's session is recorded."""
        return sub_cohort.session

    def others(self, hosts: tuple[str, ...]) -> tuple[str, ...]:
        """Return these hosts without this instance, which the host of a group is a member of."""
        return tuple(host for host in hosts if host != self.identity.host)

    async def sum(self, carry: Carry) -> dict[str, Any]:
        """Run both rounds of every sub-cohort and keep what they give; `carry` brings the messages.

        Raises:
            PolicyRefusedError: the window has its sum already.
            JobError: the session was abandoned; nothing was learned.

        """
        sub_cohorts = self.rounds.open_sub_cohorts()
        known = self.windows.current()
        if sub_cohorts and known is not None and known.done == sub_cohorts[0].run:
            # It died while it tidied up. What some sub-cohorts have left is not another sum of this window.
            for sub_cohort in sub_cohorts:
                self.rounds.forget(sub_cohort)
            sub_cohorts = []
        if not sub_cohorts:
            self.windows.require_new()
            sub_cohorts = self._propose()
        for sub_cohort in sub_cohorts:
            self.records[sub_cohort.session] = self._begin(sub_cohort)
        try:
            counted = await self._count(sub_cohorts, carry)
            paired = await self._pair(sub_cohorts, counted, carry)
        finally:
            # What was exchanged was exchanged, however the session ends.
            month = month_of(self.context.clock())
            add_all(self.context.engine, month, self.rounds.traffic.by_peer())
        vocabulary = round_config.decode_vocabulary(
            self.rounds.vocabulary_of(paired[0].sub_cohort), at_most=sub_cohorts[0].first.proposal.length
        )
        kept = self.keep(paired, vocabulary)
        if not kept:
            raise abandoned("a peer's learning was taken out while it was summed")
        self.windows.answered(sub_cohorts[0].run)
        for sub_cohort in sub_cohorts:
            self.rounds.forget(sub_cohort)
        return self._summary(sub_cohorts, counted, paired, kept, len(vocabulary))

    def _summary(
        self,
        sub_cohorts: Sequence[SubCohort],
        counted: Sequence[Counted],
        paired: Sequence[Paired],
        kept: Sequence[Paired],
        vocabulary: int,
    ) -> dict[str, Any]:
        traffic = self.rounds.traffic
        return {
            "session": sub_cohorts[0].run,
            "survivors": sorted(host for one in kept for host in one.result.survivors),
            "lost": {
                host: why
                for result in (*(one.result for one in counted), *(one.result for one in paired))
                for host, why in result.lost.items()
            },
            # (owner, holder) of shares that did not fit together: one of the two broke the protocol.
            "doubts": [list(pair) for pair in sorted({p for one in kept for p in one.result.doubts})],
            "vocabulary": vocabulary,
            "head": len(paired[0].summed.statistic.head),
            "sub_cohorts": [self._told(one) for one in sub_cohorts],
            "bytes_out": traffic.sent,
            "bytes_in": traffic.received,
            "seconds": self.rounds.seconds[kept[0].sub_cohort.session],
        }

    def _propose(self) -> list[SubCohort]:
        window = self.windows.current()
        if window is None:
            fresh = public_vocabulary(self.own.catalogue, self.config.sharing.max_vocabulary)
            self.windows.open(round_config.encode_vocabulary(fresh))
            window = self.windows.current()
        vocabulary = window.vocabulary if window is not None else round_config.encode_vocabulary(())
        return self.rounds.propose(vocabulary, self.rosters())

    # -- rounds ---------------------------------------------------------------------------------------------

    async def _count(self, sub_cohorts: Sequence[SubCohort], carry: Carry) -> list[Counted]:
        results = await asyncio.gather(
            *(self.rounds.count(sub_cohort, carry) for sub_cohort in sub_cohorts), return_exceptions=True
        )
        found = [
            Counted(sub_cohort, result)
            for sub_cohort, result in zip(sub_cohorts, results, strict=True)
            if self._came_through(sub_cohort, result) and not isinstance(result, BaseException)
        ]
        if not found:
            raise abandoned("; ".join(dict.fromkeys(str(result) for result in results)))
        return found

    async def _pair(
        self, sub_cohorts: list[SubCohort], counted: Sequence[Counted], carry: Carry
    ) -> list[Paired]:
        first = sub_cohorts[0].first.proposal
        shown = self.rounds.shown(sub_cohorts)
        if shown is not None:
            counts = read_counts(shown, first.length)
        else:
            total = np.sum([one.result.total for one in counted], axis=0)
            counts = total + self.own_counts(counted[0].sub_cohort)
        try:
            state = trainer_of(first).advance(trainer_of(first).start(first.length), counts)
        except SumError as error:
            self._all_abandoned(sub_cohorts, str(error))
            raise abandoned(str(error)) from error
        if not isinstance(state, PairCounting):
            self._all_abandoned(sub_cohorts, "no pair has enough users")
            raise JobError(
                "no two videos have enough users in the cohort for pair counts",
                advice="Approve more or larger peers; the local model keeps serving.",
            )
        results = await asyncio.gather(
            *(self.rounds.pair(one.sub_cohort, one.result, counts, state, carry) for one in counted),
            return_exceptions=True,
        )
        found = [
            Paired(one.sub_cohort, one.result, *result)
            for one, result in zip(counted, results, strict=True)
            if self._came_through(one.sub_cohort, result) and not isinstance(result, BaseException)
        ]
        if not found:
            raise abandoned("; ".join(dict.fromkeys(str(result) for result in results)))
        return found

    def _came_through(self, sub_cohort: SubCohort, result: object) -> bool:
        """Tell whether a sub-cohort has a result; note why where it has none. A bug of ours is raised."""
        if isinstance(result, _LOST):
            self.finish(sub_cohort, "abandoned", reason=str(result))
            self.rounds.forget(sub_cohort)
            return False
        if isinstance(result, BaseException):
            raise result
        return True

    def _may_go_on(self, proposal: Proposal) -> None:
        """Give a sum up as soon as a member of it was taken out."""
        out = repository.read(self.context.engine, self.config).unusable(self.others(proposal.hosts))
        if out:
            raise Refusal(Code.CLOSED, f"{', '.join(out)} was taken out while it was summed")

    def _begin(self, sub_cohort: SubCohort) -> SessionRecord:
        proposal = sub_cohort.first.proposal
        record = SessionRecord(
            id=self.record_id(sub_cohort),
            role=self.role,
            aggregator=self.identity.host,
            started=float(proposal.created),
            roster=list(proposal.hosts),
        )
        save_session(self.context.engine, record)
        return record

    def _all_abandoned(self, sub_cohorts: Sequence[SubCohort], reason: str) -> None:
        for sub_cohort in sub_cohorts:
            if self.records[sub_cohort.session].outcome == "running":
                self.finish(sub_cohort, "abandoned", reason=reason)
            self.rounds.forget(sub_cohort)

    def finish(
        self, sub_cohort: SubCohort, outcome: str, *, reason: str = "", survivors: tuple[str, ...] = ()
    ) -> None:
        """Record how a sub-cohort ended, in the database and the ledger."""
        traffic = self.rounds.traffic
        hosts = sub_cohort.first.proposal.hosts
        record = replace(
            self.records[sub_cohort.session],
            ended=self.context.clock(),
            outcome=outcome,
            reason=reason,
            survivors=list(survivors),
            bytes_in=sum(traffic.received_from[host] for host in hosts),
            bytes_out=sum(traffic.sent_to[host] for host in hosts),
            seconds=self.rounds.seconds.get(sub_cohort.session, {}),
        )
        self.records[sub_cohort.session] = record
        save_session(self.context.engine, record)
        details = {
            "role": self.role,
            "roster": list(hosts),
            "survivors": list(survivors),
            "outcome": outcome,
            "reason": reason,
            "run": sub_cohort.run,
            "sub_cohort": sub_cohort.number,
        }
        append(
            self.context.engine,
            self.identity,
            Kind.SESSION,
            self.records[sub_cohort.session].id,
            details,
            now=self.context.clock(),
        )

    def _told(self, sub_cohort: SubCohort) -> dict[str, Any]:
        record = self.records[sub_cohort.session]
        return {
            "session": record.id,
            "number": sub_cohort.number,
            "outcome": record.outcome,
            "reason": record.reason,
            "roster": record.roster,
            "survivors": record.survivors,
        }


def abandoned(reason: str) -> JobError:
    """Return the error of a session that ended without a sum."""
    advice = "The served model is unchanged. `shoal sessions list` keeps who was missing and why."
    if Code.COHORT_TOO_SMALL in reason:
        advice += " A member adds up only with those its own admin approved: peers approve each other."
    return JobError(f"the session was abandoned: {reason}", advice=advice)
