"""The job "group-learn": from what the host published to stored sums of the others, like any other sum.

Every member of a group is in its sum. What this instance gave itself is taken out again, exactly: the vector
is frozen for the data window, noise included. What is left is the sum of the others, with their noise; own
viewers are added in the clear when training, as with a sum of one's own peers. A part that one's own numbers
cannot be taken out of is left out.
"""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from daemon.errors import JobError, PolicyRefusedError
from daemon.group import fetch_published, repository
from daemon.group.ledger_events import note
from daemon.group.membership.host_messages import take_epoch
from daemon.group.membership.rules import host_of
from daemon.group.published_store import PublishedStore
from daemon.identity import open_identity
from daemon.peers import repository as peers
from daemon.process.job_context import JobContext
from daemon.rounds import round_config
from daemon.rounds.contribution_job import windows_of
from daemon.rounds.contribution_log import videos_of
from daemon.rounds.data_windows import DataWindows
from daemon.store import sums
from daemon.store.activity import SessionRecord, save_session
from daemon.store.engine import writes
from daemon.training import deploy
from federation import envelope
from federation.errors import Code, Refusal
from federation.group.epoch_document import EpochDocument
from federation.group.published import (
    HEAD,
    MAX_PUBLISHED,
    Published,
    PublishedPart,
    counts_blob,
    pairs_blob,
    proposal_blob,
)
from federation.identity import PublicIdentity
from federation.proposal import Proposal, SignedProposal
from models.errors import SumError
from models.noise import SumNoise
from models.statistics import Statistic
from policies.sharing import PARAMETERS, TRAINER

log = logging.getLogger(__name__)

TAKEN_OUT: Final = frozenset({"removed", "reverted"})
SUM_TYPE: Final = "<i4"
"""Of counts and pairs as they are published: our sums are taken in a ring of 32 bits, which holds them."""


def run(context: JobContext) -> dict[str, Any]:
    """Store what was published; the argument `batch` (hex) fetches what was missed while not connected.

    Raises:
        PolicyRefusedError: this instance is in no group.
        JobError: what was published cannot be used at all, or not be fetched.

    """
    group = repository.current(context.engine)
    if group is None or not group.active:
        raise PolicyRefusedError("this instance is in no group", advice="Join one: shoal group join URL")
    shelf = PublishedStore(context.config)
    wanted = context.arguments.get("batch", "")
    batch: bytes | None = None
    try:
        if wanted and (newest := shelf.newest()) != bytes.fromhex(wanted):
            log.info("fetching a sum that was missed", extra={"had": newest.hex()[:12] if newest else ""})
            batch = bytes.fromhex(wanted)
            fetch_published.fetch(context, group, batch, shelf)
        batch = shelf.waiting()
        if batch is None:
            return {"batch": group.batch, "parts": []}
        return _Learning(context, group, shelf, batch).run()
    except Refusal as refusal:
        _set_aside(context, group, shelf, batch, refusal)
        raise JobError(
            f"what the host of the group published cannot be used: {refusal}",
            advice="What serves now stays. Tell the host's admin; another sum comes with the next window.",
        ) from None


def _set_aside(
    context: JobContext,
    group: repository.Membership,
    shelf: PublishedStore,
    batch: bytes | None,
    refusal: Refusal,
) -> None:
    """Note that a batch is dealt with, though nothing is learnt from it: it would be tried for ever."""
    if batch is None:
        return
    identity = open_identity(context.config.identity_file, context.config.instance.host)
    with writes(context.engine) as connection:
        repository.change_in(connection, lambda known: _with(known, batch.hex(), ""))
        note(
            connection,
            identity,
            "published",
            group.host,
            group.group,
            context.clock(),
            batch=batch.hex(),
            hash="",
            survivors=[],
            left_out=[str(refusal)],
        )
    if shelf.newest() == batch:
        shelf.learnt(batch, keep=False)


@dataclass(frozen=True)
class _Part:
    """A published part, checked, without what this instance gave to it."""

    session: str
    number: int
    proposal: Proposal
    survivors: tuple[str, ...]
    counts: NDArray[np.int64]
    pairs: NDArray[np.int64]


class _Learning:
    def __init__(
        self, context: JobContext, group: repository.Membership, shelf: PublishedStore, batch: bytes
    ) -> None:
        self._context, self._group, self._shelf, self._batch = context, group, shelf, batch
        self._config = context.config
        self._identity = open_identity(self._config.identity_file, self._config.instance.host)
        self._windows = windows_of(context)
        self._limits = round_config.limits(self._config)
        self._host = host_identity(context, group)

    def run(self) -> dict[str, Any]:
        published, document = self._read()
        numbers = range(len(published.parts))
        proposals = {number: self._blob(proposal_blob(number)) for number in numbers}
        signed = published.check_parts(document, proposals, self._limits)
        head = round_config.decode_vocabulary(self._blob(HEAD), at_most=self._config.model.max_head)
        parts: list[_Part] = []
        problems: dict[int, str] = {}
        for number in numbers:
            try:
                parts.append(self._without_own(number, published.parts[number], signed[number], head))
            except Refusal as refusal:
                problems[number] = str(refusal)
                log.warning(
                    "a part of the group's sum is left out",
                    extra={"part": number, "code": refusal.code.value},
                )
        with deploy.turn(self._config):
            parts = self._without_taken_out(parts, problems)
            # One time for all: stored sums are sorted by it, and then by part.
            now = self._context.clock()
            for one in parts:
                self._store(one, head, now)
            self._note(published, parts, problems)
        self._shelf.learnt(self._batch, keep=self._group.role == "host")
        return {
            "batch": self._batch.hex(),
            "parts": [{"session": one.session, "survivors": list(one.survivors)} for one in parts],
            "left_out": {str(number): problem for number, problem in problems.items()},
            "head": len(head),
        }

    def _read(self) -> tuple[Published, EpochDocument]:
        """Return what was published, and its epoch, checked against the one that was known before."""
        raw, epoch = self._shelf.message(self._batch) or b"", self._shelf.epoch(self._batch) or b""
        published = Published.read(envelope.parse(raw, max_size=MAX_PUBLISHED), self._host, self._limits)
        if published.group != self._group.group or published.batch != self._batch:
            raise Refusal(Code.NOT_FOR_ME, "it is not what was asked for", self._group.host)
        return published, take_epoch(
            self._context.engine, self._config, self._identity, self._host, epoch, self._context.clock()
        )

    # -- one part -------------------------------------------------------------------------------------------

    def _without_own(
        self, number: int, part: PublishedPart, signed: SignedProposal, head: tuple[str, ...]
    ) -> _Part:
        me, proposal = self._identity.host, signed.proposal
        if tuple(sorted(proposal.parameters)) != PARAMETERS or proposal.trainer != TRAINER:
            raise Refusal(Code.PARAMETERS_REFUSED, "the sum is for another trainer")
        counts, pairs = self._numbers(counts_blob(number)), self._numbers(pairs_blob(number))
        size = len(head)
        if counts.shape != (size,) or pairs.shape != (size * (size - 1) // 2,):
            raise Refusal(Code.BLOB_MISMATCH, "published numbers do not fit the number of videos")
        if me in part.survivors:
            own_counts, own_pairs = given(self._context, self._windows, proposal, head)
            counts, pairs = counts - own_counts, pairs - own_pairs
        others = tuple(host for host in part.survivors if host != me)
        session = hashlib.sha256(b"others" + signed.sum_id).hexdigest()
        _require_possible(proposal, others, counts, pairs)
        return _Part(session, number, proposal, others, counts, pairs)

    def _without_taken_out(self, parts: list[_Part], problems: dict[int, str]) -> list[_Part]:
        """Return the parts without those that hold somebody whose learning was taken out here.

        Whom our admin does not know, in another part, is another matter: that is stored, and learnt from as
        soon as everybody in it is recognised.
        """
        known = peers.read(self._context.engine, self._config)
        kept = []
        for one in parts:
            out = [host for host in one.survivors if (peer := known.find(host)) and peer.state in TAKEN_OUT]
            if out:
                problems[one.number] = f"{', '.join(out)} was taken out here"
            else:
                kept.append(one)
        return kept

    def _numbers(self, name: str) -> NDArray[np.int64]:
        return np.frombuffer(self._blob(name), SUM_TYPE).astype(np.int64)

    def _blob(self, name: str) -> bytes:
        data = self._shelf.blob(self._batch, name)
        if data is None:
            raise Refusal(Code.BLOB_MISMATCH, f"the published data {name} is missing")
        return data

    # -- the record -----------------------------------------------------------------------------------------

    def _store(self, one: _Part, head: tuple[str, ...], now: float) -> None:
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
            run=self._batch.hex(),
            sub_cohort=one.number,
        )

    def _note(self, published: Published, parts: list[_Part], problems: dict[int, str]) -> None:
        digest = published.hash.hex()
        with writes(self._context.engine) as connection:
            repository.change_in(connection, lambda group: _with(group, self._batch.hex(), digest))
            note(
                connection,
                self._identity,
                "published",
                self._group.host,
                published.group,
                self._context.clock(),
                batch=self._batch.hex(),
                hash=digest,
                survivors=[list(one.survivors) for one in parts],
                left_out=[problems[number] for number in sorted(problems)],
            )


def _require_possible(
    proposal: Proposal, others: tuple[str, ...], counts: NDArray[np.int64], pairs: NDArray[np.int64]
) -> None:
    """Raise Refusal when no viewers of the others, with the noise they drew, can have made these numbers."""
    privacy = round_config.privacy_of(proposal, survivors=len(others))
    noise = SumNoise(privacy.counts_noise_realised, privacy.pairs_noise_realised)
    try:
        Statistic(np.arange(counts.size), counts, pairs).check(noise)
    except SumError as error:
        raise Refusal(Code.SUM_IMPLAUSIBLE, f"nobody's viewers can have given it ({error})") from None


def host_identity(context: JobContext, group: repository.Membership) -> PublicIdentity:
    """Return who signs for the group: its host by the pinned key, or this instance.

    Raises:
        PolicyRefusedError: the host is no approved peer any more.

    """
    config = context.config
    identity = open_identity(config.identity_file, config.instance.host)
    host = host_of(context.engine, config, identity.public, group)
    if host is None:
        raise PolicyRefusedError(
            f"{group.host}, which hosts the group, is no approved peer any more",
            advice="Approve it again, or leave the group: shoal group leave",
        )
    return host


def given(
    context: JobContext, windows: DataWindows, proposal: Proposal, head: tuple[str, ...]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return what this instance gave to a sum over its head: counts (h,) and pairs (h(h-1)/2,), int64.

    Raises:
        Refusal: `window-open` where that is not known (any more), `blob-mismatch` where it was given for
            another head.

    """
    window = windows.check(proposal)
    config, aggregator = context.config, proposal.aggregator
    counts, pairs = windows.frozen(aggregator, 0), windows.frozen(aggregator, 1)
    asked, paired = (videos_of(config, aggregator, window, round_) for round_ in (0, 1))
    if counts is None or pairs is None or asked is None:
        raise Refusal(Code.WINDOW_OPEN, "what this instance gave is void, and cannot be taken out of the sum")
    if paired != head:
        raise Refusal(Code.BLOB_MISMATCH, "the pairs are published for another head than they were given for")
    place = {url: at for at, url in enumerate(asked)}
    kind = f"<i{proposal.ring // 8}"
    chosen = np.array([place[url] for url in head], np.int64)
    return (
        np.frombuffer(counts, kind).astype(np.int64)[chosen],
        np.frombuffer(pairs, kind).astype(np.int64),
    )


def _with(group: repository.Membership | None, batch: str, digest: str) -> repository.Membership | None:
    return None if group is None else replace(group, batch=batch, published=digest)
