"""The stock app in Flower's simulation engine: all nodes of a part on one machine, carried in memory.

Ray keeps its files in a folder that the caller removes, and listens on loopback only.
"""

from __future__ import annotations

import functools
import logging
import os
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from federation.aggregator import Aggregator
from federation.flower.app.laboratory import ENTRY_BOUND, Laboratory
from federation.journal import MemoryJournal

_QUIET = {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
LEAST_STORE = 80 << 20
"""Bytes: ray refuses an object store below 75 MiB."""


@dataclass(frozen=True)
class Measured:
    """One secure sum over all members of a part.

    Attributes:
        length: entries of the vectors.
        exact: whether it was the plain sum of its survivors, integer for integer.
        survivors: how many.
        up, down: bytes of protocol messages of one member, mean over the members.
        host_cpu: seconds that the aggregator computed.
        member_cpu: seconds that one member computed, mean over the members.
        seconds: wall time.
    """

    length: int
    exact: bool
    survivors: int
    up: float
    down: float
    host_cpu: float
    member_cpu: float
    seconds: float


@dataclass(frozen=True)
class Machine:
    """What the engine may take: cores, bytes of ray's object store, and a folder with a short path."""

    folder: Path
    cores: int = 2
    store: int = LEAST_STORE


class _Timed(Aggregator):
    """Counts the processor time of its thread inside the aggregator: not that of Flower around it."""

    def __init__(self, *arguments: Any) -> None:
        self.cpu = 0.0
        with_cost = time.thread_time()
        super().__init__(*arguments)
        self.cpu += time.thread_time() - with_cost

    def receive(self, host: str, raw: bytes) -> None:
        begun = time.thread_time()
        try:
            super().receive(host, raw)
        finally:
            self.cpu += time.thread_time() - begun

    def close(self) -> None:
        begun = time.thread_time()
        try:
            super().close()
        finally:
            self.cpu += time.thread_time() - begun


def run(
    laboratory: Laboratory,
    lengths: Sequence[int],
    machine: Machine,
    on_sum: Callable[[Measured], None] = lambda _: None,
) -> list[Measured]:
    """Run one secure sum of each length over all members.

    Changes the environment of this process and starts others: meant for a process of its own.

    Raises:
        CohortLost, Refusal, RuntimeError: a sum failed.

    """
    os.environ.update(_QUIET, FLWR_HOME=str(machine.folder / "home"))
    from flwr.simulation import run_simulation

    from federation.flower.app.client import client_app
    from federation.flower.app.server import server_app

    logging.getLogger("flwr").setLevel(logging.ERROR)
    found: list[Measured] = []

    def main(grid: Any, _: Any) -> None:
        for length in lengths:
            found.append(_sum(grid, laboratory, length))
            on_sum(found[-1])

    run_simulation(
        server_app=server_app(main),
        client_app=client_app(functools.partial(_member, laboratory), measured=True),
        num_supernodes=laboratory.members,
        backend_config={
            "client_resources": {"num_cpus": 1, "num_gpus": 0.0},
            "init_args": {
                "num_cpus": machine.cores,
                "object_store_memory": max(machine.store, LEAST_STORE),
                "_temp_dir": str(machine.folder),
                "_node_ip_address": "127.0.0.1",
                "logging_level": logging.ERROR,
                "log_to_driver": False,
            },
        },
    )
    return found


def _member(laboratory: Laboratory, context: Any) -> Any:
    return laboratory.instance(int(context.node_config["partition-id"]))


def _sum(grid: Any, laboratory: Laboratory, length: int) -> Measured:
    from federation.flower.app import exchange
    from federation.flower.app.client import COST

    host = laboratory.instance(0)
    signed = host.propose(length=length, entry_bound=ENTRY_BOUND)
    up: dict[str, int] = defaultdict(int)
    down: dict[str, int] = defaultdict(int)
    cpu: dict[str, float] = defaultdict(float)

    def on_reply(_: str, member: str, request: bytes, content: Any) -> None:
        down[member] += len(request)
        raw = exchange.unpack(content).get("answer")
        up[member] += len(raw) if isinstance(raw, bytes) else 0
        cpu[member] += content[COST]["cpu"]

    patience = exchange.Patience(stage=600.0, grace=600.0, poll=0.05)
    nodes = exchange.nodes_of(grid, frozenset(signed.proposal.hosts), patience)
    started = time.monotonic()
    aggregator = _Timed(signed, host.identity, MemoryJournal(), host.limits)
    result = exchange.drive(
        grid,
        nodes,
        aggregator,
        threshold=signed.proposal.threshold,
        patience=patience,
        on_reply=on_reply,
    )
    seconds = time.monotonic() - started
    members = laboratory.members
    return Measured(
        length=length,
        exact=bool(np.array_equal(result.total, laboratory.total(result.survivors, length))),
        survivors=len(result.survivors),
        up=sum(up.values()) / members,
        down=sum(down.values()) / members,
        host_cpu=aggregator.cpu,
        member_cpu=sum(cpu.values()) / members,
        seconds=seconds,
    )
