"""Who engaged with what: binary matrices, from events on the instance to training and test parts.

A like, or at least half of a video watched, is 1. A dislike sets 0 and stays where it was made: nothing
here remembers it. Rows are users and carry no identity; columns are videos in catalogue order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array, vstack


@dataclass(frozen=True)
class Interactions:
    """Binary user-by-video matrix of one instance; viewers are anonymous row numbers.

    `matrix` is (users, videos) uint8 with every stored value 1, indices sorted and without duplicates.
    `recency` is (stored values,) float64, Unix seconds of the latest event behind each stored value, in the
    order of `matrix.indices`; None where nothing is known, and then a limit keeps the videos of lowest index.
    """

    matrix: csr_array
    recency: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        """Raise ValueError when the matrix breaks the promises above."""
        if self.matrix.dtype != np.uint8 or (self.matrix.data != 1).any():
            raise ValueError("the matrix must be uint8 and hold nothing but ones")
        if not self.matrix.has_canonical_format:
            raise ValueError("the matrix needs sorted indices without duplicates: call sum_duplicates first")
        if self.recency is not None and self.recency.shape != (self.matrix.nnz,):
            raise ValueError("recency needs one time per stored value")

    @property
    def users(self) -> int:
        """Number of rows."""
        return int(self.matrix.shape[0])

    @property
    def videos(self) -> int:
        """Number of columns."""
        return int(self.matrix.shape[1])

    def limited(self, limit: int | None) -> Interactions:
        """Keep at most `limit` videos per user, most recent first (ties: lower video index first)."""
        if limit is None:
            return self
        if limit < 1:
            raise ValueError("a limit on videos per user must be at least 1")
        rows = _rows(self.matrix)
        when = np.zeros(self.matrix.nnz) if self.recency is None else self.recency
        order = np.lexsort((self.matrix.indices, -when, rows))
        keep = np.empty(self.matrix.nnz, dtype=np.bool_)
        keep[order] = np.arange(self.matrix.nnz) - self.matrix.indptr[rows[order]] < limit
        return self.where(keep)

    def where(self, keep: NDArray[np.bool_]) -> Interactions:
        """Only the stored values with `keep` true; users stay, if need be with an empty row."""
        matrix = _masked(self.matrix, keep)
        return Interactions(matrix, None if self.recency is None else self.recency[keep])

    def rows(self, users: NDArray[np.int64]) -> Interactions:
        """Only the given users, in the given order, each at most once."""
        picked = self.matrix[users]
        if self.recency is None:
            return Interactions(picked)
        starts = self.matrix.indptr[users].astype(np.int64)
        where = np.repeat(starts - picked.indptr[:-1], np.diff(picked.indptr)) + np.arange(picked.nnz)
        return Interactions(picked, self.recency[where])


def from_events(
    users: ArrayLike,
    videos: ArrayLike,
    *,
    liked: ArrayLike,
    disliked: ArrayLike,
    watched: ArrayLike,
    when: ArrayLike,
    shape: tuple[int, int],
    limit: int | None,
    watched_threshold: float = 0.5,
) -> Interactions:
    """Combine events into the binary matrix.

    Arrays of equal length: `users` and `videos` int indices within `shape`, `liked` and `disliked` bool,
    `watched` the fraction watched in [0, 1], `when` Unix seconds. Several events for one (user, video) pair
    combine: any dislike gives 0, else any like or sufficient watch gives 1; its time is that of the latest
    event. Of the ones, at most `limit` most recent per user are kept. Raises ValueError for unequal lengths
    and values out of range.
    """
    user = np.asarray(users, dtype=np.int64)
    video = np.asarray(videos, dtype=np.int64)
    like = np.asarray(liked, dtype=np.bool_)
    dislike = np.asarray(disliked, dtype=np.bool_)
    fraction = np.asarray(watched, dtype=np.float64)
    time = np.asarray(when, dtype=np.float64)
    if not all(array.shape == (user.size,) for array in (user, video, like, dislike, fraction, time)):
        raise ValueError("users, videos, liked, disliked, watched and when must have the same length")
    for name, index, size in (("users", user, shape[0]), ("videos", video, shape[1])):
        if index.size and not (index.min() >= 0 and index.max() < size):
            raise ValueError(f"{name} holds an index outside 0..{size - 1}")
    if not ((fraction >= 0) & (fraction <= 1)).all() or not np.isfinite(time).all():
        raise ValueError("watched must lie in [0, 1] and when must be finite")

    pair, inverse = np.unique(user * shape[1] + video, return_inverse=True)
    engaged = np.zeros(pair.size, dtype=np.bool_)
    refused = np.zeros(pair.size, dtype=np.bool_)
    latest = np.full(pair.size, -np.inf)
    np.logical_or.at(engaged, inverse, like | (fraction >= watched_threshold))
    np.logical_or.at(refused, inverse, dislike)
    np.maximum.at(latest, inverse, time)
    keep = engaged & ~refused
    return _from_pairs(pair[keep], latest[keep], shape).limited(limit)


def stack(parts: Sequence[Interactions]) -> Interactions:
    """All users of several instances, in order; recency is kept when every part has it."""
    matrix = csr_array(vstack([part.matrix for part in parts], format="csr", dtype=np.uint8))
    times = [part.recency for part in parts if part.recency is not None]
    return Interactions(matrix, np.concatenate(times) if len(times) == len(parts) else None)


def split_interactions(
    matrix: csr_array, fraction: float, rng: np.random.Generator
) -> tuple[csr_array, csr_array]:
    """Split a canonical user-by-video matrix into a kept and a held-out part of the same shape.

    Every stored interaction is held out independently with probability `fraction`, in storage order, so the
    draw depends on nothing but the generator. A user may lose everything or nothing; evaluation skips users
    whose held-out row is empty.
    """
    if not 0 < fraction < 1:
        raise ValueError("the held-out fraction must lie strictly between 0 and 1")
    held_out = rng.random(matrix.nnz) < fraction
    return _masked(matrix, ~held_out), _masked(matrix, held_out)


def _from_pairs(pair: NDArray[np.int64], when: NDArray[np.float64], shape: tuple[int, int]) -> Interactions:
    users, videos = np.divmod(pair, max(shape[1], 1))
    indptr = np.zeros(shape[0] + 1, dtype=np.int64)
    np.cumsum(np.bincount(users, minlength=shape[0]), out=indptr[1:])
    matrix = csr_array((np.ones(pair.size, dtype=np.uint8), videos, indptr), shape=shape)
    return Interactions(matrix, when)


def _rows(matrix: csr_array) -> NDArray[np.int64]:
    return np.repeat(np.arange(matrix.shape[0], dtype=np.int64), np.diff(matrix.indptr))


def _masked(matrix: csr_array, keep: NDArray[np.bool_]) -> csr_array:
    kept_before = np.concatenate(([0], np.cumsum(keep)))
    return csr_array(
        (matrix.data[keep], matrix.indices[keep], kept_before[matrix.indptr]), shape=matrix.shape
    )
