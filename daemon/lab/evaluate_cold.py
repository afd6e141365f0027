"""New videos, new viewers and new instances: what a recommender knows before anybody has told it anything.

*A new video*: one in twenty is taken out of what is learnt from, and only these are ranked. *A new viewer*:
known by the one or three videos watched first, while the model was learnt from others. *A new instance*: with
few viewers, alone, by released numbers with the noise of the default level.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from daemon.lab.experiment import Population, TrainTestSplit, by_taste, exactly, newest_first, released
from daemon.lab.served_lists import ServedLists
from models import counting
from models.baselines import PeerTubeRule, Popularity
from models.evaluation import Measured, masked, next_videos
from models.interactions import Interactions
from models.noise import SumNoise
from models.problem import worth_learning
from models.recommender import ColdVideos, Recommender, ServedItems
from models.trained import Recipe, TrainedModel, TrainingData
from models.training import train
from policies.privacy import PROTECTION, Level

NEW_VIDEOS: Final = 0.05
NEW_VIDEO_DRAWS: Final = 3
KNOWN: Final = (1, 3)
"""Videos that a new viewer has watched."""
NEW_VIEWERS: Final = 0.2
NEW_INSTANCES: Final = (10, 40, 100, 300)
"""Viewers of new instances."""

Named = tuple[str, Measured]


@dataclass(frozen=True)
class ColdStart:
    """Measured ways to list videos, by what is new."""

    videos: tuple[Named, ...]
    viewers: tuple[Named, ...]
    instances: tuple[Named, ...]


def compare_cold(
    population: Population,
    parts: TrainTestSplit,
    recipe: Recipe,
    *,
    seed: int,
    limit: int,
    progress: Callable[[float], None] = lambda _: None,
) -> ColdStart:
    """Measure all three; `limit` videos of a viewer count in a release."""
    videos = _new_videos(population, recipe, seed)
    progress(0.4)
    viewers = _new_viewers(population, recipe, seed)
    progress(0.6)
    return ColdStart(videos, viewers, _new_instances(population, parts, recipe, seed, limit))


def _new_videos(population: Population, recipe: Recipe, seed: int) -> tuple[Named, ...]:
    likes = population.likes.matrix
    found: dict[str, list[Measured]] = {"PeerTube's rule": [], "tags and words": []}
    rule = PeerTubeRule(population.features.tags, newest_first(population.publication, population.likes))
    for draw in range(NEW_VIDEO_DRAWS):
        rng = np.random.default_rng([seed, 29, draw])
        new = np.sort(rng.choice(likes.shape[1], int(likes.shape[1] * NEW_VIDEOS), replace=False))
        there = ~np.isin(likes.indices, new)
        known, wanted = masked(likes, there), masked(likes, ~there)
        model = _exact(population, Interactions(known), recipe)
        asked: tuple[tuple[Recommender, csr_array], ...] = (
            (rule, _any(known, rng)),
            (ColdVideos(model, new), known),
        )
        for name, (one, history) in zip(found, asked, strict=True):
            found[name].append(next_videos(one, history, wanted, seen=known, among=new))
    return tuple(
        (name, Measured.joined(draws, sum(one.videos for one in draws))) for name, draws in found.items()
    )


def _new_viewers(population: Population, recipe: Recipe, seed: int) -> tuple[Named, ...]:
    likes = population.likes
    rng = np.random.default_rng([seed, 31])
    order = rng.permutation(likes.users)
    number = int(likes.users * NEW_VIEWERS)
    model = ServedItems(_exact(population, likes.rows(np.sort(order[number:])), recipe))
    counts = counting.counts(likes.rows(np.sort(order[number:])))
    newcomers = likes.rows(np.sort(order[:number]))
    found: list[Named] = []
    for known in KNOWN:
        first = _first(newcomers, known, rng)
        history, wanted = masked(newcomers.matrix, first), masked(newcomers.matrix, ~first)
        for name, one in (("popularity", Popularity(counts)), ("served", model)):
            found.append((f"{name}, {known} known", next_videos(one, history, wanted)))
    return tuple(found)


def _new_instances(
    population: Population, parts: TrainTestSplit, recipe: Recipe, seed: int, limit: int
) -> tuple[Named, ...]:
    declared = PROTECTION[Level.DEFAULT]
    noise = SumNoise(declared.counts_noise, declared.pairs_noise)
    likes = parts.train
    views = counting.counts(likes)
    features = replace(population.features, views=views)
    found: list[Named] = []
    for number in NEW_INSTANCES:
        if 2 * number > likes.users:
            continue
        rng = np.random.default_rng([seed, 37, number])
        mine, _ = by_taste(likes.matrix, features.tags, [number, likes.users - number], rng)
        own = released(likes.rows(mine).limited(limit), noise, rng, views=views)
        learnt = train(TrainingData(features, worth_learning(own, None), None), recipe)
        history, wanted = csr_array(likes.matrix[mine]), csr_array(parts.test[mine])
        models: tuple[tuple[str, Recommender], ...] = (
            ("public views", Popularity(views)),
            ("served", ServedLists.of(learnt, features)),
        )
        found += [(f"{name}, {number} viewers", next_videos(one, history, wanted)) for name, one in models]
    return tuple(found)


def _exact(population: Population, known: Interactions, recipe: Recipe) -> TrainedModel:
    features = replace(population.features, views=counting.counts(known))
    return train(TrainingData(features, exactly(known, min_users=5), None), recipe)


def _any(matrix: csr_array, rng: np.random.Generator) -> csr_array:
    """Keep one video of each viewer, drawn at random."""
    return masked(matrix, _first(Interactions(matrix), 1, rng))


def _first(likes: Interactions, number: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Mark each viewer's first videos, (stored values,); any where their order is not known."""
    matrix = likes.matrix
    when = rng.random(matrix.nnz) if likes.recency is None else likes.recency
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    order = np.lexsort((when, rows))
    marked = np.zeros(matrix.nnz, np.bool_)
    marked[order] = np.arange(matrix.nnz) - matrix.indptr[rows[order]] < number
    return marked
