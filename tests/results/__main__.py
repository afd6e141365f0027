"""`python -m tests.results [--data DIR] [--kept DIR]`: measure, write docs/results.md and its pictures."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from daemon.lab.made_up import SHIPPED
from tests import ROOT
from tests.results import page, plots
from tests.results.commands import Answer, answer, folders, questions


def main() -> None:
    """Ask one command after the other; an answer that was kept is not asked for again."""
    parser = argparse.ArgumentParser(prog="make results", description=__doc__)
    parser.add_argument("--data", type=Path, metavar="DIR", help="folder of further data sets")
    parser.add_argument(
        "--kept", type=Path, metavar="DIR", help="keep answers in this folder, and use those there"
    )
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        kept = wanted.kept or Path(folder)
        kept.mkdir(parents=True, exist_ok=True)
        there = folders(wanted.data, SHIPPED)
        answers = []
        for question in questions(list(there)):
            print(question.command, file=sys.stderr, flush=True)
            answers.append(answer(question, there[question.data], kept))
    write(answers)


def write(answers: list[Answer]) -> None:
    """Write the page and its pictures."""
    images = ROOT / "docs" / "images"
    for old in images.glob("results-*.svg"):
        old.unlink()
    ranking = {one.question.data: one.report for one in answers if one.question.kind == "ranking"}
    (images / "results-ranking.svg").write_text(plots.ranking(ranking), encoding="utf-8")
    for one in answers:
        if one.question.kind == "viewers":
            name = f"results-viewers-{one.question.data}.svg"
            (images / name).write_text(plots.viewers(one.report), encoding="utf-8")
    told = page.written(
        answers,
        date=f"{datetime.now(UTC):%-d %B %Y}",
        cores=len(os.sched_getaffinity(0)),
        minutes=sum(one.processor for one in answers) / 60,
    )
    (ROOT / "docs" / "results.md").write_text(told, encoding="utf-8")


if __name__ == "__main__":
    main()
