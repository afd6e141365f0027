"""Members that break the protocol, among honest ones, under an honest aggregator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from federation.aggregator import Aggregator
from federation.envelope import Stage
from federation.errors import Refusal
from federation.journal import MemoryJournal
from tests.simulator.table import Table, read

Corrupt = Callable[[Stage, str, bytes], bytes]
"""From stage, host and honest payload to the payload that is signed and sent."""


@dataclass
class Played:
    """How a sum went."""

    table: Table
    aggregator: Aggregator
    refusals: list[Refusal] = field(default_factory=list)

    @property
    def accused(self) -> set[str | None]:
        """Whom the refusals name."""
        return {refusal.culprit for refusal in self.refusals}

    def check_sum_of(self, survivors: set[str]) -> None:
        """Check that the sum is the plain sum of the survivors."""
        assert set(self.aggregator.result.survivors) == survivors
        expected = sum(self.table.instance(host).values for host in survivors)
        np.testing.assert_array_equal(self.aggregator.result.total, expected)


def play(
    table: Table,
    corrupt: Corrupt,
    *,
    lost: Callable[[Stage, str], bool] = lambda _stage, _host: False,
) -> Played:
    """Run a sum in which `corrupt` changes payloads before their senders sign them.

    Raises whatever `Aggregator.close` raises.
    """
    aggregator = Aggregator(table.signed, table.cohort.aggregator, MemoryJournal(), table.cohort.limits)
    played = Played(table, aggregator)
    while not aggregator.finished:
        stage = aggregator.stage
        assert stage is not None
        for host, request in aggregator.requests().items():
            if lost(stage, host):
                continue
            answer = read(table.instance(host).handle(request))
            payload = corrupt(stage, host, bytes(answer.payload))
            try:
                aggregator.receive(host, table.answer(host, answer.stage, payload))
            except Refusal as refusal:
                played.refusals.append(refusal)
        aggregator.close()
    return played
