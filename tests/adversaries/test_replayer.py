"""Somebody who kept old messages and sends them again."""

from __future__ import annotations

from federation.envelope import Stage
from federation.errors import Code
from tests.adversaries.wire import ME, refused_by, to_aggregator
from tests.simulator.table import REQUESTS, Table, snapshot


def test_the_same_request_gets_the_same_bytes_and_changes_nothing() -> None:
    table = Table(5)
    for stage in REQUESTS:
        raw = table.honest(stage, ME)
        answer = table.send(ME, raw)
        before = snapshot(table.instance(ME).journal)
        assert table.instance(ME).handle(raw) == answer
        assert snapshot(table.instance(ME).journal) == before
        table.play(stage, [host for host in table.hosts if host != ME])


def test_requests_of_another_sum_say_nothing_in_this_one() -> None:
    old = Table(5)
    old.play_until(Stage.CONFIRMATIONS)
    table = Table(5, nonce=b"1" * 16)
    table.play(Stage.PROPOSE)
    for stage in REQUESTS[1:]:
        assert table.refusal(ME, old.honest(stage, ME)) is Code.UNKNOWN_ROUND


def test_an_old_proposal_is_never_taken_up_again() -> None:
    table = Table(5)
    table.play_until(Stage.SHARES)
    table.instance(ME).node.abandon(table.signed.round_id)
    assert table.refusal(ME, table.signed.raw) is Code.BUSY
    table.instance(ME).start()
    assert table.refusal(ME, table.signed.raw) is Code.BUSY
    for seconds in (599, 1, 299, 2, 100_000):
        table.cohort.clock.now += seconds
        table.instance(ME).node.prune()
        assert table.refusal(ME, table.signed.raw) in (Code.BUSY, Code.EXPIRED)


def test_the_aggregator_takes_no_answer_of_another_sum_or_stage() -> None:
    other = [raw for _, raw in to_aggregator()]
    for number, (aggregator, _) in enumerate(to_aggregator()):
        assert refused_by(aggregator, other[number - 1]) is Code.WRONG_STAGE
    foreign = Table(5, nonce=b"1" * 16)
    for stage, (aggregator, _) in zip(REQUESTS, to_aggregator(), strict=True):
        foreign.play(stage)
        assert refused_by(aggregator, foreign.answers[stage][ME]) is Code.UNKNOWN_ROUND
