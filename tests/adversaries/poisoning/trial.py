"""One observer, one seed, one level: an honest newcomer and hostile ones, trained from and judged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, vstack

from daemon.config.schema import Acceptance
from daemon.lab.demo import poisoning
from daemon.lab.made_up import SHIPPED
from daemon.training.acceptance.judge import Report, judge
from models import artefact, counting
from models.evaluation import top, without
from models.interactions import Interactions
from models.recommender import ServedItems
from models.released import Released
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
        limits: what is allowed, likewise.
        unchecked: rules that could not be checked with true caps, and references that could not be used.
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
    limits: dict[str, float]
    unchecked: tuple[str, ...]

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
    return [
        one for level in levels for one in Trial(world, people, observer, level, seed).run(attacks=attacks)
    ]


@dataclass(frozen=True)
class Learnt:
    """A model learnt with a newcomer, from a sum of members with so many viewers."""

    candidate: TrainedModel
    others: Released
    sizes: dict[str, int]


class Trial:
    """An observer with its own model and one learnt with four others; `head` and `counts` are theirs.

    It released its own numbers twice: a month ago, and now.
    """

    def __init__(
        self, world: World, people: cohorts.Communities, observer: int, level: Level, seed: int
    ) -> None:
        self._world, self._level, self._seed, self._observer = world, level, seed, observer
        self._people = people
        self._members = [(part, 1) for place, part in enumerate(people.five) if place != observer]
        self._rng = np.random.default_rng([seed, observer, list(Level).index(level)])
        mine, views = people.five[observer], world.features.views
        earlier, self.own = (cohorts.released(mine, level, views, self._rng) for _ in range(2))
        before = cohorts.summed(self._members, level, self._rng)
        self.local = trained(world, self.own, None)
        self._month = trained(world, earlier, before)
        self.head = before.statistic.head
        self.counts: NDArray[np.int64] = np.sum([counting.counts(part) for part in people.five], axis=0)

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
        others = cohorts.summed(members, self._level, self._rng)
        candidate = trained(self._world, self.own, others)
        sizes = {f"{place}.example": part.users for place, (part, _) in enumerate(members)}
        return Learnt(candidate, others, sizes)

    def report(self, learnt: Learnt, *, cap: int | None = None, first: bool = False) -> Report:
        """Judge it; members are capped at their true sizes, or at `cap` each."""
        declared = learnt.sizes if cap is None else dict.fromkeys(learnt.sizes, cap)
        return judge(
            learnt.candidate,
            self.local,
            None if first else artefact.in_memory(self._month, self._world.labels),
            others=learnt.others,
            own=self.own,
            # Nobody here has viewers enough for a decision by their likes.
            good_enough=None,
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
        truly = self.report(learnt)
        return Judged(
            self._level.value,
            self._seed,
            self._observer,
            joining[0][0].users,
            case,
            _failed(truly),
            _failed(generous),
            _failed(self.report(learnt, cap=GENEROUS, first=True)),
            before,
            after,
            mean,
            {check.id: check.value / check.bound for check in generous.checks if check.bound > 0},
            {check.id: check.bound for check in generous.checks if check.bound > 0},
            _unchecked(truly),
        )


def _failed(report: Report) -> tuple[str, ...]:
    return tuple(check.id for check in report.checks if check.failed)


def _unchecked(report: Report) -> tuple[str, ...]:
    used = {gains["against"] for gains in report.gains}
    unused = (against for against in ("local", "month") if against not in used)
    return (*(check.id for check in report.checks if check.ok is None), *unused)


def trained(world: World, own: Released, others: Released | None) -> TrainedModel:
    """Train as a daemon with one thread does."""
    model = train(TrainingData(world.features, own, others), Recipe(threads=1))
    return replace(model, channel=world.channel)


def exposed(
    model: TrainedModel, viewers: Sequence[Interactions], pushed: NDArray[np.int64]
) -> tuple[float, float]:
    """Return the share of viewers with any of some videos in their ten, and the mean share per video."""
    rows = csr_array(vstack([part.matrix for part in viewers], format="csr"))
    lists = top(without(ServedItems(model).scores(rows), rows), _TEN)
    hits = np.isin(lists, pushed)
    return float(hits.any(axis=1).mean()), float(hits.sum() / rows.shape[0] / len(pushed))


def plain(judged: Judged) -> dict[str, Any]:
    """Return it for JSON."""
    return {**vars(judged), "guarded": judged.guarded}
