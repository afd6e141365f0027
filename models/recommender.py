"""The interface that every model and baseline offers to the evaluation, and the trained models behind it."""

from __future__ import annotations

from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from models.content import Content, Profiler
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


class Factorization:
    """The served model, before reserved places and channel caps."""

    def __init__(self, model: TrainedModel) -> None:
        """Take a finished model."""
        self._model = model

    def scores(self, history: csr_array) -> Scores:
        """See `Recommender.scores`: `x @ U @ V.T`."""
        model = self._model
        rows = history[:, model.items].astype(np.float32)
        return spread(np.asarray(rows @ model.U) @ model.V.T, model.items, len(model.published))

    def related_scores(self, seeds: NDArray[np.int64]) -> Scores:
        """See `Recommender.related_scores`: the stored lists."""
        found = np.full((len(seeds), len(self._model.published)), -np.inf, np.float32)
        videos = self._model.related_videos[seeds]
        row, place = np.nonzero(videos >= 0)
        found[row, videos[row, place]] = self._model.related_scores[seeds][row, place]
        return found


class TagProfiles:
    """How the served model ranks videos that nobody has engaged with: by features of the history."""

    def __init__(self, model: TrainedModel, among: NDArray[np.int64]) -> None:
        """Take a finished model and the positions of the only videos to rank."""
        self._content, self._among = content_of(model), among
        self._profiler = Profiler(self._content, len(model.tag_names), model.items)
        self._videos = len(model.published)

    def scores(self, history: csr_array) -> Scores:
        """See `Recommender.scores`."""
        rows = [
            self._profiler.profile(history.indices[start:stop].tolist()).scores(self._among)
            for start, stop in zip(history.indptr[:-1], history.indptr[1:], strict=True)
        ]
        return spread(np.array(rows).reshape(-1, len(self._among)), self._among, self._videos)

    def related_scores(self, seeds: NDArray[np.int64]) -> Scores:
        """See `Recommender.related_scores`: content similarity."""
        tag_count = int(self._content.ids.max(initial=-1)) + 1
        rows = [self._content.similarity(int(seed), self._among, tag_count) for seed in seeds]
        return spread(np.array(rows).reshape(-1, len(self._among)), self._among, self._videos)


def content_of(model: TrainedModel) -> Content:
    """Features of a finished model's catalogue."""
    return Content(
        offsets=model.tag_offsets,
        ids=model.tag_ids,
        weights=model.tag_weights,
        columns=(model.channel, model.category, model.language),
        same=(model.same_channel, model.same_category, model.same_language),
    )


def spread(scores: Scores, columns: NDArray[np.integer[Any]], videos: int) -> Scores:
    """Spread scores of some videos, (n, len(columns)), over the catalogue, (n, videos); -inf elsewhere."""
    found = np.full((scores.shape[0], videos), -np.inf, scores.dtype)
    found[:, columns] = scores
    return found
