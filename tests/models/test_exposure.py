"""Exposure on made-up viewers, and videos with viewers from nowhere."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from models.exposure import (
    LEAST_VIDEOS,
    LONGEST,
    SHORTEST,
    TOP,
    View,
    best,
    expected,
    profiles,
    risen,
    shares,
    typical,
)
from models.item_scores import Factorized
from models.sparse_weights import sparse_weights

NOTHING = (0.0, 0.0)


def view(videos: int, seed: int = 0, rank: int = 8) -> View:
    rng = np.random.default_rng(seed)
    U, V = (rng.standard_normal((videos, rank)).astype(np.float32) for _ in range(2))
    return View(5.0 + rng.pareto(1.0, videos) * 20, Factorized(U, V))


def sparse_view(videos: int, seed: int = 0) -> View:
    rng = np.random.default_rng(seed)
    weights = rng.standard_normal((videos, videos)).astype(np.float32)
    return View(5.0 + rng.pareto(1.0, videos) * 20, sparse_weights(weights, 20))


def test_profiles_depend_on_the_seed_and_hold_each_video_once() -> None:
    counts = view(80).counts
    drawn = profiles(counts, 300, np.random.default_rng(1))
    assert np.array_equal(drawn, profiles(counts, 300, np.random.default_rng(1)))
    assert not np.array_equal(drawn, profiles(counts, 300, np.random.default_rng(2)))
    for row in drawn:
        own = row[row >= 0]
        assert SHORTEST <= own.size <= LONGEST
        assert np.unique(own).size == own.size
        assert (row[own.size :] == -1).all()
        assert own.max() < 80


def test_profiles_follow_the_viewers_of_the_trusted_model() -> None:
    counts = np.full(200, 10.0)
    counts[:10] = 1000.0
    drawn = profiles(counts, 2000, np.random.default_rng(0))
    first = drawn[:, 0]
    # Ten videos of 1,000 viewers among 190 of 10: 84 % of the first draws.
    assert abs(float((first < 10).mean()) - 10_000 / 11_900) < 0.03


def test_profiles_need_enough_videos() -> None:
    with pytest.raises(ValueError, match="at least"):
        profiles(np.ones(LEAST_VIDEOS - 1), 10, np.random.default_rng(0))


@pytest.mark.parametrize("both", [view(120, seed=3), sparse_view(120, seed=3)], ids=["factorized", "sparse"])
def test_lists_are_the_best_ten_without_their_own_videos(both: View) -> None:
    histories = profiles(both.counts, 600, np.random.default_rng(0))
    shown = best(histories, both)
    for history, list_ in zip(histories[::97], shown[::97], strict=True):
        own = history[history >= 0]
        scores = both.scoring.scores(own).astype(np.float64)
        scores[own] = -np.inf
        assert set(list_.tolist()) == set(np.argsort(-scores)[:TOP].tolist())


def test_a_view_of_some_videos_is_that_of_a_model_of_these_alone() -> None:
    rows = np.array([7, 3, 90, 41])
    for whole in (view(120), sparse_view(120)):
        some, every = whole.among(rows), np.arange(4)
        assert some.counts.tolist() == whole.counts[rows].tolist()
        parts = whole.scoring.parts(rows, rows)
        np.testing.assert_allclose(some.scoring.parts(every, every), parts, atol=1e-6)


def test_a_share_counts_lists_not_places() -> None:
    shown = np.array([[0, 1, 2], [0, 3, 4]], np.int32)
    group = np.array([0, 0, 1, -1, 1], np.int32)
    assert shares(shown, group, 3).tolist() == [1.0, 1.0, 0.0]
    assert shares(shown, np.arange(5, dtype=np.int32), 5).tolist() == [1.0, 0.5, 0.5, 0.5, 0.5]


def test_typical_is_the_count_that_an_engagement_meets() -> None:
    assert typical(np.array([10.0, 30.0])) == 25.0
    assert typical(np.zeros(3)) == 0.0


def test_a_cohort_that_grows_evenly_has_no_risen_videos() -> None:
    before = view(300, seed=5).counts
    likely, spread = expected(before, before * 1.6)
    assert likely == pytest.approx(before * 1.6)
    assert spread == pytest.approx(0.0, abs=1e-9)
    assert not risen(before, before * 1.6, NOTHING, own=False).any()


def test_growth_is_learnt_from_videos_whose_viewers_are_all_counted() -> None:
    before = view(300, seed=5).counts
    after = before * 1.6
    counted = np.arange(300) % 3 == 0
    after[~counted] = 0.0
    assert expected(before, after, counted)[0] == pytest.approx(before * 1.6)
    assert not risen(before, after, NOTHING, own=False, counted=counted).any()
    # By the others, which seem to have lost all viewers, everything counted would have risen.
    assert risen(before, after, NOTHING, own=False)[counted].all()
    nothing = np.zeros(300, np.bool_)
    assert expected(before, after, nothing)[0] == pytest.approx(before)


@given(st.integers(0, 10_000), st.floats(0, 200))
def test_noise_alone_marks_no_video(seed: int, variance: float) -> None:
    rng = np.random.default_rng(seed)
    true = 20.0 + rng.pareto(1.0, 400) * 20
    noisy = [true + draw(rng, variance, 400) for _ in range(2)]
    # 4.5 standard deviations: about three in a million draws, here 400 of each example.
    assert int(risen(noisy[0], noisy[1], (variance, variance), own=False).sum()) <= 1


@given(st.integers(0, 10_000), st.sampled_from([16.0, 400.0]))
def test_noise_of_a_small_reference_is_no_rise(seed: int, variance: float) -> None:
    """Own counts carry noise of their own, which the growth to the others' counts multiplies."""
    rng = np.random.default_rng(seed)
    true = 20.0 + rng.pareto(1.0, 400) * 20
    own = np.maximum(true + draw(rng, variance, 400), 0)
    after = 6 * true + draw(rng, 32.0, 400)
    assert int(risen(own, after, (variance, 32.0), own=True).sum()) <= 1


@given(st.integers(0, 10_000), st.sampled_from([0.0, 32.0, 128.0]))
def test_fake_viewers_by_the_hundred_are_marked(seed: int, variance: float) -> None:
    rng = np.random.default_rng(seed)
    true = 40.0 + rng.pareto(1.0, 400) * 20
    after = true + draw(rng, variance, 400)
    pushed = np.argsort(true)[:5]
    after[pushed] += 200.0
    marked = risen(true + draw(rng, variance, 400), after, (variance, variance), own=False)
    assert marked[pushed].all()


def test_the_largest_head_takes_about_a_second() -> None:
    both = view(4096, rank=256)
    start = time.process_time()
    histories = profiles(both.counts, 1000, np.random.default_rng(0))
    for _ in range(2):
        shares(best(histories, both), np.arange(4096, dtype=np.int32), 4096)
    # Of the processor, not of the clock: the machine may be busy.
    assert time.process_time() - start < 5.0


def draw(rng: np.random.Generator, variance: float, size: int) -> NDArray[np.int64]:
    return rng.poisson(variance / 2, size) - rng.poisson(variance / 2, size)
