"""A sum with less noise than the level asks for, or for fewer liars, is refused; its neighbour is not."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.errors import Code, Refusal
from federation.identity import PublicIdentity
from federation.noise import share_variance
from federation.proposal import Proposal, Segment, least_threshold
from models.weights import UNIT
from policies.allowlist import Allowlist
from policies.cohort import strangers
from policies.privacy import PROTECTION, Level, PrivacyPolicy, head_minimum, noise_of

ME = "me.example"


def identity(host: str) -> PublicIdentity:
    return PublicIdentity(host, host.encode().ljust(32, b".")[:32])


def peers(number: int) -> tuple[PublicIdentity, ...]:
    return tuple(identity(f"p{n}.example") for n in range(number))


def proposal(
    level: Level = Level.DEFAULT,
    *,
    members: int = 5,
    colluders: int = 1,
    counts: int | None = None,
    pairs: int | None = None,
    **terms: int,
) -> Proposal:
    roster = tuple(sorted((identity(ME), *peers(members - 1)), key=lambda one: one.host))
    threshold = least_threshold(members)
    protection = PROTECTION[level]
    least = head_minimum(5, protection.counts_noise)
    parameters = {
        "min_users": least,
        "max_videos_per_user": protection.max_videos_per_user,
        "sub_cohorts": 1,
        "pass_on": 0,
        "publish": 0,
        **terms,
    }
    return Proposal(
        aggregator="aggregator.example",
        roster=roster,
        threshold=threshold,
        trainer="gram/2",
        segments=(
            Segment(500, UNIT, UNIT**2 * (protection.counts_noise if counts is None else counts)),
            Segment(45, UNIT, UNIT**2 * (protection.pairs_noise if pairs is None else pairs)),
        ),
        entry_bound=1000,
        ring=32,
        nonce=bytes(16),
        created=0,
        expires=600,
        colluders=colluders,
        parameters=parameters,
    )


def policy(level: Level = Level.DEFAULT, *, known: int = 4, publish: bool = False) -> PrivacyPolicy:
    return PrivacyPolicy(ME, Allowlist(peers(known)), level, allow_publication=publish)


def refused(subject: PrivacyPolicy, asked: Proposal) -> Refusal:
    with pytest.raises(Refusal) as caught:
        subject.check(asked)
    return caught.value


@pytest.mark.parametrize("mine", Level)
@pytest.mark.parametrize("proposed", Level)
def test_a_sum_needs_at_least_the_noise_of_this_instances_level(mine: Level, proposed: Level) -> None:
    asked = proposal(proposed)
    offered, needed = PROTECTION[proposed], PROTECTION[mine]
    if offered.counts_noise >= needed.counts_noise and offered.pairs_noise >= needed.pairs_noise:
        policy(mine).check(asked)
    else:
        found = refused(policy(mine), asked)
        assert found.code is Code.NOISE_TOO_LOW
        assert f'"{mine}"' in found.sentence


def noisy(noise: dict[str, int]) -> Proposal:
    return proposal(counts=noise.get("counts"), pairs=noise.get("pairs"), min_users=50)


@pytest.mark.parametrize("name", ["counts", "pairs"])
def test_each_segment_needs_its_own_noise(name: str) -> None:
    level = PROTECTION[Level.DEFAULT]
    enough = {"counts": level.counts_noise, "pairs": level.pairs_noise}
    policy().check(noisy(enough))
    more = {**{segment: 4 * noise for segment, noise in enough.items()}, name: enough[name] - 1}
    found = refused(policy(), noisy(more))
    assert found.code is Code.NOISE_TOO_LOW
    assert f"{more['counts']} and {more['pairs']} is proposed" in found.sentence


def test_noise_is_compared_in_viewers() -> None:
    """A variance that would be enough for entries of whole viewers is not, in steps of one 32nd."""
    asked, level = proposal(min_users=50), PROTECTION[Level.DEFAULT]
    assert [noise_of(one) for one in asked.segments] == [level.counts_noise, level.pairs_noise]
    bare = tuple(replace(one, noise=one.noise - 1) for one in asked.segments)
    assert refused(policy(), replace(asked, segments=bare)).code is Code.NOISE_TOO_LOW
    whole = tuple(replace(one, noise=64) for one in asked.segments)
    found = refused(policy(), replace(asked, segments=whole))
    assert found.code is Code.NOISE_TOO_LOW
    assert "noise of variance 0.0625 and 0.0625 is proposed" in found.sentence
    policy().check(replace(asked, segments=tuple(replace(one, unit=1) for one in whole)))


def test_who_passes_a_sum_on_lays_its_noise_out_for_two_readers() -> None:
    policy().check(proposal(pass_on=1, colluders=2))
    found = refused(policy(), proposal(pass_on=1, colluders=1))
    assert found.code is Code.NOISE_TOO_LOW
    assert "whoever reads the sum" in found.sentence
    # With a stranger among the members, for three.
    policy(known=3).check(proposal(pass_on=1, colluders=3))
    assert refused(policy(known=3), proposal(pass_on=1, colluders=2)).code is Code.NOISE_TOO_LOW


def test_more_sub_cohorts_need_a_higher_minimum() -> None:
    """The noise of all of them is in the counts that videos are dropped by."""
    counts = PROTECTION[Level.DEFAULT].counts_noise
    policy().check(proposal(sub_cohorts=3, min_users=head_minimum(5, 3 * counts)))
    found = refused(policy(), proposal(sub_cohorts=3, min_users=head_minimum(5, 3 * counts) - 1))
    assert found.code is Code.PARAMETERS_REFUSED


@given(st.integers(3, 30), st.integers(0, 29), st.integers(1, 10))
def test_noise_counts_on_nobody_who_is_a_stranger_here(members: int, known: int, colluders: int) -> None:
    colluders = min(colluders, least_threshold(members) - 1)
    asked = proposal(members=members, colluders=colluders)
    known = min(known, members - 1)
    unknown = members - 1 - known
    assert strangers(asked, ME, Allowlist(peers(known))) == 1 + unknown
    if colluders >= 1 + unknown:
        policy(known=known).check(asked)
    else:
        found = refused(policy(known=known), asked)
        assert found.code is Code.NOISE_TOO_LOW
        assert str(1 + unknown) in found.sentence


def test_a_known_host_with_another_key_is_no_stranger_but_a_false_one() -> None:
    asked = proposal()
    false = PublicIdentity("p0.example", b"x" * 32)
    roster = tuple(false if one.host == false.host else one for one in asked.roster)
    assert refused(policy(), replace(asked, roster=roster)).code is Code.KEY_MISMATCH


def test_the_head_keeps_clear_of_what_noise_lifts_into_it() -> None:
    asked = proposal()
    policy().check(asked)
    least = asked.parameters["min_users"]
    found = refused(policy(), proposal(min_users=least - 1))
    assert found.code is Code.PARAMETERS_REFUSED
    assert f"at least {least}" in found.sentence


@pytest.mark.parametrize(("noise", "expected"), [(0, 5), (4, 5 + 7), (16, 5 + 13), (400, 5 + 64)])
def test_the_head_minimum_at_known_noise(noise: int, expected: int) -> None:
    assert head_minimum(5, noise) == expected


@given(st.integers(3, 128), st.integers(0, 1000), st.integers(2, 50))
def test_a_video_of_too_few_users_needs_two_standard_deviations_of_luck(
    members: int, noise: int, min_users: int
) -> None:
    # The most noise there can be in the counts that members are shown: everybody's, the aggregator's
    # included.
    most = (members + 1) * share_variance(noise, least_threshold(members), 1)
    assert (head_minimum(min_users, noise) - min_users) ** 2 >= 4 * most


@pytest.mark.parametrize("level", [Level.DEFAULT, Level.STRICT])
def test_vectors_are_published_with_consent_and_noise_only(level: Level) -> None:
    asked = proposal(level, publish=1)
    policy(level, publish=True).check(asked)
    found = refused(policy(level), asked)
    assert found.code is Code.PARAMETERS_REFUSED
    assert "privacy.allow_published_vectors" in found.sentence


def test_no_consent_publishes_what_carries_no_noise() -> None:
    asked = proposal(Level.NONE, publish=1)
    assert refused(policy(Level.NONE, publish=True), asked).code is Code.PARAMETERS_REFUSED
    # Noise in the counts alone hides no pair.
    counted = proposal(Level.NONE, publish=1, counts=4, min_users=50)
    assert refused(policy(Level.NONE, publish=True), counted).code is Code.PARAMETERS_REFUSED


def test_levels_rise() -> None:
    rising = [PROTECTION[level] for level in (Level.NONE, Level.DEFAULT, Level.STRICT, Level.USER_LEVEL)]
    noise = [(one.counts_noise, one.pairs_noise) for one in rising]
    assert noise == sorted(set(noise))
    assert [one.max_videos_per_user for one in rising] == sorted(
        (one.max_videos_per_user for one in rising), reverse=True
    )
    assert PROTECTION[Level.NONE].counts_noise == PROTECTION[Level.NONE].pairs_noise == 0


@pytest.mark.parametrize(
    "videos",
    [0, 100_001, 2**62],
)
def test_numbers_that_would_cost_the_accounting_its_memory_are_refused(videos: int) -> None:
    policy().check(proposal(max_videos_per_user=100_000))
    found = refused(policy(), proposal(max_videos_per_user=videos))
    assert found.code is Code.PARAMETERS_REFUSED
    assert "out of range" in found.sentence
