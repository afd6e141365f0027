"""Splits one data set into instances and measures what federation gives each of them, in one process.

The sums are those of a session, by the same trainer, added up without masks. Models are full closed forms,
solved once: the head's Gram matrix is the same for every member, so one solve serves all of them, and local
models are solved exactly through users (`models.closed_form_dual`). What is left out is said in the report.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array

from daemon.lab.evaluate import PEERTUBE, POPULARITY, Options, Progress, closed_form_of, dense_threads
from daemon.lab.evaluate_data import Split, World, split, world
from daemon.source.dataset_files import DataSet
from models import statistics
from models.baselines import PeerTubeRule, Popularity
from models.closed_form_dual import own_scores
from models.evaluation import (
    SIZE_CLASSES,
    Measured,
    Summary,
    measure,
    next_videos,
    size_class,
    without,
)
from models.interactions import Interactions, split_interactions
from models.recommender import ItemWeights, Scores, spread
from models.splits import clusters, heavy_tailed_sizes, profiles, taste_skewed
from models.statistics import Statistic
from models.trainer import GramTrainer, Summed

LOCAL = "local only"
FEDERATED = "federated"
POOLED = "pooled"
POOLED_ALL = "pooled, all videos"
MAX_JUDGES = 1000  # users whose held-out part lambda is chosen on
MODELS = (POPULARITY, PEERTUBE, LOCAL, FEDERATED, POOLED, POOLED_ALL)


@dataclass(frozen=True)
class Crowd:
    """How users are split into instances.

    Attributes:
        instances: how many, with heavy-tailed sizes.
        sizes: users per instance, instead; users beyond their sum are left out.
        at_least: users of the smallest instance, where sizes are drawn.
        strength: how much tastes differ: 0 not at all, 2 a lot.
        tastes: clusters of users by the tags of what they like.
    """

    instances: int = 50
    sizes: tuple[int, ...] | None = None
    at_least: int = 5
    strength: float = 2.0
    tastes: int = 8


@dataclass(frozen=True)
class Group:
    """Quality for some instances together, per model, as a mean over their viewers."""

    name: str
    instances: int
    users: int
    quality: dict[str, Summary]


@dataclass(frozen=True)
class InstancesReport:
    """What `evaluate_instances` found.

    Attributes:
        name: of the data set.
        users, videos, interactions: sizes after the thresholds.
        positive: which values count as liked, in words.
        newest: what PeerTube's rule sorts by, in words.
        notes: what the numbers rest on, one sentence each.
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

    name: str
    users: int
    videos: int
    interactions: int
    positive: str
    newest: str
    notes: tuple[str, ...]
    sizes: tuple[int, ...]
    head: int
    ridge: float
    sums_equal: bool
    max_relative_difference: float
    classes: tuple[Group, ...]
    instances: tuple[Group, ...]
    everybody: Group
    seconds: dict[str, float]


def evaluate_instances(
    data: DataSet, options: Options, crowd: Crowd, progress: Progress = lambda _phase, _part: None
) -> InstancesReport:
    """Measure local, federated and pooled models for instances of many sizes.

    Args:
        data: the tables.
        options: thresholds, seed, and the recipe's lambdas and head.
        crowd: how users are split.
        progress: called with the name of a phase and the part of it that is done, in [0, 1].

    Raises:
        ValueError: there are too few users for these instances.
    """
    clock = _Clock(progress)
    users = world(data, from_value=options.positive_from, min_interactions=options.min_interactions)
    parts = split(users, test=options.test, seed=options.seed)
    members = assign(users, parts, crowd, options.seed)
    chosen = np.sort(np.concatenate(members))
    clock.done("split")
    with dense_threads(options.recipe.threads):
        found = _measure(users, parts, members, options, clock)
    sizes = tuple(len(rows) for rows in members)
    classes = [
        _group(name, [rows for rows in members if size_class(len(rows)) == name], found.quality)
        for name in SIZE_CLASSES
    ]
    return InstancesReport(
        name=users.name,
        users=len(chosen),
        videos=users.matrix.shape[1],
        interactions=int(users.matrix[chosen].nnz),
        positive=str(users.positive),
        newest=parts.order.rule,
        notes=_notes(options, crowd),
        sizes=sizes,
        head=found.head,
        ridge=found.ridge,
        sums_equal=found.sums_equal,
        max_relative_difference=found.difference,
        classes=tuple(group for group in classes if group.instances),
        instances=tuple(
            _group(f"instance {number}", [rows], found.quality) for number, rows in enumerate(members, 1)
        ),
        everybody=_group("all", members, found.quality),
        seconds=clock.seconds,
    )


def assign(users: World, parts: Split, crowd: Crowd, seed: int) -> list[NDArray[np.int64]]:
    """Split users into instances by what they like in the training part.

    Returns:
        per instance, ascending row numbers of its users.
    """
    rng = np.random.default_rng([seed, 5])
    count = users.matrix.shape[0]
    sizes: Sequence[int] | NDArray[np.int64]
    if crowd.sizes is not None:
        sizes = crowd.sizes
    else:
        sizes = heavy_tailed_sizes(count, crowd.instances, rng, at_least=crowd.at_least)
    taste = clusters(profiles(parts.train.matrix, users.features.tags), crowd.tastes, rng)
    return taste_skewed(taste, sizes, rng, strength=crowd.strength)


def summed(parts: Sequence[Interactions], trainer: GramTrainer, progress: Callable[[float], None]) -> Summed:
    """Run a session's two sums in process, without masks: what the members would learn together."""
    state = trainer.start(parts[0].videos)
    step = 0
    while not trainer.done(state):
        total = np.zeros(0, np.int64)
        for part in parts:
            share = trainer.contribution(state, part)
            total = share if total.size == 0 else total + share
            step += 1
            progress(min(1.0, step / (2 * len(parts))))
        state = trainer.advance(state, total)
    if not isinstance(state, Summed):
        raise TypeError("a finished trainer holds a sum")
    return state


@dataclass(frozen=True)
class _Found:
    quality: dict[str, Measured]
    head: int
    ridge: float
    sums_equal: bool
    difference: float


def _measure(
    users: World, parts: Split, members: list[NDArray[np.int64]], options: Options, clock: _Clock
) -> _Found:
    own = [parts.train.rows(rows) for rows in members]
    order = np.concatenate(members)
    pooled = parts.train.rows(order)
    history, test = pooled.matrix, csr_array(parts.test[order])
    recipe, videos = options.recipe, users.matrix.shape[1]
    trainer = GramTrainer(recipe.min_users, recipe.max_head)
    together = summed(own, trainer, lambda part: clock.progress("sums", part)).statistic
    alone = summed([pooled], trainer, lambda _: None).statistic
    clock.done("sums")
    ridge = _choose_ridge(pooled, options, clock)
    federated = _model(together, videos, ridge)
    equal = _equal(together, alone)
    # Equal integers give equal models: one solve serves both.
    reference = federated if equal else _model(alone, videos, ridge)
    clock.done("solve")
    counts = statistics.counts(pooled)
    quality = {
        POPULARITY: next_videos(Popularity(counts), history, test),
        PEERTUBE: next_videos(
            PeerTubeRule(users.features.tags, parts.order), csr_array(parts.latest[order]), test, seen=history
        ),
        FEDERATED: next_videos(federated, history, test),
    }
    quality[POOLED] = quality[FEDERATED] if equal else next_videos(reference, history, test)
    clock.done("federated and pooled")
    quality[LOCAL] = _local(own, [csr_array(parts.test[rows]) for rows in members], options, clock)
    clock.done("local only")
    quality[POOLED_ALL] = _pooled_all(pooled, test, ridge * float(counts[counts > 0].mean()))
    clock.done("pooled, all videos")
    return _Found(
        quality={name: _renumbered(measured, order) for name, measured in quality.items()},
        head=int(together.head.size),
        ridge=ridge,
        sums_equal=equal,
        difference=_difference(federated, reference, csr_array(history[:200])),
    )


def _choose_ridge(pooled: Interactions, options: Options, clock: _Clock) -> float:
    kept, held_out = split_interactions(
        pooled.matrix, options.validation, np.random.default_rng([options.seed, 3])
    )
    recipe = options.recipe
    rest = Interactions(kept)
    judges = np.sort(np.random.default_rng([options.seed, 7]).permutation(kept.shape[0])[:MAX_JUDGES])
    items = statistics.head(statistics.counts(rest), min_users=recipe.min_users, max_head=recipe.max_head)
    gram = statistics.gram(kept, items)
    history, wanted = csr_array(kept[judges]), csr_array(held_out[judges])
    found: dict[float, float] = {}
    for ridge in recipe.lambdas:
        model = closed_form_of(gram, items, pooled.videos, ridge, dtype=torch.float32)
        found[ridge] = next_videos(model, history, wanted).summary().ndcg10
        clock.progress("lambda", len(found) / len(recipe.lambdas))
    clock.done("lambda")
    return max(found, key=lambda candidate: found[candidate])


def _model(statistic: Statistic, videos: int, ridge: float) -> ItemWeights:
    gram = statistics.to_matrix(statistic.counts, statistic.triangle)
    return closed_form_of(gram, statistic.head, videos, ridge)


def _local(own: list[Interactions], tests: list[csr_array], options: Options, clock: _Clock) -> Measured:
    found = []
    first = 0
    for number, (part, test) in enumerate(zip(own, tests, strict=True), 1):
        measured = _local_model(part.matrix, test, options)
        found.append(_renumbered(measured, np.arange(first, first + part.users)))
        first += part.users
        clock.progress("local only", number / len(own))
    return Measured(
        viewers=np.concatenate([part.viewers for part in found]),
        ndcg=np.concatenate([part.ndcg for part in found]),
        recall=np.concatenate([part.recall for part in found]),
        lists=np.concatenate([part.lists for part in found]),
        videos=own[0].videos,
    )


def _local_model(matrix: csr_array, test: csr_array, options: Options) -> Measured:
    """Tune lambda, then the users that a video needs, on a held-out part; fit to everything own."""
    kept, held_out = split_interactions(matrix, options.validation, np.random.default_rng([options.seed, 6]))
    recipe = options.recipe

    def quality(ridge: float, least: int) -> float:
        return _mean(_dual(kept, held_out, ridge, least).ndcg)

    ridge = max((*recipe.lambdas, 100.0), key=lambda candidate: quality(candidate, 1))
    least = max((1, 2, recipe.min_users), key=lambda candidate: quality(ridge, candidate))
    return _dual(matrix, test, ridge, least)


def _dual(matrix: csr_array, wanted: csr_array, ridge: float, least: int) -> Measured:
    counts = np.bincount(matrix.indices, minlength=matrix.shape[1])
    items = np.flatnonzero(counts >= least)
    if items.size == 0:
        empty = np.full(matrix.shape, -np.inf)
        return measure(lambda rows: empty[rows], wanted)
    scores = own_scores(csr_array(matrix[:, items]), ridge * float(counts[items].mean()))

    def block(rows: NDArray[np.int64]) -> Scores:
        return without(spread(scores[rows], items, matrix.shape[1]), csr_array(matrix[rows]))

    return measure(block, wanted)


def _pooled_all(pooled: Interactions, test: csr_array, ridge: float) -> Measured:
    """All users and all their videos, no threshold: for orientation, since no session could sum it."""
    items = np.flatnonzero(statistics.counts(pooled) > 0)
    scores = own_scores(csr_array(pooled.matrix[:, items]), ridge).astype(np.float32)

    def block(rows: NDArray[np.int64]) -> Scores:
        return without(spread(scores[rows], items, pooled.videos), csr_array(pooled.matrix[rows]))

    return measure(block, test)


def _equal(first: Statistic, second: Statistic) -> bool:
    return all(
        np.array_equal(getattr(first, name), getattr(second, name)) for name in ("head", "counts", "triangle")
    )


def _difference(first: ItemWeights, second: ItemWeights, history: csr_array) -> float:
    one, other = first.scores(history), second.scores(history)
    finite = np.isfinite(one) & np.isfinite(other)
    if not np.array_equal(np.isfinite(one), np.isfinite(other)):
        return float("inf")
    scale = float(np.abs(other[finite]).max(initial=0.0))
    return float(np.abs(one[finite] - other[finite]).max(initial=0.0)) / scale if scale else 0.0


def _renumbered(measured: Measured, numbers: NDArray[np.int64]) -> Measured:
    return Measured(
        numbers[measured.viewers], measured.ndcg, measured.recall, measured.lists, measured.videos
    )


def _group(name: str, members: list[NDArray[np.int64]], quality: dict[str, Measured]) -> Group:
    rows = np.concatenate([np.zeros(0, np.int64), *members])
    return Group(
        name=name,
        instances=len(members),
        users=len(rows),
        quality={model: quality[model].among(rows).summary() for model in MODELS},
    )


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if len(values) else 0.0


def _notes(options: Options, crowd: Crowd) -> tuple[str, ...]:
    drawn = f"drawn from the log-normal distribution of PeerTube instances, at least {crowd.at_least}"
    sizes = "as given" if crowd.sizes is not None else drawn
    split_by = (
        f"Sizes of instances are {sizes}. Users are grouped into {crowd.tastes} tastes by the tags of what "
        f"they like; an instance's mixture is drawn with strength {crowd.strength:g}, seed {options.seed}."
    )
    local = (
        "Local only: the closed form on an instance's own users and all their videos, lambda and the users "
        "that a video needs chosen on their own held-out part."
    )
    federated = (
        "Federated: the closed form on the sum over all instances, own users included. Lambda is chosen "
        "once, on the held-out part of users of all instances; own tail and pseudo-users are left out."
    )
    pooled = (
        "Pooled: the same from the concatenated users, solved once where the sums are equal. Pooled, all "
        "videos: no threshold and no largest head, for orientation; lambda in the same multiples."
    )
    return split_by, "Popularity counts all users of all instances.", local, federated, pooled


class _Clock:
    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def done(self, phase: str) -> None:
        now = time.perf_counter()
        self.seconds[phase] = now - self._last
        self._last = now
        self.progress(phase, 1.0)
