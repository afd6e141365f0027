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

from models.weights import UNIT, weights
from policies import accounting
from policies.accounting import (
    Relation,
    Release,
    detection,
    epsilon,
    guess,
    releases_within,
    spent,
    would_exceed,
)
from policies.neighbour_relations import Change

WEEKLY = Release(counts_noise=4, pairs_noise=4, max_videos_per_user=200, head=1000)
ORDERS = np.array([*range(2, 129), 256])


def closed_bound(order: float, variance: float, entries: int) -> float:
    """Agarwal, Kairouz & Liu 2021, Corollary 4.1, for `entries` shifts by 1 (L1 = L2 squared = entries)."""
    second = ((2 * order - 1) * entries + 6 * entries) / (4 * variance**2)
    return order * entries / (2 * variance) + min(second, 3 * entries / (2 * variance))


def weight_of(head_videos: int) -> int:
    return int(weights(head_videos))


def by_hand(release: Release, relation: Relation) -> list[Change]:
    """Return what changes for each number of a viewer's videos in the head, entry by entry."""
    found = []
    for c in range(min(release.max_videos_per_user, release.head) + 1):
        for tail in range(release.max_videos_per_user - c + 1):
            without, with_it = row(release, 0, 0), row(release, c, tail)
            if relation is Relation.VIEW:
                if c + tail == release.max_videos_per_user:
                    continue
                found.append(difference(with_it, row(release, c, tail + 1)))
                if c < release.head:
                    found.append(difference(with_it, row(release, c + 1, tail)))
            else:
                found.append(difference(without, with_it))
    return found


def row(release: Release, c: int, tail: int) -> dict[tuple[str, int, int], tuple[float, int]]:
    """Return a viewer's entries, with the variance of the noise: head videos 0 ... c, tail videos below 0."""
    weight = weight_of(c)
    entries = {("count", v, v): (release.counts_noise, weight) for v in range(-tail, c)}
    entries |= {("pair", v, w): (release.pairs_noise, weight) for v in range(c) for w in range(v)}
    if release.viewers and c + tail:
        entries["viewers", 0, 0] = (release.counts_noise, UNIT)
    return entries


def difference(
    one: dict[tuple[str, int, int], tuple[float, int]], other: dict[tuple[str, int, int], tuple[float, int]]
) -> Change:
    change: Change = Counter()
    for place in one.keys() | other.keys():
        variance, steps = one.get(place) or other[place]
        shift = abs(other.get(place, (variance, 0))[1] - (steps if place in one else 0))
        if shift:
            change[variance, shift] += 1
    return change


def divergence_of(change: Change) -> NDArray[np.float64]:
    start = np.zeros(len(accounting._ORDERS))
    return sum((n * accounting._divergence(*key) for key, n in change.items()), start=start)


@pytest.mark.parametrize("relation", [Relation.VIEW, Relation.USER])
@pytest.mark.parametrize(
    "release",
    [
        Release(4, 4, 45, 45),
        Release(16, 8, 40, 36),
        Release(16, 64, 45, 40),
        Release(8, 400, 45, 45),
        Release(16, 16, 12, 4, viewers=True),
        Release(16, 16, 3, 0, viewers=True),
        Release(16, 16, 3, 0),
    ],
)
def test_changes_are_the_largest_of_all_that_a_viewer_can_make(release: Release, relation: Relation) -> None:
    """Whatever the viewer has, no neighbour costs more at any order than is counted, and one as much."""
    every = np.array([divergence_of(change) for change in by_hand(release, relation)]).max(axis=0)
    np.testing.assert_allclose(accounting._of_release(release, relation), every, rtol=1e-12)
    most = max(sum(n * (s / UNIT) ** 2 / v for (v, s), n in c.items()) for c in by_hand(release, relation))
    assert release.load(relation) == pytest.approx(most)


def test_entries_that_change() -> None:
    release = Release(2, 3, max_videos_per_user=20, head=1000)
    assert release.most(Relation.PAIR) == {(3, UNIT): 1}
    assert release.most(Relation.VIEW) == {(2, UNIT): 1, (3, UNIT): 19}
    assert release.most(Relation.USER) == {(2, UNIT): 20, (3, UNIT): 190}
    # Pairs exist between the videos of the head only.
    assert replace(release, head=5).most(Relation.USER) == {(2, UNIT): 20, (3, UNIT): 10}
    assert replace(release, head=5).most(Relation.VIEW) == {(2, UNIT): 1, (3, UNIT): 4}
    assert replace(release, pairs_noise=2).most(Relation.USER) == {(2, UNIT): 210}
    counts_only = replace(release, head=0)
    assert counts_only.most(Relation.USER) == {(2, UNIT): 20}
    assert epsilon([counts_only], Relation.PAIR) == 0
    # A whole viewer is in the number of viewers too.
    assert replace(release, viewers=True).most(Relation.USER) == {(2, UNIT): 21, (3, UNIT): 190}
    assert replace(release, viewers=True).most(Relation.VIEW) == release.most(Relation.VIEW)
    assert replace(counts_only, viewers=True).most(Relation.VIEW) == {(2, UNIT): 2}
    assert replace(release, viewers=True).most(Relation.PAIR) == release.most(Relation.PAIR)


def test_weights_bound_a_long_history() -> None:
    """Videos beyond thirty of the head cost nothing more, neither one of them nor the whole history."""
    for relation in (Relation.VIEW, Relation.USER):
        short = epsilon([Release(8, 8, 200, 30)], relation)
        assert short <= epsilon([Release(8, 8, 200, 4096)], relation) <= 1.01 * short


def test_classes_of_weights_would_cost_more_than_fine_steps() -> None:
    """If the 31st video halved a whole row, it would change all of it by half a viewer."""
    halved = Counter({(8.0, UNIT // 2): 1 + 30 + 199 + 435})
    fine = accounting._of_release(Release(8, 8, 200, 4096), Relation.VIEW)
    assert (divergence_of(halved) > 5 * fine).all()


@pytest.mark.parametrize(("variance", "view", "user"), [(4, 17.2, 143.6), (8, 11.2, 84.8), (16, 7.5, 51.5)])
def test_epsilon_of_one_sum(variance: float, view: float, user: float) -> None:
    """A few per cent above what a Gaussian of the same shift would cost: 16.0, 10.6, 7.0 for a view."""
    found = spent([Release(variance, variance, 200, 4096)])
    assert found[Relation.VIEW] == pytest.approx(view, abs=0.1)
    assert found[Relation.USER] == pytest.approx(user, abs=0.1)


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


def epsilon_of(variance: float, entries: int, releases: int) -> float:
    """Return the epsilon of entries that change by one step of the grid; `variance` in such steps squared."""
    divergence = releases * entries * accounting._divergence(variance / UNIT**2, 1)
    return float(compute_epsilon(accounting._ORDERS.tolist(), divergence.tolist(), 1e-6)[0])


@pytest.mark.parametrize(("variance", "entries", "releases", "published"), REFERENCE)
def test_epsilon_equals_the_published_implementation(
    variance: float, entries: int, releases: int, published: float
) -> None:
    """With much noise its bound is nearly exact; orders between the integers make ours a little smaller."""
    found = epsilon_of(variance, entries, releases)
    assert 0.985 * published < found < 1.002 * published


@pytest.mark.parametrize(("variance", "entries", "releases", "published"), NOISY_REFERENCE)
def test_epsilon_is_below_the_published_bound_where_that_is_loose(
    variance: float, entries: int, releases: int, published: float
) -> None:
    bound = [releases * closed_bound(order, variance, entries) for order in ORDERS.tolist()]
    assert compute_epsilon(ORDERS.tolist(), bound, 1e-6)[0] == pytest.approx(published)
    assert epsilon_of(variance, entries, releases) < published


@pytest.mark.parametrize("steps", [1, 2, 29, 32])
@pytest.mark.parametrize("variance", [0.5, 1, 4, 64, 400, 10_000])
def test_divergences_are_between_the_least_and_the_closed_bound(variance: float, steps: int) -> None:
    found = accounting._divergence(variance, steps)
    on_grid, squared = variance * UNIT**2, steps**2
    # Agarwal, Kairouz & Liu 2021, Corollary 4.1.
    second = ((2 * accounting._ORDERS - 1) * squared + 6 * steps) / (4 * on_grid**2)
    closed = accounting._ORDERS * squared / (2 * on_grid) + np.minimum(second, 3 * steps / (2 * on_grid))
    assert (found <= closed * (1 + 1e-6) + 1e-12).all()
    assert (np.diff(found) >= 0).all()
    if variance >= 10_000:  # Skellam is nearly Gaussian: order / (2 variance), Mironov 2017
        np.testing.assert_allclose(found, accounting._ORDERS * squared / (2 * on_grid), rtol=5e-4, atol=1e-12)


@pytest.mark.parametrize(("variance", "steps"), [(1, 1), (4, 1), (64, 3), (1000, 32), (16_384, 32)])
def test_divergences_agree_with_a_direct_sum(variance: float, steps: int) -> None:
    """Over every place of the grid; `variance` in its steps squared."""
    k = np.arange(-100 - 20 * math.ceil(variance**0.5), 101 + 20 * math.ceil(variance**0.5))
    law = special.ive(np.abs(k), variance)
    found = accounting._divergence(variance / UNIT**2, steps)
    for order, one in zip(accounting._ORDERS, found, strict=True):
        if order < 10:
            # Smaller probabilities are no floats any more; here they add nothing.
            seen = np.minimum(law[steps:], law[:-steps]) > 1e-290
            shifted, plain = (np.log(part[seen]) for part in (law[steps:], law[:-steps]))
            direct = math.log(np.exp(plain + order * (shifted - plain)).sum()) / (order - 1)
            assert one == pytest.approx(direct, rel=1e-5)


@pytest.mark.parametrize(("variance", "steps"), [(0.5, 32), (16, 2), (16, 32), (400, 1)])
def test_a_part_of_the_places_tells_as_much_as_all(variance: float, steps: int) -> None:
    on_grid = variance * UNIT**2
    log = accounting._log_law(on_grid, accounting._end(on_grid, steps))
    found = accounting._divergence(variance, steps)
    for place in range(0, len(found), 19):
        terms = log[:-steps] + accounting._ORDERS[place] * (log[steps:] - log[:-steps])
        whole = (terms.max() + math.log(np.exp(terms - terms.max()).sum())) / (accounting._ORDERS[place] - 1)
        assert found[place] == pytest.approx(whole, rel=1e-9, abs=1e-11)


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
    loss = accounting._loss(Counter({(float(deviation**2 * entries), UNIT): entries}), Counter())
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
    reach = 10 * UNIT * math.ceil(variance**0.5)
    k = np.arange(-reach, reach + 1)
    without, with_pair = law_at(k, variance), law_at(k - UNIT, variance)
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
    """Return the law of the noise; `variance` in viewers squared."""
    return np.asarray(special.ive(np.abs(k), variance * UNIT**2))


def test_two_releases_are_guessed_as_well_as_their_joint_law_allows() -> None:
    k = np.arange(-700, 701)
    without = np.multiply.outer(law_at(k, 4), law_at(k, 9))
    with_pair = np.multiply.outer(law_at(k - UNIT, 4), law_at(k - UNIT, 9))
    best = np.maximum(without, with_pair).sum() / 2
    found = guess([replace(WEEKLY, pairs_noise=4), replace(WEEKLY, pairs_noise=9)])
    assert best - 1e-9 <= found == pytest.approx(best, rel=1e-3)


@pytest.mark.parametrize(("variance", "releases"), [(4, 1), (4, 52), (16, 52), (400, 260)])
def test_epsilon_is_a_little_above_the_tight_one(variance: float, releases: int) -> None:
    """Privacy loss distributions are tight, divergences lose some per cent in the conversion."""
    given_ = [replace(WEEKLY, pairs_noise=variance)] * releases
    loss = accounting._loss(Counter({(float(variance), UNIT): releases}), Counter())
    assert loss is not None
    tight = loss.get_epsilon_for_delta(1e-6)
    assert tight <= epsilon(given_, Relation.PAIR) <= 1.1 * tight


# -- decisions --------------------------------------------------------------------------------------------


def decided(epsilon_of_it: float) -> Release:
    return Release(0, 0, 0, 0, decision=epsilon_of_it)


@pytest.mark.parametrize("relation", Relation)
def test_a_decision_costs_at_most_its_epsilon_and_many_less_than_their_sum(relation: Relation) -> None:
    assert epsilon([decided(0.5)], relation) <= 0.52
    many = epsilon([decided(0.1)] * 100, relation)
    assert epsilon([decided(0.1)], relation) < many < 100 * 0.1
    # As a Gaussian with the same mean loss.
    assert many == pytest.approx(epsilon([Release(1, 1, 2, 9)], Relation.PAIR), rel=0.05)
    # With a release of numbers it costs more than that alone, and less than both apart.
    both = epsilon([WEEKLY, decided(0.5)], relation)
    apart = epsilon([WEEKLY], relation)
    assert apart < both < apart + 0.52
    assert epsilon([replace(WEEKLY, decision=0.5)], relation) == both


@pytest.mark.parametrize("decision", [0.1, 0.5, 2.0])
def test_decisions_are_guessed_as_randomised_responses(decision: float) -> None:
    """One, and three by all eight answers."""
    right = math.exp(decision) / (1 + math.exp(decision))
    assert guess([decided(decision)]) == pytest.approx(right, abs=1e-3)
    answers = np.array([right, 1 - right])
    with_it = np.multiply.outer(np.multiply.outer(answers, answers), answers)
    best = np.maximum(with_it, with_it[::-1, ::-1, ::-1]).sum() / 2
    assert best - 1e-9 <= guess([decided(decision)] * 3) == pytest.approx(best, abs=1e-3)
    assert detection([decided(decision)]) == pytest.approx(0.05 * math.exp(decision), rel=0.02)
    assert guess([WEEKLY]) < guess([WEEKLY, decided(decision)])


def test_no_noise_hides_nothing() -> None:
    bare = replace(WEEKLY, pairs_noise=0)
    assert epsilon([bare, WEEKLY], Relation.PAIR) == math.inf
    assert guess([bare]) == detection([bare]) == 1
    # The pairs had no noise, but there were none.
    assert epsilon([replace(bare, head=0)], Relation.VIEW) < 3
    assert epsilon([replace(WEEKLY, counts_noise=0)], Relation.PAIR) < 3
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
    for wrong in (replace(WEEKLY, pairs_noise=-1), replace(WEEKLY, decision=-0.1)):
        with pytest.raises(ValueError, match="variance"):
            epsilon([wrong], Relation.PAIR)


@pytest.mark.parametrize("relation", Relation)
def test_a_budget_has_room_for_as_many_releases_as_it_says(relation: Relation) -> None:
    for budget in (0.1, 5.0, 60.0):
        number = releases_within(budget, WEEKLY, relation)
        assert epsilon([WEEKLY] * number, relation) <= budget < epsilon([WEEKLY] * (number + 1), relation)
    assert releases_within(1e9, WEEKLY, relation, most=7) == 7
    assert releases_within(1e9, replace(WEEKLY, pairs_noise=0, counts_noise=0), relation) == 0
