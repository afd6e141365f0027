"""`shoal simulate` without its command line: one report for each number of instances."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from daemon.config.schema import Cohort as CohortSection
from daemon.config.schema import Group as GroupSection
from daemon.lab.evaluate_data import Split, World, split, world
from daemon.lab.simulate import costs, instance_sizes, losses, quality
from daemon.lab.simulate.assumptions import notes
from daemon.lab.simulate.costs import Cost, Videos
from daemon.lab.simulate.flower_engine import engine
from daemon.lab.simulate.losses import DRAWS, Checked, Completed
from daemon.lab.simulate.quality import Quality
from daemon.source.dataset_files import DataSet
from federation.flower.app.laboratory import Laboratory
from federation.flower.app.simulation import Measured
from federation.proposal import least_threshold
from models.trained import Recipe
from policies.group import parts_for
from policies.privacy import Level

_CHECK_SECONDS = 8.0
_PAIR_SECONDS = 0.0005
"""A real session of two sums takes about so long per pair of members."""
_MOST_RUNS = 100
_LEAST_RUNS = 4
_MIN_INTERACTIONS = 5
_TEST = 0.2
_MOST_CORES = 4
"""Each is a process of its own with 150 MB."""
_ENGINE, _LOSSES = 0.4, 0.65

Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class Options:
    """What to simulate.

    Attributes:
        instances: sizes of groups, one report each.
        losses: shares of members that are lost, in (0, 1).
        sizes: accounts per instance to draw from; None draws log-normal ones.
        level: privacy level whose noise is in the sums.
        trained: instances per band of sizes whose models are trained.
        seed: of every draw.
        recipe: how models are trained.
    """

    instances: tuple[int, ...] = (10, 100, 1000)
    losses: tuple[float, ...] = (0.1, 0.3)
    sizes: NDArray[np.int64] | None = None
    level: Level = Level.DEFAULT
    trained: int = 8
    seed: int = 1
    recipe: Recipe = field(default_factory=Recipe)


@dataclass(frozen=True)
class Losses:
    """Shares that complete with so many lost: at a random stage, or away before the session begins."""

    loss: float
    underway: Completed
    from_the_start: Completed


@dataclass(frozen=True)
class GroupReport:
    """What was found for one group.

    Attributes:
        instances: members, the host among them.
        parts: members of each part.
        threshold: of the largest part.
        sums: secure sums that were run through Flower, all of the largest part.
        exact: how many of them were the plain sum, integer for integer.
        here: a session about the data set's videos.
        full: a session about a full head.
        losses: how often sums complete.
        checked: real state machines against the rule behind `losses`.
        quality: federated against local.
        seconds: wall time of finding all this.
    """

    instances: int
    parts: tuple[int, ...]
    threshold: int
    sums: int
    exact: int
    here: Cost
    full: Cost
    losses: tuple[Losses, ...]
    checked: Checked
    quality: Quality
    seconds: float


@dataclass(frozen=True)
class Report:
    """What `simulate` found; `notes` say what the numbers rest on, and which are extrapolated."""

    data: str
    level: str
    seed: int
    groups: tuple[GroupReport, ...]
    notes: tuple[str, ...]


def simulate(data: DataSet, options: Options, progress: Progress = lambda _phase, _part: None) -> Report:
    """Simulate groups of each size.

    Raises:
        JobError: Flower's simulation engine is missing or failed.
        ValueError: the set has no viewers to speak of.
    """
    users = world(data, from_value=None, min_interactions=_MIN_INTERACTIONS)
    divided = split(users, test=_TEST, seed=options.seed)
    groups = []
    for number, instances in enumerate(options.instances):

        def overall(phase: str, part: float, number: int = number, instances: int = instances) -> None:
            progress(f"{instances} instances: {phase}", (number + part) / len(options.instances))

        groups.append(_group(instances, users, divided, options, overall))
    return Report(
        data=users.name,
        level=options.level.value,
        seed=options.seed,
        groups=tuple(groups),
        notes=notes(options.level.value, options.trained, max(max(group.parts) for group in groups)),
    )


def divide(instances: int) -> tuple[int, ...]:
    """Return the members of each part, as a group with the default settings is divided."""
    cohort = CohortSection()
    number = parts_for(
        instances,
        subcohorts_from=cohort.subcohorts_from,
        # The host adds up, and is therefore no protection against itself.
        least=cohort.min_cohort + 1,
        per_part=GroupSection().members_per_part,
    )
    return tuple(instances // number + (part < instances % number) for part in range(number))


def _group(instances: int, users: World, divided: Split, options: Options, progress: Progress) -> GroupReport:
    begun = time.perf_counter()
    if options.sizes is None:
        accounts = instance_sizes.drawn(instances, options.seed)
    else:
        accounts = instance_sizes.resampled(options.sizes, instances, options.seed)
    viewers = instance_sizes.viewers(accounts, int(users.matrix.shape[0]))
    parts = divide(instances)
    # First, because the length of the second sum follows from it.
    settings = quality.Settings(options.level, options.recipe, options.trained, options.seed)
    found = quality.measure(
        users,
        divided,
        accounts,
        viewers,
        parts,
        settings,
        lambda phase, part: progress(phase, part * _ENGINE),
    )
    here = Videos(found.vocabulary, found.head)
    sums = _sums(
        max(parts), here, options, lambda part: progress("Flower", _ENGINE + part * (_LOSSES - _ENGINE))
    )
    runs = _runs(max(parts))
    done = 0

    def on_run() -> None:
        nonlocal done
        done += 1
        progress("losses", _LOSSES + (1 - _LOSSES) * done / runs)

    return GroupReport(
        instances=instances,
        parts=parts,
        threshold=least_threshold(max(parts)),
        sums=len(sums),
        exact=sum(one.exact and one.survivors == max(parts) for one in sums),
        here=costs.cost(sums, here, instances, len(parts)),
        full=costs.cost(sums, costs.FULL, instances, len(parts)),
        losses=tuple(
            Losses(
                loss,
                losses.completed(parts, loss, DRAWS, options.seed),
                losses.completed(parts, loss, DRAWS, options.seed, from_the_start=True),
            )
            for loss in options.losses
        ),
        checked=losses.check(max(parts), options.losses, runs, options.seed, on_run),
        quality=found,
        seconds=time.perf_counter() - begun,
    )


def _sums(members: int, here: Videos, options: Options, progress: Callable[[float], None]) -> list[Measured]:
    wanted = costs.lengths(members, here)
    found = 0

    def on_sum(_: Measured) -> None:
        nonlocal found
        found += 1
        progress(found / len(wanted))

    progress(0.0)
    return engine(
        Laboratory(members, options.seed),
        wanted,
        cores=min(_MOST_CORES, options.recipe.threads),
        on_sum=on_sum,
    )


def _runs(members: int) -> int:
    return max(_LEAST_RUNS, min(_MOST_RUNS, int(_CHECK_SECONDS / (_PAIR_SECONDS * members * members))))
