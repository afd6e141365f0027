"""A mean, and what each user and each item adds to it.

Koren. Factor in the neighbors: scalable and accurate collaborative filtering. ACM TKDD 4(1), 2010, section
2.1, fitted by alternating ridge regressions.
"""

from __future__ import annotations

from typing import Final, Self

import numpy as np

from models.family.member import Floats, Ints, Member, Ratings

SWEEPS: Final = 10


class Biases(Member):
    """The baseline of the family: it ranks the same items for everybody."""

    def __init__(self, *, regularisation: float = 5.0) -> None:
        """Take what is added to the number of ratings that a bias rests on."""
        self._regularisation = regularisation

    def fit(self, ratings: Ratings) -> Self:
        """See `Member.fit`."""
        self._size = ratings.size
        self.mean = float(ratings.values.mean())
        self.of_users, self.of_items = np.zeros(ratings.size[0]), np.zeros(ratings.size[1])
        users, items = ratings.users, ratings.items
        centred = ratings.values - self.mean
        for _ in range(SWEEPS):
            self.of_items = self._shrunk(items, centred - self.of_users[users], ratings.size[1])
            self.of_users = self._shrunk(users, centred - self.of_items[items], ratings.size[0])
        return self

    def predict(self, users: Ints, items: Ints) -> Floats:
        """See `Member.predict`."""
        return np.asarray(self.mean + self.of_users[users] + self.of_items[items])

    def rank(self, users: Ints) -> Floats:
        """See `Member.rank`."""
        return np.asarray(self.mean + self.of_users[users][:, None] + self.of_items)

    def _shrunk(self, rows: Ints, values: Floats, size: int) -> Floats:
        total = np.bincount(rows, values, size)
        return np.asarray(total / (np.bincount(rows, minlength=size) + self._regularisation))
