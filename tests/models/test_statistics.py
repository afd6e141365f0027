from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models import statistics
from models.errors import SumError
from models.interactions import Interactions
from models.noise import SumNoise, slack
from models.statistics import Statistic, entry_slack
from models.weights import UNIT
from tests.models.worlds import long_rows, small_worlds, summed, with_noise


def test_a_matrix_is_in_viewers_and_exact() -> None:
    counts, triangle = np.array([33, 64, 1]), np.array([31, 0, -5])
    expected = [[33 / 32, 31 / 32, 0.0], [31 / 32, 2.0, -5 / 32], [0.0, -5 / 32, 1 / 32]]
    assert statistics.to_matrix(counts, triangle).tolist() == expected
    assert statistics.to_matrix(counts[:1], triangle[:0]).tolist() == [[33 / 32]]
    assert statistics.to_matrix(counts[:0], triangle[:0]).shape == (0, 0)


@given(st.integers(0, 10_000), st.data())
def test_a_part_of_a_head_keeps_its_own_numbers(seed: int, data: st.DataObject) -> None:
    whole = summed(long_rows(seed), np.arange(3, 60, 4))
    kept = np.array(sorted(data.draw(st.sets(st.integers(0, whole.head.size - 1)))), np.int64)
    part = whole.of(kept)
    np.testing.assert_array_equal(part.head, whole.head[kept])
    np.testing.assert_array_equal(
        statistics.to_matrix(part.counts, part.triangle),
        statistics.to_matrix(whole.counts, whole.triangle)[np.ix_(kept, kept)],
    )


def test_a_sum_is_checked_outside_of_its_head_too() -> None:
    noise, head, triangle = SumNoise(4.0, 9.0), np.array([0, 2]), np.array([90])
    below = np.array([640, -slack(4.0 * UNIT**2), 640])
    assert statistics.of_sum(below, head, triangle, noise).counts.tolist() == [640, 640]
    with pytest.raises(SumError, match="negative"):
        statistics.of_sum(below - np.array([0, 1, 0]), head, triangle, noise)
    with pytest.raises(SumError, match="more users for a pair"):
        statistics.of_sum(below, head, np.array([641 + slack(13.0 * UNIT**2)]), noise)
    with pytest.raises(ValueError, match="entries"):
        statistics.of_sum(below, head, np.array([3, 3]), noise)


def test_the_head_keeps_the_highest_counts_and_breaks_ties_by_position() -> None:
    counts = np.array([5, 9, 4, 7, 7, 7])
    assert statistics.head(counts, min_users=5, max_head=10).tolist() == [0, 1, 3, 4, 5]
    assert statistics.head(counts, min_users=5, max_head=3).tolist() == [1, 3, 4]
    assert statistics.head(counts, min_users=100, max_head=3).size == 0
    assert statistics.head(counts, min_users=1, max_head=0).size == 0
    for min_users, max_head in ((0, 3), (1, -1)):
        with pytest.raises(ValueError, match="min_users"):
            statistics.head(counts, min_users=min_users, max_head=max_head)


def test_a_negative_noisy_count_enters_no_head() -> None:
    assert statistics.head(np.array([-7, 3, 12, -1]), min_users=3, max_head=9).tolist() == [1, 2]


def test_impossible_sums_are_refused() -> None:
    head = np.arange(3)
    Statistic(head, np.array([3, 3, 2]), np.array([1, 1, 2])).check()
    with pytest.raises(SumError, match="more users for a pair"):
        Statistic(head, np.array([3, 3, 2]), np.array([1, 1, 3])).check()
    with pytest.raises(SumError, match="negative"):
        Statistic(head, np.array([3, 3, 2]), np.array([1, -1, 2])).check()
    with pytest.raises(SumError, match="negative"):
        Statistic(head, np.array([3, -1, 2]), np.array([-1, 1, -1])).check(SumNoise(0.0, 1.0))
    with pytest.raises(ValueError, match="entries"):
        Statistic(head, np.array([3, 3, 2]), np.array([1, 1]))
    with pytest.raises(ValueError, match="ascending"):
        Statistic(np.array([2, 1, 0]), np.array([3, 3, 2]), np.array([1, 1, 1]))
    with pytest.raises(ValueError, match="pairs"):
        statistics.to_matrix(np.array([3, 3, 2]), np.array([1, 1]))


@given(
    small_worlds() | st.integers(0, 10_000).map(long_rows),
    st.floats(0.1, 300.0),
    st.floats(0.1, 300.0),
    st.integers(0, 999),
)
def test_honest_noise_is_plausible(x: Interactions, counts: float, pairs: float, seed: int) -> None:
    noise = SumNoise(counts, pairs)
    with_noise(summed(x, np.arange(x.videos)), noise, seed).check(noise)


def test_more_than_noise_can_do_is_refused() -> None:
    noise, head = SumNoise(4.0, 9.0), np.arange(2)
    low, high = -entry_slack(9.0), 5 + entry_slack(13.0)

    def sum_of(count: int, pair: int) -> Statistic:
        return Statistic(head, np.array([5 + high, count]), np.array([pair]))

    for count, pair in ((5, low), (5, high), (-entry_slack(4.0), 0)):
        sum_of(count, pair).check(noise)
    for count, pair, says in (
        (5, low - 1, "negative"),
        (5, high + 1, "pair"),
        (-entry_slack(4.0) - 1, 0, "negative"),
    ):
        with pytest.raises(SumError, match=says):
            sum_of(count, pair).check(noise)


@pytest.mark.parametrize("variance", [4.0, 16.0, 400.0])
def test_on_the_grid_of_entries_the_tails_of_noise_are_those_of_the_normal_law(variance: float) -> None:
    deviations = entry_slack(variance) / UNIT / math.sqrt(variance)
    assert deviations == pytest.approx(math.sqrt(2 * 86 * math.log(2)), rel=0.005)
    assert entry_slack(0.0) == 0
