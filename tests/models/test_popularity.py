"""What is popular, by noisy counts of few viewers and public counters of many."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from models.popularity import EVEN_VIEWERS, MOST_WEIGHT, PUBLIC_VIEWERS, own_weight, popular, popularity
from models.problem import GramProblem, Items
from models.released import Released
from models.statistics import Statistic
from models.trained import TrainingData
from tests.models.worlds import features


def known(views: list[int], counts: list[float], viewers: float) -> NDArray[np.float32]:
    """Popularity where the first videos are items of these counts, and so many viewers are behind them."""
    size, none = len(counts), np.zeros(len(counts))
    problem = GramProblem(Items(np.arange(size), 0), np.zeros((size, size)), np.array(counts), none, none)
    return popularity(problem, data(views, viewers))


def data(views: list[int], viewers: float) -> TrainingData:
    nothing = Statistic(*(np.zeros(0, np.int64),) * 3)
    own = None if viewers == 0 else Released(nothing, viewers=viewers)
    return TrainingData(features([[] for _ in views], views=views), own, None)


def test_without_viewers_public_counters_say_it_all() -> None:
    assert known([50, 0, 100], [], 0.0).tolist() == [0.5, 0.0, 1.0]
    assert known([0, 0], [], 0.0).tolist() == [0.0, 0.0]
    assert known([], [], 0.0).size == 0


def test_both_count_alike_where_public_counters_are_worth_as_many_viewers() -> None:
    assert known([0, 10, 5], [8.0, 4.0], PUBLIC_VIEWERS).tolist() == [0.5, 0.75, 0.25]


def test_the_more_viewers_are_behind_counts_the_less_public_counters_say() -> None:
    by_viewers = [known([0, 10], [8.0, 1.0], viewers) for viewers in (1.0, 60.0, 10_000.0)]
    of_watched, of_clicked = np.array(by_viewers).T
    assert (np.diff(of_watched) > 0).all()
    assert (np.diff(of_clicked) < 0).all()
    assert of_watched[-1] > 0.99
    assert of_clicked[0] > 0.9


@given(
    st.lists(st.integers(0, 10**12), min_size=1, max_size=20),
    st.lists(st.floats(0, 1e6), max_size=20),
    st.floats(0, 1e6),
)
def test_popularity_is_a_share(views: list[int], counts: list[float], viewers: float) -> None:
    found = known(views, counts[: len(views)], viewers)
    assert found.dtype == np.float32
    assert ((found >= 0) & (found <= 1.000001)).all()


def test_own_lists_lean_on_popularity_where_few_viewers_are_behind_a_model() -> None:
    weights = [own_weight(data([1], viewers)) for viewers in (0.0, 5.0, EVEN_VIEWERS, 10 * EVEN_VIEWERS)]
    assert weights == [MOST_WEIGHT, MOST_WEIGHT, pytest.approx(0.95), 0.0]


def test_what_fills_lists_is_what_is_popular_and_then_the_other_items() -> None:
    by_popularity = np.array([0.1, 0.0, 0.7, 0.0, 0.3, 0.0], np.float32)
    assert popular(by_popularity, np.array([5, 2, 1])).tolist() == [2, 4, 0, 5, 1]
    assert popular(by_popularity, np.zeros(0, np.int64)).tolist() == [2, 4, 0]
    assert popular(np.zeros(0, np.float32), np.zeros(0, np.int64)).tolist() == []


def test_of_many_popular_videos_the_first_thousand_fill_lists_and_no_item_is_left_out() -> None:
    by_popularity = np.linspace(0.1, 1.0, 5000, dtype=np.float32)
    items = np.arange(0, 2400, 2)
    found = popular(by_popularity, items)
    assert found[:3].tolist() == [4999, 4998, 4997]
    assert found.size == np.unique(found).size == 1000 + items.size
    assert found[1000:].tolist() == items[::-1].tolist()


def test_counters_of_a_release_without_noise_are_those_of_its_viewers() -> None:
    statistic = Statistic(np.array([0, 1]), np.array([320, 64]), np.array([32]))
    plain = data([0, 0], 0.0)
    # Ten viewers of the most watched video are behind it, at least.
    assert dataclasses.replace(plain, own=Released(statistic)).viewers == 10.0
    assert dataclasses.replace(plain, own=Released(statistic, viewers=25.0)).viewers == 25.0
    both = dataclasses.replace(plain, own=Released(statistic), others=Released(statistic, viewers=7.0))
    assert both.viewers == 20.0
