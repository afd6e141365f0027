"""`python -m tests.chaos [--rounds N] [--loss SHARE,...] [--seed N]`: kill members in rounds of five.

Six real daemons take turns in asking the other five for a sum. In each round every member is killed with the
given chance, as the request of a random stage arrives. Where the round did not complete, who died is started
again, and the round is tried at most twice more. Fails if a sum is not the plain one, or a member gave twice.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.chaos.killed_rounds import MEMBERS, Rounds, Row, running


def main(arguments: list[str] | None = None) -> int:
    """Return 0 when every sum was right and nobody gave twice, 1 otherwise."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--rounds", type=_positive, default=50, metavar="N", help="for each loss (50)")
    parser.add_argument(
        "--loss", type=_shares, default=(0.1, 0.3), metavar="SHARE,...", help="chances (0.1,0.3)"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="who dies, and where (0)")
    parser.add_argument(
        "--window", type=_positive, default=60, metavar="SECONDS", help="length of a data window (60)"
    )
    options = parser.parse_args(arguments)
    return report(asyncio.run(_run(options.rounds, options.loss, options.seed, options.window)))


def report(rows: Sequence[Row]) -> int:
    """Print the rows, and what never may happen; return 1 where it did, else 0."""
    _print(rows)
    for row in rows:
        for sentence in (*row.wrong_sums, *row.given_twice):
            print(f"at {row.loss:.0%}: {sentence}", file=sys.stderr)
    return 0 if all(row.holds for row in rows) else 1


async def _run(rounds: int, losses: Sequence[float], seed: int, window: int) -> list[Row]:
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        async with running(Path(folder), window_seconds=window) as daemons:
            tried = Rounds(daemons, rng, lambda sentence: print(sentence, file=sys.stderr, flush=True))
            return [await tried.run(rounds, loss) for loss in losses]


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


def _shares(text: str) -> tuple[float, ...]:
    shares = tuple(float(part) for part in text.split(","))
    if not all(0 <= share <= 1 for share in shares):
        raise ValueError(text)
    return shares


if __name__ == "__main__":
    sys.exit(main())
