from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from scipy.sparse import csr_array

from models.evaluation import (
    Measured,
    latest,
    measure,
    next_videos,
    quality,
    size_class,
    top,
)
from models.recommender import Scores


def binary(rows: list[list[int]], videos: int) -> csr_array:
    dense = np.zeros((len(rows), videos), np.uint8)
    for row, columns in enumerate(rows):
        dense[row, columns] = 1
    return csr_array(dense)


class Fixed:
    """Gives everyone the same scores."""

    def __init__(self, row: list[float]) -> None:
        self.row = np.array(row, np.float32)

    def scores(self, history: csr_array) -> Scores:
        return np.tile(self.row, (history.shape[0], 1))

    def related_scores(self, seeds: NDArray[np.int64]) -> Scores:
        return np.tile(self.row, (len(seeds), 1))


def test_ndcg_and_recall_by_hand() -> None:
    model = Fixed([6, 5, 4, 3, 2, 1])
    # The viewer has seen video 0; of the ranking 1, 2, 3, 4, 5 the relevant ones are on places 2 and 4.
    measured = next_videos(model, binary([[0]], 6), binary([[2, 4]], 6))
    ideal = 1 + 1 / math.log2(3)
    assert measured.ndcg[0] == pytest.approx((1 / math.log2(3) + 1 / math.log2(5)) / ideal)
    assert measured.recall[0] == 1.0
    assert measured.lists[0, :6].tolist() == [1, 2, 3, 4, 5, -1]


def test_ideal_list_is_as_long_as_there_are_relevant_videos_but_not_longer_than_ten() -> None:
    model = Fixed([float(-video) for video in range(40)])
    measured = next_videos(model, binary([[39]], 40), binary([list(range(30))], 40))
    assert measured.ndcg[0] == pytest.approx(1.0)
    assert measured.recall[0] == 1.0  # 20 hits of at most 20


def test_what_a_model_cannot_recommend_is_no_hit() -> None:
    model = Fixed([-np.inf, -np.inf, 1.0])
    measured = next_videos(model, binary([[]], 3), binary([[0, 1]], 3))
    assert measured.ndcg[0] == 0
    assert measured.lists[0, :2].tolist() == [2, -1]


def test_viewers_with_nothing_to_find_are_left_out() -> None:
    measured = next_videos(Fixed([1, 2]), binary([[], [], []], 2), binary([[1], [], [0]], 2))
    assert measured.viewers.tolist() == [0, 2]
    assert measured.among(np.array([2])).ndcg.tolist() == [measured.ndcg[1]]


def test_cold_videos_are_ranked_among_themselves() -> None:
    model = Fixed([9, 8, 1, 2])
    measured = next_videos(model, binary([[]], 4), binary([[0, 3]], 4), among=np.array([2, 3]))
    assert measured.ndcg[0] == 1.0
    assert measured.lists[0, :3].tolist() == [3, 2, -1]
    assert measured.summary().coverage == 1.0


def test_quality_of_lists_by_hand() -> None:
    lists = np.full((3, 20), -1)
    lists[:, :3] = [[3, 1, 7], [0, 2, -1], [5, 6, 4]]
    ndcg, recall = quality(lists, binary([[1, 2], [], [4, 5, 6]], 8))
    assert ndcg == pytest.approx([(1 / math.log2(3)) / (1 + 1 / math.log2(3)), 0.0, 1.0])
    assert recall == pytest.approx([0.5, 0.0, 1.0])


def test_summary_has_standard_errors_and_coverage() -> None:
    lists = np.full((4, 10), -1, np.int32)
    lists[:, 0] = [0, 0, 1, 1]
    ndcg = np.array([0.0, 1.0, 0.5, 0.5])
    summary = Measured(np.arange(4), ndcg, ndcg, lists, videos=8).summary()
    assert summary.ndcg10 == 0.5
    assert summary.ndcg10_se == pytest.approx(np.std(ndcg, ddof=1) / 2)
    assert summary.coverage == 0.25
    assert summary.viewers == 4


def test_nothing_to_measure_gives_nan_and_no_crash() -> None:
    summary = next_videos(Fixed([1.0]), binary([[]], 1), binary([[]], 1)).summary()
    assert summary.viewers == 0
    assert math.isnan(summary.ndcg10)


@given(
    hnp.arrays(
        np.float64,
        hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=12),
        elements=st.sampled_from([-np.inf, -1.0, 0.0, 0.5, 2.0]),
    ),
    st.integers(1, 15),
)
def test_top_is_a_stable_sort_cut_off(scores: NDArray[np.float64], k: int) -> None:
    best = top(scores.copy(), k)
    for row in range(scores.shape[0]):
        order = [
            column for column in np.argsort(-scores[row], kind="stable") if scores[row, column] > -np.inf
        ]
        expected = [*order[:k], *[-1] * (k - min(k, len(order)))]
        assert best[row].tolist() == expected


def test_blocks_do_not_change_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    scores = rng.random((50, 40))
    relevant = csr_array((rng.random((50, 40)) < 0.1).astype(np.uint8))
    whole = measure(lambda rows: scores[rows], relevant)
    monkeypatch.setattr("models.evaluation._BLOCK_CELLS", 100)
    parts = measure(lambda rows: scores[rows], relevant)
    assert whole.ndcg.tolist() == parts.ndcg.tolist()
    assert (whole.lists == parts.lists).all()


def test_latest_takes_the_most_recent_video() -> None:
    matrix = binary([[0, 2, 4], [], [1, 3]], 5)
    newest = latest(matrix, np.array([5.0, 9.0, 1.0, 7.0, 7.0]))
    assert newest.toarray().tolist() == [[0, 0, 1, 0, 0], [0, 0, 0, 0, 0], [0, 1, 0, 0, 0]]


@pytest.mark.parametrize(
    ("users", "name"), [(1, "<20"), (19, "<20"), (20, "20-100"), (100, "20-100"), (101, ">100")]
)
def test_size_classes(users: int, name: str) -> None:
    assert size_class(users) == name
