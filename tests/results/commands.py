"""What is measured: one command for each data set and question, run as anybody would run it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

SHIPPED: Final = "ml-latest-small"
SETS: Final = (SHIPPED, "anime-5k", "ml-100k", "steam-200k", "citeulike-t")
"""In the order of the page. Only the first comes with the project; the terms of some others forbid that."""


@dataclass(frozen=True)
class Question:
    """One command on one data set; `kind` names the part of the page that its answer is for."""

    kind: str
    data: str
    options: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What its stored answer is called."""
        return "-".join((self.data, self.kind, *(option.strip("-") for option in self.options)))

    @property
    def command(self) -> str:
        """What a reader types, beside the folder with the data sets."""
        return " ".join(("shoal evaluate --data", self.data, *self.options))


@dataclass(frozen=True)
class Answer:
    """What a command said, and what it took: wall and processor seconds, and MiB at most."""

    question: Question
    report: dict[str, Any]
    seconds: float
    processor: float
    memory: float


def questions(there: Sequence[str]) -> Iterator[Question]:
    """Yield what is asked of the sets that are there."""
    for data in there:
        yield Question("ranking", data)
    for data in there[:2]:
        yield Question("viewers", data, ("--viewers",))
    yield Question("family", SHIPPED, ("--family",))
    for skew in ("0", "2"):
        yield Question("instances", SHIPPED, ("--instances", "30", "--skew", skew))


def folders(extra: Path | None, shipped: Path) -> dict[str, Path]:
    """Return the folder of each data set that is there, in the order of the page."""
    found = {name: shipped if name == SHIPPED else (extra or Path()) / name for name in SETS}
    return {name: path for name, path in found.items() if name == SHIPPED or (extra and path.is_dir())}


def answer(question: Question, folder: Path, kept: Path) -> Answer:
    """Run a command, or read what it said before, where its answer was kept.

    Raises:
        RuntimeError: the command failed; with what it said.
    """
    path = kept / f"{question.name}.json"
    if path.exists():
        told = json.loads(path.read_text(encoding="utf-8"))
        return Answer(question, told["report"], told["seconds"], told["processor"], told["memory"])
    shoal = Path(sys.executable).with_name("shoal")
    command = [str(shoal), "evaluate", "--data", str(folder), *question.options, "-o", "json"]
    began = time.monotonic()
    with (kept / f"{question.name}.log").open("w+b") as log:
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log) as running:
            assert running.stdout is not None
            said = running.stdout.read()
            _, status, usage = os.wait4(running.pid, 0)
            running.returncode = os.waitstatus_to_exitcode(status)
        if running.returncode:
            log.seek(0)
            raise RuntimeError(f"{question.command}: {log.read().decode(errors='replace')[-2000:]}")
    found = Answer(
        question,
        json.loads(said),
        time.monotonic() - began,
        usage.ru_utime + usage.ru_stime,
        usage.ru_maxrss / 1024,
    )
    path.write_text(json.dumps(asdict(found)), encoding="utf-8")
    return found
