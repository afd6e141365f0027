"""Related videos, one list per video: who else engaged with what, mixed with what the videos have in common.

For an item, another video has two scores,

    co-engagement / (best co-engagement of this item)  +  0.3 * content similarity  +  b * popularity,

co-engagement being the item's row of a closed form with a ridge much larger than that for next videos, and
without pseudo-viewers, so that this part is made of viewers alone. The ridge is a choice between two kinds of
good: the larger, the more of what people watch anyway; the smaller, the more a list is about its seed. So
there are two of them, and the list takes turns (`models.related_order`): a place for what is *near*, the next
for what is *broadly* liked. b moves a list from what everybody knows to what few have seen. It also keeps
lists going where pairs are too thin to say anything.

A pair of which fewer than `min_users` viewers are estimated, or that does not stand out of its noise, has no
co-engagement. Videos that are no items
have content similarity alone. Ties: newest first, then lower position. What each part is worth:
`docs/lists.md`.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch import Tensor

from models.problem import at_least
from models.related_order import POPULARITY_WEIGHTS, ContentLists, ItemLists

STANDING: Final = 0.7
"""Standard deviations of its noise that a pair needs, by what is estimated of it. With fewer, made-up
accounts that ask for many lists find more of a stranger's history (docs/privacy.md); with none, NDCG@10 of
what is watched next is the same on ml-latest-small, and 5 % higher where viewers have watched 12 videos."""
OF_A_CHANNEL: Final = 5
"""Videos of one channel in a content list."""
_BLOCK = 256
_POSTINGS = 1000
_SHORTLIST = 3
# Far below any difference of scores that means something, far above the rounding of float64.
_NEWNESS = 1e-6


def newness(published: NDArray[np.float64]) -> NDArray[np.int64]:
    """(videos,) rank by publication, 0 = newest; unknown dates last, ties: lower position first."""
    when = np.where(np.isnan(published), -np.inf, published)
    rank = np.empty(when.size, dtype=np.int64)
    rank[np.lexsort((np.arange(when.size), -when))] = np.arange(when.size)
    return rank


def content_lists(
    content: csr_array, published: NDArray[np.float64], channel: NDArray[np.int32], *, length: int
) -> ContentLists:
    """Nearest videos by content similarity, for every row of `content`, (videos, features) float32.

    Of a channel at most `OF_A_CHANNEL`: nobody fills a list with titles like that of another video.

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
        kept = _few_of_a_channel(seed, exact, channel[other], rank[other])
        seed, other, exact = seed[kept], other[kept], exact[kept]
        _fill(videos, scores, seed, other, exact, rank)
    return ContentLists(videos, scores)


def item_lists(
    lists: ContentLists,
    items: NDArray[np.int64],
    near: Tensor,
    broad: Tensor,
    gram: NDArray[np.float64],
    deviation: NDArray[np.float64],
    popularity: NDArray[np.float32],
    content: csr_array,
    published: NDArray[np.float64],
    *,
    min_users: float,
    content_weight: float,
    near_content: float,
    length: int,
) -> ItemLists:
    """Choose `length` candidates for the list of each item, for every weight of popularity.

    `items` are m catalogue positions, `near` and `broad` the (m, m) closed forms, `gram` the (m, m) estimated
    viewers per pair, `deviation` their (m,) `pair_deviation`, `popularity` (m,) as in `models.popularity`.
    """
    rank = newness(published)
    size, columns = items.size, rank.size
    found = ItemLists(
        np.full((size, length), -1, np.int32),
        near=np.zeros((size, length), np.float32),
        broad=np.zeros((size, length), np.float32),
        content=np.zeros((size, length), np.float32),
        users=np.zeros((size, length), np.int32),
    )
    chosen = content[items]
    across = csr_array(chosen.T.tocsr())
    place = np.full(columns, -1)
    place[items] = np.arange(size)
    for first in range(0, size, _BLOCK):
        rows = np.arange(first, min(first + _BLOCK, size))
        inner = np.arange(rows.size)
        least = np.maximum(min_users, STANDING * np.minimum(deviation[rows][:, None], deviation))
        by_near, by_broad = (
            co_engagement(weights[first : first + rows.size].numpy(), gram[rows], rows, least)
            for weights in (near, broad)
        )
        alike = np.asarray((chosen[rows] @ across).toarray(), np.float64)
        best = np.full((rows.size, size), np.inf)
        for weight in POPULARITY_WEIGHTS.values():
            for together, more in ((by_near, near_content), (by_broad, 1.0)):
                total = together + more * content_weight * alike + weight * popularity
                total[inner, rows] = 0.0
                seed, other, at = _best(total, rank[items], length)
                best[seed, other] = np.minimum(best[seed, other], at)
        nearest = lists.videos[items[rows]]
        outside = (nearest >= 0) & (place[nearest] < 0)
        seed, at = np.nonzero(outside)
        within = np.nonzero(np.isfinite(best))
        seeds = np.concatenate((within[0], seed))
        others = np.concatenate((items[within[1]], nearest[seed, at].astype(np.int64)))
        keep, where = _first(seeds, np.concatenate((best[within], at)), rank[others], length)
        seeds, others = seeds[keep], others[keep]
        column = np.maximum(place[others], 0)
        known = place[others] >= 0
        target = (rows[seeds], where)
        found.videos[target] = others
        for part, values in ((found.near, by_near), (found.broad, by_broad)):
            part[target] = np.where(known, values[seeds, column], 0.0)
        found.content[target] = np.where(known, alike[seeds, column], 0.0)
        beside = np.flatnonzero(~known)
        if beside.size:
            pairs = content[items[rows[seeds[beside]]]].multiply(content[others[beside]])
            found.content[rows[seeds[beside]], where[beside]] = np.asarray(pairs.sum(axis=1)).ravel()
        noise = np.minimum(deviation[rows[seeds]], deviation[column])
        told = at_least(gram[rows[seeds], column], noise)
        engaged = known & (by_near[seeds, column] + by_broad[seeds, column] > 0)
        found.users[target] = np.where(engaged, told, 0)
    return found


def co_engagement(
    weights: NDArray[np.floating],
    gram: NDArray[np.float64],
    rows: NDArray[np.int64],
    least: float | NDArray[np.float64],
) -> NDArray[np.float64]:
    """Co-engagement part of the given rows, (len(rows), m): 1 for an item's best partner, 0 for none.

    Zero are pairs of fewer than `least` viewers, negative weights, and an item with itself.
    """
    allowed = np.where((gram >= least) & (weights > 0), weights, 0.0)
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
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Rows, columns and places of the best `length` positive values per row."""
    key = np.where(total > 0, total - _NEWNESS * rank / max(int(rank.max(initial=0)), 1), -1.0)
    width = min(length, total.shape[1])
    top = np.argpartition(-key, width - 1, axis=1)[:, :width]
    order = np.argsort(-np.take_along_axis(key, top, axis=1), axis=1, kind="stable")
    top = np.take_along_axis(top, order, axis=1)
    row = np.repeat(np.arange(total.shape[0]), width)
    place = np.tile(np.arange(width), total.shape[0])
    keep = total[row, top.ravel()] > 0
    return row[keep], top.ravel()[keep], place[keep]


def _first(
    seed: NDArray[np.int64], place: NDArray[np.float64], rank: NDArray[np.int64], length: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return which candidates stay, `length` per seed by their best place, and the column of each."""
    order = np.lexsort((rank, place, seed))
    column = np.arange(seed.size) - np.searchsorted(seed[order], seed[order])
    kept = column < length
    return order[kept], column[kept]


def _few_of_a_channel(
    seed: NDArray[np.int64], value: NDArray[np.floating], channel: NDArray[np.int32], rank: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return which candidates are among the best of their channel, or of no known one."""
    order = np.lexsort((rank, -value, channel, seed))
    group = seed[order] * (int(channel.max(initial=0)) + 2) + channel[order] + 1
    place = np.arange(order.size) - np.searchsorted(group, group)
    return order[(place < OF_A_CHANNEL) | (channel[order] < 0)]


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
