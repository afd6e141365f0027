"""Measures models and baselines on a data set: what `shoal evaluate` computes, without printing anything."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from daemon.lab.experiment import (
    PEERTUBE_NOTE,
    Population,
    Progress,
    TrainTestSplit,
    choose_ridge,
    closed_form,
    draw_users,
    load,
    split,
    summed,
)
from daemon.source.dataset_files import DataSet
from models import statistics
from models.baselines import ItemKNN, PeerTubeRule, Popularity
from models.evaluation import Measured, Summary, draw_seeds, masked, next_videos, related_videos
from models.interactions import Interactions
from models.recommender import Factorization, ItemWeights, Recommender, TagProfiles
from models.trained import Recipe, TrainedModel, TrainingData
from models.training import dense_threads, train

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
        min_likes: likes that a user needs to take part.
        test: share of the interactions that is held out as the test part.
        validation: share of the training part that lambda is chosen on.
        limit: videos per user whose cost is shown; the default of an instance.
        related_users: share of users held out of the fit to measure related videos.
        recipe: of the served model. Evaluation releases nothing, so pairs of few users may count.
    """

    positive_from: float | None = None
    seed: int = 1
    min_likes: int = 5
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
        detail: settings that were chosen, for people; "" where there are none.
        seconds: fitting and ranking together.
    """

    model: str
    summary: Summary
    detail: str
    seconds: float


@dataclass(frozen=True)
class Evaluated:
    """What every report of an evaluation begins with.

    Attributes:
        name: of the data set.
        users, videos, interactions: sizes after the thresholds.
        positive: which values count as liked, for people.
        newest: what PeerTube's rule sorts by, for people.
        notes: what the numbers rest on, one sentence or two each.
    """

    name: str
    users: int
    videos: int
    interactions: int
    positive: str
    newest: str
    notes: tuple[str, ...]


@dataclass(frozen=True)
class EvaluationReport(Evaluated):
    """What `evaluate` found.

    Attributes:
        next_videos: a viewer's next videos, all videos ranked.
        limited: the same with at most `limit` videos per user in the fit.
        cold: a viewer's next videos among those that nobody engaged with in the training part.
        related: videos related to one seed, for users outside the fit.
        related_less_seen: the same, with only the less-seen videos to find: the plain measure rewards showing
            everybody what everybody watches.
    """

    next_videos: tuple[Row, ...]
    limited: tuple[Row, ...]
    cold: tuple[Row, ...]
    related: tuple[Row, ...]
    related_less_seen: tuple[Row, ...]

    def row(self, model: str) -> Row:
        """Row of a model in `next_videos`."""
        return next(row for row in self.next_videos if row.model == model)


def evaluate(
    data: DataSet, options: Options, progress: Progress = lambda _phase, _part: None
) -> EvaluationReport:
    """Measure all models and baselines on one data set, as if it were one instance.

    Args:
        data: the tables.
        options: what to measure and how.
        progress: called with the name of a phase and the part of it that is done, in [0, 1].

    Raises:
        ValueError: nobody has enough likes.
    """
    progress("split", 0.0)
    population = load(data, from_value=options.positive_from, min_likes=options.min_likes)
    parts = split(population, test=options.test, seed=options.seed)
    bench = _Bench(population, parts, options, progress)
    with dense_threads(options.recipe.threads):
        baselines = bench.baselines()
        closed, ridge = bench.closed_form()
        served, model = bench.factorization()
        limited = bench.limited(ridge, model)
        cold = bench.cold(model)
        related, less_seen = bench.related(model)
    progress("related videos", 1.0)
    return EvaluationReport(
        name=population.name,
        users=population.likes.users,
        videos=population.likes.videos,
        interactions=int(population.likes.matrix.nnz),
        positive=str(population.positive),
        newest=parts.order.rule,
        notes=_notes(population, options),
        next_videos=(*baselines, closed, served),
        limited=limited,
        cold=cold,
        related=related,
        related_less_seen=less_seen,
    )


@dataclass(frozen=True)
class _Bench:
    population: Population
    split: TrainTestSplit
    options: Options
    progress: Progress

    def baselines(self) -> tuple[Row, ...]:
        train = self.split.train
        return (
            self._next(POPULARITY, lambda: Popularity(statistics.counts(train))),
            self._next(ITEM_KNN, lambda: ItemKNN(train.matrix)),
            self._peertube(detail=f"newest by {self.split.order.rule}"),
        )

    def closed_form(self) -> tuple[Row, float]:
        """Yardstick: the full closed form on the head, without tags; returns its lambda as well."""
        started = time.perf_counter()
        options = self.options
        ridge = choose_ridge(
            self.split.train,
            options.recipe,
            options.validation,
            options.seed,
            progress=lambda part: self.progress(CLOSED_FORM, part * 0.8),
        )
        row = self._next(
            CLOSED_FORM,
            lambda: self._closed_form(self.split.train, ridge),
            detail=f"lambda {ridge:g}",
            started=started,
        )
        return row, ridge

    def factorization(self) -> tuple[Row, TrainedModel]:
        started = time.perf_counter()
        model = self._train(self.split.train, self.options.recipe, FACTORIZATION)
        detail = f"rank {model.U.shape[1]}, lambda {model.chosen_lambda:g}, tags {model.chosen_alpha:g}"
        return self._next(FACTORIZATION, lambda: Factorization(model), detail=detail, started=started), model

    def limited(self, ridge: float, model: TrainedModel) -> tuple[Row, ...]:
        """Fit the same settings to at most `limit` videos per user."""
        fewer = self.split.train.limited(self.options.limit)
        recipe = _as_chosen(self.options.recipe, model)
        detail = f"at most {self.options.limit} videos per user"
        closed = self._next(CLOSED_FORM, lambda: self._closed_form(fewer, ridge), detail=detail)
        phase = f"{FACTORIZATION}, {detail}"
        served = self._next(
            FACTORIZATION, lambda: Factorization(self._train(fewer, recipe, phase)), detail=detail
        )
        return closed, served

    def cold(self, model: TrainedModel) -> tuple[Row, ...]:
        cold = self.split.cold
        profile = self._next(TAG_PROFILE, lambda: TagProfiles(model, cold), among=cold)
        return self._peertube(among=cold), profile

    def related(self, model: TrainedModel) -> tuple[tuple[Row, ...], tuple[Row, ...]]:
        """Related videos for users outside the fit, from one seed each."""
        likes, seed = self.population.likes, self.options.seed
        number = int(likes.users * self.options.related_users)
        held_out, fitted = draw_users(likes.users, number, np.random.default_rng([seed, 2]))
        known = Interactions(csr_array(likes.matrix[fitted]))
        counts = statistics.counts(known)
        seeds, others = draw_seeds(csr_array(likes.matrix[held_out]), np.random.default_rng([seed, 4]))
        # The lists need no vectors, so the narrowest factorization will do.
        recipe = replace(_as_chosen(self.options.recipe, model), rank=1)
        fits: tuple[tuple[str, Callable[[], Recommender]], ...] = (
            (POPULARITY, lambda: Popularity(counts)),
            (ITEM_KNN, lambda: ItemKNN(known.matrix)),
            (PEERTUBE, self._rule),
            (RELATED_LISTS, lambda: Factorization(self._train(known, recipe, "related videos"))),
        )
        most_seen = np.argsort(-counts, kind="stable")[: int(len(counts) * MOST_SEEN)]
        less_seen = masked(others, ~np.isin(others.indices, most_seen))
        rows, tail = [], []
        for name, fit in fits:
            started = time.perf_counter()
            fitted_model = fit()
            rows.append(_row(name, related_videos(fitted_model, seeds, others), "", started))
            tail.append(_row(name, related_videos(fitted_model, seeds, less_seen), "", started))
        return tuple(rows), tuple(tail)

    def _rule(self) -> PeerTubeRule:
        return PeerTubeRule(self.population.features.tags, self.split.order)

    def _peertube(self, *, among: NDArray[np.int64] | None = None, detail: str = "") -> Row:
        return self._next(PEERTUBE, self._rule, history=self.split.last, among=among, detail=detail)

    def _closed_form(self, own: Interactions, ridge: float) -> ItemWeights:
        recipe = self.options.recipe
        total = summed([own], min_users=recipe.min_users, max_head=recipe.max_head)
        return closed_form(total, own.videos, ridge)

    def _train(self, own: Interactions, recipe: Recipe, phase: str) -> TrainedModel:
        data = TrainingData(self.population.features, own, None)
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
        found = next_videos(fit(), known, self.split.test, seen=seen, among=among)
        self.progress(name, 1.0)
        return _row(name, found, detail, begun)


def _as_chosen(recipe: Recipe, model: TrainedModel) -> Recipe:
    return replace(recipe, lambdas=(model.chosen_lambda,), alphas=(model.chosen_alpha,))


def _row(name: str, measured: Measured, detail: str, started: float) -> Row:
    return Row(name, measured.summary(), detail, time.perf_counter() - started)


def _notes(population: Population, options: Options) -> tuple[str, ...]:
    held_out = (
        f"Each interaction is held out for the test with probability {options.test:g} (seed {options.seed}). "
        "All other videos are ranked, before reserved slots and channel caps. Likes are 0 or 1, with no "
        "limit on videos per user unless a table says so."
    )
    fitted = (
        f"Lambda is chosen on {options.validation:.0%} of the training part. The head holds at most "
        f"{options.recipe.max_head:,} videos with at least {options.recipe.min_users} users each. Pairs with "
        "few users count, because an evaluation releases nothing."
    )
    dated = (
        "The times in the set decide which video a viewer watched last and which ones a limit keeps."
        if population.likes.recency is not None
        else "The set has no times: the video watched last and those that a limit keeps are drawn at random."
    )
    tail = f"Less-seen videos are all but the {MOST_SEEN:.0%} that most users engaged with."
    flattered = (
        "Most tags in this set were written by users, perhaps for the very videos held out, so rows that "
        "rest on tags look better than they are."
    )
    by_users = population.tags_by_users > USER_TAGS
    return held_out, fitted, dated, PEERTUBE_NOTE, tail, *((flattered,) if by_users else ())
