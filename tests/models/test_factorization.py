from __future__ import annotations

import numpy as np
import pytest
import torch

from models.closed_form import Solved, solve
from models.factorization import Factors, factorize
from tests.models.worlds import GROUP, gram, population, two_tastes


def solved(users: int = 300, videos: int = 120) -> Solved:
    G = gram(population(users, videos))
    return solve(G, 3 * float(G.diagonal().mean()))


def loss(problem: Solved, factors: Factors) -> float:
    """The objective with the best diagonal for these factors' off-diagonal entries."""
    rest = problem.weights() - factors.U @ factors.V.T
    rest += torch.diag(factors.diagonal)
    return float((rest * (problem.A @ rest)).sum())


def dense_reference(problem: Solved, rank: int, steps: int) -> Factors:
    """The same alternation with whole eigenvectors of the matrix N, formed from its definition."""
    B, free = problem.weights(), torch.zeros(problem.A.shape[0], dtype=torch.float64)
    for _ in range(steps + 1):
        M = B + torch.diag(free)
        V = torch.linalg.eigh(M.T @ problem.A @ M).eigenvectors[:, -rank:]
        U = M @ V
        free = (U * V).sum(1)
    return Factors(U, V, free)


def test_full_rank_is_the_closed_form_off_the_diagonal() -> None:
    problem = solved(videos=40)
    factors = factorize(problem, 100, seed=0)
    assert factors.U.shape == (40, 40)
    rebuilt = (factors.U @ factors.V.T).fill_diagonal_(0.0)
    torch.testing.assert_close(rebuilt, problem.weights(), atol=1e-9, rtol=0)


def test_it_finds_what_whole_eigenvectors_find() -> None:
    problem = solved()
    found, reference = factorize(problem, 16, seed=0), dense_reference(problem, 16, steps=3)
    assert loss(problem, found) <= 1.01 * loss(problem, reference)


def test_a_free_diagonal_is_worth_it() -> None:
    problem = solved()
    with_it = loss(problem, factorize(problem, 16, seed=0))
    without = loss(problem, factorize(problem, 16, seed=0, diagonal_steps=0))
    assert with_it < 0.95 * without


def test_it_beats_the_plain_truncated_svd_of_the_weights() -> None:
    problem = solved()
    left, values, right = torch.linalg.svd(problem.weights())
    U, V = left[:, :16] * values[:16], right[:16].T
    truncated = Factors(U, V, (U * V).sum(1))
    assert loss(problem, factorize(problem, 16, seed=0)) < loss(problem, truncated)


def test_the_diagonal_is_that_of_the_product() -> None:
    factors = factorize(solved(), 16, seed=0)
    torch.testing.assert_close(factors.diagonal, torch.diagonal(factors.U @ factors.V.T))


def test_the_same_seed_gives_the_same_bits_and_another_the_same_scores() -> None:
    problem = solved()
    first, again, other = (factorize(problem, 16, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(first.U, again.U)
    assert torch.equal(first.V, again.V)
    assert loss(problem, other) == pytest.approx(loss(problem, first), rel=0.02)


def test_two_numbers_per_video_tell_two_tastes_apart() -> None:
    G = gram(two_tastes())
    factors = factorize(solve(G, float(G.diagonal().mean())), 2, seed=0)
    scores = (factors.U @ factors.V.T).numpy()
    same = np.kron(np.eye(2), np.ones((GROUP, GROUP))) == 1
    assert scores[same].min() > scores[~same].max()


def test_a_rank_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="rank"):
        factorize(solved(videos=10), 0, seed=0)
