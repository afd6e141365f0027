"""What a group is worth to its instances: models trained on their own viewers, and with the group's sum.

The sum is the plain one plus noise of the chosen level, drawn by its exact law: masks cancel to the last
bit, which the secure sums of the same command show. Training and settings are those of a daemon
(`models.training`). Of each band of sizes some instances are drawn, and trained one by one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from daemon.lab.evaluate_data import Split, World
from federation.noise import share_variance, skellam
from federation.proposal import least_threshold
from models import statistics
from models.errors import TooLittleDataError
from models.evaluation import SIZE_CLASSES, next_videos, size_class
from models.interactions import Interactions, stack
from models.noise import SumNoise
from models.recommender import Factorization
from models.splits import clusters, profiles, taste_skewed
from models.statistics import Statistic
from models.trained import Recipe, TrainingData
from models.training import train
from policies.privacy import PROTECTION, Level, head_minimum

COLLUDERS = 1
_TASTES = 8
_SKEW = 2.0
_LEAST_HEAD = 2
_VIDEOS = 200
"""Of one viewer, at most: the default of `sharing.max_videos_per_user`."""

Progress = Callable[[str, float], None]


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
class Quality:
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
class Settings:
    """How quality is measured; `trained` is the number of instances per band."""

    level: Level
    recipe: Recipe
    trained: int
    seed: int


def assign(users: World, parts: Split, sizes: NDArray[np.int64], seed: int) -> list[NDArray[np.int64]]:
    """Share viewers out among instances by taste, (size,) row numbers each; sizes may be 0."""
    rng = np.random.default_rng([seed, 5])
    taste = clusters(profiles(parts.train.matrix, users.features.tags), _TASTES, rng)
    some = taste_skewed(taste, sizes[sizes > 0], rng, strength=_SKEW)
    filled = iter(some)
    return [next(filled) if size else np.zeros(0, np.int64) for size in sizes]


def measure(
    users: World,
    split: Split,
    accounts: NDArray[np.int64],
    sizes: NDArray[np.int64],
    parts: Sequence[int],
    settings: Settings,
    progress: Progress,
) -> Quality:
    """Measure a group.

    Args:
        users: of the data set.
        split: the same, in two parts.
        accounts: of the instances, as drawn.
        sizes: viewers of the instances, in the same order.
        parts: members of each part of the group.
        settings: how.
        progress: called with a phase and the part of it that is done.
    """
    members = assign(users, split, sizes, settings.seed)
    picked = _pick(sizes, settings)
    chosen = sorted(number for numbers in picked.values() for number in numbers)
    group = NoisySums([split.train.rows(rows).limited(_VIDEOS) for rows in members], parts, chosen, settings)
    counts = group.counts()
    head = statistics.head(counts.total, min_users=group.least, max_head=settings.recipe.max_head)
    found: list[Band] = []
    if head.size >= _LEAST_HEAD:
        pairs = group.pairs(head)
        viewers: dict[int, _Viewers] = {}
        for done, number in enumerate(chosen, 1):
            others = Statistic(head, counts.others(number)[head], pairs.others(number))
            test = csr_array(split.test[members[number]])
            viewers[number] = _compare(users, group.own[number], others, group.noise(number), test, settings)
            progress("training", done / len(chosen))
        for name, numbers in picked.items():
            instances = sum(size > 0 and size_class(size) == name for size in sizes.tolist())
            found.append(_band(name, instances, [viewers[number] for number in numbers]))
    everybody = group.variances()
    return Quality(
        accounts=int(accounts.sum()),
        viewers=int(sizes.sum()),
        empty=int((sizes == 0).sum()),
        vocabulary=int(users.matrix.shape[1]),
        head=int(head.size),
        deviations=(float(np.sqrt(everybody.counts)), float(np.sqrt(everybody.pairs))),
        bands=tuple(found),
    )


_Viewers = tuple[NDArray[np.float64], NDArray[np.float64]]
"""NDCG@10 of the same viewers by the local and by the federated model."""


@dataclass(frozen=True)
class NoisySum:
    """A noisy sum over everybody, and what each gave to it."""

    total: NDArray[np.int64]
    given: Callable[[int], NDArray[np.int64]]

    def others(self, number: int) -> NDArray[np.int64]:
        """Return the sum less what an instance gave: what it learns from."""
        return self.total - self.given(number)


@dataclass(frozen=True)
class NoisySums:
    """Who contributes what. Noise of `chosen` instances is drawn for each, that of all others at once."""

    own: list[Interactions]
    parts: Sequence[int]
    chosen: Sequence[int]
    settings: Settings

    @property
    def least(self) -> int:
        """The noisy count from which a video is in the head."""
        level = PROTECTION[self.settings.level]
        return head_minimum(self.settings.recipe.min_users, len(self.parts) * level.counts_noise)

    def counts(self) -> NoisySum:
        """Sum users per video, (videos,)."""
        variance = PROTECTION[self.settings.level].counts_noise
        return self._summed(statistics.counts, self.own[0].videos, variance, "counts")

    def pairs(self, head: NDArray[np.int64]) -> NoisySum:
        """Sum users per pair of the head, (h(h-1)/2,)."""
        variance = PROTECTION[self.settings.level].pairs_noise
        size = statistics.pairs(head.size)
        return self._summed(lambda one: statistics.pair_counts(one, head), size, variance, "pairs")

    def variances(self) -> SumNoise:
        """Return the noise of everybody together."""
        level = PROTECTION[self.settings.level]
        return SumNoise(
            *(float(sum(self._shares(noise))) for noise in (level.counts_noise, level.pairs_noise))
        )

    def noise(self, number: int) -> SumNoise:
        """Return the noise in the others' sum."""
        level = PROTECTION[self.settings.level]
        counts, pairs = (self._shares(noise) for noise in (level.counts_noise, level.pairs_noise))
        return SumNoise(float(sum(counts) - counts[number]), float(sum(pairs) - pairs[number]))

    def _summed(
        self, count: Callable[[Interactions], NDArray[np.int64]], size: int, declared: int, use: str
    ) -> NoisySum:
        shares = self._shares(declared)

        def drawn(number: int) -> NDArray[np.int64]:
            return skellam(shares[number], size, self._key(use, number))

        # Sums of Skellam noise are Skellam: one draw has the law of all these together.
        rest = sum(shares) - sum(shares[number] for number in self.chosen)
        total = count(stack(self.own)) + skellam(Fraction(rest), size, self._key(use, -1))
        for number in self.chosen:
            total += drawn(number)
        return NoisySum(total, lambda number: count(self.own[number]) + drawn(number))

    def _shares(self, declared: int) -> list[Fraction]:
        """Variance of each instance's share, in the order of the instances; parts follow one another."""
        return [
            share_variance(declared, least_threshold(members), COLLUDERS)
            for members in self.parts
            for _ in range(members)
        ]

    def _key(self, use: str, number: int) -> bytes:
        return hashlib.sha256(f"{self.settings.seed}/{use}/{number}".encode()).digest()


def _pick(sizes: NDArray[np.int64], settings: Settings) -> dict[str, list[int]]:
    rng = np.random.default_rng([settings.seed, len(sizes), 13])
    picked: dict[str, list[int]] = {}
    for name in SIZE_CLASSES:
        some = [n for n, size in enumerate(sizes.tolist()) if size > 0 and size_class(size) == name]
        if some:
            drawn = rng.choice(some, min(settings.trained, len(some)), replace=False)
            picked[name] = sorted(drawn.tolist())
    return picked


def _compare(
    users: World,
    own: Interactions,
    others: Statistic,
    noise: SumNoise,
    test: csr_array,
    settings: Settings,
) -> _Viewers:
    recipe = settings.recipe
    # The rules about few viewers protect against others; the yardstick is shown to nobody (as in the demo).
    alone = replace(recipe, min_users=2, min_pair_users=1)
    local = _ndcg(TrainingData(users.features, own, None), alone, test)
    return local, _ndcg(TrainingData(users.features, own, others, noise), recipe, test)


def _ndcg(data: TrainingData, recipe: Recipe, test: csr_array) -> NDArray[np.float64]:
    try:
        model = train(data, recipe)
    except TooLittleDataError:
        # Nothing can be recommended, so nothing is found.
        return np.zeros(int((np.diff(test.indptr) > 0).sum()))
    return next_videos(Factorization(model), data.own.matrix, test).ndcg


def _band(name: str, instances: int, found: Sequence[_Viewers]) -> Band:
    local = np.concatenate([one for one, _ in found])
    federated = np.concatenate([other for _, other in found])
    gain = federated - local
    several = len(gain) > 1
    return Band(
        name=name,
        instances=instances,
        trained=len(found),
        viewers=len(gain),
        local=float(local.mean()) if len(gain) else float("nan"),
        federated=float(federated.mean()) if len(gain) else float("nan"),
        gain=float(gain.mean()) if len(gain) else float("nan"),
        gain_se=float(gain.std(ddof=1) / np.sqrt(len(gain))) if several else float("nan"),
    )
