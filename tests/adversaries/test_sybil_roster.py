"""An aggregator that fills the roster with members it made up, or shrinks it, or lowers the threshold."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from federation import envelope
from federation.envelope import NO_ROUND, Stage
from federation.errors import Code
from federation.identity import Identity, PublicIdentity
from federation.proposal import least_threshold
from policies.allowlist import Allowlist
from policies.cohort import CohortPolicy
from policies.group import GroupPolicy
from tests.simulator.table import Table

ME = "m000.example"
SYBILS = [Identity(f"s{n:02}.example", bytes([200 + n]) * 32).public for n in range(20)]


def proposed(table: Table, roster: list[PublicIdentity], **changes: Any) -> bytes:
    """Return a proposal as a liar signs it: without the checks of our own aggregator."""
    roster = sorted(roster)
    content: dict[str, Any] = {"roster": tuple(roster), "threshold": least_threshold(len(roster))} | changes
    payload = dataclasses.replace(table.signed.proposal, **content).to_payload()
    return table.request(Stage.PROPOSE, payload, round_id=NO_ROUND)


def table_of(friends: int, min_cohort: int = 4) -> tuple[Table, list[PublicIdentity]]:
    """Return a table whose ME approved the aggregator and `friends` others, and the roster of all of them."""
    table = Table(friends + 1)
    me = table.instance(ME)
    policy = CohortPolicy(ME, Allowlist(me.peers.values()), min_cohort)
    me.check_policies = policy.check
    me.start()
    return table, list(table.signed.proposal.roster)


def test_a_cohort_of_friends_is_joined() -> None:
    table, roster = table_of(3)
    answer = envelope.parse(table.send(ME, proposed(table, roster)), max_size=10_000)
    assert (answer.stage, answer.sender) == (Stage.ADVERTISE, ME)


def test_a_roster_of_inventions_is_too_small_however_long() -> None:
    table, roster = table_of(2)
    for sybils in range(1, 20):
        raw = proposed(table, roster + SYBILS[:sybils])
        assert table.refusal(ME, raw) is Code.COHORT_TOO_SMALL


@pytest.mark.parametrize("friends", [3, 5, 8])
def test_inventions_beside_friends_need_a_higher_threshold(friends: int) -> None:
    for sybils in range(1, 12):
        table, roster = table_of(friends)
        members = friends + 1 + sybils
        safe = [t for t in range(least_threshold(members), members + 1) if 2 * t > members + 1 + sybils]
        for threshold in range(least_threshold(members), members + 1):
            raw = proposed(table, roster + SYBILS[:sybils], threshold=threshold)
            if threshold in safe:
                table.send(ME, raw)
                break
            assert table.refusal(ME, raw) is Code.THRESHOLD_TOO_LOW


def test_a_friend_with_another_key_is_an_impostor() -> None:
    table, roster = table_of(4)
    impostor = PublicIdentity(roster[2].host, SYBILS[0].key)
    raw = proposed(table, [*roster[:2], impostor, *roster[3:]])
    assert table.refusal(ME, raw) is Code.KEY_MISMATCH


@pytest.mark.parametrize("members", [3, 4, 5, 6, 7, 10, 30])
def test_no_threshold_below_the_least_is_taken_whatever_the_policies_say(members: int) -> None:
    table = Table(members)
    for threshold in range(least_threshold(members)):
        raw = proposed(table, list(table.signed.proposal.roster), threshold=threshold)
        assert table.refusal(ME, raw) is Code.THRESHOLD_TOO_LOW


def test_a_cohort_of_two_is_refused_whatever_the_policies_say() -> None:
    table = Table(4)
    for members in (1, 2):
        raw = proposed(table, list(table.signed.proposal.roster)[:members])
        assert table.refusal(ME, raw) is Code.COHORT_TOO_SMALL


def test_an_aggregator_cannot_hide_among_its_members() -> None:
    table, roster = table_of(4)
    raw = proposed(table, [*roster, table.cohort.aggregator.public])
    me = table.instance(ME)
    me.check_policies = GroupPolicy(ME, None, "").check
    me.start()
    assert table.refusal(ME, raw) is Code.ROSTER_INVALID


def test_in_its_own_group_it_counts_for_nobody_s_protection() -> None:
    table, roster = table_of(3)
    raw = proposed(table, [*roster[:3], table.cohort.aggregator.public])
    assert table.refusal(ME, raw) is Code.COHORT_TOO_SMALL


def test_nobody_is_in_a_roster_twice() -> None:
    table = Table(4)
    twice = PublicIdentity("zz.example", table.signed.proposal.roster[1].key)
    assert table.refusal(ME, proposed(table, [*table.signed.proposal.roster, twice])) is Code.ROSTER_INVALID
