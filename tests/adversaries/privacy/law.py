"""What one number of a noisy sum says: is a given person in it?

A pair count is the others' part, Poisson with mean `expected`, plus Skellam noise of variance V, plus 1 if
the person has the pair. The sum of the first two is Skellam with means a = expected + V/2 and b = V/2, so the
evidence of a value g is

    log P(g - 1) / P(g) = log I_{|g-1|}(z) / I_{|g|}(z) - log(a / b) / 2,    z = 2 sqrt(a b).

The ratio of neighbouring Bessel functions comes from the sharp bound of Amos (Math. Comp. 28, 1974, 239),

    r_k = I_{k+1}(z) / I_k(z)  ~  z / (k + 1/2 + sqrt((k + 3/2)^2 + z^2)),

taken two orders up and brought down by the recurrence 1 / r_k = 2 (k + 1) / z + r_{k+1}; right to 1 % of it.
Without noise this becomes log(g / expected), and minus infinity for g = 0: cut off at 12, so that one wrong
guess does not end an attack.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.linalg import eigsh

_MOST = 12.0
_NO_NOISE = 1e-7
Matrix = NDArray[np.float32]


def evidence(values: Matrix, expected: Matrix, variance: float) -> Matrix:
    """Log likelihood ratio that the person is in each value rather than not; shapes broadcast.

    Args:
        values: of the noisy sum.
        expected: mean of everybody else's part, not negative.
        variance: of the noise.
    """
    b = np.float32(max(variance / 2, _NO_NOISE))
    a = np.maximum(expected, np.float32(1e-4)) + b
    least = np.minimum(np.abs(values), np.abs(values - 1))
    z = 2 * np.sqrt(a * b)
    quotient = z / (least + 2.5 + np.sqrt((least + 3.5) ** 2 + z * z))
    quotient = 1 / (2 * (least + 2) / z + quotient)
    step = np.log(2 * (least + 1) / z + quotient)
    ratio = np.where(values >= 1, step, -step) - 0.5 * np.log(a / b)
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

    def without(self, row: Matrix) -> Background:
        """Without a person of that (h,) binary row, in the same basis: one person hardly turns it.

        Keeping the person in the estimate of everybody else's part would make their absence visible as a
        deficit, which is no fair picture of a sum that they never were in.
        """
        inside = self.basis.T @ row
        rows = np.maximum(self.rows - row * (row.sum() - 1), 1e-3)
        return Background(self.basis, self.core - np.outer(inside, inside), rows)


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
