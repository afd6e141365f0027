"""Bayesian factorization machine over user, item and tags, by Gibbs sampling.

Freudenthaler, Schmidt-Thieme, Rendle. Bayesian factorization machines. NIPS workshop on sparse representation
and low-rank approximation, 2011; blocks of items and their tags as in Rendle. Scaling factorization machines
to relational data. VLDB 2013. Two differences: pairs within an item (its tags among themselves) are left to
the biases, since they are the same for every user; and the weights of all tags are drawn at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular
from scipy.sparse import csr_array

from models.family.member import Floats, Ints, Member, Ratings

Kept = NDArray[np.float32]
BURN_IN: Final = 0.2
"""Share of the sweeps before samples are kept."""


@dataclass
class _Prior:
    """Mean and precision of one kind of weights, drawn with them (normal and gamma, weakly informed)."""

    mean: float = 0.0
    precision: float = 1.0

    def draw(self, weights: Floats, rng: np.random.Generator) -> None:
        size = len(weights)
        spread = ((weights - self.mean) ** 2).sum() + self.mean**2
        self.precision = float(rng.gamma((size + 2) / 2, 2 / (spread + 1)))
        middle = weights.sum() / (size + 1)
        self.mean = float(rng.normal(middle, 1 / np.sqrt((size + 1) * self.precision)))


class BayesianFM(Member):
    """Predicts the mean of many models, each as likely as the ratings make it: nothing is regularised."""

    def __init__(self, *, factors: float = 10, sweeps: float = 100, seed: float = 0) -> None:
        """Take the length of a vector, the sweeps over all weights, and the seed of all draws."""
        self._factors, self._sweeps, self._seed = int(factors), int(sweeps), int(seed)

    def fit(self, ratings: Ratings) -> Self:
        """See `Member.fit`."""
        self._size = ratings.size
        chain = _Chain(ratings, self._factors, np.random.default_rng([self._seed, 13]))
        first = int(self._sweeps * BURN_IN)
        self._mean, self._unit = chain.mean, chain.unit
        self._samples: list[tuple[Kept, Kept]] = []
        for sweep in range(self._sweeps):
            chain.sweep()
            if sweep >= first:
                self._samples.append(chain.sample())
        return self

    def predict(self, users: Ints, items: Ints) -> Floats:
        """See `Member.predict`."""
        total = np.zeros(len(users))
        for p, q in self._samples:
            total += np.einsum("nk,nk->n", p[users], q[items])
        return np.asarray(self._mean + self._unit * total / len(self._samples))

    def rank(self, users: Ints) -> Floats:
        """See `Member.rank`."""
        total = np.zeros((len(users), self._size[1]))
        for p, q in self._samples:
            total += p[users] @ q.T
        return np.asarray(self._mean + self._unit * total / len(self._samples))


def _pairs(tags: csr_array) -> csr_array:
    """Return (tags * tags, items), what each item adds to the Gram matrix of its tags."""
    items, width = tags.shape
    rows, columns, values = [], [], []
    for item in range(items):
        row = slice(tags.indptr[item], tags.indptr[item + 1])
        own, weights = tags.indices[row].astype(np.int64), tags.data[row]
        rows.append((own[:, None] * width + own).ravel())
        columns.append(np.full(len(own) ** 2, item))
        values.append(np.outer(weights, weights).ravel())
    if not rows:
        return csr_array((width * width, items))
    at = (np.concatenate(rows), np.concatenate(columns))
    return csr_array((np.concatenate(values), at), shape=(width * width, items))


class _Chain:
    """All weights, by factor; factor 0 holds the biases, whose partner is 1."""

    def __init__(self, ratings: Ratings, factors: int, rng: np.random.Generator) -> None:
        self._rng, self._ratings = rng, ratings
        self._tags, self._pairs = ratings.tags, _pairs(ratings.tags)
        self.mean, self.unit = float(ratings.values.mean()), float(ratings.values.std()) or 1.0
        self._left = (ratings.values - self.mean) / self.unit
        self._rated = ratings.counts > 0
        self._noise = 1.0
        widths = (*ratings.size, self._tags.shape[1])
        self._weights = [rng.normal(0, 0.1, (factors + 1, width)) for width in widths]
        for weights in self._weights:
            weights[0] = 0.0
        self._priors = [[_Prior() for _ in range(factors + 1)] for _ in widths]
        of_users, of_items, of_tags = self._weights
        for f in range(1, factors + 1):
            along = (of_items[f] + self._tags @ of_tags[f])[ratings.items]
            self._left -= of_users[f][ratings.users] * along
        self._always = np.ones(len(self._left))
        self._number = [np.bincount(ratings.users, minlength=ratings.size[0]).astype(np.float64)]
        self._number.append(ratings.counts.astype(np.float64))

    def sweep(self) -> None:
        """Draw everything once: noise, priors, biases, then factor after factor."""
        shape = (len(self._left) + 1) / 2
        self._noise = float(self._rng.gamma(shape, 2 / (self._left @ self._left + 1)))
        for weights, priors in zip(self._weights, self._priors, strict=True):
            for row, prior in zip(weights, priors, strict=True):
                if row.size:
                    prior.draw(row, self._rng)
        for f in range(len(self._priors[0])):
            self._draw_users(f)
            self._draw_items(f)

    def sample(self) -> tuple[Kept, Kept]:
        """Return (users, factors + 2) and (items, factors + 2), whose products are scaled ratings."""
        of_users, of_items, of_tags = self._weights
        own = of_items.copy()
        # Nothing was learnt about these: their mean says the same as draws do, without the noise.
        own[:, ~self._rated] = np.array([prior.mean for prior in self._priors[1]])[:, None]
        items = own + (self._tags @ of_tags.T).T
        one_user, one_item = np.ones((1, of_users.shape[1])), np.ones((1, items.shape[1]))
        p = np.vstack((of_users[:1], one_user, of_users[1:]))
        q = np.vstack((one_item, items[:1], items[1:]))
        return p.T.astype(np.float32), q.T.astype(np.float32)

    def _draw_users(self, f: int) -> None:
        of_users, of_items, of_tags = self._weights
        users, items = self._ratings.users, self._ratings.items
        along = self._always if f == 0 else (of_items[f] + self._tags @ of_tags[f])[items]
        squares, products = self._sums(0, users, along, f)
        new = self._drawn(0, f, squares, products + squares * of_users[f])
        self._left -= along * (new - of_users[f])[users]
        of_users[f] = new

    def _draw_items(self, f: int) -> None:
        of_users, of_items, of_tags = self._weights
        users, items = self._ratings.users, self._ratings.items
        along = self._always if f == 0 else of_users[f][users]
        squares, products = self._sums(1, items, along, f)
        new = self._drawn(1, f, squares, products + squares * of_items[f])
        changed = new - of_items[f]
        of_items[f] = new
        if self._tags.shape[1]:
            moved = self._draw_tags(f, squares, products - squares * changed)
            changed = changed + self._tags @ (moved - of_tags[f])
            of_tags[f] = moved
        self._left -= along * changed[items]

    def _draw_tags(self, f: int, squares: Floats, products: Floats) -> Floats:
        """Draw the weights of all tags at once: a regression of what is left per item."""
        tags, prior, current = self._tags, self._priors[2][f], self._weights[2][f]
        inverse = self._noise * (self._pairs @ squares).reshape(len(current), len(current))
        inverse[np.diag_indices_from(inverse)] += prior.precision
        right = self._noise * (tags.T @ (products + squares * (tags @ current)))
        lower = np.linalg.cholesky(inverse)
        half = solve_triangular(lower, right + prior.precision * prior.mean, lower=True)
        draw = half + self._rng.standard_normal(len(half))
        return np.asarray(solve_triangular(lower.T, draw, lower=False))

    def _sums(self, side: int, rows: Ints, along: Floats, f: int) -> tuple[Floats, Floats]:
        size = self._ratings.size[side]
        squares = self._number[side] if f == 0 else np.bincount(rows, along * along, size)
        products = np.bincount(rows, along * self._left, size)
        return np.asarray(squares, np.float64), np.asarray(products, np.float64)

    def _drawn(self, side: int, f: int, squares: Floats, products: Floats) -> Floats:
        prior = self._priors[side][f]
        precision = self._noise * squares + prior.precision
        mean = (self._noise * products + prior.precision * prior.mean) / precision
        return np.asarray(mean + self._rng.standard_normal(len(mean)) / np.sqrt(precision))
