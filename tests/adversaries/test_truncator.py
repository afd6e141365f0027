"""Somebody on the line who cuts messages short, or adds to them."""

from __future__ import annotations

from federation.errors import Code
from tests.adversaries.wire import ME, refused_by, to_aggregator, to_member


def test_members_refuse_it_and_go_on() -> None:
    for table, raw in to_member():
        for size in [*range(0, len(raw), 7), len(raw) - 1]:
            assert table.refusal(ME, raw[:size]) is Code.MALFORMED
        assert table.refusal(ME, raw + b"\x00") is Code.MALFORMED
        assert table.refusal(ME, raw + raw) is Code.MALFORMED
        table.send(ME, raw)


def test_the_aggregator_refuses_it() -> None:
    for part in (0.0, 0.1, 0.5, 0.9):
        for aggregator, raw in to_aggregator():
            assert refused_by(aggregator, raw[: int(len(raw) * part)]) is Code.MALFORMED
