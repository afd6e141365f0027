"""`shoal simulate` without its command line: one report for each number of instances."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count

import numpy as np
from numpy.typing import NDArray

from daemon.lab.experiment import Population, Progress, TrainTestSplit, load, split
from daemon.lab.simulate import alone, costs, losses, quality, sizes
from daemon.lab.simulate.alone import Alone
from daemon.lab.simulate.costs import Cost, Videos
from daemon.lab.simulate.flower_engine import engine
from daemon.lab.simulate.losses import ATTEMPTS, DRAWS, RESUMES, Checked, Completed
from daemon.lab.simulate.quality import GroupQuality, QualityOptions
from daemon.source.dataset_files import DataSet
from federation.flower.app.laboratory import Laboratory
from federation.flower.app.simulation import Measured
from federation.proposal import least_threshold

_CHECK_SECONDS = 8.0
_PAIR_SECONDS = 0.0005
"""A real round of one or two attempts takes about so long per pair of members."""
_MAX_RUNS = 100
_MIN_RUNS = 4
_MAX_CORES = 4
"""Each is a process of its own with 150 MB."""
_ENGINE, _LOSSES = 0.4, 0.65
_GROUPS = 0.8
"""Part of the whole work that groups are, before instances alone."""
SMALL = range(5, 21)
LARGE = (50, 100, 300, 1000)


@dataclass(frozen=True, kw_only=True)
class Options(QualityOptions):
    """What to simulate.

    Attributes:
        instances: sizes of groups, one report each.
        losses: shares of members that are lost, in (0, 1).
        sizes: accounts per instance to draw from; None draws log-normal ones.
    """

    instances: tuple[int, ...] = (10, 100, 1000)
    losses: tuple[float, ...] = (0.02, 0.1, 0.3)
    sizes: NDArray[np.int64] | None = None


@dataclass(frozen=True)
class Completion:
    """What completes of a cohort of so many members, summed in sub-cohorts of these sizes."""

    members: int
    sub_cohorts: tuple[int, ...]
    losses: tuple[Completed, ...]


@dataclass(frozen=True)
class GroupReport:
    """What was found for one group.

    Attributes:
        instances: members, the host among them.
        sub_cohorts: members of each.
        threshold: of the largest sub-cohort.
        sums: secure sums that were run through Flower, all of the largest sub-cohort.
        exact: how many of them were the plain sum, integer for integer.
        here: a round about the data set's videos.
        full: a round about a full head.
        checked: real state machines against the rule of `daemon.lab.simulate.losses`.
        quality: federated against alone.
        seconds: wall time of finding all this.
    """

    instances: int
    sub_cohorts: tuple[int, ...]
    threshold: int
    sums: int
    exact: int
    here: Cost
    full: Cost
    checked: Checked
    quality: GroupQuality
    seconds: float


@dataclass(frozen=True)
class SimulationReport:
    """What `simulate` found.

    Attributes:
        completion: of single sub-cohorts of each size in `SMALL`, then of whole groups of `LARGE` and of the
            sizes asked for.
        alone: what instances of some sizes serve without a group.
        notes: what the numbers rest on, and which are extrapolated.
    """

    data: str
    level: str
    seed: int
    completion: tuple[Completion, ...]
    groups: tuple[GroupReport, ...]
    alone: tuple[Alone, ...]
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
            done = (number + part) / len(options.instances)
            progress(f"{instances} instances: {phase}", _GROUPS * done)

        groups.append(_group(instances, population, parts, options, overall))
    largest = max(max(group.sub_cohorts) for group in groups)
    return SimulationReport(
        data=population.name,
        level=options.level.value,
        seed=options.seed,
        completion=tuple(_completion(options)),
        groups=tuple(groups),
        alone=tuple(
            alone.measure(
                population,
                parts,
                options,
                lambda phase, part: progress(phase, _GROUPS + part * (1 - _GROUPS)),
            )
        ),
        notes=_notes(options, largest),
    )


def _completion(options: Options) -> Iterator[Completion]:
    divided: dict[int, tuple[int, ...]] = {members: (members,) for members in SMALL}
    divided |= {
        members: sizes.divide(members)
        for members in sorted({*LARGE, *options.instances})
        if members not in divided
    }
    for members, sub_cohorts in divided.items():
        found = (losses.completed(sub_cohorts, loss, options.seed) for loss in options.losses)
        yield Completion(members, sub_cohorts, tuple(found))


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
    # First, because the length of the vector follows from it.
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
        "an address), of the head, and of the published sums, which every member fetches, follow from their "
        "sizes. The overhead of Flower, TLS and polling is not included."
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
        f"{options.trained} instances of each band are trained. Alone and federated are what an instance "
        "serves: its own numbers are those of its release, with the noise of the level. Local is learnt from "
        "its exact numbers, which a daemon shows nobody. Cost is what federated loses to a model of the same "
        "sum and own exact numbers."
    )
    by_itself = (
        f"Instances alone: means over {alone.drawn(options)} instances of each size, whose viewers have "
        "tastes of their own, each with noise of its own, and the standard error. Where few videos stand "
        "out of the noise, lists go on with what shares tags with the history. Public "
        "counters are those of the set less the likes that are to be found."
    )
    lost = (
        f"Losses: {DRAWS:,} rounds were drawn per share and size, by the rule that follows from the "
        "protocol, and real state machines were compared with the rule as often as stated. At each try "
        "every member is lost with the given probability, whatever it was before, and stops answering at a "
        "random one of five stages; a round goes on while the threshold is left. In the end means: with at "
        f"most {ATTEMPTS - 1} retries, each by whoever of the roster is there. Once confirmations went out, "
        f"the attempt is resumed instead, at most {RESUMES} times: those that confirmed and come back "
        "answer, and what they reveal adds up. Members of different sub-cohorts are lost independently."
    )
    return measured, extrapolated, counted, computing, estimate, worth, by_itself, lost
