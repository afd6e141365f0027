"""Runs `shoal evaluate`, and prints what it measured."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path

from daemon.cli.terminal import PROGRESS_SECONDS, heading, out, progress_bar, prose, result, table
from daemon.errors import SourceError
from daemon.lab.evaluate import Evaluated, EvaluationReport, Options, RelatedSummary, Row, evaluate
from daemon.lab.evaluate_heads import HeadRow, HeadsReport, evaluate_heads
from daemon.lab.evaluate_instances import InstancesReport, Partition, QualitySlice, evaluate_instances
from daemon.lab.evaluate_related import LATEST
from daemon.lab.evaluate_together import TogetherReport, evaluate_together
from daemon.lab.evaluate_viewers import BASELINES, MODELS, ViewersReport, evaluate_viewers
from daemon.source.dataset_files import DataSetError, read
from models.errors import TooLittleDataError
from models.evaluation import Summary
from models.trained import Recipe


def run(
    data: Path,
    question: str,
    *,
    instances: int | None,
    skew: float,
    seed: int,
    like_at: float | None,
    threads: int,
) -> None:
    """Evaluate the models on a data set, by what `question` asks for.

    Raises:
        SourceError: the set cannot be read, or is too small.

    """
    recipe = Recipe(threads=threads or os.cpu_count() or 1)
    options = Options(positive_from=like_at, seed=seed, recipe=recipe)
    try:
        tables = read(data)
        with progress_bar("evaluate", every=PROGRESS_SECONDS) as progress:
            match question:
                case "heads":
                    chosen = evaluate_heads(tables, options, progress)
                    result(chosen, lambda: _show_heads(chosen))
                case "together":
                    beside = evaluate_together(tables, options, progress)
                    result(beside, lambda: _show_together(beside))
                case "viewers":
                    sizes = evaluate_viewers(tables, options, progress)
                    result(sizes, lambda: _show_viewers(sizes))
                case "family":
                    # Loads scikit-learn, which is installed for this alone.
                    from daemon.cli import evaluate_family_view
                    from daemon.lab.evaluate_family import evaluate_family

                    members = evaluate_family(tables, options, progress)
                    result(members, lambda: evaluate_family_view.show(members))
                case "instances" if instances is not None:
                    partition = Partition(instances=instances, skew=skew)
                    split = evaluate_instances(tables, options, partition, progress)
                    result(split, lambda: _show_instances(split))
                case _:
                    report = evaluate(tables, options, progress)
                    result(report, lambda: _show(report))
    except DataSetError as error:
        raise SourceError(str(error), advice="See the format in the documentation of data sets.") from error
    except (ValueError, TooLittleDataError) as error:
        raise SourceError(
            f"this data set cannot be evaluated: {error}", advice="Give more users, or fewer instances."
        ) from error


def _show(report: EvaluationReport) -> None:
    """Print the tables of one instance."""
    _heading(report)
    _rows("A viewer's next videos", report.next_videos)
    _rows("The same with the default limit on videos per user in the fit", report.limited)
    _rows("New videos, ranked among themselves", report.new_videos)
    _rows("New viewers, by how many videos they are known", report.new_viewers)
    _rows("New instances, alone, with noise", report.new_instances)
    _related("Videos related to one", report.related)
    _related(f"The same, with the {LATEST} latest videos of each viewer", report.related_latest)
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


def _show_heads(report: HeadsReport) -> None:
    """Print heads that are chosen beforehand, beside those that this window's counts give."""
    _heading(report)
    prose(
        f"{report.draws} draws. Lambda is {report.ridge:g} times the mean diagonal. A video needs a count of "
        f"{report.minimum}; noise has a deviation of {report.deviation:.1f}. Rank correlation of public "
        f"counters with true counts: {report.correlation:.2f}."
    )
    for noise, title in ((True, "With noise"), (False, "Without noise")):
        heading(f"{title}: NDCG@10 of a viewer's next videos")
        columns = ("WINDOW", "ASKED", "KEPT", "NDCG@10", "BY COUNTS: KEPT", "NDCG@10 ", "DIFFERENCE", "GOAL")
        rows = [_head_row(row) for row in report.rows if row.noise == noise]
        table(["HEAD FROM", *columns], rows, right=columns)
    _notes(report)


def _show_together(report: TogetherReport) -> None:
    """Print random instances alone and together."""
    _heading(report)
    heading("NDCG@10 of a viewer's next videos, as served")
    names = list(report.mean)
    columns = ("VIEWERS", *(name.upper() for name in names), "DIFFERENCE")
    rows = [
        (
            str(row.users),
            *(f"{row.ndcg10[name]:.3f}" for name in names),
            f"{row.difference:+.3f} ± {row.error:.3f}",
        )
        for row in report.rows
    ]
    table(columns, [*rows, ("mean", *(f"{report.mean[name]:.3f}" for name in names), "")], right=columns)
    worse = sum(row.difference < -row.error for row in report.rows)
    prose(f"More than a standard error below the better parent: {worse} of {len(report.rows)}.")
    _notes(report)


def _show_viewers(report: ViewersReport) -> None:
    """Print what models achieve that learn from few viewers, and from many."""
    _heading(report)
    heading("NDCG@10 of a viewer's next videos, by the number of viewers that a model learns from")
    names = (*MODELS, *BASELINES)
    rows = [
        (f"{row.viewers:,}", str(row.draws), *(_cell(row.quality[name]) for name in names))
        for row in report.rows
    ]
    table(["VIEWERS", "DRAWS", *names], rows, right=("VIEWERS", "DRAWS", *names))
    for model, baselines in report.useful.items():
        for name, least in baselines.items():
            told = "with no number here" if least is None else f"from {least:,} viewers on"
            prose(f"{model[0].upper()}{model[1:]} is better than {name}: {told}.")
    _notes(report)


def _head_row(row: HeadRow) -> tuple[str, ...]:
    return (
        row.chosen_from,
        str(row.window),
        f"{row.asked:,.0f}",
        f"{row.kept:,.0f}",
        f"{row.ndcg10:.4f}",
        f"{row.reference_kept:,.0f}",
        f"{row.reference_ndcg10:.4f}",
        f"{row.difference:+.1%} ± {row.interval:.1%}",
        f"{row.goal:+.1%}",
    )


def _heading(report: Evaluated) -> None:
    size = f"{report.users:,} users, {report.videos:,} videos, {report.interactions:,} interactions"
    prose(f"{report.name}: {size}")
    rule = f" PeerTube's rule sorts by {report.newest}." if report.newest else ""
    prose(f"Liked: {report.positive}.{rule}")


def _rows(title: str, rows: Sequence[Row]) -> None:
    if not rows:
        return
    viewers = {row.summary.viewers for row in rows}
    heading(f"{title} ({viewers.pop():,} viewers)" if len(viewers) == 1 else title)
    table(
        ["MODEL", "NDCG@10", "RECALL@20", "COVERAGE", "SECONDS", "SETTINGS"],
        [
            (
                row.model,
                _with_error(row.summary.ndcg10, row.summary.ndcg10_se),
                _with_error(row.summary.recall20, row.summary.recall20_se),
                "" if math.isnan(row.summary.coverage) else f"{row.summary.coverage:.1%}",
                "" if math.isnan(row.seconds) else f"{row.seconds:.1f}",
                row.detail,
            )
            for row in rows
        ],
        right=("NDCG@10", "RECALL@20", "COVERAGE", "SECONDS"),
    )


def _related(title: str, rows: Sequence[RelatedSummary]) -> None:
    if not rows:
        return
    heading(f"{title}: NDCG@10 ({rows[0].viewers:,} viewers)")
    columns = ("NEXT", "ANYTHING", "LESS SEEN", "COVERAGE")
    table(
        ["MODEL", *columns],
        [
            (
                row.model,
                _with_error(row.following, row.following_se),
                _with_error(row.anything, row.anything_se),
                _with_error(row.less_seen, row.less_seen_se),
                f"{row.coverage:.1%}",
            )
            for row in rows
        ],
        right=columns,
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
