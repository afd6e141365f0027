"""Prints what `shoal evaluate` measured."""

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from daemon.cli.terminal import out, table
from daemon.lab.evaluate import Evaluated, EvaluationReport, Row
from daemon.lab.evaluate_instances import MODELS, InstancesReport, QualitySlice
from models.evaluation import Summary


def as_json(report: Evaluated) -> dict[str, Any]:
    """Return a report as JSON values; a number that was not measured is null."""
    plain: dict[str, Any] = _finite(asdict(report))
    return plain


def show(report: EvaluationReport) -> None:
    """Print the tables of one instance."""
    _heading(report)
    _rows("A viewer's next videos", report.next_videos)
    _rows("The same with the default limit on videos per user in the fit", report.limited)
    _rows("Among videos that nobody engaged with before", report.cold)
    _rows("Videos related to one seed, for viewers outside the fit", report.related)
    _rows("The same, with only the less-seen videos to find", report.related_less_seen)
    _notes(report)


def show_instances(report: InstancesReport) -> None:
    """Print the tables of many instances."""
    _heading(report)
    largest = ", ".join(str(size) for size in report.sizes[:8])
    out.print(
        f"{len(report.sizes)} instances with {largest}{', ...' if len(report.sizes) > 8 else ''} viewers."
    )
    out.print(f"The head has {report.head:,} videos; lambda is {report.ridge:g} times the mean diagonal.")
    same = "equal, integer for integer" if report.sums_equal else "NOT EQUAL"
    out.print(f"Sum over the instances and pooled statistic: {same}.")
    out.print(f"Largest relative difference of the scores: {report.max_relative_difference:.1e}.")
    _groups("NDCG@10 by size of the instance (viewers)", [*report.classes, report.everybody])
    _notes(report)


def _heading(report: Evaluated) -> None:
    size = f"{report.users:,} users, {report.videos:,} videos, {report.interactions:,} interactions"
    out.print(f"{report.name}: {size}", markup=False)
    out.print(f"Liked: {report.positive}. PeerTube's rule sorts by {report.newest}.", markup=False)


def _rows(title: str, rows: Sequence[Row]) -> None:
    if not rows:
        return
    out.print(f"\n[bold]{title}[/bold] ({rows[0].summary.viewers:,} viewers)")
    table(
        ["MODEL", "NDCG@10", "RECALL@20", "COVERAGE", "SECONDS", "SETTINGS"],
        [
            (
                row.model,
                _with_error(row.summary.ndcg10, row.summary.ndcg10_se),
                _with_error(row.summary.recall20, row.summary.recall20_se),
                f"{row.summary.coverage:.1%}",
                f"{row.seconds:.1f}",
                row.detail,
            )
            for row in rows
        ],
        right=("NDCG@10", "RECALL@20", "COVERAGE", "SECONDS"),
    )


def _groups(title: str, groups: Sequence[QualitySlice]) -> None:
    out.print(f"\n[bold]{title}[/bold]")
    names = [name for name in MODELS if name in groups[-1].quality]
    rows = [
        (group.name, group.instances, group.users, *(_cell(group.quality[n]) for n in names))
        for group in groups
    ]
    table(["SIZE", "INSTANCES", "VIEWERS", *names], rows, right=("INSTANCES", "VIEWERS", *names))


def _notes(report: Evaluated) -> None:
    out.print()
    for note in report.notes:
        out.print(f"- {note}", markup=False)


def _cell(summary: Summary) -> str:
    return _with_error(summary.ndcg10, summary.ndcg10_se)


def _with_error(value: float, error: float) -> str:
    return "" if math.isnan(value) else f"{value:.3f} ± {error:.3f}"


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
