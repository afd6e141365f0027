from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse import csr_array

from models import implicit_als
from models.implicit_als import ImplicitALS
from tests.models.test_baselines import two_worlds

RIDGE, CONFIDENCE = 2.0, 5.0


def solved(history: NDArray[np.float64], videos: NDArray[np.float64]) -> NDArray[np.float64]:
    """The weighted least squares of the paper, one viewer at a time."""
    found = []
    for row in history:
        weights = np.where(row > 0, CONFIDENCE, 1.0)
        normal = videos.T @ (weights[:, None] * videos) + RIDGE * np.eye(videos.shape[1])
        found.append(np.linalg.solve(normal, videos.T @ (weights * row)))
    return np.array(found)


@pytest.mark.parametrize("entries", [1, 7, 200_000])
def test_scores_are_those_of_weighted_least_squares(entries: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(implicit_als, "ENTRIES", entries)
    matrix = two_worlds()
    model = ImplicitALS(matrix, factors=3, regularisation=RIDGE, confidence=CONFIDENCE)
    videos = model.videos.astype(np.float64)
    # Fitted to the end, videos solve the same problem against the users, who solve theirs.
    users = solved(matrix.toarray().astype(np.float64), videos)
    assert model.scores(matrix) == pytest.approx(users @ videos.T, abs=1e-3)
    assert videos == pytest.approx(solved(matrix.toarray().T.astype(np.float64), users), abs=0.02)


def test_it_completes_the_world_of_each_user_and_relates_within_it() -> None:
    model = ImplicitALS(two_worlds(), factors=2, regularisation=0.1, confidence=5)
    scores = model.scores(two_worlds())
    assert scores[:10, :4].min() > scores[:10, 4:].max()
    related = model.related_scores(np.array([0, 7]))
    assert related[0, :4].min() > related[0, 4:].max()
    assert related[1, 4:].min() > related[1, :4].max()


def test_a_video_nobody_watched_cannot_be_recommended_and_nobody_is_no_error() -> None:
    matrix = csr_array(np.array([[1, 1, 0], [0, 0, 0]], np.uint8))
    scores = ImplicitALS(matrix, factors=2).scores(matrix)
    assert np.isneginf(scores[:, 2]).all()
    assert (scores[1, :2] == 0).all()
