"""BALSE: factors where an item has many ratings, tags where it has few.

Vie, Yger, Lahfa, Clement, Cocchi, Chalumeau, Kashima. Using posters to recommend anime and mangas in a
cold-start scenario. ICDAR 2017: the weight of the factors is a sigmoid, of slope beta and middle gamma, of
how often an item was rated (its logarithm here). Both are learned on ratings that are held out in two ways:
all of some items, so that there are items without any, and all but a few of some others.
"""

from __future__ import annotations

from typing import Final, Self

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

from models.family.als import ExplicitALS
from models.family.member import Floats, Ints, Member, Ratings
from models.family.tag_regression import TagRidge

HELD_OUT: Final = 0.1
"""Share of the items without ratings, of those that keep a few, and of the ratings held out of the others."""
KEPT: Final = 5
"""Ratings that an item with few keeps at most."""


class Balse(Member):
    """Explicit ALS with biases and ridge on tags, blended by the number of ratings of an item."""

    def __init__(
        self,
        *,
        factors: float = 20,
        regularisation: float = 10.0,
        tag_regularisation: float = 3.0,
        seed: float = 0,
    ) -> None:
        """Take the settings of its two parts, and the seed of what is held out."""
        self._settings = {"factors": factors, "regularisation": regularisation, "seed": seed}
        self._tag_regularisation, self._seed = tag_regularisation, int(seed)

    def fit(self, ratings: Ratings) -> Self:
        """See `Member.fit`."""
        self._size = ratings.size
        rng = np.random.default_rng([self._seed, 11])
        role = rng.permutation(ratings.size[1]) / ratings.size[1]
        kind = np.where(role < HELD_OUT, 0, np.where(role < 2 * HELD_OUT, 1, 2))
        held_out = _held_out(ratings, kind, rng)
        self._fit_parts(ratings.where(~held_out))
        self.beta, self.gamma = self._learned(ratings.where(held_out), kind)
        self._fit_parts(ratings)
        return self

    def _fit_parts(self, ratings: Ratings) -> None:
        self.factors = ExplicitALS(**self._settings).fit(ratings)
        self.tags = TagRidge(regularisation=self._tag_regularisation).fit(ratings)
        self._seen = np.log1p(ratings.counts)

    def _learned(self, held_out: Ratings, kind: Ints) -> tuple[float, float]:
        """Return the beta and gamma that predict best; items of each kind count the same together."""
        by_factors = self.factors.predict(held_out.users, held_out.items)
        by_tags = self.tags.predict(held_out.users, held_out.items)
        seen, wanted, kinds = self._seen[held_out.items], held_out.values - by_tags, kind[held_out.items]
        share = 1 / np.maximum(np.bincount(kinds, minlength=3), 1)[kinds]

        def error(point: Floats) -> float:
            gate = expit(point[0] * (seen - point[1]))
            return float(share @ (wanted - gate * (by_factors - by_tags)) ** 2)

        found = minimize(error, np.array([1.0, 2.0]), method="Nelder-Mead")
        return float(found.x[0]), float(found.x[1])

    def gates(self, items: Ints) -> Floats:
        """Return the weight of the factors, (n,), for some items."""
        return np.asarray(expit(self.beta * (self._seen[items] - self.gamma)))

    def predict(self, users: Ints, items: Ints) -> Floats:
        """See `Member.predict`."""
        gate = self.gates(items)
        return gate * self.factors.predict(users, items) + (1 - gate) * self.tags.predict(users, items)

    def rank(self, users: Ints) -> Floats:
        """See `Member.rank`."""
        gate = self.gates(np.arange(self._size[1]))
        return gate * self.factors.rank(users) + (1 - gate) * self.tags.rank(users)


def _held_out(ratings: Ratings, kind: Ints, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Mark all ratings of items of kind 0, all but a few of those of kind 1, some of the others."""
    drawn = rng.random(len(ratings.values))
    order = np.lexsort((drawn, ratings.items))
    starts = np.concatenate(([0], np.cumsum(ratings.counts)))[ratings.items[order]]
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order)) - starts
    keeps = rng.integers(1, KEPT + 1, ratings.size[1])
    of_kind = kind[ratings.items]
    few, others = place >= keeps[ratings.items], drawn < HELD_OUT
    return np.asarray((of_kind == 0) | np.where(of_kind == 1, few, others), np.bool_)
