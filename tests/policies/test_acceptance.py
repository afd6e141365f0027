"""The rules of acceptance: sums of people always pass, what no people produce does not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from daemon.lab.demo import poisoning
from daemon.sentences import english
from models import counting, statistics
from models.interactions import Interactions, stack
from models.noise import NO_NOISE, SumNoise, slack
from models.statistics import Statistic, entry_slack, pairs
from models.weights import UNIT
from policies import acceptance, realisable
from policies.acceptance import Allowance
from policies.realisable import Roster
from tests.models.worlds import interactions, summed, with_noise

VIDEOS = 60
NOISES = st.sampled_from([NO_NOISE, SumNoise(32, 32), SumNoise(128, 128), SumNoise(0, 40), SumNoise(40, 0)])
WHOLE = np.arange(VIDEOS, dtype=np.int64)


def people(users: int, seed: int) -> Interactions:
    """Viewers with one of four tastes, skewed popularity, and 2 to 40 videos each."""
    rng = np.random.default_rng(seed)
    popularity = 1.0 / (np.arange(VIDEOS) + 3.0)
    alike = rng.integers(0, 4, users)[:, None] == rng.integers(0, 4, VIDEOS)
    chance = popularity * np.where(alike, 1.0, 0.2) * rng.uniform(0.5, 8.0, (users, 1))
    return Interactions(csr_array((rng.random((users, VIDEOS)) < chance).astype(np.uint8)))


def failed(others: Statistic, noise: SumNoise, users: int, videos: int = VIDEOS) -> set[str]:
    return {check.id for check in realisable.checks(others, noise, Roster(users, videos)) if check.failed}


def unchecked(others: Statistic, noise: SumNoise, users: int, videos: int = VIDEOS) -> set[str]:
    return {check.id for check in realisable.checks(others, noise, Roster(users, videos)) if check.ok is None}


@settings(deadline=None)
@given(st.integers(1, 400), st.integers(0, 10_000), NOISES)
def test_sums_of_people_always_pass(users: int, seed: int, noise: SumNoise) -> None:
    others = with_noise(summed(people(users, seed), WHOLE), noise, seed)
    assert failed(others, noise, users) == set()


@settings(deadline=None, max_examples=30)
@given(st.integers(60, 200), st.integers(0, 1000), NOISES)
def test_pairs_above_their_counts_fail(users: int, seed: int, noise: SumNoise) -> None:
    others = with_noise(summed(people(users, seed), WHOLE), noise, seed)
    triangle = others.triangle.copy()
    triangle[seed % pairs(VIDEOS)] += UNIT * users + sum(
        map(entry_slack, (noise.counts + noise.pairs, noise.counts, noise.pairs))
    )
    assert "pairs-within-counts" in failed(replace(others, triangle=triangle), noise, 10 * users)


def test_pairs_below_nothing_fail() -> None:
    others = summed(people(80, 1), WHOLE)
    triangle = others.triangle.copy()
    triangle[7] = -1 - entry_slack(32)
    assert "pairs-within-counts" in failed(replace(others, triangle=triangle), SumNoise(32, 32), 80)
    triangle[7] = -entry_slack(32) // 2
    assert failed(replace(others, triangle=triangle), SumNoise(32, 32), 80) == set()


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 1000), st.sampled_from([NO_NOISE, SumNoise(32, 32)]))
def test_pairs_that_do_not_fit_together_fail(seed: int, noise: SumNoise) -> None:
    """One video goes with everything, whatever goes together: possible by pairs, not as a whole."""
    others = with_noise(summed(people(900, seed), WHOLE), noise, seed)
    matrix = statistics.to_matrix(others.counts, others.triangle)
    half = VIDEOS // 2
    matrix[:half, half:] = np.minimum(others.counts[:half, None], others.counts[None, half:])
    matrix[:half, :half] = np.diag(others.counts[:half])
    matrix[half:, half:] = np.diag(others.counts[half:])
    triangle = matrix[np.triu_indices(VIDEOS, 1)].astype(np.int64)
    assert "positive-semi-definite" in failed(replace(others, triangle=triangle), noise, 10_000)


@settings(deadline=None, max_examples=30)
@given(st.integers(100, 200), st.integers(0, 1000), NOISES)
def test_a_multiplied_part_exceeds_realistic_totals(users: int, seed: int, noise: SumNoise) -> None:
    honest = people(3 * users, seed)
    part = poisoning.scaled(summed(people(users, seed + 1), WHOLE))
    whole = summed(honest, WHOLE)
    both = Statistic(WHOLE, whole.counts + part.counts, whole.triangle + part.triangle)
    assert "counts-total" in failed(with_noise(both, noise, seed), noise, 4 * users)


def test_multiplied_fakes_need_more_people_than_declared() -> None:
    """Twenty copies of short histories: no video has too many viewers, all together do."""
    honest = people(600, 2)
    counts = counting.counts(honest)
    rng = np.random.default_rng(0)
    push = poisoning.push(poisoning.targets(counts, WHOLE, rng), counts, 60, 3, rng)
    whole, part = summed(honest, WHOLE), poisoning.scaled(summed(push.fakes, WHOLE))
    both = Statistic(WHOLE, whole.counts + part.counts, whole.triangle + part.triangle)
    for noise in (NO_NOISE, SumNoise(32, 32)):
        assert failed(with_noise(both, noise), noise, 660) == {"viewers-total"}
        assert failed(with_noise(both, noise), noise, 20_000) == set()


def test_more_videos_than_the_terms_allow_fail() -> None:
    everything = interactions([list(range(VIDEOS))] * 50, VIDEOS)
    assert failed(summed(everything, WHOLE), NO_NOISE, 50, videos=VIDEOS) == set()
    assert failed(summed(everything, WHOLE), NO_NOISE, 50, videos=20) == {"engagements-total", "pairs-total"}


def test_an_empty_sum_passes() -> None:
    nothing = Statistic(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.int64))
    assert failed(nothing, SumNoise(32, 32), 100) == set()


def test_the_fakes_are_people() -> None:
    honest = people(600, 2)
    counts = counting.counts(honest)
    rng = np.random.default_rng(0)
    pushed = poisoning.targets(counts, WHOLE, rng)
    push = poisoning.push(pushed, counts, 60, 10, rng)
    assert set(np.diff(push.fakes.matrix.indptr).tolist()) == {11}
    assert counting.counts(push.fakes)[pushed].tolist() == [12] * 5
    assert counts[pushed].max() <= np.sort(counts)[VIDEOS // 4]
    assert failed(summed(stack([honest, push.fakes]), WHOLE), NO_NOISE, 660) == set()


def test_what_noise_hides_is_said_to_be_unchecked() -> None:
    """Nine viewers are fewer than the noise could make up; six hundred are not."""
    noise = SumNoise(32, 16)
    few = with_noise(summed(people(9, 1), WHOLE), noise)
    every = {check.id for check in realisable.checks(few, noise, Roster(9, VIDEOS))}
    # Totals add up many videos and pairs: their noise is small beside nine viewers' longest histories.
    assert unchecked(few, noise, 9) == every - {"pairs-total"}
    assert unchecked(few, NO_NOISE, 9) == set()
    many = with_noise(summed(people(600, 1), WHOLE), noise)
    assert unchecked(many, noise, 600) == set()


@pytest.mark.parametrize("videos", [0, 1])
def test_who_is_limited_to_one_video_is_behind_no_pair(videos: int) -> None:
    others, noise = summed(people(600, 1), WHOLE), SumNoise(16, 8)
    assert "pairs-total" in failed(others, noise, 600, videos=videos)


@pytest.mark.parametrize("users", [70, 90, 120])
def test_what_is_said_to_take_more_viewers_can_be_checked_from_there_on(users: int) -> None:
    noise = SumNoise(32, 16)
    others = summed(people(users, 3), WHOLE)
    for check in realisable.checks(others, noise, Roster(users, VIDEOS)):
        if check.id == "counts-total":
            needed = slack(32 * UNIT**2) / UNIT
            assert (check.ok is None) == (users < needed)
            assert (f"about {needed:.0f} declared viewers" in english(check.sentence)) == (users < needed)


def test_a_rule_that_fails_fails_however_wide_the_noise() -> None:
    noise = SumNoise(32, 16)
    few = with_noise(summed(people(9, 1), WHOLE), noise)
    counts = few.counts.copy()
    counts[0] += 200 * UNIT
    assert {"counts-total", "viewers-total"} <= failed(replace(few, counts=counts), noise, 9)


def test_quality_is_good_enough_or_not_or_was_not_asked() -> None:
    assert acceptance.quality(good_enough=True).ok
    assert acceptance.quality(good_enough=False).failed
    unknown = acceptance.quality(good_enough=None)
    assert unknown.ok is None
    assert not unknown.failed


def test_a_gain_is_allowed_by_exposure_noise_and_sampling() -> None:
    before = np.array([0.0, 0.25])
    none = Allowance.of(0.03, pair_variance=0.0, typical=100.0)
    assert none.gains(before) == pytest.approx([0.03, 0.03 + 0.3 * 0.25**0.5 * 0.75**0.5])
    assert none.risen == 0.03
    other = Allowance.of(0.03, pair_variance=0.0, typical=100.0, reweighted=True)
    assert other.gains(before) == pytest.approx(2 * none.gains(before))
    assert other.risen == 0.03
    noisy = Allowance.of(0.03, pair_variance=16.0, typical=100.0, own=25.0)
    assert noisy.gains(before)[0] == pytest.approx(0.03 + 1.5 * 4 / 100 + 1.5 / 5)
    assert noisy.risen == pytest.approx(0.03 + 0.3 * 0.06 + 0.3)
    both = Allowance.of(0.03, pair_variance=16.0, typical=100.0, own=25.0, own_pair_variance=9.0)
    assert both.noise == pytest.approx((0.06**2 + 0.18**2) ** 0.5)


def test_comparing_takes_viewers_by_noise_and_sampling() -> None:
    assert acceptance.least_viewers(0.0, own=False) == 0.0
    assert acceptance.least_viewers(0.0, own=True) == pytest.approx(10.2, abs=0.1)
    for own, variance in ((True, 8.0), (True, 64.0), (False, 24.0)):
        least = acceptance.least_viewers(variance, own=own)
        there = Allowance.of(
            0.03,
            pair_variance=0.0 if own else variance,
            typical=least,
            own=least if own else None,
            own_pair_variance=variance,
        )
        # Up to there, half of the lists could be gained by chance.
        assert there.noise + there.sampling == pytest.approx(0.47)
        assert not there.telling


def test_a_wide_allowance_tells_nothing_and_says_what_it_takes() -> None:
    wide = Allowance.of(0.03, pair_variance=21.0, typical=100.0, own=40.0, own_pair_variance=8.0)
    assert not wide.telling
    assert not Allowance.of(0.03, pair_variance=171.0, typical=70.0).telling
    assert Allowance.of(0.03, pair_variance=171.0, typical=80.0).telling
    # Viewers from nowhere are told all the same.
    assert Allowance.of(0.03, pair_variance=171.0, typical=70.0).telling_risen
    check = acceptance.small_gains("month", 171.0)
    assert check.ok is None
    assert "about 78 viewers" in english(check.sentence)
    assert "about 66 own viewers" in english(acceptance.small_gains("local", 8.0).sentence)


def test_what_gains_too_much_is_named() -> None:
    allowance = Allowance.of(0.03, pair_variance=0.0, typical=100.0)
    before, after = np.array([0.1, 0.0]), np.array([0.15, 0.05])
    check = acceptance.gains("month", "videos", ["https://a/1", "https://a/2"], before, after, allowance)
    assert not check.ok
    assert "https://a/2" in english(check.sentence)
    assert "month ago" in english(check.sentence)
    assert check.value == pytest.approx(0.05)
    assert check.bound == pytest.approx(0.03)
    assert acceptance.gains("local", "hosts", ["a", "b"], before, before, allowance).ok


def test_videos_with_viewers_from_nowhere_are_judged_together() -> None:
    allowance = Allowance.of(0.03, pair_variance=0.0, typical=100.0)
    names = ["https://a/1", "https://a/2", "https://a/3"]
    before, after = np.zeros(3), np.array([0.02, 0.025, 0.02])
    marked = np.array([True, True, False])
    assert acceptance.gains("month", "videos", names, before, after, allowance).ok
    check = acceptance.risen_gains("month", names, before, after, marked, allowance)
    assert not check.ok
    assert check.value == pytest.approx(0.045)
    assert "https://a/2" in english(check.sentence)
    one = acceptance.risen_gains("month", names, before, after, np.array([False, False, True]), allowance)
    assert one.ok
    assert "one video has" in english(one.sentence)
