"""Each rule refuses what it is there for, names it, and allows the neighbouring case."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.errors import Code, Refusal
from federation.identity import PublicIdentity
from federation.proposal import BlobReference, Proposal, least_threshold
from policies.allowlist import Allowlist
from policies.base import AllOf, Policy
from policies.cohort import CohortPolicy
from policies.sharing import (
    BLOB_BYTES,
    PARAMETERS,
    PUBLIC,
    TRAINER,
    SharingPolicy,
    check_vocabulary,
    public_only,
)

ME = "me.example"


def identity(host: str, key: int = 0) -> PublicIdentity:
    return PublicIdentity(host, bytes([key or sum(host.encode()) % 255 + 1]) * 32)


def proposal(members: int = 4, **changes: object) -> Proposal:
    roster = (identity(ME), *(identity(f"p{n}.example", n + 1) for n in range(members - 1)))
    base = Proposal(
        aggregator="aggregator.example",
        roster=tuple(sorted(roster)),
        threshold=least_threshold(members),
        trainer=TRAINER,
        round=0,
        length=500,
        entry_bound=1000,
        ring=32,
        nonce=bytes(16),
        created=0,
        expires=600,
        parameters={
            "vocabulary": 500,
            "min_users": 5,
            "max_head": 4096,
            "max_videos_per_user": 200,
            "counts_noise": 0,
            "pairs_noise": 0,
            "parts": 1,
            "publish": 0,
        },
        blobs={"vocabulary": BlobReference(bytes(32), 10)},
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def known(members: int) -> Allowlist:
    return Allowlist(identity(f"p{n}.example", n + 1) for n in range(members))


def refused(policy: Policy, subject: Proposal) -> Code:
    with pytest.raises(Refusal) as caught:
        policy.check(subject)
    assert caught.value.sentence
    return caught.value.code


def test_a_cohort_of_known_peers_is_allowed() -> None:
    CohortPolicy(ME, known(3)).check(proposal(4))


def test_too_few_known_members_are_refused_whatever_the_roster_holds() -> None:
    assert refused(CohortPolicy(ME, known(2)), proposal(4)) is Code.COHORT_TOO_SMALL
    # A roster filled up with strangers is no cohort.
    assert refused(CohortPolicy(ME, known(2)), proposal(40)) is Code.COHORT_TOO_SMALL


def test_strangers_raise_the_threshold_that_is_needed() -> None:
    subject = proposal(9)
    assert subject.threshold == 7
    CohortPolicy(ME, known(5)).check(subject)  # 3 strangers and the aggregator: 14 > 9 + 4
    assert refused(CohortPolicy(ME, known(4)), replace(subject, threshold=7)) is Code.THRESHOLD_TOO_LOW
    CohortPolicy(ME, known(4)).check(replace(subject, threshold=8))


@given(members=st.integers(3, 60), known_members=st.integers(0, 59), extra=st.integers(0, 30))
def test_whatever_is_allowed_leaves_no_room_for_two_survivor_sets(
    members: int, known_members: int, extra: int
) -> None:
    subject = proposal(members, threshold=min(members, least_threshold(members) + extra))
    policy = CohortPolicy(ME, known(known_members), min_cohort=3)
    try:
        policy.check(subject)
    except Refusal:
        return
    honest = 1 + min(known_members, members - 1)
    colluding = members - honest
    # Two survivor sets need t confirmations each; colluders can give both, honest members one.
    assert 2 * subject.threshold > honest + 2 * colluding
    assert honest >= 3


def test_a_known_host_under_another_key_is_refused_and_named() -> None:
    subject = proposal(4)
    impostor = tuple(identity(m.host, 99) if m.host == "p1.example" else m for m in subject.roster)
    with pytest.raises(Refusal) as caught:
        CohortPolicy(ME, known(3)).check(replace(subject, roster=impostor))
    assert (caught.value.code, caught.value.culprit) == (Code.KEY_MISMATCH, "p1.example")


def test_no_configuration_goes_below_three() -> None:
    with pytest.raises(ValueError, match="at least 3"):
        CohortPolicy(ME, known(3), min_cohort=2)


@pytest.mark.parametrize("mode", ["off", "simulate", "consume"])
def test_only_contribute_contributes(mode: str) -> None:
    assert refused(SharingPolicy(mode), proposal()) is Code.SHARING_OFF  # type: ignore[arg-type]


def test_the_terms_of_a_sum() -> None:
    policy = SharingPolicy("contribute")
    subject = proposal()
    policy.check(subject)
    terms = subject.parameters

    def changed(**values: int) -> Proposal:
        return replace(subject, parameters={**terms, **values})

    assert refused(policy, replace(changed(vocabulary=99), length=99)) is Code.VOCABULARY_TOO_SMALL
    assert refused(policy, replace(changed(vocabulary=200_001), length=200_001)) is Code.OVERSIZED
    assert refused(policy, changed(max_head=4097)) is Code.OVERSIZED
    assert refused(policy, replace(subject, length=499)) is Code.PARAMETERS_REFUSED
    assert refused(policy, replace(subject, trainer="als/1")) is Code.PARAMETERS_REFUSED
    assert refused(policy, replace(subject, round=2)) is Code.PARAMETERS_REFUSED
    assert refused(policy, replace(subject, blobs={})) is Code.PARAMETERS_REFUSED
    assert refused(policy, replace(subject, parameters={"vocabulary": 500})) is Code.PARAMETERS_REFUSED
    assert set(terms) == set(PARAMETERS)


def test_the_second_round_needs_the_counts() -> None:
    subject = proposal(round=1, length=100)
    assert refused(SharingPolicy("contribute"), subject) is Code.PARAMETERS_REFUSED
    both = {"vocabulary": BlobReference(bytes(32), 10), "counts": BlobReference(bytes(32), 10)}
    SharingPolicy("contribute").check(replace(subject, blobs=both))


def test_all_of_gives_the_first_refusal() -> None:
    both = AllOf((SharingPolicy("off"), CohortPolicy(ME, known(0))))
    assert refused(both, proposal()) is Code.SHARING_OFF
    AllOf(()).check(proposal())


@pytest.mark.parametrize(("name", "each"), sorted(BLOB_BYTES.items()))
def test_public_data_larger_than_its_videos_can_be_is_not_fetched(name: str, each: int) -> None:
    policy = SharingPolicy(mode="contribute")
    sizes = {"vocabulary": 10, "counts": 10, name: each * 501}
    blobs = {blob: BlobReference(bytes(32), size) for blob, size in sizes.items()}
    later = replace(proposal(), round=1, blobs=blobs)
    policy.check(later)
    blobs[name] = BlobReference(bytes(32), each * 501 + 1)
    assert refused(policy, replace(later, blobs=blobs)) is Code.OVERSIZED


@pytest.mark.parametrize(
    "urls",
    [["b", "a", *map(str, range(498))], ["a"] * 500, ["a"], []],
    ids=["order", "twice", "short", "none"],
)
def test_a_vocabulary_is_sorted_distinct_and_complete(urls: list[str]) -> None:
    check_vocabulary(sorted(f"{n:04}" for n in range(500)), proposal())
    with pytest.raises(Refusal):
        check_vocabulary(urls, proposal())


@given(st.lists(st.tuples(st.integers(), st.integers(1, 5))))
def test_only_public_videos_pass(videos: list[tuple[int, int]]) -> None:
    assert public_only(videos) == [video for video, privacy in videos if privacy == PUBLIC]
