"""`shoal simulate` without its command line: one report for each number of instances."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count

import numpy as np
from numpy.typing import NDArray

from daemon.lab.experiment import Population, Progress, TrainTestSplit, load, split
from daemon.lab.simulate import costs, losses, quality, sizes
from daemon.lab.simulate.costs import Cost, Videos
from daemon.lab.simulate.flower_engine import engine
from daemon.lab.simulate.losses import DRAWS, Checked, Completed
from daemon.lab.simulate.quality import GroupQuality, QualityOptions
from daemon.source.dataset_files import DataSet
from federation.flower.app.laboratory import Laboratory
from federation.flower.app.simulation import Measured
from federation.proposal import least_threshold

_CHECK_SECONDS = 8.0
_PAIR_SECONDS = 0.0005
"""A real session of two sums takes about so long per pair of members."""
_MAX_RUNS = 100
_MIN_RUNS = 4
_MAX_CORES = 4
"""Each is a process of its own with 150 MB."""
_ENGINE, _LOSSES = 0.4, 0.65


@dataclass(frozen=True, kw_only=True)
class Options(QualityOptions):
    """What to simulate.

    Attributes:
        instances: sizes of groups, one report each.
        losses: shares of members that are lost, in (0, 1).
        sizes: accounts per instance to draw from; None draws log-normal ones.
    """

    instances: tuple[int, ...] = (10, 100, 1000)
    losses: tuple[float, ...] = (0.1, 0.3)
    sizes: NDArray[np.int64] | None = None


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
        sub_cohorts: members of each.
        threshold: of the largest sub-cohort.
        sums: secure sums that were run through Flower, all of the largest sub-cohort.
        exact: how many of them were the plain sum, integer for integer.
        here: a session about the data set's videos.
        full: a session about a full head.
        losses: how often sums complete.
        checked: real state machines against the rule behind `losses`.
        quality: federated against local.
        seconds: wall time of finding all this.
    """

    instances: int
    sub_cohorts: tuple[int, ...]
    threshold: int
    sums: int
    exact: int
    here: Cost
    full: Cost
    losses: tuple[Losses, ...]
    checked: Checked
    quality: GroupQuality
    seconds: float


@dataclass(frozen=True)
class SimulationReport:
    """What `simulate` found; `notes` say what the numbers rest on, and which are extrapolated."""

    data: str
    level: str
    seed: int
    groups: tuple[GroupReport, ...]
    notes: tuple[str, ...]


def simulate(
    data: DataSet, options: Options, progress: Progress = lambda _phase, _part: None
) -> SimulationReport:
    """Simulate groups of each size.

    Raises:
        JobError: Flower's simulation engine is missing or failed.
        ValueError: the set has no viewers to speak of.
    """
    population = load(data)
    parts = split(population, seed=options.seed)
    groups = []
    for number, instances in enumerate(options.instances):

        def overall(phase: str, part: float, number: int = number, instances: int = instances) -> None:
            progress(f"{instances} instances: {phase}", (number + part) / len(options.instances))

        groups.append(_group(instances, population, parts, options, overall))
    largest = max(max(group.sub_cohorts) for group in groups)
    return SimulationReport(
        data=population.name,
        level=options.level.value,
        seed=options.seed,
        groups=tuple(groups),
        notes=_notes(options, largest),
    )


def _group(
    instances: int, population: Population, parts: TrainTestSplit, options: Options, progress: Progress
) -> GroupReport:
    begun = time.perf_counter()
    if options.sizes is None:
        accounts = sizes.drawn(instances, options.seed)
    else:
        accounts = sizes.resampled(options.sizes, instances, options.seed)
    sub_cohorts = sizes.divide(instances)
    largest = max(sub_cohorts)
    # First, because the length of the second sum follows from it.
    found = quality.measure(
        population,
        parts,
        accounts,
        sizes.viewers(accounts, population.likes.users),
        sub_cohorts,
        options,
        lambda phase, part: progress(phase, part * _ENGINE),
    )
    here = Videos(found.vocabulary, found.head)
    sums = _sums(
        largest, here, options, lambda part: progress("Flower", _ENGINE + part * (_LOSSES - _ENGINE))
    )
    runs = max(_MIN_RUNS, min(_MAX_RUNS, int(_CHECK_SECONDS / (_PAIR_SECONDS * largest * largest))))
    return GroupReport(
        instances=instances,
        sub_cohorts=sub_cohorts,
        threshold=least_threshold(largest),
        sums=len(sums),
        exact=sum(one.exact and one.survivors == largest for one in sums),
        here=costs.cost(sums, here, instances, len(sub_cohorts)),
        full=costs.cost(sums, costs.FULL, instances, len(sub_cohorts)),
        losses=tuple(
            Losses(
                loss,
                losses.completed(sub_cohorts, loss, DRAWS, options.seed),
                losses.completed(sub_cohorts, loss, DRAWS, options.seed, from_the_start=True),
            )
            for loss in options.losses
        ),
        checked=losses.check(
            largest,
            options.losses,
            runs,
            options.seed,
            lambda part: progress("losses", _LOSSES + (1 - _LOSSES) * part),
        ),
        quality=found,
        seconds=time.perf_counter() - begun,
    )


def _sums(members: int, here: Videos, options: Options, progress: Callable[[float], None]) -> list[Measured]:
    wanted = costs.lengths(members, here)
    done = count(1)
    progress(0.0)
    return engine(
        Laboratory(members, options.seed),
        wanted,
        cores=min(_MAX_CORES, options.recipe.threads),
        on_sum=lambda _: progress(next(done) / len(wanted)),
    )


def _notes(options: Options, members: int) -> tuple[str, ...]:
    """Say what the numbers rest on, and which are extrapolated; `members` are those of the largest sum."""
    lines = f"{costs.MEMBER_LINE / 1e6:g} Mbit/s", f"{costs.HOST_LINE / 1e9:g} Gbit/s"
    longest = costs.MAX_CELLS // members
    measured = (
        "Costs: the largest sub-cohort of each group ran as a stock Flower app in Flower's simulation "
        "engine, with real keys, shares, masks and signatures, and vectors of random numbers. The host's "
        "cost is that of one sub-cohort times their number; every instance costs what a member of this one "
        "does. Each sum was compared with the plain sum, entry by entry."
    )
    extrapolated = (
        "Extrapolated figures are marked: a sum too long to run here is taken from the straight line through "
        f"a sum of {costs.SHORT:,} entries and one of {longest:,} ({costs.MAX_CELLS:,} divided by {members} "
        "members). Bytes are linear in the length; computing is nearly so."
    )
    counted = (
        f"Bytes of protocol messages are measured. Those of the list of videos ({costs.ADDRESS_BYTES} bytes "
        "an address), of the counts that members see between the two sums, and of the published sums, which "
        "every member fetches, follow from their sizes. The overhead of Flower, TLS and polling is not "
        "included."
    )
    computing = (
        "Host CPU is the aggregator's, with nobody lost. The SuperLink's work is not included: the engine "
        "carries messages in memory. Instance CPU is the protocol's; counting viewers and drawing noise come "
        "on top."
    )
    estimate = (
        f"Times of a group are estimates: {costs.EXCHANGES} exchanges at {costs.POLL:g} s, then an "
        f"instance's computing and its bytes at {lines[0]}, then the host's computing and its bytes at "
        f"{lines[1]}, one after the other. Wall time here is that of one sub-cohort whose members share this "
        "machine."
    )
    worth = (
        "Quality is NDCG@10 of viewers' held-out videos, with the training that daemons run. The sum is the "
        f'plain sum plus noise of the level "{options.level.value}", drawn by its exact law: masks cancel to '
        "the last bit. Where there are more accounts than the set has viewers, each account takes part with "
        "the same probability, and some instances have none. At most "
        f"{options.trained} instances of each band are trained. The local model ignores the minimums on "
        "viewers that a served model keeps."
    )
    lost = (
        f"Losses: {DRAWS:,} sessions were drawn per share, by the rule that follows from the protocol, and "
        "real state machines were compared with the rule as often as stated. A lost member stops answering "
        "at a random stage, or is away from the start; one that returns before its stage ends is not lost. "
        "The pairs need exactly the members that are in the counts: one that is lost in between ends its "
        "sub-cohort's session for this window."
    )
    return measured, extrapolated, counted, computing, estimate, worth, lost
