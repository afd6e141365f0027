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
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from daemon.source.dataset_files import DataSetError
from tests.adversaries.privacy.cohorts import load
from tests.adversaries.privacy.jobs import attack, draws, judge
from tests.adversaries.privacy.quality import Quality
from tests.adversaries.privacy.release import REALISED
from tests.adversaries.privacy.runner import ATTACKS, Outcome
from tests.adversaries.privacy.settings import (
    FOR_FRONT,
    FRONT,
    FRONT_ATTACKS,
    FRONT_SIZES,
    FULL,
    LEVELS,
    QUICK,
    SIZES,
    Effort,
    Setting,
)
from tests.adversaries.privacy.table import Head, show

MOST_PROCESSES = 4
Job = tuple[str, int, Setting, int]
"""Name, attack, setting, size of the cohort."""


def main(arguments: list[str] | None = None) -> int:
    """Run what was asked for; 0 unless the data set cannot be read."""
    options = _parser().parse_args(arguments)
    sizes = options.users or ((100,) if options.quick else FRONT_SIZES if options.front else SIZES)
    settings = FRONT if options.front else LEVELS
    if options.levels:
        settings = tuple(setting for setting in settings if setting.name in options.levels)
    effort = QUICK if options.quick else FOR_FRONT if options.front else FULL
    numbers = options.attack or (FRONT_ATTACKS if options.front else tuple(ATTACKS))
    try:
        population = load(options.data)
    except (DataSetError, ValueError) as error:
        print(f"{error}. Give the folder of a data set: --data DIR.", file=sys.stderr)
        return 1
    jobs: list[Job] = [
        (f"attack {number}, {size} users, {setting.name}", number, setting, size)
        for size in sorted(sizes, reverse=True)
        for number in numbers
        for setting in settings
    ]
    quality, outcomes = _everything(jobs, settings, effort, options)
    order = {(number, size, setting.name): place for place, (_, number, setting, size) in enumerate(jobs)}
    outcomes.sort(key=lambda one: order[one.attack, one.users, one.level])
    mixed = tuple(size for size in sizes if size > population.likes.users)
    users = population.likes.users
    show(
        outcomes,
        Head(
            population.name,
            users,
            mixed,
            tuple(sorted(sizes)),
            settings,
            quality,
            draws=draws(users, effort),
        ),
    )
    if options.json:
        found = {
            "data": population.name,
            "seed": options.seed,
            "levels": {one.name: dataclasses.asdict(one.protection) for one in settings},
            "realised": REALISED,
            "ndcg10": {name: dataclasses.asdict(found) for name, found in quality.items()},
            "outcomes": [dataclasses.asdict(outcome) for outcome in outcomes],
        }
        options.json.write_text(json.dumps(_finite(found), indent=1, allow_nan=False) + "\n")
    return 0


def _everything(
    jobs: Sequence[Job], settings: Sequence[Setting], effort: Effort, options: argparse.Namespace
) -> tuple[dict[str, Quality], list[Outcome]]:
    """Run all jobs, in processes of one thread each; return quality by setting, and the attacks' outcomes."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    columns = (TextColumn("{task.description:<36}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with (
        _workers(options.quick) as pool,
        Progress(*columns, console=Console(stderr=True), transient=True) as progress,
    ):
        task = progress.add_task("loading the data", total=len(jobs) + len(settings))
        common = (options.data, options.seed, effort)
        judged = {setting.name: pool.submit(judge, setting, *common) for setting in settings}
        running = [pool.submit(attack, number, setting, size, *common) for _, number, setting, size in jobs]
        outcomes: list[Outcome] = []
        for (name, *_), future in zip(jobs, running, strict=True):
            progress.update(task, description=name)
            outcomes.extend(future.result())
            progress.update(task, advance=1)
        quality = {}
        for name, value in judged.items():
            quality[name] = value.result()
            progress.update(task, advance=1)
    return quality, outcomes


def _workers(quick: bool) -> Executor:
    """Return what runs the jobs; a thread for few small ones, since processes take seconds to start."""
    if quick:
        return ThreadPoolExecutor(1)
    # Spawned, because torch's threads do not survive a fork.
    workers = min(os.cpu_count() or 1, MOST_PROCESSES)
    return ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"))


def _finite(found: Any) -> Any:
    """Replace what is no number by null: JSON has no other word for it."""
    if isinstance(found, dict):
        return {key: _finite(value) for key, value in found.items()}
    if isinstance(found, list | tuple):
        return [_finite(value) for value in found]
    return None if isinstance(found, float) and math.isnan(found) else found


def _sizes(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(","))


def _names(text: str) -> tuple[str, ...]:
    known = [setting.name for setting in (*LEVELS, *FRONT)]
    names = tuple(text.split(","))
    if not set(names) <= set(known):
        raise argparse.ArgumentTypeError(f"known are {', '.join(dict.fromkeys(known))}")
    return names


def _attacks(text: str) -> tuple[int, ...]:
    numbers = tuple(int(part) for part in text.split(","))
    if not set(numbers) <= set(ATTACKS):
        raise argparse.ArgumentTypeError(f"known are {min(ATTACKS)} to {max(ATTACKS)}")
    return numbers


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.adversaries.privacy", description=__doc__)
    parser.add_argument("--data", type=Path, metavar="DIR", help="a data set; the shipped one unless given")
    parser.add_argument("--attack", type=_attacks, metavar="7,8", help="some attacks only")
    parser.add_argument("--users", type=_sizes, metavar="100,600,4000", help="sizes of the cohort")
    parser.add_argument("--levels", type=_names, metavar="none,default", help="some columns only")
    parser.add_argument("--front", action="store_true", help="other noise than the levels': to choose from")
    parser.add_argument("--seed", type=int, default=1, help="of every draw")
    parser.add_argument("--quick", action="store_true", help="few targets, one small cohort: does it run?")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything to a file, too")
    return parser


if __name__ == "__main__":
    sys.exit(main())
