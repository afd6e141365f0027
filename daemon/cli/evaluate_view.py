"""Runs `shoal evaluate`, and prints what it measured."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path

from daemon.cli.terminal import PROGRESS_SECONDS, heading, out, plain, progress_bar, prose, result, table
from daemon.errors import SourceError
from daemon.lab.evaluate import Evaluated, EvaluationReport, Options, Row, evaluate
from daemon.lab.evaluate_instances import InstancesReport, Partition, QualitySlice, evaluate_instances
from daemon.source.dataset_files import DataSetError, read
from models.evaluation import Summary
from models.trained import Recipe


def run(data: Path, *, instances: int | None, seed: int, like_at: float | None, threads: int) -> None:
    """Evaluate the models on a data set: on all of it, or split over so many instances.

    Raises:
        SourceError: the set cannot be read, or is too small.

    """
    # Evaluation releases nothing, so pairs of few users may count.
    recipe = Recipe(min_pair_users=1, threads=threads or os.cpu_count() or 1)
    options = Options(positive_from=like_at, seed=seed, recipe=recipe)
    try:
        tables = read(data)
        with progress_bar("evaluate", every=PROGRESS_SECONDS) as progress:
            if instances is None:
                report = evaluate(tables, options, progress)
                result(plain(report), lambda: _show(report))
            else:
                split = evaluate_instances(tables, options, Partition(instances=instances), progress)
                result(plain(split), lambda: _show_instances(split))
    except DataSetError as error:
        raise SourceError(str(error), advice="See the format in the documentation of data sets.") from error
    except ValueError as error:
        raise SourceError(
            f"this data set cannot be evaluated: {error}", advice="Give more users, or fewer instances."
        ) from error


def _show(report: EvaluationReport) -> None:
    """Print the tables of one instance."""
    _heading(report)
    _rows("A viewer's next videos", report.next_videos)
    _rows("The same with the default limit on videos per user in the fit", report.limited)
    _rows("Among videos that nobody engaged with before", report.cold)
    _rows("Videos related to one seed, for viewers outside the fit", report.related)
    _rows("The same, with only the less-seen videos to find", report.related_less_seen)
    _notes(report)


def _show_instances(report: InstancesReport) -> None:
    """Print the tables of many instances."""
    _heading(report)
    largest = ", ".join(str(size) for size in report.sizes[:8])
    more = ", ..." if len(report.sizes) > 8 else ""
    prose(f"{len(report.sizes)} instances with {largest}{more} viewers.")
    prose(f"The head has {report.head:,} videos; lambda is {report.ridge:g} times the mean diagonal.")
    same = "equal, integer for integer" if report.sums_equal else "NOT EQUAL"
    prose(f"Sum over the instances and pooled statistic: {same}.")
    prose(f"Largest relative difference of the scores: {report.max_relative_difference:.1e}.")
    _groups("NDCG@10 by size of the instance (viewers)", [*report.classes, report.everybody])
    _notes(report)


def _heading(report: Evaluated) -> None:
    size = f"{report.users:,} users, {report.videos:,} videos, {report.interactions:,} interactions"
    prose(f"{report.name}: {size}")
    prose(f"Liked: {report.positive}. PeerTube's rule sorts by {report.newest}.")


def _rows(title: str, rows: Sequence[Row]) -> None:
    if not rows:
        return
    heading(f"{title} ({rows[0].summary.viewers:,} viewers)")
    table(
        ["MODEL", "NDCG@10", "RECALL@20", "COVERAGE", "SECONDS", "SETTINGS"],
        [
            (
                row.model,
                _with_error(row.summary.ndcg10, row.summary.ndcg10_se),
                _with_error(row.summary.recall20, row.summary.recall20_se),
                "" if math.isnan(row.summary.coverage) else f"{row.summary.coverage:.1%}",
                f"{row.seconds:.1f}",
                row.detail,
            )
            for row in rows
        ],
        right=("NDCG@10", "RECALL@20", "COVERAGE", "SECONDS"),
    )


def _groups(title: str, groups: Sequence[QualitySlice]) -> None:
    heading(title)
    names = list(groups[-1].quality)
    rows = [
        (group.name, group.instances, group.users, *(_cell(group.quality[n]) for n in names))
        for group in groups
    ]
    table(["SIZE", "INSTANCES", "VIEWERS", *names], rows, right=("INSTANCES", "VIEWERS", *names))


def _notes(report: Evaluated) -> None:
    out.print()
    for note in report.notes:
        prose(f"- {note}", hanging=2)


def _cell(summary: Summary) -> str:
    return _with_error(summary.ndcg10, summary.ndcg10_se)


def _with_error(value: float, error: float) -> str:
    return "" if math.isnan(value) else f"{value:.3f} ± {error:.3f}"
