"""What recommendations are worth when what they are learnt from carries noise."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from daemon.lab.experiment import Population, split, train_as_one_of
from models.evaluation import masked, next_videos
from models.evaluation import measure as measure_lists
from models.interactions import Interactions
from models.noise import SumNoise
from models.recommender import ServedItems
from models.trained import Recipe, TrainedModel
from policies.privacy import Protection, head_minimum
from tests.adversaries.privacy.release import MIN_USERS, REALISED

INSTANCES = 10
_HELD_OUT = 5
"""One user in so many is left out where related lists are judged."""
_SEEDS = 5
"""Seed videos per user."""


@dataclass(frozen=True)
class Quality:
    """NDCG@10 over the users of all instances."""

    next_videos: float
    related: float


def measure(
    population: Population,
    level: Protection,
    draw: int,
    recipe: Recipe,
    *,
    instances: int = INSTANCES,
) -> Quality:
    """Train as one of several equal instances does and judge for the users of all of them.

    The instance serves from a release of its own at the declared noise, over its part of the users, and the
    others' sum at the noise that five members alive make of it. Next videos: a fifth of every user's videos
    is held out, the same for every draw. Related lists: a fifth of the users is left out, another one in
    every draw, and some of their videos are seeds.

    Args:
        population: users and videos.
        level: declared noise, and videos per user that are summed.
        draw: number of the draw: of the noise, and of who is an own user.
        recipe: of training.
        instances: equal parts that the users are split into; 1 for no others.
    """
    parts = split(population, seed=1)
    model = _train(population, parts.train, level, recipe, draw, instances)
    found = next_videos(ServedItems(model), parts.train.matrix, parts.test)
    likes, rng = population.likes, np.random.default_rng(1)
    if likes.recency is None:
        likes = Interactions(likes.matrix, rng.random(likes.matrix.nnz))
    fold = rng.permutation(likes.users) % _HELD_OUT
    left_out, fitted = (np.flatnonzero((fold == draw % _HELD_OUT) == left) for left in (True, False))
    # The lists need no vectors, so the narrowest factorization will do.
    lists = _train(population, likes.rows(fitted), level, replace(recipe, rank=1), draw, instances)
    return Quality(found.summary().ndcg10, _related(lists, csr_array(likes.matrix[left_out])))


def _related(model: TrainedModel, likes: csr_array) -> float:
    """Mean NDCG@10 over `_SEEDS` seeds of each user."""
    found = []
    for number in range(_SEEDS):
        seeds, others = _seeds(likes, np.random.default_rng([1, number]))
        found.append(_listed(model, seeds, others))
    return float(np.mean(found))


def _listed(model: TrainedModel, seeds: NDArray[np.int64], others: csr_array) -> float:
    served = ServedItems(model)
    return measure_lists(lambda rows: served.related_scores(seeds[rows]), others).summary().ndcg10


def _seeds(matrix: csr_array, rng: np.random.Generator) -> tuple[NDArray[np.int64], csr_array]:
    """Draw one seed video per user, -1 for none; what should be found are the others."""
    lengths = np.diff(matrix.indptr)
    chosen = matrix.indptr[:-1] + (rng.random(matrix.shape[0]) * lengths).astype(np.int64)
    has = lengths > 0
    seeds = np.full(matrix.shape[0], -1, np.int64)
    seeds[has] = matrix.indices[chosen[has]]
    keep = np.ones(matrix.nnz, np.bool_)
    keep[chosen[has]] = False
    return seeds, masked(matrix, keep)


def _train(
    population: Population, likes: Interactions, level: Protection, recipe: Recipe, draw: int, instances: int
) -> TrainedModel:
    own = SumNoise(level.counts_noise, level.pairs_noise)
    return train_as_one_of(
        instances,
        population.features,
        likes.limited(level.max_videos_per_user),
        SumNoise(own.counts * REALISED, own.pairs * REALISED),
        own,
        min_users=head_minimum(MIN_USERS, level.counts_noise),
        recipe=recipe,
        rng=np.random.default_rng([draw, instances]),
    )
