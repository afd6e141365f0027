"""What goes into training and what comes out: plain data, so that storing and serving need no torch."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from models.content import Content, ProfileWeights
from models.features import Features
from models.item_scores import Factorized, Form, Sparse
from models.related_order import ContentLists, ItemLists
from models.released import Released


@dataclass(frozen=True)
class TrainingData:
    """Everything an instance trains from. Raises ValueError when a head does not lie in the catalogue.

    There is no place here for exact numbers of own viewers: what is trained is seen by everybody.
    """

    features: Features
    own: Released | None
    """This instance's own release; None where it has none."""
    others: Released | None
    """Sum over the other instances. Its head, positions in the catalogue, comes first among the items."""

    def __post_init__(self) -> None:
        """Check positions."""
        for released in (self.own, self.others):
            head = np.zeros(0, np.int64) if released is None else released.statistic.head
            if head.size and (head[0] < 0 or head[-1] >= self.features.videos):
                raise ValueError("the head of a release must lie within the catalogue")

    @property
    def viewers(self) -> float:
        """How many viewers are behind the numbers, as released."""
        return sum(one.most for one in (self.own, self.others) if one is not None)


@dataclass(frozen=True)
class Recipe:
    """Settings of one training run; two runs with equal data, recipe and machine give equal bytes."""

    form: Form | None = None
    """In which the item model is served; None: by the number of viewers (`models.problem.default_form`)."""
    rank: int = 256
    """Width of the factorization; at most the number of items."""
    kept: int = 200
    """Weights per column of the sparse form."""
    min_pair_users: float = 0.5
    """Viewers that a pair needs, by what is estimated of it, to be in a related list by co-engagement, where
    its noise asks for no more (`models.related.STANDING`)."""
    max_items: int = 8192
    """Cap of all items together; the most watched stay."""
    ridge: float = 0.0
    """Weight of the ridge, in multiples of the mean diagonal of the Gram matrix; 0: by the number of viewers
    (`models.problem.default_ridge`)."""
    alpha: float = 0.3
    """Weight of the pseudo-viewers made of tags and title words, in the same unit."""
    related_near: float = 30.0
    """Ridge weight of the solve for what is near a video, in the same unit."""
    related_broad: float = 300.0
    """Ridge weight of the solve for what is broadly liked beside it, in the same unit."""
    related_content_weight: float = 0.3
    """Weight of the content similarity beside co-engagement in related lists."""
    related_length: int = 60
    """Candidates per related list of an item."""
    content_length: int = 40
    """Videos per content list."""
    seed: int = 0
    threads: int = 1
    """Threads of the dense algebra; part of what results depend on, to the last bit."""
    keep_closed_form: bool = False
    """Hand over the closed form too, the yardstick of the factorization."""


@dataclass(frozen=True)
class TrainedModel:
    """Arrays of a finished model; "items" are the videos that the item model covers.

    Scores of a viewer are `scoring.scores(history)` over items; the history itself is excluded by the ranker.
    """

    items: NDArray[np.int32]
    """(m,) catalogue positions: first the others' head, ascending, then what is in its own release alone."""
    head_size: int
    """How many of the items are in the others' head."""
    counts: NDArray[np.int32]
    """(m,) viewers engaged with each item, as released, rounded: of the whole cohort where the others summed
    it."""
    audience: NDArray[np.int32]
    """(m,) viewers engaged with each item, at least about so many; 0 where the noise leaves it open."""
    scoring: Factorized | Sparse
    """Scores over items, in one of the forms of `models.item_scores`."""
    content_lists: ContentLists
    """Nearest videos of every video by content."""
    related: ItemLists
    """Candidates for the related lists of items."""
    content_weight: float
    """Weight of the content similarity in the related lists of items."""
    near_content: float
    """How much more it weighs for what is near a video (`models.related_order`)."""
    content: Content
    """Features of every video."""
    tag_names: tuple[str, ...]
    word_hashes: NDArray[np.int64]
    """(words,) the hash of each title word among the features, ascending."""
    profiles: ProfileWeights
    """What each item of a history says about features."""
    channel: NDArray[np.int32]
    """(videos,) -1 unknown; `category` and `language` likewise."""
    category: NDArray[np.int32]
    language: NDArray[np.int32]
    published: NDArray[np.float64]
    """(videos,) Unix seconds, nan unknown."""
    popularity: NDArray[np.float32]
    """(videos,) shares of the most popular video (`models.popularity`)."""
    own_popularity: float
    """Weight of popularity in a viewer's own list, where the best score is 1."""
    popular: NDArray[np.int32]
    """(p,) catalogue positions, most popular first: what lists are filled up with."""
    recipe: Recipe
    ridge: float
    """In multiples of the mean diagonal, as in the recipe."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Wall time per phase."""
    closed_form: NDArray[np.float32] | None = None
    """(m, m) closed-form item weights with zero diagonal, `scores = x @ closed_form`; only on request."""
