"""Composes what an instance that exchanges something with others adds to the serving process.

That is the service for peers, which takes part in their sums: it answers them, and counts in a child process;
the group of the instance; and the rules by which it asks for sums itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import secrets
import shutil
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from daemon.config import Config
from daemon.errors import ShoalError
from daemon.group import published_sums
from daemon.group import repository as groups
from daemon.group.hosting.members_join_and_leave import Admissions
from daemon.group.membership import rules
from daemon.group.membership.host_messages import HostMessages
from daemon.group.published_sums import PublishedServer, PublishedStore
from daemon.identity import open_identity
from daemon.jobs.run import run_job
from daemon.peers import repository
from daemon.peers.ingress import ContactTrigger, Ingress
from daemon.peers.introductions import IntroductionServer
from daemon.peers.repository import Peer
from daemon.process.full_disk import fields_of
from daemon.rounds import crash_points, newcomer, round_config
from daemon.rounds.contribution_log import ContributionLog
from daemon.rounds.data_windows import open_windows
from daemon.rounds.due import next_round
from daemon.rounds.member_log import MemberLog
from daemon.rounds.passing_on import PassOnServer
from daemon.rounds.roster_questions import RosterAnswers
from daemon.serve import group_supervisor, scheduler
from daemon.serve.context import ServeContext
from daemon.serve.group_supervisor import GroupSupervisor
from daemon.serve.runner import Runner
from daemon.serve.scheduler import Scheduler
from daemon.store.activity import count_refusal
from federation.blob_access import BlobServer
from federation.envelope import Stage
from federation.errors import Code, Refusal, silence
from federation.http.client import PeerClient, new_session
from federation.http.listener import PeerListener
from federation.identity import Identity, PublicIdentity
from federation.node import MemberNode, Preparation
from federation.proposal import Proposal

log = logging.getLogger(__name__)

_HOUSEKEEPING_SECONDS: Final = 30.0
CATCH_UP_SECONDS: Final = 60.0
"""How often a newcomer looks whether a peer may have a sum for it: it serves from one minutes after both
approved each other."""
CATCH_UP_WITHIN: Final = 1800.0
COUNTING_AT_ONCE: Final = 1
"""Jobs that count viewers for a sum; other sums wait, and their aggregators ask again."""
COUNT_WITHIN: Final = 600.0
"""Seconds for one: its aggregator has given up on us long before."""


@contextlib.asynccontextmanager
async def federate(context: ServeContext, runner: Runner) -> AsyncIterator[Scheduler]:
    """Add all that talks to other instances to the serving process; yields the scheduler of all jobs."""
    config, engine = context.config, context.engine

    def round_due(now: float) -> float:
        group = groups.current(engine)
        if group is not None and group.active:
            # The instance learns through its group then, whose host asks.
            return math.inf
        return next_round(config, engine, now)

    rules = scheduler.rules(config)
    schedule = Scheduler(context, runner, rules, round_due=round_due)
    group = GroupSupervisor(context, runner, waiting=lambda: published_sums.not_learnt(config))
    schedule.repeat("group", group.look, group_supervisor.LOOK_SECONDS)
    if config.schedule.enabled:
        schedule.repeat("catch-up", lambda: catch_up_and_train(context, runner), CATCH_UP_SECONDS)
    async with open_service(config, context.config_file, engine) as service:
        context.federation_routes = service.routes()
        try:
            yield schedule
        finally:
            await group.close()


async def catch_up_and_train(context: ServeContext, runner: Runner) -> None:
    """Take a sum that a peer passes on, if we have none and a peer is to be asked; learn from it."""
    if not await asyncio.to_thread(newcomer.to_ask, context.config, context.engine, context.clock()):
        return
    outcome = await runner.job("catch-up", at_most=CATCH_UP_WITHIN)
    if outcome.result.get("run"):
        await runner.job("train", in_turn=True)


@contextlib.asynccontextmanager
async def open_service(
    config: Config,
    config_file: Path,
    engine: Engine,
    *,
    on_refused: Callable[[str], None] = lambda _code: None,
    clock: Callable[[], float] = time.time,
) -> AsyncIterator[PeerListener]:
    """Build the node and the listener of an instance, and close them at the end."""
    identity = open_identity(config.identity_file, config.instance.host)
    limits = round_config.limits(config)
    admission = _Admission(engine, config, identity.public)
    node = _open_node(config, engine, identity, admission, clock)
    records = MemberLog(engine, identity, node, clock)
    admission.on_refused = records.refused
    counting = _Counting(config, config_file, records)
    refusals = _RefusalCounts(engine, clock, on_refused)
    published = PublishedServer(
        identity,
        engine,
        config,
        PublishedStore(config),
        BlobServer(identity, round_config.aggregator_journal(config), clock=clock, limits=limits),
    )
    passing_on = PassOnServer(identity, engine, config, clock, others=published.serve)
    host_messages = HostMessages(identity, engine, config, limits, clock, records.exchanged)
    roster_answers = RosterAnswers(
        identity,
        engine,
        config,
        limits,
        clock,
        lambda: rules.policy(engine, config, identity.public).host != "",
    )
    contacts = ContactTrigger(config_file, run_job)
    introductions = IntroductionServer(
        identity, engine, config, limits=limits, clock=clock, on_taken=contacts.start
    )
    ingress = Ingress(
        identity,
        engine,
        config,
        limits=limits,
        clock=clock,
        look_at=contacts.start,
        admit=Admissions(identity, engine, config, clock).answer,
    )
    async with new_session() as session:
        service = PeerListener(
            identity,
            node,
            PeerClient(session, on_traffic=records.exchanged),
            prepare=counting.prepare,
            url_of=admission.url_of,
            limits=limits,
            check_sender=ingress.check_sender,
            check_preparation=ingress.check_preparation,
            handlers={
                Stage.HELLO: ingress.answer_hello,
                Stage.INTRODUCE: introductions.take,
                Stage.FETCH: passing_on.serve,
                **dict.fromkeys(HostMessages.STAGES, host_messages.take),
                **dict.fromkeys(RosterAnswers.STAGES, roster_answers.take),
            },
            local_blob=host_messages.blob,
            local_request=host_messages.document,
            on_stage=lambda stage: crash_points.pass_point(f"member.{stage}"),
            on_refusal=refusals.add,
            on_answer=records.answered,
            on_sent=ingress.count_answer,
        )
        housekeeping = asyncio.create_task(_keep_house(service, records, refusals))
        try:
            yield service
        finally:
            housekeeping.cancel()
            await contacts.close()
            await service.close()
            refusals.write()


@dataclass
class _Admission:
    """Who may ask what; read for every request, so that what the admin decides holds from then on."""

    engine: Engine
    config: Config
    me: PublicIdentity
    on_refused: Callable[[Proposal, Refusal], None] = lambda _proposal, _refusal: None

    def identity_of(self, host: str) -> PublicIdentity | None:
        """Return the pinned identity of an approved peer.

        And our own: as the host of a group we ask ourselves. Whether we host one is for its rule to say.
        """
        if host == self.me.host:
            return self.me
        peer = self._approved(host)
        return None if peer is None else peer.identity

    def url_of(self, host: str) -> str | None:
        """Return where an approved peer answers."""
        peer = self._approved(host)
        return None if peer is None else peer.url

    def check_policies(self, proposal: Proposal) -> None:
        """Raise Refusal for a proposal that the admin's policies do not allow."""
        allowlist = repository.read(self.engine, self.config).allowlist()
        group = rules.policy(self.engine, self.config, self.me)
        try:
            round_config.policy(self.config, allowlist, group).check(proposal)
        except Refusal as refusal:
            self.on_refused(proposal, refusal)
            raise

    def _approved(self, host: str) -> Peer | None:
        peer = repository.find(self.engine, self.config, host)
        return peer if peer is not None and peer.approved else None


def _open_node(
    config: Config, engine: Engine, identity: Identity, admission: _Admission, clock: Callable[[], float]
) -> MemberNode:
    windows = open_windows(config, identity, engine, clock)
    node = MemberNode(
        identity,
        round_config.member_journal(config),
        peer=admission.identity_of,
        check_policies=admission.check_policies,
        clock=clock,
        random=secrets.token_bytes,
        limits=round_config.limits(config),
        contributions=ContributionLog(windows, engine, clock),
    )
    if windows.restored:
        # Sums that were open in the backup may have gone on since.
        log.warning("the data folder was restored or copied: every data window counts as served")
        for round_id in node.open_rounds():
            node.abandon(round_id)
    node.prune()
    return node


class _Counting:
    """Counts this instance's viewers for sums, in child processes."""

    def __init__(self, config: Config, config_file: Path, records: MemberLog) -> None:
        self._config, self._config_file, self._records = config, config_file, records
        self._turn = asyncio.Semaphore(COUNTING_AT_ONCE)
        self._scratch = config.journal_dir / "preparing"
        shutil.rmtree(self._scratch, ignore_errors=True)

    async def prepare(self, preparation: Preparation, blobs: Mapping[str, bytes]) -> NDArray[np.int64]:
        """Return the vector of a sum. Raises Refusal."""
        async with self._turn:
            try:
                return await self._count(preparation, blobs)
            except Refusal as refusal:
                if refusal.code is not Code.BUSY:
                    await asyncio.to_thread(self._records.refused, preparation.proposal, refusal)
                raise

    async def _count(self, preparation: Preparation, blobs: Mapping[str, bytes]) -> NDArray[np.int64]:
        folder = self._scratch / preparation.signed.round_id.hex()
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            await asyncio.to_thread(_write, folder, preparation, blobs)
            outcome = await run_job(
                "contribution",
                self._config_file,
                time_limit=min(self._config.limits.job_time.total_seconds(), COUNT_WITHIN),
                arguments={"folder": str(folder)},
            )
            if not outcome.ok:
                log.error("contribution failed", extra={"code": outcome.code, "problem": outcome.message})
                raise silence()
            refusal = round_config.refusal_from(outcome.result)
            if refusal is not None:
                raise refusal
            return await asyncio.to_thread(np.load, folder / round_config.VECTOR_FILE, allow_pickle=False)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _write(folder: Path, preparation: Preparation, blobs: Mapping[str, bytes]) -> None:
    (folder / round_config.PROPOSAL_FILE).write_bytes(preparation.proposal.to_payload())
    for name, data in blobs.items():
        (folder / f"blob.{name}").write_bytes(data)


@dataclass
class _RefusalCounts:
    """Refusals by code, written now and then: a flood of messages must not become one of transactions."""

    engine: Engine
    clock: Callable[[], float]
    on_refused: Callable[[str], None]
    _counts: Counter[str] = field(default_factory=Counter)

    def add(self, refusal: Refusal) -> None:
        """Count one."""
        self.on_refused(refusal.code.value)
        self._counts[refusal.code.value] += 1

    def write(self) -> None:
        """Write what was counted since the last time."""
        for code, times in list(self._counts.items()):
            if times:
                count_refusal(self.engine, code, now=self.clock(), times=times)
                # What could not be written is counted the next time; more may have come meanwhile.
                self._counts[code] -= times


async def _keep_house(service: PeerListener, records: MemberLog, refusals: _RefusalCounts) -> None:
    while True:
        await asyncio.sleep(_HOUSEKEEPING_SECONDS)
        try:
            await asyncio.to_thread(refusals.write)
            await service.prune()
            await asyncio.to_thread(records.close_left)
        except (OSError, SQLAlchemyError, ShoalError) as error:
            log.error("housekeeping failed; it is tried again", extra=fields_of(error))
