"""Prints what `shoal simulate` found."""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from daemon.cli.terminal import out, table
from daemon.lab.simulate.costs import Cost
from daemon.lab.simulate.losses import Completed
from daemon.lab.simulate.main import GroupReport, SimulationReport

_UNITS = ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"))


def as_json(report: SimulationReport) -> dict[str, Any]:
    """Return a report as JSON values; a number that was not measured is null."""
    plain: dict[str, Any] = _finite(asdict(report))
    return plain


def show(report: SimulationReport) -> None:
    """Print all tables, then what they rest on."""
    groups = report.groups
    out.print(f'{report.data}, level "{report.level}", seed {report.seed}', markup=False)
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
        out.print(f"- {note}", markup=False)


_Row = tuple[str, Callable[[GroupReport], str]]


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
        (
            "figures are",
            lambda group: "extrapolated" if of(group).extrapolated else "measured, per sub-cohort",
        ),
        ("instance: sends", lambda group: _bytes(of(group).instance_up)),
        ("instance: receives", lambda group: _bytes(of(group).instance_down)),
        ("  of which published sums", lambda group: _bytes(of(group).published)),
        ("host: receives", lambda group: _bytes(of(group).host_down)),
        ("host: sends", lambda group: _bytes(of(group).host_up)),
        ("instance CPU", lambda group: f"{of(group).instance_cpu:.2f} s"),
        ("host CPU, all sub-cohorts", lambda group: f"{of(group).host_cpu:.2f} s"),
        ("time until the sums are there (estimate)", lambda group: _seconds(of(group).sums_seconds)),
        ("until every instance has them (estimate)", lambda group: _seconds(of(group).session_seconds)),
    )


def _columns(title: str, groups: Sequence[GroupReport], rows: Sequence[_Row]) -> None:
    out.print(f"\n[bold]{title}[/bold]")
    names = [f"{group.instances:,} INSTANCES" for group in groups]
    table(["", *names], [(name, *(cell(group) for group in groups)) for name, cell in rows], right=names)


def _losses(groups: Sequence[GroupReport]) -> None:
    out.print("\n[bold]Sub-cohorts that complete when members are lost[/bold]")
    columns = ("COUNTS", "WHOLE SESSION", "AT LEAST ONE", "ALL")
    rows = []
    for group in groups:
        for one in group.losses:
            for when, found in (("at any stage", one.underway), ("before the start", one.from_the_start)):
                rows.append((f"{group.instances:,}", f"{one.loss:.0%} {when}", *_shares(found)))
    table(["INSTANCES", "LOST", *columns], rows, right=("INSTANCES", *columns))
    for group in groups:
        checked = group.checked
        out.print(
            f"{group.instances:,} instances: real state machines of {max(group.sub_cohorts)} members agreed "
            f"with the rule in {checked.agreed} of {checked.runs} sessions, of which {checked.completed} "
            "completed.",
            markup=False,
        )


def _shares(found: Completed) -> tuple[str, ...]:
    return tuple(
        f"{share:.1%}"
        for share in (found.counts, found.sub_cohorts, found.any_sub_cohort, found.all_sub_cohorts)
    )


def _quality(groups: Sequence[GroupReport]) -> None:
    out.print("\n[bold]NDCG@10 by viewers of the instance[/bold]")
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


def _bytes(number: float) -> str:
    for size, unit in _UNITS:
        if number >= size:
            return f"{number / size:.3g} {unit}" if number < 1000 * size else f"{number / size:,.0f} {unit}"
    return f"{number:.0f} B"


def _seconds(number: float) -> str:
    return f"{number:.0f} s" if number < 600 else f"{number / 60:.0f} min"


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
