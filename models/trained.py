"""What goes into training and what comes out: plain data, so that storing and serving need no torch."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from models.features import Features
from models.interactions import Interactions
from models.noise import NO_NOISE, SumNoise
from models.statistics import Statistic


@dataclass(frozen=True)
class TrainingData:
    """Everything an instance trains from. Raises ValueError when the parts disagree about the catalogue."""

    features: Features
    own: Interactions
    """(users, videos) over the whole catalogue."""
    others: Statistic | None
    """Sum over the other instances, own users not in it; its head (positions in the catalogue, chosen from
    the counts of the whole cohort) becomes the head of the model. None: local only, head from the instance's
    own counts."""
    noise: SumNoise = NO_NOISE
    """That `others` carries; training takes out what it can."""

    def __post_init__(self) -> None:
        """Check shapes and positions."""
        if self.own.videos != self.features.videos:
            raise ValueError("interactions and features must describe the same catalogue")
        head = self.others.head if self.others is not None else np.zeros(0, np.int64)
        if head.size and (head[0] < 0 or head[-1] >= self.own.videos):
            raise ValueError("the head of the others' sum must lie within the catalogue")


@dataclass(frozen=True)
class Recipe:
    """Settings of one training run; two runs with equal data, recipe and machine give equal bytes."""

    rank: int = 256
    """Width of the factorization; at most the number of items."""
    min_users: int = 5
    """Users a video needs for the local head and for the instance's own tail."""
    min_pair_users: int = 5
    """Users a pair needs: pairs that rest on own users alone never enter the model below it, and no pair
    enters a related list by co-engagement below it. 1 switches the rule off, for evaluation."""
    max_head: int = 4096
    """Cap of the local head; the head of a cohort comes with its sum."""
    max_items: int = 8192
    """Cap of head and own tail together."""
    lambdas: tuple[float, ...] = (1.0, 3.0, 10.0, 30.0)
    """Candidate ridge weights, in multiples of the mean diagonal of the Gram matrix."""
    alphas: tuple[float, ...] = (0.0, 0.3, 1.0)
    """Candidate weights of the pseudo-users made of tags, in the same unit."""
    default_alpha: float = 0.3
    """Weight of the pseudo-users where the held-out part is too small to choose."""
    held_out: float = 0.1
    """Part of the instance's own interactions held out to choose lambda and alpha."""
    min_validation_users: int = 50
    """With fewer own users that have held-out interactions, defaults are used instead of a choice."""
    max_validation_users: int = 2000
    """Own users that the choice is made on, at most."""
    related_lambda: float = 100.0
    """Ridge weight of the second solve, for related videos, in the same unit."""
    related_tag_weight: float = 0.3
    """Weight of the content similarity beside co-engagement in related lists."""
    related_length: int = 40
    """Videos per related list."""
    seed: int = 0
    threads: int = 1
    """Threads of the dense algebra; part of what results depend on, to the last bit."""
    keep_closed_form: bool = False
    """Hand over the closed form too, the yardstick of the factorization."""


@dataclass(frozen=True)
class TrainedModel:
    """Arrays of a finished model; "items" are the videos that the matrix model covers.

    Scores of a viewer are `x @ U @ V.T` over items, with `x` the binary history over items. The history
    itself is excluded by the ranker; `diagonal` is the score an item would give itself, for exact zero
    self-similarity.
    """

    items: NDArray[np.int32]
    """(m,) catalogue positions: first the head, ascending, then the instance's own tail, ascending."""
    head_size: int
    """How many of the items are head."""
    counts: NDArray[np.int32]
    """(m,) users engaged with each item: of the whole cohort in the head, own users in the tail. From a sum
    with noise, an estimate."""
    U: NDArray[np.float32]
    """(m, rank) history side."""
    V: NDArray[np.float32]
    """(m, rank) recommended side."""
    diagonal: NDArray[np.float32]
    """(m,) diagonal of U V^T."""
    related_videos: NDArray[np.int32]
    """(videos, k) catalogue positions, best first, -1 padded, never the video itself."""
    related_scores: NDArray[np.float32]
    """(videos, k) score, 0 where padded: co-engagement part plus `content_weight` times content
    similarity."""
    related_coengagement: NDArray[np.float32]
    """(m, k) the part of `related_scores[items[i]]` that comes from co-engagement; 0 where there is none.
    Videos that are no items have none at all."""
    related_users: NDArray[np.int32]
    """(m, k) users engaged with both videos, where the co-engagement part is positive; else 0. From a sum
    with noise, an estimate."""
    content_weight: float
    """Weight of the content similarity in the related lists of items; videos that are no items use weight
    1."""
    tag_offsets: NDArray[np.int32]
    """(videos + 1,) where the tags of each video start in `tag_ids`; a CSR index."""
    tag_ids: NDArray[np.int32]
    """(stored tags,) tag numbers, ascending within a video."""
    tag_weights: NDArray[np.float32]
    """(stored tags,) idf weights, of length 1 per video: the dot product of two videos is their tag
    cosine."""
    tag_names: tuple[str, ...]
    channel: NDArray[np.int32]
    """(videos,) -1 unknown; `category` and `language` likewise."""
    category: NDArray[np.int32]
    language: NDArray[np.int32]
    same_channel: float
    """Content similarity = tag cosine + these three constants where both are known and equal."""
    same_category: float
    same_language: float
    published: NDArray[np.float64]
    """(videos,) Unix seconds, nan unknown."""
    recipe: Recipe
    chosen_lambda: float
    """In multiples of the mean diagonal, as in the recipe."""
    chosen_alpha: float
    quality: dict[str, float] = field(default_factory=dict)
    """NDCG@10 on the held-out part per candidate tried, as "lambda=3 alpha=0.3"; empty when defaults were
    used."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Wall time per phase."""
    noise: SumNoise = NO_NOISE
    """That the others' sum carried."""
    closed_form: NDArray[np.float32] | None = None
    """(m, m) closed-form item weights with zero diagonal, `scores = x @ closed_form`; only on request."""
