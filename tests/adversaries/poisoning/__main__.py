"""`python -m tests.adversaries.poisoning`: what attacks gain, with and without acceptance."""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from daemon.lab.made_up import SHIPPED
from policies.privacy import Level
from tests.adversaries.poisoning.trial import OBSERVERS, Judged, plain, run

LEVELS = (Level.NONE, Level.DEFAULT, Level.STRICT)


def main(arguments: list[str] | None = None) -> int:
    """Return 0 when every honest newcomer was accepted, 1 otherwise."""
    options = _parser().parse_args(arguments)
    jobs = [
        (seed, observer, options.levels, seed < options.attack_seeds)
        for seed in range(options.seeds)
        for observer in range(OBSERVERS)
    ]
    found = _everything(jobs, options.data)
    _print(found)
    if options.json:
        options.json.write_text(json.dumps([plain(one) for one in found], indent=1) + "\n")
    return int(any(one.case == "honest" and one.generous for one in found))


def _everything(jobs: Sequence[tuple[int, int, tuple[Level, ...], bool]], data: Path) -> list[Judged]:
    # Spawned, because torch's threads do not survive a fork.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    found: list[Judged] = []
    workers = os.cpu_count() or 1
    with (
        ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool,
        Progress(console=Console(stderr=True), transient=True) as progress,
    ):
        task = progress.add_task("training and judging", total=len(jobs))
        running = [pool.submit(run, *job[:3], attacks=job[3], data=data) for job in jobs]
        for future in running:
            found += future.result()
            progress.update(task, advance=1)
    return found


def _print(found: Sequence[Judged]) -> None:
    console = Console(width=None if sys.stdout.isatty() else 160)
    honest = Table("level", "observer", "accepted", "first one accepted", "closest to refusal", "refused by")
    for level in dict.fromkeys(one.level for one in found):
        for observer in range(OBSERVERS):
            rows = [
                one
                for one in found
                if one.level == level and one.observer == observer and one.case == "honest"
            ]
            closest = max(
                ((share, name) for one in rows for name, share in _exposures(one).items()),
                default=(0.0, "nothing to compare with"),
            )
            honest.add_row(
                level,
                str(observer),
                f"{sum(not (one.generous or one.refused) for one in rows)} of {len(rows)}",
                f"{sum(not one.first for one in rows)} of {len(rows)}",
                f"{closest[1]} {closest[0]:.2f}",
                ", ".join(sorted({name for one in rows for name in (*one.generous, *one.refused)})),
            )
    console.print("An honest instance joins", honest)
    limits = Table("level", "observer", "against own model", "against a month ago", "could not be checked")
    for level in dict.fromkeys(one.level for one in found):
        for observer in range(OBSERVERS):
            rows = [one for one in found if one.level == level and one.observer == observer]
            unchecked = Counter(name for one in rows for name in one.unchecked)
            limits.add_row(
                level,
                str(observer),
                *(_limit(rows, against) for against in ("local", "month")),
                ", ".join(f"{name} {times} of {len(rows)}" for name, times in sorted(unchecked.items())),
            )
    console.print(
        "Part of the lists that the video nearest to its limit may gain, the least and the most", limits
    )
    attacks = Table(
        "level",
        "attack",
        "viewers",
        "before",
        "unguarded",
        "guarded",
        "worst",
        "true caps",
        "caps 10,000",
        "first",
    )
    cases = dict.fromkeys((one.level, one.case, one.newcomer) for one in found if one.case != "honest")
    for level, case, newcomer in cases:
        rows = [one for one in found if (one.level, one.case, one.newcomer) == (level, case, newcomer)]
        totals = sum(any(name.endswith("-total") for name in one.refused) for one in rows)
        attacks.add_row(
            level,
            case,
            str(newcomer),
            *(f"{sum(values) / len(rows):.3f}" for values in _exposure(rows)),
            f"{max(one.guarded - one.before for one in rows):+.3f}",
            f"{sum(bool(one.refused) for one in rows)} of {len(rows)} ({totals} by totals)",
            f"{sum(bool(one.generous) for one in rows)} of {len(rows)}",
            f"{sum(bool(one.first) for one in rows)} of {len(rows)}",
        )
    console.print(
        "An attacker joins: share of honest viewers with a target among their ten; refused with true caps, "
        "with caps of 10,000, and without an earlier model",
        attacks,
    )


def _limit(rows: Sequence[Judged], against: str) -> str:
    rule = f"exposure-videos-{against}"
    found = [one.limits[rule] for one in rows if rule in one.limits]
    return f"{min(found):.2f} to {max(found):.2f}" if found else "none"


def _exposures(one: Judged) -> dict[str, float]:
    return {name: share for name, share in one.margins.items() if name.startswith("exposure")}


def _exposure(rows: Sequence[Judged]) -> tuple[list[float], list[float], list[float]]:
    return [one.before for one in rows], [one.after for one in rows], [one.guarded for one in rows]


def _levels(text: str) -> tuple[Level, ...]:
    return tuple(Level(part) for part in text.split(","))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.adversaries.poisoning", description=__doc__)
    parser.add_argument("--data", type=Path, default=SHIPPED, metavar="DIR", help="a data set")
    parser.add_argument("--seeds", type=int, default=20, help="honest newcomers per observer and level")
    parser.add_argument("--attack-seeds", type=int, default=6, help="attackers likewise")
    parser.add_argument("--levels", type=_levels, default=LEVELS, metavar="none,default", help="of privacy")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every trial to a file, too")
    return parser


if __name__ == "__main__":
    sys.exit(main())
