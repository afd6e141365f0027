"""Two survivor sets shown to two halves never open an input while 2t > n + c, and do open it below that."""

from __future__ import annotations

import numpy as np
import pytest

import federation.proposal
from federation.errors import Code
from federation.proposal import least_threshold
from tests.adversaries.split import VICTIM, open_input, split_views
from tests.simulator.table import Table

CASES = [
    (members, threshold, colluding)
    for members in range(4, 10)
    for threshold in {least_threshold(members), members - 1}
    for colluding in range(members - 1)
    if least_threshold(members) <= threshold and 2 * threshold > members + colluding
]


@pytest.mark.parametrize(("members", "threshold", "colluding"), CASES)
def test_no_split_opens_an_input(members: int, threshold: int, colluding: int) -> None:
    for with_victim in range(members - colluding):
        table = Table(members, length=2, threshold=threshold)
        loot = split_views(table, colluding=colluding, with_victim=with_victim)
        assert open_input(table, loot) is None
        assert min(len(loot.seeds), len(loot.keys)) < threshold
        honest = members - colluding
        assert loot.refusals.keys() <= {Code.CONFIRMATIONS_INVALID}
        if with_victim + 1 + colluding < threshold and honest - with_victim - 1 + colluding < threshold:
            assert loot.refusals[Code.CONFIRMATIONS_INVALID] == honest, "nobody reveals anything"


def test_confirmations_of_the_other_view_do_not_help() -> None:
    loot = split_views(Table(6), colluding=0, with_victim=2, pad=True)
    assert loot.seeds == loot.keys == {}
    assert loot.refusals == {Code.SURVIVORS_DIFFER: 3, Code.CONFIRMATIONS_INVALID: 3}


def test_the_attack_is_real(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a threshold that members would refuse, the same aggregator reads a member's input."""
    monkeypatch.setattr(federation.proposal, "least_threshold", lambda members: members // 2)
    table = Table(6, threshold=3)
    loot = split_views(table, colluding=0, with_victim=2)
    opened = open_input(table, loot)
    assert opened is not None
    np.testing.assert_array_equal(opened, table.instance(VICTIM).values)


def test_the_bound_on_colluders_is_tight() -> None:
    """One colluder more than 2t > n + c allows, and a split exists that opens the input."""
    members, threshold, colluding = 6, 5, 4
    assert 2 * threshold == members + colluding
    table = Table(members, threshold=threshold)
    loot = split_views(table, colluding=colluding, with_victim=0)
    opened = open_input(table, loot)
    assert opened is not None
    np.testing.assert_array_equal(opened, table.instance(VICTIM).values)
