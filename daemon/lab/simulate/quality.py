"""What a group is worth to its instances: models from their own releases alone, and with the group's sum.

The sum is the plain one plus noise of the chosen level, drawn by its exact law: masks cancel to the last
bit, which the secure sums of the same command show. Its head follows four earlier sums of the same viewers.
An own release carries a full draw of that noise. Training and settings are those of a daemon
(`models.training`). Of each band of sizes some instances are drawn, and trained one by one.

Beside them stand yardsticks from own exact numbers, which a daemon shows nobody.
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
    MAX_HEAD,
    MIN_USERS,
    Noise,
    Population,
    Progress,
    TrainTestSplit,
    by_taste,
    exactly,
    poisson_noise,
    relative_loss,
    released,
    summed_over,
    without,
)
from daemon.lab.served_lists import ServedLists
from daemon.training.sum_selection import restricted
from federation.noise import share_variance, skellam
from federation.proposal import least_threshold
from models import counting
from models.errors import TooLittleDataError
from models.evaluation import SIZE_CLASSES, next_videos, size_class
from models.head import LEAST_VIEWS, WINDOWS, first_head, next_head
from models.interactions import Interactions, stack
from models.noise import SumNoise
from models.released import Released
from models.trained import Recipe, TrainingData
from models.training import train
from models.weights import UNIT
from policies.privacy import PROTECTION, Level, head_minimum

COLLUDERS = 1
_SMALLEST_HEAD = 2
_VIDEOS = 200
"""Of one viewer, at most: the default of `sharing.max_videos_per_user`."""


@dataclass(frozen=True, kw_only=True)
class QualityOptions:
    """How quality is measured.

    Attributes:
        level: privacy level whose noise is in the sums and in own releases.
        trained: instances per band of sizes whose models are trained.
        min_users: viewers that a video of a head needs, before noise is allowed for.
        seed: of every draw.
        recipe: how models are trained.
    """

    level: Level = Level.DEFAULT
    trained: int = 8
    min_users: int = MIN_USERS
    seed: int = 1
    recipe: Recipe = field(default_factory=Recipe)

    @property
    def own_noise(self) -> SumNoise:
        """Variances of the noise in an own release."""
        protection = PROTECTION[self.level]
        return SumNoise(protection.counts_noise, protection.pairs_noise)


@dataclass(frozen=True)
class Band:
    """Instances of one band of sizes, by viewers in the data set.

    Attributes:
        name: the band.
        instances: how many there are.
        trained: how many of them were trained and measured.
        viewers: of those, with something to find.
        local: NDCG@10, mean over these viewers, of a model from own exact numbers alone.
        alone: the same from its own release alone, as an instance serves it.
        federated: from its own release and the others' sum.
        gain, gain_se: federated less alone, mean over viewers and its standard error; nan for one viewer.
        cost, cost_se: share of NDCG@10 that it costs to learn from its own release instead of own exact
            numbers, beside the same sum.
    """

    name: str
    instances: int
    trained: int
    viewers: int
    local: float
    alone: float
    federated: float
    gain: float
    gain_se: float
    cost: float
    cost_se: float


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
        """Return the noise of one member in entries, the same at every draw."""
        return lambda segment, size: skellam(
            UNIT**2 * self._shares(segment)[number], size, self._key(segment, number)
        )

    def everybody(self, segment: int, size: int) -> NDArray[np.int64]:
        """Draw the noise of all members together, in entries."""
        shares = self._shares(segment)
        # Sums of Skellam noise are Skellam: one draw has the law of all these together.
        rest = sum(shares) - sum(shares[number] for number in self.chosen)
        total = skellam(UNIT**2 * Fraction(rest), size, self._key(segment, -1))
        for number in self.chosen:
            total += self.of(number)(segment, size)
        return total

    def variances(self, *, but: int | None = None) -> SumNoise:
        """Return the variances of the noise of all together, or of all `but` one, in viewers squared."""
        counts, pairs = (
            float(sum(shares) - (0 if but is None else shares[but]))
            for shares in (self._shares(0), self._shares(1))
        )
        return SumNoise(counts, pairs)

    def _shares(self, segment: int) -> list[Fraction]:
        protection = PROTECTION[self.options.level]
        declared = (protection.counts_noise, protection.pairs_noise)[segment]
        return [
            share_variance(declared, least_threshold(members), COLLUDERS)
            for members in self.sub_cohorts
            for _ in range(members)
        ]

    def _key(self, segment: int, number: int) -> bytes:
        use = ("counts", "pairs")[segment]
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
    given = [countable(population, train_rows.rows(rows)) for rows in members]
    noise = GroupNoise(sub_cohorts, chosen, options)
    declared = len(sub_cohorts) * PROTECTION[options.level].counts_noise
    least = head_minimum(options.min_users, declared)
    everybody = stack(given)
    head = _head(everybody, population.views, noise.variances(), least, options)
    total = summed_over(head, [everybody], noise.everybody)
    bands: list[Band] = []
    if np.count_nonzero(total.counts >= UNIT * least) >= _SMALLEST_HEAD:
        found: dict[int, _Ndcg] = {}
        for done, number in enumerate(chosen, 1):
            own = given[number]
            others = Released(without(total, own, noise.of(number)), noise.variances(but=number))
            viewers = train_rows.rows(members[number]), csr_array(split.test[members[number]])

            def ndcg(
                mine: Released, theirs: Released | None, viewers: _Viewers = viewers
            ) -> NDArray[np.float64]:
                if theirs is not None:
                    theirs = restricted(theirs, mine, min_users=least)
                return quality(TrainingData(features, mine, theirs), recipe, *viewers)

            mine = own_release(own, options, population.views, number)
            found[number] = _Ndcg(
                local=ndcg(exactly(own), None),
                alone=ndcg(mine, None),
                federated=ndcg(mine, others),
                exact=ndcg(exactly(own, min_users=options.min_users), others),
            )
            progress("training", done / len(chosen))
        for name, numbers in picked.items():
            instances = sum(size > 0 and size_class(size) == name for size in sizes.tolist())
            bands.append(_band(name, instances, [found[number] for number in numbers]))
    carried = noise.variances()
    return GroupQuality(
        accounts=int(accounts.sum()),
        viewers=int(sizes.sum()),
        empty=int((sizes == 0).sum()),
        vocabulary=train_rows.videos,
        head=int(total.head.size),
        deviations=(float(np.sqrt(carried.counts)), float(np.sqrt(carried.pairs))),
        bands=tuple(bands),
    )


def countable(population: Population, viewers: Interactions) -> Interactions:
    """Return what counts of some viewers: no video that few have seen, by the counter that all can read."""
    public = population.views >= LEAST_VIEWS
    return viewers.where(public[viewers.matrix.indices]).limited(_VIDEOS)


def own_release(
    own: Interactions, options: QualityOptions, views: NDArray[np.int64], *number: int
) -> Released:
    """Draw an own release of an instance of this number, from what counts of its viewers."""
    rng = np.random.default_rng([options.seed, 31, *number])
    return released(own, options.own_noise, rng, views=views, min_users=options.min_users)


def quality(
    data: TrainingData, recipe: Recipe, known: Interactions, wanted: csr_array
) -> NDArray[np.float64]:
    """Return the NDCG@10 of lists as they are served, for viewers with something to find."""
    try:
        model = train(data, recipe)
    except TooLittleDataError:
        # Nothing can be recommended, so nothing is found.
        return np.zeros(int((np.diff(wanted.indptr) > 0).sum()))
    return next_videos(ServedLists.of(model, data.features), known.matrix, wanted).ndcg


def _head(
    everybody: Interactions,
    views: NDArray[np.int64],
    noise: SumNoise,
    least: int,
    options: QualityOptions,
) -> NDArray[np.int64]:
    """Return the head of a sum that follows on as many earlier ones as a head looks back to."""
    law = poisson_noise(noise, np.random.default_rng([options.seed, 23]))
    head = first_head(views, np.zeros_like(views))
    earlier: list[NDArray[np.float64]] = []
    for _ in range(WINDOWS):
        counts = counting.weighted_counts(everybody, head) + law(0, everybody.videos)
        earlier.append(counts / UNIT)
        head = next_head(np.stack(earlier), min_users=least, max_head=MAX_HEAD)
    return head


_Viewers = tuple[Interactions, csr_array]
"""What is known of an instance's viewers, and what they are to find."""


@dataclass(frozen=True)
class _Ndcg:
    """NDCG@10 of the same viewers by several models; `exact` is federated from own exact numbers."""

    local: NDArray[np.float64]
    alone: NDArray[np.float64]
    federated: NDArray[np.float64]
    exact: NDArray[np.float64]


def _pick(sizes: NDArray[np.int64], options: QualityOptions) -> dict[str, list[int]]:
    rng = np.random.default_rng([options.seed, len(sizes), 13])
    picked: dict[str, list[int]] = {}
    for name in SIZE_CLASSES:
        some = [n for n, size in enumerate(sizes.tolist()) if size > 0 and size_class(size) == name]
        if some:
            drawn = rng.choice(some, min(options.trained, len(some)), replace=False)
            picked[name] = sorted(drawn.tolist())
    return picked


def _band(name: str, instances: int, found: Sequence[_Ndcg]) -> Band:
    local, alone, federated, exact = (
        np.concatenate([getattr(one, model) for one in found])
        for model in ("local", "alone", "federated", "exact")
    )
    gain = federated - alone
    cost, cost_se = relative_loss(federated, exact)
    return Band(
        name=name,
        instances=instances,
        trained=len(found),
        viewers=len(gain),
        local=_mean(local),
        alone=_mean(alone),
        federated=_mean(federated),
        gain=_mean(gain),
        gain_se=float(gain.std(ddof=1) / np.sqrt(len(gain))) if len(gain) > 1 else float("nan"),
        cost=cost,
        cost_se=cost_se,
    )


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if len(values) else float("nan")
