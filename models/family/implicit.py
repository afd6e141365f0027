"""Implicit alternating least squares on what was liked: `models.implicit_als`, beside the family."""

from __future__ import annotations

from typing import Self

import numpy as np
from scipy.sparse import csr_array

from models.family.member import Floats, Ints, Member, Ratings
from models.implicit_als import ImplicitALS


class LikedALS(Member):
    """It knows who liked what, and no ratings: it can only rank."""

    rates = False

    def __init__(
        self, *, factors: float = 64, regularisation: float = 30.0, confidence: float = 5.0, seed: float = 0
    ) -> None:
        """Take the settings of `ImplicitALS`."""
        self._factors, self._seed = int(factors), int(seed)
        self._regularisation, self._confidence = regularisation, confidence

    def fit(self, ratings: Ratings) -> Self:
        """See `Member.fit`."""
        self._size = ratings.size
        liked = ratings.where(ratings.values >= ratings.liked_from)
        self._history = csr_array(liked.matrix(np.ones(len(liked.values))).astype(np.uint8))
        self._model = ImplicitALS(
            self._history,
            factors=self._factors,
            regularisation=self._regularisation,
            confidence=self._confidence,
            seed=self._seed,
        )
        return self

    def predict(self, users: Ints, items: Ints) -> Floats:
        """Return affinities, (n,), 0 for items that nobody liked."""
        who, row = np.unique(users, return_inverse=True)
        return np.asarray(self.rank(who)[row, items])

    def rank(self, users: Ints) -> Floats:
        """See `Member.rank`."""
        found = self._model.scores(csr_array(self._history[users])).astype(np.float64)
        found[np.isneginf(found)] = 0.0
        return found
