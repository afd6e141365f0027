"""What a group is worth to its instances: models trained on their own viewers, and with the group's sum.

The sum is the plain one plus noise of the chosen level, drawn by its exact law: masks cancel to the last
bit, which the secure sums of the same command show. Training and settings are those of a daemon
(`models.training`). Of each band of sizes some instances are drawn, and trained one by one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from daemon.lab.experiment import (
    Noise,
    Population,
    Progress,
    TrainTestSplit,
    by_taste,
    local_recipe,
    summed,
    without,
)
from federation.noise import share_variance, skellam
from federation.proposal import least_threshold
from models.errors import TooLittleDataError
from models.evaluation import SIZE_CLASSES, next_videos, size_class
from models.interactions import stack
from models.noise import SumNoise
from models.recommender import Factorization
from models.trained import Recipe, TrainingData
from models.training import train
from policies.privacy import PROTECTION, Level, head_minimum

COLLUDERS = 1
_SMALLEST_HEAD = 2
_VIDEOS = 200
"""Of one viewer, at most: the default of `sharing.max_videos_per_user`."""


@dataclass(frozen=True, kw_only=True)
class QualityOptions:
    """How quality is measured.

    Attributes:
        level: privacy level whose noise is in the sums.
        trained: instances per band of sizes whose models are trained.
        seed: of every draw.
        recipe: how models are trained.
    """

    level: Level = Level.DEFAULT
    trained: int = 8
    seed: int = 1
    recipe: Recipe = field(default_factory=Recipe)


@dataclass(frozen=True)
class Band:
    """Instances of one band of sizes, by viewers in the data set.

    Attributes:
        name: the band.
        instances: how many there are.
        trained: how many of them were trained and measured.
        viewers: of those, with something to find.
        local, federated: NDCG@10, mean over these viewers.
        gain, gain_se: federated less local, mean over viewers and its standard error; nan for one viewer.
    """

    name: str
    instances: int
    trained: int
    viewers: int
    local: float
    federated: float
    gain: float
    gain_se: float


@dataclass(frozen=True)
class GroupQuality:
    """What was found for a group.

    Attributes:
        accounts: of all instances together, as drawn.
        viewers: of the data set that they share out among themselves.
        empty: instances without any of these viewers.
        vocabulary: videos of the set.
        head: videos whose pairs were summed.
        deviations: standard deviation of the noise in the sum, of a count and of a pair.
        bands: by size; empty where no sum could be taken.
    """

    accounts: int
    viewers: int
    empty: int
    vocabulary: int
    head: int
    deviations: tuple[float, float]
    bands: tuple[Band, ...]


@dataclass(frozen=True)
class GroupNoise:
    """The noise that members add: drawn for each of the `chosen` ones, for all others at once.

    `sub_cohorts` holds the members of each; instances are numbered through them.
    """

    sub_cohorts: Sequence[int]
    chosen: Sequence[int]
    options: QualityOptions

    def of(self, number: int) -> Noise:
        """Return the noise of one member, the same at every draw."""
        return lambda round_, size: skellam(self._shares(round_)[number], size, self._key(round_, number))

    def everybody(self, round_: int, size: int) -> NDArray[np.int64]:
        """Draw the noise of all members together."""
        shares = self._shares(round_)
        # Sums of Skellam noise are Skellam: one draw has the law of all these together.
        rest = sum(shares) - sum(shares[number] for number in self.chosen)
        total = skellam(Fraction(rest), size, self._key(round_, -1))
        for number in self.chosen:
            total += self.of(number)(round_, size)
        return total

    def variances(self, *, but: int | None = None) -> SumNoise:
        """Return the variances of the noise of all members together, or of all `but` one."""
        counts, pairs = (
            float(sum(shares) - (0 if but is None else shares[but]))
            for shares in (self._shares(0), self._shares(1))
        )
        return SumNoise(counts, pairs)

    def _shares(self, round_: int) -> list[Fraction]:
        declared = PROTECTION[self.options.level].noise(round_)
        return [
            share_variance(declared, least_threshold(members), COLLUDERS)
            for members in self.sub_cohorts
            for _ in range(members)
        ]

    def _key(self, round_: int, number: int) -> bytes:
        use = ("counts", "pairs")[round_]
        return hashlib.sha256(f"{self.options.seed}/{use}/{number}".encode()).digest()


def measure(
    population: Population,
    split: TrainTestSplit,
    accounts: NDArray[np.int64],
    sizes: NDArray[np.int64],
    sub_cohorts: Sequence[int],
    options: QualityOptions,
    progress: Progress,
) -> GroupQuality:
    """Measure a group.

    Args:
        population: users of the data set.
        split: the same, in two parts.
        accounts: of the instances, as drawn.
        sizes: viewers of the instances, in the same order.
        sub_cohorts: members of each sub-cohort of the group.
        options: how.
        progress: called with a phase and the part of it that is done.
    """
    train_rows, features, recipe = split.train, population.features, options.recipe
    rng = np.random.default_rng([options.seed, 5])
    members = by_taste(train_rows.matrix, features.tags, sizes, rng)
    picked = _pick(sizes, options)
    chosen = sorted(number for numbers in picked.values() for number in numbers)
    own = [train_rows.rows(rows).limited(_VIDEOS) for rows in members]
    noise = GroupNoise(sub_cohorts, chosen, options)
    declared = len(sub_cohorts) * PROTECTION[options.level].counts_noise
    total = summed(
        [stack(own)],
        min_users=head_minimum(recipe.min_users, declared),
        max_head=recipe.max_head,
        noise=noise.everybody,
    )
    bands: list[Band] = []
    if total.head.size >= _SMALLEST_HEAD:
        found: dict[int, _Ndcg] = {}
        for done, number in enumerate(chosen, 1):
            test = csr_array(split.test[members[number]])
            others = without(total, own[number], noise.of(number))
            alone = TrainingData(features, own[number], None)
            together = TrainingData(features, own[number], others, noise.variances(but=number))
            found[number] = _ndcg(alone, local_recipe(recipe), test), _ndcg(together, recipe, test)
            progress("training", done / len(chosen))
        for name, numbers in picked.items():
            instances = sum(size > 0 and size_class(size) == name for size in sizes.tolist())
            bands.append(_band(name, instances, [found[number] for number in numbers]))
    everybody = noise.variances()
    return GroupQuality(
        accounts=int(accounts.sum()),
        viewers=int(sizes.sum()),
        empty=int((sizes == 0).sum()),
        vocabulary=train_rows.videos,
        head=int(total.head.size),
        deviations=(float(np.sqrt(everybody.counts)), float(np.sqrt(everybody.pairs))),
        bands=tuple(bands),
    )


_Ndcg = tuple[NDArray[np.float64], NDArray[np.float64]]
"""NDCG@10 of the same viewers by the local and by the federated model."""


def _pick(sizes: NDArray[np.int64], options: QualityOptions) -> dict[str, list[int]]:
    rng = np.random.default_rng([options.seed, len(sizes), 13])
    picked: dict[str, list[int]] = {}
    for name in SIZE_CLASSES:
        some = [n for n, size in enumerate(sizes.tolist()) if size > 0 and size_class(size) == name]
        if some:
            drawn = rng.choice(some, min(options.trained, len(some)), replace=False)
            picked[name] = sorted(drawn.tolist())
    return picked


def _ndcg(data: TrainingData, recipe: Recipe, test: csr_array) -> NDArray[np.float64]:
    try:
        model = train(data, recipe)
    except TooLittleDataError:
        # Nothing can be recommended, so nothing is found.
        return np.zeros(int((np.diff(test.indptr) > 0).sum()))
    return next_videos(Factorization(model), data.own.matrix, test).ndcg


def _band(name: str, instances: int, found: Sequence[_Ndcg]) -> Band:
    local, federated = (np.concatenate(values) for values in zip(*found, strict=True))
    gain = federated - local
    return Band(
        name=name,
        instances=instances,
        trained=len(found),
        viewers=len(gain),
        local=_mean(local),
        federated=_mean(federated),
        gain=_mean(gain),
        gain_se=float(gain.std(ddof=1) / np.sqrt(len(gain))) if len(gain) > 1 else float("nan"),
    )


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if len(values) else float("nan")
