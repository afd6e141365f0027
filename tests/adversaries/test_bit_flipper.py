"""Somebody on the line who flips one bit of a message."""

from __future__ import annotations

from federation.errors import Code
from tests.adversaries.wire import ME, refused_by, to_aggregator, to_member

CODES = {Code.MALFORMED, Code.UPDATE, Code.BAD_SIGNATURE, Code.UNKNOWN_PEER}


def flipped(raw: bytes, bit: int) -> bytes:
    changed = bytearray(raw)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def test_members_refuse_it_and_go_on() -> None:
    for table, raw in to_member():
        # Every bit of the header and the signature, then some of the payload.
        start = min(250, len(raw)) * 8
        bits = [*range(0, start, 3), *range(start, len(raw) * 8, 997)]
        assert {table.refusal(ME, flipped(raw, bit)) for bit in bits} <= CODES
        table.send(ME, raw)


def test_the_aggregator_refuses_it() -> None:
    for place in (0, 7, 20, 80, 150, 220, -1):
        for aggregator, raw in to_aggregator():
            assert refused_by(aggregator, flipped(raw, (place % len(raw)) * 8)) in CODES
