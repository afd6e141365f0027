"""The process that holds Flower's simulation engine: settings on its input, JSON lines on its output."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from daemon.process.events import EventWriter, claim_stdout
from daemon.process.limits import end_with
from federation.errors import FederationError
from federation.flower.app.laboratory import Laboratory
from federation.flower.app.simulation import EngineMissing, Machine, Measured, run


def main() -> int:
    """Run the sums that the settings ask for; exit status 3 where the engine is missing."""
    settings: dict[str, Any] = json.load(sys.stdin)
    end_with(int(settings["parent"]))
    # Ray and Flower print as they like.
    events = EventWriter(claim_stdout())

    def on_sum(found: Measured) -> None:
        events.send("sum", **asdict(found))

    machine = Machine(Path(settings["folder"]), settings["cores"], settings["store"])
    try:
        run(Laboratory(settings["members"], settings["seed"]), settings["lengths"], machine, on_sum)
    except EngineMissing as error:
        events.send("missing", message=str(error))
        return 3
    except (FederationError, RuntimeError, OSError) as error:
        events.send("failed", message=str(error)[:300])
        return 5
    return 0


if __name__ == "__main__":
    status = main()
    # Threads of an engine that failed would wait for it on and on.
    os._exit(status)
