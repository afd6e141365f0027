"""Baselines that a model has to beat: popularity, item-kNN, and what PeerTube shows without a recommender."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, eye_array

from models.recommender import Scores


class Popularity:
    """Every viewer gets the videos that most users engaged with."""

    def __init__(self, counts: NDArray[np.int64]) -> None:
        """Take (videos,) numbers of users; a video without any cannot be recommended."""
        self._row = np.where(counts > 0, counts, -np.inf).astype(np.float32)

    def scores(self, history: csr_array) -> Scores:
        """See `Recommender.scores`."""
        return np.tile(self._row, (history.shape[0], 1))

    def related_scores(self, seeds: NDArray[np.int64]) -> Scores:
        """See `Recommender.related_scores`."""
        return np.tile(self._row, (len(seeds), 1))


class ItemKNN:
    """Item-based nearest neighbours with cosine similarity.

    Sarwar, Karypis, Konstan, Riedl. Item-based collaborative filtering recommendation algorithms. WWW 2001.
    """

    def __init__(self, matrix: csr_array, *, neighbours: int = 100, shrinkage: float = 10.0) -> None:
        """Compute the similarities.

        Args:
            matrix: (users, videos) binary training part.
            neighbours: most similar videos kept per video.
            shrinkage: added to the denominator, so that a single common user proves little.
        """
        x = matrix.astype(np.float32)
        gram = csr_array(x.T @ x)
        counts = gram.diagonal()
        gram.setdiag(0)
        gram.eliminate_zeros()
        rows = np.repeat(np.arange(gram.shape[0]), np.diff(gram.indptr))
        gram.data /= np.sqrt(counts[rows] * counts[gram.indices]) + np.float32(shrinkage)
        self._similar = _keep_largest(gram, neighbours)

    def scores(self, history: csr_array) -> Scores:
        """See `Recommender.scores`."""
        # Transposed, so that a video collects votes from its own neighbours.
        return _dense(csr_array(history.astype(np.float32) @ self._similar.T))

    def related_scores(self, seeds: NDArray[np.int64]) -> Scores:
        """See `Recommender.related_scores`."""
        return _dense(csr_array(self._similar[seeds]))


@dataclass(frozen=True)
class Newest:
    """The order in which PeerTube's rule lists videos, and what it rests on.

    Attributes:
        order: (videos,) float64, higher is newer; -inf for what it knows nothing about.
        rule: what `order` is, for the table that shows the result.
    """

    order: NDArray[np.float64]
    rule: str


def newest(
    published: NDArray[np.float64],
    rule: str | None,
    first_seen: NDArray[np.float64] | None,
    counts: NDArray[np.int64],
) -> Newest:
    """Choose what "newest first" means: publication, else first interaction, else popularity.

    Args:
        published: (videos,) Unix seconds, nan unknown; unknown ones go last.
        rule: what `published` rests on, None if the set has no publication dates.
        first_seen: (videos,) Unix seconds of the first interaction in the training part, nan where there is
            none; None if the set has no times.
        counts: (videos,) users per video in the training part.
    """
    if rule is not None:
        return Newest(np.where(np.isnan(published), -np.inf, published), rule)
    if first_seen is not None:
        return Newest(np.where(np.isnan(first_seen), -np.inf, first_seen), "first interaction in training")
    return Newest(np.asarray(counts, np.float64), "popularity, as the set has no dates")


class PeerTubeRule:
    """PeerTube's own related videos: all that share a tag with the video being watched, newest first.

    With at most one such video PeerTube lists all videos, newest first; so does this class. A row of `scores`
    should hold one video, the viewer's most recent; with several, a tag of any of them counts.
    """

    def __init__(self, tags: csr_array, order: Newest) -> None:
        """Take (videos, tags) with non-zero entries where tagged, and the order of the videos."""
        self._tags = csr_array((np.ones(tags.nnz, np.float32), tags.indices, tags.indptr), shape=tags.shape)
        # Unknown dates go last but stay in the list: PeerTube would show them.
        self._rank = np.argsort(np.argsort(order.order, kind="stable"), kind="stable").astype(np.float32)

    def scores(self, history: csr_array) -> Scores:
        """See `Recommender.scores`."""
        shared = csr_array(csr_array(history.astype(np.float32) @ self._tags) @ self._tags.T)
        scores = np.full(shared.shape, -np.inf, np.float32)
        rows = np.repeat(np.arange(shared.shape[0]), np.diff(shared.indptr))
        scores[rows, shared.indices] = self._rank[shared.indices]
        others = np.diff(shared.indptr) - _tagged(history, self._tags)
        scores[others <= 1] = self._rank
        return scores

    def related_scores(self, seeds: NDArray[np.int64]) -> Scores:
        """See `Recommender.related_scores`."""
        return self.scores(csr_array(eye_array(self._tags.shape[0], format="csr")[seeds]))


def _tagged(history: csr_array, tags: csr_array) -> NDArray[np.int64]:
    """(viewers,) how many videos of each history have tags, hence share one with themselves."""
    tagged = (np.diff(tags.indptr) > 0).astype(np.int64)
    return np.asarray(history.astype(np.int64) @ tagged)


def _keep_largest(matrix: csr_array, k: int) -> csr_array:
    """Keep the k largest entries per row; of equal ones the lower column."""
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    order = np.lexsort((matrix.indices, -matrix.data, rows))
    position = np.arange(len(order)) - matrix.indptr[rows]
    kept = np.sort(order[position < k])
    lengths = np.bincount(rows[kept], minlength=matrix.shape[0])
    indptr = np.concatenate(([0], np.cumsum(lengths)))
    return csr_array((matrix.data[kept], matrix.indices[kept], indptr), shape=matrix.shape)


def _dense(votes: csr_array) -> Scores:
    """Dense copy in which the absence of any vote is -inf."""
    scores = np.full(votes.shape, -np.inf, np.float32)
    rows = np.repeat(np.arange(votes.shape[0]), np.diff(votes.indptr))
    scores[rows, votes.indices] = votes.data
    return scores
