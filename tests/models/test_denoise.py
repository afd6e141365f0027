from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.sparse import csr_array

from models.closed_form import solve
from models.denoise import denoise, popularity_alone, share_of_spectrum
from models.evaluation import next_videos
from models.interactions import Interactions, split_interactions
from models.noise import SumNoise
from models.recommender import ItemWeights
from models.statistics import Statistic
from models.weights import UNIT, weights
from tests.models.worlds import population, small_worlds

Matrix = NDArray[np.float64]


def true_gram(users: Interactions) -> Matrix:
    """The Gram matrix of weighted viewers, in viewers: multiples of 1 / UNIT."""
    rows = users.matrix.toarray().astype(np.float64)
    weight = weights(rows.sum(axis=1)) / UNIT
    found: Matrix = rows.T @ (weight[:, None] * rows)
    return found


def noisy(users: Interactions, noise: SumNoise, seed: int = 0) -> Statistic:
    """What a sum over these viewers yields: entries, with noise whose variance is in viewers squared."""
    rng = np.random.default_rng([seed, 1])
    gram = np.rint(true_gram(users) * UNIT).astype(np.int64)

    def draw(variance: float, size: int) -> NDArray[np.int64]:
        half = variance * UNIT**2 / 2
        found: NDArray[np.int64] = rng.poisson(half, size) - rng.poisson(half, size)
        return found

    counts = np.diagonal(gram) + draw(noise.counts, users.videos)
    pairs = gram[np.triu_indices(users.videos, 1)]
    return Statistic(np.arange(users.videos), counts, pairs + draw(noise.pairs, pairs.size))


def plain(found: Statistic) -> Matrix:
    """The sum as it is, in viewers."""
    dense = np.zeros((found.head.size, found.head.size))
    dense[np.triu_indices(found.head.size, 1)] = found.triangle / UNIT
    return dense + dense.T + np.diag(found.counts / UNIT)


def quality(matrix: Matrix, kept: csr_array, held_out: csr_array) -> float:
    """NDCG@10 at the best of several ridges."""
    wanted = np.flatnonzero((np.diff(held_out.indptr) > 0) & (np.diff(kept.indptr) > 0))
    lowest = min(0.0, float(np.linalg.eigvalsh(matrix)[0]))
    found = []
    for ridge in (1.0, 3.0, 10.0, 30.0):
        amount = ridge * float(np.diagonal(matrix).mean()) - 1.01 * lowest
        weights_ = solve(matrix, amount).weights().float().numpy()
        model = ItemWeights(np.arange(matrix.shape[0]), weights_, matrix.shape[0])
        measured = next_videos(model, csr_array(kept[wanted]), csr_array(held_out[wanted]))
        found.append(measured.summary().ndcg10)
    return max(found)


@pytest.fixture(scope="module")
def world() -> Interactions:
    return population(1200, 400)


def test_without_noise_the_sum_stays_as_it_is(world: Interactions) -> None:
    assert denoise(noisy(world, SumNoise()), SumNoise()).tobytes() == true_gram(world).tobytes()


@pytest.mark.parametrize(("variance", "most"), [(8.0, 0.6), (64.0, 0.4), (400.0, 0.3)])
def test_most_of_the_noise_goes(world: Interactions, variance: float, most: float) -> None:
    noise = SumNoise(variance, variance)
    found, truth = noisy(world, noise), true_gram(world)
    left = np.linalg.norm(denoise(found, noise) - truth) / np.linalg.norm(plain(found) - truth)
    assert left < most


@pytest.mark.parametrize("variance", [8.0, 64.0])
def test_what_goes_together_is_worth_more_than_popularity_alone(world: Interactions, variance: float) -> None:
    noise = SumNoise(variance, variance)
    found, truth = noisy(world, noise), true_gram(world)
    off = ~np.eye(world.videos, dtype=bool)
    errors = [np.linalg.norm((f(found, noise) - truth)[off]) for f in (denoise, popularity_alone)]
    assert errors[0] < 0.9 * errors[1]


def test_recommendations_get_most_of_their_quality_back(world: Interactions) -> None:
    kept, held_out = split_interactions(world.matrix, 0.2, np.random.default_rng(1))
    noise, users = SumNoise(400.0, 400.0), Interactions(kept)
    found = noisy(users, noise)
    best, raw, clean = (
        quality(matrix, kept, held_out) for matrix in (true_gram(users), plain(found), denoise(found, noise))
    )
    assert raw < 0.9 * best
    assert best - clean < 0.5 * (best - raw)


@pytest.mark.parametrize("variance", [2.0, 16.0, 400.0])
def test_the_estimate_is_a_gram_matrix(world: Interactions, variance: float) -> None:
    noise = SumNoise(variance, variance)
    found = noisy(world, noise)
    clean = denoise(found, noise)
    assert np.array_equal(clean, clean.T)
    values = np.linalg.eigvalsh(clean)
    assert values[0] > -1e-5 * values[-1]
    assert (np.diagonal(clean) >= found.counts / UNIT - 1e-6 * values[-1]).all()


def test_pairs_lie_between_nothing_and_the_smaller_count(world: Interactions) -> None:
    """Dropping negative eigenvalues, the last step, moves them by little."""
    noise = SumNoise(16.0, 16.0)
    found = noisy(world, noise)
    clean, counts = denoise(found, noise), np.maximum(found.counts, 0) / UNIT
    off = ~np.eye(world.videos, dtype=bool)
    least, most = clean[off].min(), (clean - np.minimum(counts[:, None], counts))[off].max()
    raw = plain(found)
    assert raw[off].min() < -10
    assert least > -1
    assert most < 1.5


def test_the_share_of_the_spectrum_falls_with_signal_to_noise() -> None:
    pairs = np.full(1000, 10.0, np.float32)
    # The noise itself is in the mean square: 100 is a true 25 beside a variance of 75.
    shares = [share_of_spectrum(pairs, variance) for variance in (1000.0, 50.0, 30.0, 25.0, 20.0, 1.0)]
    assert shares[:2] == [0.5, 0.5]
    assert shares[-2:] == [0.0, 0.0]
    assert 0.5 > shares[2] > shares[3] > 0


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
    assert np.abs(clean - plain(found))[off].max() < 10.0
    assert np.linalg.eigvalsh(clean)[0] > -1e-3


def test_videos_of_nobody_go_with_nothing() -> None:
    below = Statistic(np.arange(3), np.array([-4, 0, -1]) * UNIT, np.array([-2, 1, 3]) * UNIT)
    assert not denoise(below, SumNoise(8.0, 8.0)).any()


@settings(max_examples=60, deadline=None)
@given(small_worlds(), st.floats(0.001, 500.0), st.integers(0, 99))
def test_any_sum_gives_plausible_finite_numbers(users: Interactions, variance: float, seed: int) -> None:
    noise = SumNoise(variance, variance)
    found = noisy(users, noise, seed)
    clean = denoise(found, noise)
    assert clean.shape == (users.videos, users.videos)
    assert np.isfinite(clean).all()
    assert np.array_equal(clean, clean.T)
    assert (np.diagonal(clean) >= np.maximum(found.counts, 0) / UNIT - 1e-3).all()


@pytest.mark.parametrize("size", [0, 1])
def test_heads_without_pairs(size: int) -> None:
    found = Statistic(np.arange(size), np.full(size, 7 * UNIT), np.zeros(0, np.int64))
    assert denoise(found, SumNoise(3.0, 3.0)).tolist() == [[7.0]] * size


def test_very_little_noise_changes_very_little(world: Interactions) -> None:
    noise = SumNoise(1e-4, 1e-4)
    assert np.abs(denoise(noisy(world, noise), noise) - true_gram(world)).max() < 0.5
