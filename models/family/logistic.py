"""Logistic factorization of liked against not liked, among what was rated.

Johnson. Logistic matrix factorization for implicit feedback data. NIPS workshop on distributed machine
learning and matrix computations, 2014; here both classes are observed. Least squares on working responses,
which the bound of Böhning, Lindsay. Monotonicity of quadratic-approximation algorithms. Annals of the
Institute of Statistical Mathematics 40, 1988, makes a sure ascent.

Two readings of P(liked) = sigmoid(mean + b_u + b_i + p_u q_i):

- *Elo.* A rating is a game of user against item, which the user wins who likes it. b_u - (-b_i) is the
  difference of two strengths, and Elo's update after a game, strength += K (result - P), is a step along the
  gradient of this likelihood.
- *Item response.* b_u is how easily a user is pleased and -b_i how hard an item is to like: the Rasch model.
  With factors it is the multidimensional two-parameter model of test theory, q_i being what an item
  discriminates by.
"""

from __future__ import annotations

from typing import Final, Self

import numpy as np
from scipy.sparse import csr_array
from scipy.special import expit, logit

from models.family.als import ExplicitALS, item_sums
from models.family.member import Floats, Ints, Member, Ratings

SWEEPS: Final = 15


class LogisticFactorization(Member):
    """Says how likely somebody is to like what they rate."""

    def __init__(self, *, factors: float = 10, regularisation: float = 2.0, seed: float = 0) -> None:
        """Take the length of a vector, the weight of squares, and the seed of the first factors."""
        # The bound's curvature is 1/4, so least squares see four times the regularisation.
        self._inner = ExplicitALS(factors=factors, regularisation=4 * regularisation, seed=seed)

    def fit(self, ratings: Ratings) -> Self:
        """See `Member.fit`."""
        self._size = ratings.size
        liked = (ratings.values >= ratings.liked_from).astype(np.float64)
        share = float(np.clip(liked.mean(), 1e-6, 1 - 1e-6))
        # What a rating is on average, by whether the item was liked: what a chance says about ratings.
        means = [ratings.values[liked == kind].mean() if (liked == kind).any() else 0.0 for kind in (0, 1)]
        self._rating = (float(means[0]), float(means[1]))
        inner = self._inner
        inner.begin(ratings.size)
        inner.mean = float(logit(share))

        def responses() -> csr_array:
            current = inner.predict(ratings.users, ratings.items)
            return ratings.matrix(current - inner.mean + 4 * (liked - expit(current)))

        for _ in range(SWEEPS):
            inner.users = inner.user_step(responses())
            inner.items = inner.item_step(*item_sums(csr_array(responses().T), inner.users))
        return self

    def chance(self, users: Ints, items: Ints) -> Floats:
        """Return how likely some users, (n,), are to like some items, (n,), if they rate them."""
        return np.asarray(expit(self._inner.predict(users, items)))

    def predict(self, users: Ints, items: Ints) -> Floats:
        """See `Member.predict`."""
        low, high = self._rating
        return low + (high - low) * self.chance(users, items)

    def rank(self, users: Ints) -> Floats:
        """See `Member.rank`."""
        return self._inner.rank(users)
