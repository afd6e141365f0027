"""A baseline: alternating least squares on implicit feedback.

Hu, Koren, Volinsky. Collaborative filtering for implicit feedback datasets. ICDM 2008. Each half step is a
few steps of conjugate gradients, as in Takács, Pilászy, Tikk. Applications of the conjugate gradient method
for implicit feedback collaborative filtering. RecSys 2011.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from models.recommender import Scores

STEPS: Final = 3
"""Conjugate gradients a half step, which starts from the last sweep's solution."""
FOLD_IN_STEPS: Final = 10
"""For viewers who were not fitted: they start from zero."""
ENTRIES: Final = 200_000
"""Entries of the matrix at a time: what is gathered for them is this many rows of factors."""

Factors = NDArray[np.float32]


class ImplicitALS:
    """Factors of viewers and videos; an observed pair weighs `confidence`, every other pair 1.

    Attributes:
        videos: (videos, factors).
    """

    def __init__(
        self,
        matrix: csr_array,
        *,
        factors: int = 64,
        regularisation: float = 10.0,
        confidence: float = 1.0,
        sweeps: int = 15,
        seed: int = 0,
    ) -> None:
        """Fit.

        Args:
            matrix: (users, videos) binary training part.
            factors: length of a vector.
            regularisation: added to the diagonal of every least-squares problem.
            confidence: weight of an observed pair, at least 1.
            sweeps: of both sides.
            seed: of the first factors.
        """
        rng = np.random.default_rng(seed)
        self._regularisation, self._confidence = np.float32(regularisation), np.float32(confidence)
        by_user = csr_array(matrix.astype(np.float32))
        by_video = csr_array(by_user.T)
        users, self.videos = ((rng.random((n, factors)) * 0.01).astype(np.float32) for n in by_user.shape)
        for _ in range(sweeps):
            users = self._solved(by_user, self.videos, users, STEPS)
            self.videos = self._solved(by_video, users, self.videos, STEPS)
        self._known = np.diff(by_video.indptr) > 0

    def scores(self, history: csr_array) -> Scores:
        """See `Recommender.scores`."""
        start = np.zeros((history.shape[0], self.videos.shape[1]), np.float32)
        viewers = self._solved(csr_array(history.astype(np.float32)), self.videos, start, FOLD_IN_STEPS)
        return np.where(self._known, viewers @ self.videos.T, -np.inf)

    def related_scores(self, seeds: NDArray[np.int64]) -> Scores:
        """See `Recommender.related_scores`: by the cosine of factors."""
        length = np.linalg.norm(self.videos, axis=1, keepdims=True)
        directions = self.videos / np.maximum(length, np.finfo(np.float32).tiny)
        return np.where(self._known, directions[seeds] @ directions.T, -np.inf)

    def _solved(self, matrix: csr_array, other: Factors, start: Factors, steps: int) -> Factors:
        gram = other.T @ other
        gram[np.diag_indices_from(gram)] += self._regularisation
        ends = matrix.indptr
        found = start.copy()
        first = 0
        while first < matrix.shape[0]:
            last = max(int(np.searchsorted(ends, ends[first] + ENTRIES, side="right")) - 1, first + 1)
            found[first:last] = self._conjugate_gradients(
                csr_array(matrix[first:last]), other, gram, start[first:last], steps
            )
            first = last
        return found

    def _conjugate_gradients(
        self, matrix: csr_array, other: Factors, gram: Factors, start: Factors, steps: int
    ) -> Factors:
        """Solve (gram + (c - 1) sum over a row's entries of y y') x = c sum of y, for all rows at once."""
        rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
        observed = other[matrix.indices]

        def applied(x: Factors) -> Factors:
            along = np.einsum("ek,ek->e", x[rows], observed) * (self._confidence - 1)
            weighted = csr_array((along, matrix.indices, matrix.indptr), shape=matrix.shape)
            return x @ gram + weighted @ other

        x = start.copy()
        residual = self._confidence * (matrix @ other) - applied(x)
        direction = residual.copy()
        size = np.einsum("nk,nk->n", residual, residual)
        for _ in range(steps):
            image = applied(direction)
            curvature = np.einsum("nk,nk->n", direction, image)
            # A row that is solved has no direction left.
            step = np.divide(size, curvature, out=np.zeros_like(size), where=curvature > 0)[:, None]
            x += step * direction
            residual -= step * image
            smaller = np.einsum("nk,nk->n", residual, residual)
            ratio = np.divide(smaller, size, out=np.zeros_like(size), where=size > 0)[:, None]
            direction = residual + ratio * direction
            size = smaller
        return x
