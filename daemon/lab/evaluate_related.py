"""Ways to list related videos, compared on a data set: part of what `shoal evaluate` computes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from daemon.lab.experiment import Population, newest_first, released
from daemon.lab.related_quality import Fit, RelatedRow, measure_related
from models import counting, statistics
from models.baselines import ItemKNN, PeerTubeRule, Popularity
from models.closed_form import solve
from models.feature_vectors import feature_vectors
from models.features import Features
from models.interactions import Interactions
from models.noise import NO_NOISE, SumNoise
from models.recommender import Recommender, Scores, ServedItems, spread
from models.released import Released
from models.trained import Recipe, TrainingData
from models.training import train
from policies.privacy import PROTECTION, Level

LATEST: Final = 12
"""Videos that viewers keep in the thinned comparison, the latest ones: as sparse as PeerTube is."""
RELATED_LISTS: Final = "related lists"
NOISY_LISTS = "related lists, default noise"
ONE_RIDGE = "one ridge, tags"
_RIDGE, _TAG_WEIGHT, _LEAST = 100.0, 0.3, 5


def related_fits(population: Population, likes: Interactions, recipe: Recipe, *, seed: int) -> dict[str, Fit]:
    """Return what is compared, by name; models learn from an own release, without its noise but for one."""
    features, order = population.features, newest_first(population.publication, likes)
    declared = PROTECTION[Level.DEFAULT]

    def own_release(known: Interactions, noise: SumNoise = NO_NOISE) -> tuple[Released, Features]:
        own = released(known, noise, np.random.default_rng([seed, 23]), views=population.views)
        # What is popular may know nothing of the viewers who are asked.
        return own, replace(features, views=counting.counts(known))

    def served(known: Interactions, noise: SumNoise = NO_NOISE) -> Recommender:
        own, described = own_release(known, noise)
        # The lists need no vectors, so the narrowest factorization will do.
        narrow = replace(recipe, form="factorized", rank=1)
        return ServedItems(train(TrainingData(described, own, None), narrow))

    def one_ridge(known: Interactions) -> Recommender:
        own, _ = own_release(known)
        gram = statistics.to_matrix(own.statistic.counts, own.statistic.triangle)
        content = feature_vectors(replace(features, words=None)).rows
        return OneRidge(own.statistic.head, gram, content)

    return {
        "popularity": lambda known: Popularity(counting.counts(known)),
        "item-kNN": lambda known: ItemKNN(known.matrix),
        "PeerTube's rule": lambda _: PeerTubeRule(features.tags, order),
        ONE_RIDGE: one_ridge,
        NOISY_LISTS: lambda known: served(known, SumNoise(declared.counts_noise, declared.pairs_noise)),
        RELATED_LISTS: served,
    }


def compare_related(
    population: Population,
    recipe: Recipe,
    *,
    seed: int,
    latest: int | None = None,
    progress: Callable[[float], None] = lambda _: None,
) -> tuple[RelatedRow, ...]:
    """Compare related lists on all likes, or on each viewer's `latest` ones."""
    likes = population.likes if latest is None else population.likes.limited(latest)
    return measure_related(
        likes, related_fits(population, likes, recipe, seed=seed), seed=seed, progress=progress
    )


class OneRidge:
    """Related lists of a single solve, with tags and with pairs of at least five viewers: a yardstick."""

    def __init__(self, items: NDArray[np.int64], gram: NDArray[np.float64], content: csr_array) -> None:
        """Take (m,) positions, their (m, m) Gram matrix, and (videos, features) of the catalogue."""
        self._items, self._content = items, content
        self._row = np.full(content.shape[0], -1)
        self._row[items] = np.arange(items.size)
        unit = float(np.diagonal(gram).mean()) if items.size else 1.0
        weights = solve(gram, _RIDGE * unit).weights().numpy()
        together = np.where((gram >= _LEAST) & (weights > 0), weights, 0.0)
        np.fill_diagonal(together, 0.0)
        best = together.max(axis=1, initial=0.0, keepdims=True)
        self._together = together / np.where(best > 0, best, 1.0)

    def scores(self, history: csr_array) -> Scores:
        """See `Recommender.scores`: the mean over the history of what is related to it."""
        rows = np.split(history.indices.astype(np.int64), history.indptr[1:-1])
        return np.stack([self.related_scores(row).mean(axis=0) for row in rows])

    def related_scores(self, seeds: NDArray[np.int64]) -> Scores:
        """See `Recommender.related_scores`."""
        found = _TAG_WEIGHT * np.asarray((self._content[seeds] @ self._content.T).toarray(), np.float64)
        rows = self._row[seeds]
        known = np.flatnonzero(rows >= 0)
        together = spread(self._together[rows[known]], self._items, found.shape[1])
        found[known] += np.where(np.isfinite(together), together, 0.0)
        return np.where(found > 0, found, -np.inf)
