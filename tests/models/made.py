"""Made-up models and labels of any size, for tests and benchmarks of what happens after training."""

from __future__ import annotations

import numpy as np

from models.labels import Labels
from models.trained import Recipe, TrainedModel


def made_model(
    videos: int = 60,
    items: int = 25,
    *,
    rank: int = 8,
    tags: int = 30,
    related: int = 12,
    seed: int = 0,
    channels: int = 7,
) -> TrainedModel:
    """A model with random numbers that fit each other as those of a trained one do."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(0, 9, videos)
    lengths = np.minimum(lengths, tags)
    offsets = np.concatenate(([0], np.cumsum(lengths))).astype(np.int32)
    # Skewed like real tags; distinct within a video by stepping through the numbers.
    start = np.repeat((rng.random(videos) ** 3 * tags).astype(np.int64), lengths)
    step = np.arange(offsets[-1]) - np.repeat(offsets[:-1], lengths)
    rows = np.repeat(np.arange(videos), lengths)
    ids = (start + step) % tags
    order = np.lexsort((ids, rows))
    weights = rng.random(offsets[-1]) + 0.1
    norms = np.sqrt(np.bincount(rows, weights**2, videos))
    co = np.sort(rng.random((items, related)).astype(np.float32), axis=1)[:, ::-1]
    co[:, related // 2 :] = 0
    scores = np.sort(rng.random((videos, related)).astype(np.float32) * 0.2, axis=1)[:, ::-1]
    chosen = np.sort(rng.choice(videos, items, replace=False)).astype(np.int32)
    scores = scores.copy()
    scores[chosen] += co
    # Distinct neighbours that are never the video itself.
    hop = np.argsort(rng.random((videos, min(videos - 1, 4 * related))), axis=1)[:, :related] + 1
    neighbours = (np.arange(videos)[:, None] + hop) % videos
    U, V = (rng.normal(size=(2, items, rank)) / np.sqrt(rank)).astype(np.float32)
    return TrainedModel(
        items=chosen,
        head_size=max(0, items - 3),
        counts=rng.integers(5, 500, items).astype(np.int32),
        U=U,
        V=V,
        diagonal=np.einsum("ij,ij->i", U, V),
        related_videos=neighbours.astype(np.int32),
        related_scores=scores,
        related_coengagement=co,
        related_users=np.where(co > 0, rng.integers(5, 50, co.shape), 0).astype(np.int32),
        content_weight=0.3,
        tag_offsets=offsets,
        tag_ids=ids[order].astype(np.int32),
        tag_weights=(weights / norms[rows])[order].astype(np.float32),
        tag_names=tuple(f"tag{number}" for number in range(tags)),
        channel=rng.integers(-1, channels, videos).astype(np.int32),
        category=rng.integers(-1, 4, videos).astype(np.int32),
        language=rng.integers(-1, 3, videos).astype(np.int32),
        same_channel=0.5,
        same_category=0.1,
        same_language=0.05,
        published=np.where(rng.random(videos) < 0.1, np.nan, rng.uniform(1.5e9, 1.7e9, videos)),
        recipe=Recipe(rank=rank),
        chosen_lambda=3.0,
        chosen_alpha=0.1,
        quality={"lambda=3 alpha=0.1": 0.3},
        seconds={"closed form": 0.5},
    )


def made_labels(videos: int = 60, *, channels: int = 7, nsfw: float = 0.0, seed: int = 0) -> Labels:
    """Labels as a catalogue of PeerTube would have them."""
    rng = np.random.default_rng(seed)
    uuids = [f"{number:08x}-0000-4000-8000-{number * 7919 % 2**48:012x}" for number in range(videos)]
    return Labels.pack(
        uuid=uuids,
        url=[f"https://videos.example/videos/watch/{uuid}" for uuid in uuids],
        title=[f"A title of usual length, number {number} – ünïcode" for number in range(videos)],
        nsfw=rng.random(videos) < nsfw,
        channels=[f"channel {number}" for number in range(channels)],
        categories=[f"category {number}" for number in range(4)],
        languages=["de", "en", "fr"],
    )
