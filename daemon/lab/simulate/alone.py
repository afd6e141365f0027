"""What instances of some sizes serve alone, from their own release, beside lists of what is popular."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.sparse import csr_array

from daemon.lab.experiment import Population, Progress, TrainTestSplit, by_taste, exactly
from daemon.lab.simulate.quality import QualityOptions, countable, own_release, quality
from models import counting
from models.baselines import Popularity
from models.evaluation import next_videos
from models.trained import TrainingData

SIZES: Final = (20, 50, 100, 300)
_FEWEST: Final = 2
"""Instances of a size that an error bar takes."""


@dataclass(frozen=True)
class Estimate:
    """A mean over draws and its standard error."""

    mean: float
    error: float

    @classmethod
    def of(cls, draws: Sequence[float]) -> Estimate:
        """Take one number per draw, at least two."""
        found = np.asarray(draws, np.float64)
        return cls(float(found.mean()), float(found.std(ddof=1) / np.sqrt(found.size)))


@dataclass(frozen=True)
class Alone:
    """NDCG@10 of an instance with so many viewers.

    Attributes:
        viewers: that it has.
        videos: that stand out of the noise of its release.
        served: of its lists.
        exact: of lists from its exact numbers, which a daemon shows nobody.
        popular_here: of what most of its viewers like, counted exactly.
        popular: of what has the highest public counter, less the likes that are to be found.
    """

    viewers: int
    videos: float
    served: Estimate
    exact: Estimate
    popular_here: Estimate
    popular: Estimate


def drawn(options: QualityOptions) -> int:
    """Return how many instances of each size are drawn."""
    return max(_FEWEST, options.trained)


def measure(
    population: Population, split: TrainTestSplit, options: QualityOptions, progress: Progress
) -> Iterator[Alone]:
    """Measure instances of all sizes that the data set has viewers for, smallest first.

    Each draw of a size takes viewers with tastes of their own, and noise.
    """
    users = population.likes.users
    sizes = [size for size in SIZES if size <= users]
    to_find = np.bincount(split.test.indices, minlength=split.train.videos)
    popular = Popularity(np.maximum(population.views - to_find, 0))
    draws = drawn(options)
    for place, size in enumerate(sizes):
        found: list[tuple[float, ...]] = []
        for draw in range(draws):
            rng = np.random.default_rng([options.seed, 29, size, draw])
            rows, _ = by_taste(split.train.matrix, population.features.tags, [size, users - size], rng)
            known, wanted = split.train.rows(rows), csr_array(split.test[rows])
            own = countable(population, known)
            release = own_release(own, options, population.views, size, draw)
            lists = (Popularity(counting.counts(own)), popular)
            found.append(
                (
                    release.statistic.head.size,
                    *(
                        float(quality(data, options.recipe, known, wanted).mean())
                        for data in (
                            TrainingData(population.features, release, None),
                            TrainingData(population.features, exactly(own), None),
                        )
                    ),
                    *(float(next_videos(one, known.matrix, wanted).ndcg.mean()) for one in lists),
                )
            )
            progress("instances alone", (place + (draw + 1) / draws) / len(sizes))
        videos, *values = zip(*found, strict=True)
        yield Alone(size, float(np.mean(videos)), *(Estimate.of(value) for value in values))
