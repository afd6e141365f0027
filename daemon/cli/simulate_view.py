"""Runs `shoal simulate`, and prints what it found."""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from daemon.cli.terminal import (
    PROGRESS_SECONDS,
    bytes_of,
    heading,
    out,
    progress_bar,
    prose,
    result,
    table,
)
from daemon.errors import SourceError
from daemon.lab import made_up
from daemon.lab.simulate import sizes as instance_sizes
from daemon.lab.simulate.alone import Alone, Estimate
from daemon.lab.simulate.costs import Cost
from daemon.lab.simulate.flower_engine import require_engine
from daemon.lab.simulate.losses import Shares
from daemon.lab.simulate.main import Completion, GroupReport, Options, SimulationReport, simulate
from daemon.lab.simulate.quality import Band
from daemon.source.dataset_files import DataSetError, read
from models.trained import Recipe
from policies.privacy import Level

_Row = tuple[str, Callable[[GroupReport], str]]


def run(
    *,
    data: Path | None,
    instances: Sequence[int],
    sizes: Path | None,
    losses: Sequence[float],
    level: str,
    trained: int,
    seed: int,
) -> None:
    """Simulate groups of these sizes; without any, of as many instances as `sizes` has lines.

    Raises:
        RequestError: the file of sizes cannot be used. SourceError: the data set cannot be used.
        JobError: Flower's simulation engine is not installed, or failed.

    """
    require_engine()
    known = None if sizes is None else instance_sizes.read(sizes)
    options = Options(
        instances=tuple(instances) or ((10, 100, 1000) if known is None else (len(known),)),
        losses=tuple(losses),
        sizes=known,
        level=Level(level),
        trained=trained,
        seed=seed,
        recipe=Recipe(threads=os.cpu_count() or 1),
    )
    try:
        with tempfile.TemporaryDirectory() as folder:
            tables = read(data or made_up.shipped_or_made_up(Path(folder)))
        with progress_bar("simulate", every=PROGRESS_SECONDS) as progress:
            report = simulate(tables, options, progress)
    except DataSetError as error:
        raise SourceError(str(error)) from error
    except ValueError as error:
        raise SourceError(
            f"this data set cannot be used: {error}", advice="Give one with more viewers."
        ) from error
    result(report, lambda: _show(report))


def _show(report: SimulationReport) -> None:
    """Print all tables, then what they rest on."""
    groups = report.groups
    if report.data == made_up.NAME:
        prose(made_up.NOTE)
    prose(f'{report.data}, level "{report.level}", seed {report.seed}')
    _columns("The groups", groups, _GROUP)
    heads = ", ".join(f"{group.here.videos.head:,}" for group in groups)
    about = f"{groups[0].here.videos.vocabulary:,} videos of this set, head {heads}"
    rows = (*_costs(lambda group: group.here), _ENGINE)
    _columns(f"One round: {about}", groups, rows)
    full = groups[0].full.videos
    about = f"{full.vocabulary:,} videos, a full head of {full.head:,}"
    _columns(f"One round: {about}", groups, _costs(lambda group: group.full))
    _completion(report)
    _quality(groups)
    _alone(report.alone)
    out.print()
    for note in report.notes:
        prose(f"- {note}", hanging=2)


def _sizes(sub_cohorts: Sequence[int]) -> str:
    low, high = min(sub_cohorts), max(sub_cohorts)
    return f"{len(sub_cohorts)} of {low}" + ("" if low == high else f" to {high}")


_GROUP: tuple[_Row, ...] = (
    ("accounts", lambda group: f"{group.quality.accounts:,}"),
    ("viewers of the set", lambda group: f"{group.quality.viewers:,}"),
    ("instances without any", lambda group: f"{group.quality.empty:,}"),
    ("sub-cohorts", lambda group: _sizes(group.sub_cohorts)),
    ("threshold of the largest", lambda group: str(group.threshold)),
    ("secure sums run, exact", lambda group: f"{group.exact} of {group.sums}"),
    ("noise in a pair (deviation)", lambda group: f"{group.quality.deviations[1]:.1f}"),
    ("found in", lambda group: f"{group.seconds:.0f} s"),
)


_ENGINE: _Row = ("wall time here, one sub-cohort", lambda group: f"{group.here.engine_seconds:.1f} s")


def _costs(of: Callable[[GroupReport], Cost]) -> tuple[_Row, ...]:
    return (
        ("figures are", lambda group: "extrapolated" if of(group).extrapolated else "measured"),
        ("instance: sends", lambda group: bytes_of(of(group).instance_up)),
        ("instance: receives", lambda group: bytes_of(of(group).instance_down)),
        ("  of which published sums", lambda group: bytes_of(of(group).published)),
        ("host: receives", lambda group: bytes_of(of(group).host_down)),
        ("host: sends", lambda group: bytes_of(of(group).host_up)),
        ("instance CPU", lambda group: f"{of(group).instance_cpu:.2f} s"),
        ("host CPU, all sub-cohorts", lambda group: f"{of(group).host_cpu:.2f} s"),
        ("time until the sums are there (estimate)", lambda group: _seconds(of(group).sums_seconds)),
        ("until every instance has them (estimate)", lambda group: _seconds(of(group).round_seconds)),
    )


def _columns(title: str, groups: Sequence[GroupReport], rows: Sequence[_Row]) -> None:
    heading(title)
    names = [f"{group.instances:,} INSTANCES" for group in groups]
    table(["", *names], [(name, *(cell(group) for group in groups)) for name, cell in rows], right=names)


def _completion(report: SimulationReport) -> None:
    lost = [f"{one.loss:.0%}" for one in report.completion[0].losses]
    columns = [f"{share} {when}" for share in lost for when in ("FIRST", "END")]
    heading("Rounds that complete when members are lost: at the first attempt, and in the end")
    rows = [
        (*_divided(one), *(_share(share) for lost in one.losses for share in _both(lost.rounds)))
        for one in report.completion
    ]
    table(["MEMBERS", "SUB-COHORTS", *columns], rows, right=("MEMBERS", *columns))
    heading("Runs in which all sub-cohorts complete")
    rows = [
        (*_divided(one), *(_share(share) for lost in one.losses for share in _both(lost.all_sub_cohorts)))
        for one in report.completion
        if len(one.sub_cohorts) > 1
    ]
    table(["MEMBERS", "SUB-COHORTS", *columns], rows, right=("MEMBERS", *columns))
    for group in report.groups:
        checked = group.checked
        prose(
            f"{group.instances:,} instances: real state machines of {max(group.sub_cohorts)} members agreed "
            f"with the rule in {checked.agreed} of {checked.runs} rounds, of which {checked.completed} "
            "completed."
        )


def _divided(one: Completion) -> tuple[str, str]:
    return f"{one.members:,}", _sizes(one.sub_cohorts)


def _both(shares: Shares) -> tuple[float, float]:
    return shares.first, shares.end


def _share(share: float) -> str:
    # 99.96 % must not read as all of them.
    return f"{math.floor(share * 1e4) / 1e2:.2f}%"


def _quality(groups: Sequence[GroupReport]) -> None:
    heading("NDCG@10 by viewers of the instance")
    columns = ("TRAINED", "VIEWERS", "LOCAL", "ALONE", "FEDERATED", "GAIN", "COST")
    rows: list[tuple[str, ...]] = []
    for group in groups:
        rows += [(f"{group.instances:,}", *_band(band)) for band in group.quality.bands]
        if not group.quality.bands:
            none = "no pair of videos has enough viewers: nothing to learn together"
            rows.append((f"{group.instances:,}", none, *[""] * len(columns)))
    table(["INSTANCES", "SIZE", *columns], rows, right=("INSTANCES", *columns))


def _band(band: Band) -> tuple[str, ...]:
    return (
        band.name,
        f"{band.trained} of {band.instances}",
        f"{band.viewers:,}",
        f"{band.local:.3f}",
        f"{band.alone:.3f}",
        f"{band.federated:.3f}",
        f"{band.gain:+.3f}" + _error(band.gain_se, ".3f"),
        f"{band.cost:.1%}" + _error(band.cost_se, ".1%"),
    )


def _error(value: float, form: str) -> str:
    return "" if math.isnan(value) else f"±{value:{form}}"


def _alone(found: Sequence[Alone]) -> None:
    heading("NDCG@10 of instances alone, by their viewers")
    columns = ("VIEWERS", "VIDEOS", "AS SERVED", "EXACT", "POPULAR HERE", "PUBLIC COUNTERS")
    rows = [
        (
            f"{one.viewers:,}",
            f"{one.videos:,.0f}",
            *(_estimate(value) for value in (one.served, one.exact, one.popular_here, one.popular)),
        )
        for one in found
    ]
    table(columns, rows, right=columns)


def _estimate(one: Estimate) -> str:
    return f"{one.mean:.3f} ± {one.error:.3f}"


def _seconds(number: float) -> str:
    return f"{number:.0f} s" if number < 600 else f"{number / 60:.0f} min"
