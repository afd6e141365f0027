"""In a group, sums are over exactly the sub-cohort that a member is in."""

from __future__ import annotations

from dataclasses import replace

import pytest

from federation.errors import Code, Refusal
from federation.identity import Identity, PublicIdentity
from federation.proposal import BlobReference, Proposal, Segment
from models.weights import UNIT
from policies.base import AllOf, Rule
from policies.group import GroupPolicy
from policies.sharing import MOST_SUB_COHORTS, PARAMETERS, SharingPolicy

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
        trainer="gram/2",
        segments=(Segment(100, UNIT), Segment(45, UNIT)),
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
    ("parts", "code"), [(MOST_SUB_COHORTS, None), (MOST_SUB_COHORTS + 1, Code.PARAMETERS_REFUSED)]
)
def test_a_member_lets_a_cohort_be_summed_in_as_many_parts(parts: int, code: Code | None) -> None:
    terms = {**dict.fromkeys(PARAMETERS, 0), "head": 10, "vocabulary": 100, "sub_cohorts": parts}
    blobs = {name: BlobReference(b"v" * 32, 10) for name in ("vocabulary", "head")}
    asked = replace(proposal(HOST, PART), parameters=terms, blobs=blobs)
    assert code_of(SharingPolicy("contribute"), asked) is code
