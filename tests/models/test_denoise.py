from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.sparse import csr_array

from models import statistics
from models.closed_form import solve
from models.denoise import denoise
from models.interactions import Interactions, split_interactions
from models.noise import SumNoise
from models.statistics import Statistic
from models.validation import ndcg
from tests.models.worlds import population, small_worlds, summed, with_noise


def noisy(users: Interactions, noise: SumNoise, seed: int = 0) -> Statistic:
    return with_noise(summed(users, np.arange(users.videos)), noise, seed)


def gram(summed: Statistic) -> NDArray[np.float64]:
    return statistics.to_matrix(summed.counts, summed.triangle)


def quality(matrix: NDArray[np.float64], kept: csr_array, held_out: csr_array) -> float:
    """NDCG@10 at the best of several ridges."""
    wanted = np.flatnonzero((np.diff(held_out.indptr) > 0) & (np.diff(kept.indptr) > 0))
    lowest = min(0.0, float(np.linalg.eigvalsh(matrix)[0]))
    found = []
    for ridge in (1.0, 3.0, 10.0, 30.0):
        amount = ridge * float(np.diagonal(matrix).mean()) - 1.01 * lowest
        weights = solve(matrix, amount).weights().float()
        found.append(ndcg(csr_array(kept[wanted]), csr_array(held_out[wanted]), weights))
    return max(found)


@pytest.fixture(scope="module")
def world() -> Interactions:
    return population(1200, 400)


def test_without_noise_the_sum_stays_as_it_is(world: Interactions) -> None:
    found = noisy(world, SumNoise())
    assert denoise(found, SumNoise()).tobytes() == gram(found).tobytes()


@pytest.mark.parametrize(("variance", "most"), [(8.0, 0.85), (64.0, 0.6), (400.0, 0.45)])
def test_most_of_the_noise_goes(world: Interactions, variance: float, most: float) -> None:
    noise = SumNoise(variance, variance)
    found, truth = noisy(world, noise), gram(noisy(world, SumNoise()))
    left = np.linalg.norm(denoise(found, noise) - truth) / np.linalg.norm(gram(found) - truth)
    assert left < most


def test_recommendations_get_most_of_their_quality_back(world: Interactions) -> None:
    kept, held_out = split_interactions(world.matrix, 0.2, np.random.default_rng(1))
    noise = SumNoise(400.0, 400.0)
    truth, found = noisy(Interactions(kept), SumNoise()), noisy(Interactions(kept), noise)
    best, plain, clean = (
        quality(matrix, kept, held_out) for matrix in (gram(truth), gram(found), denoise(found, noise))
    )
    assert plain < 0.9 * best
    assert best - clean < 0.5 * (best - plain)


def test_the_estimate_is_a_gram_matrix(world: Interactions) -> None:
    noise = SumNoise(16.0, 16.0)
    found = noisy(world, noise)
    clean = denoise(found, noise)
    assert np.array_equal(clean, clean.T)
    values = np.linalg.eigvalsh(clean)
    assert values[0] > -1e-5 * values[-1]
    assert (np.diagonal(clean) >= found.counts - 1e-6 * values[-1]).all()


def test_equal_sums_give_equal_bytes(world: Interactions) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        noise = SumNoise(8.0, 8.0)
        found = noisy(world, noise)
        assert denoise(found, noise).tobytes() == denoise(found, noise).tobytes()
    finally:
        torch.set_num_threads(before)


def test_noise_in_the_counts_alone_leaves_the_pairs_nearly_alone(world: Interactions) -> None:
    noise = SumNoise(counts=4.0)
    found = noisy(world, noise)
    clean = denoise(found, noise)
    off = ~np.eye(world.videos, dtype=bool)
    assert np.abs(clean - gram(found))[off].max() < 10.0
    assert np.linalg.eigvalsh(clean)[0] > -1e-3


def test_videos_of_nobody_go_with_nothing() -> None:
    below = Statistic(np.arange(3), np.array([-4, 0, -1]), np.array([-2, 1, 3]))
    assert not denoise(below, SumNoise(8.0, 8.0)).any()


@settings(max_examples=60, deadline=None)
@given(small_worlds(), st.floats(0.01, 500.0), st.integers(0, 99))
def test_any_sum_gives_plausible_finite_numbers(users: Interactions, variance: float, seed: int) -> None:
    noise = SumNoise(variance, variance)
    found = noisy(users, noise, seed)
    clean = denoise(found, noise)
    assert clean.shape == (users.videos, users.videos)
    assert np.isfinite(clean).all()
    assert np.array_equal(clean, clean.T)
    assert (np.diagonal(clean) >= np.maximum(found.counts, 0) - 1e-3).all()


@pytest.mark.parametrize("size", [0, 1])
def test_heads_without_pairs(size: int) -> None:
    found = Statistic(np.arange(size), np.full(size, 7), np.zeros(0, np.int64))
    assert denoise(found, SumNoise(3.0, 3.0)).tolist() == [[7.0]] * size
