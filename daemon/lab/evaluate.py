"""Measures models and baselines on a data set: what `shoal evaluate` computes, without printing anything."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array

from daemon.lab.evaluate_data import Split, World, hold_out_users, split, world
from daemon.source.dataset_files import DataSet
from models import statistics
from models.baselines import ItemKNN, PeerTubeRule, Popularity
from models.closed_form import solve
from models.evaluation import Measured, Summary, draw_seeds, masked, next_videos, related_videos
from models.interactions import Interactions, split_interactions
from models.recommender import Factorization, ItemWeights, Recommender, TagProfiles
from models.trained import Recipe, TrainedModel, TrainingData
from models.training import train

Progress = Callable[[str, float], None]

POPULARITY = "popularity"
PEERTUBE = "PeerTube's rule"
ITEM_KNN = "item-kNN"
CLOSED_FORM = "closed form"
FACTORIZATION = "factorization"
TAG_PROFILE = "tag profile"
RELATED_LISTS = "related lists"
MOST_SEEN = 0.02
USER_TAGS = 0.5


@dataclass(frozen=True)
class Options:
    """What to measure and how; the defaults are those of the published measurements.

    Attributes:
        positive_from: lowest value that counts as liked; None chooses by the table and rule of the data
            source.
        seed: of every draw.
        min_interactions: likes that a user needs to take part.
        test: share of the interactions that is held out as the test part.
        validation: share of the training part that lambda is chosen on.
        limit: videos per user whose cost is shown; the default of an instance.
        related_users: share of users held out of the fit to measure related videos.
        recipe: of the served model. Evaluation is no release of data, so pairs of few users may count.
    """

    positive_from: float | None = None
    seed: int = 1
    min_interactions: int = 5
    test: float = 0.2
    validation: float = 0.1
    limit: int = 200
    related_users: float = 0.2
    recipe: Recipe = field(default_factory=lambda: Recipe(min_pair_users=1))


@dataclass(frozen=True)
class Row:
    """One line of a report.

    Attributes:
        model: its name.
        summary: its quality.
        detail: settings that were chosen, in words; "" where there are none.
        seconds: fitting and ranking together.
    """

    model: str
    summary: Summary
    detail: str
    seconds: float


@dataclass(frozen=True)
class Report:
    """What `evaluate` found.

    Attributes:
        name: of the data set.
        users, videos, interactions: sizes after the thresholds.
        positive: which values count as liked, in words.
        newest: what PeerTube's rule sorts by, in words.
        notes: further rules that the numbers rest on, one sentence each.
        next_videos: a viewer's next videos, all videos ranked.
        limited: the same with at most `limit` videos per user in the fit.
        cold: a viewer's next videos among those that nobody engaged with in the training part.
        related: videos related to one seed, for users outside the fit.
        related_less_seen: the same, with only the less-seen videos to find: the plain measure rewards showing
            everybody what everybody watches.
    """

    name: str
    users: int
    videos: int
    interactions: int
    positive: str
    newest: str
    notes: tuple[str, ...]
    next_videos: tuple[Row, ...]
    limited: tuple[Row, ...]
    cold: tuple[Row, ...]
    related: tuple[Row, ...]
    related_less_seen: tuple[Row, ...]

    def row(self, model: str) -> Row:
        """Row of a model in `next_videos`."""
        return next(row for row in self.next_videos if row.model == model)


def evaluate(data: DataSet, options: Options, progress: Progress = lambda _phase, _part: None) -> Report:
    """Measure all models and baselines on one data set, as if it were one instance.

    Args:
        data: the tables.
        options: what to measure and how.
        progress: called with the name of a phase and the part of it that is done, in [0, 1].

    Raises:
        ValueError: nobody has enough likes.
    """
    with dense_threads(options.recipe.threads):
        return _evaluate(data, options, progress)


@contextmanager
def dense_threads(number: int) -> Iterator[None]:
    """Use so many threads for dense algebra; their number decides the last bits of results."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _evaluate(data: DataSet, options: Options, progress: Progress) -> Report:
    progress("split", 0.0)
    users = world(data, from_value=options.positive_from, min_interactions=options.min_interactions)
    parts = split(users, test=options.test, seed=options.seed)
    bench = _Bench(users, parts, options, progress)
    baselines = bench.baselines()
    closed, ridge = bench.closed_form()
    served, model = bench.factorization()
    limited = bench.limited(ridge, model)
    cold = bench.cold(model)
    related, less_seen = bench.related(model)
    progress("related videos", 1.0)
    return Report(
        name=users.name,
        users=users.matrix.shape[0],
        videos=users.matrix.shape[1],
        interactions=int(users.matrix.nnz),
        positive=str(users.positive),
        newest=parts.order.rule,
        notes=_notes(users, options),
        next_videos=(*baselines, closed, served),
        limited=limited,
        cold=cold,
        related=related,
        related_less_seen=less_seen,
    )


@dataclass(frozen=True)
class _Bench:
    world: World
    split: Split
    options: Options
    progress: Progress

    def baselines(self) -> tuple[Row, ...]:
        matrix = self.split.train.matrix
        self.progress("baselines", 0.0)
        popular = self._next(POPULARITY, lambda: Popularity(statistics.counts(self.split.train)))
        self.progress("baselines", 0.2)
        neighbours = self._next(ITEM_KNN, lambda: ItemKNN(matrix))
        self.progress("baselines", 0.6)
        rule = self._next(
            PEERTUBE,
            lambda: PeerTubeRule(self.world.features.tags, self.split.order),
            history=self.split.latest,
            detail=f"newest by {self.split.order.rule}",
        )
        self.progress("baselines", 1.0)
        return popular, neighbours, rule

    def closed_form(self) -> tuple[Row, float]:
        """Yardstick: the full closed form on the head, without tags; returns its lambda as well."""
        started = time.perf_counter()
        kept, held_out = split_interactions(
            self.split.train.matrix, self.options.validation, np.random.default_rng([self.options.seed, 3])
        )
        found: dict[float, float] = {}
        lambdas = self.options.recipe.lambdas
        for ridge in lambdas:
            model = closed_form(Interactions(kept), ridge, self.options.recipe, dtype=torch.float32)
            found[ridge] = next_videos(model, kept, held_out).summary().ndcg10
            self.progress(CLOSED_FORM, len(found) / (len(lambdas) + 1))
        ridge = max(found, key=lambda candidate: found[candidate])
        row = self._next(
            CLOSED_FORM,
            lambda: closed_form(self.split.train, ridge, self.options.recipe),
            detail=f"lambda {ridge:g}",
            started=started,
        )
        self.progress(CLOSED_FORM, 1.0)
        return row, ridge

    def factorization(self) -> tuple[Row, TrainedModel]:
        started = time.perf_counter()
        model = self._train(self.split.train, self.options.recipe, FACTORIZATION)
        detail = f"rank {model.U.shape[1]}, lambda {model.chosen_lambda:g}, tags {model.chosen_alpha:g}"
        return self._next(FACTORIZATION, lambda: Factorization(model), detail=detail, started=started), model

    def limited(self, ridge: float, model: TrainedModel) -> tuple[Row, ...]:
        """Fit the same settings to at most `limit` videos per user."""
        fewer = self.split.train.limited(self.options.limit)
        recipe = replace(self.options.recipe, lambdas=(model.chosen_lambda,), alphas=(model.chosen_alpha,))
        detail = f"at most {self.options.limit} videos per user"
        closed = self._next(
            CLOSED_FORM, lambda: closed_form(fewer, ridge, self.options.recipe), detail=detail
        )
        phase = f"{FACTORIZATION}, {detail}"
        served = self._next(
            FACTORIZATION, lambda: Factorization(self._train(fewer, recipe, phase)), detail=detail
        )
        return closed, served

    def cold(self, model: TrainedModel) -> tuple[Row, ...]:
        cold = self.split.cold
        self.progress("cold videos", 0.0)
        rule = self._next(
            PEERTUBE,
            lambda: PeerTubeRule(self.world.features.tags, self.split.order),
            history=self.split.latest,
            among=cold,
        )
        profile = self._next(TAG_PROFILE, lambda: TagProfiles(model, cold), among=cold)
        self.progress("cold videos", 1.0)
        return rule, profile

    def related(self, model: TrainedModel) -> tuple[tuple[Row, ...], tuple[Row, ...]]:
        """Related videos for users outside the fit, from one seed each."""
        phase = "related videos"
        fitted, held_out = hold_out_users(self.world, self.options.related_users, self.options.seed)
        matrix = csr_array(self.world.matrix[fitted])
        seeds, others = draw_seeds(
            csr_array(self.world.matrix[held_out]), np.random.default_rng([self.options.seed, 4])
        )
        # The lists need no vectors, so the narrowest factorization will do.
        recipe = replace(
            self.options.recipe, rank=1, lambdas=(model.chosen_lambda,), alphas=(model.chosen_alpha,)
        )
        fits: tuple[tuple[str, Callable[[], Recommender]], ...] = (
            (POPULARITY, lambda: Popularity(statistics.counts(Interactions(matrix)))),
            (ITEM_KNN, lambda: ItemKNN(matrix)),
            (PEERTUBE, lambda: PeerTubeRule(self.world.features.tags, self.split.order)),
            (RELATED_LISTS, lambda: Factorization(self._train(Interactions(matrix), recipe, phase))),
        )
        counts = np.bincount(matrix.indices, minlength=matrix.shape[1])
        most_seen = np.argsort(-counts, kind="stable")[: int(len(counts) * MOST_SEEN)]
        less_seen = masked(others, ~np.isin(others.indices, most_seen))
        rows, tail = [], []
        for name, fit in fits:
            started = time.perf_counter()
            fitted_model = fit()
            rows.append(_row(name, related_videos(fitted_model, seeds, others), "", started))
            tail.append(_row(name, related_videos(fitted_model, seeds, less_seen), "", started))
        return tuple(rows), tuple(tail)

    def _train(self, own: Interactions, recipe: Recipe, phase: str) -> TrainedModel:
        data = TrainingData(self.world.features, own, None)
        return train(data, recipe, lambda step, part: self.progress(f"{phase}: {step}", part))

    def _next(
        self,
        name: str,
        fit: Callable[[], Recommender],
        *,
        history: csr_array | None = None,
        among: NDArray[np.int64] | None = None,
        detail: str = "",
        started: float | None = None,
    ) -> Row:
        begun = time.perf_counter() if started is None else started
        seen = self.split.train.matrix
        known = seen if history is None else history
        return _row(name, next_videos(fit(), known, self.split.test, seen=seen, among=among), detail, begun)


def closed_form(
    own: Interactions, ridge: float, recipe: Recipe, *, dtype: torch.dtype = torch.float64
) -> ItemWeights:
    """Fit the full closed form to the head of some users.

    Args:
        own: (users, videos).
        ridge: lambda, in multiples of the mean diagonal of the Gram matrix.
        recipe: threshold and size of the head.
        dtype: float64, or float32 where half the time matters more than the last digits.
    """
    items = statistics.head(statistics.counts(own), min_users=recipe.min_users, max_head=recipe.max_head)
    return closed_form_of(statistics.gram(own.matrix, items), items, own.videos, ridge, dtype=dtype)


def closed_form_of(
    gram: NDArray[np.float64],
    items: NDArray[np.int64],
    videos: int,
    ridge: float,
    *,
    dtype: torch.dtype = torch.float64,
) -> ItemWeights:
    """Fit the full closed form to a Gram matrix over `items`; `ridge` as above."""
    unit = float(np.diagonal(gram).mean()) if items.size else 1.0
    weights = solve(gram, ridge * unit, dtype=dtype).weights().float().numpy()
    return ItemWeights(items, weights, videos)


def _row(name: str, measured: Measured, detail: str, started: float) -> Row:
    return Row(name, measured.summary(), detail, time.perf_counter() - started)


def _notes(users: World, options: Options) -> tuple[str, ...]:
    drawn = (
        "A viewer's most recent video, and what a limit keeps, go by the times in the set."
        if users.when is not None
        else "Without times in the set, a viewer's most recent video and what a limit keeps are random."
    )
    held_out = (
        f"Each interaction is in the test part with probability {options.test:g}, seed {options.seed}; "
        "rows are binary, without a limit on videos per user; everything outside the training part is "
        "ranked, before reserved places and channel caps."
    )
    fitted = (
        f"Lambda is chosen on {options.validation:.0%} of the training part. The head has at most "
        f"{options.recipe.max_head} videos of at least {options.recipe.min_users} users. Pairs of few users "
        "count, because nothing leaves an evaluation."
    )
    tail = f"Less-seen videos are those outside the {MOST_SEEN:.0%} that most users engaged with."
    flattered = (
        "Most tags of this set come from users, maybe for the very videos held out: rows that rest on tags "
        "are flattered."
    )
    return held_out, fitted, drawn, tail, *((flattered,) if users.tags_by_users > USER_TAGS else ())
