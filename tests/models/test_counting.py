from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from models import counting, statistics
from models.interactions import Interactions, stack
from models.noise import NO_NOISE
from models.statistics import Statistic
from models.weights import UNIT, weights
from tests.models.worlds import gram, interactions, long_rows, population, small_worlds

WORLDS = small_worlds() | st.integers(0, 10_000).map(long_rows)


def heads(data: st.DataObject, videos: int) -> NDArray[np.int64]:
    return np.array(sorted(data.draw(st.sets(st.integers(0, videos - 1)))), np.int64)


def expected(x: Interactions, head: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Counts of all videos and X^T diag(w) X over the head, from dense matrices."""
    dense = x.matrix.toarray().astype(np.int64)
    weight = weights(dense[:, head].sum(axis=1))
    return weight @ dense, dense[:, head].T @ (weight[:, None] * dense[:, head])


@given(WORLDS, st.data())
def test_entries_are_the_weighted_gram_matrix_and_the_weighted_counts_of_everything(
    x: Interactions, data: st.DataObject
) -> None:
    head = heads(data, x.videos)
    counts, matrix = expected(x, head)
    triangle = counting.pair_counts(x, head)
    assert triangle.dtype == counting.weighted_counts(x, head).dtype == np.int64
    np.testing.assert_array_equal(triangle, matrix[np.triu_indices(head.size, 1)])
    np.testing.assert_array_equal(counting.weighted_counts(x, head), counts)
    np.testing.assert_array_equal(np.diagonal(matrix), counts[head])
    np.testing.assert_array_equal(UNIT * statistics.to_matrix(counts[head], triangle), matrix)
    np.testing.assert_array_equal(counting.contribution(x, head), np.concatenate((counts, triangle)))
    Statistic(head, counts[head], triangle).check()


@given(WORLDS, st.data())
def test_any_split_of_the_users_sums_to_the_union(world: Interactions, data: st.DataObject) -> None:
    """What a secure sum is for: the contributions of instances add up to that of all their viewers."""
    head = heads(data, world.videos)
    place = np.array(data.draw(st.lists(st.integers(0, 3), min_size=world.users, max_size=world.users)))
    instances = [world.rows(np.flatnonzero(place == part)) for part in range(4)]
    whole = counting.contribution(stack(instances), head)
    assert whole.dtype == np.int64
    assert whole.shape == (world.videos + statistics.pairs(head.size),)
    np.testing.assert_array_equal(sum(counting.contribution(one, head) for one in instances), whole)
    found = statistics.of_sum(whole[: world.videos], head, whole[world.videos :], NO_NOISE)
    np.testing.assert_array_equal(found.counts, whole[head])
    np.testing.assert_array_equal(found.triangle, counting.pair_counts(world, head))


@given(st.integers(0, 10_000), st.integers(0, 89))
def test_one_more_video_never_moves_a_viewers_counts_by_much(seed: int, video: int) -> None:
    """In length, videos outside the head included: a little more than one viewer."""
    x = long_rows(seed, users=1)
    head = np.arange(0, 90, 2)
    row = x.matrix.indices.tolist()
    more = interactions([sorted({*row, video})], 90)
    before, after = (counting.weighted_counts(one, head) for one in (x, more))
    assert np.linalg.norm(after - before) <= 1.15 * UNIT


def test_a_viewers_videos_outside_the_head_have_the_weight_of_those_inside() -> None:
    x = interactions([list(range(60)), [0, 60]], 61)
    counts = counting.weighted_counts(x, np.arange(60))
    assert counts[[0, 1, 60]].tolist() == [16 + 32, 16, 32]
    both = interactions([[*range(60), 60]], 61)
    assert counting.weighted_counts(both, np.arange(60))[60] == 16
    assert counting.weighted_counts(both, np.arange(30))[60] == 32


@given(small_worlds())
def test_whole_viewers_are_counted_without_weights(x: Interactions) -> None:
    np.testing.assert_array_equal(counting.counts(x), np.diagonal(gram(x)))
    columns = np.arange(0, x.videos, 2)
    np.testing.assert_array_equal(counting.counts(x, columns), counting.counts(x)[columns])


def test_blocks_of_a_large_head_join_without_a_seam() -> None:
    x, head = population(30, 1100), np.arange(1100)
    assert counting.counts(x).max() > 1
    np.testing.assert_array_equal(
        counting.pair_counts(x, head), expected(x, head)[1][np.triu_indices(1100, 1)]
    )


def test_more_users_than_a_byte_can_count() -> None:
    x = interactions([[0, 1]] * 300, 2)
    assert counting.pair_counts(x, np.array([0, 1])).tolist() == [300 * UNIT]


def test_nobody_has_entries_of_nothing() -> None:
    nobody = interactions([[0]], 4).rows(np.zeros(0, np.int64))
    assert counting.contribution(nobody, np.arange(3)).tolist() == [0] * 7
