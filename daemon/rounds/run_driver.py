"""One run as its aggregator, over any carrier: the rounds of all sub-cohorts, and how they ended.

What differs between one's own peers and a group is left to those that derive from `RunDriver`: who is asked,
what heads are chosen from, and what becomes of the sums.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from daemon.errors import JobError
from daemon.identity import open_identity
from daemon.ledger.chain import Kind, append
from daemon.peers import repository
from daemon.process.job_context import JobContext
from daemon.rounds import own_release, round_config
from daemon.rounds.aggregator_window import AggregatorWindow, AggregatorWindows
from daemon.rounds.attempts import Attempt, Attempts, Carry
from daemon.rounds.contribution_log import Question
from daemon.rounds.head_history import HeadHistory, ReleasedCounts
from daemon.rounds.own_statistics import own_viewers, public_vocabulary
from daemon.store import activity
from daemon.store.activity import Outcome, Role, RoundRecord
from daemon.store.traffic import add_all, month_of
from federation.aggregator import SumResult
from federation.blob_access import reference_to
from federation.errors import Code, CohortLost, Refusal
from federation.identity import PublicIdentity
from federation.journal import Journal
from federation.masks import RING
from federation.proposal import Proposal, least_threshold
from models import head as heads
from models import statistics
from models.errors import SumError
from models.statistics import Statistic
from policies.privacy import head_minimum
from policies.sharing import TRAINER

log = logging.getLogger(__name__)

_LOST = (CohortLost, Refusal, SumError)
TRIES: Final = 3
"""Failed runs after which the sums that are there are taken without those of other sub-cohorts."""


@dataclass(frozen=True)
class Summed:
    """A sub-cohort's sum: `counts` (v,) int64 entries over the vocabulary; and that over the head."""

    attempt: Attempt
    result: SumResult
    counts: NDArray[np.int64]
    statistic: Statistic


class RunDriver(ABC):
    """A run of this instance as aggregator.

    `journal`, `windows` and `history` are those of its own peers or of its group. Started again while an
    attempt is open, it goes on with it.
    """

    role: ClassVar[Role] = "aggregator"

    def __init__(
        self, context: JobContext, journal: Journal, windows: AggregatorWindows, history: HeadHistory
    ) -> None:
        config = context.config
        self.context, self.config = context, config
        self.windows, self.history = windows, history
        self.identity = open_identity(config.identity_file, config.instance.host)
        self.attempts = Attempts(
            config,
            self.identity,
            journal,
            windows,
            round_config.limits(config),
            context.clock,
            context.progress,
            self._may_go_on,
        )
        self.own = own_viewers(context.engine, config, now=context.clock())
        self.records: dict[str, RoundRecord] = {}

    @abstractmethod
    def rosters(self) -> tuple[tuple[PublicIdentity, ...], ...]:
        """Return who is asked, sub-cohort by sub-cohort, each sorted by host."""

    @abstractmethod
    def colluders(self, roster: tuple[PublicIdentity, ...]) -> int:
        """Return for how many that work together the noise of a sub-cohort is laid out."""

    def threshold(self, roster: tuple[PublicIdentity, ...]) -> int:
        """Return how many members of a sub-cohort a sum needs."""
        return least_threshold(len(roster))

    @abstractmethod
    def keep(self, summed: Sequence[Summed], question: Question) -> list[Summed]:
        """Store what was summed, and `finish` each sub-cohort; return those that were kept."""

    def record_id(self, attempt: Attempt) -> str:
        """Return under which id an attempt is recorded."""
        return attempt.id

    def others(self, hosts: tuple[str, ...]) -> tuple[str, ...]:
        """Return these hosts without this instance, which the host of a group is a member of."""
        return tuple(host for host in hosts if host != self.identity.host)

    async def sum(self, carry: Carry) -> dict[str, Any]:
        """Run the round of every sub-cohort and keep what they give; `carry` brings the messages.

        Raises:
            PolicyRefusedError: the window has its sums already.
            JobError: no round completed. What can be resumed is, by the next run.

        """
        window = self._window()
        attempts = self._attempts(window)
        for attempt in attempts:
            self._begin(attempt)
        results = await self._drive(attempts, carry)
        question = Question(
            round_config.decode_vocabulary(window.vocabulary, at_most=self.config.sharing.max_vocabulary),
            round_config.decode_head(window.head),
        )
        summed = [self._read(one, result, question) for one, result in zip(attempts, results, strict=True)]
        came = [one for one in summed if isinstance(one, Summed)]
        if len(came) < len(window.proposals):
            failures = self.windows.failed()
            if not came or failures < TRIES:
                for one in came:
                    self.finish(one.attempt, "waiting", reason="other sub-cohorts are tried again")
                reasons = dict.fromkeys(str(one) for one in summed if isinstance(one, BaseException))
                raise abandoned("; ".join(reasons))
        kept = self.keep(came, question)
        if not kept:
            raise abandoned("a peer's learning was taken out while it was summed")
        for one in kept:
            self._remember(window.run, one, question)
        self.windows.answered()
        for attempt in attempts:
            self.attempts.forget(attempt)
        return self._summary(window, attempts, kept, question)

    # -- what is asked --------------------------------------------------------------------------------------

    def _window(self) -> AggregatorWindow:
        window = self.windows.current()
        if self.windows.opens:
            self._open(early=self.windows.early)
            window = self.windows.current()
        if window is None:
            raise JobError(
                "the round would be larger than this instance's own limits",
                advice="Lower sharing.max_vocabulary or model.max_head.",
            )
        if window.done:
            # It may have died while it tidied up: what is left is no other sum of this window.
            self.attempts.open("")
            self.windows.require_new()
        return window

    def _open(self, *, early: bool) -> None:
        vocabulary = public_vocabulary(self.own.catalogue, self.config.sharing.max_vocabulary)
        head = self._head(vocabulary)
        if head.size < 2:
            raise JobError(
                "there are not two videos to ask about", advice="Wait for more videos, or sync: shoal sync"
            )
        blobs = {
            round_config.VOCABULARY: round_config.encode_vocabulary(vocabulary),
            round_config.HEAD: round_config.encode_head(head),
        }
        rosters = self.rosters()
        run = secrets.token_hex(32)
        proposals = [
            self._proposal(roster, len(rosters), len(vocabulary), head.size, blobs, early=early)
            for roster in rosters
        ]
        self.windows.open(run, proposals, blobs[round_config.VOCABULARY], blobs[round_config.HEAD])

    def _proposal(
        self,
        roster: tuple[PublicIdentity, ...],
        sub_cohorts: int,
        vocabulary: int,
        head: int,
        blobs: Mapping[str, bytes],
        *,
        early: bool,
    ) -> Proposal:
        colluders = self.colluders(roster)
        return Proposal(
            aggregator=self.identity.host,
            roster=roster,
            threshold=self.threshold(roster),
            trainer=TRAINER,
            segments=round_config.segments(self.config, vocabulary, head),
            entry_bound=self.config.sharing.max_users,
            ring=RING,
            nonce=bytes(16),
            created=0,
            expires=0,
            colluders=colluders,
            parameters=round_config.parameters(
                self.config,
                vocabulary,
                head,
                sub_cohorts=sub_cohorts,
                early=early,
                pass_on=len(roster) >= round_config.LEAST_TO_PASS_ON,
            ),
            blobs={name: reference_to(data) for name, data in blobs.items()},
        )

    def _head(self, vocabulary: tuple[str, ...]) -> NDArray[np.int64]:
        """Return the positions of the head, from released numbers and public counters alone, (h,) int64."""
        released = self.history.aligned(vocabulary)
        if len(released):
            level = round_config.protection(self.config)
            least = head_minimum(self.config.sharing.min_users, level.counts_noise)
            found = heads.next_head(released, min_users=least, max_head=self.config.model.max_head)
            if found.size > 1:
                return found
        catalogue = self.own.catalogue
        place = {url: at for at, url in enumerate(catalogue.urls)}
        places = np.array([place[url] for url in vocabulary], np.int64)
        own = own_release.current(self.context) if self.config.mode == "contribute" else None
        return heads.first_head(
            catalogue.views[places],
            catalogue.likes[places],
            None if own is None else own.counts_over(vocabulary),
            own_variance=0.0 if own is None else own.noise.counts,
            at_most=min(heads.MAX_FIRST_HEAD, self.config.model.max_head),
        )

    def _attempts(self, window: AggregatorWindow) -> list[Attempt]:
        """Return an attempt for each sub-cohort: one to resume, or a new one at the same proposal."""
        known = self.attempts.open(window.run)
        self._close_left({self.record_id(attempt) for attempt in known.values()})
        book = repository.read(self.context.engine, self.config)
        blobs = {round_config.VOCABULARY: window.vocabulary, round_config.HEAD: window.head}
        for number, proposal in enumerate(window.proposals):
            bound = window.bound.get(number)
            if number in known or (bound is not None and bound.revealed):
                # Who revealed shares answers no other attempt before the window is over.
                continue
            gone = set(book.unusable(self.others(proposal.hosts)))
            asked = proposal.hosts if bound is None else bound.survivors
            known[number] = self.attempts.begin(
                proposal,
                blobs,
                run=window.run,
                number=number,
                asked=[host for host in asked if host not in gone],
                exactly=bound is not None,
            )
        if not known:
            self.windows.failed()
            raise abandoned(
                "its members opened it, and their answers were lost; it comes with the next window"
            )
        return [attempt for _, attempt in sorted(known.items())]

    # -- rounds ---------------------------------------------------------------------------------------------

    async def _drive(self, attempts: Sequence[Attempt], carry: Carry) -> list[SumResult | BaseException]:
        try:
            return await asyncio.gather(
                *(self.attempts.drive(attempt, carry) for attempt in attempts), return_exceptions=True
            )
        finally:
            # What was exchanged was exchanged, however the run ends.
            month = month_of(self.context.clock())
            add_all(self.context.engine, month, self.attempts.traffic.by_peer())

    def _read(
        self, attempt: Attempt, result: SumResult | BaseException, question: Question
    ) -> Summed | BaseException:
        """Return a sub-cohort's sum; note why where there is none. A bug of ours is raised."""
        proposal = attempt.signed.proposal
        try:
            if isinstance(result, BaseException):
                raise result
            counts, pairs = proposal.split(result.total)
            noise = round_config.noise_in(proposal, len(result.survivors))
            return Summed(attempt, result, counts, statistics.of_sum(counts, question.head, pairs, noise))
        except _LOST as error:
            window = self.windows.current()
            if isinstance(error, CohortLost) and window is not None and attempt.number in window.bound:
                self.finish(attempt, "waiting", reason=str(error))
            else:
                self.finish(attempt, "abandoned", reason=str(error))
                self.attempts.forget(attempt)
            return error

    def _may_go_on(self, attempt: Attempt) -> None:
        """Give an attempt up as soon as somebody who is asked was taken out."""
        asked = self.others(tuple(sorted(attempt.asked)))
        out = repository.read(self.context.engine, self.config).unusable(asked)
        if out:
            raise Refusal(Code.CLOSED, f"{', '.join(out)} was taken out while it was summed")

    def _begin(self, attempt: Attempt) -> None:
        proposal = attempt.signed.proposal
        record = RoundRecord(
            id=self.record_id(attempt),
            role=self.role,
            aggregator=self.identity.host,
            started=float(proposal.created),
            roster=list(proposal.hosts),
        )
        self.records[attempt.id] = record
        activity.save_round(self.context.engine, record)

    def _close_left(self, open_: set[str]) -> None:
        """End the records of attempts that this instance did not go on with before they expired."""
        for record in activity.unfinished_rounds(self.context.engine, self.role):
            if record.id not in open_:
                reason = "it had not come to its end when it expired"
                ended = replace(record, ended=self.context.clock(), outcome="abandoned", reason=reason)
                activity.save_round(self.context.engine, ended)

    def finish(
        self, attempt: Attempt, outcome: Outcome, *, reason: str = "", survivors: tuple[str, ...] = ()
    ) -> None:
        """Record how an attempt ended, in the database, and in the ledger where it is over."""
        traffic = self.attempts.traffic
        hosts = attempt.signed.proposal.hosts
        record = replace(
            self.records[attempt.id],
            ended=self.context.clock(),
            outcome=outcome,
            reason=reason,
            survivors=list(survivors),
            bytes_in=sum(traffic.received_from[host] for host in hosts),
            bytes_out=sum(traffic.sent_to[host] for host in hosts),
            seconds=self.attempts.seconds.get(attempt.id, {}),
        )
        self.records[attempt.id] = record
        activity.save_round(self.context.engine, record)
        if outcome == "waiting":
            return
        details = {
            "role": self.role,
            "roster": list(hosts),
            "survivors": list(survivors),
            "outcome": outcome,
            "reason": reason,
            "run": attempt.run,
            "sub_cohort": attempt.number,
        }
        append(self.context.engine, self.identity, Kind.ROUND, record.id, details, now=self.context.clock())

    def _remember(self, run: str, one: Summed, question: Question) -> None:
        now, survivors = int(self.context.clock()), self.others(one.result.survivors)
        self.history.add(ReleasedCounts(run, now, survivors, question.vocabulary, one.counts))

    def _summary(
        self,
        window: AggregatorWindow,
        attempts: Sequence[Attempt],
        kept: Sequence[Summed],
        question: Question,
    ) -> dict[str, Any]:
        traffic = self.attempts.traffic
        return {
            "run": window.run,
            "survivors": sorted(host for one in kept for host in one.result.survivors),
            "lost": {host: why for one in kept for host, why in one.result.lost.items()},
            # (owner, holder) of shares that did not fit together: one of the two broke the protocol.
            "doubts": [list(pair) for pair in sorted({p for one in kept for p in one.result.doubts})],
            "vocabulary": len(question.vocabulary),
            "head": len(question.head),
            "sub_cohorts": [self._told(attempt) for attempt in attempts],
            "bytes_out": traffic.sent,
            "bytes_in": traffic.received,
            "seconds": self.attempts.seconds[kept[0].attempt.id],
        }

    def _told(self, attempt: Attempt) -> dict[str, Any]:
        record = self.records[attempt.id]
        return {
            "round": record.id,
            "number": attempt.number,
            "outcome": record.outcome,
            "reason": record.reason,
            "roster": record.roster,
            "survivors": record.survivors,
        }


def abandoned(reason: str) -> JobError:
    """Return the error of a run that ended without a sum."""
    advice = "The served model is unchanged. `shoal rounds list` keeps who was missing and why."
    if Code.COHORT_TOO_SMALL in reason:
        advice += " A member adds up only with those its own admin approved: peers approve each other."
    return JobError(f"the round was abandoned: {reason}", advice=advice)
