"""Related videos, one list per video: who else engaged with what, mixed with what the videos have in common.

For an item the score of another video is

    co-engagement / (best co-engagement of this item)  +  0.3 * content similarity,

co-engagement being the item's row of a second closed form with a much larger ridge. Without pseudo-users, so
that this part is made of viewers alone. lambda = 100 is a choice between two kinds of good. The larger, the
more of what people watch anyway: NDCG@10 from one seed video is 0.376 / 0.413 on anime-5k and 0.367 / 0.399
on ml-latest-small with 100 / 300, but 1000 finds little beside the most popular 2 % of the videos (0.119 and
0.051 outside them, against 0.146 and 0.076 with 300). The smaller, the more a list is about its seed: beside
Toy Story, 300 puts Forrest Gump first, 100 Toy Story 2. A list of related videos is there to be about
something; what everybody watches is one click away already.

A pair of fewer than `min_users` users has no co-engagement part, whoever the users are: in the cohort's head
the sum over the cohort counts, elsewhere the instance's own users. Videos that are no items have content
similarity alone, weight 1. Ties: newest first, then lower position.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch import Tensor

_BLOCK = 256
_POSTINGS = 1000
_SHORTLIST = 3
# Far below any difference of scores that means something, far above the rounding of float64.
_NEWNESS = 1e-6


@dataclass(frozen=True)
class Lists:
    """Related videos of every video, best first, padded with -1 and 0."""

    videos: NDArray[np.int32]
    """(videos, k)"""
    scores: NDArray[np.float32]
    """(videos, k)"""


@dataclass(frozen=True)
class CoEngagement:
    """The viewers' part of the lists of items, in the order of the lists."""

    scores: NDArray[np.float32]
    """(m, k)"""
    users: NDArray[np.int32]
    """(m, k)"""


def newness(published: NDArray[np.float64]) -> NDArray[np.int64]:
    """(videos,) rank by publication, 0 = newest; unknown dates last, ties: lower position first."""
    when = np.where(np.isnan(published), -np.inf, published)
    rank = np.empty(when.size, dtype=np.int64)
    rank[np.lexsort((np.arange(when.size), -when))] = np.arange(when.size)
    return rank


def content_lists(content: csr_array, published: NDArray[np.float64], *, length: int) -> Lists:
    """Nearest videos by content similarity, for every row of `content`, (videos, features) float32.

    Candidates come from inverted lists cut to the newest 1,000 videos per feature, because a tag on a tenth
    of a large catalogue tells little and costs its square; the scores of the shortlisted are exact.
    """
    size = content.shape[0]
    rank = newness(published)
    order = np.argsort(rank)
    postings = _postings(content, order)
    videos = np.full((size, length), -1, dtype=np.int32)
    scores = np.zeros((size, length), dtype=np.float32)
    shortlist = _SHORTLIST * length
    for first in range(0, size, _BLOCK):
        rows = np.arange(first, min(first + _BLOCK, size))
        found = csr_array(content[rows] @ postings)
        seed, place = _shortlist(found, rank[rows], shortlist)
        seed, other = rows[seed], order[place]
        exact = np.asarray(content[seed].multiply(content[other]).sum(axis=1)).ravel()
        _fill(videos, scores, seed, other, exact, rank)
    return Lists(videos, scores)


def mix(
    lists: Lists,
    items: NDArray[np.int64],
    weights: Tensor,
    gram: NDArray[np.float64],
    content: csr_array,
    published: NDArray[np.float64],
    *,
    min_users: int,
    content_weight: float,
) -> tuple[Lists, CoEngagement]:
    """Replace the lists of items by co-engagement mixed with content.

    `items` are m catalogue positions, `weights` the (m, m) closed form for related videos, `gram` the (m, m)
    numbers of users per pair. Returns new lists; those of other videos are unchanged.
    """
    length = lists.videos.shape[1]
    rank = newness(published)
    videos, scores = lists.videos.copy(), lists.scores.copy()
    videos[items], scores[items] = -1, 0.0
    chosen = content[items]
    across = csr_array(chosen.T.tocsr())
    is_item = np.zeros(videos.shape[0], dtype=np.bool_)
    is_item[items] = True
    engaged = np.zeros((items.size, length), dtype=np.float32)
    users = np.zeros((items.size, length), dtype=np.int32)
    place = np.full(videos.shape[0], -1)
    place[items] = np.arange(items.size)
    for first in range(0, items.size, _BLOCK):
        rows = np.arange(first, min(first + _BLOCK, items.size))
        together = co_engagement(weights[first : first + rows.size].numpy(), gram[rows], rows, min_users)
        total = together + content_weight * (chosen[rows] @ across).toarray()
        total[np.arange(rows.size), rows] = 0.0
        seed, other = _best(total, rank[items], length)
        near = lists.videos[items[rows]]
        outside = (near >= 0) & ~is_item[near]
        seeds = items[rows][np.concatenate((seed, np.nonzero(outside)[0]))]
        others = np.concatenate((items[other], near[outside].astype(np.int64)))
        value = np.concatenate((total[seed, other], content_weight * lists.scores[items[rows]][outside]))
        _fill(videos, scores, seeds, others, value, rank)
        listed = videos[items[rows]]
        column = np.where(listed >= 0, place[listed], -1)
        known = column >= 0
        engaged[rows] = np.where(known, np.take_along_axis(together, np.maximum(column, 0), axis=1), 0.0)
        pair = np.take_along_axis(gram[rows], np.maximum(column, 0), axis=1)
        users[rows] = np.where(engaged[rows] > 0, pair, 0).astype(np.int32)
    return Lists(videos, scores), CoEngagement(engaged, users)


def co_engagement(
    weights: NDArray[np.float64], gram: NDArray[np.float64], rows: NDArray[np.int64], min_users: int
) -> NDArray[np.float64]:
    """Co-engagement part of the given rows, (len(rows), m): 1 for an item's best partner, 0 for none.

    Zero are pairs of fewer than `min_users` users, negative weights, and an item with itself.
    """
    allowed = np.where((gram >= min_users) & (weights > 0), weights, 0.0)
    allowed[np.arange(rows.size), rows] = 0.0
    best = allowed.max(axis=1, initial=0.0, keepdims=True)
    return allowed / np.where(best > 0, best, 1.0)


def _postings(content: csr_array, order: NDArray[np.int64]) -> csr_array:
    """(features, videos newest first): per feature its newest videos only."""
    inverted = csr_array(content[order].T.tocsr())
    inverted.sort_indices()
    place = np.arange(inverted.nnz) - np.repeat(inverted.indptr[:-1], np.diff(inverted.indptr))
    keep = place < _POSTINGS
    before = np.concatenate(([0], np.cumsum(keep)))
    arrays = (inverted.data[keep], inverted.indices[keep], before[inverted.indptr])
    return csr_array(arrays, shape=inverted.shape)


def _shortlist(
    found: csr_array, itself: NDArray[np.int64], length: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows and columns of the best `length` stored values per row, column `itself` of the row excepted."""
    seeds, places = [], []
    for row in range(found.shape[0]):
        span = slice(found.indptr[row], found.indptr[row + 1])
        column, value = found.indices[span], found.data[span].astype(np.float64)
        value -= _NEWNESS * column / found.shape[1]
        value[column == itself[row]] = -1.0
        if value.size > length:
            top = np.argpartition(-value, length)[:length]
            column, value = column[top], value[top]
        places.append(column[value > 0])
        seeds.append(np.full(places[-1].size, row))
    return np.concatenate(seeds).astype(np.int64), np.concatenate(places).astype(np.int64)


def _best(
    total: NDArray[np.float64], rank: NDArray[np.int64], length: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Row and column numbers of the best `length` positive values per row."""
    key = np.where(total > 0, total - _NEWNESS * rank / max(int(rank.max(initial=0)), 1), -1.0)
    width = min(length, total.shape[1])
    top = np.argpartition(-key, width - 1, axis=1)[:, :width]
    row = np.repeat(np.arange(total.shape[0]), width)
    keep = total[row, top.ravel()] > 0
    return row[keep], top.ravel()[keep]


def _fill(
    videos: NDArray[np.int32],
    scores: NDArray[np.float32],
    seed: NDArray[np.int64],
    other: NDArray[np.int64],
    value: NDArray[np.floating],
    rank: NDArray[np.int64],
) -> None:
    """Write the best candidates of every seed into its list, in the order that the lists promise."""
    value = value.astype(np.float32)
    order = np.lexsort((rank[other], -value, seed))
    seed, other, value = seed[order], other[order], value[order]
    place = np.arange(seed.size) - np.searchsorted(seed, seed)
    keep = place < videos.shape[1]
    videos[seed[keep], place[keep]] = other[keep]
    scores[seed[keep], place[keep]] = value[keep]
