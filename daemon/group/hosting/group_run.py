"""The job "group-round": as the group's host, agree on the epoch, take the sums and publish them.

The stages are the same five as between peers, carried by Flower; the host's own instance is a member like the
others. After an interruption the next run continues with the same proposals.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, ClassVar, Final

from daemon.errors import JobError, PolicyRefusedError
from daemon.group import repository
from daemon.group.commands import require_speaking
from daemon.group.hosting import node_registration, roster_settlement
from daemon.group.hosting.epochs import Epochs, Opened
from daemon.group.hosting.roster_settlement import Settlement
from daemon.group.published_sums import PublishedStore
from daemon.group.repository import Event, Membership, note_in_ledger
from daemon.peers import repository as peers
from daemon.process.job_context import JobContext
from daemon.rounds import head_history, round_config
from daemon.rounds.aggregator_window import group_windows
from daemon.rounds.attempts import Attempt
from daemon.rounds.broadcast import ConnectedOnly, ask_all
from daemon.rounds.contribution_log import Question
from daemon.rounds.run_driver import RunDriver, Summed
from daemon.store.activity import Role
from daemon.store.engine import writes
from daemon.store.traffic import TrafficCounter, add_all, month_of
from federation import envelope
from federation.blob_access import reference_to
from federation.carrier import Carrier
from federation.errors import Code, ProtocolMisuse, Refusal
from federation.flower.control import SuperLinkError
from federation.flower.grid import FlowerRun, open_run
from federation.flower.serverapp import RunFailed
from federation.flower.superlink import SuperLinkAccess
from federation.group.epoch_opening import MAX_SMALL
from federation.group.published import (
    HEAD,
    MAX_PUBLISHED,
    NUMBER_TYPE,
    Published,
    PublishedSubCohort,
    counts_blob,
    pairs_blob,
    proposal_blob,
    read_taken,
)
from federation.identity import PublicIdentity
from federation.masks import RING
from federation.proposal import SignedProposal

log = logging.getLogger(__name__)

GATHER_WITHIN: Final = 15.0
"""Seconds after the announced time in which members may still connect."""
_POLL: Final = 0.25
DELIVER_WITHIN: Final = 300.0
DELIVER_AT_ONCE: Final = 4


def run(context: JobContext) -> dict[str, Any]:
    """Run one round of the hosted group to its end, or continue the open one.

    Raises:
        PolicyRefusedError, NotRunningError: no round is possible now.
        JobError: the round was abandoned; nothing was learned.

    """
    group = repository.current(context.engine)
    if group is None or group.role != "host" or not group.active:
        raise PolicyRefusedError("this instance hosts no group", advice="Host one: shoal group host NAME")
    require_speaking(context.config)
    try:
        return asyncio.run(_run(context, group, node_registration.access_to(context)))
    except (RunFailed, SuperLinkError) as error:
        raise JobError(str(error), advice="See `shoal group status` and the daemon's log.") from None


async def _run(context: JobContext, group: Membership, access: SuperLinkAccess) -> dict[str, Any]:
    registered = await asyncio.to_thread(node_registration.sync, context.engine, access)
    async with open_run(access, registered) as flower:
        # What takes time and involves nobody else is done before the announced time.
        round_ = GroupRun(context, group, flower)
        context.progress("waiting for members", 0.0)
        await asyncio.sleep(max(0.0, group.next_at - context.clock()))
        return await round_.run(frozenset(registered))


async def _connected(flower: FlowerRun, wanted: frozenset[str], clock: Callable[[], float]) -> frozenset[str]:
    """Return the connected hosts, as soon as all are, or when the time for that is over."""
    deadline = clock() + GATHER_WITHIN
    while True:
        online = await asyncio.to_thread(flower.online)
        if wanted <= online or clock() >= deadline:
            return online
        await asyncio.sleep(_POLL)


class GroupRun(RunDriver):
    """One round of a group, over all its sub-cohorts."""

    role: ClassVar[Role] = "host"

    def __init__(self, context: JobContext, group: Membership, flower: FlowerRun) -> None:
        config = context.config
        super().__init__(
            context,
            round_config.hosted_journal(config),
            group_windows(config, context.clock),
            head_history.of_group(config),
        )
        self._group, self._flower = group, flower
        self._connected: frozenset[str] = frozenset()
        self._epochs = Epochs(config, self.identity, group.group, context.clock)
        self._epoch: Opened | None = None
        self._published = PublishedStore(config)

    async def run(self, members: frozenset[str]) -> dict[str, Any]:
        """Agree on the epoch, sum, publish."""
        marks = [("", time.monotonic())]
        self._connected = await _connected(self._flower, members, self.context.clock)
        marks.append(("connecting", time.monotonic()))
        carrier = self._carrier({})
        known = self._epochs.known()
        # Open proposals are for the epoch as it was then.
        again = known is not None and self._under_way()
        opened = (
            self._epochs.present(known)
            if known is not None and again
            else await self._epochs.ensure(self._members(), self._giving(), carrier)
        )
        settled = await self._settle(opened, carrier, again=again)
        self._epoch = settled.opened
        marks.append(("epoch", time.monotonic()))
        result = await self.sum(self._carry)
        marks.append(("sums", time.monotonic()))
        delivered = await self._deliver()
        marks.append(("publishing", time.monotonic()))
        return {
            **result,
            "phases": {name: round(at - before, 3) for (_, before), (name, at) in pairwise(marks)},
            "epoch": self._epoch.document.number,
            "not_in_epoch": {**self._epoch.problems, **settled.problems},
            "waiting": sorted(settled.waits),
            "delivered": delivered,
        }

    def _members(self) -> list[PublicIdentity]:
        """Return the members of the group whose keys our admin approved, sorted by host."""
        known = peers.read(self.context.engine, self.config)
        found = []
        for member in repository.members(self.context.engine):
            if member.state != "member":
                continue
            peer = known.find(member.host)
            if member.host == self.identity.host:
                found.append(self.identity.public)
            elif peer is not None and peer.approved and peer.key == member.key:
                found.append(peer.identity)
        return sorted(found, key=lambda identity: identity.host)

    def _giving(self) -> frozenset[str]:
        """Return the hosts of members that are to be counted; the others only learn."""
        own = {self.identity.host} if self.config.mode == "contribute" else set()
        others = self.others(tuple(one.host for one in repository.members(self.context.engine) if one.gives))
        return frozenset(own.union(others))

    def _carrier(self, blobs: Mapping[str, bytes]) -> Carrier:
        return ConnectedOnly(self._flower.carrier(blobs, self.attempts.traffic.add), self._connected)

    def _carry(self, signed: SignedProposal) -> Carrier:
        return self._carrier(self.attempts.blobs_of(signed))

    async def _settle(self, opened: Opened, carrier: Carrier, *, again: bool) -> Settlement:
        """Send the epoch's document to all members, and leave out who waits; `again`: rosters stay."""
        # Also to members that wait for the next epoch: they learn from the sums of this one.
        members = {**{one.host: one for one in self._members()}, **opened.document.members}
        here = {host: one for host, one in members.items() if host in self._connected}
        if again:
            return Settlement(
                opened, {}, await roster_settlement.send(opened, self.identity, here, carrier, {})
            )
        joined = {one.host: one.since for one in repository.members(self.context.engine)}
        until = self.windows.next_after_now()
        settled = await roster_settlement.settle(
            self._epochs, opened, self.identity, here, joined, carrier, until=until
        )
        if settled.opened.new:
            rosters = settled.opened.document.rosters
            hosts = [[one.host for one in roster] for roster in rosters]
            self._note("epoch", sub_cohorts=len(rosters), members=hosts)
        return settled

    def rosters(self) -> tuple[tuple[PublicIdentity, ...], ...]:
        """Return the sub-cohorts of the epoch."""
        if self._epoch is None:
            raise ProtocolMisuse("sums are proposed in an epoch")
        return self._epoch.document.rosters

    def colluders(self, roster: tuple[PublicIdentity, ...]) -> int:  # noqa: ARG002
        """Lay the noise out for the host, and whoever reads the sum."""
        return round_config.READ_BY_OTHERS

    def record_id(self, attempt: Attempt) -> str:
        """Return the id of the host's record; as a member it keeps one under the round's own id."""
        return hashlib.sha256(b"hosted" + attempt.signed.round_id).hexdigest()

    def _under_way(self) -> bool:
        window = self.windows.current()
        return window is not None and window.left and not window.done

    def keep(self, summed: Sequence[Summed], question: Question) -> list[Summed]:
        """Sign and store the sums, but for sub-cohorts with a member that was removed in the meantime."""
        known = peers.read(self.context.engine, self.config)
        kept = []
        for one in summed:
            out = known.unusable(self.others(one.result.survivors))
            if out:
                reason = f"{', '.join(out)} was removed or reverted during the round"
                self.finish(one.attempt, "abandoned", reason=reason)
            else:
                self.finish(one.attempt, "done", survivors=one.result.survivors)
                kept.append(one)
        if kept:
            self._publish(kept, question)
        return kept

    def _publish(self, kept: Sequence[Summed], question: Question) -> None:
        if self._epoch is None or kept[0].attempt.signed.proposal.ring != RING:
            raise ProtocolMisuse(f"sums of {RING} bits are published in an epoch")
        blobs = {HEAD: round_config.encode_vocabulary(question.head_videos)}
        for number, one in enumerate(kept):
            blobs[proposal_blob(number)] = one.attempt.signed.raw
            blobs[counts_blob(number)] = one.statistic.counts.astype(NUMBER_TYPE).tobytes()
            blobs[pairs_blob(number)] = one.statistic.triangle.astype(NUMBER_TYPE).tobytes()
        run_id = bytes.fromhex(kept[0].attempt.run)
        # If this was interrupted after signing, a member may have it already: nothing else may be signed.
        if self._published.message(run_id) is None:
            self._sign(run_id, self._epoch, kept, blobs)
        repository.change(self.context.engine, lambda group: group and replace(group, offered=run_id.hex()))

    def _sign(self, run_id: bytes, epoch: Opened, kept: Sequence[Summed], blobs: Mapping[str, bytes]) -> None:
        published = Published(
            group=self._group.group,
            run=run_id,
            epoch=epoch.document.hash,
            made=int(self.context.clock() * 1000),
            sub_cohorts=tuple(
                PublishedSubCohort(one.attempt.signed.round_id, one.result.survivors) for one in kept
            ),
            blobs={name: reference_to(data) for name, data in blobs.items()},
        )
        message = published.seal(self.identity)
        with self._published.filling(run_id, message, epoch.raw) as put:
            for name, data in blobs.items():
                put(name, data)

    async def _deliver(self) -> list[str]:
        """Send what was published to all connected members; return the hosts that took it."""
        run_id = self._published.newest()
        raw = self._published.message(run_id) if run_id is not None else None
        if run_id is None or raw is None:
            return []
        published = Published.read(
            envelope.parse(raw, max_size=MAX_PUBLISHED),
            self.identity.public,
            round_config.limits(self.config),
        )
        blobs = {name: self._published.blob(run_id, name) or b"" for name in published.blobs}
        members = {member.host: member for member in self._members() if member.host in self._connected}

        def read(host: str, answer: bytes) -> None:
            message = envelope.parse(answer, max_size=MAX_SMALL)
            if read_taken(message, members[host], self.identity.host).hash != published.hash:
                raise Refusal(Code.BLOB_MISMATCH, f"{host} took something else", host)

        # The traffic of the round itself is saved already.
        exchanged = TrafficCounter()
        try:
            found = await ask_all(
                ConnectedOnly(self._flower.carrier(blobs, exchanged.add), self._connected),
                dict.fromkeys(members, raw),
                max_answer=MAX_SMALL,
                read=read,
                within=DELIVER_WITHIN,
                at_once=DELIVER_AT_ONCE,
            )
        finally:
            month = month_of(self.context.clock())
            await asyncio.to_thread(add_all, self.context.engine, month, exchanged.by_peer())
        for host in found.answers:
            repository.change_member(
                self.context.engine,
                host,
                lambda known: None if known is None else replace(known, delivered=run_id.hex()),
            )
        return sorted(found.answers)

    def _note(self, event: Event, **details: Any) -> None:
        with writes(self.context.engine) as connection:
            note_in_ledger(
                connection,
                self.identity,
                event,
                self.identity.host,
                self._group.group,
                self.context.clock(),
                **details,
            )
