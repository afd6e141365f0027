"""The record of sessions this instance was a member of: for its admin, and for what a session costs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from sqlalchemy import Engine

from daemon.store.records import SessionRecord, save_session, session
from federation.envelope import Stage
from federation.node import MemberNode
from federation.proposal import Proposal


class MemberRecords:
    """Writes a session's row when it begins, and again when its second round is answered to the end."""

    def __init__(self, engine: Engine, node: MemberNode, clock: Callable[[], float]) -> None:
        self._engine = engine
        self._node = node
        self._clock = clock

    def answered(self, sum_id: bytes, stage: Stage, received: int, sent: int) -> None:
        """Take note of one answered request of `received` bytes, answered by `sent` bytes."""
        proposal = self._node.proposal_of(sum_id)
        if proposal is None:
            return
        record = self._record(sum_id, proposal)
        record = replace(record, bytes_in=record.bytes_in + received, bytes_out=record.bytes_out + sent)
        if stage is Stage.CONFIRMATIONS and proposal.round > 0:
            record = replace(record, ended=self._clock(), outcome="done", survivors=list(proposal.survivors))
        save_session(self._engine, record)

    def _record(self, sum_id: bytes, proposal: Proposal) -> SessionRecord:
        session_id = (proposal.parent or sum_id).hex()
        return session(self._engine, session_id) or SessionRecord(
            id=session_id,
            role="member",
            aggregator=proposal.aggregator,
            started=self._clock(),
            roster=list(proposal.hosts),
        )
