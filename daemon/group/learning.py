"""The job "group-learn": from what the host published to stored sums of the others, like any other sum.

Every member of a group is in its sum. What this instance contributed is taken out again
(`daemon.rounds.sums_of_others`); a sub-cohort from which it cannot be taken out is not used.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from daemon.errors import JobError, PolicyRefusedError
from daemon.group import repository
from daemon.group.membership.host_messages import take_epoch
from daemon.group.membership.rules import host_of
from daemon.group.published_sums import EPOCH, MESSAGE, PublishedStore
from daemon.group.repository import Membership, note_in_ledger
from daemon.identity import open_identity
from daemon.peers import repository as peers
from daemon.process.job_context import JobContext
from daemon.rounds import round_config
from daemon.rounds.sums_of_others import OthersSum, save, without_own
from daemon.store import traffic
from daemon.store.engine import writes
from daemon.store.traffic import TrafficCounter
from daemon.training import deploy
from federation import envelope
from federation.blob_access import check_blob, fetch_request
from federation.carrier import PeerRefused, PeerUnreachable
from federation.errors import Code, Refusal
from federation.group.epoch_document import MAX_EPOCH, EpochDocument
from federation.group.published import (
    HEAD,
    MAX_PUBLISHED,
    NUMBER_TYPE,
    Published,
    PublishedSubCohort,
    counts_blob,
    pairs_blob,
    proposal_blob,
)
from federation.http.client import PeerClient, new_session
from federation.identity import PublicIdentity
from federation.proposal import SignedProposal

log = logging.getLogger(__name__)

NOT_LEARNT_FROM: Final = frozenset({"removed", "reverted"})
_FETCH_WITHIN: Final = 300.0
"""Seconds for each answer of the host."""


def run(context: JobContext) -> dict[str, Any]:
    """Store what was published; the argument `run` (a run's id, hex) fetches a run that was missed.

    Raises:
        PolicyRefusedError: this instance is in no group, or the host is no approved peer any more.
        JobError: what was published cannot be used at all, or not be fetched.

    """
    group = repository.current(context.engine)
    if group is None or not group.active:
        raise PolicyRefusedError("this instance is in no group", advice="Join one: shoal group join URL")
    store = PublishedStore(context.config)
    missed = context.arguments.get("run", "")
    run_id: bytes | None = None
    try:
        if missed and (newest := store.newest()) != bytes.fromhex(missed):
            log.info("fetching a sum that was missed", extra={"had": newest.hex()[:12] if newest else ""})
            run_id = bytes.fromhex(missed)
            _fetch(context, group, run_id, store)
        run_id = store.not_learnt()
        if run_id is None:
            return {"run": group.run, "sub_cohorts": []}
        return _Learning(context, group, store, run_id).run()
    except Refusal as refusal:
        _discard(context, group, store, run_id, refusal)
        raise JobError(
            f"what the host of the group published cannot be used: {refusal}",
            advice="The present model stays in service. Tell the host's admin; the next window brings "
            "another sum.",
        ) from None


def _fetch(context: JobContext, group: Membership, run_id: bytes, store: PublishedStore) -> None:
    """Store a run that this instance missed, fetched from the host's endpoint for peers.

    Raises:
        PolicyRefusedError: the host is no approved peer any more.
        JobError: the host is away, or does not hand the run out now.
        Refusal: it does not have the run any more, or sends something invalid: asking again would not help.

    """
    try:
        asyncio.run(_fetch_from(_host_identity(context, group), context, group, run_id, store))
    except (PeerUnreachable, PeerRefused) as error:
        if isinstance(error, PeerRefused) and error.code == Code.UNKNOWN_ROUND:
            raise Refusal(Code.UNKNOWN_ROUND, f"{group.host} does not have it any more") from None
        raise JobError(
            f"the group's sum could not be fetched from {group.host}: {error}",
            advice="The daemon tries again by itself; the next sum does not depend on it.",
        ) from None


async def _fetch_from(
    host: PublicIdentity, context: JobContext, group: Membership, run_id: bytes, store: PublishedStore
) -> None:
    config = context.config
    identity = open_identity(config.identity_file, config.instance.host)
    limits = round_config.limits(config)
    exchanged = TrafficCounter()
    async with new_session() as session:
        client = PeerClient(session, on_traffic=exchanged.add)

        async def ask(name: str, max_answer: int) -> bytes:
            request = fetch_request(identity, run_id, group.host, name)
            return await client.send(
                group.host, group.url, request, max_answer=max_answer, timeout=_FETCH_WITHIN
            )

        try:
            raw = await ask(MESSAGE, MAX_PUBLISHED)
            published = Published.read(envelope.parse(raw, max_size=MAX_PUBLISHED), host, limits)
            if published.run != run_id:
                raise Refusal(Code.WRONG_STAGE, "the host sent another run than was requested", group.host)
            store.require_newer(published, host, limits)
            epoch = await ask(EPOCH, MAX_EPOCH)
            with store.filling(run_id, raw, epoch) as put:
                for name, reference in sorted(published.blobs.items()):
                    put(name, check_blob(await ask(name, reference.size), reference))
        finally:
            traffic.add_all(context.engine, traffic.month_of(context.clock()), exchanged.by_peer())


def _discard(
    context: JobContext, group: Membership, store: PublishedStore, run_id: bytes | None, refusal: Refusal
) -> None:
    """Mark a run as dealt with, though nothing was learnt from it: otherwise it would be tried for ever."""
    if run_id is None:
        return
    identity = open_identity(context.config.identity_file, context.config.instance.host)
    with writes(context.engine) as connection:
        repository.change_in(connection, lambda known: _after_run(known, run_id.hex(), ""))
        note_in_ledger(
            connection,
            identity,
            "published",
            group.host,
            group.group,
            context.clock(),
            run=run_id.hex(),
            hash="",
            survivors=[],
            left_out=[str(refusal)],
        )
    if store.newest() == run_id:
        store.mark_learnt(run_id, keep=False)


class _Learning:
    def __init__(self, context: JobContext, group: Membership, store: PublishedStore, run_id: bytes) -> None:
        self._context, self._group, self._store, self._run_id = context, group, store, run_id
        self._config = context.config
        self._identity = open_identity(self._config.identity_file, self._config.instance.host)
        self._limits = round_config.limits(self._config)
        self._host = _host_identity(context, group)

    def run(self) -> dict[str, Any]:
        published, document = self._read()
        numbers = range(len(published.sub_cohorts))
        proposals = {number: self._blob(proposal_blob(number)) for number in numbers}
        signed = published.check_sub_cohorts(document, proposals, self._limits)
        head = round_config.decode_vocabulary(self._blob(HEAD), at_most=self._config.model.max_head)
        sub_cohorts: list[OthersSum] = []
        problems: dict[int, str] = {}
        for number in numbers:
            try:
                sub_cohorts.append(
                    self._without_own(number, published.sub_cohorts[number], signed[number], head)
                )
            except Refusal as refusal:
                problems[number] = str(refusal)
                log.warning(
                    "a sub-cohort of the group's sum is left out",
                    extra={"sub_cohort": number, "code": refusal.code.value},
                )
        with deploy.turn(self._config):
            sub_cohorts = self._without_reverted(sub_cohorts, problems)
            # One time for all: stored sums are sorted by it, and then by sub-cohort.
            now = self._context.clock()
            for one in sub_cohorts:
                save(self._context, one, head, aggregator=self._group.host, run=self._run_id.hex(), now=now)
            self._note(published, sub_cohorts, problems)
        self._store.mark_learnt(self._run_id, keep=self._group.role == "host")
        return {
            "run": self._run_id.hex(),
            "sub_cohorts": [{"round": one.round_id, "survivors": list(one.survivors)} for one in sub_cohorts],
            "left_out": {str(number): problem for number, problem in problems.items()},
            "head": len(head),
        }

    def _read(self) -> tuple[Published, EpochDocument]:
        """Return what was published, and its epoch, checked against the one that was known before."""
        raw, epoch = self._store.message(self._run_id) or b"", self._store.epoch(self._run_id) or b""
        published = Published.read(envelope.parse(raw, max_size=MAX_PUBLISHED), self._host, self._limits)
        if published.group != self._group.group or published.run != self._run_id:
            raise Refusal(Code.NOT_FOR_ME, "it is another run, or of another group", self._group.host)
        return published, take_epoch(
            self._context.engine, self._config, self._identity, self._host, epoch, self._context.clock()
        )

    def _without_own(
        self, number: int, published: PublishedSubCohort, signed: SignedProposal, head: tuple[str, ...]
    ) -> OthersSum:
        counts, pairs = self._numbers(counts_blob(number)), self._numbers(pairs_blob(number))
        return without_own(self._context, "group", number, signed, published.survivors, head, counts, pairs)

    def _without_reverted(self, sub_cohorts: list[OthersSum], problems: dict[int, str]) -> list[OthersSum]:
        """Return the sub-cohorts without those that include a removed or reverted peer.

        One with members that our admin does not know is stored, and learnt from as soon as all of them are
        approved.
        """
        known = peers.read(self._context.engine, self._config)
        kept = []
        for one in sub_cohorts:
            out = [h for h in one.survivors if (peer := known.find(h)) and peer.state in NOT_LEARNT_FROM]
            if out:
                problems[one.number] = f"{', '.join(out)} was removed or reverted here"
            else:
                kept.append(one)
        return kept

    def _numbers(self, name: str) -> NDArray[np.int64]:
        return np.frombuffer(self._blob(name), NUMBER_TYPE).astype(np.int64)

    def _blob(self, name: str) -> bytes:
        data = self._store.blob(self._run_id, name)
        if data is None:
            raise Refusal(Code.BLOB_MISMATCH, f"the published blob {name} is missing")
        return data

    def _note(self, published: Published, sub_cohorts: list[OthersSum], problems: dict[int, str]) -> None:
        digest = published.hash.hex()
        with writes(self._context.engine) as connection:
            repository.change_in(connection, lambda group: _after_run(group, self._run_id.hex(), digest))
            note_in_ledger(
                connection,
                self._identity,
                "published",
                self._group.host,
                published.group,
                self._context.clock(),
                run=self._run_id.hex(),
                hash=digest,
                survivors=[list(one.survivors) for one in sub_cohorts],
                left_out=[problems[number] for number in sorted(problems)],
            )


def _host_identity(context: JobContext, group: Membership) -> PublicIdentity:
    """Return who signs for the group: its host by the pinned key, or this instance.

    Raises:
        PolicyRefusedError: the host is no approved peer any more.

    """
    config = context.config
    identity = open_identity(config.identity_file, config.instance.host)
    host = host_of(context.engine, config, identity.public, group)
    if host is None:
        raise PolicyRefusedError(
            f"{group.host}, which hosts the group, is no longer an approved peer",
            advice="Approve it again, or leave the group: shoal group leave",
        )
    return host


def _after_run(group: Membership | None, run_id: str, digest: str) -> Membership | None:
    return None if group is None else replace(group, run=run_id, published=digest)
