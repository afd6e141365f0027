"""The head's choice: public counters first, then released counts."""

from __future__ import annotations

import numpy as np
import pytest

from models.head import LEAST_VIEWS, WINDOWS, first_head, next_head
from models.weights import UNIT


def none(size: int) -> np.ndarray:
    return np.zeros(size, np.int64)


def test_without_own_counts_the_most_viewed_come_first() -> None:
    views = np.array([900, 30, 19, 30, 500, 20])
    likes = np.array([0, 1, 900, 2, 0, 0])
    assert first_head(views, likes).tolist() == [0, 1, 3, 4, 5]
    assert first_head(views, likes, at_most=3).tolist() == [0, 3, 4]
    assert first_head(views, none(6), at_most=3).tolist() == [0, 1, 4]
    assert first_head(views, likes, at_most=0).tolist() == []


def test_a_video_of_few_views_is_never_chosen_whatever_own_counts_say() -> None:
    views = np.array([LEAST_VIEWS - 1, LEAST_VIEWS, 40])
    own = np.array([1000.0, 0.0, 0.0])
    assert first_head(views, none(3), own, own_variance=16.0).tolist() == [1, 2]
    assert first_head(none(3), none(3), own).size == 0


def test_own_counts_correct_the_counters_as_far_as_their_noise_allows() -> None:
    views = np.array([400, 390, 300, 100])
    own = np.array([2.0, 40.5, 30.0, 18.25])
    assert first_head(views, none(4), own, own_variance=0.0, at_most=2).tolist() == [1, 2]
    assert first_head(views, none(4), own, own_variance=16.0, at_most=2).tolist() == [1, 2]
    # Behind so much noise these own counts say nothing.
    assert first_head(views, none(4), own, own_variance=1e6, at_most=2).tolist() == [0, 1]


def test_own_counts_that_add_up_to_nothing_leave_the_counters() -> None:
    views = np.arange(5000) + LEAST_VIEWS
    own = np.random.default_rng(1).uniform(-9.0, 4.0, views.size)
    assert own.sum() < 0
    found = first_head(views, none(views.size), own, own_variance=16.0, at_most=3)
    assert found.tolist() == [4997, 4998, 4999]


def test_both_together_find_more_than_either() -> None:
    rng = np.random.default_rng(3)
    truth = rng.lognormal(2.0, 1.5, 6000)
    views = np.rint(20 * truth * rng.lognormal(0.0, 1.0, truth.size)).astype(np.int64)
    noise = rng.poisson(2.0 * UNIT**2, truth.size) - rng.poisson(2.0 * UNIT**2, truth.size)
    own = rng.poisson(0.05 * truth) + noise / UNIT
    best = np.argsort(-truth)[:500]

    def found(positions: np.ndarray) -> float:
        return float(np.isin(best, positions).mean())

    counters = found(first_head(views, none(truth.size), at_most=500))
    alone = found(np.argsort(-own, kind="stable")[:500])
    both = found(first_head(views, none(truth.size), own, own_variance=4.0, at_most=500))
    assert both > max(counters, alone) + 0.05


@pytest.mark.parametrize(
    "wrong",
    [
        {"likes": none(3)},
        {"own": none(3)},
        {"own_variance": -1.0},
        {"at_most": -1},
    ],
)
def test_numbers_that_cannot_be_are_refused(wrong: dict[str, object]) -> None:
    given = {"views": none(4), "likes": none(4), "own": none(4), **wrong}
    with pytest.raises(ValueError, match=r"must have|can be"):
        first_head(**given)  # type: ignore[arg-type]


def test_the_mean_of_the_last_windows_decides() -> None:
    nan = np.nan
    released = np.array(
        [
            [900.0, 0.0, 20.0, nan, nan, 0.0],
            [2.0, 16.0, 20.0, nan, nan, 0.0],
            [3.0, 22.0, 20.0, nan, nan, 99.0],
            [1.0, 20.0, 10.0, 17.0, nan, 0.0],
            [2.0, 14.0, 20.0, 20.0, nan, -9.0],
        ]
    )
    assert released.shape[0] == WINDOWS + 1
    # 18, 17.5, 18.5 and 22.5 on average of those that are there: two thirds of 27 and of 26.
    assert next_head(released, min_users=27, max_head=9).tolist() == [1, 3, 5]
    assert next_head(released, min_users=26, max_head=9).tolist() == [1, 2, 3, 5]
    assert next_head(released, min_users=26, max_head=2).tolist() == [3, 5]
    assert next_head(released, min_users=26, max_head=3).tolist() == [1, 3, 5]
    assert next_head(released, min_users=26.3, max_head=9).tolist() == [1, 3, 5]
    # A single window decides alone.
    assert next_head(released[4:], min_users=27, max_head=9).tolist() == [2, 3]
    assert next_head(released[4:], min_users=21, max_head=9).tolist() == [1, 2, 3]


def test_ties_go_to_the_lower_position_and_whole_numbers_will_do() -> None:
    released = np.array([[7, 9, 7, 7, -3]])
    assert next_head(released, min_users=5, max_head=3).tolist() == [0, 1, 2]
    assert next_head(np.zeros((0, 5)), min_users=1, max_head=9).size == 0
    assert next_head(np.full((2, 3), np.nan), min_users=1, max_head=9).size == 0


def test_limits_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="row per window"):
        next_head(np.zeros(3), min_users=1, max_head=1)
    with pytest.raises(ValueError, match="at least"):
        next_head(np.zeros((1, 3)), min_users=0, max_head=1)
