"""Splits one data set into instances and measures what federation gives each of them, in one process.

Models are full closed forms, solved once: the head's Gram matrix is the same for every member, so one solve
serves all of them, and local models are solved exactly through users (`models.closed_form_dual`). The report
says what is left out.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from daemon.lab.evaluate import PEERTUBE, POPULARITY, Evaluated, Options
from daemon.lab.experiment import (
    LAMBDAS,
    PEERTUBE_NOTE,
    SKEW,
    TASTES,
    Population,
    Progress,
    TrainTestSplit,
    by_taste,
    choose_ridge,
    closed_form,
    load,
    relative_difference,
    same_integers,
    split,
    summed,
)
from daemon.source.dataset_files import DataSet
from models import counting
from models.baselines import PeerTubeRule, Popularity
from models.closed_form_dual import own_scores
from models.evaluation import SIZE_CLASSES, Measured, Summary, measure, next_videos, size_class, without
from models.interactions import Interactions, split_interactions
from models.recommender import Scores, spread
from models.splits import heavy_tailed_sizes
from models.training import dense_threads
from models.weights import UNIT, weights

LOCAL = "local only"
FEDERATED = "federated"
POOLED = "pooled"
POOLED_ALL = "pooled, all videos"
MAX_JUDGES = 1000
"""Users on whose held-out part lambda is chosen."""
MODELS = (POPULARITY, PEERTUBE, LOCAL, FEDERATED, POOLED, POOLED_ALL)
_COMPARED = 200
"""Users whose federated and pooled scores are compared."""


@dataclass(frozen=True)
class Partition:
    """How users are split into instances.

    Attributes:
        instances: how many, with heavy-tailed sizes.
        sizes: users per instance, instead; users beyond their sum are left out.
        at_least: users of the smallest instance, where sizes are drawn.
        skew: how much tastes differ: 0 not at all, 2 a lot.
        tastes: clusters of users by the tags of what they like.
    """

    instances: int = 50
    sizes: tuple[int, ...] | None = None
    at_least: int = 5
    skew: float = SKEW
    tastes: int = TASTES


@dataclass(frozen=True)
class QualitySlice:
    """Quality for some instances together, per model, as a mean over their viewers."""

    name: str
    instances: int
    users: int
    quality: dict[str, Summary]


@dataclass(frozen=True)
class InstancesReport(Evaluated):
    """What `evaluate_instances` found.

    Attributes:
        sizes: users per instance.
        head: videos of the head.
        ridge: lambda of federated and pooled, in multiples of the mean diagonal.
        sums_equal: whether the summed statistic is that of the pooled users, integer for integer.
        max_relative_difference: largest relative difference between federated and pooled scores.
        classes: by size of the instance; classes without instances are left out.
        instances: each by itself, in the order of `sizes`.
        everybody: all viewers together.
        seconds: wall time per phase.
    """

    sizes: tuple[int, ...]
    head: int
    ridge: float
    sums_equal: bool
    max_relative_difference: float
    classes: tuple[QualitySlice, ...]
    instances: tuple[QualitySlice, ...]
    everybody: QualitySlice
    seconds: dict[str, float]


def evaluate_instances(
    data: DataSet, options: Options, partition: Partition, progress: Progress = lambda _phase, _part: None
) -> InstancesReport:
    """Measure local, federated and pooled models for instances of many sizes.

    Args:
        data: the tables.
        options: thresholds, seed and threads.
        partition: how users are split.
        progress: called with the name of a phase and the part of it that is done, in [0, 1].

    Raises:
        ValueError: there are too few users for these instances.
    """
    clock = _Clock(progress)
    population = load(data, from_value=options.positive_from, min_likes=options.min_likes)
    parts = split(population, test=options.test, seed=options.seed)
    members = assign(population, parts, partition, options.seed)
    clock.done("split")
    with dense_threads(options.recipe.threads):
        found = _measure(population, parts, members, options, clock)
    sizes = [len(rows) for rows in members]
    # Rows of the measured viewers, who are in the order of the instances.
    rows = np.split(np.arange(sum(sizes)), np.cumsum(sizes)[:-1])
    classes = [
        _slice(name, [one for one in rows if size_class(len(one)) == name], found.quality)
        for name in SIZE_CLASSES
    ]
    return InstancesReport(
        name=population.name,
        users=sum(sizes),
        videos=population.likes.videos,
        interactions=int(population.likes.matrix[np.concatenate(members)].nnz),
        positive=str(population.positive),
        newest=parts.order.rule,
        notes=_notes(options, partition),
        sizes=tuple(sizes),
        head=found.head,
        ridge=found.ridge,
        sums_equal=found.sums_equal,
        max_relative_difference=found.difference,
        classes=tuple(one for one in classes if one.instances),
        instances=tuple(
            _slice(f"instance {number}", [one], found.quality) for number, one in enumerate(rows, 1)
        ),
        everybody=_slice("all", rows, found.quality),
        seconds=clock.seconds,
    )


def assign(
    population: Population, parts: TrainTestSplit, partition: Partition, seed: int
) -> list[NDArray[np.int64]]:
    """Split users into instances by what they like in the training part: row numbers of each, ascending."""
    rng = np.random.default_rng([seed, 5])
    users = population.likes.users
    sizes = partition.sizes or heavy_tailed_sizes(
        users, partition.instances, rng, at_least=partition.at_least
    )
    return by_taste(
        parts.train.matrix,
        population.features.tags,
        sizes,
        rng,
        tastes=partition.tastes,
        skew=partition.skew,
    )


@dataclass(frozen=True)
class _Found:
    quality: dict[str, Measured]
    head: int
    ridge: float
    sums_equal: bool
    difference: float


def _measure(
    population: Population,
    parts: TrainTestSplit,
    members: list[NDArray[np.int64]],
    options: Options,
    clock: _Clock,
) -> _Found:
    own = [parts.train.rows(rows) for rows in members]
    order = np.concatenate(members)
    pooled = parts.train.rows(order)
    history, test = pooled.matrix, csr_array(parts.test[order])
    together, alone = (
        summed(instances, min_users=options.min_users, max_head=options.max_head)
        for instances in (own, [pooled])
    )
    clock.done("sums")
    ridge = choose_ridge(
        pooled,
        options.validation,
        options.seed,
        min_users=options.min_users,
        max_head=options.max_head,
        judges=MAX_JUDGES,
        progress=lambda part: clock.progress("lambda", part),
    )
    clock.done("lambda")
    federated = closed_form(together, pooled.videos, ridge)
    equal = same_integers(together, alone)
    # Equal integers give equal models: one solve serves both.
    reference = federated if equal else closed_form(alone, pooled.videos, ridge)
    clock.done("solve")
    counts = counting.counts(pooled)
    rule = PeerTubeRule(population.features.tags, parts.order)
    quality = {
        POPULARITY: next_videos(Popularity(counts), history, test),
        PEERTUBE: next_videos(rule, csr_array(parts.last[order]), test, seen=history),
        FEDERATED: next_videos(federated, history, test),
    }
    quality[POOLED] = quality[FEDERATED] if equal else next_videos(reference, history, test)
    clock.done("federated and pooled")
    quality[LOCAL] = _local(own, [csr_array(parts.test[rows]) for rows in members], options, clock)
    clock.done("local only")
    quality[POOLED_ALL] = _through_users(history, test, ridge, 1, np.float32)
    clock.done("pooled, all videos")
    some = csr_array(history[:_COMPARED])
    return _Found(
        quality=quality,
        head=int(together.head.size),
        ridge=ridge,
        sums_equal=equal,
        difference=relative_difference(federated.scores(some), reference.scores(some)),
    )


def _local(own: list[Interactions], tests: list[csr_array], options: Options, clock: _Clock) -> Measured:
    found = []
    first = 0
    for number, (part, test) in enumerate(zip(own, tests, strict=True), 1):
        measured = _local_model(part.matrix, test, options)
        found.append(replace(measured, viewers=measured.viewers + first))
        first += part.users
        clock.progress("local only", number / len(own))
    return Measured.joined(found, own[0].videos)


def _local_model(matrix: csr_array, test: csr_array, options: Options) -> Measured:
    """Tune lambda, then the users that a video needs, on a held-out part; fit to everything own."""
    kept, held_out = split_interactions(matrix, options.validation, np.random.default_rng([options.seed, 6]))

    def quality(ridge: float, least: int) -> float:
        values = _through_users(kept, held_out, ridge, least).ndcg
        return float(values.mean()) if len(values) else 0.0

    ridge = max((*LAMBDAS, 100.0), key=lambda candidate: quality(candidate, 1))
    least = max((1, 2, options.min_users), key=lambda candidate: quality(ridge, candidate))
    return _through_users(matrix, test, ridge, least)


def _through_users(
    matrix: csr_array,
    wanted: csr_array,
    ridge: float,
    least: int,
    dtype: type[np.float32] | type[np.float64] = np.float64,
) -> Measured:
    """Measure the closed form over all videos of `least` users, fitted to the viewers who are judged.

    Each viewer has the weight in it that they have in a sum whose head are these videos.
    """
    counts = np.bincount(matrix.indices, minlength=matrix.shape[1])
    items = np.flatnonzero(counts >= least)
    scores: Scores = np.zeros((matrix.shape[0], 0))
    if items.size:
        known = csr_array(matrix[:, items])
        each = weights(np.diff(known.indptr)) / UNIT
        unit = float(each @ np.diff(known.indptr)) / items.size
        scores = own_scores(known, ridge * unit, each).astype(dtype, copy=False)

    def block(rows: NDArray[np.int64]) -> Scores:
        return without(spread(scores[rows], items, matrix.shape[1]), csr_array(matrix[rows]))

    return measure(block, wanted)


def _slice(name: str, members: list[NDArray[np.int64]], quality: dict[str, Measured]) -> QualitySlice:
    rows = np.concatenate([np.zeros(0, np.int64), *members])
    return QualitySlice(
        name=name,
        instances=len(members),
        users=len(rows),
        quality={model: quality[model].among(rows).summary() for model in MODELS},
    )


def _notes(options: Options, partition: Partition) -> tuple[str, ...]:
    sizes = (
        f"drawn from the log-normal distribution of PeerTube instances, with at least {partition.at_least}"
        if partition.sizes is None
        else "as given"
    )
    divided = (
        f"Sizes of instances are {sizes}. Users are grouped into {partition.tastes} tastes by the tags of "
        f"what they like, and each instance draws its own mixture (skew {partition.skew:g}, seed "
        f"{options.seed})."
    )
    local = (
        "Local only: the closed form on an instance's own users and all their videos. Lambda, and how many "
        "users a video needs, are chosen on their own held-out part."
    )
    federated = (
        "Federated: the closed form on the sum over all instances, own users included. Lambda is chosen "
        "once, on the held-out part of users of all instances. Tails and pseudo-users are left out."
    )
    pooled = (
        "Pooled: the same with all users in one place, solved once where the sums are equal. Pooled, all "
        "videos: without a threshold or a largest head, for orientation, with lambda in the same multiples."
    )
    popularity = "Popularity counts the users of all instances."
    return divided, popularity, PEERTUBE_NOTE, local, federated, pooled


class _Clock:
    def __init__(self, progress: Progress) -> None:
        self.progress: Callable[[str, float], None] = progress
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def done(self, phase: str) -> None:
        now = time.perf_counter()
        self.seconds[phase] = now - self._last
        self._last = now
        self.progress(phase, 1.0)
