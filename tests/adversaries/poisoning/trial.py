"""One observer, one seed, one level: an honest newcomer and hostile ones, trained from and judged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daemon.config.schema import Acceptance
from daemon.lab.demo import poisoning
from daemon.lab.demo.instances import SHIPPED
from daemon.training.acceptance.judge import Report, judge
from models import artefact, statistics
from models.evaluation import top
from models.interactions import Interactions
from models.noise import NO_NOISE, SumNoise
from models.statistics import Statistic
from models.trained import Recipe, TrainedModel, TrainingData
from models.training import train
from policies.privacy import Level
from tests.adversaries.poisoning import cohorts
from tests.adversaries.poisoning.cohorts import World

NEWCOMERS = (18, 46, 120)
"""Viewers of who joins; which, by the seed."""
GENEROUS = 10_000
OBSERVERS = 5
_TEN = 10


@dataclass(frozen=True)
class Judged:
    """What one newcomer did.

    Attributes:
        case: "honest", or the attack.
        refused: rules that failed with caps of the true sizes; `generous` with caps of 10,000 each, `first`
            with these and no earlier model to compare with.
        before, after: share of honest viewers with a target in their ten; without guards in the second.
        mean: what one target gained in the mean of the five.
        margins: the largest part of what is allowed that each rule used, by rule, with generous caps.
    """

    level: str
    seed: int
    observer: int
    newcomer: int
    case: str
    refused: tuple[str, ...]
    generous: tuple[str, ...]
    first: tuple[str, ...]
    before: float
    after: float
    mean: float
    margins: dict[str, float]

    @property
    def guarded(self) -> float:
        """Exposure with guards and generous caps: a refused sum leaves everything as it was."""
        return self.before if self.generous else self.after


def run(
    seed: int, observer: int, levels: Sequence[Level], *, attacks: bool, data: Path = SHIPPED
) -> list[Judged]:
    """Let an honest newcomer join, and hostile ones of the same size, at each level."""
    world = cohorts.load(data)
    newcomer = NEWCOMERS[seed % len(NEWCOMERS)]
    people = cohorts.split(world, newcomer, seed)
    local = trained(world, people.five[observer], None, NO_NOISE)
    return [
        one
        for level in levels
        for one in Trial(world, people, observer, level, seed, local).run(attacks=attacks)
    ]


@dataclass(frozen=True)
class Learnt:
    """A model learnt with a newcomer, from a sum of members with so many viewers."""

    candidate: TrainedModel
    others: Statistic
    noise: SumNoise
    sizes: dict[str, int]


class Trial:
    """An observer with its own model and one learnt with four others; `head` and `counts` are theirs."""

    def __init__(
        self,
        world: World,
        people: cohorts.Communities,
        observer: int,
        level: Level,
        seed: int,
        local: TrainedModel,
    ) -> None:
        self._world, self._level, self._seed, self._observer = world, level, seed, observer
        self._own, self._people, self._local = people.five[observer], people, local
        self._members = [(part, 1) for place, part in enumerate(people.five) if place != observer]
        self._rng = np.random.default_rng([seed, observer, list(Level).index(level)])
        before, noise = cohorts.summed(self._members, self._own, level, self._rng)
        self._month = trained(world, self._own, before, noise)
        self.head = before.head
        self.counts: NDArray[np.int64] = np.sum([statistics.counts(part) for part in people.five], axis=0)

    def run(self, *, attacks: bool) -> list[Judged]:
        newcomer = self._people.joining.users
        found = [self._judged("honest", [(self._people.joining, 1)], None)]
        rng = np.random.default_rng([self._seed, self._observer, 7])
        pushed = poisoning.targets(self.counts, self.head, rng)
        for fillers in poisoning.FILLERS if attacks else ():
            fakes = poisoning.push(pushed, self.counts, newcomer, fillers, rng).fakes
            found.append(self._judged(f"fakes 1+{fillers}", [(fakes, 1)], pushed))
            scaled = [(fakes, poisoning.SCALE)]
            found.append(self._judged(f"x{poisoning.SCALE} 1+{fillers}", scaled, pushed))
        return found

    def learnt(self, joining: Sequence[tuple[Interactions, int]]) -> Learnt:
        """Learn with newcomers, each with a factor for its part."""
        members = [*self._members, *joining]
        others, noise = cohorts.summed(members, self._own, self._level, self._rng)
        candidate = trained(self._world, self._own, others, noise)
        sizes = {f"{place}.example": part.users for place, (part, _) in enumerate(members)}
        return Learnt(candidate, others, noise, sizes)

    def report(self, learnt: Learnt, *, cap: int | None = None, first: bool = False) -> Report:
        """Judge it; members are capped at their true sizes, or at `cap` each."""
        declared = learnt.sizes if cap is None else dict.fromkeys(learnt.sizes, cap)
        return judge(
            learnt.candidate,
            self._local,
            None if first else artefact.in_memory(self._month, self._world.labels),
            others=learnt.others,
            noise=learnt.noise,
            declared=declared,
            max_videos_per_user=200,
            labels=self._world.labels,
            settings=Acceptance(),
            seed=0,
            at=0.0,
            survivors=tuple(declared),
            sums=("one-sum",),
        )

    def _judged(
        self, case: str, joining: Sequence[tuple[Interactions, int]], pushed: NDArray[np.int64] | None
    ) -> Judged:
        learnt = self.learnt(joining)
        generous = self.report(learnt, cap=GENEROUS)
        before = after = mean = 0.0
        if pushed is not None:
            viewers = self._people.five
            before, one = exposed(self._month, viewers, pushed)
            after, other = exposed(learnt.candidate, viewers, pushed)
            mean = other - one
        return Judged(
            self._level.value,
            self._seed,
            self._observer,
            joining[0][0].users,
            case,
            _failed(self.report(learnt)),
            _failed(generous),
            _failed(self.report(learnt, cap=GENEROUS, first=True)),
            before,
            after,
            mean,
            {check.id: check.value / check.bound for check in generous.checks if check.bound > 0},
        )


def _failed(report: Report) -> tuple[str, ...]:
    return tuple(check.id for check in report.checks if not check.ok)


def trained(world: World, own: Interactions, others: Statistic | None, noise: SumNoise) -> TrainedModel:
    """Train as a daemon with one thread does."""
    model = train(TrainingData(world.features, own, others, noise), Recipe(threads=1))
    return replace(model, channel=world.channel)


def exposed(
    model: TrainedModel, viewers: Sequence[Interactions], pushed: NDArray[np.int64]
) -> tuple[float, float]:
    """Return the share of viewers with any of some videos in their ten, and the mean share per video."""
    rows = np.concatenate([part.matrix[:, model.items].toarray() for part in viewers]).astype(np.float32)
    scores = (rows @ model.U) @ model.V.T
    scores[rows > 0] = -np.inf
    hits = np.isin(model.items[top(scores.astype(np.float64), _TEN)], pushed)
    return float(hits.any(axis=1).mean()), float(hits.sum() / len(rows) / len(pushed))


def plain(judged: Judged) -> dict[str, Any]:
    """Return it for JSON."""
    return {**vars(judged), "guarded": judged.guarded}
