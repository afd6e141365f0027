"""Runs `shoal simulate`, and prints what it found."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from daemon.cli.terminal import (
    PROGRESS_SECONDS,
    bytes_of,
    heading,
    out,
    plain,
    progress_bar,
    prose,
    result,
    table,
)
from daemon.errors import SourceError
from daemon.lab.demo.instances import SHIPPED
from daemon.lab.simulate import sizes as instance_sizes
from daemon.lab.simulate.costs import Cost
from daemon.lab.simulate.losses import Completed
from daemon.lab.simulate.main import GroupReport, Options, SimulationReport, simulate
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

    """
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
        tables = read(data or SHIPPED)
        with progress_bar("simulate", every=PROGRESS_SECONDS) as progress:
            report = simulate(tables, options, progress)
    except DataSetError as error:
        advice = "" if data else "Wheels do not contain the data of the demo: use a checkout, or --data DIR."
        raise SourceError(str(error), advice=advice) from error
    except ValueError as error:
        raise SourceError(
            f"this data set cannot be used: {error}", advice="Give one with more viewers."
        ) from error
    result(plain(report), lambda: _show(report))


def _show(report: SimulationReport) -> None:
    """Print all tables, then what they rest on."""
    groups = report.groups
    prose(f'{report.data}, level "{report.level}", seed {report.seed}')
    _columns("The groups", groups, _GROUP)
    heads = ", ".join(f"{group.here.videos.head:,}" for group in groups)
    about = f"{groups[0].here.videos.vocabulary:,} videos of this set, head {heads}"
    rows = (*_costs(lambda group: group.here), _ENGINE)
    _columns(f"One session, counts and pairs: {about}", groups, rows)
    full = groups[0].full.videos
    about = f"{full.vocabulary:,} videos, a full head of {full.head:,}"
    _columns(f"One session: {about}", groups, _costs(lambda group: group.full))
    _losses(groups)
    _quality(groups)
    out.print()
    for note in report.notes:
        prose(f"- {note}", hanging=2)


def _sub_cohorts(group: GroupReport) -> str:
    low, high = min(group.sub_cohorts), max(group.sub_cohorts)
    return f"{len(group.sub_cohorts)} of {low}" + ("" if low == high else f" to {high}")


_GROUP: tuple[_Row, ...] = (
    ("accounts", lambda group: f"{group.quality.accounts:,}"),
    ("viewers of the set", lambda group: f"{group.quality.viewers:,}"),
    ("instances without any", lambda group: f"{group.quality.empty:,}"),
    ("sub-cohorts", _sub_cohorts),
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
        ("until every instance has them (estimate)", lambda group: _seconds(of(group).session_seconds)),
    )


def _columns(title: str, groups: Sequence[GroupReport], rows: Sequence[_Row]) -> None:
    heading(title)
    names = [f"{group.instances:,} INSTANCES" for group in groups]
    table(["", *names], [(name, *(cell(group) for group in groups)) for name, cell in rows], right=names)


def _losses(groups: Sequence[GroupReport]) -> None:
    heading("Sub-cohorts that complete when members are lost")
    columns = ("COUNTS", "WHOLE SESSION", "AT LEAST ONE", "ALL")
    rows = []
    for group in groups:
        for one in group.losses:
            for when, found in (("at any stage", one.underway), ("before the start", one.from_the_start)):
                rows.append((f"{group.instances:,}", f"{one.loss:.0%} {when}", *_shares(found)))
    table(["INSTANCES", "LOST", *columns], rows, right=("INSTANCES", *columns))
    for group in groups:
        checked = group.checked
        prose(
            f"{group.instances:,} instances: real state machines of {max(group.sub_cohorts)} members agreed "
            f"with the rule in {checked.agreed} of {checked.runs} sessions, of which {checked.completed} "
            "completed."
        )


def _shares(found: Completed) -> tuple[str, ...]:
    return tuple(
        f"{share:.1%}"
        for share in (found.counts, found.sub_cohorts, found.any_sub_cohort, found.all_sub_cohorts)
    )


def _quality(groups: Sequence[GroupReport]) -> None:
    heading("NDCG@10 by viewers of the instance")
    columns = ("TRAINED", "VIEWERS", "LOCAL", "FEDERATED", "DIFFERENCE")
    rows = []
    for group in groups:
        for band in group.quality.bands:
            error = "" if math.isnan(band.gain_se) else f" ± {band.gain_se:.3f}"
            rows.append(
                (
                    f"{group.instances:,}",
                    band.name,
                    f"{band.trained} of {band.instances}",
                    f"{band.viewers:,}",
                    f"{band.local:.3f}",
                    f"{band.federated:.3f}",
                    f"{band.gain:+.3f}{error}",
                )
            )
        if not group.quality.bands:
            none = "no pair of videos has enough viewers: nothing to learn together"
            rows.append((f"{group.instances:,}", none, "", "", "", "", ""))
    table(["INSTANCES", "SIZE", *columns], rows, right=("INSTANCES", *columns))


def _seconds(number: float) -> str:
    return f"{number:.0f} s" if number < 600 else f"{number / 60:.0f} min"
