"""Measures what it costs to choose the head before anybody counts: what `shoal evaluate --heads` computes.

A network grows over five data windows, each of which is summed once, everybody together. The head of each
window is chosen from what is released or public by then (`models.head`). Beside it stands the head of this
window's own counts, which nobody can know beforehand, over the same viewers, with the same noise on every
count and pair that both have.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.special import stdtrit
from scipy.stats import spearmanr

from daemon.lab.evaluate import Evaluated, Options, about
from daemon.lab.experiment import (
    MEMBERS,
    Noise,
    Population,
    Progress,
    by_taste,
    closed_form,
    load,
    poisson_noise,
    realised_noise,
    split,
)
from daemon.source.dataset_files import DataSet
from models import counting, statistics
from models.evaluation import next_videos
from models.head import LEAST_VIEWS, MAX_FIRST_HEAD, WINDOWS, first_head, next_head
from models.interactions import Interactions
from models.noise import NO_NOISE, SumNoise
from models.problem import default_ridge
from models.released import Released
from models.statistics import Statistic
from models.trained import TrainingData
from models.training import dense_threads
from models.weights import UNIT
from policies.privacy import PROTECTION, Level, head_minimum

DRAWS = 8
GROWTH = ((0.9, 0.75), (0.97, 0.95), (0.97, 0.95), (0.97, 0.95))
"""From each window to the next: the share of users that were there before, and of their interactions."""
COUNTER = (1.0, 1.0)
"""Mean and standard deviation of the logarithm of views per engagement, which are never fewer than one."""
GOALS: Mapping[int, float] = {1: -0.04, 2: -0.025, 5: -0.01}
"""The windows that are measured, and the most that choosing beforehand may cost there."""
OWN_SHARES = (0.05, 0.2)
"""Of all users: the viewers of two instances that ask for a first sum."""
COUNTERS = "public counters"
RELEASED = "released counts"
_CONFIDENCE = 0.975


@dataclass(frozen=True)
class HeadRow:
    """A way to choose the head, means over all draws.

    Attributes:
        window: number, from 1.
        chosen_from: what the head was chosen from.
        noise: whether sums and releases carry noise.
        asked: videos of the head.
        kept: of them, those whose summed count reaches the minimum.
        reference_kept: videos of the head that this window's counts give.
        ndcg10: of the model from the sum.
        reference_ndcg10: the same with the head that this window's counts give.
        difference: relative, mean of all draws.
        interval: half width of its 95 % confidence interval; nan for one draw.
        goal: the least that `difference` should be.
    """

    window: int
    chosen_from: str
    noise: bool
    asked: float
    kept: float
    reference_kept: float
    ndcg10: float
    reference_ndcg10: float
    difference: float
    interval: float
    goal: float


@dataclass(frozen=True)
class HeadsReport(Evaluated):
    """What `evaluate_heads` found.

    Attributes:
        draws: paired draws behind each row.
        ridge: lambda, in multiples of the mean diagonal.
        minimum: count from which a video is in a head, or stays in it.
        deviation: standard deviation of the noise in a sum.
        correlation: Spearman's, of public counters and true counts, mean of all draws.
        rows: by window, those with noise first.
    """

    draws: int
    ridge: float
    minimum: int
    deviation: float
    correlation: float
    rows: tuple[HeadRow, ...]


def evaluate_heads(
    data: DataSet,
    options: Options,
    progress: Progress = lambda _phase, _part: None,
    *,
    draws: int = DRAWS,
) -> HeadsReport:
    """Measure heads that are chosen beforehand.

    Args:
        data: the tables.
        options: thresholds, seed, limit, and threads.
        progress: called with the name of a phase and the part of it that is done, in [0, 1].
        draws: of everything: held-out likes, who is new, own viewers, counters, noise.

    Raises:
        ValueError: nobody has enough likes.
    """
    population = load(data, from_value=options.positive_from, min_likes=options.min_likes)
    none = np.zeros(0, np.int64)
    everybody = Released(Statistic(none, none, none), viewers=float(population.likes.users))
    ridge = default_ridge(TrainingData(population.features, None, everybody))
    found: dict[tuple[int, bool, str], list[_Measured]] = {}
    correlations: list[float] = []
    with dense_threads(options.recipe.threads):
        for number in range(draws):
            network = _Network.draw(population, options, number)
            correlations.append(network.correlation)
            for noise in (True, False):
                for (window, name), measured in network.measure(ridge, noise=noise).items():
                    found.setdefault((window, noise, name), []).append(measured)
                progress("heads", (number + (0.5 if noise else 1.0)) / draws)
    rows = [_row(window, name, values, noise=noise) for (window, noise, name), values in found.items()]
    return HeadsReport(
        **about(population, _notes(options)),
        draws=draws,
        ridge=ridge,
        minimum=_minimum(options),
        deviation=float(np.sqrt(realised_noise().pairs)),
        correlation=float(np.mean(correlations)),
        rows=tuple(sorted(rows, key=lambda row: (row.window, not row.noise))),
    )


@dataclass(frozen=True)
class _Measured:
    """One head in one draw; fields as in `HeadRow`."""

    asked: int
    kept: int
    reference_kept: int
    ndcg10: float
    reference_ndcg10: float


@dataclass(frozen=True)
class _Network:
    """One draw of a network that grows.

    Attributes:
        windows: what is known in each, (users, videos); who is not there yet has an empty row.
        test: what is to be found, (users, videos).
        counter: (videos,) public counter, the same on every instance.
        own: per share of `OWN_SHARES`, the users of an instance in the first window.
        options: thresholds.
        seed: of the noise.
    """

    windows: tuple[Interactions, ...]
    test: csr_array
    counter: NDArray[np.int64]
    own: tuple[NDArray[np.int64], ...]
    options: Options
    seed: tuple[int, ...]

    @classmethod
    def draw(cls, population: Population, options: Options, number: int) -> _Network:
        rng = np.random.default_rng([options.seed, 17, number])
        parts = split(population, test=options.test, seed=options.seed + number)
        windows = _growing(parts.train.limited(options.limit), rng)
        each = np.maximum(1.0, rng.lognormal(*COUNTER, population.likes.videos))
        there = _there(windows[0])
        sizes = [round(len(there) * share) for share in OWN_SHARES]
        groups = by_taste(
            csr_array(windows[0].matrix[there]),
            population.features.tags,
            [*sizes, len(there) - sum(sizes)],
            rng,
        )
        return cls(
            windows=windows,
            test=parts.test,
            counter=np.rint(population.views * each).astype(np.int64),
            own=tuple(there[group] for group in groups[:-1]),
            options=options,
            seed=(options.seed, 19, number),
        )

    @property
    def correlation(self) -> float:
        return float(spearmanr(self.counter, counting.counts(self.windows[-1])).statistic)

    def measure(self, ridge: float, *, noise: bool) -> dict[tuple[int, str], _Measured]:
        """Measure all heads of all windows, by window and what they were chosen from."""
        rng = np.random.default_rng(self.seed)
        law = poisson_noise(_noise(noise=noise), rng)
        # Members count no video that few have seen, by the counter that everybody can read.
        public = self.counter >= LEAST_VIEWS
        released: list[NDArray[np.float64]] = []
        found: dict[tuple[int, str], _Measured] = {}
        for window, users in enumerate(self.windows, 1):
            given = users.where(public[users.matrix.indices])
            added = law(0, users.videos)
            heads = self._later(released) if released else self._first(given, rng, noise=noise)
            if window in GOALS:
                trial = _Trial(
                    users, self.windows[-1].matrix, self.test, added, law, ridge, self.options, noise
                )
                for name, measured in trial.compare(given, heads).items():
                    found[window, name] = measured
            # By whichever head is asked for, counts are weighed; the first is that of a newcomer.
            in_force = next(iter(heads.values()))
            released.append((counting.weighted_counts(given, in_force) + added) / UNIT)
        return found

    def _first(
        self, given: Interactions, rng: np.random.Generator, *, noise: bool
    ) -> dict[str, NDArray[np.int64]]:
        nothing = np.zeros_like(self.counter)
        by_counters = first_head(self.counter, nothing)
        heads = {COUNTERS: by_counters}
        variance = float(PROTECTION[Level.DEFAULT].counts_noise) if noise else 0.0
        law = poisson_noise(SumNoise(variance), rng)
        for share, users in zip(OWN_SHARES, self.own, strict=True):
            # Its own release comes before any sum: its head is one by public counters alone.
            own = counting.weighted_counts(given.rows(users), by_counters) + law(0, nothing.size)
            name = f"{COUNTERS}, own {share:.0%}"
            heads[name] = first_head(self.counter, nothing, own / UNIT, own_variance=variance)
        return heads

    def _later(self, released: Sequence[NDArray[np.float64]]) -> dict[str, NDArray[np.int64]]:
        least, most = _minimum(self.options), self.options.max_head
        return {RELEASED: next_head(np.stack(released), min_users=least, max_head=most)}


@dataclass(frozen=True)
class _Trial:
    """One window in which several heads are tried; what viewers like `later` is not ranked.

    `added` is the noise of all counts, in entries.
    """

    users: Interactions
    later: csr_array
    test: csr_array
    added: NDArray[np.int64]
    law: Noise
    ridge: float
    options: Options
    noise: bool

    def compare(self, given: Interactions, heads: Mapping[str, NDArray[np.int64]]) -> dict[str, _Measured]:
        """Measure heads over what is `given`, beside this window's own head over everything."""
        best = statistics.head(
            UNIT * counting.counts(self.users) + self.added,
            min_users=UNIT * _minimum(self.options),
            max_head=self.options.max_head,
        )
        every = np.unique(np.concatenate([best, *heads.values()]))
        pairs = self.law(1, statistics.pairs(every.size))
        kept, reference = self._quality(self.users, best, every, pairs)
        found = {}
        for name, head in heads.items():
            stayed, ndcg = self._quality(given, head, every, pairs)
            found[name] = _Measured(head.size, stayed, kept, ndcg, reference)
        return found

    def _quality(
        self,
        summed: Interactions,
        head: NDArray[np.int64],
        every: NDArray[np.int64],
        pairs: NDArray[np.int64],
    ) -> tuple[int, float]:
        counts = (counting.weighted_counts(summed, head) + self.added)[head]
        triangle = counting.pair_counts(summed, head)
        # Two heads have the same noise on every pair that both hold.
        triangle += pairs[_of_pairs(np.searchsorted(every, head), every.size)]
        stays = np.flatnonzero(counts >= UNIT * _minimum(self.options))
        kept = head[stays]
        model = closed_form(
            Statistic(head, counts, triangle).of(stays),
            self.users.videos,
            self.ridge,
            noise=_noise(noise=self.noise),
            dtype=torch.float32,
        )
        rows = _there(self.users)
        history, seen, test = (
            csr_array(matrix[rows]) for matrix in (self.users.matrix, self.later, self.test)
        )
        return kept.size, next_videos(model, history, test, seen=seen).summary().ndcg10


def _growing(everything: Interactions, rng: np.random.Generator) -> tuple[Interactions, ...]:
    """Return what is known in each window, the last one `everything`."""
    windows = [everything]
    for users, interactions in reversed(GROWTH):
        later = windows[0]
        stays = np.zeros(later.users, np.bool_)
        there = _there(later)
        stays[rng.choice(there, round(len(there) * users), replace=False)] = True
        rows = np.repeat(stays, np.diff(later.matrix.indptr))
        windows.insert(0, later.where(rows & (rng.random(later.matrix.nnz) < interactions)))
    return tuple(windows)


def _there(users: Interactions) -> NDArray[np.int64]:
    return np.flatnonzero(np.diff(users.matrix.indptr)).astype(np.int64)


def _of_pairs(positions: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """Return where the pairs of these ascending positions stand in the triangle over `size` videos."""
    one, other = (positions[side] for side in np.triu_indices(positions.size, 1))
    return one * (2 * size - one - 1) // 2 + other - one - 1


def _noise(*, noise: bool) -> SumNoise:
    return realised_noise() if noise else NO_NOISE


def _minimum(options: Options) -> int:
    return head_minimum(options.min_users, PROTECTION[Level.DEFAULT].counts_noise)


def _row(window: int, name: str, measured: Sequence[_Measured], *, noise: bool) -> HeadRow:
    ndcg = np.array([one.ndcg10 for one in measured])
    reference = np.array([one.reference_ndcg10 for one in measured])
    difference = ndcg / reference - 1
    number = len(measured)
    error = difference.std(ddof=1) / np.sqrt(number) if number > 1 else np.nan
    return HeadRow(
        window=window,
        chosen_from=name,
        noise=noise,
        asked=float(np.mean([one.asked for one in measured])),
        kept=float(np.mean([one.kept for one in measured])),
        reference_kept=float(np.mean([one.reference_kept for one in measured])),
        ndcg10=float(ndcg.mean()),
        reference_ndcg10=float(reference.mean()),
        difference=float(difference.mean()),
        interval=float(stdtrit(number - 1, _CONFIDENCE) * error) if number > 1 else float("nan"),
        goal=GOALS[window],
    )


def _notes(options: Options) -> tuple[str, ...]:
    (users, views), (later_users, later_views) = GROWTH[0], GROWTH[1]
    beside = (
        "Each row compares a head that is chosen beforehand with the one that this window's counts give, "
        f"with at most {options.max_head:,} videos: two sums would be needed for that. Both have the "
        "same viewers, held-out likes and lambda, and the same noise on every count and pair that both "
        "hold. Intervals are 95 %, from paired draws."
    )
    growth = (
        f"Between the first two windows {1 - users:.0%} of the users and {1 - views:.0%} of the others' "
        f"likes are new, later {1 - later_users:.0%} and {1 - later_views:.0%}. The fifth window holds "
        "everything; viewers are measured once they are there."
    )
    counters = (
        f"The first head has at most {MAX_FIRST_HEAD:,} videos. A public counter is the number of rows of a "
        "video in the set times its views per engagement: log-normal with a median of "
        f"{np.exp(COUNTER[0]):.1f} and a deviation of {COUNTER[1]:g} of its logarithm, at least 1, and the "
        "same everywhere. Own viewers have tastes of their own; their counts are those of an own release, "
        "with the noise of the level. "
        f"Later heads follow the mean of up to {WINDOWS} released counts."
    )
    rule = (
        f"Members count no video with fewer than {LEAST_VIEWS} views, and after the sum head videos below "
        "the minimum are dropped: both are in the figures of heads chosen beforehand only."
    )
    noise = (
        f'Noise is what a cohort of {MEMBERS} adds at level "{Level.DEFAULT.value}" with nobody lost, taken '
        "out as in training; rows without noise keep the minimum. Models are closed forms without tags."
    )
    return beside, growth, counters, rule, noise
