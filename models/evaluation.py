"""Offline quality of rankings: NDCG@10, Recall@20, coverage; per viewer and with standard errors.

*Next videos*: fold in the training part of a viewer's row, rank everything else, look for the test part.
*Related videos*: from one seed video of a viewer who was no part of the fit, rank the rest, look for what
that viewer watched next, or for anything else that the viewer engaged with (`daemon.lab.related_quality`).
Rankings are full, without sampled candidates (Krichene, Rendle. On sampled metrics for item recommendation.
KDD 2020), and are taken before reserved places and caps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from models.recommender import Recommender, Scores

NDCG_AT = 10
RECALL_AT = 20
SIZE_CLASSES = ("<20", "20-100", ">100")
_BLOCK_CELLS = 8_000_000  # scores held at once: 64 MB of float64


@dataclass(frozen=True)
class Summary:
    """Means over viewers with their standard errors; nan where there are no viewers.

    `coverage` is the share of the catalogue's videos that occur in at least one viewer's top 10.
    """

    viewers: int
    ndcg10: float
    ndcg10_se: float
    recall20: float
    recall20_se: float
    coverage: float


@dataclass(frozen=True)
class Measured:
    """What one model achieved for each viewer with something to find.

    Attributes:
        viewers: (n,) int64 row numbers of the measured viewers.
        ndcg: (n,) float64 NDCG@10 with binary gains; the ideal list has min(10, relevant) hits.
        recall: (n,) float64 hits in the top 20 / min(20, relevant).
        lists: (n, 10) int32 videos shown, -1 where the model had nothing left.
        videos: number of videos of the catalogue.
    """

    viewers: NDArray[np.int64]
    ndcg: NDArray[np.float64]
    recall: NDArray[np.float64]
    lists: NDArray[np.int32]
    videos: int

    def among(self, viewers: NDArray[np.int64]) -> Measured:
        """Only the given viewers, such as those of one instance or of one size class."""
        kept = np.isin(self.viewers, viewers)
        return Measured(self.viewers[kept], self.ndcg[kept], self.recall[kept], self.lists[kept], self.videos)

    @classmethod
    def joined(cls, parts: Sequence[Measured], videos: int) -> Measured:
        """Put measurements of different viewers, or draws, together; `videos` of the catalogue."""
        return cls(
            viewers=np.concatenate([one.viewers for one in parts]),
            ndcg=np.concatenate([one.ndcg for one in parts]),
            recall=np.concatenate([one.recall for one in parts]),
            lists=np.concatenate([one.lists for one in parts]),
            videos=videos,
        )

    def summary(self) -> Summary:
        """Means, standard errors and coverage."""
        shown = np.unique(self.lists[self.lists >= 0]).size
        return Summary(
            viewers=len(self.viewers),
            ndcg10=_mean(self.ndcg),
            ndcg10_se=_standard_error(self.ndcg),
            recall20=_mean(self.recall),
            recall20_se=_standard_error(self.recall),
            coverage=shown / self.videos if self.videos else float("nan"),
        )


def next_videos(
    model: Recommender,
    history: csr_array,
    relevant: csr_array,
    *,
    seen: csr_array | None = None,
    among: NDArray[np.int64] | None = None,
) -> Measured:
    """Rank all videos that a viewer has not seen; measure where the relevant ones land.

    Args:
        model: what to measure.
        history: (viewers, videos) what the model is given.
        relevant: (viewers, videos) what it should find; viewers without any are left out.
        seen: (viewers, videos) what is never ranked; `history` unless given.
        among: positions of the only videos that are ranked, such as the cold ones; all unless given.
    """
    known = history if seen is None else seen

    def block(rows: NDArray[np.int64]) -> Scores:
        return without(model.scores(csr_array(history[rows])), csr_array(known[rows]))

    return measure(block, _only(relevant, among), among=among)


def measure(
    scores: Callable[[NDArray[np.int64]], Scores],
    relevant: csr_array,
    *,
    among: NDArray[np.int64] | None = None,
) -> Measured:
    """Rank block by block and measure.

    Args:
        scores: from int64 row numbers to (rows, videos) scores, -inf for what must not be listed.
        relevant: (viewers, videos) what should be found.
        among: positions of the only videos that are ranked; all unless given.
    """
    viewers = np.flatnonzero(np.diff(relevant.indptr)).astype(np.int64)
    size = max(1, _BLOCK_CELLS // max(1, relevant.shape[1]))
    parts = [
        _measure_block(scores(rows), csr_array(relevant[rows]), among)
        for rows in (viewers[start : start + size] for start in range(0, len(viewers), size))
    ]
    ndcg, recall, lists = zip(*parts, strict=True) if parts else ((), (), ())
    return Measured(
        viewers=viewers,
        ndcg=np.concatenate([np.zeros(0), *ndcg]),
        recall=np.concatenate([np.zeros(0), *recall]),
        lists=np.concatenate([np.zeros((0, NDCG_AT), np.int32), *lists]),
        videos=relevant.shape[1] if among is None else len(among),
    )


def without(scores: Scores, seen: csr_array) -> Scores:
    """Set the scores of what each viewer has seen to -inf, in place; return the same array."""
    scores[np.repeat(np.arange(seen.shape[0]), np.diff(seen.indptr)), seen.indices] = -np.inf
    return scores


def top(scores: Scores, k: int) -> NDArray[np.int64]:
    """Best k columns of each row, best first; equal scores: lower column first.

    Args:
        scores: (rows, columns), -inf for what must not be listed.
        k: length of the lists.

    Returns:
        (rows, k), filled with -1 where a row has fewer than k finite scores.
    """
    rows, columns = scores.shape
    best = np.full((rows, k), -1, np.int64)
    if columns == 0 or k == 0:
        return best
    cut = max(0, columns - k)
    least: Scores = np.partition(scores, cut, axis=1)[:, cut]
    row, column = np.nonzero((scores >= least[:, None]) & (scores > -np.inf))
    order = np.lexsort((column, -scores[row, column], row))
    row, column = row[order], column[order]
    starts = np.searchsorted(row, np.arange(rows))
    position = np.arange(len(row)) - starts[row]
    kept = position < k
    best[row[kept], position[kept]] = column[kept]
    return best


def latest(matrix: csr_array, when: NDArray[np.float64]) -> csr_array:
    """Only each viewer's most recent video; equal times: lower video index.

    Args:
        matrix: (viewers, videos) binary, canonical.
        when: (stored values,) the order in time, such as Unix seconds.
    """
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    order = np.lexsort((matrix.indices, -when, rows))
    keep = np.zeros(matrix.nnz, np.bool_)
    keep[order[matrix.indptr[:-1][np.diff(matrix.indptr) > 0]]] = True
    return masked(matrix, keep)


def masked(matrix: csr_array, keep: NDArray[np.bool_]) -> csr_array:
    """Return the same shape with only the stored values that `keep` marks."""
    before = np.concatenate(([0], np.cumsum(keep)))
    parts = (matrix.data[keep], matrix.indices[keep], before[matrix.indptr])
    return csr_array(parts, shape=matrix.shape)


def size_class(users: int) -> str:
    """Class of an instance by its number of users: one of `SIZE_CLASSES`."""
    if users < 20:
        return SIZE_CLASSES[0]
    return SIZE_CLASSES[1] if users <= 100 else SIZE_CLASSES[2]


def _measure_block(
    scores: Scores, relevant: csr_array, among: NDArray[np.int64] | None
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int32]]:
    if among is not None:
        narrowed = np.full_like(scores, -np.inf)
        narrowed[:, among] = scores[:, among]
        scores = narrowed
    best = top(scores, RECALL_AT)
    ndcg, recall = quality(best, relevant)
    return ndcg, recall, best[:, :NDCG_AT].astype(np.int32)


def quality(best: NDArray[np.int64], relevant: csr_array) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return NDCG@10 and Recall@20 of lists, (n,) each; 0 where nothing is relevant.

    Args:
        best: (n, 20) videos, best first, -1 for none.
        relevant: (n, videos) what should be found.
    """
    wanted = np.diff(relevant.indptr)
    keys = np.repeat(np.arange(relevant.shape[0]), wanted) * relevant.shape[1] + relevant.indices
    hits = np.isin(np.arange(len(best))[:, None] * relevant.shape[1] + best, keys) & (best >= 0)
    gains = 1.0 / np.log2(np.arange(2, NDCG_AT + 2))
    ideal = np.concatenate(([0.0], np.cumsum(gains)))[np.minimum(wanted, NDCG_AT)]
    ndcg = hits[:, :NDCG_AT] @ gains / np.maximum(ideal, 1.0)
    return ndcg, hits.sum(axis=1) / np.clip(wanted, 1, RECALL_AT)


def _only(relevant: csr_array, among: NDArray[np.int64] | None) -> csr_array:
    return relevant if among is None else masked(relevant, np.isin(relevant.indices, among))


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if len(values) else float("nan")


def _standard_error(values: NDArray[np.float64]) -> float:
    return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else float("nan")
