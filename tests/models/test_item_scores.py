"""Both forms of the item model do what their dense matrix does."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from models.item_scores import FORMS, Factorized, Form, ItemScores, Sparse
from models.sparse_weights import sparse_weights

SIZE = 14
ROWS = st.lists(st.integers(0, SIZE - 1), unique=True, max_size=SIZE).map(
    lambda rows: np.array(rows, np.int32)
)
EACH = pytest.mark.parametrize("form", FORMS)


@dataclass
class Pair:
    """A model, and its matrix: scores of a history x are x @ dense."""

    scoring: ItemScores
    dense: NDArray[np.float64]


def drawn(form: Form, seed: int = 0) -> Pair:
    rng = np.random.default_rng(seed)
    if form == "factorized":
        U, V = rng.normal(size=(2, SIZE, 3)).astype(np.float32)
        return Pair(Factorized(U, V), U.astype(np.float64) @ V.T.astype(np.float64))
    dense = (rng.normal(size=(SIZE, SIZE)) * (rng.random((SIZE, SIZE)) < 0.4)).astype(np.float32)
    # An item whose history says nothing, and one that nothing speaks for.
    dense[3], dense[:, 5] = 0.0, 0.0
    return Pair(sparse_weights(dense, SIZE), dense.astype(np.float64))


def history_of(rows: NDArray[np.int32]) -> NDArray[np.float64]:
    history = np.zeros(SIZE)
    history[rows] = 1.0
    return history


@EACH
@given(rows=ROWS, seed=st.integers(0, 9))
def test_scores_are_the_product_with_the_dense_matrix(form: Form, rows: NDArray[np.int32], seed: int) -> None:
    pair = drawn(form, seed)
    found = pair.scoring.scores(rows)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, history_of(rows) @ pair.dense, atol=1e-5)


@EACH
@given(rows=ROWS, columns=ROWS, seed=st.integers(0, 9))
def test_parts_add_up_to_the_scores(
    form: Form, rows: NDArray[np.int32], columns: NDArray[np.int32], seed: int
) -> None:
    pair = drawn(form, seed)
    parts = pair.scoring.parts(rows, columns)
    assert parts.shape == (rows.size, columns.size)
    np.testing.assert_allclose(parts, pair.dense[np.ix_(rows, columns)], atol=1e-6)
    np.testing.assert_allclose(parts.sum(axis=0), pair.scoring.scores(rows)[columns], atol=1e-5)


@EACH
@given(rows=ROWS, seed=st.integers(0, 9))
def test_among_some_items_it_is_the_matrix_of_these(form: Form, rows: NDArray[np.int32], seed: int) -> None:
    pair = drawn(form, seed)
    among, every = pair.scoring.among(rows), np.arange(rows.size)
    np.testing.assert_allclose(among.parts(every, every), pair.dense[np.ix_(rows, rows)], atol=1e-6)
    if isinstance(among, Sparse):
        spans = zip(among.offsets, among.offsets[1:], strict=False)
        assert all((np.diff(among.columns[start:stop]) > 0).all() for start, stop in spans)


@EACH
@given(histories=st.lists(ROWS, max_size=5), seed=st.integers(0, 9))
def test_many_histories_at_once_score_as_one_by_one(
    form: Form, histories: list[NDArray[np.int32]], seed: int
) -> None:
    scoring = drawn(form, seed).scoring
    padded = np.full((len(histories), SIZE), -1, np.int32)
    for row, history in enumerate(histories):
        padded[row, : history.size] = history
    found = scoring.many(padded)
    assert found.shape == (len(histories), SIZE)
    for one, history in zip(found, histories, strict=True):
        np.testing.assert_allclose(one, scoring.scores(history), atol=1e-5)


@given(st.integers(0, 10_000), st.integers(1, 12), st.integers(1, 15))
def test_of_each_column_the_largest_weights_are_kept(seed: int, size: int, kept: int) -> None:
    rng = np.random.default_rng(seed)
    weights = (rng.normal(size=(size, size)) * (rng.random((size, size)) < 0.7)).astype(np.float32)
    np.fill_diagonal(weights, 0.0)
    found = sparse_weights(weights, kept)
    everything = np.arange(size)
    dense = found.parts(everything, everything)
    assert (found.weights != 0).all()
    for column in range(size):
        held = np.flatnonzero(dense[:, column])
        np.testing.assert_array_equal(dense[held, column], weights[held, column])
        assert held.size == min(kept, np.count_nonzero(weights[:, column]))
        least = np.abs(weights[held, column]).min(initial=np.inf)
        assert np.delete(np.abs(weights[:, column]), held).max(initial=0.0) <= least


def test_weights_of_more_columns_than_a_block_are_in_their_places() -> None:
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(600, 600)).astype(np.float32)
    found, every = sparse_weights(weights, 5), np.arange(600)
    dense = found.parts(every, every)
    assert ((dense != 0).sum(axis=0) == 5).all()
    np.testing.assert_array_equal(dense[dense != 0], weights[dense != 0])


def test_without_items_there_are_no_weights() -> None:
    found = sparse_weights(np.zeros((0, 0), np.float32), 5)
    assert found.offsets.tolist() == [0]
    assert found.scores(np.zeros(0, np.int32)).size == 0
    assert found.many(np.zeros((2, 0), np.int32)).shape == (2, 0)
