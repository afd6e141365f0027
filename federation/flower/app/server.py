"""The stock ServerApp: one secure sum over all instances that the aggregator's folder knows.

Run configuration: `instance`, the aggregator's folder; `out`, a folder for `total.npy` and `result.json`;
`length` and `entry-bound` of the vectors; `patience` and `grace`, seconds.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from flwr.app import Context
from flwr.serverapp import Grid, ServerApp

from federation.aggregator import Aggregator, SumResult
from federation.flower.app import exchange, instance
from federation.flower.app.exchange import Patience
from federation.flower.app.instance import Instance, InstanceError
from federation.journal import MemoryJournal
from federation.proposal import SignedProposal


def secure_sum(
    grid: Any,
    mine: Instance,
    signed: SignedProposal,
    patience: Patience,
    on_reply: exchange.OnReply = lambda _stage, _host, _request, _content: None,
) -> SumResult:
    """Run a signed proposal through Flower.

    Raises:
        NodesMissing, CohortLost, Refusal: see `exchange`.

    """
    nodes = exchange.nodes_of(grid, frozenset(signed.proposal.hosts), patience)
    # A run that dies begins anew: nothing of it has to outlive this process.
    aggregator = Aggregator(signed, mine.identity, MemoryJournal(), mine.limits)
    return exchange.drive(
        grid,
        nodes,
        aggregator,
        threshold=signed.proposal.threshold,
        patience=patience,
        on_reply=on_reply,
    )


def server_app(main: Callable[[Any, Any], None]) -> Any:
    """Return a ServerApp that runs `main(grid, context)`."""
    app = ServerApp()
    app.main()(main)
    return app


def from_run_config(grid: Grid, context: Context) -> None:
    """Sum what the run configuration names.

    Raises:
        InstanceError: it names no folder, or one that cannot be used.

    """
    config: Any = context.run_config
    if not config["instance"] or not config["out"]:
        raise InstanceError('give the folders: flwr run --run-config \'instance="FOLDER" out="FOLDER"\'')
    mine = instance.read(Path(config["instance"]))
    signed = mine.propose(length=int(config["length"]), entry_bound=int(config["entry-bound"]))
    patience = Patience(float(config["patience"]), float(config["grace"]), float(config["poll"]))
    started = time.monotonic()
    result = secure_sum(grid, mine, signed, patience)
    out = Path(config["out"])
    out.mkdir(parents=True, exist_ok=True)
    np.save(out / "total.npy", result.total, allow_pickle=False)
    summary = {
        "sum": result.round_id.hex(),
        "survivors": list(result.survivors),
        "lost": result.lost,
        "seconds": round(time.monotonic() - started, 3),
    }
    # Whoever waits for the file finds it whole.
    unfinished = out / "result.json.new"
    unfinished.write_text(json.dumps(summary), encoding="utf-8")
    unfinished.replace(out / "result.json")


app = server_app(from_run_config)
