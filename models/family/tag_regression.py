"""Each user's ratings regressed on the tags of what was rated: ridge, and LASSO.

LASSO: Tibshirani. Regression shrinkage and selection via the lasso. Journal of the Royal Statistical Society
B 58(1), 1996. Both are scikit-learn's; one user's regression needs nobody else's ratings.
"""

from __future__ import annotations

import warnings
from typing import Any, Self

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Lasso, Ridge

from models.family.member import Floats, Ints, Member, Ratings

PRIOR = 2.0
"""Ratings at the mean of everybody that a user's own mean is shrunk by."""


class _TagRegression(Member):
    def __init__(self, estimator: Any) -> None:
        self._estimator = estimator

    def fit(self, ratings: Ratings) -> Self:
        """See `Member.fit`."""
        self._size = ratings.size
        self._tags = ratings.tags.toarray()
        self.weights = np.zeros((ratings.size[0], self._tags.shape[1]))
        mean = float(ratings.values.mean())
        self.intercepts = np.full(ratings.size[0], mean)
        order = np.argsort(ratings.users, kind="stable")
        ends = np.cumsum(np.bincount(ratings.users, minlength=ratings.size[0]))
        with warnings.catch_warnings():
            # A user with a handful of ratings may not converge to the last digit, which changes nothing.
            warnings.simplefilter("ignore", ConvergenceWarning)
            for user, rated in enumerate(np.split(order, ends[:-1])):
                if len(rated):
                    self._fit_one(user, ratings.items[rated], ratings.values[rated], mean)
        return self

    def _fit_one(self, user: int, items: Ints, values: Floats, mean: float) -> None:
        own = (values.sum() + PRIOR * mean) / (len(values) + PRIOR)
        inputs = self._tags[items]
        if len(items) > 1 and inputs.any():
            # Centred here, so that the intercept can be shrunk and the weights are of what differs.
            centre = inputs.mean(axis=0)
            weights = self._estimator.fit(inputs - centre, values - values.mean()).coef_
            self.weights[user] = weights
            own -= float(centre @ weights)
        self.intercepts[user] = own

    def predict(self, users: Ints, items: Ints) -> Floats:
        """See `Member.predict`."""
        return np.asarray(
            self.intercepts[users] + np.einsum("nt,nt->n", self.weights[users], self._tags[items])
        )

    def rank(self, users: Ints) -> Floats:
        """See `Member.rank`."""
        return np.asarray(self.intercepts[users][:, None] + self.weights[users] @ self._tags.T)


class TagRidge(_TagRegression):
    """Ridge regression per user: all tags get a weight."""

    def __init__(self, *, regularisation: float = 3.0) -> None:
        """Take what is added to the diagonal."""
        super().__init__(Ridge(alpha=regularisation, fit_intercept=False))


class TagLasso(_TagRegression):
    """LASSO per user: few tags get a weight, so it reads as a sentence."""

    def __init__(self, *, regularisation: float = 0.03) -> None:
        """Take the weight of the absolute values, beside mean squared errors."""
        super().__init__(Lasso(alpha=regularisation, fit_intercept=False, tol=1e-3))
