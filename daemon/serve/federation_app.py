"""Takes part in other instances' sums, in the serving process: answers peers, counts in a child process."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import shutil
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from daemon.config import Config
from daemon.group.hosting.enrolment_server import EnrolmentServer
from daemon.group.hosting.published_server import PublishedServer
from daemon.group.membership import rules
from daemon.group.membership.blob_cache import BlobCache
from daemon.group.membership.host_messages import HostMessages
from daemon.group.published_store import PublishedStore
from daemon.group.traffic_accounting import TrafficAccounting
from daemon.identity import open_identity
from daemon.jobs.run import run_job
from daemon.peers import repository
from daemon.peers.contact_trigger import ContactTrigger
from daemon.peers.ingress import Ingress
from daemon.peers.repository import Peer
from daemon.rounds import crash_points, round_config
from daemon.rounds.contribution_log import ContributionLog
from daemon.rounds.data_windows import open_windows
from daemon.rounds.member_log import MemberLog
from daemon.store.activity import count_refusal
from federation.blob_access import BlobServer
from federation.envelope import Stage
from federation.errors import Code, Refusal
from federation.http.client import PeerClient, new_session
from federation.http.member import MemberService
from federation.identity import PublicIdentity
from federation.node import MemberNode, Preparation
from federation.proposal import Proposal

log = logging.getLogger(__name__)

_KEEPING_SECONDS = 30.0
COUNTING_AT_ONCE: Final = 1
"""Jobs that count for somebody's sum; others wait, and their aggregators ask again."""
COUNT_WITHIN: Final = 600.0
"""Seconds for one; an aggregator has given up on us long before."""


@dataclass(frozen=True)
class _Known:
    """Who may ask what; read for every request, so that what the admin decides holds from then on."""

    engine: Engine
    config: Config
    me: PublicIdentity

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

    def admit(self, proposal: Proposal) -> None:
        """Raise Refusal for a proposal that the admin's policies do not allow."""
        allowlist = repository.read(self.engine, self.config).allowlist()
        group = rules.rule(self.engine, self.config, self.me)
        round_config.policy(self.config, allowlist, group).check(proposal)

    def _approved(self, host: str) -> Peer | None:
        peer = repository.find(self.engine, self.config, host)
        return peer if peer is not None and peer.approved else None


@contextlib.asynccontextmanager
async def open_service(
    config: Config,
    config_file: Path,
    engine: Engine,
    *,
    on_refused: Callable[[str], None] = lambda _code: None,
    clock: Callable[[], float] = time.time,
) -> AsyncIterator[MemberService]:
    """Build the node, the desk and the service of an instance, and close them at the end."""
    identity = open_identity(config.identity_file, config.instance.host)
    limits = round_config.limits(config)

    known = _Known(engine, config, identity.public)

    def admit(proposal: Proposal) -> None:
        try:
            known.admit(proposal)
        except Refusal as refusal:
            records.refused(proposal, refusal)
            raise

    scratch = config.journal_dir / "preparing"
    shutil.rmtree(scratch, ignore_errors=True)
    windows = open_windows(config, identity, engine, clock)
    node = MemberNode(
        identity,
        round_config.member_journal(config),
        peer=known.identity_of,
        admit=admit,
        clock=clock,
        random=secrets.token_bytes,
        limits=limits,
        contributions=ContributionLog(windows, engine, clock),
    )
    if windows.restored:
        # Sums that were open in the backup may have gone on since.
        log.warning("the data folder was restored or copied: every data window counts as served")
        for sum_id in node.open_sums():
            node.abandon(sum_id)
    node.prune()
    desk = PublishedServer(
        identity,
        engine,
        config,
        PublishedStore(config),
        BlobServer(identity, round_config.aggregator_journal(config), clock=clock, limits=limits),
    )
    inbox = HostMessages(identity, engine, config, limits, clock)
    enroller = EnrolmentServer(identity, engine, config, clock, limits=limits)
    records = MemberLog(engine, identity, node, clock)
    spool = BlobCache(config.group_dir / "spool")
    carried = TrafficAccounting(inbox.take, spool, engine, known.identity_of, limits, records.exchanged)

    counting = asyncio.Semaphore(COUNTING_AT_ONCE)

    async def prepare(preparation: Preparation, blobs: Mapping[str, bytes]) -> NDArray[np.int64]:
        async with counting:
            try:
                return await _count(config, config_file, scratch, preparation, blobs)
            except Refusal as refusal:
                if refusal.code is not Code.BUSY:
                    await asyncio.to_thread(records.refused, preparation.proposal, refusal)
                raise

    # Written now and then: a flood of nonsense must not become a flood of transactions.
    refused: Counter[str] = Counter()

    def on_refusal(refusal: Refusal) -> None:
        on_refused(refusal.code.value)
        refused[refusal.code.value] += 1

    errands = ContactTrigger(config_file, run_job)
    door = Ingress(identity, engine, config, limits=limits, clock=clock, on_proven=errands.send)

    async with new_session() as session:
        service = MemberService(
            identity,
            node,
            PeerClient(session, on_traffic=records.exchanged),
            prepare=prepare,
            url_of=known.url_of,
            limits=limits,
            admit=door.admit,
            admit_sum=door.admit_sum,
            handlers={
                Stage.HELLO: door.hello,
                Stage.FETCH: desk.serve,
                Stage.ENROL: enroller.take,
                **dict.fromkeys(HostMessages.STAGES, carried.take),
            },
            at_hand=carried.at_hand,
            on_stage=lambda stage: crash_points.pass_point(f"member.{stage}"),
            on_refusal=on_refusal,
            on_answer=records.answered,
            on_sent=door.answered,
        )
        keeping = asyncio.create_task(_keep(engine, service, records, refused, clock))
        try:
            yield service
        finally:
            keeping.cancel()
            await errands.close()
            await service.close()
            _write_refusals(engine, refused, clock())


async def _keep(
    engine: Engine,
    service: MemberService,
    records: MemberLog,
    refused: Counter[str],
    clock: Callable[[], float],
) -> None:
    while True:
        await asyncio.sleep(_KEEPING_SECONDS)
        try:
            await asyncio.to_thread(_write_refusals, engine, refused, clock())
            await service.prune()
            await asyncio.to_thread(records.close_left)
        except (OSError, SQLAlchemyError):
            log.exception("housekeeping failed; it is tried again")


def _write_refusals(engine: Engine, refused: Counter[str], now: float) -> None:
    for code in list(refused):
        count_refusal(engine, code, now=now, times=refused.pop(code))


async def _count(
    config: Config,
    config_file: Path,
    scratch: Path,
    preparation: Preparation,
    blobs: Mapping[str, bytes],
) -> NDArray[np.int64]:
    folder = scratch / preparation.signed.sum_id.hex()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        await asyncio.to_thread(_write, folder, preparation, blobs)
        outcome = await run_job(
            "contribution",
            config_file,
            time_limit=min(config.limits.job_time.total_seconds(), COUNT_WITHIN),
            arguments={"folder": str(folder)},
        )
        if not outcome.ok:
            log.error("contribution failed code=%s message=%s", outcome.code, outcome.message)
            raise Refusal(Code.BUSY, "this instance could not count its viewers now; its log says why")
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
