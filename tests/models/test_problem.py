from __future__ import annotations

from dataclasses import replace
from itertools import count

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.denoise import denoise
from models.noise import NO_NOISE, SumNoise
from models.problem import (
    RIDGE_LARGE,
    RIDGE_SMALL,
    assemble,
    at_least,
    choose_items,
    default_form,
    default_ridge,
    worth_learning,
)
from models.released import Released
from models.statistics import Statistic, to_matrix
from models.trained import Recipe, TrainingData
from models.weights import UNIT
from tests.models.worlds import exactly, interactions, long_rows, plain, population, summed, with_noise

RECIPE = Recipe()
NONE = np.zeros(0, np.int64)
NOISE = SumNoise(8.0, 8.0)


def small() -> TrainingData:
    """Others know 0, 1 and 4; its own release knows 1, 2, 3 and 4."""
    others = interactions([[0, 1]] * 3 + [[0]] * 5 + [[1, 4]] * 2, 6)
    own = interactions([[1, 2]] * 2 + [[1, 4]] * 4 + [[3, 4]] * 1 + [[2, 3]] * 6, 6)
    return TrainingData(plain(6), exactly(own, np.array([1, 2, 3, 4])), exactly(others, np.array([0, 1, 4])))


def test_items_are_the_others_head_and_then_what_its_own_release_has_alone() -> None:
    data = small()
    items = choose_items(data, RECIPE)
    assert items.positions.tolist() == [0, 1, 4, 2, 3]
    assert items.head_size == 3
    alone = choose_items(TrainingData(data.features, data.own, None), RECIPE)
    assert (alone.positions.tolist(), alone.head_size) == ([1, 2, 3, 4], 0)
    joined = choose_items(TrainingData(data.features, None, data.others), RECIPE)
    assert (joined.positions.tolist(), joined.head_size) == ([0, 1, 4], 3)
    nothing = choose_items(TrainingData(data.features, None, None), RECIPE)
    assert (nothing.positions.tolist(), nothing.head_size) == ([], 0)


def test_of_too_many_items_the_most_watched_stay_and_those_of_the_others_first() -> None:
    data = small()
    assert choose_items(data, Recipe(max_items=4)).positions.tolist() == [0, 1, 4, 2]
    # 0 has eight viewers elsewhere, 1 has five, 4 has two.
    for most in (1, 2):
        items = choose_items(data, Recipe(max_items=most))
        assert (items.positions.tolist(), items.head_size) == (list(range(most)), most)
    own = TrainingData(data.features, data.own, None)
    # 2 has eight viewers, 3 has seven, 1 has six, 4 has five.
    assert choose_items(own, Recipe(max_items=3)).positions.tolist() == [1, 2, 3]


def test_of_fewer_items_the_numbers_are_the_same() -> None:
    data = small()
    whole = assemble(data, choose_items(data, RECIPE))
    for most in (1, 2, 3, 4):
        part = assemble(data, choose_items(data, Recipe(max_items=most)))
        kept = [whole.items.positions.tolist().index(video) for video in part.items.positions.tolist()]
        np.testing.assert_array_equal(part.gram, whole.gram[np.ix_(kept, kept)])
        np.testing.assert_array_equal(part.counts, whole.counts[kept])


def test_an_own_release_of_few_viewers_is_not_worth_learning_unless_it_is_exact() -> None:
    nothing = Statistic(NONE, NONE, NONE)
    others = Released(nothing, NOISE, 500.0)
    assert worth_learning(None, None) is worth_learning(None, others) is None
    for viewers, alone, together in ((10.0, False, False), (50.0, False, True), (90.0, True, True)):
        noisy, exact = Released(nothing, NOISE, viewers), Released(nothing, viewers=viewers)
        assert worth_learning(noisy, None) is (noisy if alone else None)
        assert worth_learning(noisy, others) is (noisy if together else None)
        assert worth_learning(exact, None) is exact


@pytest.mark.parametrize(
    ("viewers", "ridge", "form"), [(0.0, RIDGE_SMALL, "factorized"), (2000.0, RIDGE_LARGE, "sparse")]
)
def test_many_viewers_need_a_smaller_ridge_and_allow_the_sparse_form(
    viewers: float, ridge: float, form: str
) -> None:
    data = small()
    assert data.own is not None
    data = replace(data, own=replace(data.own, viewers=viewers))
    assert (default_ridge(data), default_form(data)) == (ridge, form)


def test_both_matrices_are_added_where_they_overlap() -> None:
    data = small()
    problem = assemble(data, choose_items(data, RECIPE))
    assert problem.gram.tolist() == [
        [8.0, 3.0, 0.0, 0.0, 0.0],
        [3.0, 5.0 + 6.0, 2.0 + 4.0, 2.0, 0.0],
        [0.0, 2.0 + 4.0, 2.0 + 5.0, 0.0, 1.0],
        [0.0, 2.0, 0.0, 8.0, 6.0],
        [0.0, 0.0, 1.0, 6.0, 7.0],
    ]
    assert problem.counts.tolist() == [8.0, 11.0, 7.0, 8.0, 7.0]
    assert problem.unit == pytest.approx((8 + 11 + 7 + 8 + 7) / 5)
    assert not problem.count_deviation.any()
    assert not problem.pair_deviation.any()


def test_own_items_that_were_cut_leave_nothing_behind() -> None:
    data = small()
    whole, cut = (assemble(data, choose_items(data, Recipe(max_items=most))) for most in (9, 4))
    np.testing.assert_array_equal(cut.gram, whole.gram[:4, :4])
    np.testing.assert_array_equal(cut.counts, whole.counts[:4])


def noisy(seed: int, variances: tuple[float, float]) -> TrainingData:
    """Two heads that overlap, each with noise of its own."""
    others, own = population(60, 30, seed), population(40, 30, seed + 1)
    heads, noises = (np.arange(0, 30, 2), np.arange(0, 30, 3)), [SumNoise(v, v / 2) for v in variances]
    released = [
        Released(with_noise(summed(users, head), noise, seed), noise)
        for users, head, noise in zip((others, own), heads, noises, strict=True)
    ]
    return TrainingData(plain(30), released[1], released[0])


@settings(deadline=None, max_examples=8)
@given(st.integers(0, 10_000), st.sampled_from([0.0, 4.0, 200.0]), st.sampled_from([0.0, 16.0]))
def test_each_part_is_estimated_by_its_own_noise_and_added(seed: int, first: float, second: float) -> None:
    data = noisy(seed, (first, second))
    assert data.others is not None
    assert data.own is not None
    items = choose_items(data, RECIPE)
    problem = assemble(data, items)
    expected, counts, deviations = np.zeros((30, 30)), np.zeros(30), np.zeros((2, 30))
    for part in (data.others, data.own):
        head = part.statistic.head
        expected[np.ix_(head, head)] += denoise(part.statistic, part.noise)
        counts[head] += part.statistic.counts / UNIT
        deviations[:, head] += np.array([[part.noise.counts], [part.noise.pairs]])
    at = items.positions
    np.testing.assert_array_equal(problem.gram, expected[np.ix_(at, at)])
    np.testing.assert_array_equal(problem.counts, np.maximum(counts, 0)[at])
    np.testing.assert_array_equal(problem.count_deviation, np.sqrt(deviations[0, at]))
    np.testing.assert_array_equal(problem.pair_deviation, np.sqrt(deviations[1, at]))
    np.testing.assert_array_equal(problem.gram, problem.gram.T)
    values = np.linalg.eigvalsh(problem.gram)
    assert values[0] > -1e-5 * values[-1]


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10_000))
def test_without_noise_equal_sums_make_one_problem_whoever_is_in_them(seed: int) -> None:
    """Viewers that move between the two parts change nothing where both know the same videos."""
    whole, head = long_rows(seed, users=20), np.arange(0, 90, 3)
    problems = []
    for cut in (0, 7, 20):
        parts = [exactly(whole.rows(np.arange(*span)), head) for span in ((0, cut), (cut, 20))]
        data = TrainingData(plain(90), parts[0], parts[1])
        problems.append(assemble(data, choose_items(data, RECIPE)))
    for one in problems:
        np.testing.assert_array_equal(one.gram, problems[0].gram)
        np.testing.assert_array_equal(one.counts, problems[0].counts)
    exact = summed(whole, head)
    np.testing.assert_array_equal(problems[0].gram, to_matrix(exact.counts, exact.triangle))


def test_what_is_all_noise_still_has_a_unit() -> None:
    below = Statistic(np.arange(3), np.array([-40, 0, -1]), np.array([-2, 1, 0]))
    data = TrainingData(plain(3), Released(below, SumNoise(8.0, 8.0)), None)
    problem = assemble(data, choose_items(data, RECIPE))
    assert not problem.gram.any()
    assert not problem.counts.any()
    assert problem.unit == 1.0
    nothing = TrainingData(plain(3), None, None)
    assert assemble(nothing, choose_items(nothing, RECIPE)).unit == 1.0


def test_a_head_outside_the_catalogue_is_refused() -> None:
    for head in ([-1], [3]):
        outside = Released(Statistic(np.array(head), np.array([32]), NONE))
        for own, others in ((outside, None), (None, outside)):
            with pytest.raises(ValueError, match="within the catalogue"):
                TrainingData(plain(3), own, others)


def of_viewers(viewers: float, watched: int) -> Released:
    return Released(Statistic(np.array([0]), np.array([watched * UNIT]), NONE), NO_NOISE, viewers)


@pytest.mark.parametrize(
    ("own", "others", "ridge"),
    [
        (None, None, RIDGE_SMALL),
        (of_viewers(999.0, 10), None, RIDGE_SMALL),
        (of_viewers(1000.0, 10), None, RIDGE_LARGE),
        (of_viewers(300.0, 10), of_viewers(0.0, 699), RIDGE_SMALL),
        (of_viewers(300.0, 10), of_viewers(0.0, 700), RIDGE_LARGE),
        # A sum does not say how many viewers it has: at least as many as its most watched video.
        (None, of_viewers(0.0, 1000), RIDGE_LARGE),
    ],
)
def test_the_ridge_goes_by_the_viewers_that_are_known_of(
    own: Released | None, others: Released | None, ridge: float
) -> None:
    assert default_ridge(TrainingData(plain(1), own, others)) == ridge


def step_for(deviation: float) -> float:
    """The first of 1, 2, 5, 10, 20 ... that is not below the deviation."""
    return next(
        float(leading * 10**power)
        for power in count()
        for leading in (1, 2, 5)
        if leading * 10**power >= deviation
    )


@given(
    st.floats(-1e3, 1e6),
    st.floats(0, 2e3) | st.sampled_from([1.0, 2.0, 5.0, 10.0, 20.0, 100.0, 1000.0, 4.0, 8.0**0.5]),
)
def test_no_more_viewers_are_told_of_than_the_noise_allows(estimate: float, deviation: float) -> None:
    found = at_least(np.array([estimate]), np.array([deviation]))
    assert found.dtype == np.int32
    told, step, known = int(found[0]), step_for(deviation), estimate - 2 * deviation
    assert told % step == 0
    assert 0 <= told <= max(known, 0.0)
    assert told + step > known


def test_rounding_by_hand() -> None:
    estimate = np.array([7.0, 7.9, 5.0, 36.0, 36.0, 40.0, 1000.0, 8.0, -3.0])
    deviation = np.array([0.0, 0.0, 2.83, 4.0, 5.7, 20.0, 28.3, 4.0, 0.0])
    assert at_least(estimate, deviation).tolist() == [7, 7, 0, 25, 20, 0, 900, 0, 0]
    assert at_least(np.zeros((2, 3)), np.ones((2, 3))).shape == (2, 3)
