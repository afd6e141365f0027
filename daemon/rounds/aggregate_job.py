"""The job that asks the approved peers for a sum, over HTTP, and stores what they give.

With many peers there is a round for each sub-cohort (`daemon.rounds.sub_cohorts`), all over one head. One
that fails is missing; the others count.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from daemon.peers import repository
from daemon.process.job_context import JobContext
from daemon.rounds import due, head_history, roster_questions, round_config, sub_cohorts
from daemon.rounds.aggregator_window import peer_windows
from daemon.rounds.contribution_log import Question
from daemon.rounds.own_statistics import over, public_vocabulary
from daemon.rounds.run_driver import RunDriver, Summed, abandoned
from daemon.store import sums
from daemon.training import deploy
from federation.carrier import Carrier
from federation.http.client import HttpCarrier, PeerClient, new_session
from federation.identity import PublicIdentity
from models import counting
from policies.cohort import needed_threshold


def run(context: JobContext) -> dict[str, Any]:
    """Run one round to its end, or continue the open one.

    Raises:
        PolicyRefusedError, NotRunningError: there can be no round now.
        JobError: the round was abandoned; nothing was learned.

    """
    book = repository.read(context.engine, context.config)
    due.require_round(context.config, context.engine, book, context.clock())
    driver = _PeerRun(context)
    return driver.simulate() if context.config.mode == "simulate" else asyncio.run(driver.run())


class _PeerRun(RunDriver):
    """The sum of this instance's own peers."""

    def __init__(self, context: JobContext) -> None:
        config = context.config
        super().__init__(
            context,
            round_config.aggregator_journal(config),
            peer_windows(config, context.clock),
            head_history.of_peers(config),
        )
        self._rosters: tuple[tuple[PublicIdentity, ...], ...] = ()
        self._waiting: list[str] = []
        self.asked = {peer.host: peer for peer in round_config.asked(repository.read(context.engine, config))}

    def simulate(self) -> dict[str, Any]:
        """Compute what would be asked and added, and send nothing."""
        catalogue = self.own.catalogue
        vocabulary = public_vocabulary(catalogue, self.config.sharing.max_vocabulary)
        users = over(vocabulary, catalogue, self.own.limited(self.own.most))
        counts = counting.counts(users)
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
            client = PeerClient(http, on_traffic=self.attempts.traffic.add)
            carrier = HttpCarrier(client, {host: peer.url for host, peer in self.asked.items()})
            if self.windows.opens:
                await self._settle(carrier)
            result = await self.sum(lambda _signed: carrier)
            return {**result, "waiting": self._waiting}

    async def _settle(self, carrier: Carrier) -> None:
        """Ask whom the members do not approve, and leave out of this window who has to wait."""
        settled = await roster_questions.settle(
            self.identity,
            carrier,
            self._divided,
            {host: peer.since for host, peer in self.asked.items()},
            now=self.context.clock(),
            until=self.windows.next_after_now(),
        )
        self._waiting = sorted(settled.waits)
        least = self.config.cohort.min_cohort
        self._rosters = tuple(roster for roster in settled.rosters if len(roster) >= least)
        if not self._rosters:
            self.windows.failed()
            raise abandoned(
                f"fewer than {least} members approve each other; {', '.join(self._waiting)} would wait"
            )

    def colluders(self, roster: tuple[PublicIdentity, ...]) -> int:
        """Lay the noise out for those who were only introduced, and for readers where it is passed on."""
        return round_config.colluders(roster, repository.read(self.context.engine, self.config))

    def threshold(self, roster: tuple[PublicIdentity, ...]) -> int:
        """Outvote those who were only introduced."""
        return min(len(roster), needed_threshold(len(roster), self.colluders(roster)))

    def rosters(self) -> tuple[tuple[PublicIdentity, ...], ...]:
        """Return the approved peers who approve each other, by sub-cohort."""
        return self._rosters

    def _divided(self, without: frozenset[str]) -> tuple[tuple[PublicIdentity, ...], ...]:
        """Return the approved peers but for some, divided as in the epoch."""
        groups = sub_cohorts.divide(
            self.context.engine,
            self.config,
            tuple(host for host in self.asked if host not in without),
            now=self.context.clock(),
            shuffle=secrets.SystemRandom().shuffle,
        )
        return tuple(tuple(sorted(self.asked[host].identity for host in group)) for group in groups)

    def keep(self, summed: Sequence[Summed], question: Question) -> list[Summed]:
        """Store the sum of each sub-cohort."""
        return [one for one in summed if self._store(one, question)]

    def _store(self, one: Summed, question: Question) -> bool:
        """Store a sub-cohort's sum, unless a member's learning was taken out while it was summed."""
        attempt, result, context = one.attempt, one.result, self.context
        with deploy.turn(self.config):
            out = repository.read(context.engine, self.config).unusable(result.survivors)
            if out:
                reason = f"{', '.join(out)} was taken out while it was summed"
                self.finish(attempt, "abandoned", reason=reason)
                return False
            self.finish(attempt, "done", survivors=result.survivors)
            sums.save(
                context.engine,
                self.config.sums_dir,
                round_id=attempt.id,
                urls=question.head_videos,
                counts=one.statistic.counts,
                triangle=one.statistic.triangle,
                privacy=round_config.privacy_of(attempt.signed.proposal, survivors=len(result.survivors)),
                now=context.clock(),
                run=attempt.run,
                sub_cohort=attempt.number,
                proposal=attempt.signed.raw,
            )
        for host in result.survivors:
            # Who gave its counts to us approves us, whether it ever said so or not.
            repository.change(
                context.engine, self.config, host, lambda peer: replace(peer, theirs="approved")
            )
        return True
