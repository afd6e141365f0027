from __future__ import annotations

import numpy as np
import pytest
import torch

from models.closed_form import solve
from tests.models import worlds
from tests.models.worlds import GROUP, population, two_tastes


def gram(users: int = 80, videos: int = 30) -> np.ndarray:
    return worlds.gram(population(users, videos))


def test_each_column_is_the_ridge_regression_of_a_video_on_all_others() -> None:
    G = gram()
    B = solve(G, 7.0).weights().numpy()
    for video in range(G.shape[0]):
        others = np.delete(np.arange(G.shape[0]), video)
        ridge = np.linalg.solve(G[np.ix_(others, others)] + 7.0 * np.eye(others.size), G[others, video])
        np.testing.assert_allclose(B[others, video], ridge, atol=1e-10)
        assert B[video, video] == 0.0


def test_pseudo_users_count_like_users() -> None:
    G, side = gram(), gram(20)
    np.testing.assert_allclose(
        solve(G, 3.0, side=side, side_weight=0.5).P.numpy(), np.linalg.inv(G + 0.5 * side + 3 * np.eye(30))
    )
    assert torch.equal(solve(G, 3.0, side=side, side_weight=0.0).P, solve(G, 3.0).P)


def test_tastes_stay_apart() -> None:
    G = worlds.gram(two_tastes())
    B = solve(G, 10 * float(G.diagonal().mean())).weights().numpy()
    same = np.kron(np.eye(2), np.ones((GROUP, GROUP))) - np.eye(2 * GROUP)
    assert B[same == 1].min() > B[same == 0].max()


def test_the_input_is_left_alone_and_precision_is_kept() -> None:
    G = gram()
    before = G.copy()
    assert solve(G, 3.0).P.dtype == torch.float64
    assert solve(G, 3.0, dtype=torch.float32).P.dtype == torch.float32
    np.testing.assert_array_equal(G, before)


def test_an_indefinite_matrix_is_refused_unless_the_ridge_lifts_it() -> None:
    G = np.array([[1.0, 3.0], [3.0, 1.0]])
    with pytest.raises(ValueError, match="positive definite"):
        solve(G, 1.0)
    solve(G, 2.1)
