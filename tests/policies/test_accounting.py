"""What releases give away: published numbers, an independent computation, and what must grow or shrink."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from dp_accounting.rdp.rdp_privacy_accountant import compute_epsilon
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import special

from policies import accounting
from policies.accounting import (
    Relation,
    Release,
    detection,
    epsilon,
    guess,
    spent,
    would_exceed,
)

WEEKLY = Release(counts_noise=4, pairs_noise=4, max_videos_per_user=200, head=1000)
ORDERS = np.array([*range(2, 129), 256])


def closed_bound(order: float, variance: float, entries: int) -> float:
    """Agarwal, Kairouz & Liu 2021, Corollary 4.1, for `entries` shifts by 1 (L1 = L2 squared = entries)."""
    second = ((2 * order - 1) * entries + 6 * entries) / (4 * variance**2)
    return order * entries / (2 * variance) + min(second, 3 * entries / (2 * variance))


def test_entries_that_change() -> None:
    release = Release(2, 3, max_videos_per_user=20, head=1000)
    assert release.entries(Relation.PAIR) == {3: 1}
    assert release.entries(Relation.VIEW) == {2: 1, 3: 19}
    assert release.entries(Relation.USER) == {2: 20, 3: 190}
    # Pairs exist between the videos of the head only.
    assert replace(release, head=5).entries(Relation.USER) == {2: 20, 3: 10}
    assert replace(release, head=5).entries(Relation.VIEW) == {2: 1, 3: 4}
    assert replace(release, pairs_noise=2).entries(Relation.USER) == {2: 210}
    counts_only = replace(release, with_pairs=False)
    assert counts_only.entries(Relation.USER) == {2: 20}
    assert epsilon([counts_only], Relation.PAIR) == 0


# google-research/federated, distributed_dp/accounting_utils.py, the code of the paper's authors:
# skellam_epsilon(scale=1, central_stddev=sqrt(variance), l2_sens=sqrt(entries), l1_sens=entries, q=1,
# steps=releases, rounding=False, delta=1e-6), and dp-accounting's conversion in place of tfp's.
REFERENCE = [
    # variance, entries, releases, epsilon
    (400, 1, 52, 1.698300449257741),
    (400, 20, 1, 1.0157001917272956),
    (1000, 1275, 1, 6.0206558600683335),
    (10_000, 210, 52, 5.498892760953289),
    (10_000, 1275, 52, 15.899807276539914),
]
NOISY_REFERENCE = [
    (4, 1, 1, 2.7964513487122655),
    (16, 1, 52, 11.015546243163014),
    (16, 200, 1, 26.687028696844386),
    (64, 50, 52, 54.482438853094386),
]


def release_with(variance: float, entries: int) -> tuple[Release, Relation]:
    """Return a release and a relation in which `entries` entries change."""
    if entries == 1:
        return Release(variance, variance, 2, 1000), Relation.PAIR
    videos = round((math.sqrt(8 * entries + 1) - 1) / 2)
    if videos * (videos + 1) == 2 * entries:
        return Release(variance, variance, videos, 1000), Relation.USER
    return Release(variance, variance, entries, 1000), Relation.VIEW


@pytest.mark.parametrize(("variance", "entries", "releases", "published"), REFERENCE)
def test_epsilon_equals_the_published_implementation(
    variance: float, entries: int, releases: int, published: float
) -> None:
    """With much noise its bound is nearly exact; orders between the integers make ours a little smaller."""
    release, relation = release_with(variance, entries)
    assert sum(release.entries(relation).values()) == entries
    found = epsilon([release] * releases, relation)
    assert 0.985 * published < found < 1.002 * published


@pytest.mark.parametrize(("variance", "entries", "releases", "published"), NOISY_REFERENCE)
def test_epsilon_is_below_the_published_bound_where_that_is_loose(
    variance: float, entries: int, releases: int, published: float
) -> None:
    bound = [releases * closed_bound(order, variance, entries) for order in ORDERS.tolist()]
    assert compute_epsilon(ORDERS.tolist(), bound, 1e-6)[0] == pytest.approx(published)
    release, relation = release_with(variance, entries)
    assert epsilon([release] * releases, relation) < published


@pytest.mark.parametrize("variance", [0.5, 1, 4, 16, 400, 10_000, 1_000_000])
def test_divergences_are_between_the_least_and_the_closed_bound(variance: float) -> None:
    found = accounting._divergence(variance)
    closed = [closed_bound(order, variance, 1) for order in accounting._ORDERS]
    assert (found <= np.array(closed) * (1 + 1e-6)).all()
    assert (np.diff(found) >= 0).all()
    if variance >= 10_000:  # Skellam is nearly Gaussian: order / (2 variance), Mironov 2017
        np.testing.assert_allclose(found, accounting._ORDERS / (2 * variance), rtol=2e-3)


@pytest.mark.parametrize("variance", [1, 4, 64])
def test_divergences_agree_with_a_direct_sum(variance: float) -> None:
    k = np.arange(-100, 101)
    law = special.ive(np.abs(k), variance)
    for order, found in zip(accounting._ORDERS, accounting._divergence(variance), strict=True):
        if order < 10:
            # Smaller probabilities than 10^-290 are not to be raised to a power; here they add nothing.
            seen = np.minimum(law[1:], law[:-1]) > 1e-30
            ratio = law[1:][seen] / law[:-1][seen]
            direct = math.log((law[:-1][seen] * ratio**order).sum()) / (order - 1)
            assert found == pytest.approx(direct, rel=1e-5)


# go/noise/gaussian_noise_test.go (TestDeltaForGaussian) and python/dp_accounting/dp_accounting/pld/
# pld_privacy_accountant_test.py (test_gaussian_basic) of google/differential-privacy: standard deviation over
# shift, epsilon, delta. Many entries with much noise are a Gaussian with a shift of sqrt(entries / variance).
GAUSSIAN = [
    (10, 0.1, 0.008751768145810, 100),
    (2, math.log(3), 0.004159742234000802, 2500),
    (1, 1.0, 0.126936, 10_000),
    (0.5, 0.0, 0.6826894921370859, 10_000),
]


@pytest.mark.parametrize(("deviation", "at", "published", "entries"), GAUSSIAN)
def test_loss_distributions_equal_published_gaussian_ones(
    deviation: float, at: float, published: float, entries: int
) -> None:
    loss = accounting._loss(Counter({float(deviation**2 * entries): entries}))
    assert loss is not None
    found = float(loss.get_delta_for_epsilon(at))
    assert found == pytest.approx(published, rel=5e-3)


def test_guesses_equal_published_gaussian_ones() -> None:
    # A distance of 0.68269 (above) is a guess that is right with (1 + 0.68269) / 2.
    many = Release(2500, 2500, 2, 1000)
    assert guess([many] * 10_000) == pytest.approx((1 + 0.6826894921370859) / 2, rel=1e-3)
    # test_gaussian_basic of dp-accounting: true positive rate at 0.1 false positives, shift 1.
    assert detection([Release(10_000, 10_000, 2, 9)] * 10_000, 0.1) == pytest.approx(0.38914, rel=1e-3)


@pytest.mark.parametrize("variance", [2, 4, 16, 400])
def test_a_single_guess_agrees_with_the_likelihoods(variance: float) -> None:
    """One release: guess the pair where its entry is more likely with it than without."""
    k = np.arange(-600, 601)
    without, with_pair = law_at(k, variance), law_at(k - 1, variance)
    best = np.maximum(without, with_pair).sum() / 2
    assert guess([replace(WEEKLY, pairs_noise=variance)]) == pytest.approx(best, rel=1e-3)
    # Neyman & Pearson: claim the largest values first, and the last one by lot.
    claimed, found, share = 0.0, 0.0, 0.05
    for no, yes in zip(without[::-1], with_pair[::-1], strict=True):
        part = min(1.0, (share - claimed) / no) if no > 0 else 1.0
        claimed, found = claimed + part * no, found + part * yes
        if part < 1:
            break
    assert detection([replace(WEEKLY, pairs_noise=variance)], share) == pytest.approx(found, rel=3e-3)


def law_at(k: NDArray[np.int64], variance: float) -> NDArray[np.float64]:
    return np.asarray(special.ive(np.abs(k), variance))


def test_two_releases_are_guessed_as_well_as_their_joint_law_allows() -> None:
    k = np.arange(-60, 61)
    without = np.multiply.outer(law_at(k, 4), law_at(k, 9))
    with_pair = np.multiply.outer(law_at(k - 1, 4), law_at(k - 1, 9))
    best = np.maximum(without, with_pair).sum() / 2
    found = guess([replace(WEEKLY, pairs_noise=4), replace(WEEKLY, pairs_noise=9)])
    assert best - 1e-9 <= found == pytest.approx(best, rel=1e-3)


@pytest.mark.parametrize(("variance", "releases"), [(4, 1), (4, 52), (16, 52), (400, 260)])
def test_epsilon_is_a_little_above_the_tight_one(variance: float, releases: int) -> None:
    """Privacy loss distributions are tight, divergences lose some per cent in the conversion."""
    given_ = [replace(WEEKLY, pairs_noise=variance)] * releases
    loss = accounting._loss(Counter({variance: releases}))
    assert loss is not None
    tight = loss.get_epsilon_for_delta(1e-6)
    assert tight <= epsilon(given_, Relation.PAIR) <= 1.1 * tight


def test_no_noise_hides_nothing() -> None:
    bare = replace(WEEKLY, pairs_noise=0)
    assert epsilon([bare, WEEKLY], Relation.PAIR) == math.inf
    assert guess([bare]) == detection([bare]) == 1
    # The pairs had no noise, but there were none.
    assert epsilon([replace(bare, with_pairs=False)], Relation.VIEW) < 2
    assert epsilon([replace(WEEKLY, counts_noise=0)], Relation.PAIR) < 2
    assert epsilon([replace(WEEKLY, counts_noise=0)], Relation.VIEW) == math.inf


def test_no_release_gives_nothing_away() -> None:
    assert spent([]) == {Relation.PAIR: 0, Relation.VIEW: 0, Relation.USER: 0}
    assert guess([]) == 0.5
    assert detection([]) == pytest.approx(0.05)


@pytest.mark.parametrize("relation", Relation)
@given(
    st.lists(
        st.builds(Release, *[st.sampled_from([4, 16, 400])] * 2, st.integers(0, 50), st.just(30)), max_size=4
    ),
    st.data(),
)
def test_more_releases_cost_more_and_more_noise_less(
    relation: Relation, releases: list[Release], data: st.DataObject
) -> None:
    before = epsilon(releases, relation)
    assert epsilon([*releases, WEEKLY], relation) > before
    assert epsilon(data.draw(st.permutations(releases)), relation) == pytest.approx(before)
    quieter = [replace(r, counts_noise=2 * r.counts_noise, pairs_noise=2 * r.pairs_noise) for r in releases]
    less = epsilon(quieter, relation)
    assert less < before or less == before == 0


def test_a_pair_is_less_than_a_view_and_a_view_less_than_a_user() -> None:
    cost = spent([WEEKLY] * 5)
    assert cost[Relation.PAIR] < cost[Relation.VIEW] < cost[Relation.USER]
    year = [WEEKLY] * 52
    assert spent([WEEKLY])[Relation.PAIR] < spent(year)[Relation.PAIR] < 52 * spent([WEEKLY])[Relation.PAIR]
    assert guess([WEEKLY]) < guess([WEEKLY] * 4) < guess([WEEKLY] * 4, Relation.VIEW)


def test_budgets_are_kept_per_relation() -> None:
    year = [WEEKLY] * 51
    after = spent([*year, WEEKLY])
    enough = {relation: value * 1.001 for relation, value in after.items()}
    assert would_exceed(enough, year, WEEKLY) == []
    assert would_exceed({**enough, Relation.VIEW: after[Relation.VIEW] * 0.999}, year, WEEKLY) == [
        Relation.VIEW
    ]
    assert would_exceed({Relation.PAIR: after[Relation.PAIR] * 0.999}, year, WEEKLY) == [Relation.PAIR]
    assert would_exceed({}, year, replace(WEEKLY, pairs_noise=0)) == []
    assert would_exceed({Relation.PAIR: 1e9}, [], replace(WEEKLY, pairs_noise=0)) == [Relation.PAIR]


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="delta"):
        epsilon([WEEKLY], Relation.PAIR, delta=0)
    with pytest.raises(ValueError, match="variance"):
        epsilon([replace(WEEKLY, pairs_noise=-1)], Relation.PAIR)
