"""The job "group-learn": from what the host published to stored sums of the others, like any other sum.

Every member of a group is in its sum. What this instance contributed is taken out again, exactly: the vector
is frozen for the data window, noise included. What is left is the sum of the others, with their noise; our
viewers are added in the clear when training, as with a sum of one's own peers. A sub-cohort from which this
instance's contribution cannot be taken out is not used.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from daemon.errors import JobError, PolicyRefusedError
from daemon.group import repository
from daemon.group.membership.host_messages import take_epoch
from daemon.group.membership.rules import host_of
from daemon.group.published_sums import EPOCH, MESSAGE, NUMBER_TYPE, PublishedStore
from daemon.group.repository import Membership, note_in_ledger
from daemon.identity import open_identity
from daemon.peers import repository as peers
from daemon.process.job_context import JobContext
from daemon.rounds import round_config
from daemon.rounds.contribution_job import windows_of
from daemon.rounds.contribution_log import videos_of
from daemon.rounds.data_windows import DataWindows
from daemon.store import sums, traffic
from daemon.store.activity import SessionRecord, save_session
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
    Published,
    PublishedSubCohort,
    counts_blob,
    pairs_blob,
    proposal_blob,
)
from federation.http.client import PeerClient, new_session
from federation.identity import PublicIdentity
from federation.proposal import Proposal, SignedProposal
from models.errors import SumError
from models.noise import SumNoise
from models.statistics import Statistic
from policies.sharing import PARAMETERS, TRAINER

log = logging.getLogger(__name__)

NOT_LEARNT_FROM: Final = frozenset({"removed", "reverted"})
_FETCH_WITHIN: Final = 300.0
"""Seconds for each answer of the host."""


def run(context: JobContext) -> dict[str, Any]:
    """Store what was published; the argument `batch` (a run's id, hex) fetches a run that was missed.

    Raises:
        PolicyRefusedError: this instance is in no group, or the host is no approved peer any more.
        JobError: what was published cannot be used at all, or not be fetched.

    """
    group = repository.current(context.engine)
    if group is None or not group.active:
        raise PolicyRefusedError("this instance is in no group", advice="Join one: shoal group join URL")
    store = PublishedStore(context.config)
    missed = context.arguments.get("batch", "")
    run_id: bytes | None = None
    try:
        if missed and (newest := store.newest()) != bytes.fromhex(missed):
            log.info("fetching a sum that was missed", extra={"had": newest.hex()[:12] if newest else ""})
            run_id = bytes.fromhex(missed)
            _fetch(context, group, run_id, store)
        run_id = store.not_learnt()
        if run_id is None:
            return {"batch": group.batch, "sub_cohorts": []}
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
        if isinstance(error, PeerRefused) and error.code == Code.UNKNOWN_SUM:
            raise Refusal(Code.UNKNOWN_SUM, f"{group.host} does not have it any more") from None
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
            if published.batch != run_id:
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
            batch=run_id.hex(),
            hash="",
            survivors=[],
            left_out=[str(refusal)],
        )
    if store.newest() == run_id:
        store.mark_learnt(run_id, keep=False)


@dataclass(frozen=True)
class _SubCohort:
    """A published sub-cohort, checked, without this instance's contribution."""

    session: str
    number: int
    proposal: Proposal
    survivors: tuple[str, ...]
    counts: NDArray[np.int64]
    pairs: NDArray[np.int64]


class _Learning:
    def __init__(self, context: JobContext, group: Membership, store: PublishedStore, run_id: bytes) -> None:
        self._context, self._group, self._store, self._run_id = context, group, store, run_id
        self._config = context.config
        self._identity = open_identity(self._config.identity_file, self._config.instance.host)
        self._windows = windows_of(context)
        self._limits = round_config.limits(self._config)
        self._host = _host_identity(context, group)

    def run(self) -> dict[str, Any]:
        published, document = self._read()
        numbers = range(len(published.parts))
        proposals = {number: self._blob(proposal_blob(number)) for number in numbers}
        signed = published.check_sub_cohorts(document, proposals, self._limits)
        head = round_config.decode_vocabulary(self._blob(HEAD), at_most=self._config.model.max_head)
        sub_cohorts: list[_SubCohort] = []
        problems: dict[int, str] = {}
        for number in numbers:
            try:
                sub_cohorts.append(self._without_own(number, published.parts[number], signed[number], head))
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
                self._save(one, head, now)
            self._note(published, sub_cohorts, problems)
        self._store.mark_learnt(self._run_id, keep=self._group.role == "host")
        return {
            "batch": self._run_id.hex(),
            "sub_cohorts": [
                {"session": one.session, "survivors": list(one.survivors)} for one in sub_cohorts
            ],
            "left_out": {str(number): problem for number, problem in problems.items()},
            "head": len(head),
        }

    def _read(self) -> tuple[Published, EpochDocument]:
        """Return what was published, and its epoch, checked against the one that was known before."""
        raw, epoch = self._store.message(self._run_id) or b"", self._store.epoch(self._run_id) or b""
        published = Published.read(envelope.parse(raw, max_size=MAX_PUBLISHED), self._host, self._limits)
        if published.group != self._group.group or published.batch != self._run_id:
            raise Refusal(Code.NOT_FOR_ME, "it is another run, or of another group", self._group.host)
        return published, take_epoch(
            self._context.engine, self._config, self._identity, self._host, epoch, self._context.clock()
        )

    def _without_own(
        self, number: int, published: PublishedSubCohort, signed: SignedProposal, head: tuple[str, ...]
    ) -> _SubCohort:
        me, proposal = self._identity.host, signed.proposal
        if tuple(sorted(proposal.parameters)) != PARAMETERS or proposal.trainer != TRAINER:
            raise Refusal(Code.PARAMETERS_REFUSED, "the sum is for another trainer")
        counts, pairs = self._numbers(counts_blob(number)), self._numbers(pairs_blob(number))
        size = len(head)
        if counts.shape != (size,) or pairs.shape != (size * (size - 1) // 2,):
            raise Refusal(Code.BLOB_MISMATCH, "the published numbers do not match the number of videos")
        if me in published.survivors:
            own_counts, own_pairs = own_contribution(self._context, self._windows, proposal, head)
            counts, pairs = counts - own_counts, pairs - own_pairs
        others = tuple(host for host in published.survivors if host != me)
        session = hashlib.sha256(b"others" + signed.sum_id).hexdigest()
        _require_possible(proposal, others, counts, pairs)
        return _SubCohort(session, number, proposal, others, counts, pairs)

    def _without_reverted(self, sub_cohorts: list[_SubCohort], problems: dict[int, str]) -> list[_SubCohort]:
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

    def _save(self, one: _SubCohort, head: tuple[str, ...], now: float) -> None:
        engine = self._context.engine
        record = SessionRecord(
            id=one.session,
            role="group",
            aggregator=self._group.host,
            started=float(one.proposal.created),
            ended=now,
            outcome="done",
            roster=[host for host in one.proposal.hosts if host != self._identity.host],
            survivors=list(one.survivors),
        )
        save_session(engine, record)
        sums.save(
            engine,
            self._config.sums_dir,
            session_id=one.session,
            urls=head,
            counts=one.counts,
            triangle=one.pairs,
            privacy=round_config.privacy_of(one.proposal, survivors=len(one.survivors)),
            now=now,
            run=self._run_id.hex(),
            sub_cohort=one.number,
        )

    def _note(self, published: Published, sub_cohorts: list[_SubCohort], problems: dict[int, str]) -> None:
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
                batch=self._run_id.hex(),
                hash=digest,
                survivors=[list(one.survivors) for one in sub_cohorts],
                left_out=[problems[number] for number in sorted(problems)],
            )


def _require_possible(
    proposal: Proposal, others: tuple[str, ...], counts: NDArray[np.int64], pairs: NDArray[np.int64]
) -> None:
    """Raise Refusal if no viewers of the others can have made these numbers, with the noise drawn."""
    privacy = round_config.privacy_of(proposal, survivors=len(others))
    noise = SumNoise(privacy.counts_noise_realised, privacy.pairs_noise_realised)
    try:
        Statistic(np.arange(counts.size), counts, pairs).check(noise)
    except SumError as error:
        raise Refusal(Code.SUM_IMPLAUSIBLE, f"no viewers can have made these numbers ({error})") from None


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


def own_contribution(
    context: JobContext, windows: DataWindows, proposal: Proposal, head: tuple[str, ...]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return this instance's contribution to a sum, over its head: counts (h,) and pairs (h(h-1)/2,), int64.

    Raises:
        Refusal: `window-open` if that is not known (any more), `blob-mismatch` if it was contributed for
            another head.

    """
    window = windows.check(proposal)
    config, aggregator = context.config, proposal.aggregator
    counts, pairs = windows.frozen(aggregator, 0), windows.frozen(aggregator, 1)
    counted, paired = (videos_of(config, aggregator, window, round_) for round_ in (0, 1))
    if counts is None or pairs is None or counted is None:
        raise Refusal(
            Code.WINDOW_OPEN, "this instance's contribution is void, and cannot be taken out of the sum"
        )
    if paired != head:
        raise Refusal(
            Code.BLOB_MISMATCH, "the pairs are published for another head than they were contributed for"
        )
    place = {url: at for at, url in enumerate(counted)}
    number_type = f"<i{proposal.ring // 8}"
    chosen = np.array([place[url] for url in head], np.int64)
    return (
        np.frombuffer(counts, number_type).astype(np.int64)[chosen],
        np.frombuffer(pairs, number_type).astype(np.int64),
    )


def _after_run(group: Membership | None, run_id: str, digest: str) -> Membership | None:
    return None if group is None else replace(group, batch=run_id, published=digest)
