"""What recommendations are worth when the sum that they are learnt from carries noise."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from daemon.lab.experiment import Population, split, train_as_one_of
from models.evaluation import next_videos
from models.noise import SumNoise
from models.recommender import Factorization, ItemWeights
from models.trained import Recipe, TrainedModel
from policies.privacy import head_minimum
from tests.adversaries.privacy.release import REALISED

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


def measure(
    population: Population,
    noise: SumNoise,
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
        population: users and videos.
        noise: that the sum really carries.
        limit: videos per user that are summed, the most recent first; None for all.
        seed: of the noise, and of who is an own user.
        instances: equal parts that the users are split into; 1 for no others, hence no noise.
        recipe: of training. With noise its `min_users` is raised for the head, as a session does.
    """
    base = recipe or Recipe()
    parts = split(population, seed=1)
    history, test = parts.train.matrix, parts.test
    model = train_as_one_of(
        instances,
        population.features,
        parts.train.limited(limit),
        noise,
        # The rule of the head goes by what is declared.
        min_users=head_minimum(base.min_users, round(noise.counts / REALISED)),
        recipe=replace(base, keep_closed_form=True),
        rng=np.random.default_rng([seed, instances]),
    )
    closed = model.closed_form
    assert closed is not None
    full = ItemWeights(model.items.astype(np.int64), closed, parts.train.videos)
    return Quality(
        served=next_videos(Factorization(model), history, test).summary().ndcg10,
        closed_form=next_videos(full, history, test).summary().ndcg10,
        head=model.head_size,
        model=replace(model, closed_form=None),
    )
