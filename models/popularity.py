"""How popular each video is, from released counts and public counters; pure.

A released count of few viewers is mostly noise, and public counters are there from the first day. So both are
shares of the most watched video, weighed by how many viewers are behind the counts: public counters are worth
`PUBLIC_VIEWERS`. For the same reason a viewer's own list leans on popularity, by the square of how few
viewers are behind the model: that is how the noise falls beside what they say. NDCG@10 of a model of one
instance's own release, ml-latest-small, by the weight of popularity where the best score is 1:

    viewers      0        0.3      1       3
    20           .042     .058    .100    .131
    60           .097     .123    .134    .136
    150          .190     .195    .197    .171
    300          .228     .227    .213    .189

Of whom few videos are known gets more of it too (`models.ranking.history_weight`).
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.problem import GramProblem
from models.trained import TrainingData

PUBLIC_VIEWERS: Final = 60.0
MOST_WEIGHT: Final = 3.0
EVEN_VIEWERS: Final = 100.0
"""Behind a model whose best score says as much as popularity does."""
_NEGLIGIBLE = 0.05
"""Weight that says nothing any more, and costs 2 % where nothing has to be filled."""
_LEADERS, _PER_LEADER = 5, 200
"""Videos with the most public views, one of 200, share the lead: other servers count as they like."""
_POPULAR = 1000
"""Videos that lists are filled up with, at most."""


def popularity(problem: GramProblem, data: TrainingData) -> NDArray[np.float32]:
    """Return how popular each video is, (videos,), 1 for one that leads in viewers and in public views."""
    found = PUBLIC_VIEWERS * _shares(
        data.features.views, min(_LEADERS, 1 + data.features.videos // _PER_LEADER)
    )
    viewers = data.viewers
    found[problem.items.positions] += viewers * _shares(problem.counts)
    return (found / (PUBLIC_VIEWERS + viewers)).astype(np.float32)


def own_weight(data: TrainingData) -> float:
    """Return the weight of popularity in a viewer's own list, where the best score is 1.

    Beside the sum of others it adds nothing: NDCG@10 .227 without it and .223 with .1 at 60 viewers.
    """
    if data.others is not None:
        return 0.0
    weight = (EVEN_VIEWERS / max(data.viewers, 1.0)) ** 2
    return min(MOST_WEIGHT, max(0.0, weight - _NEGLIGIBLE))


def popular(popularity: NDArray[np.float32], items: NDArray[np.int64]) -> NDArray[np.int32]:
    """Return what lists are filled up with, (p,) int32, most popular first: 1,000 videos and all items."""
    order = np.argsort(-popularity, kind="stable")
    first = order[:_POPULAR][popularity[order[:_POPULAR]] > 0]
    rest = items[~np.isin(items, first)]
    return np.concatenate((first, rest[np.argsort(-popularity[rest], kind="stable")])).astype(np.int32)


def _shares(numbers: NDArray[np.int64] | NDArray[np.float64], leaders: int = 1) -> NDArray[np.float64]:
    """Return shares of the least of so many leaders, at most 1."""
    if not numbers.size:
        return np.zeros(0)
    place = numbers.size - min(leaders, numbers.size)
    most = float(np.partition(numbers, place)[place])
    return np.clip(numbers / (most if most > 0 else 1.0), 0.0, 1.0)
