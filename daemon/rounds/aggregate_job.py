"""The job that asks the approved peers for a sum: two rounds over HTTP, then the statistic is stored.

With many peers there is a sum for each sub-cohort (`daemon.rounds.sub_cohorts`), all over one head: it
follows from the counts of all of them together. One that fails is missing; the others count.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daemon.peers import repository
from daemon.process.job_context import JobContext
from daemon.rounds import round_config, sub_cohorts
from daemon.rounds.aggregator_window import peer_windows
from daemon.rounds.contribution_job import noisy, windows_of
from daemon.rounds.contribution_log import ContributionLog
from daemon.rounds.counts_then_pairs import SubCohort
from daemon.rounds.own_statistics import over, own_viewers, public_vocabulary
from daemon.rounds.session_driver import Paired, SessionDriver
from daemon.store import sums
from daemon.training import deploy
from federation.envelope import Stage
from federation.errors import Refusal
from federation.http.client import HttpCarrier, PeerClient, new_session
from federation.identity import PublicIdentity
from models import statistics

log = logging.getLogger(__name__)


def run(context: JobContext) -> dict[str, Any]:
    """Run one session to its end, or continue the open one.

    Raises:
        PolicyRefusedError, NotRunningError: there can be no session now.
        JobError: the session was abandoned; nothing was learned.

    """
    round_config.require_session(context.config, repository.read(context.engine, context.config))
    session = _Session(context)
    return session.simulate() if context.config.mode == "simulate" else asyncio.run(session.run())


class _Session(SessionDriver):
    """The sum of this instance's own peers."""

    def __init__(self, context: JobContext) -> None:
        config = context.config
        super().__init__(
            context, round_config.aggregator_journal(config), peer_windows(config, context.clock)
        )
        self.asked = {peer.host: peer for peer in round_config.asked(repository.read(context.engine, config))}

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
        """Sum over HTTP."""
        async with new_session() as http:
            client = PeerClient(http, on_traffic=self.rounds.traffic.add)
            carrier = HttpCarrier(client, {host: peer.url for host, peer in self.asked.items()})
            return await self.sum(lambda _sum: carrier)

    def rosters(self) -> tuple[tuple[PublicIdentity, ...], ...]:
        """Return the approved peers, divided as in the epoch."""
        groups = sub_cohorts.divide(
            self.context.engine,
            self.config,
            tuple(self.asked),
            now=self.context.clock(),
            shuffle=secrets.SystemRandom().shuffle,
        )
        return tuple(tuple(sorted(self.asked[host].identity for host in group)) for group in groups)

    def own_counts(self, sub_cohort: SubCohort) -> NDArray[np.int64] | int:
        """Return our own viewers' noisy counts, as members will see them in the total, or 0.

        The members are shown this total, so our own share obeys the rules of any contribution: it carries
        noise, is frozen for a window, and costs budget. At home our own viewers are added in the clear, when
        training.
        """
        if self.config.mode != "contribute":
            return 0
        first = sub_cohort.first
        blobs = {round_config.VOCABULARY: self.rounds.vocabulary_of(sub_cohort)}
        context = self.context
        windows = windows_of(context)
        # Read again: since the session began somebody may have left.
        own = own_viewers(context.engine, self.config, now=context.clock())
        try:
            counts = noisy(context, first.proposal, blobs, own, windows)
            record = ContributionLog(windows, context.engine, context.clock)
            record.check(first.sum_id, first.proposal, Stage.SURVIVORS)
        except Refusal as refusal:
            log.info("own viewers sit out of this session: %s", refusal)
            return 0
        return counts

    def keep(self, paired: Sequence[Paired], vocabulary: tuple[str, ...]) -> list[Paired]:
        """Store the sum of each sub-cohort."""
        return [one for one in paired if self._store(one, vocabulary)]

    def _store(self, one: Paired, vocabulary: tuple[str, ...]) -> bool:
        """Store a sub-cohort's sum, unless a member's learning was taken out while it was summed."""
        sub_cohort, result, head = one.sub_cohort, one.result, one.summed.statistic.head
        context = self.context
        with deploy.turn(self.config):
            out = repository.read(context.engine, self.config).unusable(result.survivors)
            if out:
                reason = f"{', '.join(out)} was taken out while it was summed"
                self.finish(sub_cohort, "abandoned", reason=reason)
                return False
            self.finish(sub_cohort, "done", survivors=result.survivors)
            sums.save(
                context.engine,
                self.config.sums_dir,
                session_id=sub_cohort.session,
                urls=tuple(vocabulary[place] for place in head),
                counts=one.counted.total[head],
                triangle=result.total,
                privacy=round_config.privacy_of(sub_cohort.first.proposal, survivors=len(result.survivors)),
                now=context.clock(),
                run=sub_cohort.run,
                sub_cohort=sub_cohort.number,
            )
        for host in result.survivors:
            # Who gave its counts to us approves us, whether it ever said so or not.
            repository.change(
                context.engine, self.config, host, lambda peer: replace(peer, theirs="approved")
            )
        return True
