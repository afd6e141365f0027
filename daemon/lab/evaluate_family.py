"""Compares the family of models of ratings: RMSE and ranking on all, on the least rated and on cold videos.

Two things are held out: all ratings of some videos, which are cold then, and a share of the others. Every
member is tuned with the same number of tries, on a validation part of what is left.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from daemon.lab.evaluate import Evaluated, Options
from daemon.lab.experiment import Progress, tags_of
from daemon.source.dataset_columns import RATING_STEPS, positive_from
from daemon.source.dataset_files import DataSet
from models.evaluation import measure, without
from models.family.als import ExplicitALS
from models.family.balse import Balse
from models.family.bayesian_fm import BayesianFM
from models.family.biases import Biases
from models.family.deep_fm import DeepFM
from models.family.factorization_machine import FactorizationMachine
from models.family.implicit import LikedALS
from models.family.logistic import LogisticFactorization
from models.family.member import TAGGED_ITEMS, Floats, Ints, Maker, Member, Ratings, frequent_tags
from models.family.neighbours import ItemNeighbours, UserNeighbours
from models.family.tag_regression import TagLasso, TagRidge
from models.recommender import Scores
from models.training import dense_threads

COLD: Final = 0.05
"""Share of the videos of which all ratings are held out."""
LEAST_RATED: Final = 1000
TRIES: Final = 4
TUNING_RATINGS: Final = 100_000
"""Ratings that settings are tried on, at most: of users drawn at random."""
RANKED_USERS: Final = 1000
"""Users whose rankings are measured, at most: drawn at random."""
BALSE, ALS, RIDGE, LASSO = "BALSE", "ALS with biases", "ridge on tags", "LASSO on tags"
PARTS: Final = ("all", "least rated", "cold")
MEMBERS: Final[Mapping[str, tuple[Maker, Mapping[str, tuple[float, ...]]]]] = {
    "biases": (Biases, {"regularisation": (2, 4, 8, 16)}),
    "user-kNN": (UserNeighbours, {"neighbours": (20, 60), "shrinkage": (10, 50)}),
    "item-kNN": (ItemNeighbours, {"neighbours": (20, 60), "shrinkage": (10, 50)}),
    ALS: (ExplicitALS, {"factors": (10, 20), "regularisation": (5, 15)}),
    "implicit ALS": (LikedALS, {"regularisation": (10, 100), "confidence": (5, 40)}),
    RIDGE: (TagRidge, {"regularisation": (1, 3, 10, 30)}),
    LASSO: (TagLasso, {"regularisation": (0.003, 0.01, 0.03, 0.1)}),
    BALSE: (Balse, {"regularisation": (5, 15), "tag_regularisation": (1, 3)}),
    "factorization machine": (FactorizationMachine, {"factors": (8, 16), "regularisation": (0.02, 0.06)}),
    "DeepFM": (DeepFM, {"factors": (8, 16), "regularisation": (0.02, 0.06)}),
    "Bayesian FM": (BayesianFM, {"factors": (4, 8, 12, 16)}),
    "logistic factorization": (LogisticFactorization, {"factors": (5, 15), "regularisation": (1, 4)}),
}


@dataclass(frozen=True)
class Quality:
    """What a member achieves on one part of what is held out; nan where it does not rate, or nobody is left.

    Attributes:
        ratings: held-out ratings of the part.
        rmse, rmse_se: root mean squared error, in the data set's units; its standard error is over users.
        viewers: users with something to find.
        ndcg10, ndcg10_se: of rankings of the part's videos.
    """

    ratings: int
    rmse: float
    rmse_se: float
    viewers: int
    ndcg10: float
    ndcg10_se: float


@dataclass(frozen=True)
class FamilyRow:
    """One member.

    Attributes:
        model: its name.
        quality: by the names of `PARTS`.
        settings: that did best on the validation part, for people.
        seconds: tuning, fitting and measuring together.
    """

    model: str
    quality: Mapping[str, Quality]
    settings: str
    seconds: float


@dataclass(frozen=True)
class BesideParts:
    """RMSE of BALSE less that of one of its parts, with the standard error of the paired difference."""

    model: str
    part: str
    difference: float
    error: float


@dataclass(frozen=True)
class FamilyReport(Evaluated):
    """What `evaluate_family` found.

    Attributes:
        rows: one per member.
        balse: BALSE beside what it is made of.
    """

    rows: tuple[FamilyRow, ...]
    balse: tuple[BesideParts, ...]


@dataclass(frozen=True)
class HeldOut:
    """Ratings in two parts.

    Attributes:
        train, test: of the same users and videos.
        parts: positions of the videos of each of `PARTS`.
        most: ratings that one of the least rated has in `train`, at most.
    """

    train: Ratings
    test: Ratings
    parts: Mapping[str, Ints]
    most: int


def evaluate_family(
    data: DataSet,
    options: Options,
    progress: Progress = lambda _phase, _part: None,
    members: Mapping[str, tuple[Maker, Mapping[str, tuple[float, ...]]]] | None = None,
) -> FamilyReport:
    """Measure all members on one data set.

    Args:
        data: the tables.
        options: what to measure and how.
        progress: called with the name of a phase and the part of it that is done, in [0, 1].
        members: what to compare: by name, how to make one, and the values of its settings to try; all of
            them unless given.

    Raises:
        ValueError: the set has no ratings, or too few.
    """
    ratings, positive = ratings_of(data, options)
    parts = hold_out(ratings, options.test, options.seed)
    bench = _Bench(parts, options)
    rows: list[FamilyRow] = []
    with dense_threads(options.recipe.threads):
        for name, (maker, settings) in (members or MEMBERS).items():
            rows.append(bench.row(name, maker, settings, progress))
    return FamilyReport(
        name=data.name,
        users=ratings.size[0],
        videos=ratings.size[1],
        interactions=len(ratings.values),
        positive=positive,
        newest="",
        notes=bench.notes(),
        rows=tuple(rows),
        balse=bench.beside_parts(),
    )


def ratings_of(data: DataSet, options: Options) -> tuple[Ratings, str]:
    """Return the ratings of users with enough of them, and what counts as liked, in words.

    Raises:
        ValueError: the values of the set are no ratings, or nobody has enough.
    """
    distinct = len(np.unique(data.values))
    if not 1 < distinct <= RATING_STEPS:
        raise ValueError(f"{data.name} has no ratings: {distinct} distinct values")
    positive = positive_from(data, options.positive_from)
    active = np.bincount(data.users, minlength=len(data.user_ids)) >= options.min_likes
    kept = active[data.users]
    if not kept.any():
        raise ValueError(f"no user of {data.name} has {options.min_likes} ratings")
    who, users = np.unique(data.users[kept], return_inverse=True)
    which, items = np.unique(data.items[kept], return_inverse=True)
    values = data.values[kept].astype(np.float64)
    ratings = Ratings(
        users=users.astype(np.int64),
        items=items.astype(np.int64),
        values=values,
        tags=frequent_tags(csr_array(tags_of(data)[which])),
        size=(len(who), len(which)),
        liked_from=positive.from_value,
        scale=(float(values.min()), float(values.max())),
    )
    return ratings, str(positive)


def hold_out(ratings: Ratings, share: float, seed: int) -> HeldOut:
    """Hold out all ratings of some videos, and a share of the others.

    Raises:
        ValueError: nothing is left on one of the two sides.
    """
    rng = np.random.default_rng([seed, 21])
    width = ratings.size[1]
    cold = np.zeros(width, np.bool_)
    cold[rng.choice(width, int(COLD * width), replace=False)] = True
    held_out = cold[ratings.items] | (rng.random(len(ratings.values)) < share)
    train, test = ratings.where(~held_out), ratings.where(held_out)
    if not len(train.values) or not len(test.values):
        raise ValueError("too few ratings to hold some of them out")
    counts = train.counts
    rated = np.flatnonzero(counts)
    least = min(LEAST_RATED, len(rated) // 3)
    most = int(np.sort(counts[rated])[max(least - 1, 0)])
    parts = {
        "all": np.arange(width, dtype=np.int64),
        "least rated": np.flatnonzero((counts > 0) & (counts <= most)).astype(np.int64),
        "cold": np.flatnonzero(counts == 0).astype(np.int64),
    }
    return HeldOut(train, test, parts, most)


class _Bench:
    def __init__(self, held_out: HeldOut, options: Options) -> None:
        self._all, self._options = held_out, options
        self._errors: dict[str, Floats] = {}
        rng = np.random.default_rng([options.seed, 22])
        test = held_out.test
        liked = test.where(test.values >= test.liked_from)
        self._ranked = _some(np.unique(liked.users), RANKED_USERS, rng)
        self._relevant, self._seen = (
            csr_array(one.matrix(np.ones(len(one.values)))[self._ranked]) for one in (liked, held_out.train)
        )
        self._tuning, self._validation = self._split_for_tuning(rng)

    def row(
        self, name: str, maker: Maker, settings: Mapping[str, tuple[float, ...]], progress: Progress
    ) -> FamilyRow:
        """Tune, fit and measure one member."""
        started = time.perf_counter()
        tried = [dict(zip(settings, values, strict=True)) for values in product(*settings.values())]
        found: list[float] = []
        for one in tried:
            progress(name, len(found) / (len(tried) + 1))
            found.append(self._loss(maker(**one).fit(self._tuning)))
        best = tried[int(np.argmin(found))]
        progress(name, len(found) / (len(tried) + 1))
        member = maker(**best).fit(self._all.train)
        quality = self._measured(name, member)
        detail = ", ".join(f"{setting.replace('_', ' ')} {value:g}" for setting, value in best.items())
        return FamilyRow(name, quality, detail, time.perf_counter() - started)

    def beside_parts(self) -> tuple[BesideParts, ...]:
        """Compare BALSE with its parts, where all of them were measured."""
        users, width = self._all.test.users, self._all.train.size[0]
        compared = [name for name in (ALS, RIDGE, LASSO) if {name, BALSE} <= self._errors.keys()]
        return tuple(
            BesideParts(
                name, part, *_difference(self._errors[BALSE][at], self._errors[name][at], users[at], width)
            )
            for name in compared
            for part in PARTS
            if (at := self._in(part)).any()
        )

    def notes(self) -> tuple[str, ...]:
        """Say what was measured on."""
        train, test = self._all.train, self._all.test
        tried, chosen_by, everything = map(len, (self._tuning.values, self._validation.values, train.values))
        users = len(np.unique(test.users))
        return (
            f"Held out: all ratings of {COLD:.0%} of the videos, and {self._options.test:.0%} of the others.",
            f"Cold videos have no rating in training, the least rated at most {self._all.most}.",
            f"Features are the {train.tags.shape[1]} tags that at least {TAGGED_ITEMS} videos have.",
            f"{TRIES} settings per model are tried on {tried:,} of {everything:,} ratings.",
            f"They are judged by {chosen_by:,} others; the best are then fitted to all.",
            f"Rankings are those of {len(self._ranked):,} of {users:,} users, drawn at random.",
            "Errors are standard errors over users. Predictions are clipped to the scale.",
        )

    def _split_for_tuning(self, rng: np.random.Generator) -> tuple[Ratings, Ratings]:
        train = self._all.train
        users = rng.permutation(train.size[0])
        enough = np.cumsum(np.bincount(train.users, minlength=train.size[0])[users]) <= TUNING_RATINGS
        chosen = np.zeros(train.size[0], np.bool_)
        chosen[users[enough]] = True
        some = train.where(chosen[train.users])
        held_out = rng.random(len(some.values)) < self._options.validation
        return some.where(~held_out), some.where(held_out)

    def _loss(self, member: Member) -> float:
        """Return what is lower for a better member on the validation part."""
        wanted = self._validation
        if member.rates:
            return float(np.mean((_clipped(member, wanted) - wanted.values) ** 2))
        liked = wanted.where(wanted.values >= wanted.liked_from)
        users = _some(np.unique(liked.users), RANKED_USERS, np.random.default_rng(0))
        relevant, seen = (
            csr_array(one.matrix(np.ones(len(one.values)))[users]) for one in (liked, self._tuning)
        )
        return -float(measure(_rankings(member.rank(users), seen), relevant).ndcg.mean())

    def _measured(self, name: str, member: Member) -> dict[str, Quality]:
        test, width = self._all.test, self._all.train.size[0]
        scores = member.rank(self._ranked)
        if member.rates:
            self._errors[name] = (_clipped(member, test) - test.values) ** 2
        found = {}
        for part, videos in self._all.parts.items():
            at = self._in(part)
            rmse = (np.nan, np.nan)
            if member.rates and at.any():
                rmse = _rmse(self._errors[name][at], test.users[at], width)
            ranked = measure(_rankings(scores, self._seen), self._relevant, among=videos).summary()
            found[part] = Quality(int(at.sum()), *rmse, ranked.viewers, ranked.ndcg10, ranked.ndcg10_se)
        return found

    def _in(self, part: str) -> NDArray[np.bool_]:
        return np.isin(self._all.test.items, self._all.parts[part])


def _some(users: Ints, most: int, rng: np.random.Generator) -> Ints:
    return np.sort(rng.permutation(users)[:most])


def _clipped(member: Member, ratings: Ratings) -> Floats:
    return np.clip(member.predict(ratings.users, ratings.items), *ratings.scale)


def _rankings(scores: Floats, seen: csr_array) -> Callable[[Ints], Scores]:
    return lambda rows: without(scores[rows], csr_array(seen[rows]))


def _rmse(errors: Floats, users: Ints, width: int) -> tuple[float, float]:
    """Return the root mean of squared errors, (n,), and its standard error over users."""
    root = float(np.sqrt(errors.mean()))
    return root, float(np.sqrt((_influence(errors, users, width) ** 2).sum()))


def _difference(one: Floats, other: Floats, users: Ints, width: int) -> tuple[float, float]:
    """Return by how much one's RMSE is above another's, and the standard error of that over users."""
    paired = _influence(one, users, width) - _influence(other, users, width)
    return float(np.sqrt(one.mean()) - np.sqrt(other.mean())), float(np.sqrt((paired**2).sum()))


def _influence(errors: Floats, users: Ints, width: int) -> Floats:
    """Return how each user moves the RMSE, (width,), to first order."""
    mean = errors.mean()
    total = np.bincount(users, errors, width) - mean * np.bincount(users, minlength=width)
    return np.asarray(total / (2 * max(np.sqrt(mean), 1e-300) * len(errors)))
