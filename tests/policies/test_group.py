"""How many parts a group has, and that its sums are over exactly one of them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.errors import Code, Refusal
from federation.identity import Identity, PublicIdentity
from federation.proposal import BlobReference, Proposal
from policies.base import AllOf, Rule
from policies.group import GroupPolicy, parts_for
from policies.sharing import MOST_PARTS, PARAMETERS, SharingPolicy

HOST = "host.example"
PART = tuple(Identity(f"{name}.example", name[:1].encode() * 32).public for name in ("anna", "bert", "host"))
ELSEWHERE = tuple(
    Identity(f"{name}.example", name[:1].encode() * 32).public for name in ("carl", "dora", "emil")
)


def proposal(aggregator: str, roster: tuple[PublicIdentity, ...]) -> Proposal:
    return Proposal(
        aggregator=aggregator,
        roster=roster,
        threshold=3,
        trainer="gram/1",
        round=0,
        length=10,
        entry_bound=100,
        ring=32,
        nonce=b"n" * 16,
        created=1_800_000_000,
        expires=1_800_003_600,
    )


def code_of(rule: Rule, asked: Proposal) -> Code | None:
    try:
        AllOf((rule,)).check(asked)
    except Refusal as refusal:
        return refusal.code
    return None


MEMBER = GroupPolicy("anna.example", PART, HOST)


def test_the_part_i_am_in_and_nothing_else() -> None:
    assert code_of(MEMBER, proposal(HOST, PART)) is None
    stranger = Identity("zoe.example", b"z" * 32).public
    imposter = Identity("bert.example", b"x" * 32).public
    for roster in (PART[:2], PART[1:], (*PART, stranger), ELSEWHERE, (PART[0], imposter, PART[2]), ()):
        assert code_of(MEMBER, proposal(HOST, roster)) is Code.ROSTER_INVALID


def test_a_part_without_the_host_is_a_groups_too() -> None:
    policy = GroupPolicy("carl.example", ELSEWHERE, HOST)
    assert code_of(policy, proposal(HOST, ELSEWHERE)) is None
    assert code_of(policy, proposal(HOST, PART)) is Code.ROSTER_INVALID


def test_no_sum_before_i_am_in_an_epoch() -> None:
    assert code_of(replace(MEMBER, expected=None), proposal(HOST, PART)) is Code.ROSTER_INVALID
    assert code_of(replace(MEMBER, expected=ELSEWHERE), proposal(HOST, ELSEWHERE)) is Code.ROSTER_INVALID


def test_in_a_group_peers_get_nothing() -> None:
    assert code_of(MEMBER, proposal("peer.example", PART)) is Code.SHARING_OFF
    assert code_of(MEMBER, proposal("bert.example", PART)) is Code.ROSTER_INVALID


def test_in_no_group_peers_get_what_they_got_and_no_host_gets_anything() -> None:
    alone = GroupPolicy("anna.example", None, "")
    assert code_of(alone, proposal("peer.example", PART)) is None
    assert code_of(alone, proposal(HOST, PART)) is Code.ROSTER_INVALID


def test_the_host_itself_is_a_member() -> None:
    host = GroupPolicy(HOST, PART, HOST)
    assert code_of(host, proposal(HOST, PART)) is None
    assert code_of(host, proposal("peer.example", PART)) is Code.SHARING_OFF


@pytest.mark.parametrize(
    ("members", "parts"),
    [(1, 1), (5, 1), (8, 1), (9, 2), (11, 2), (12, 3), (47, 3), (48, 3), (64, 4), (256, 16), (1000, 16)],
)
def test_parts_by_size_as_configured_by_default(members: int, parts: int) -> None:
    assert parts_for(members, sub_cohorts_from=8, least=4, per_part=16) == parts


@given(
    members=st.integers(1, 1000),
    sub_cohorts_from=st.integers(1, 100),
    least=st.integers(3, 64),
    per_part=st.integers(4, 1000),
)
def test_no_part_is_ever_too_small(members: int, sub_cohorts_from: int, least: int, per_part: int) -> None:
    parts = parts_for(members, sub_cohorts_from=sub_cohorts_from, least=least, per_part=per_part)
    assert 1 <= parts <= MOST_PARTS
    assert parts == 1 or members // parts >= least
    assert members > sub_cohorts_from or parts == 1


@pytest.mark.parametrize(("parts", "code"), [(MOST_PARTS, None), (MOST_PARTS + 1, Code.PARAMETERS_REFUSED)])
def test_a_member_lets_a_cohort_be_summed_in_as_many_parts(parts: int, code: Code | None) -> None:
    terms = {**dict.fromkeys(PARAMETERS, 0), "max_head": 10, "vocabulary": 100, "parts": parts}
    blobs = {"vocabulary": BlobReference(b"v" * 32, 10)}
    asked = replace(proposal(HOST, PART), length=100, parameters=terms, blobs=blobs)
    assert code_of(SharingPolicy("contribute"), asked) is code
