"""The job "catch-up": a newcomer takes a sum that a peer passes on, until it has one of its own or its group.

Every survivor in it has to be approved here, by the same key; what this instance gave to it is taken out
again. The sum is judged like any other, and deleted when one of the survivors is reverted, or the peer.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from daemon.identity import open_identity
from daemon.ledger.chain import Kind, append
from daemon.ledger.messages import hosts
from daemon.peers import peer_state, repository
from daemon.peers.repository import Peer
from daemon.process.job_context import JobContext
from daemon.rounds import newcomer, round_config, sums_of_others
from daemon.rounds.sums_of_others import OthersSum
from daemon.store import activity, sums, traffic
from daemon.store.traffic import TrafficCounter
from daemon.training import deploy
from federation import envelope
from federation.blob_access import check_blob, fetch_request
from federation.carrier import PeerRefused, PeerUnreachable
from federation.envelope import NO_ROUND
from federation.errors import Code, Refusal
from federation.group.published import (
    HEAD,
    MAX_PUBLISHED,
    NUMBER_TYPE,
    counts_blob,
    pairs_blob,
    proposal_blob,
)
from federation.http.client import PeerClient, new_session
from federation.passed_on import NEWEST, PassedOn
from federation.proposal import SignedProposal
from policies.sharing import SharingPolicy

log = logging.getLogger(__name__)

FETCH_WITHIN: Final = 300.0
"""Seconds for each answer."""
PATIENCE: Final = 8
BETWEEN_TRIES: Final = 61.0
"""How often, and after how many seconds, a request is sent again of which there were too many."""

Ask = Callable[[Peer, bytes, int], Awaitable[bytes]]
"""Sends a request to a peer; returns its answer, bounded in bytes."""


def run(context: JobContext) -> dict[str, Any]:
    """Ask every peer that is due, and take the sum of the most members; `run` in the result names it."""
    peers = newcomer.to_ask(context.config, context.engine, context.clock())
    return asyncio.run(_run(context, peers)) if peers else {"run": ""}


async def _run(context: JobContext, peers: list[Peer]) -> dict[str, Any]:
    exchanged = TrafficCounter()
    async with new_session() as session:
        client = PeerClient(session, on_traffic=exchanged.add)

        async def ask(peer: Peer, request: bytes, max_answer: int) -> bytes:
            left = PATIENCE
            while True:
                try:
                    return await client.send(
                        peer.host, peer.url, request, max_answer=max_answer, timeout=FETCH_WITHIN
                    )
                except PeerRefused as refused:
                    # A large run is more than a peer hands out in a minute.
                    if refused.code != Code.TOO_MANY or not left:
                        raise
                left -= 1
                await asyncio.sleep(BETWEEN_TRIES)

        try:
            return await CatchUp(context, ask).take_from(peers)
        finally:
            traffic.add_all(context.engine, traffic.month_of(context.clock()), exchanged.by_peer())


class CatchUp:
    """Asks peers, and takes what one of them passes on; `ask` brings a request, as `PeerClient.send` does."""

    def __init__(self, context: JobContext, ask: Ask) -> None:
        self._context, self._config, self._engine = context, context.config, context.engine
        self._identity = open_identity(self._config.identity_file, self._config.instance.host)
        self._limits = round_config.limits(self._config)
        self._send = ask
        self._rng = random.Random()  # noqa: S311 (spreads load; nothing secret depends on it)
        self._refused: dict[str, str] = {}

    async def take_from(self, peers: list[Peer]) -> dict[str, Any]:
        """Return which run was taken, from whom, and why others were not."""
        offers = [(peer, offer) for peer in peers if (offer := await self._offer(peer)) is not None]
        offers.sort(key=lambda one: len(one[1].survivors), reverse=True)
        for peer, offer in offers:
            try:
                taken = await self._take(peer, offer)
            except (Refusal, PeerUnreachable, PeerRefused) as problem:
                self._failed(peer, problem)
                continue
            return {"run": taken, "from": peer.host, "refused": self._refused}
        return {"run": "", "refused": self._refused}

    # -- asking ---------------------------------------------------------------------------------------------

    async def _offer(self, peer: Peer) -> PassedOn | None:
        """Return what a peer passes on, if it may be taken and is new here."""
        try:
            raw = await self._ask(peer, NO_ROUND, NEWEST, MAX_PUBLISHED)
            message = envelope.parse(raw, max_size=MAX_PUBLISHED)
            me, now = self._identity.host, self._context.clock()
            offer = PassedOn.read(message, peer.identity, me, now, self._limits)
            offer.check_size(self._config.model.max_head, self._limits, peer.host)
            self._require_approved(offer, peer)
        except (Refusal, PeerUnreachable, PeerRefused) as problem:
            self._failed(peer, problem)
            return None
        self._note_asked(peer, "")
        known = {one.run for one in sums.records(self._engine)}
        return None if _run_id(peer, offer) in known else offer

    async def _ask(self, peer: Peer, round_id: bytes, name: str, max_answer: int) -> bytes:
        request = fetch_request(self._identity, round_id, peer.host, name)
        return await self._send(peer, request, max_answer)

    def _require_approved(self, offer: PassedOn, peer: Peer) -> None:
        known = repository.read(self._engine, self._config)
        me = self._identity.host
        missing = [
            host
            for host in offer.survivors
            if host != me and ((one := known.find(host)) is None or not one.approved)
        ]
        if missing:
            raise Refusal(
                Code.UNKNOWN_PEER,
                f"it holds viewers of {hosts(missing)}, whom you have not approved: shoal peers approve HOST",
                peer.host,
            )

    def _failed(self, peer: Peer, problem: Refusal | PeerUnreachable | PeerRefused) -> None:
        now = self._context.clock()
        if isinstance(problem, PeerUnreachable) or (isinstance(problem, PeerRefused) and problem.by_proxy):
            # Asked again when its back-off is over.
            self._change(
                peer, lambda one: replace(peer_state.after_failure(one, now, self._rng), sum_asked=None)
            )
            return
        self._refused[peer.host] = str(problem)
        if isinstance(problem, PeerRefused):
            # It has nothing to pass on, or not to us.
            self._note_asked(peer, "")
            return
        log.warning(
            "a sum that a peer passes on is refused", extra={"peer": peer.host, "code": problem.code.value}
        )
        activity.count_refusal(self._engine, problem.code.value, peer=peer.host, now=now)
        self._note_asked(peer, problem.sentence)

    def _note_asked(self, peer: Peer, refused: str) -> None:
        now = self._context.clock()
        self._change(peer, lambda one: replace(one, sum_asked=now, sum_refused=refused))

    def _change(self, peer: Peer, edit: Callable[[Peer], Peer]) -> None:
        repository.change(self._engine, self._config, peer.host, edit)

    # -- taking ---------------------------------------------------------------------------------------------

    async def _take(self, peer: Peer, offer: PassedOn) -> str:
        """Fetch, check and store what a peer passes on; returns the id of its run here."""

        async def blob(name: str) -> bytes:
            reference = offer.blobs[name]
            return check_blob(await self._ask(peer, offer.run, name, reference.size), reference)

        numbers = range(len(offer.sub_cohorts))
        proposals = {number: await blob(proposal_blob(number)) for number in numbers}
        now = self._context.clock()
        signed = offer.check_sub_cohorts(proposals, peer.identity, now, self._limits)
        for one in signed:
            self._require_agreed(one, peer)
        self._require_newer(signed, peer)
        head = round_config.decode_vocabulary(await blob(HEAD), at_most=self._config.model.max_head)
        if len(head) != signed[0].proposal.parameters["head"] or any(
            a >= b for a, b in itertools.pairwise(head)
        ):
            raise Refusal(Code.BLOB_MISMATCH, "the head is not the sorted list that was declared", peer.host)
        found = []
        for number in numbers:
            counts, pairs = (
                _numbers(await blob(counts_blob(number))),
                _numbers(await blob(pairs_blob(number))),
            )
            survivors = offer.sub_cohorts[number].survivors
            found.append(
                sums_of_others.without_own(
                    self._context, "newcomer", number, signed[number], survivors, head, counts, pairs
                )
            )
        return self._store(peer, offer, head, found)

    def _require_agreed(self, signed: SignedProposal, peer: Peer) -> None:
        """Check that the members agreed to this, on terms that we could have been asked ourselves."""
        proposal = signed.proposal
        sharing = self._config.sharing
        # Whether we contribute is another matter.
        SharingPolicy("contribute", sharing.max_vocabulary, self._config.model.max_head).check(proposal)
        if not proposal.parameters["pass_on"] or proposal.colluders < round_config.READ_BY_OTHERS:
            raise Refusal(
                Code.PARAMETERS_REFUSED, "its members did not agree that the sum is passed on", peer.host
            )
        known = repository.read(self._engine, self._config)
        pinned = {self._identity.host: self._identity.public}
        pinned |= {one.host: one.identity for one in known.approved()}
        for member in proposal.roster:
            if member.host in pinned and member != pinned[member.host]:
                raise Refusal(
                    Code.KEY_MISMATCH, f"{member.host} is in its sum by another key than here", peer.host
                )

    def _require_newer(self, signed: tuple[SignedProposal, ...], peer: Peer) -> None:
        """Check that the peer does not go back to a sum before the one that it passed on last."""
        before = (
            activity.round_(self._engine, one.round_id)
            for one in sums.records(self._engine)
            if one.passed_on_by == peer.host
        )
        newest = max((one.started for one in before if one is not None), default=0.0)
        if min(one.proposal.created for one in signed) <= newest:
            raise Refusal(Code.REPLAYED, "it passed on a later sum before", peer.host)

    def _store(self, peer: Peer, offer: PassedOn, head: tuple[str, ...], found: list[OthersSum]) -> str:
        config, run_id = self._config, _run_id(peer, offer)
        with deploy.turn(config):
            known = repository.read(self._engine, config)
            now_known = known.find(peer.host)
            if now_known is None or not now_known.approved or newcomer.has_sum(self._engine, known):
                raise Refusal(Code.CLOSED, "it was taken out, or is not needed any more", peer.host)
            self._require_approved(offer, peer)
            # One time for all: stored sums are sorted by it, and then by sub-cohort.
            now = self._context.clock()
            for one in found:
                sums_of_others.save(self._context, one, head, aggregator=peer.host, run=run_id, now=now)
            details = {
                "run": offer.run.hex(),
                "rounds": [one.signed.round_id.hex() for one in found],
                "sums": [one.round_id for one in found],
                "survivors": sorted(host for one in found for host in one.survivors),
            }
            append(self._engine, self._identity, Kind.PASSED_ON, peer.host, details, now)
        log.info("took a sum that a peer passes on", extra={"peer": peer.host, "run": run_id[:12]})
        return run_id


def _numbers(data: bytes) -> NDArray[np.int64]:
    return np.frombuffer(data, NUMBER_TYPE).astype(np.int64)


def _run_id(peer: Peer, offer: PassedOn) -> str:
    """Return what the run is called here: never like one of our own or our group, whatever a peer says."""
    return hashlib.sha256(b"passed on" + peer.host.encode() + offer.run).hexdigest()
