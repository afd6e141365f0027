"""Made-up models and labels of any size, for tests and benchmarks of what happens after training."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from models.content import Content, ProfileWeights
from models.feature_vectors import feature_vectors
from models.features import Features
from models.item_scores import Factorized, Form, Sparse
from models.labels import Labels
from models.related_order import ContentLists, ItemLists
from models.trained import Recipe, TrainedModel
from models.words import title_words

_PROFILED = 64
"""Weights per item in profiles, as of a trained model."""
_BLOCK = 20_000


def made_model(
    videos: int = 60,
    items: int = 25,
    *,
    rank: int = 8,
    tags: int = 30,
    related: int = 12,
    seed: int = 0,
    channels: int = 7,
    form: Form = "factorized",
    kept: int = 10,
) -> TrainedModel:
    """A model with random numbers that fit each other as those of a trained one do.

    Its title words are those of `made_labels` of as many videos. Neighbours are drawn and not looked for, but
    how similar they are is true.
    """
    rng = np.random.default_rng(seed)
    features = _features(videos, tags, channels, rng)
    vectors = feature_vectors(features)
    rows = vectors.rows
    chosen = np.sort(rng.choice(videos, items, replace=False)).astype(np.int32)
    counts = rng.integers(5, 500, items)
    popularity = _popularity(videos, chosen, counts, rng)
    return TrainedModel(
        items=chosen,
        head_size=max(0, items - 3),
        counts=counts.astype(np.int32),
        audience=(counts // 50 * 50).astype(np.int32),
        scoring=_factorized(items, rank, rng) if form == "factorized" else _sparse(items, kept, rng),
        content_lists=_content_lists(rows, related, rng),
        related=_item_lists(rows, chosen, related, rng),
        content_weight=0.3,
        near_content=3.0,
        content=Content(
            offsets=rows.indptr.astype(np.int32),
            ids=rows.indices.astype(np.int32),
            weights=rows.data.astype(np.float32),
            starts=vectors.starts,
        ),
        tag_names=features.tag_names,
        word_hashes=vectors.word_hashes,
        profiles=_profiles(rows, chosen, rng),
        channel=features.channel,
        category=features.category,
        language=features.language,
        published=features.published,
        popularity=popularity,
        own_popularity=0.1,
        popular=np.argsort(-popularity, kind="stable")[: np.count_nonzero(popularity)].astype(np.int32),
        recipe=Recipe(rank=rank, form=form),
        ridge=3.0,
        seconds={"closed form": 0.5},
    )


def made_labels(videos: int = 60, *, channels: int = 7, nsfw: float = 0.0, seed: int = 0) -> Labels:
    """Labels as a catalogue of PeerTube would have them."""
    rng = np.random.default_rng(seed)
    uuids = [f"{number:08x}-0000-4000-8000-{number * 7919 % 2**48:012x}" for number in range(videos)]
    return Labels.pack(
        uuid=uuids,
        url=[f"https://videos.example/videos/watch/{uuid}" for uuid in uuids],
        title=made_titles(videos),
        nsfw=rng.random(videos) < nsfw,
        channels=[f"channel {number}" for number in range(channels)],
        categories=[f"category {number}" for number in range(4)],
        languages=["de", "en", "fr"],
    )


def made_titles(videos: int) -> list[str]:
    """Titles of usual length: two subjects, of which some are frequent, a number, and words that all have."""
    rng = np.random.default_rng(0)
    subjects = (rng.random((videos, 2)) ** 2 * max(2, videos // 5)).astype(np.int64).tolist()
    return [
        f"Subject{first} beside subject{second}, number {number} – ünïcode"
        for number, (first, second) in enumerate(subjects)
    ]


def _features(videos: int, tags: int, channels: int, rng: np.random.Generator) -> Features:
    lengths = np.minimum(rng.integers(0, 9, videos), tags)
    offsets = np.concatenate(([0], np.cumsum(lengths)))
    # Skewed like real tags; distinct within a video by stepping through the numbers.
    start = np.repeat((rng.random(videos) ** 3 * tags).astype(np.int64), lengths)
    step = np.arange(offsets[-1]) - np.repeat(offsets[:-1], lengths)
    tagged = csr_array(
        (np.ones(step.size, np.float32), (start + step) % max(tags, 1), offsets), shape=(videos, tags)
    )
    tagged.sort_indices()
    channel = rng.integers(-1, channels, videos).astype(np.int32)
    published = np.where(rng.random(videos) < 0.1, np.nan, rng.uniform(1.5e9, 1.7e9, videos))
    return Features(
        tags=tagged,
        tag_names=tuple(f"tag{number}" for number in range(tags)),
        channel=channel,
        category=rng.integers(-1, 4, videos).astype(np.int32),
        language=rng.integers(-1, 3, videos).astype(np.int32),
        published=published,
        views=np.zeros(videos, np.int64),
        words=title_words(made_titles(videos), channel, published),
    )


def _popularity(
    videos: int, items: NDArray[np.int32], counts: NDArray[np.int64], rng: np.random.Generator
) -> NDArray[np.float32]:
    """By viewers for items, and by public views for some other videos, fewer than 1,000 together."""
    others = np.setdiff1d(np.arange(videos), items)
    viewed = rng.permutation(others)[: min(videos // 6, max(0, 1000 - items.size))]
    popularity = np.zeros(videos)
    popularity[items] = counts / max(int(counts.max(initial=0)), 1)
    popularity[viewed] = rng.uniform(0.001, 0.1, viewed.size)
    return popularity.astype(np.float32)


def _factorized(items: int, rank: int, rng: np.random.Generator) -> Factorized:
    U, V = (rng.normal(size=(2, items, rank)) / np.sqrt(rank)).astype(np.float32)
    return Factorized(U, V)


def _sparse(items: int, kept: int, rng: np.random.Generator) -> Sparse:
    """`kept` weights in each column, none on the diagonal."""
    row = _neighbours(np.arange(items), items, kept, rng)
    column = np.broadcast_to(np.arange(items)[:, None], row.shape)[row >= 0]
    row = row[row >= 0]
    order = np.lexsort((column, row))
    offsets = np.concatenate(([0], np.cumsum(np.bincount(row, minlength=items))))
    weights = rng.normal(size=row.size).astype(np.float32)
    return Sparse(offsets.astype(np.int32), column[order].astype(np.int32), weights)


def _content_lists(rows: csr_array, length: int, rng: np.random.Generator) -> ContentLists:
    videos = rows.shape[0]
    near = _neighbours(np.arange(videos), videos, length, rng)
    scores = _similarity(rows, np.arange(videos), near)
    order = np.argsort(-scores, axis=1, kind="stable")
    near, scores = np.take_along_axis(near, order, axis=1), np.take_along_axis(scores, order, axis=1)
    return ContentLists(np.where(scores > 0, near, -1).astype(np.int32), scores)


def _item_lists(
    rows: csr_array, items: NDArray[np.int32], length: int, rng: np.random.Generator
) -> ItemLists:
    """Candidates of which two in three items have viewers in common with the seed; best ones first."""
    videos = _neighbours(items.astype(np.int64), rows.shape[0], length, rng)
    content = _similarity(rows, items.astype(np.int64), videos)
    engaged = np.isin(videos, items) & (rng.random(videos.shape) < 2 / 3)
    near, broad = (np.where(engaged, rng.random(videos.shape), 0.0) for _ in range(2))
    for part in (near, broad):
        part /= np.maximum(part.max(axis=1, initial=0.0, keepdims=True), 1e-9)
    users = np.where(engaged, rng.integers(5, 50, videos.shape), 0)
    key = np.where(videos >= 0, -np.maximum(near, broad) - 0.3 * content, np.inf)
    order = np.argsort(key, axis=1, kind="stable")
    parts = (np.take_along_axis(part, order, axis=1) for part in (videos, near, broad, content, users))
    videos, near, broad, content, users = parts
    return ItemLists(
        videos.astype(np.int32),
        near=near.astype(np.float32),
        broad=broad.astype(np.float32),
        content=content.astype(np.float32),
        users=users.astype(np.int32),
    )


def _profiles(rows: csr_array, items: NDArray[np.int32], rng: np.random.Generator) -> ProfileWeights:
    """What an item has counts most in what it says, and a little of anything else."""
    width = rows.shape[1]
    found = []
    for item in items.tolist():
        own = rows.indices[rows.indptr[item] : rows.indptr[item + 1]]
        more = rng.integers(0, width, max(0, min(_PROFILED, width) - own.size))
        ids = np.unique(np.concatenate((own, more)))
        weights = 0.02 * rng.normal(size=ids.size)
        weights[np.searchsorted(ids, own)] += 0.3 * rows.data[rows.indptr[item] : rows.indptr[item + 1]]
        found.append((ids, weights))
    offsets = np.concatenate(([0], np.cumsum([ids.size for ids, _ in found], dtype=np.int64)))
    return ProfileWeights(
        offsets.astype(np.int32),
        np.concatenate([np.zeros(0, np.int32), *(ids for ids, _ in found)]).astype(np.int32),
        np.concatenate([np.zeros(0), *(weights for _, weights in found)]).astype(np.float32),
    )


def _neighbours(
    seeds: NDArray[np.int64], videos: int, length: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """(seeds, length) distinct videos that are never the seed itself, padded with -1."""
    width = min(length, max(videos - 1, 0))
    found = np.full((seeds.size, length), -1)
    if width:
        hop = rng.integers(0, videos - 1, (seeds.size, 1)) + np.arange(width) * ((videos - 1) // width)
        found[:, :width] = (seeds[:, None] + hop % (videos - 1) + 1) % videos
    return found


def _similarity(rows: csr_array, seeds: NDArray[np.int64], others: NDArray[np.int64]) -> NDArray[np.float32]:
    found = np.zeros(others.shape, np.float32)
    for first in range(0, others.size, _BLOCK):
        place = np.arange(first, min(first + _BLOCK, others.size))
        pair = seeds[place // others.shape[1]], others.ravel()[place]
        same = np.asarray(rows[pair[0]].multiply(rows[pair[1]]).sum(axis=1)).ravel()
        found.ravel()[place] = np.where(pair[1] >= 0, same, 0.0)
    return found
