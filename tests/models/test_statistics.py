from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models import statistics
from models.errors import SumError
from models.interactions import Interactions
from models.noise import SumNoise, slack
from models.statistics import Statistic
from tests.models.worlds import interactions, population, small_worlds, summed, with_noise


@given(small_worlds(), st.data())
def test_pair_counts_are_the_strict_upper_triangle_of_the_gram_matrix(
    x: Interactions, data: st.DataObject
) -> None:
    positions = data.draw(st.lists(st.integers(0, x.videos - 1), unique=True))
    head = np.array(sorted(positions), np.int64)
    dense = x.matrix.toarray().astype(np.int64)[:, head]
    gram = dense.T @ dense
    triangle = statistics.pair_counts(x, head)
    assert triangle.dtype == np.int64
    np.testing.assert_array_equal(triangle, gram[np.triu_indices(head.size, 1)])
    np.testing.assert_array_equal(statistics.counts(x, head), np.diagonal(gram))
    np.testing.assert_array_equal(statistics.to_matrix(np.diagonal(gram), triangle), gram)
    np.testing.assert_array_equal(statistics.gram(x.matrix, head), gram)
    Statistic(head, statistics.counts(x, head), triangle).check()


def test_blocks_of_a_large_head_join_without_a_seam() -> None:
    x = population(30, 1100)
    head = np.arange(1100)
    dense = x.matrix.toarray().astype(np.int64)
    np.testing.assert_array_equal(
        statistics.pair_counts(x, head), (dense.T @ dense)[np.triu_indices(1100, 1)]
    )


def test_more_users_than_a_byte_can_count() -> None:
    x = interactions([[0, 1]] * 300, 2)
    assert statistics.pair_counts(x, np.array([0, 1])).tolist() == [300]


def test_the_head_keeps_the_highest_counts_and_breaks_ties_by_position() -> None:
    counts = np.array([5, 9, 4, 7, 7, 7])
    assert statistics.head(counts, min_users=5, max_head=10).tolist() == [0, 1, 3, 4, 5]
    assert statistics.head(counts, min_users=5, max_head=3).tolist() == [1, 3, 4]
    assert statistics.head(counts, min_users=100, max_head=3).size == 0
    with pytest.raises(ValueError, match="min_users"):
        statistics.head(counts, min_users=0, max_head=3)


def test_impossible_sums_are_refused() -> None:
    head = np.arange(3)
    with pytest.raises(SumError, match="more users for a pair"):
        Statistic(head, np.array([3, 3, 2]), np.array([1, 1, 3])).check()
    with pytest.raises(SumError, match="negative"):
        Statistic(head, np.array([3, 3, 2]), np.array([1, -1, 2])).check()
    with pytest.raises(ValueError, match="entries"):
        Statistic(head, np.array([3, 3, 2]), np.array([1, 1]))
    with pytest.raises(ValueError, match="ascending"):
        Statistic(np.array([2, 1, 0]), np.array([3, 3, 2]), np.array([1, 1, 1]))
    with pytest.raises(ValueError, match="pairs"):
        statistics.to_matrix(np.array([3, 3, 2]), np.array([1, 1]))


@given(small_worlds(), st.floats(0.1, 300.0), st.floats(0.1, 300.0), st.integers(0, 999))
def test_honest_noise_is_plausible(x: Interactions, counts: float, pairs: float, seed: int) -> None:
    noise = SumNoise(counts, pairs)
    with_noise(summed(x, np.arange(x.videos)), noise, seed).check(noise)


def test_more_than_noise_can_do_is_refused() -> None:
    noise, head = SumNoise(4.0, 9.0), np.arange(2)
    low, high = -slack(9.0), 5 + slack(13.0)
    for count, pair in ((5, low), (5, high), (-slack(4.0), 0)):
        Statistic(head, np.array([5 + high, count]), np.array([pair])).check(noise)
    for count, pair, says in (
        (5, low - 1, "negative"),
        (5, high + 1, "pair"),
        (-slack(4.0) - 1, 0, "negative"),
    ):
        with pytest.raises(SumError, match=says):
            Statistic(head, np.array([5 + high, count]), np.array([pair])).check(noise)


def test_a_negative_noisy_count_enters_no_head() -> None:
    assert statistics.head(np.array([-7, 3, 12, -1]), min_users=3, max_head=9).tolist() == [1, 2]
