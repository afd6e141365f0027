from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models import statistics
from models.denoise import denoise
from models.interactions import Interactions
from models.noise import SumNoise
from models.problem import assemble, choose_items
from models.statistics import Statistic
from models.trained import Recipe, TrainingData
from tests.models.worlds import interactions, plain, population, summed, with_noise

RECIPE = Recipe(min_users=5, min_pair_users=5)


def cohort_and_tail(pair: int) -> TrainingData:
    """Head 0 and 1, tail 2; `pair` own users engaged with both 0 and 2, one own user with 0 and 1."""
    own = interactions([[0, 2]] * pair + [[2]] * (6 - pair) + [[0]] * 3 + [[0, 1]], 4)
    others = interactions([[0, 1]] * 3 + [[0]] * 5 + [[1]] * 5, 4)
    return TrainingData(plain(4), own, summed(others, np.array([0, 1])))


def test_items_are_the_cohorts_head_and_then_its_own_tail() -> None:
    own = interactions([[0, 3]] * 5 + [[1]] * 6 + [[4]] * 4 + [[2]] * 9, 6)
    others = summed(interactions([[0, 1]], 6), np.array([0, 1]))
    items = choose_items(TrainingData(plain(6), own, others), RECIPE)
    assert items.positions.tolist() == [0, 1, 2, 3]
    assert items.head_size == 2
    few = choose_items(TrainingData(plain(6), own, others), Recipe(max_items=3))
    assert few.positions.tolist() == [0, 1, 2]


def test_alone_the_head_comes_from_own_users() -> None:
    own = interactions([[0, 3]] * 5 + [[1]] * 6 + [[4]] * 4, 6)
    items = choose_items(TrainingData(plain(6), own, None), RECIPE)
    assert items.positions.tolist() == [0, 1, 3]
    assert items.head_size == 3


def test_the_heads_entries_are_own_plus_others_however_small() -> None:
    data = cohort_and_tail(5)
    gram = assemble(data, choose_items(data, RECIPE), RECIPE).gram
    assert gram[:2, :2].tolist() == [[17.0, 4.0], [4.0, 9.0]]


def test_an_own_tail_pair_needs_enough_own_users() -> None:
    data = cohort_and_tail(5)
    problem = assemble(data, choose_items(data, RECIPE), RECIPE)
    assert problem.gram[0, 2] == problem.gram[2, 0] == 5.0
    data = cohort_and_tail(4)
    problem = assemble(data, choose_items(data, RECIPE), RECIPE)
    assert problem.gram[0, 2] == problem.gram[2, 0] == 0.0
    assert problem.gram[2, 2] == 6.0
    open_recipe = Recipe(min_users=5, min_pair_users=1)
    assert assemble(data, choose_items(data, open_recipe), open_recipe).gram[0, 2] == 4.0


def test_rare_pairs_leave_no_trace_but_their_sum() -> None:
    """Viewers swap partners: every count and the number of rare pairs stay, and so does the whole problem."""
    base = [[v, v + 1] for v in range(0, 120, 2) for _ in range(6)]
    one = base + [[v, (v + 2) % 120] for v in range(120)] * 3
    two = base + [[v, (v + 4) % 120] for v in range(120)] * 3
    problems = []
    for rows in (one, two):
        data = TrainingData(plain(120), interactions(rows, 120), None)
        problems.append(assemble(data, choose_items(data, RECIPE), RECIPE))
    assert statistics.pair_counts(interactions(one, 120), np.arange(120)).tolist() != (
        statistics.pair_counts(interactions(two, 120), np.arange(120)).tolist()
    )
    np.testing.assert_array_equal(problems[0].gram, problems[1].gram)
    assert problems[0].shift == problems[1].shift
    assert problems[0].gram[0, 1] == 6.0
    hidden = problems[0].gram[0, 2]
    assert 0 < hidden < 4


def test_a_handful_of_rare_pairs_is_not_averaged_at_all() -> None:
    data = TrainingData(plain(6), interactions([[0, 1]] * 6 + [[2, 3]] * 6 + [[0, 2]], 6), None)
    gram = assemble(data, choose_items(data, RECIPE), RECIPE).gram
    assert gram[0, 2] == 0.0


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000), st.integers(20, 90), st.integers(2, 8), st.booleans())
def test_the_problem_is_solvable_and_its_visible_pairs_are_true(
    seed: int, users: int, threshold: int, federated: bool
) -> None:
    whole = population(users, 30, seed)
    own = whole.rows(np.arange(users // 2))
    rest = whole.rows(np.arange(users // 2, users))
    head = statistics.head(statistics.counts(whole), min_users=threshold, max_head=8)
    data = TrainingData(plain(30), own, summed(rest, head) if federated else None)
    recipe = Recipe(min_users=threshold, min_pair_users=threshold)
    items = choose_items(data, recipe)
    problem = assemble(data, items, recipe)
    np.testing.assert_array_equal(problem.gram, problem.gram.T)
    if problem.gram.size:
        assert np.linalg.eigvalsh(problem.gram)[0] + problem.shift > -1e-8
    true = statistics.gram((whole if federated else own).matrix, items.positions)
    alone = statistics.gram(own.matrix, items.positions)
    size = items.head_size if federated else 0
    alone[:size, :size] = true[:size, :size]
    shown = problem.gram >= threshold
    np.testing.assert_array_equal(problem.gram[shown], alone[shown])
    np.testing.assert_array_equal(shown, alone >= threshold)
    np.testing.assert_array_equal(problem.gram[:size, :size], true[:size, :size])


def test_held_out_interactions_leave_own_part_only() -> None:
    data = cohort_and_tail(5)
    items = choose_items(data, RECIPE)
    nobody = Interactions(data.own.matrix[:0])
    gram = assemble(data, items, RECIPE, nobody).gram
    assert gram[:2, :2].tolist() == [[8.0, 3.0], [3.0, 8.0]]
    assert gram[2].tolist() == [0.0, 0.0, 0.0]


def test_parts_of_different_catalogues_are_refused() -> None:
    own = interactions([[0, 1]], 3)
    with pytest.raises(ValueError, match="catalogue"):
        TrainingData(plain(4), own, None)
    outside = Statistic(np.array([5]), np.array([1]), np.zeros(0, np.int64))
    with pytest.raises(ValueError, match="within the catalogue"):
        TrainingData(plain(3), own, outside)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10_000), st.integers(40, 120), st.sampled_from([0.5, 8.0, 200.0]))
def test_own_users_stay_exact_beside_a_noisy_sum(seed: int, users: int, variance: float) -> None:
    whole, noise = population(users, 30, seed), SumNoise(variance, variance)
    own, rest = whole.rows(np.arange(users // 2)), whole.rows(np.arange(users // 2, users))
    others = with_noise(summed(rest, np.arange(0, 30, 2)), noise, seed)
    data = TrainingData(plain(30), own, others, noise)
    items = choose_items(data, RECIPE)
    problem, size = assemble(data, items, RECIPE), items.head_size
    alone = assemble(TrainingData(plain(30), own, summed(rest, others.head)), items, RECIPE)
    np.testing.assert_array_equal(problem.gram[size:], alone.gram[size:])
    np.testing.assert_array_equal(problem.gram[:size, size:], alone.gram[:size, size:])
    clean = denoise(others, noise)
    exact = statistics.gram(own.matrix, items.positions)[:size, :size]
    np.testing.assert_array_equal(problem.gram[:size, :size], exact + clean)
    np.testing.assert_array_equal(assemble(data, items, RECIPE, others=clean).gram, problem.gram)
    values = np.linalg.eigvalsh(problem.gram)
    assert values[0] + problem.shift > -1e-5 * values[-1]


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10_000), st.sampled_from([0.5, 8.0, 200.0]))
def test_numbers_for_people_are_plausible_under_any_noise(seed: int, variance: float) -> None:
    own, rest = population(20, 30, seed), population(60, 30, seed + 1)
    noise = SumNoise(variance, variance)
    data = TrainingData(plain(30), own, with_noise(summed(rest, np.arange(30)), noise, seed), noise)
    problem = assemble(data, choose_items(data, RECIPE), RECIPE)
    shown, counts = problem.users(), problem.counts
    assert (counts >= statistics.counts(own)).all()
    np.testing.assert_array_equal(shown, np.rint(shown))
    assert (shown >= 0).all()
    assert (shown <= np.minimum(counts[:, None], counts)).all()
    np.testing.assert_array_equal(np.diagonal(shown), counts)


def test_many_zero_eigenvalues_do_not_stall_the_shift() -> None:
    """A denoised head has hundreds; a few hidden pairs of the tail make the lowest one just negative."""
    noise = SumNoise(8.0, 8.0)
    own, rest = population(100, 420, 5), population(150, 420, 6)
    data = TrainingData(plain(420), own, with_noise(summed(rest, np.arange(400)), noise), noise)
    problem = assemble(data, choose_items(data, RECIPE), RECIPE)
    lowest = -float(np.linalg.eigvalsh(problem.gram)[0])
    assert problem.items.positions.size > 400
    assert lowest < problem.shift < 1.06 * lowest + 0.006 * problem.unit
