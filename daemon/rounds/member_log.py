"""The record of rounds this instance was a member of: for its admin, and for what a round costs."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy import Engine

from daemon.errors import StoreError
from daemon.ledger import chain
from daemon.ledger.chain import Kind
from daemon.store import ledger_rows, releases, traffic
from daemon.store.activity import RoundRecord, round_, save_round, unfinished_rounds
from federation.envelope import Stage
from federation.errors import Refusal
from federation.identity import Identity
from federation.node import MemberNode
from federation.proposal import Proposal

log = logging.getLogger(__name__)

_SAME_REFUSAL = 86400.0
"""Seconds for which the same refusal of the same peer's proposals is one entry of the ledger."""


class MemberLog:
    """Writes a round's row when it begins, and again when it is answered to the end.

    How it ended goes into the ledger, with the hashes of what was given; so does a proposal that the policies
    refused. Bytes are counted by peer and month.
    """

    def __init__(
        self, engine: Engine, identity: Identity, node: MemberNode, clock: Callable[[], float]
    ) -> None:
        self._engine = engine
        self._identity = identity
        self._node = node
        self._clock = clock
        # Requests are answered in threads; of two at once, the later one must see what the first one wrote.
        self._turn = threading.Lock()

    def answered(self, round_id: bytes, stage: Stage, received: int, sent: int) -> None:
        """Take note of one answered request of `received` bytes, answered by `sent` bytes."""
        proposal = self._node.proposal_of(round_id)
        if proposal is None:
            return
        self.exchanged(proposal.aggregator, sent, received)
        with self._turn:
            before = self._record(round_id, proposal)
            record = replace(before, bytes_in=before.bytes_in + received, bytes_out=before.bytes_out + sent)
            if stage is Stage.CONFIRMATIONS:
                survivors = list(self._node.survivors_of(round_id))
                record = replace(record, ended=self._clock(), outcome="done", survivors=survivors)
            save_round(self._engine, record)
            if record.outcome == "done" and before.outcome != "done":
                self._end(record)

    def exchanged(self, host: str, sent: int, received: int) -> None:
        """Count bytes exchanged with a peer."""
        traffic.add(self._engine, traffic.month_of(self._clock()), host, sent, received)

    def refused(self, proposal: Proposal, refusal: Refusal) -> None:
        """Take note of a peer's proposal that a policy refused; of the same again, once a day."""
        now, code = self._clock(), refusal.code.value
        with self._turn:
            known = ledger_rows.newest(
                self._engine, limit=20, kinds=(Kind.REFUSED.value,), subject=proposal.aggregator
            )
            if any(e.details.get("code") == code and now - e.at < _SAME_REFUSAL for e in known):
                return
            details = {"code": code, "reason": refusal.sentence, "roster": list(proposal.hosts)}
            self._write(Kind.REFUSED, proposal.aggregator, details)

    def close_left(self) -> None:
        """End the record of rounds that can go on no more: their first sum expired, or was given up."""
        with self._turn:
            for record in unfinished_rounds(self._engine, "member"):
                # A sum that is finished stays known to the node until it expires, and so does its round.
                if self._node.proposal_of(bytes.fromhex(record.id)) is not None:
                    continue
                reason = "its aggregator began another attempt, or did not go on before this one expired"
                record = replace(record, ended=self._clock(), outcome="abandoned", reason=reason)
                save_round(self._engine, record)
                self._end(record)

    def _record(self, round_id: bytes, proposal: Proposal) -> RoundRecord:
        return round_(self._engine, round_id.hex()) or RoundRecord(
            id=round_id.hex(),
            role="member",
            aggregator=proposal.aggregator,
            started=self._clock(),
            roster=list(proposal.hosts),
        )

    def _end(self, record: RoundRecord) -> None:
        # A round that came through may repeat what an earlier attempt was given in the same window.
        given = (
            releases.newest(self._engine, record.aggregator)
            if record.outcome == "done"
            else releases.of_round(self._engine, record.id)
        )
        details = {
            "role": record.role,
            "aggregator": record.aggregator,
            "roster": record.roster,
            "survivors": record.survivors,
            "outcome": record.outcome,
            "reason": record.reason,
            "given": None if given is None else {"sha256": given.vector_sha256, "bytes": given.bytes},
        }
        self._write(Kind.ROUND, record.id, details)

    def _write(self, kind: Kind, subject: str, details: Mapping[str, Any]) -> None:
        try:
            chain.append(self._engine, self._identity, kind, subject, dict(details), self._clock())
        except StoreError as error:
            # A key that was replaced while this process runs: what peers are owed is answered all the same.
            log.warning("no entry in the ledger: %s", error.message)
