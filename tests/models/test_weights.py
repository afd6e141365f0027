from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.weights import FULL_WEIGHT, UNIT, weights

UP_TO = 200
"""Videos of the head of one viewer, more than any terms let count."""


@given(st.integers(0, 5000))
def test_a_viewer_counts_by_the_number_of_videos(videos: int) -> None:
    share = min(Fraction(1), Fraction(30, max(videos, 1)))
    assert int(weights(videos)) == max(1, int(32 * share))


def test_shapes_are_kept_and_weights_only_fall() -> None:
    found = weights(np.arange(2 * UP_TO).reshape(2, UP_TO))
    assert found.shape == (2, UP_TO)
    assert found.dtype == np.int64
    assert (np.diff(found.ravel()) <= 0).all()
    assert (found.ravel()[: FULL_WEIGHT + 1] == UNIT).all()
    assert weights([]).shape == (0,)


def test_fewer_than_no_videos_are_refused() -> None:
    with pytest.raises(ValueError, match="no videos"):
        weights([3, -1])


def test_one_more_video_never_moves_the_pairs_of_a_row_by_more_than_the_thirtieth() -> None:
    """In length: the new pairs come in, and all others lose a step."""
    number = np.arange(UP_TO)
    weight = weights(np.arange(UP_TO + 1)).astype(np.float64)
    lost = weight[:-1] - weight[1:]
    moved = np.sqrt(number * weight[1:] ** 2 + number * (number - 1) / 2 * lost**2)
    assert moved.max() == moved[FULL_WEIGHT - 1] == UNIT * np.sqrt(FULL_WEIGHT - 1)


def test_the_pairs_of_a_whole_row_weigh_little_more_than_those_of_thirty_videos() -> None:
    number = np.arange(UP_TO + 1)
    length = np.sqrt(number * (number - 1) / 2) * weights(number)
    assert length.max() < 1.02 * length[FULL_WEIGHT]
