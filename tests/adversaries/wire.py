"""Adversaries between the parties: each message of a sum, at a member and at the aggregator."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from federation.aggregator import Aggregator
from federation.errors import Code, Refusal
from federation.journal import MemoryJournal
from tests.simulator.table import REQUESTS, Table

ME = "m000.example"


def to_member() -> Iterator[tuple[Table, bytes]]:
    """Yield, for each stage, a table at which it is ME's turn, and the honest request."""
    for stage in REQUESTS:
        table = Table(5)
        table.play_until(stage)
        yield table, table.honest(stage, ME)


def to_aggregator() -> Iterator[tuple[Aggregator, bytes]]:
    """Yield, for each stage, an aggregator that awaits everybody's answer, and the honest answer of ME."""
    for stage in REQUESTS:
        table = Table(5)
        aggregator = Aggregator(table.signed, table.cohort.aggregator, MemoryJournal(), table.cohort.limits)
        while aggregator.stage is not stage:
            for host, request in aggregator.requests().items():
                aggregator.receive(host, table.instance(host).handle(request))
            aggregator.close()
        yield aggregator, table.instance(ME).handle(aggregator.requests()[ME])


def refused_by(aggregator: Aggregator, raw: bytes) -> Code:
    """Give the aggregator a wrong answer of ME; ME is out, nobody else is, nothing of it is kept."""
    before = aggregator.awaited
    with pytest.raises(Refusal) as refused:
        aggregator.receive(ME, raw)
    assert aggregator.awaited == before - {ME}
    assert aggregator.lost == {ME: str(refused.value.code)}
    return refused.value.code
