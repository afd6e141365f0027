"""A sum with less noise than the level asks for, or for fewer liars, is refused; its neighbour is not."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.errors import Code, Refusal
from federation.identity import PublicIdentity
from federation.noise import share_variance
from federation.proposal import Proposal, least_threshold
from policies.allowlist import Allowlist
from policies.cohort import strangers
from policies.privacy import PROTECTION, Level, PrivacyPolicy, head_minimum

ME = "me.example"


def identity(host: str) -> PublicIdentity:
    return PublicIdentity(host, host.encode().ljust(32, b".")[:32])


def peers(number: int) -> tuple[PublicIdentity, ...]:
    return tuple(identity(f"p{n}.example") for n in range(number))


def proposal(
    level: Level = Level.DEFAULT, *, members: int = 5, round_: int = 0, colluders: int = 1, **terms: int
) -> Proposal:
    roster = tuple(sorted((identity(ME), *peers(members - 1)), key=lambda one: one.host))
    threshold = least_threshold(members)
    protection = PROTECTION[level]
    least = head_minimum(5, protection.counts_noise)
    parameters = {
        "min_users": least,
        "max_videos_per_user": protection.max_videos_per_user,
        "counts_noise": protection.counts_noise,
        "pairs_noise": protection.pairs_noise,
        "parts": 1,
        "publish": 0,
        **terms,
    }
    return Proposal(
        aggregator="aggregator.example",
        roster=roster,
        threshold=threshold,
        trainer="gram/1",
        round=round_,
        length=500,
        entry_bound=1000,
        ring=32,
        nonce=bytes(16),
        created=0,
        expires=600,
        noise=parameters["pairs_noise" if round_ else "counts_noise"],
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
@pytest.mark.parametrize("round_", [0, 1])
def test_a_sum_needs_at_least_the_noise_of_this_instances_level(
    mine: Level, proposed: Level, round_: int
) -> None:
    asked = proposal(proposed, round_=round_)
    if PROTECTION[proposed].counts_noise >= PROTECTION[mine].counts_noise:
        policy(mine).check(asked)
    else:
        found = refused(policy(mine), asked)
        assert found.code is Code.NOISE_TOO_LOW
        assert f'"{mine}"' in found.sentence


@pytest.mark.parametrize("name", ["counts_noise", "pairs_noise"])
@pytest.mark.parametrize("round_", [0, 1])
def test_both_sums_are_looked_at_in_each_round(name: str, round_: int) -> None:
    # Else the pairs of a session could come with less noise than its members agreed to with the counts.
    less = PROTECTION[Level.DEFAULT].counts_noise - 1
    asked = proposal(round_=round_, min_users=50)
    asked = replace(asked, parameters={**asked.parameters, name: less})
    asked = replace(asked, noise=asked.parameters["pairs_noise" if round_ else "counts_noise"])
    assert refused(policy(), asked).code is Code.NOISE_TOO_LOW


@pytest.mark.parametrize("round_", [0, 1])
def test_what_is_declared_is_what_the_sum_carries(round_: int) -> None:
    asked = proposal(round_=round_, counts_noise=32, pairs_noise=64, min_users=50)
    policy().check(asked)
    for noise in (0, 7, 15, 17):
        found = refused(policy(), replace(asked, noise=noise))
        assert found.code is Code.PARAMETERS_REFUSED
        assert "not the one" in found.sentence


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
    counted = proposal(Level.NONE, publish=1, counts_noise=4, min_users=50)
    assert refused(policy(Level.NONE, publish=True), counted).code is Code.PARAMETERS_REFUSED


def test_levels_rise() -> None:
    rising = [PROTECTION[level] for level in (Level.NONE, Level.DEFAULT, Level.STRICT, Level.USER_LEVEL)]
    noise = [(one.counts_noise, one.pairs_noise) for one in rising]
    assert noise == sorted(set(noise))
    assert [one.max_videos_per_user for one in rising] == sorted(
        (one.max_videos_per_user for one in rising), reverse=True
    )
    assert PROTECTION[Level.NONE].noise(0) == PROTECTION[Level.NONE].noise(1) == 0


@pytest.mark.parametrize(
    "terms",
    [
        {"pairs_noise": 2**62},
        {"counts_noise": 2**62},
        {"max_videos_per_user": 0},
        {"max_videos_per_user": 2**62},
    ],
)
def test_numbers_that_would_cost_the_accounting_its_memory_are_refused(terms: dict[str, int]) -> None:
    asked = proposal()
    found = refused(policy(), replace(asked, parameters={**asked.parameters, **terms}))
    assert found.code is Code.PARAMETERS_REFUSED
    assert "out of range" in found.sentence
