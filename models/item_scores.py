"""The served form of an item model: scores of a history are x @ B, with B kept thin or sparse.

*Factorized*: B is U V^T (`models.factorization`). On sets where few kinds of taste explain much it predicts
as well as the closed form, or better. *Sparse*: of each column of the closed form the largest weights
(`models.sparse_weights`), better on wide catalogues where each viewer knows little. Both are linear in the
history, so that a score is the sum of what each of its videos adds. Imports numpy only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

Form = Literal["factorized", "sparse"]
FORMS: Final[tuple[Form, ...]] = get_args(Form)


class ItemScores(Protocol):
    """Scores all items for a history, and splits a score by the videos of the history."""

    def scores(self, rows: NDArray[np.integer]) -> NDArray[np.float32]:
        """Return (m,) scores for a history of these distinct items."""
        ...

    def many(self, histories: NDArray[np.int32]) -> NDArray[np.float32]:
        """Return (n, m) scores for histories of distinct items, (n, longest), padded with -1."""
        ...

    def parts(self, rows: NDArray[np.integer], columns: NDArray[np.integer]) -> NDArray[np.float64]:
        """Return what each item of a history adds to the scores of some items, (rows, columns)."""
        ...

    def among(self, rows: NDArray[np.integer]) -> ItemScores:
        """Return the same model over these distinct items alone, in this order."""
        ...


@dataclass(frozen=True)
class Factorized:
    """Scores x @ U @ V.T; both are (m, rank) float32."""

    U: NDArray[np.float32]
    V: NDArray[np.float32]

    def scores(self, rows: NDArray[np.integer]) -> NDArray[np.float32]:
        """See `ItemScores.scores`."""
        found: NDArray[np.float32] = self.V @ self.U[rows].sum(axis=0)
        return found

    def many(self, histories: NDArray[np.int32]) -> NDArray[np.float32]:
        """See `ItemScores.many`."""
        padded = np.concatenate((self.U, np.zeros((1, self.U.shape[1]), np.float32)))
        found: NDArray[np.float32] = padded[histories].sum(axis=1) @ self.V.T
        return found

    def parts(self, rows: NDArray[np.integer], columns: NDArray[np.integer]) -> NDArray[np.float64]:
        """See `ItemScores.parts`."""
        found: NDArray[np.float64] = self.U[rows].astype(np.float64) @ self.V[columns].astype(np.float64).T
        return found

    def among(self, rows: NDArray[np.integer]) -> Factorized:
        """See `ItemScores.among`."""
        return Factorized(self.U[rows], self.V[rows])


@dataclass(frozen=True)
class Sparse:
    """Scores x @ B, of B the stored weights.

    Attributes:
        offsets: (m + 1,) int32, where the weights of each item of a history start.
        columns: (stored,) int32 items that they speak for, ascending within a row.
        weights: (stored,) float32.
    """

    offsets: NDArray[np.int32]
    columns: NDArray[np.int32]
    weights: NDArray[np.float32]

    def scores(self, rows: NDArray[np.integer]) -> NDArray[np.float32]:
        """See `ItemScores.scores`."""
        found = np.zeros(len(self.offsets) - 1, np.float32)
        for row in rows.tolist():
            span = slice(self.offsets[row], self.offsets[row + 1])
            found[self.columns[span]] += self.weights[span]
        return found

    def many(self, histories: NDArray[np.int32]) -> NDArray[np.float32]:
        """See `ItemScores.many`."""
        found = np.empty((len(histories), len(self.offsets) - 1), np.float32)
        for number, history in enumerate(histories):
            found[number] = self.scores(history[history >= 0])
        return found

    def parts(self, rows: NDArray[np.integer], columns: NDArray[np.integer]) -> NDArray[np.float64]:
        """See `ItemScores.parts`."""
        found = np.zeros((len(rows), len(columns)))
        for place, row in enumerate(rows.tolist()):
            stored = self.columns[self.offsets[row] : self.offsets[row + 1]]
            if stored.size:
                at = np.minimum(np.searchsorted(stored, columns), stored.size - 1)
                weight = self.weights[self.offsets[row] + at]
                found[place] = np.where(stored[at] == columns, weight, 0.0)
        return found

    def among(self, rows: NDArray[np.integer]) -> Sparse:
        """See `ItemScores.among`."""
        place = np.full(len(self.offsets) - 1, -1, np.int64)
        place[rows] = np.arange(len(rows))
        lengths = (self.offsets[rows + 1] - self.offsets[rows]).astype(np.int64)
        starts = np.repeat(self.offsets[rows] - np.cumsum(lengths) + lengths, lengths)
        at = starts + np.arange(int(lengths.sum()))
        row, column = np.repeat(np.arange(len(rows)), lengths), place[self.columns[at]]
        kept = np.flatnonzero(column >= 0)
        order = kept[np.lexsort((column[kept], row[kept]))]
        offsets = np.concatenate(([0], np.cumsum(np.bincount(row[kept], minlength=len(rows)))))
        return Sparse(offsets.astype(np.int32), column[order].astype(np.int32), self.weights[at[order]])
