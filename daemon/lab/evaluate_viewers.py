"""From how many viewers on a model is useful: what `shoal evaluate --viewers` computes.

Viewers are drawn at random, and models learn from these alone. Three are as they are served: one instance
with all these viewers, alone; and one of several equal instances that learn from a sum as well, exact or with
the noise of the default level. Popularity and PeerTube's rule need no viewers: they know what everybody can
see.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
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
    draw_users,
    load,
    realised_noise,
    split,
    train_as_one_of,
)
from daemon.lab.served_lists import ServedLists
from daemon.source.dataset_files import DataSet
from models import counting
from models.baselines import Newest, PeerTubeRule, Popularity
from models.evaluation import Measured, Summary, next_videos
from models.features import Features
from models.interactions import Interactions
from models.noise import NO_NOISE, SumNoise
from models.recommender import Recommender
from models.training import dense_threads
from policies.privacy import PROTECTION, Level, head_minimum

SIZES: Final = (5, 10, 20, 50, 100, 200, 500, 1000, 2000, 4000)
"""Viewers that a model learns from; more than a data set has are left out."""
MEASURED: Final = 200
"""Viewers that are measured of each size, at least, where `MAX_DRAWS` draws give so many."""
MAX_DRAWS: Final = 10
ALONE, EXACT_SUM, NOISY_SUM = "alone", "exact sum", "sum with noise"
POPULARITY = "popularity"
NEWEST_FIRST, MOST_SEEN_FIRST = "PeerTube's rule, newest first", "PeerTube's rule, most viewed first"
MODELS: Final = (ALONE, EXACT_SUM, NOISY_SUM)
BASELINES: Final = (POPULARITY, NEWEST_FIRST, MOST_SEEN_FIRST)

_NOTES: Final = (
    (
        "Viewers are drawn at random, several times where they are few; each draw is measured on what was "
        "held out of its own viewers. Standard errors are over the measured viewers."
    ),
    (
        "Alone: one instance with all of these viewers, from its own release at the default level. Sum: one "
        f"of {MEMBERS} equal instances, from its own release and the sum of the others, both exact, or with "
        "the noise of the default level. All three are the lists that viewers see, before reserved places "
        "and caps: tags and public counters fill what likes leave open."
    ),
    "Popularity and PeerTube's rules rank by public counters: the likes of everybody in the set.",
)


@dataclass(frozen=True)
class SizeRow:
    """What models achieve that learnt from a number of viewers, in several draws together.

    Attributes:
        viewers: that each model learnt from.
        draws: of so many viewers.
        quality: by name of the model or baseline.
        gains: by model and baseline, the mean difference of NDCG@10 and its standard error, from pairs.
    """

    viewers: int
    draws: int
    quality: Mapping[str, Summary]
    gains: Mapping[str, Mapping[str, tuple[float, float]]]


@dataclass(frozen=True)
class ViewersReport(Evaluated):
    """What `evaluate_viewers` found.

    Attributes:
        rows: by number of viewers, ascending.
        useful: by model and baseline, from how many viewers on the model is better by more than two standard
            errors; None where it is not with the most viewers that there are.
    """

    rows: tuple[SizeRow, ...]
    useful: Mapping[str, Mapping[str, int | None]]


def evaluate_viewers(
    data: DataSet, options: Options, progress: Progress = lambda _phase, _part: None
) -> ViewersReport:
    """Measure what models achieve that learn from few viewers, and from many.

    Raises:
        ValueError: nobody has enough likes.
    """
    population = load(data, from_value=options.positive_from, min_likes=options.min_likes)
    parts = split(population, test=options.test, seed=options.seed)
    features = replace(population.features, views=counting.counts(parts.train))
    sizes = [size for size in SIZES if size <= population.likes.users]
    rows = []
    with dense_threads(options.recipe.threads):
        for number, size in enumerate(sizes):
            draws = min(MAX_DRAWS, math.ceil(MEASURED / size))
            found: dict[str, list[Measured]] = {name: [] for name in (*MODELS, *BASELINES)}
            for draw in range(draws):
                for name, measured in _draw(features, population, parts, options, size, draw):
                    found[name].append(measured)
                progress("sizes", (number + (draw + 1) / draws) / len(sizes))
            rows.append(_row(size, draws, found, population.likes.videos))
    return ViewersReport(
        **about(population, _NOTES, newest=parts.order.rule),
        rows=tuple(rows),
        useful={model: {name: useful_from(rows, model, name) for name in BASELINES} for model in MODELS},
    )


def useful_from(rows: Sequence[SizeRow], model: str, baseline: str) -> int | None:
    """Return the number of viewers from which on a model is better than a baseline by two standard errors."""
    found = None
    for row in reversed(rows):
        gain, error = row.gains[model][baseline]
        if not gain > 2 * error:
            break
        found = row.viewers
    return found


def _row(size: int, draws: int, found: Mapping[str, Sequence[Measured]], videos: int) -> SizeRow:
    joined = {name: Measured.joined(each, videos) for name, each in found.items()}
    gains = {
        model: {name: _gain(joined[model].ndcg - joined[name].ndcg) for name in BASELINES} for model in MODELS
    }
    return SizeRow(size, draws, {name: one.summary() for name, one in joined.items()}, gains)


def _gain(differences: NDArray[np.float64]) -> tuple[float, float]:
    if differences.size < 2:
        return 0.0, math.inf
    return float(differences.mean()), float(differences.std(ddof=1) / math.sqrt(differences.size))


def _draw(
    features: Features,
    population: Population,
    parts: TrainTestSplit,
    options: Options,
    size: int,
    draw: int,
) -> Iterator[tuple[str, Measured]]:
    rng = np.random.default_rng([options.seed, 43, size, draw])
    drawn, _ = draw_users(population.likes.users, size, rng)
    history, wanted = csr_array(parts.train.matrix[drawn]), csr_array(parts.test[drawn])
    for name, model in _learnt(features, parts.train.rows(drawn).limited(options.limit), options, rng):
        yield name, next_videos(model, history, wanted)
    last = csr_array(parts.last[drawn])
    yield POPULARITY, next_videos(Popularity(features.views), history, wanted)
    seen = Newest(np.asarray(features.views, np.float64), "views")
    for name, order in ((NEWEST_FIRST, parts.order), (MOST_SEEN_FIRST, seen)):
        yield name, next_videos(PeerTubeRule(features.tags, order), last, wanted, seen=history)


def _learnt(
    features: Features, likes: Interactions, options: Options, rng: np.random.Generator
) -> Iterator[tuple[str, Recommender]]:
    declared = PROTECTION[Level.DEFAULT]
    own = SumNoise(declared.counts_noise, declared.pairs_noise)
    noisy = head_minimum(options.min_users, declared.counts_noise)
    for name, members, in_sum, in_release, least in (
        (ALONE, 1, NO_NOISE, own, noisy),
        (EXACT_SUM, MEMBERS, NO_NOISE, NO_NOISE, options.min_users),
        (NOISY_SUM, MEMBERS, realised_noise(), own, noisy),
    ):
        model = train_as_one_of(
            members, features, likes, in_sum, in_release, min_users=least, recipe=options.recipe, rng=rng
        )
        yield name, ServedLists.of(model, features)
