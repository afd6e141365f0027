"""`python -m tests.chaos [--kills N] [--faults N] [--rounds N] [--loss SHARE,...] [--seed N]`: three parts.

First one instance goes through every fault `--faults` times: its disk fills, files are damaged, its clock
jumps, PeerTube is down, slow or talks nonsense. Then six real daemons are killed `--kills` times, at random
times, while they take turns in asking the others for a sum, and all are asked for lists and given orders.
Last, in `--rounds` rounds for each chance in `--loss`, members are killed as the request of a random stage
arrives. Fails if a sum is not the plain one, a member gave twice, an answer was wrong, or an entry was lost.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.chaos import faults, random_kills
from tests.chaos.killed_rounds import MEMBERS, Rounds, Row, running
from tests.chaos.random_kills import Kills
from tests.daemon.small_disk import in_name_space, may_mount


def main(arguments: list[str] | None = None) -> int:
    """Return 0 when nothing happened that never may, 1 otherwise."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--kills", type=_count, default=200, metavar="N", help="at random times (200)")
    parser.add_argument("--faults", type=_count, default=5, metavar="N", help="times of each fault (5)")
    parser.add_argument("--rounds", type=_count, default=50, metavar="N", help="for each loss (50)")
    parser.add_argument(
        "--loss", type=_shares, default=(0.1, 0.3), metavar="SHARE,...", help="chances (0.1,0.3)"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="who dies, and where (0)")
    parser.add_argument(
        "--window", type=_positive, default=60, metavar="SECONDS", help="length of a data window (60)"
    )
    options = parser.parse_args(arguments)
    given = sys.argv[1:] if arguments is None else arguments
    within = in_name_space([sys.executable, "-m", "tests.chaos", *given])
    if options.faults and within[0] != sys.executable:
        # There a disk can be filled.
        os.execvp(within[0], within)
    rng = random.Random(options.seed)
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        if options.faults:
            if not may_mount():
                _say("no disk is filled: this system lets nobody mount one")
            failed += report_faults(faults.run(Path(folder) / "faults", options.faults, rng, _say))
        kills, rows = asyncio.run(_run(Path(folder), options, rng))
    failed += 0 if kills is None else report_kills(kills)
    failed += report(rows) if rows else 0
    return 1 if failed else 0


def report(rows: Sequence[Row]) -> int:
    """Print the rows, and what never may happen; return 1 where it did, else 0."""
    _print(rows)
    for row in rows:
        for sentence in (*row.wrong_sums, *row.given_twice):
            _say(f"at {row.loss:.0%}: {sentence}")
    return 0 if all(row.holds for row in rows) else 1


def report_kills(kills: Kills) -> int:
    """Print what came of kills at random times; return 1 where something never may happen, else 0."""
    table = Table("", "", title="Daemons killed at random times, under load", show_header=False)
    for name, value in (
        ("kills", f"{kills.killed}"),
        ("requests answered", f"{kills.answered:,}"),
        ("requests that found nobody", f"{kills.away:,}"),
        ("orders of admins done", f"{kills.orders}"),
        ("rounds completed", f"{kills.completed} of {kills.rounds}"),
        ("wrong answers", f"{len(kills.wrong)}"),
        ("lost entries", f"{len(kills.lost)}"),
        ("seconds", f"{kills.seconds:.0f}"),
    ):
        table.add_row(name, value)
    Console().print(table)
    return _say_wrong([*kills.wrong, *kills.lost])


def report_faults(rows: Sequence[faults.Row]) -> int:
    """Print what came of every other fault; return 1 where something never may happen, else 0."""
    headings = "fault", "times", "requests answered", "found nobody", "jobs said", "wrong", "lost"
    table = Table(*headings, title="Other faults")
    for row in rows:
        said = ", ".join(sorted(row.said)) or "all ended well"
        figures = f"{row.answered:,}", f"{row.away:,}", said, f"{len(row.wrong)}", f"{len(row.lost)}"
        table.add_row(row.fault, str(row.times) if row.times else "not tried", *figures)
    Console().print(table)
    return _say_wrong([sentence for row in rows for sentence in (*row.wrong, *row.lost)])


async def _run(
    folder: Path, options: argparse.Namespace, rng: random.Random
) -> tuple[Kills | None, list[Row]]:
    if not options.kills and not options.rounds:
        return None, []
    (folder / "rounds").mkdir()
    async with running(folder / "rounds", window_seconds=options.window) as daemons:
        kills = await random_kills.run(daemons, options.kills, rng, _say) if options.kills else None
        tried = Rounds(daemons, rng, _say)
        return kills, [await tried.run(options.rounds, loss) for loss in options.loss if options.rounds]


def _say_wrong(sentences: Sequence[str]) -> int:
    """Say each once, with how often; return 1 where there is one, else 0."""
    for sentence, times in Counter(sentences).items():
        _say(sentence if times == 1 else f"{sentence} ({times} times)")
    return 1 if sentences else 0


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


def _print(rows: Sequence[Row]) -> None:
    headings = "chance", "rounds", "killed", "at once", "with retries", "wrong sums", "given twice", "seconds"
    table = Table(*headings, title=f"Rounds of {MEMBERS} members, each killed with a chance")
    for row in rows:
        first, all_tries = row.tries[0], sum(row.tries)
        table.add_row(
            f"{row.loss:.0%}",
            str(row.rounds),
            str(row.killed),
            f"{first} ({first / row.rounds:.0%})",
            f"{all_tries} ({all_tries / row.rounds:.0%})",
            str(len(row.wrong_sums)),
            str(len(row.given_twice)),
            f"{row.seconds:.0f}",
        )
    Console().print(table)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


def _count(text: str) -> int:
    number = int(text)
    if number < 0:
        raise ValueError(text)
    return number


def _shares(text: str) -> tuple[float, ...]:
    shares = tuple(float(part) for part in text.split(","))
    if not all(0 <= share <= 1 for share in shares):
        raise ValueError(text)
    return shares


if __name__ == "__main__":
    sys.exit(main())
