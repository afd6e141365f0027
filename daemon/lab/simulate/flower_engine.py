"""Runs Flower's simulation engine in a child process, and takes away whatever it leaves behind.

The child is this module: settings on its standard input, events on its standard output.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from daemon.errors import JobError
from daemon.process.child import run_child
from daemon.process.events import EventWriter, claim_stdout
from daemon.process.limits import end_with
from federation.errors import FederationError
from federation.flower.app.laboratory import Laboratory
from federation.flower.app.simulation import LEAST_STORE, Machine, Measured, run
from federation.flower.installed import lacking

_MODULE = "daemon.lab.simulate.flower_engine"
_ENTRY_BYTES = 16
"""A node's state passes through ray with its vector and its masked vector in it, there and back."""
_LOG_END = 400


def require_engine() -> None:
    """Return if Flower's simulation engine is installed. Raises JobError."""
    if problem := lacking(simulation=True):
        raise JobError(problem, advice="To simulate, install it: pip install 'shoal[simulation]'")


def engine(
    laboratory: Laboratory,
    lengths: Sequence[int],
    *,
    parent: Path | None = None,
    cores: int = 2,
    on_sum: Callable[[Measured], None] = lambda _: None,
) -> list[Measured]:
    """Run one secure sum of each length over the laboratory's members, through Flower.

    Args:
        laboratory: the members.
        lengths: entries of the vectors, one sum each.
        parent: where the engine's temporary folder is made; sockets need a short path.
        cores: processes that answer for members.
        on_sum: called after each sum.

    Raises:
        JobError: the engine is not installed, or failed.

    """
    require_engine()
    found: list[Measured] = []
    last: dict[str, Any] = {}

    def on_event(event: Mapping[str, Any]) -> None:
        if event.get("event") == "sum":
            found.append(Measured(**event["sum"]))
            on_sum(found[-1])
        else:
            last.update(event)

    with tempfile.TemporaryDirectory(prefix="s", dir=parent, ignore_cleanup_errors=True) as name:
        log = Path(name) / "engine.log"
        settings = {
            "laboratory": asdict(laboratory),
            "lengths": list(lengths),
            "folder": name,
            "cores": cores,
            "store": max(LEAST_STORE, 4 * cores * _ENTRY_BYTES * max(lengths)),
        }
        with log.open("wb") as errors:
            asyncio.run(
                run_child(
                    _MODULE,
                    on_event=on_event,
                    stdin=json.dumps(settings).encode(),
                    # Members compute side by side already.
                    variables={"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
                    stderr=errors,
                )
            )
        if len(found) != len(lengths):
            raise _failure(last, log)
    return found


def _failure(last: Mapping[str, Any], log: Path) -> JobError:
    message = str(last.get("message", ""))
    if not message:
        with contextlib.suppress(OSError):
            message = " ".join(log.read_text("utf-8", errors="replace")[-_LOG_END:].split())
    return JobError(
        f"Flower's simulation engine ended without a result: {message}",
        advice="It needs about 1 GB of memory; try fewer instances.",
    )


def main(argv: list[str]) -> int:
    """Run the sums that the settings ask for."""
    parser = argparse.ArgumentParser(prog=f"python -m {_MODULE}", description=__doc__)
    parser.add_argument("--parent", type=int, required=True, help="end when this process ends")
    end_with(parser.parse_args(argv).parent)
    settings: dict[str, Any] = json.load(sys.stdin)
    # Ray and Flower print as they like.
    events = EventWriter(claim_stdout())
    machine = Machine(Path(settings["folder"]), settings["cores"], settings["store"])
    try:
        run(
            Laboratory(**settings["laboratory"]),
            settings["lengths"],
            machine,
            lambda found: events.send("sum", sum=asdict(found)),
        )
    except (FederationError, RuntimeError, OSError) as error:
        events.send("failed", message=str(error)[:300])
        return 5
    return 0


if __name__ == "__main__":
    status = main(sys.argv[1:])
    # Threads of an engine that failed would wait for it on and on.
    os._exit(status)
