"""The one interface of the family, and the ratings that its members are fitted to."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, diags_array

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]
TAGGED_ITEMS: Final = 10
"""Items that a tag needs to be a feature: what a rarer one is worth cannot be told."""


@dataclass(frozen=True)
class Ratings:
    """Ratings by users of items, and the items' tags.

    Attributes:
        users, items: (n,) int64, each pair at most once.
        values: (n,) float64 ratings, in the units of the data set.
        tags: (items, tags) float64, rows of length 1, or 0 where an item has no tag.
        size: (users, items), those without a rating included.
        liked_from: the lowest value that counts as liked.
        scale: lowest and highest value that there is.
    """

    users: Ints
    items: Ints
    values: Floats
    tags: csr_array
    size: tuple[int, int]
    liked_from: float
    scale: tuple[float, float]

    def where(self, kept: NDArray[np.bool_]) -> Ratings:
        """Return the ratings that (n,) `kept` marks, of the same users and items."""
        return replace(self, users=self.users[kept], items=self.items[kept], values=self.values[kept])

    def matrix(self, values: Floats | None = None) -> csr_array:
        """Return (users, items) float64 of (n,) values, of the ratings themselves where None are given."""
        stored = self.values if values is None else values
        found = csr_array((stored, (self.users, self.items)), shape=self.size)
        found.sort_indices()
        return found

    @property
    def counts(self) -> Ints:
        """Ratings per item, (items,)."""
        return np.bincount(self.items, minlength=self.size[1]).astype(np.int64)


def frequent_tags(tags: csr_array) -> csr_array:
    """Return the tags that enough items have, their rows scaled to length 1; see `Ratings.tags`."""
    ones = csr_array((np.ones(tags.nnz), tags.indices, tags.indptr), shape=tags.shape)
    kept = csr_array(ones[:, np.flatnonzero(np.asarray(ones.sum(axis=0)) >= TAGGED_ITEMS)])
    length = np.sqrt(np.asarray(kept.sum(axis=1)))
    return csr_array(diags_array(1 / np.maximum(length, 1)) @ kept)


class Member(ABC):
    """A model of ratings.

    Settings are keyword arguments of the constructor, so that all members are tuned alike.
    """

    rates = True
    """Whether `predict` gives ratings; False where it gives affinities of no unit, which only rank."""

    @abstractmethod
    def fit(self, ratings: Ratings) -> Self:
        """Fit to ratings, and return this model."""

    @abstractmethod
    def predict(self, users: Ints, items: Ints) -> Floats:
        """Predict what some users, (n,), would rate some items, (n,): (n,) float64, not clipped."""

    def rank(self, users: Ints) -> Floats:
        """Score all items for some users, (n,): (n, items), higher is better."""
        _, width = self._size
        return np.array([self.predict(np.full(width, user), np.arange(width)) for user in users.tolist()])

    _size: tuple[int, int]


Settings: TypeAlias = Mapping[str, float]
Maker: TypeAlias = Callable[..., Member]
