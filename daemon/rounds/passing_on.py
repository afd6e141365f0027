"""Serves newcomers the newest sum of ours that may be passed on: one that was accepted here, and no other.

Everything is made from the stored sum when it is asked for: nothing is left once a revert deleted that.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Engine

from daemon.config import Config
from daemon.errors import StoreError
from daemon.peers import repository
from daemon.rounds import round_config
from daemon.store import sums, traffic
from daemon.store.sums import StoredSum, SumRecord
from federation import cbor, cbor_fields, envelope
from federation.blob_access import reference_to
from federation.envelope import NO_ROUND, Envelope
from federation.errors import Code, Refusal, silence
from federation.group.documents import MILLISECONDS
from federation.group.published import (
    HEAD,
    NUMBER_TYPE,
    PublishedSubCohort,
    counts_blob,
    pairs_blob,
    proposal_blob,
)
from federation.identity import Identity, PublicIdentity
from federation.masks import RING
from federation.passed_on import NEWEST, PassedOn
from federation.proposal import BlobReference, SignedProposal

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Run:
    """A run that may be passed on: `rounds` are the ids of its stored sums, in the order of `document`."""

    rounds: tuple[str, ...]
    document: PassedOn


class PassOnServer:
    """Answers fetch requests of newcomers, and hands others to `others`; its method blocks.

    It is called from several threads. `clock` gives Unix seconds.
    """

    def __init__(
        self,
        identity: Identity,
        engine: Engine,
        config: Config,
        clock: Callable[[], float],
        others: Callable[[Envelope], bytes],
    ) -> None:
        self._identity, self._engine, self._config = identity, engine, config
        self._clock, self._others = clock, others
        self._limits = round_config.limits(config)
        self._read: dict[tuple[str, ...], _Run | None] = {}
        """What was asked for last, by its stored sums: hashing all numbers once is enough."""

    def serve(self, message: Envelope) -> bytes:
        """Return what a newcomer asks for.

        Raises:
            Refusal: `not-for-me`, `unknown-peer` unless both admins approved each other, `bad-signature`,
                `unknown-round` where there is nothing to pass on, `busy`, or as `others`.

        """
        stored = self._stored()
        if message.round_id != NO_ROUND and message.round_id.hex() not in {one.run for one in stored}:
            return self._others(message)
        if message.recipient != self._identity.host:
            raise Refusal(Code.NOT_FOR_ME, "this does not request data of this instance", message.sender)
        message.verify(self._newcomer(message.sender))
        content = cbor_fields.exact_map(cbor.decode(bytes(message.payload)), "blob")
        try:
            answer = self._answer(stored, message.round_id, cbor_fields.text(content["blob"]))
        except StoreError as error:
            log.exception("a sum cannot be passed on: %s", error.advice)
            raise silence() from None
        if answer is None:
            raise Refusal(Code.UNKNOWN_ROUND, "there is no such sum here that may be passed on")
        if isinstance(answer, PassedOn):
            log.info("passing on a sum", extra={"peer": message.sender, "run": answer.run.hex()[:12]})
            answer = replace(answer, made=int(self._clock() * MILLISECONDS))
            answer = answer.seal(self._identity, message.sender)
        month = traffic.month_of(self._clock())
        traffic.add(self._engine, month, message.sender, len(answer), len(message.raw))
        return answer

    def _newcomer(self, host: str) -> PublicIdentity:
        peer = repository.find(self._engine, self._config, host)
        if peer is None or not peer.approved or peer.theirs != "approved":
            raise Refusal(Code.UNKNOWN_PEER, f"{host} and this instance do not approve each other", host)
        return peer.identity

    def _stored(self) -> list[SumRecord]:
        """Return the sums of our own rounds that serve here, newest first."""
        known = repository.read(self._engine, self._config)
        return [
            one
            for one in sums.records(self._engine)
            if one.role == "aggregator" and one.verdict == "accepted" and not known.unusable(one.sources)
        ]

    def _answer(self, stored: Sequence[SumRecord], run_id: bytes, name: str) -> PassedOn | bytes | None:
        run = self._newest(stored)
        if run is None or run_id not in (NO_ROUND, run.document.run):
            return None
        if run_id == NO_ROUND:
            return run.document if name == NEWEST else None
        return self._blob(run, name) if name in run.document.blobs else None

    def _newest(self, stored: Sequence[SumRecord]) -> _Run | None:
        known = self._read
        found = None
        for run, records in groupby(stored, key=lambda one: one.run):
            rounds = tuple(one.round_id for one in records)
            found = known[rounds] if rounds in known else self._read_run(run, rounds)
            self._read = {rounds: found}
            if found is not None:
                break
        return found

    def _read_run(self, run: str, rounds: Sequence[str]) -> _Run | None:
        """Hash what may be passed on of a run; None where that is nothing."""
        kept: list[str] = []
        sub_cohorts: list[PublishedSubCohort] = []
        blobs: dict[str, BlobReference] = {}
        for round_id in rounds:
            raw = sums.proposal_of(self._engine, round_id)
            signed = self._agreed(raw)
            if signed is None:
                continue
            stored, number = self._load(round_id), len(kept)
            blobs[HEAD] = reference_to(_head(stored))
            blobs[proposal_blob(number)] = reference_to(raw)
            blobs[counts_blob(number)] = reference_to(_numbers(stored.counts))
            blobs[pairs_blob(number)] = reference_to(_numbers(stored.triangle))
            sub_cohorts.append(PublishedSubCohort(signed.round_id, tuple(sorted(stored.survivors))))
            kept.append(round_id)
        return _Run(tuple(kept), PassedOn(bytes.fromhex(run), 0, tuple(sub_cohorts), blobs)) if kept else None

    def _agreed(self, raw: bytes) -> SignedProposal | None:
        """Return the proposal to which the members agreed, if they agreed that the sum is passed on.

        It has to be signed by the key that we have now: a newcomer knows no other.
        """
        if not raw:
            return None
        try:
            message = envelope.parse(raw, max_size=self._limits.max_request)
            signed = SignedProposal.read(message, self._identity.public, self._limits)
        except Refusal:
            return None
        proposal = signed.proposal
        return signed if proposal.parameters["pass_on"] and proposal.ring == RING else None

    def _blob(self, run: _Run, name: str) -> bytes:
        if name == HEAD:
            return _head(self._load(run.rounds[0]))
        kind, _, number = name.partition(".")
        round_id = run.rounds[int(number)]
        if kind == "proposal":
            return sums.proposal_of(self._engine, round_id)
        stored = self._load(round_id)
        return _numbers(stored.counts if kind == "counts" else stored.triangle)

    def _load(self, round_id: str) -> StoredSum:
        return sums.load(self._engine, self._config.sums_dir, [round_id])


def _head(stored: StoredSum) -> bytes:
    return round_config.encode_vocabulary(stored.urls)


def _numbers(numbers: NDArray[np.int64]) -> bytes:
    return numbers.astype(NUMBER_TYPE).tobytes()
