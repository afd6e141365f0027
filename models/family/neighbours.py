"""Nearest neighbours among users, and among items, on what the biases leave.

Users: Herlocker, Konstan, Borchers, Riedl. An algorithmic framework for performing collaborative filtering.
SIGIR 1999. Items: Sarwar, Karypis, Konstan, Riedl. Item-based collaborative filtering recommendation
algorithms. WWW 2001. On residuals, and with shrunk similarities: Koren, as in `models.family.biases`.
"""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from models.family.biases import Biases
from models.family.member import Floats, Ints, Member, Ratings


class _Neighbours(Member):
    """Weighted means over the rows of a matrix that are most similar to one, among those with a value."""

    def __init__(self, *, neighbours: float = 40, shrinkage: float = 10.0) -> None:
        """Take how many neighbours vote at most, and how many common ratings halve a similarity."""
        self._neighbours, self._shrinkage = int(neighbours), shrinkage
        self._biases = Biases()

    def _fit(self, ratings: Ratings, *, items: bool) -> None:
        self._size = ratings.size
        self._biases.fit(ratings)
        left = ratings.values - self._biases.predict(ratings.users, ratings.items)
        matrix = ratings.matrix(left).astype(np.float32)
        # Columns are voted on row by row: for item-kNN a user's ratings are, for user-kNN an item's raters.
        self._voters = matrix if items else csr_array(matrix.T)
        across = csr_array(self._voters.T)
        self._similar = self._cosines(across)

    def _cosines(self, rows: csr_array) -> NDArray[np.float32]:
        """Return (rows, rows) cosines over common ratings, shrunk where these are few, and none below 0."""
        common = csr_array((np.ones_like(rows.data), rows.indices, rows.indptr), shape=rows.shape)
        length = np.sqrt(np.asarray(rows.power(2).sum(axis=1)))
        found, together = csr_array(rows @ rows.T), csr_array(common @ common.T)
        together.data /= together.data + np.float32(self._shrinkage)
        similar = np.asarray(found.multiply(together).toarray())
        similar /= np.maximum(length, np.finfo(np.float32).tiny)[:, None]
        similar /= np.maximum(length, np.finfo(np.float32).tiny)
        np.fill_diagonal(similar, 0)
        return np.asarray(np.maximum(similar, 0), np.float32)

    def _votes(self, voters: int, targets: Ints) -> Floats:
        """Return (len(targets),) residuals that one row's voters vote for."""
        row = slice(self._voters.indptr[voters], self._voters.indptr[voters + 1])
        who, left = self._voters.indices[row], self._voters.data[row]
        weights = self._similar[np.ix_(targets, who)]
        if len(who) > self._neighbours:
            nearest = np.argpartition(-weights, self._neighbours, axis=1)[:, : self._neighbours]
            weights, left = np.take_along_axis(weights, nearest, axis=1), left[nearest]
        total = weights.sum(axis=1)
        votes = (weights * left).sum(axis=1)
        found = np.divide(votes, total, out=np.zeros(len(targets), np.float32), where=total > 0)
        return np.asarray(found, np.float64)

    def _added(self, rows: Ints, targets: Ints) -> Floats:
        found = np.zeros(len(rows))
        order = np.argsort(rows, kind="stable")
        for group in np.split(order, np.flatnonzero(np.diff(rows[order])) + 1):
            if group.size:
                found[group] = self._votes(int(rows[group[0]]), targets[group])
        return found


class ItemNeighbours(_Neighbours):
    """A user's ratings of the items most similar to one."""

    def fit(self, ratings: Ratings) -> Self:
        """See `Member.fit`."""
        self._fit(ratings, items=True)
        return self

    def predict(self, users: Ints, items: Ints) -> Floats:
        """See `Member.predict`."""
        return np.asarray(self._biases.predict(users, items) + self._added(users, items))

    def rank(self, users: Ints) -> Floats:
        """See `Member.rank`."""
        everything = np.arange(self._size[1])
        votes = np.array([self._votes(user, everything) for user in users.tolist()])
        return np.asarray(self._biases.rank(users) + votes)


class UserNeighbours(_Neighbours):
    """What the users most similar to one rated an item."""

    def fit(self, ratings: Ratings) -> Self:
        """See `Member.fit`."""
        self._fit(ratings, items=False)
        return self

    def predict(self, users: Ints, items: Ints) -> Floats:
        """See `Member.predict`."""
        return np.asarray(self._biases.predict(users, items) + self._added(items, users))

    def rank(self, users: Ints) -> Floats:
        """See `Member.rank`."""
        votes = np.array([self._votes(item, users) for item in range(self._size[1])])
        return np.asarray(self._biases.rank(users) + votes.T)
