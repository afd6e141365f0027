"""Somebody on the line who delivers messages in another order, or to somebody else."""

from __future__ import annotations

import itertools

from federation.envelope import Stage
from federation.errors import Code
from tests.adversaries.wire import ME, refused_by, to_aggregator
from tests.simulator.table import REQUESTS, Table


def test_members_take_stages_in_their_order_only() -> None:
    table = Table(5)
    table.play_until(Stage.CONFIRMATIONS)
    sent = {stage: table.honest(stage, ME) for stage in REQUESTS}
    for now, early in itertools.combinations(REQUESTS, 2):
        fresh = Table(5)
        for stage in REQUESTS[: REQUESTS.index(now)]:
            fresh.send(ME, sent[stage])
        expected = Code.UNKNOWN_ROUND if now is Stage.PROPOSE else Code.WRONG_STAGE
        assert fresh.refusal(ME, sent[early]) is expected
        fresh.send(ME, sent[now])


def test_shares_for_another_member_are_refused() -> None:
    table = Table(5)
    table.play_until(Stage.SHARES)
    for other in table.hosts[1:]:
        assert table.refusal(ME, table.honest(Stage.SHARES, other)) is Code.NOT_FOR_ME


def test_answers_of_another_member_are_refused() -> None:
    for aggregator, _ in to_aggregator():
        stage = aggregator.stage
        assert stage is not None
        table = Table(5)
        table.play_until(stage)
        other = table.send("m001.example", table.honest(stage, "m001.example"))
        assert refused_by(aggregator, other) is Code.BAD_SIGNATURE
