from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from scipy.sparse import csr_array

from models.closed_form_dual import own_scores

SHAPES = st.tuples(st.integers(1, 12), st.integers(1, 15))


@given(
    SHAPES.flatmap(lambda shape: hnp.arrays(np.uint8, shape, elements=st.integers(0, 1))), st.floats(0.1, 50)
)
def test_same_scores_as_the_inverse_over_videos(matrix: NDArray[np.uint8], ridge: float) -> None:
    x = matrix.astype(np.float64)
    for each in (np.ones(len(x)), 1 / (1 + np.arange(len(x)))):
        inverse = np.linalg.inv(x.T @ np.diag(each) @ x + ridge * np.eye(x.shape[1]))
        weights = np.eye(x.shape[1]) - inverse / np.diag(inverse)
        assert own_scores(csr_array(matrix), ridge, each) == pytest.approx(x @ weights, abs=1e-8)
    ones = np.ones(len(x))
    np.testing.assert_array_equal(
        own_scores(csr_array(matrix), ridge), own_scores(csr_array(matrix), ridge, ones)
    )


@pytest.mark.parametrize("ridge", [0.0, -1.0, float("nan")])
def test_a_ridge_that_is_none_is_refused(ridge: float) -> None:
    with pytest.raises(ValueError, match="must be positive"):
        own_scores(csr_array(np.eye(2, dtype=np.uint8)), ridge)
