"""Explicit alternating least squares with biases.

Zhou, Wilkinson, Schreiber, Pan. Large-scale parallel collaborative filtering for the Netflix prize. AAIM
2008; a bias is a factor whose partner is 1. The normal equations of the items are sums over users
(`item_sums`), so instances can train it by secure sums: each solves for its own users, nobody else's.
"""

from __future__ import annotations

from typing import Final, Self

import numpy as np
from scipy.sparse import csr_array

from models.family.member import Floats, Ints, Member, Ratings

SWEEPS: Final = 12
BIAS: Final = 2.0
"""What is added to the number of ratings that a bias rests on."""


class ExplicitALS(Member):
    """Mean, biases, and a product of factors."""

    def __init__(self, *, factors: float = 20, regularisation: float = 10.0, seed: float = 0) -> None:
        """Take the length of a vector, what is added to the diagonal, and the seed of the first factors."""
        self._factors, self._regularisation, self._seed = int(factors), regularisation, int(seed)

    def fit(self, ratings: Ratings) -> Self:
        """See `Member.fit`."""
        self.mean = float(ratings.values.mean())
        self.begin(ratings.size)
        by_user = ratings.matrix(ratings.values - self.mean)
        by_item = csr_array(by_user.T)
        self.start_biases(np.asarray(by_item.sum(axis=1)), np.diff(by_item.indptr))
        for _ in range(SWEEPS):
            self.users = self.user_step(by_user)
            self.items = self.item_step(*item_sums(by_item, self.users))
        self.users = self.user_step(by_user)
        return self

    def begin(self, size: tuple[int, int]) -> None:
        """Draw the first factors of (users, items); the last column of each side is the bias."""
        self._size = size
        drawn = np.random.default_rng(self._seed).normal(0, 0.1, (size[1], self._factors))
        self.items = np.column_stack((drawn, np.zeros(size[1])))
        self.users = np.zeros((size[0], self._factors + 1))

    def start_biases(self, totals: Floats, counts: Ints | Floats) -> None:
        """Start from shrunk means of items, given (items,) sums and numbers of ratings less the mean.

        Biases that start at zero would first be taken for factors of users.
        """
        self.items[:, -1] = totals / (counts + BIAS)

    def user_step(self, by_user: csr_array) -> Floats:
        """Solve for users, (n, factors + 1), from their (n, items) ratings less the mean."""
        return self.item_step(*item_sums(by_user, self.items))

    def item_step(self, left: Floats, right: Floats) -> Floats:
        """Solve for items, (items, factors + 1), from what `item_sums` gives, added up over all users."""
        ridge = np.diag([*[self._regularisation] * self._factors, BIAS])
        return np.asarray(np.linalg.solve(left + ridge, right[..., None])[..., 0])

    def predict(self, users: Ints, items: Ints) -> Floats:
        """See `Member.predict`."""
        p, q = self.users[users], self.items[items]
        return np.asarray(self.mean + p[:, -1] + q[:, -1] + np.einsum("nk,nk->n", p[:, :-1], q[:, :-1]))

    def rank(self, users: Ints) -> Floats:
        """See `Member.rank`."""
        p, q = self.users[users], self.items
        return np.asarray(self.mean + p[:, -1:] + q[:, -1] + p[:, :-1] @ q[:, :-1].T)


def item_sums(by_item: csr_array, users: Floats) -> tuple[Floats, Floats]:
    """Add up the normal equations of items over users.

    Args:
        by_item: (items, users) ratings less the mean.
        users: (users, k + 1) factors of users, the last column their bias.

    Returns:
        (items, k + 1, k + 1) matrices and (items, k + 1) right sides, of the items' factors and bias.
    """
    inputs = users.copy()
    inputs[:, -1] = 1.0
    width = users.shape[1]
    left = np.zeros((by_item.shape[0], width, width))
    right = np.zeros((by_item.shape[0], width))
    for item in range(by_item.shape[0]):
        row = slice(by_item.indptr[item], by_item.indptr[item + 1])
        rated = by_item.indices[row]
        known = inputs[rated]
        left[item] = known.T @ known
        right[item] = known.T @ (by_item.data[row] - users[rated, -1])
    return left, right
