"""Prints what `shoal evaluate --family` measured."""

from __future__ import annotations

import math

from daemon.cli.terminal import heading, out, prose, table
from daemon.lab.evaluate_family import BALSE, PARTS, FamilyReport, FamilyRow


def show(report: FamilyReport) -> None:
    """Print one table per part, then BALSE beside its parts."""
    prose(
        f"{report.name}: {report.users:,} users, {report.videos:,} videos, {report.interactions:,} ratings. "
        f"Liked: {report.positive}."
    )
    for part in PARTS:
        quality = report.rows[0].quality[part]
        heading(f"Held-out ratings, {part} ({quality.ratings:,} ratings, {quality.viewers:,} rankings)")
        columns = ("RMSE", "NDCG@10")
        table(["MODEL", *columns], [_cells(row, part) for row in report.rows], right=columns)
    heading("Time and settings")
    rows = [(row.model, f"{row.seconds:.1f}", row.settings) for row in report.rows]
    table(["MODEL", "SECONDS", "SETTINGS"], rows, right=("SECONDS",))
    if report.balse:
        heading(f"RMSE of {BALSE} less that of its parts")
        table(
            ["PART", "RATINGS", "DIFFERENCE"],
            [(one.model, one.part, f"{one.difference:+.4f} ± {one.error:.4f}") for one in report.balse],
            right=("DIFFERENCE",),
        )
    out.print()
    for note in report.notes:
        prose(f"- {note}", hanging=2)


def _cells(row: FamilyRow, part: str) -> tuple[str, ...]:
    one = row.quality[part]
    return (row.model, _with_error(one.rmse, one.rmse_se, 4), _with_error(one.ndcg10, one.ndcg10_se, 3))


def _with_error(value: float, error: float, digits: int) -> str:
    return "" if math.isnan(value) else f"{value:.{digits}f} ± {error:.{digits}f}"
