"""Weights of items over features: the ridge regression, as far as they are kept."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.sparse import csr_array

from models import profile_weights as module
from models.content import ProfileWeights
from models.profile_weights import KEPT, PROFILE_RIDGE, profile_weights


def drawn(seed: int, videos: int = 30, width: int = 20) -> csr_array:
    rng = np.random.default_rng(seed)
    rows = csr_array((rng.random((videos, width)) * (rng.random((videos, width)) < 0.3)).astype(np.float32))
    rows.sort_indices()
    return rows


def dense(found: ProfileWeights, width: int) -> NDArray[np.float64]:
    rows = np.zeros((len(found.offsets) - 1, width))
    for item, (start, stop) in enumerate(zip(found.offsets, found.offsets[1:], strict=False)):
        ids = found.ids[start:stop]
        assert (np.diff(ids) > 0).all()
        rows[item, ids] = found.weights[start:stop]
    return rows


def regression(phi: NDArray[np.float64], history: NDArray[np.float64]) -> NDArray[np.float64]:
    """The weights w of features that minimise |phi w - history|^2 + ridge |w|^2."""
    gram = phi.T @ phi + PROFILE_RIDGE * np.eye(phi.shape[1])
    return np.asarray(np.linalg.solve(gram, phi.T @ history), np.float64)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000), st.integers(1, 30))
def test_kept_whole_their_sum_is_the_ridge_regression_to_any_history(seed: int, size: int) -> None:
    rows, rng = drawn(seed), np.random.default_rng(seed)
    items = np.sort(rng.choice(30, size, replace=False))
    found = dense(profile_weights(rows, items, np.ones(size), kept=99), 20)
    phi = rows.toarray()[items].astype(np.float64)
    for history in (np.eye(size)[0], (rng.random(size) < 0.5).astype(np.float64), np.ones(size)):
        np.testing.assert_allclose(history @ found, regression(phi, history), atol=1e-5)


def test_of_each_item_the_largest_weights_are_kept() -> None:
    rows, items = drawn(3), np.arange(0, 30, 2)
    whole = dense(profile_weights(rows, items, np.ones(15), kept=99), 20)
    found = profile_weights(rows, items, np.ones(15), kept=4)
    assert np.diff(found.offsets).tolist() == [4] * 15
    cut = dense(found, 20)
    for item in range(15):
        held = np.flatnonzero(cut[item])
        np.testing.assert_allclose(cut[item, held], whole[item, held])
        assert np.abs(whole[item, held]).min() >= np.delete(np.abs(whole[item]), held).max()


def test_an_item_without_features_says_nothing_and_changes_no_other() -> None:
    rows = csr_array(np.array([[1, 0], [0, 0], [1, 1]], np.float32))
    found = dense(profile_weights(rows, np.array([0, 1, 2]), np.ones(3)), 2)
    assert not found[1].any()
    alone = dense(profile_weights(rows, np.array([0, 2]), np.ones(2)), 2)
    np.testing.assert_allclose(found[[0, 2]], alone, atol=1e-6)


def test_where_nothing_is_known_of_any_item_there_are_no_weights() -> None:
    for items in (np.arange(3), np.zeros(0, np.int64)):
        found = profile_weights(csr_array(np.zeros((3, 5), np.float32)), items, np.ones(items.size))
        assert found.offsets.tolist() == [0] * (items.size + 1)
        assert found.ids.size == found.weights.size == 0


def test_of_too_many_items_those_with_the_most_viewers_have_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_ITEMS", 3)
    rows, items = drawn(1), np.array([2, 5, 11, 17, 23])
    found = profile_weights(rows, items, np.array([1.0, 9.0, 5.0, 0.0, 7.0]))
    assert (np.diff(found.offsets) > 0).tolist() == [False, True, True, False, True]
    alone = profile_weights(rows, items[[1, 2, 4]], np.ones(3))
    np.testing.assert_allclose(dense(found, 20)[[1, 2, 4]], dense(alone, 20), atol=1e-6)


def test_types_are_those_that_are_stored() -> None:
    found = profile_weights(drawn(0, 300, 200), np.arange(290), np.ones(290))
    assert found.offsets.dtype == found.ids.dtype == np.int32
    assert found.weights.dtype == np.float32
    assert np.diff(found.offsets).tolist() == [KEPT] * 290
