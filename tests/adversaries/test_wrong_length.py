"""A member whose masked vector has another length than the others'."""

from __future__ import annotations

import pytest

from federation.envelope import Stage
from federation.errors import Code
from tests.adversaries.members import play
from tests.simulator.table import Table

LIAR = "m002.example"


@pytest.mark.parametrize("change", [-32, -4, -1, 1, 4, 1000])
def test_its_vector_is_refused_and_its_masks_are_removed(change: int) -> None:
    table = Table(5)

    def corrupt(stage: Stage, host: str, payload: bytes) -> bytes:
        if (stage, host) != (Stage.SHARES, LIAR):
            return payload
        return payload[:change] if change < 0 else payload + bytes(change)

    played = play(table, corrupt)
    assert [(r.code, r.culprit) for r in played.refusals] == [(Code.MALFORMED, LIAR)]
    played.check_sum_of({host for host in table.hosts if host != LIAR})
