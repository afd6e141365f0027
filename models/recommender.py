"""The interface that every model and baseline offers to the evaluation, and the trained models behind it."""

from __future__ import annotations

from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from models.content import Profiler
from models.item_scores import Sparse
from models.ranking import history_weight
from models.related_order import POPULARITY_WEIGHTS, related_to
from models.trained import TrainedModel

Scores: TypeAlias = NDArray[np.floating[Any]]


class Recommender(Protocol):
    """Scores every video of a catalogue; what has been seen already is left out by the caller."""

    def scores(self, history: csr_array) -> Scores:
        """Score all videos for viewers known by their history only (fold-in).

        Args:
            history: (viewers, videos) binary, one row per viewer.

        Returns:
            (viewers, videos), higher is better, -inf where the model cannot recommend a video.
        """
        ...

    def related_scores(self, seeds: NDArray[np.int64]) -> Scores:
        """Score all videos as related to one seed each.

        Args:
            seeds: (n,) positions of videos in the catalogue.

        Returns:
            (n, videos), higher is better, -inf where the model cannot recommend a video.
        """
        ...


class ItemWeights:
    """A matrix of item weights, such as the closed form: scores are `x @ weights` over items."""

    def __init__(self, items: NDArray[np.int64], weights: NDArray[np.floating[Any]], videos: int) -> None:
        """Take (m,) catalogue positions, (m, m) weights and the size of the catalogue."""
        self._items, self._weights, self._videos = items, weights, videos

    def scores(self, history: csr_array) -> Scores:
        """See `Recommender.scores`."""
        rows = history[:, self._items].astype(self._weights.dtype)
        return spread(np.asarray(rows @ self._weights), self._items, self._videos)

    def related_scores(self, seeds: NDArray[np.int64]) -> Scores:
        """See `Recommender.related_scores`: rows of the weights."""
        ones = (np.ones(len(seeds), np.uint8), seeds, np.arange(len(seeds) + 1))
        return self.scores(csr_array(ones, shape=(len(seeds), self._videos)))


class ServedItems:
    """What is served of the items, before reserved places and caps."""

    def __init__(self, model: TrainedModel) -> None:
        """Take a finished model."""
        self._model = model

    def scores(self, history: csr_array) -> Scores:
        """See `Recommender.scores`."""
        model, form = self._model, self._model.scoring
        rows = csr_array(history[:, model.items].astype(np.float32))
        if isinstance(form, Sparse):
            size = len(model.items)
            weights = csr_array((form.weights, form.columns, form.offsets), shape=(size, size))
            found = np.asarray((rows @ weights).toarray())
        else:
            found = np.asarray(rows @ form.U) @ form.V.T
        # What is in the history says nothing about itself; without one, what is popular comes first.
        found[rows.nonzero()] = 0.0
        most = found.max(axis=1, initial=0.0, keepdims=True)
        weight = model.own_popularity + history_weight(np.diff(history.indptr))[:, None]
        boost = (weight * np.where(most > 0, most, 1.0)).astype(np.float32)
        found = found + boost * model.popularity[model.items]
        return spread(found, model.items, len(model.published))

    def related_scores(self, seeds: NDArray[np.int64]) -> Scores:
        """See `Recommender.related_scores`: minus the place in the list of each."""
        model = self._model
        row = np.full(len(model.published), -1)
        row[model.items] = np.arange(len(model.items))
        found = np.full((len(seeds), len(model.published)), -np.inf, np.float32)
        for place, seed in enumerate(seeds.tolist()):
            listed = related_to(
                *(model.related, model.content_lists, int(row[seed]), seed, model.popularity),
                content_weight=model.content_weight,
                near_content=model.near_content,
                popularity_weight=POPULARITY_WEIGHTS["balanced"],
            )
            found[place, listed.videos] = -np.arange(len(listed.videos))
        return found


class ColdVideos:
    """How the served model ranks videos that nobody has engaged with: by features of the history."""

    def __init__(self, model: TrainedModel, among: NDArray[np.int64]) -> None:
        """Take a finished model and the positions of the only videos to rank."""
        self._content, self._among = model.content, among
        self._videos = len(model.published)
        row = np.full(self._videos, -1, np.int32)
        row[model.items] = np.arange(len(model.items))
        self._profiler = Profiler(self._content, row, model.profiles)

    def scores(self, history: csr_array) -> Scores:
        """See `Recommender.scores`."""
        rows = [
            self._profiler.profile(history.indices[start:stop].tolist()).scores(self._among)
            for start, stop in zip(history.indptr[:-1], history.indptr[1:], strict=True)
        ]
        return spread(np.array(rows).reshape(-1, len(self._among)), self._among, self._videos)

    def related_scores(self, seeds: NDArray[np.int64]) -> Scores:
        """See `Recommender.related_scores`: content similarity."""
        rows = [self._content.similarity(int(seed), self._among) for seed in seeds]
        return spread(np.array(rows).reshape(-1, len(self._among)), self._among, self._videos)


def spread(scores: Scores, columns: NDArray[np.integer[Any]], videos: int) -> Scores:
    """Spread scores of some videos, (n, len(columns)), over the catalogue, (n, videos); -inf elsewhere."""
    found = np.full((scores.shape[0], videos), -np.inf, scores.dtype)
    found[:, columns] = scores
    return found
