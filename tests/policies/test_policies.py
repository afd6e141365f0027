"""Each rule refuses what it is there for, names it, and allows the neighbouring case."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.errors import Code, Refusal
from federation.identity import PublicIdentity
from federation.proposal import BlobReference, Proposal, Segment, least_threshold
from models.weights import UNIT
from policies.allowlist import Allowlist
from policies.base import AllOf, Policy
from policies.cohort import CohortPolicy
from policies.sharing import (
    BLOB_BYTES,
    PARAMETERS,
    PUBLIC,
    TRAINER,
    SharingPolicy,
    check_head,
    check_known,
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
        segments=(Segment(500, UNIT), Segment(190, UNIT)),
        entry_bound=1000,
        ring=32,
        nonce=bytes(16),
        created=0,
        expires=600,
        parameters={
            "vocabulary": 500,
            "head": 20,
            "min_users": 5,
            "max_videos_per_user": 200,
            "sub_cohorts": 1,
            "early": 0,
            "pass_on": 0,
            "publish": 0,
        },
        blobs={name: BlobReference(bytes(32), 10) for name in ("vocabulary", "head")},
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

    assert refused(policy, replace(subject, trainer="gram/1")) is Code.PARAMETERS_REFUSED
    assert refused(policy, replace(subject, parameters={"vocabulary": 500})) is Code.PARAMETERS_REFUSED
    assert refused(policy, changed(parent=1)) is Code.PARAMETERS_REFUSED
    for wrong in (0, 129):
        assert refused(policy, changed(sub_cohorts=wrong)) is Code.PARAMETERS_REFUSED
    for name in ("early", "pass_on", "publish"):
        policy.check(changed(**{name: 1}))
        assert refused(policy, changed(**{name: 2})) is Code.PARAMETERS_REFUSED
    assert set(terms) == set(PARAMETERS)


@pytest.mark.parametrize("blobs", [(), ("vocabulary",), ("head",), ("vocabulary", "head", "counts")])
def test_the_public_data_is_the_vocabulary_and_the_head(blobs: tuple[str, ...]) -> None:
    subject = replace(proposal(), blobs={name: BlobReference(bytes(32), 10) for name in blobs})
    assert refused(SharingPolicy("contribute"), subject) is Code.PARAMETERS_REFUSED


@pytest.mark.parametrize(
    "segments",
    [
        (Segment(499, UNIT), Segment(190, UNIT)),
        (Segment(501, UNIT), Segment(190, UNIT)),
        (Segment(500, UNIT), Segment(189, UNIT)),
        (Segment(500, UNIT), Segment(191, UNIT)),
        (Segment(500, UNIT),),
        (Segment(190, UNIT), Segment(500, UNIT)),
        (Segment(690, UNIT),),
        (Segment(500, UNIT), Segment(100, UNIT), Segment(90, UNIT)),
        (Segment(500, unit=1), Segment(190, UNIT)),
        (Segment(500, UNIT), Segment(190, unit=2)),
        (),
    ],
    ids=str,
)
def test_segments_that_do_not_fit_vocabulary_and_head(segments: tuple[Segment, ...]) -> None:
    policy = SharingPolicy("contribute")
    with pytest.raises(Refusal, match="counts of the vocabulary and the pairs of the head") as caught:
        policy.check(replace(proposal(), segments=segments))
    assert caught.value.code is Code.PARAMETERS_REFUSED
    # Their noise is a matter of the level, not of the layout.
    policy.check(replace(proposal(), segments=(Segment(500, UNIT, noise=7), Segment(190, UNIT, noise=9))))


@given(vocabulary=st.integers(1, 300_000), head=st.integers(2, 6000))
def test_videos_and_pairs_are_counted_up_to_the_limits(vocabulary: int, head: int) -> None:
    terms = {**proposal().parameters, "vocabulary": vocabulary, "head": head}
    subject = replace(
        proposal(),
        parameters=terms,
        segments=(Segment(vocabulary, UNIT), Segment(head * (head - 1) // 2, UNIT)),
    )
    policy = SharingPolicy("contribute", max_vocabulary=1000, max_head=100)
    if vocabulary <= 1000 and head <= 100:
        policy.check(subject)
    else:
        assert refused(policy, subject) is Code.OVERSIZED


def test_all_of_gives_the_first_refusal() -> None:
    both = AllOf((SharingPolicy("off"), CohortPolicy(ME, known(0))))
    assert refused(both, proposal()) is Code.SHARING_OFF
    AllOf(()).check(proposal())


@pytest.mark.parametrize(("name", "most"), [("vocabulary", 256 * 501), ("head", 4 * 21)])
def test_public_data_larger_than_its_videos_can_be_is_not_fetched(name: str, most: int) -> None:
    assert name in BLOB_BYTES
    policy = SharingPolicy(mode="contribute")
    blobs = dict(proposal().blobs)
    policy.check(replace(proposal(), blobs={**blobs, name: BlobReference(bytes(32), most)}))
    larger = {**blobs, name: BlobReference(bytes(32), most + 1)}
    assert refused(policy, replace(proposal(), blobs=larger)) is Code.OVERSIZED


@pytest.mark.parametrize(
    "urls",
    [["b", "a", *map(str, range(498))], ["a"] * 500, ["a"], []],
    ids=["order", "twice", "short", "none"],
)
def test_a_vocabulary_is_sorted_distinct_and_complete(urls: list[str]) -> None:
    check_vocabulary(sorted(f"{n:04}" for n in range(500)), proposal())
    with pytest.raises(Refusal) as caught:
        check_vocabulary(urls, proposal())
    assert caught.value.code is Code.BLOB_MISMATCH


@pytest.mark.parametrize(
    "head",
    [[], [*range(19)], [*range(21)], [*range(19), 500], [1, 0, *range(2, 20)], [0, *range(19)]],
    ids=["none", "short", "long", "outside", "order", "twice"],
)
def test_a_head_is_ascending_inside_the_vocabulary_and_complete(head: list[int]) -> None:
    check_head([*range(480, 500)], proposal())
    with pytest.raises(Refusal) as caught:
        check_head(head, proposal())
    assert caught.value.code is Code.BLOB_MISMATCH


def test_videos_count_towards_the_least_vocabulary_only_if_they_are_known_here() -> None:
    known = [f"v{n}" for n in range(5)]
    check_known(known, known, 5)
    with pytest.raises(Refusal, match="4 videos of the vocabulary are known here") as caught:
        check_known([*known[:4], *(f"made up {n}" for n in range(1000))], known, 5)
    assert caught.value.code is Code.VOCABULARY_TOO_SMALL


@given(st.lists(st.tuples(st.integers(), st.integers(1, 5))))
def test_only_public_videos_pass(videos: list[tuple[int, int]]) -> None:
    assert public_only(videos) == [video for video, privacy in videos if privacy == PUBLIC]
