"""Whether learning together is ever worse than alone: what `shoal evaluate --together` computes.

Random instances with tastes of their own, each beside all other users as its cohort. Three models as they
are served, from released numbers at the default level: alone, from the others' sum only, and together. Also
a blend of the first two by their scores, half and half, which is what together has to beat.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from daemon.lab.evaluate import Evaluated, Options, about
from daemon.lab.experiment import (
    MEMBERS,
    Population,
    Progress,
    TrainTestSplit,
    by_taste,
    load,
    poisson_noise,
    realised_noise,
    released,
    split,
    summed,
)
from daemon.lab.served_lists import ServedLists
from daemon.source.dataset_files import DataSet
from models import counting
from models.evaluation import next_videos
from models.item_scores import Sparse
from models.noise import SumNoise
from models.problem import worth_learning
from models.released import Released
from models.sparse_weights import sparse_weights
from models.trained import TrainedModel, TrainingData
from models.training import dense_threads, train
from policies.privacy import PROTECTION, Level, head_minimum

SIZES: Final = (20, 20, 40, 40, 60, 60, 80, 80, 100, 100, 150, 150, 200, 200, 300, 300)
"""Viewers of the instances; those that are more than half of a data set are left out."""
ALONE, OTHERS, TOGETHER, BLEND = "alone", "others", "together", "blend"


_NOTES: Final = (
    (
        "Each instance has a taste of its own, and all other users are its cohort: a sum of "
        f"{MEMBERS} members with the noise of the default level. All lists are those that viewers see, "
        "before reserved places and caps."
    ),
    (
        "Others: the sum alone. Blend: alone and others, half and half by their scores. The difference is "
        "that of together to the better of alone and others."
    ),
)


@dataclass(frozen=True)
class TogetherRow:
    """One instance.

    Attributes:
        users: its viewers.
        ndcg10: of each model, mean over its viewers.
        difference: of together to the better parent.
        error: standard error of that, over viewers.
    """

    users: int
    ndcg10: Mapping[str, float]
    difference: float
    error: float


@dataclass(frozen=True)
class TogetherReport(Evaluated):
    """What `evaluate_together` found, with the means over instances."""

    rows: tuple[TogetherRow, ...]
    mean: Mapping[str, float]


def evaluate_together(
    data: DataSet, options: Options, progress: Progress = lambda _phase, _part: None
) -> TogetherReport:
    """Measure random instances alone and together.

    Raises:
        ValueError: nobody has enough likes.
    """
    population = load(data, from_value=options.positive_from, min_likes=options.min_likes)
    parts = split(population, test=options.test, seed=options.seed)
    sizes = [size for size in SIZES if 2 * size <= population.likes.users]
    if not sizes:
        raise ValueError(f"{population.likes.users} users are too few for an instance and its cohort")
    rows = []
    with dense_threads(options.recipe.threads):
        for number, size in enumerate(sizes):
            rows.append(_instance(population, parts, options, number, size))
            progress("instances", (number + 1) / len(sizes))
    names = (ALONE, OTHERS, TOGETHER, BLEND)
    return TogetherReport(
        **about(population, _NOTES),
        rows=tuple(rows),
        mean={name: float(np.mean([row.ndcg10[name] for row in rows])) for name in names},
    )


def _instance(
    population: Population, parts: TrainTestSplit, options: Options, number: int, size: int
) -> TogetherRow:
    rng = np.random.default_rng([options.seed, 41, number])
    limited = parts.train.limited(options.limit)
    features = replace(population.features, views=counting.counts(parts.train))
    mine, theirs = by_taste(limited.matrix, features.tags, [size, limited.users - size], rng)
    declared = PROTECTION[Level.DEFAULT]
    own = released(
        limited.rows(mine),
        SumNoise(declared.counts_noise, declared.pairs_noise),
        rng,
        views=features.views,
    )
    noise = realised_noise()
    total = summed(
        [limited.rows(theirs)],
        min_users=head_minimum(options.min_users, declared.counts_noise),
        max_head=options.max_head,
        noise=poisson_noise(noise, rng),
    )
    others = Released(total, noise, float(theirs.size))
    recipe = replace(options.recipe, keep_closed_form=True)

    def learnt(mine: Released | None, theirs: Released | None) -> TrainedModel:
        return train(TrainingData(features, mine, theirs), recipe)

    alone = learnt(worth_learning(own, None), None)
    without = learnt(None, others)
    together = learnt(worth_learning(own, others), others)
    history, wanted = csr_array(parts.train.matrix[mine]), csr_array(parts.test[mine])
    found = {
        name: next_videos(ServedLists.of(model, features), history, wanted).ndcg
        for name, model in (
            (ALONE, alone),
            (OTHERS, without),
            (TOGETHER, together),
            (BLEND, _blend(learnt(own, others), learnt(own, None), without)),
        )
    }
    better = max((ALONE, OTHERS), key=lambda name: float(found[name].mean()))
    difference = found[TOGETHER] - found[better]
    return TogetherRow(
        users=size,
        ndcg10={name: float(values.mean()) for name, values in found.items()},
        difference=float(difference.mean()),
        error=float(difference.std(ddof=1) / np.sqrt(difference.size)),
    )


def _blend(frame: TrainedModel, alone: TrainedModel, others: TrainedModel) -> TrainedModel:
    """Put the mean of two closed forms, each scaled to the same spread, into a model over all their items."""
    place = np.full(len(frame.published), -1)
    place[frame.items] = np.arange(len(frame.items))
    weights: NDArray[np.float32] = np.zeros((len(frame.items),) * 2, np.float32)
    for parent in (alone, others):
        form = parent.closed_form
        if form is not None and form.size:
            rows = place[parent.items]
            spread = float(np.sqrt(np.square(form).sum() / weights.size)) or 1.0
            weights[np.ix_(rows, rows)] += form / (2 * spread)
    blended: Sparse = sparse_weights(weights, weights.shape[0])
    return replace(frame, scoring=blended)
