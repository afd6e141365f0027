"""Measures lists of related videos, on viewers who were no part of the fit, from several seeds of each.

Three things are looked for: what the viewer watched *next*, the five videos after the seed; *anything* else
that the viewer liked, which rewards showing everybody what everybody likes; and of that the *less seen*. All
viewers are left out once, in folds. A viewer's seeds are averaged first, so that errors are over viewers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from models import counting
from models.evaluation import NDCG_AT, RECALL_AT, quality, top
from models.interactions import Interactions
from models.recommender import Recommender

FOLDS = 5
SEEDS = 5
"""Seed videos of each viewer, at most."""
FOLLOWING = 5
"""Videos after the seed that count as next."""
MOST_SEEN = 0.02
"""Share of the videos that less-seen ones do not include."""
_BLOCK_CELLS = 8_000_000

Fit = Callable[[Interactions], Recommender]
"""Makes a model from the viewers of a fold."""


@dataclass(frozen=True)
class RelatedRow:
    """What one way to list related videos achieved.

    Attributes:
        model: its name.
        viewers: (n,) viewers behind the numbers, ascending.
        following: (n,) NDCG@10 of what was watched next, a mean over the seeds of a viewer; nan where the
            data have no order, or nothing followed.
        anything: (n,) of everything else that was liked.
        less_seen: (n,) of the less seen of it; nan where there is nothing.
        coverage: share of the videos that are in at least one list of ten.
    """

    model: str
    viewers: NDArray[np.int64]
    following: NDArray[np.float64]
    anything: NDArray[np.float64]
    less_seen: NDArray[np.float64]
    coverage: float


@dataclass(frozen=True)
class _Question:
    """Seeds of the viewers of one fold, and what should be found: (pairs, videos) each."""

    viewers: NDArray[np.int64]
    seeds: NDArray[np.int64]
    wanted: tuple[csr_array, csr_array, csr_array]


def measure_related(
    likes: Interactions,
    fits: Mapping[str, Fit],
    *,
    seed: int,
    folds: int = FOLDS,
    progress: Callable[[float], None] = lambda _: None,
) -> tuple[RelatedRow, ...]:
    """Measure several ways to list related videos on the same seeds.

    Args:
        likes: (users, videos); their recency is the order in which they were watched.
        fits: by name.
        seed: of the folds and the seeds.
        folds: parts that the viewers are divided into.
        progress: called with the part that is done.
    """
    rng = np.random.default_rng([seed, 2])
    fold = rng.permutation(likes.users) % folds
    ordered = likes.recency is not None
    found: dict[str, list[tuple[NDArray[np.int64], NDArray[np.float64]]]] = {name: [] for name in fits}
    shown: dict[str, NDArray[np.bool_]] = {name: np.zeros(likes.videos, np.bool_) for name in fits}
    for number in range(folds):
        known = likes.rows(np.flatnonzero(fold != number).astype(np.int64))
        counts = counting.counts(known)
        most_seen = np.argsort(-counts, kind="stable")[: int(len(counts) * MOST_SEEN)]
        question = _ask(likes, np.flatnonzero(fold == number), most_seen, rng)
        for name, fit in fits.items():
            lists = _lists(fit(known), question.seeds, likes.videos)
            shown[name][lists[:, :NDCG_AT][lists[:, :NDCG_AT] >= 0]] = True
            scores = np.stack(
                [
                    np.where(np.diff(wanted.indptr) > 0, quality(lists, wanted)[0], np.nan)
                    for wanted in question.wanted
                ]
            )
            found[name].append((question.viewers, scores))
        progress((number + 1) / folds)
    rows = []
    for name, parts in found.items():
        viewers, scores = np.concatenate([one for one, _ in parts]), np.hstack([one for _, one in parts])
        distinct, row = np.unique(viewers, return_inverse=True)
        following, anything, less_seen = (_per_viewer(one, row, distinct.size) for one in scores)
        if not ordered:
            following = np.full(distinct.size, np.nan)
        rows.append(RelatedRow(name, distinct, following, anything, less_seen, float(shown[name].mean())))
    return tuple(rows)


def _ask(
    likes: Interactions, viewers: NDArray[np.int64], most_seen: NDArray[np.int64], rng: np.random.Generator
) -> _Question:
    matrix = likes.matrix
    asked: list[int] = []
    seeds: list[int] = []
    wanted: tuple[list[NDArray[np.int64]], ...] = ([], [], [])
    for viewer in viewers.tolist():
        span = slice(matrix.indptr[viewer], matrix.indptr[viewer + 1])
        videos = matrix.indices[span].astype(np.int64)
        if likes.recency is not None:
            videos = videos[np.argsort(likes.recency[span], kind="stable")]
        for place in np.sort(rng.permutation(videos.size)[:SEEDS]).tolist():
            others = np.delete(videos, place)
            asked.append(viewer)
            seeds.append(int(videos[place]))
            wanted[0].append(videos[place + 1 : place + 1 + FOLLOWING])
            wanted[1].append(others)
            wanted[2].append(others[~np.isin(others, most_seen)])
    following, anything, less_seen = (_matrix(rows, likes.videos) for rows in wanted)
    return _Question(np.array(asked, np.int64), np.array(seeds, np.int64), (following, anything, less_seen))


def _matrix(rows: list[NDArray[np.int64]], videos: int) -> csr_array:
    offsets = np.concatenate(([0], np.cumsum([row.size for row in rows]))).astype(np.int64)
    columns = np.concatenate([np.zeros(0, np.int64), *(np.sort(row) for row in rows)])
    return csr_array((np.ones(columns.size, np.uint8), columns, offsets), shape=(len(rows), videos))


def _lists(model: Recommender, seeds: NDArray[np.int64], videos: int) -> NDArray[np.int64]:
    size = max(1, _BLOCK_CELLS // max(1, videos))
    parts = [np.zeros((0, RECALL_AT), np.int64)]
    for start in range(0, seeds.size, size):
        block = seeds[start : start + size]
        scores = model.related_scores(block)
        scores[np.arange(block.size), block] = -np.inf
        parts.append(top(scores, RECALL_AT))
    return np.concatenate(parts)


def _per_viewer(values: NDArray[np.float64], row: NDArray[np.int64], viewers: int) -> NDArray[np.float64]:
    there = np.isfinite(values)
    total = np.bincount(row[there], values[there], viewers)
    number = np.bincount(row[there], minlength=viewers)
    return np.where(number > 0, total / np.maximum(number, 1), np.nan)
