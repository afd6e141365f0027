"""What one number of a noisy sum says: is a given person in it?

A pair count is the others' part, about Poisson with mean `expected`, plus noise of variance V, plus the
weight w of the person who has the pair. Noise comes in steps of 1/32 of a viewer, so that from V = 1 on it is
as good as normal, and the evidence of a value g, log P(g | person) / P(g | others alone), is

    w (g - expected - w / 2) / (V + expected).

Without noise it is log(g / expected), and minus infinity for g < w: cut off at 12, so that one wrong guess
does not end an attack.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.linalg import eigsh

_MOST = 12.0
_LEAST = 1e-4
Matrix = NDArray[np.float32]


def evidence(values: Matrix, expected: Matrix, variance: float, weight: float = 1.0) -> Matrix:
    """Log likelihood ratio that the person is in each value rather than not; shapes broadcast.

    Args:
        values: of the noisy sum, in viewers.
        expected: mean of everybody else's part, not negative.
        variance: of the noise, in viewers squared.
        weight: of the person, in (0, 1].
    """
    mean = np.maximum(expected, np.float32(_LEAST))
    if not variance:
        enough = values >= weight - _LEAST
        ratio = np.where(enough, np.log(np.maximum(values, np.float32(_LEAST)) / mean), -_MOST)
        return np.asarray(np.clip(ratio, -_MOST, _MOST), np.float32)
    ratio = weight * (values - mean - weight / 2) / (variance + mean)
    return np.asarray(np.clip(ratio, -_MOST, _MOST), np.float32)


@dataclass(frozen=True)
class Background:
    """Everybody's part of every pair, estimated from the noisy sum alone: its largest eigenvectors.

    They hold what many share: tastes. One person among many is hardly in them.

    Attributes:
        basis: (h, rank) orthonormal.
        core: (rank, rank) the sum within that basis.
        rows: (h,) sums of the rows of the sum.
    """

    basis: Matrix
    core: Matrix
    rows: Matrix

    def expected(self) -> Matrix:
        """(h, h) means, at least a fifth of what independence would give."""
        return self.expected_rows(np.arange(self.rows.size))

    def expected_rows(self, places: NDArray[np.int64]) -> Matrix:
        """(n, h) means of some rows."""
        independent = np.outer(self.rows[places], self.rows) / self.rows.sum()
        estimate = (self.basis[places] @ self.core) @ self.basis.T if self.basis.size else independent
        return np.asarray(np.maximum(estimate, 0.2 * independent), np.float32)

    def without(self, row: Matrix, weight: float) -> Background:
        """Without a person of that (h,) binary row and weight, in the same basis: one hardly turns it.

        Keeping the person in the estimate of everybody else's part would make their absence visible as a
        deficit, which is no fair picture of a sum that they never were in.
        """
        inside = self.basis.T @ row
        rows = np.maximum(self.rows - weight * row * (row.sum() - 1), 1e-3)
        core = np.asarray(self.core - weight * np.outer(inside, inside), np.float32)
        return Background(self.basis, core, np.asarray(rows, np.float32))


def background(pairs: Matrix, rank: int = 16) -> Background:
    """Fit a background to a (h, h) noisy sum with an empty diagonal; it is filled in by the fit."""
    size = pairs.shape[0]
    rows = np.maximum(pairs.sum(axis=1), 1e-3).astype(np.float32)
    if size <= 2 * rank:
        return Background(np.zeros((size, 0), np.float32), np.zeros((0, 0), np.float32), rows)
    filled = pairs.copy()
    diagonal = rows * rows / rows.sum()
    for _ in range(2):
        np.fill_diagonal(filled, diagonal)
        values, basis = eigsh(filled, k=rank, which="LA", v0=np.sqrt(rows), tol=1e-3)
        diagonal = np.maximum(np.einsum("ij,j,ij->i", basis, np.maximum(values, 0), basis), 0)
    return Background(basis, np.diag(np.maximum(values, 0)).astype(np.float32), rows)
