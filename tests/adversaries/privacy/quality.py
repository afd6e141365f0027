"""What recommendations are worth when the sum that they are learnt from carries noise."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from daemon.lab.evaluate_data import World, split
from models import statistics
from models.evaluation import next_videos
from models.interactions import Interactions
from models.noise import SumNoise
from models.recommender import Factorization, ItemWeights
from models.statistics import Statistic
from models.trained import Recipe, TrainedModel, TrainingData
from models.training import train
from policies.privacy import head_minimum
from tests.adversaries.privacy.release import REALISED

TEST = 0.2
INSTANCES = 10


@dataclass(frozen=True)
class Quality:
    """NDCG@10 over the users of all instances.

    Attributes:
        served: of the factorization, what people see.
        closed_form: of the full closed form behind it, on its items.
        head: videos of the head.
        model: as trained, without the closed form.
    """

    served: float
    closed_form: float
    head: int
    model: TrainedModel


def ndcg_by_noise(
    world: World,
    counts_noise: float,
    pairs_noise: float,
    limit: int | None,
    seed: int,
    *,
    instances: int = INSTANCES,
    recipe: Recipe | None = None,
) -> float:
    """NDCG@10 of the served model for sums with this noise; 0 and 0 for none. See `measure`."""
    return measure(world, counts_noise, pairs_noise, limit, seed, instances=instances, recipe=recipe).served


def measure(
    world: World,
    counts_noise: float,
    pairs_noise: float,
    limit: int | None,
    seed: int,
    *,
    instances: int = INSTANCES,
    recipe: Recipe | None = None,
) -> Quality:
    """Train as one of several equal instances does and judge for the users of all of them.

    A fifth of every user's videos is held out, the same for every seed. The rest is summed: own users, one
    part in `instances`, are known exactly, the others by a sum with noise, and what the model learns from is
    both. Every user is then shown ten videos for the whole of his history, whatever the limit.

    Args:
        world: users and videos.
        counts_noise: variance that the first sum really carries, in users squared.
        pairs_noise: the same for the second sum.
        limit: videos per user that are summed, the most recent first; None for all.
        seed: of the noise, and of who is an own user.
        instances: equal parts that the users are split into; 1 for no others, hence no noise.
        recipe: of training. With noise its `min_users` is raised for the head, as a session does.
    """
    base = recipe or Recipe()
    parts = split(world, test=TEST, seed=1)
    rng = np.random.default_rng([seed, instances])
    order = rng.permutation(parts.train.users).astype(np.int64)
    cut = parts.train.users // instances
    summed = parts.train.limited(limit)
    own, rest = summed.rows(np.sort(order[:cut])), summed.rows(np.sort(order[cut:]))
    noise = SumNoise(counts_noise, pairs_noise)
    others = _others(own, rest, noise, base, rng) if instances > 1 else None
    data = TrainingData(world.features, own, others, noise if others is not None else SumNoise())
    model = train(data, replace(base, keep_closed_form=True))
    closed = model.closed_form
    assert closed is not None
    full = ItemWeights(model.items.astype(np.int64), closed, own.videos)
    history, test = parts.train.matrix, parts.test
    return Quality(
        served=next_videos(Factorization(model), history, test).summary().ndcg10,
        closed_form=next_videos(full, history, test).summary().ndcg10,
        head=model.head_size,
        model=replace(model, closed_form=None),
    )


def _others(
    own: Interactions, rest: Interactions, noise: SumNoise, recipe: Recipe, rng: np.random.Generator
) -> Statistic:
    counts = statistics.counts(rest) + _skellam(noise.counts, rest.videos, rng)
    # The rule of the head goes by what is declared.
    least = head_minimum(recipe.min_users, round(noise.counts / REALISED))
    head = statistics.head(counts + statistics.counts(own), min_users=least, max_head=recipe.max_head)
    pairs = statistics.pair_counts(rest, head)
    return Statistic(head, counts[head], pairs + _skellam(noise.pairs, pairs.size, rng))


def _skellam(variance: float, size: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw noise of the law that sessions use, by a quicker way than theirs, which is exact."""
    return rng.poisson(variance / 2, size) - rng.poisson(variance / 2, size)
