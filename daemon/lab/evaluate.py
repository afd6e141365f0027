"""Measures models and baselines on a data set: what `shoal evaluate` computes, without printing anything."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Final, TypedDict

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from daemon.lab.evaluate_cold import compare_cold
from daemon.lab.evaluate_related import LATEST, compare_related
from daemon.lab.experiment import (
    LAMBDAS,
    MAX_HEAD,
    MIN_USERS,
    PEERTUBE_NOTE,
    Population,
    Progress,
    TrainTestSplit,
    choose_ridge,
    closed_form,
    exactly,
    load,
    split,
    summed,
)
from daemon.lab.related_quality import MOST_SEEN, RelatedRow
from daemon.source.dataset_files import DataSet
from models import counting
from models.baselines import ItemKNN, PeerTubeRule, Popularity
from models.evaluation import Measured, Summary, next_videos
from models.implicit_als import ImplicitALS
from models.interactions import Interactions, split_interactions
from models.item_scores import Sparse
from models.recommender import ItemWeights, Recommender, ServedItems
from models.trained import Recipe, TrainedModel, TrainingData
from models.training import dense_threads, prepare, train

POPULARITY = "popularity"
PEERTUBE = "PeerTube's rule"
ITEM_KNN = "item-kNN"
IMPLICIT_ALS = "implicit ALS"
CLOSED_FORM = "closed form"
SERVED = "served"
USER_TAGS = 0.5
KNN_SETTINGS: Final[Mapping[str, tuple[float, ...]]] = {
    "neighbours": (50, 100, 200),
    "shrinkage": (0, 10, 50),
}
"""Tried on the validation part, as the lambda of what is served is."""
ALS_SETTINGS: Final[Mapping[str, tuple[float, ...]]] = {
    "factors": (64, 128),
    "regularisation": (10, 30, 100),
    "confidence": (1, 5, 40),
}


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
        min_users: users from which a video is in the head.
        max_head: videos of the head, at most.
        limit: videos per user whose cost is shown; the default of an instance.
        recipe: of the served model, but for its lambda.
    """

    positive_from: float | None = None
    seed: int = 1
    min_likes: int = 5
    test: float = 0.2
    validation: float = 0.1
    min_users: int = MIN_USERS
    max_head: int = MAX_HEAD
    limit: int = 200
    recipe: Recipe = field(default_factory=Recipe)


@dataclass(frozen=True)
class Row:
    """One line of a report.

    Attributes:
        model: its name.
        summary: its quality.
        detail: settings that were chosen, for people; "" where there are none.
        seconds: fitting and ranking together; nan where several were fitted at once.
    """

    model: str
    summary: Summary
    detail: str
    seconds: float


@dataclass(frozen=True)
class RelatedSummary:
    """One line about lists of related videos: NDCG@10 with standard errors over viewers, see `RelatedRow`."""

    model: str
    viewers: int
    following: float
    following_se: float
    anything: float
    anything_se: float
    less_seen: float
    less_seen_se: float
    coverage: float

    @classmethod
    def of(cls, row: RelatedRow) -> RelatedSummary:
        """Summarise a row."""
        return cls(
            row.model,
            len(row.viewers),
            *_mean(row.following),
            *_mean(row.anything),
            *_mean(row.less_seen),
            row.coverage,
        )


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


class About(TypedDict):
    """The fields of `Evaluated`."""

    name: str
    users: int
    videos: int
    interactions: int
    positive: str
    newest: str
    notes: tuple[str, ...]


def about(population: Population, notes: tuple[str, ...], *, newest: str = "") -> About:
    """Describe an evaluation of all users of a population."""
    return {
        "name": population.name,
        "users": population.likes.users,
        "videos": population.likes.videos,
        "interactions": int(population.likes.matrix.nnz),
        "positive": str(population.positive),
        "newest": newest,
        "notes": notes,
    }


@dataclass(frozen=True)
class EvaluationReport(Evaluated):
    """What `evaluate` found.

    Attributes:
        next_videos: a viewer's next videos, all videos ranked.
        limited: the same with at most `limit` videos per user in the fit.
        new_videos: a viewer's next videos among new ones, which nobody has engaged with.
        new_viewers: the next videos of viewers known by a few.
        new_instances: the next videos of an instance's viewers, learnt from them alone, with noise.
        related: videos related to one.
        related_latest: the same where viewers have watched little; empty without times.
    """

    next_videos: tuple[Row, ...]
    limited: tuple[Row, ...]
    new_videos: tuple[Row, ...]
    new_viewers: tuple[Row, ...]
    new_instances: tuple[Row, ...]
    related: tuple[RelatedSummary, ...]
    related_latest: tuple[RelatedSummary, ...]

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
    # Public counters that know nothing of what is held out.
    described = replace(population.features, views=counting.counts(parts.train))
    bench = _Bench(replace(population, features=described), parts, options, progress)
    with dense_threads(options.recipe.threads):
        baselines = bench.baselines()
        closed, ridge = bench.closed_form()
        served, tuned = bench.served()
        limited = bench.limited(ridge, tuned)
        recipe = replace(options.recipe, ridge=0.0)
        cold = compare_cold(
            *(population, parts, recipe),
            seed=options.seed,
            limit=options.limit,
            progress=lambda part: progress("cold start", part),
        )
        related, latest = (
            compare_related(
                *(population, recipe),
                seed=options.seed,
                latest=most,
                progress=lambda part: progress("related videos", part),
            )
            if most is None or population.likes.recency is not None
            else ()
            for most in (None, LATEST)
        )
    return EvaluationReport(
        **about(population, _notes(population, options), newest=parts.order.rule),
        next_videos=(*baselines, closed, served),
        limited=limited,
        new_videos=_named(cold.videos),
        new_viewers=_named(cold.viewers),
        new_instances=_named(cold.instances),
        related=tuple(map(RelatedSummary.of, related)),
        related_latest=tuple(map(RelatedSummary.of, latest)),
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
            self._next(POPULARITY, lambda: Popularity(counting.counts(train))),
            self._best(ITEM_KNN, lambda matrix, **chosen: ItemKNN(matrix, **chosen), KNN_SETTINGS),
            self._best(IMPLICIT_ALS, lambda matrix, **chosen: ImplicitALS(matrix, **chosen), ALS_SETTINGS),
            self._peertube(detail=f"newest by {self.split.order.rule}"),
        )

    def _best(
        self, name: str, fit: Callable[..., Recommender], settings: Mapping[str, tuple[float, ...]]
    ) -> Row:
        """Fit with the settings that do best on the validation part."""
        started = time.perf_counter()
        kept, held_out = self._validation()
        tried = [dict(zip(settings, values, strict=True)) for values in product(*settings.values())]
        found: list[float] = []
        for one in tried:
            found.append(next_videos(fit(kept, **one), kept, held_out).ndcg.mean())
            self.progress(name, len(found) / (len(tried) + 1))
        best = tried[int(np.argmax(found))]
        detail = ", ".join(f"{setting} {value:g}" for setting, value in best.items())
        return self._next(name, lambda: fit(self.split.train.matrix, **best), detail=detail, started=started)

    def closed_form(self) -> tuple[Row, float]:
        """Yardstick: the full closed form on the head, without tags; returns its lambda as well."""
        started = time.perf_counter()
        options = self.options
        ridge = choose_ridge(
            self.split.train,
            options.validation,
            options.seed,
            min_users=options.min_users,
            max_head=options.max_head,
            progress=lambda part: self.progress(CLOSED_FORM, part * 0.8),
        )
        row = self._next(
            CLOSED_FORM,
            lambda: self._closed_form(self.split.train, ridge),
            detail=f"lambda {ridge:g}",
            started=started,
        )
        return row, ridge

    def served(self) -> tuple[Row, float]:
        """Fit what is served, tuned as its yardstick is; returns its lambda as well."""
        started = time.perf_counter()
        ridge = self._tuned()
        model = self._train(self.split.train, self._recipe(ridge), SERVED)
        form = "sparse" if isinstance(model.scoring, Sparse) else "factorized"
        detail = f"{form}, lambda {ridge:g}, tags and words {model.recipe.alpha:g}"
        return self._next(SERVED, lambda: ServedItems(model), detail=detail, started=started), ridge

    def _tuned(self) -> float:
        options = self.options
        kept, held_out = self._validation()
        exact = exactly(Interactions(kept), min_users=options.min_users, max_head=options.max_head)
        ready = prepare(TrainingData(self.population.features, exact, None), options.recipe)
        return max(LAMBDAS, key=lambda ridge: next_videos(ready.candidate(ridge), kept, held_out).ndcg.mean())

    def _validation(self) -> tuple[csr_array, csr_array]:
        return split_interactions(
            self.split.train.matrix, self.options.validation, np.random.default_rng([self.options.seed, 3])
        )

    def limited(self, ridge: float, tuned: float) -> tuple[Row, ...]:
        """Fit the same settings to at most `limit` videos per user."""
        fewer = self.split.train.limited(self.options.limit)
        recipe = self._recipe(tuned)
        detail = f"at most {self.options.limit} videos per user"
        closed = self._next(CLOSED_FORM, lambda: self._closed_form(fewer, ridge), detail=detail)
        phase = f"{SERVED}, {detail}"
        served = self._next(SERVED, lambda: ServedItems(self._train(fewer, recipe, phase)), detail=detail)
        return closed, served

    def _recipe(self, ridge: float) -> Recipe:
        return replace(self.options.recipe, ridge=ridge)

    def _rule(self) -> PeerTubeRule:
        return PeerTubeRule(self.population.features.tags, self.split.order)

    def _peertube(self, *, among: NDArray[np.int64] | None = None, detail: str = "") -> Row:
        return self._next(PEERTUBE, self._rule, history=self.split.last, among=among, detail=detail)

    def _closed_form(self, own: Interactions, ridge: float) -> ItemWeights:
        total = summed([own], min_users=self.options.min_users, max_head=self.options.max_head)
        return closed_form(total, own.videos, ridge)

    def _train(self, own: Interactions, recipe: Recipe, phase: str) -> TrainedModel:
        exact = exactly(own, min_users=self.options.min_users, max_head=self.options.max_head)
        data = TrainingData(self.population.features, exact, None)
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


def _mean(values: NDArray[np.float64]) -> tuple[float, float]:
    there = values[np.isfinite(values)]
    if there.size < 2:
        return (float(there[0]) if there.size else float("nan")), float("nan")
    return float(there.mean()), float(there.std(ddof=1) / np.sqrt(there.size))


def _named(found: Sequence[tuple[str, Measured]]) -> tuple[Row, ...]:
    return tuple(Row(name, measured.summary(), "", float("nan")) for name, measured in found)


def _row(name: str, measured: Measured, detail: str, started: float) -> Row:
    return Row(name, measured.summary(), detail, time.perf_counter() - started)


def _grid(settings: Mapping[str, tuple[float, ...]]) -> str:
    return ", ".join(
        f"{name} {' or '.join(format(value, 'g') for value in values)}" for name, values in settings.items()
    )


def _notes(population: Population, options: Options) -> tuple[str, ...]:
    held_out = (
        f"Each interaction is held out for the test with probability {options.test:g} (seed {options.seed}). "
        "All other videos are ranked, before reserved places and caps. Likes are 0 or 1, with no "
        "limit on videos per user unless a table says so. The closed form and what is served count users "
        "with many videos for less, as sums do."
    )
    fitted = (
        f"Lambda is chosen on {options.validation:.0%} of the training part, separately for the closed form "
        f"and for what is served, and so are the settings of item-kNN ({_grid(KNN_SETTINGS)}) and of "
        f"implicit ALS ({_grid(ALS_SETTINGS)}). The head holds at most {options.max_head:,} videos with at "
        f"least {options.min_users} users each. All learn from exact numbers, and pairs with few users "
        "count: nobody is shown what an evaluation learns. A daemon's model learns from released numbers."
    )
    dated = (
        "The times in the set decide which video a viewer watched last and which ones a limit keeps."
        if population.likes.recency is not None
        else "The set has no times: the video watched last and those that a limit keeps are drawn at random."
    )
    related = (
        "Related lists are asked for up to five videos of each viewer, who is not in the fit. Next are the "
        "five videos that the viewer watched after it, anything is all others. Less-seen videos are all but "
        f"the {MOST_SEEN:.0%} that most users engaged with. The lists are those that an instance serves from "
        "a release without noise, and beside them with that of the default level. One ridge, tags: a single "
        "solve beside tags, pairs of five viewers or more."
    )
    cold = (
        "New videos are one in twenty, taken out of what is learnt from, in three draws. New viewers are one "
        "in five, known by the videos that they watched first. New instances learn alone, from a release "
        "with the noise of the default level; public views are the likes of everybody."
    )
    flattered = (
        "Most tags in this set were written by users, perhaps for the very videos held out, so rows that "
        "rest on tags look better than they are."
    )
    by_users = population.tags_by_users > USER_TAGS
    return held_out, fitted, dated, PEERTUBE_NOTE, related, cold, *((flattered,) if by_users else ())
