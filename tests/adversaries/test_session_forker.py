"""An aggregator that wants two second sums after one first sum, or a second sum of other people."""

from __future__ import annotations

from typing import Any

import pytest

from federation.envelope import Stage
from federation.errors import Code
from federation.identity import Identity
from federation.proposal import SignedProposal
from tests.simulator.table import Table

HOSTS = Table(5).hosts
ME = HOSTS[0]


def finished() -> Table:
    table = Table(5)
    table.play_until(Stage.SHARES)
    table.play(Stage.SHARES, HOSTS[:4])
    table.play(Stage.SURVIVORS, HOSTS[:4])
    table.play(Stage.CONFIRMATIONS, HOSTS[:4])
    return table


def child(table: Table, **changes: Any) -> SignedProposal:
    content = {"round": 1, "parent": table.signed.sum_id, "survivors": HOSTS[:4], "nonce": b"1" * 16}
    return table.cohort.propose(**(content | changes))


def test_one_parent_has_one_child() -> None:
    table = finished()
    first = child(table)
    answer = table.instance(ME).handle(first.raw)
    second = child(table, nonce=b"2" * 16)
    assert table.refusal(ME, second.raw) is Code.STAGE_REPEATED
    table.instance(ME).start()
    assert table.refusal(ME, second.raw) is Code.STAGE_REPEATED
    assert table.instance(ME).handle(first.raw) == answer
    table.instance(ME).node.abandon(first.sum_id)
    assert table.refusal(ME, second.raw) is Code.STAGE_REPEATED


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"survivors": HOSTS}, Code.SURVIVORS_DIFFER),
        ({"survivors": (*HOSTS[:3], HOSTS[4])}, Code.SURVIVORS_DIFFER),
        ({"threshold": 5, "survivors": HOSTS}, Code.ROSTER_INVALID),
        ({"round": 2}, Code.ROSTER_INVALID),
        ({"trainer": "another"}, Code.ROSTER_INVALID),
        ({"parent": b"?" * 32}, Code.UNKNOWN_SUM),
    ],
    ids=str,
)
def test_a_child_has_its_parents_people(changes: dict[str, Any], code: Code) -> None:
    table = finished()
    assert table.refusal(ME, child(table, **changes).raw) is code


def test_a_child_has_its_parents_roster() -> None:
    table = finished()
    roster = table.signed.proposal.roster
    more = (*roster, Identity("m005.example", b"x" * 32).public)
    assert (
        table.refusal(ME, child(table, roster=more, threshold=5, survivors=HOSTS).raw) is Code.ROSTER_INVALID
    )


def test_no_child_before_the_parent_is_finished() -> None:
    table = Table(5)
    table.play_until(Stage.CONFIRMATIONS)
    assert table.refusal(ME, child(table, survivors=HOSTS).raw) is Code.UNKNOWN_SUM


def test_no_child_for_who_did_not_survive() -> None:
    table = finished()
    assert table.refusal(HOSTS[4], child(table).raw) is Code.UNKNOWN_SUM


@pytest.mark.parametrize("stage", [Stage.KEYS, Stage.SHARES, Stage.SURVIVORS])
def test_the_childs_stages_need_exactly_the_parents_survivors(stage: Stage) -> None:
    """The parent lost m004. The child adds it again at some stage, or loses another one."""
    table = finished()
    second = Table(5)
    second.cohort, second.signed = table.cohort, child(table, survivors=HOSTS[:4])
    if stage is Stage.KEYS:
        second.play(Stage.PROPOSE, HOSTS[:4])
        second.answers[Stage.PROPOSE].pop(HOSTS[3])
        assert second.threshold == 4
        raw = second.honest(stage, ME)
        assert second.refusal(ME, raw) is Code.COHORT_TOO_SMALL
        return
    for earlier in (Stage.PROPOSE, Stage.KEYS, Stage.SHARES)[: 2 if stage is Stage.SHARES else 3]:
        second.play(earlier, HOSTS[:4])
    second.answers[Stage.KEYS if stage is Stage.SHARES else Stage.SHARES].pop(HOSTS[3])
    assert second.refusal(ME, second.honest(stage, ME)) is Code.COHORT_TOO_SMALL


def test_a_larger_cohort_notices_a_lost_survivor_above_the_threshold() -> None:
    table = Table(9)
    for stage in (Stage.PROPOSE, Stage.KEYS, Stage.SHARES, Stage.SURVIVORS, Stage.CONFIRMATIONS):
        table.play(stage)
    second = Table(9)
    second.cohort = table.cohort
    second.signed = table.cohort.propose(
        round=1, parent=table.signed.sum_id, survivors=table.hosts, nonce=b"1" * 16
    )
    second.play(Stage.PROPOSE)
    kept = second.answers[Stage.PROPOSE].pop(table.hosts[8])
    assert second.refusal(ME, second.honest(Stage.KEYS, ME)) is Code.SURVIVORS_DIFFER
    second.answers[Stage.PROPOSE][table.hosts[8]] = kept
    second.play(Stage.KEYS)
    kept = second.answers[Stage.KEYS].pop(table.hosts[8])
    assert second.refusal(ME, second.honest(Stage.SHARES, ME)) is Code.SURVIVORS_DIFFER
    second.answers[Stage.KEYS][table.hosts[8]] = kept
    second.play(Stage.SHARES)
    second.answers[Stage.SHARES].pop(table.hosts[8])
    assert second.refusal(ME, second.honest(Stage.SURVIVORS, ME)) is Code.SURVIVORS_DIFFER
