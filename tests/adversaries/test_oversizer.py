"""Somebody who sends more than anybody has to take."""

from __future__ import annotations

import time

from federation import cbor, messages
from federation.envelope import NO_ROUND, Stage
from federation.errors import Code
from tests.adversaries.wire import ME, refused_by, to_aggregator, to_member
from tests.simulator.table import Table


def test_members_refuse_it_by_its_size_and_go_on() -> None:
    for table, raw in to_member():
        limit = table.cohort.limits.max_request
        assert table.refusal(ME, raw + bytes(limit)) is Code.OVERSIZED
        assert table.refusal(ME, bytes(50_000_000)) is Code.OVERSIZED
        table.send(ME, raw)


def test_the_aggregator_refuses_it_by_its_size() -> None:
    for aggregator, raw in to_aggregator():
        assert refused_by(aggregator, raw + bytes(aggregator.max_answer)) is Code.OVERSIZED


def test_more_members_than_a_cohort_has_are_malformed() -> None:
    table = Table(5)
    table.play_until(Stage.SURVIVORS)
    many = [f"m{n:03}.example" for n in range(table.cohort.limits.max_members + 1)]
    raw = table.request(Stage.SURVIVORS, messages.encode_hosts(many))
    assert table.refusal(ME, raw) is Code.MALFORMED


def test_the_worst_that_fits_is_refused_quickly() -> None:
    """Signed by an approved peer, full of what takes longest to read: still far below a second."""
    table = Table(5)
    table.play(Stage.PROPOSE)
    limit = table.cohort.limits.max_request - 1000
    advertisement = table.answers[Stage.PROPOSE]["m001.example"]
    payloads = [
        cbor.encode([0] * (limit - 10)),
        cbor.encode([[[[[[]]]]]] * (limit // 7)),
        cbor.encode({f"{n:05}": n % 24 for n in range(limit // 7)}),
        cbor.encode([advertisement] * (limit // (len(advertisement) + 3))),
        b"\x81" * limit,
        b"\x9f" * limit,
    ]
    started = time.process_time()
    for payload in payloads:
        assert table.refusal(ME, table.request(Stage.KEYS, payload)) is Code.MALFORMED
        assert table.refusal(ME, table.request(Stage.PROPOSE, payload, round_id=NO_ROUND)) is Code.MALFORMED
    assert time.process_time() - started < 0.25 * 2 * len(payloads)
