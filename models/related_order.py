"""The order of related videos: turns between what is near and what is broadly liked, by one knob.

Candidates and their parts are stored with the model (`models.related`); the order is made when somebody asks,
because each viewer may turn the knob. Imports numpy only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

Discovery = Literal["familiar", "balanced", "explore"]
"""How far lists lead away from what everybody watches."""
DISCOVERY: Final[tuple[Discovery, ...]] = get_args(Discovery)
POPULARITY_WEIGHTS: Final[Mapping[Discovery, float]] = {"familiar": 0.3, "balanced": 0.1, "explore": 0.02}
"""Weight of popularity in related lists. Never nothing: it keeps lists going where pairs are too thin."""

NEAR_CONTENT, NEAR_CONTENT_IN_NOISE = 3.0, 5.0
"""How much more content weighs for what is near a video than for what is broadly liked beside it: noisy
numbers say less about the same subject. NDCG@10 on ml-latest-small of what is watched next and of the less
seen, by 1, 3 and 5: .070 .063, .069 .066, .069 .067 with exact numbers; .059 .022, .060 .024, .059 .028 with
noise."""


@dataclass(frozen=True)
class ContentLists:
    """Nearest videos of every video by content similarity, best first, padded with -1 and 0."""

    videos: NDArray[np.int32]
    """(videos, k)"""
    scores: NDArray[np.float32]
    """(videos, k)"""


@dataclass(frozen=True)
class ItemLists:
    """Candidates for the lists of items, padded with -1 and 0; `in_turns` orders them."""

    videos: NDArray[np.int32]
    """(m, k)"""
    near: NDArray[np.float32]
    """(m, k) co-engagement by the smaller ridge, 1 for an item's best partner."""
    broad: NDArray[np.float32]
    """(m, k) the same by the larger one."""
    content: NDArray[np.float32]
    """(m, k) content similarity."""
    users: NDArray[np.int32]
    """(m, k) at least about so many viewers of both (`models.problem.at_least`); 0 without co-engagement."""


@dataclass(frozen=True)
class Related:
    """Videos related to one, best first, and the parts of each one's score.

    Attributes:
        videos: (n,) int64 catalogue positions.
        together: (n,) float64, what co-engagement adds, by the turn that the video has.
        content: (n,) what tags, words, channel, category and language in common add.
        popularity: (n,) what being watched by many adds.
        users: (n,) int64, at least about so many viewers of both; 0 where the noise leaves it open.
    """

    videos: NDArray[np.int64]
    together: NDArray[np.float64]
    content: NDArray[np.float64]
    popularity: NDArray[np.float64]
    users: NDArray[np.int64]


@dataclass(frozen=True)
class LeftOut:
    """Parts of the scores that do not count, to see what they are worth.

    Attributes:
        together: co-engagement.
        popularity: being watched by many.
        alike: content similarity to take off, (n,) float64, of (n,) catalogue positions; None for none.
    """

    together: bool = False
    popularity: bool = False
    alike: Callable[[NDArray[np.int64]], NDArray[np.float64]] | None = None

    def similarity(self, videos: NDArray[np.int64], scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return what is left of the content similarity of some videos, (n,), never below nothing."""
        return scores if self.alike is None else np.maximum(scores - self.alike(videos), 0.0)


NOTHING: Final = LeftOut()


def related_to(
    items: ItemLists,
    content: ContentLists,
    row: int,
    video: int,
    popularity: NDArray[np.float32],
    *,
    content_weight: float,
    near_content: float,
    popularity_weight: float,
    leave_out: LeftOut = NOTHING,
) -> Related:
    """Order what is related to a video.

    Args:
        items: candidates of items.
        content: nearest videos of every video.
        row: the video's row among the items, -1 where it is none.
        video: its catalogue position.
        popularity: (videos,) as in `models.popularity`.
        content_weight: as the model was trained with.
        near_content: likewise.
        popularity_weight: one of `POPULARITY_WEIGHTS`.
        leave_out: parts that do not count.
    """
    popularity_weight = 0.0 if leave_out.popularity else popularity_weight
    if row < 0:
        listed = content.videos[video]
        videos = listed[listed >= 0].astype(np.int64)
        alike = content.scores[video, : videos.size].astype(np.float64)
        alike = content_weight * leave_out.similarity(videos, alike)
        known = popularity_weight * popularity[videos].astype(np.float64)
        order = np.argsort(-(alike + known), kind="stable")
        nothing = np.zeros(videos.size)
        return Related(videos[order], nothing, alike[order], known[order], nothing.astype(np.int64))
    listed = items.videos[row]
    videos = listed[listed >= 0].astype(np.int64)
    near, broad, alike = (
        part[row, : videos.size].astype(np.float64) for part in (items.near, items.broad, items.content)
    )
    if leave_out.together:
        near, broad = np.zeros_like(near), np.zeros_like(broad)
    alike = content_weight * leave_out.similarity(videos, alike)
    known = popularity_weight * popularity[videos].astype(np.float64)
    order = in_turns(near + near_content * alike + known, broad + alike + known)
    is_near = np.arange(order.size) % 2 == 0
    together = np.where(is_near, near[order], broad[order])
    alike = np.where(is_near, near_content, 1.0) * alike[order]
    users = items.users[row, order].astype(np.int64)
    return Related(videos[order], together, alike, known[order], users)


def in_turns(near: NDArray[np.float64], broad: NDArray[np.float64]) -> NDArray[np.int64]:
    """Order candidates by turns: the best by `near`, the best left by `broad`, and so on.

    Args:
        near: (n,) scores; what is not positive by both is left out.
        broad: (n,) scores.

    Returns:
        their numbers in order; equal scores: lower number first.
    """
    size = near.size
    queues = (np.argsort(-near, kind="stable"), np.argsort(-broad, kind="stable"))
    order: list[int] = []
    taken = (np.maximum(near, broad) <= 0).tolist()
    at = [0, 0]
    while True:
        turn = len(order) % 2
        queue = queues[turn]
        while at[turn] < size and taken[queue[at[turn]]]:
            at[turn] += 1
        if at[turn] == size:
            return np.array(order, np.int64)
        video = int(queue[at[turn]])
        taken[video] = True
        order.append(video)
