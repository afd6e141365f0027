"""`python -m tests.adversaries.privacy`: attack our own sums and print what it gains."""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import multiprocessing
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from daemon.source.dataset_files import DataSetError
from policies.privacy import Level
from tests.adversaries.privacy.cohorts import load
from tests.adversaries.privacy.jobs import attack, judge
from tests.adversaries.privacy.release import REALISED
from tests.adversaries.privacy.runner import ATTACKS, Outcome
from tests.adversaries.privacy.settings import LEVELS, SIZES
from tests.adversaries.privacy.table import Head, show

MOST_PROCESSES = 4


def main(arguments: list[str] | None = None) -> int:
    """Run what was asked for; 0 unless the data set cannot be read."""
    options = _parser().parse_args(arguments)
    sizes = options.users or ((100,) if options.quick else SIZES)
    levels = options.levels or tuple(Level)
    numbers = [options.attack] if options.attack else sorted(ATTACKS)
    try:
        population = load(options.data)
    except (DataSetError, ValueError) as error:
        print(f"{error}. Give the folder of a data set: --data DIR.", file=sys.stderr)
        return 1
    jobs: list[tuple[str, int, Level, int]] = [
        (f"attack {number}, {size} users, {level.value}", number, level, size)
        for size in sorted(sizes, reverse=True)
        for number in numbers
        for level in levels
    ]
    quality, outcomes = _everything(jobs, levels, options)
    order = {(number, size, level): place for place, (_, number, level, size) in enumerate(jobs)}
    outcomes.sort(key=lambda one: order[one.attack, one.users, one.level])
    mixed = tuple(size for size in sizes if size > population.likes.users)
    show(outcomes, Head(population.name, population.likes.users, mixed, tuple(sorted(sizes)), quality))
    if options.json:
        found = {
            "data": population.name,
            "seed": options.seed,
            "levels": {level.value: dataclasses.asdict(LEVELS[level]) for level in levels},
            "realised": REALISED,
            "ndcg10": {level.value: value for level, value in quality.items()},
            "outcomes": [dataclasses.asdict(outcome) for outcome in outcomes],
        }
        options.json.write_text(json.dumps(_finite(found), indent=1, allow_nan=False) + "\n")
    return 0


def _everything(
    jobs: Sequence[tuple[str, int, Level, int]], levels: Sequence[Level], options: argparse.Namespace
) -> tuple[dict[Level, float], list[Outcome]]:
    """Run all jobs in processes of one thread each; returns NDCG@10 by level, and what the attacks found."""
    # Spawned, because torch's threads do not survive a fork.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    columns = (TextColumn("{task.description:<36}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    workers = min(os.cpu_count() or 1, MOST_PROCESSES)
    with (
        ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool,
        Progress(*columns, console=Console(stderr=True), transient=True) as progress,
    ):
        task = progress.add_task("loading the data", total=len(jobs) + len(levels))
        common = (options.data, options.seed, options.quick)
        judged = {level: pool.submit(judge, level, *common) for level in levels}
        running = [pool.submit(attack, number, level, size, *common) for _, number, level, size in jobs]
        outcomes: list[Outcome] = []
        for (name, *_), future in zip(jobs, running, strict=True):
            progress.update(task, description=name)
            outcomes.extend(future.result())
            progress.update(task, advance=1)
        quality = {}
        for level, value in judged.items():
            quality[level] = value.result()
            progress.update(task, advance=1)
    return quality, outcomes


def _finite(found: Any) -> Any:
    """Replace what is no number by null: JSON has no other word for it."""
    if isinstance(found, dict):
        return {key: _finite(value) for key, value in found.items()}
    if isinstance(found, list | tuple):
        return [_finite(value) for value in found]
    return None if isinstance(found, float) and math.isnan(found) else found


def _sizes(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(","))


def _levels(text: str) -> tuple[Level, ...]:
    return tuple(Level(part) for part in text.split(","))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.adversaries.privacy", description=__doc__)
    parser.add_argument("--data", type=Path, metavar="DIR", help="a data set; the shipped one unless given")
    parser.add_argument("--attack", type=int, choices=sorted(ATTACKS), help="one attack only")
    parser.add_argument("--users", type=_sizes, metavar="100,600,4000", help="sizes of the cohort")
    parser.add_argument("--levels", type=_levels, metavar="none,default", help="levels of privacy")
    parser.add_argument("--seed", type=int, default=1, help="of every draw")
    parser.add_argument("--quick", action="store_true", help="few targets, one small cohort: does it run?")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything to a file, too")
    return parser


if __name__ == "__main__":
    sys.exit(main())
