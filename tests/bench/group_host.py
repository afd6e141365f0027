"""How many members one host can have: requests through the proxy, against the SuperLink without it.

The real hosting process, nodes that are registered and sign, and their idle question `pull-messages`. Idle
members ask four times a minute, each time over a new connection (Flower's and our own clients keep one for
less time than that). Everything runs on this machine, the clients included, so requests a second say what
its processors do for all three together; processor time a request says what one processor of a host can do:
whichever of proxy and SuperLink takes more is the bottleneck.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import ssl
import tempfile
import time
from pathlib import Path
from typing import Any

from flwr.proto.fleet_pb2 import PullMessagesRequest
from flwr.proto.node_pb2 import Node

from daemon.group.hosting import host_process
from daemon.group.hosting.reverse_proxy import Bounds
from federation.flower import control
from tests.bench.serving_http import _resident_mib
from tests.daemon.group import proxy_client
from tests.daemon.group.running_host import Host, settings, started
from tests.federation.flower import running_superlink

NODES, AT_ONCE, REQUESTS = 32, 8, 1_000
IDLE_A_SECOND = 4 / 60
MOST_CONNECTIONS = Bounds().connections
_TICKS = os.sysconf("SC_CLK_TCK")


def run() -> dict[str, Any]:
    """Measure.

    Returns:
        requests a second through the proxy and without it, over new and over kept connections; their ratios
        (without / through: 1 is no loss); processor milliseconds a request of the proxy's process and of the
        SuperLink, and the proxy's against the SuperLink's own without a proxy; members at four idle requests
        a minute by what was measured, and by one processor for each process; MiB resident of both, idle,
        after the load, and of the hosting process with as many connections as it takes.
    """
    with tempfile.TemporaryDirectory() as name, started(settings(Path(name))) as host:
        if host.event()["event"] != "ready":
            raise RuntimeError("the host did not start")
        found = host_process.running(host.config)
        if found is None:
            raise RuntimeError("the host is not there")
        pids = {"hosting": host.process.pid, "superlink": host.superlink}
        result = {f"{name}_idle_mib": _resident_mib(pid) for name, pid in pids.items()}
        keys = [running_superlink.new_key() for _ in range(NODES)]
        bodies = []
        for key in keys:
            node = Node(node_id=control.register(found.access, running_superlink.public_pem(key)))
            bodies.append(PullMessagesRequest(node=node).SerializeToString())
        places = {"proxy": (found.address, host_process.authority(host.config).decode())}
        places["direct"] = (found.access.address, found.access.ca.read_text("ascii"))
        for kind in ("new", "kept"):
            for place, (address, ca) in places.items():
                more = {} if kind == "kept" else {"connection": "close"}
                requests = [
                    proxy_client.request("pull-messages", body, key, more=more)
                    for key, body in zip(keys, bodies, strict=True)
                ]
                before = {name: _processor_ms(pid) for name, pid in pids.items()}
                seconds = _from_another_process(address, ca, requests)
                result[f"{place}_{kind}_per_second"] = REQUESTS / seconds
                for name, pid in pids.items():
                    result[f"{place}_{kind}_{name}_cpu_ms"] = (_processor_ms(pid) - before[name]) / REQUESTS
            result[f"{kind}_direct_vs_proxy"] = (
                result[f"direct_{kind}_per_second"] / result[f"proxy_{kind}_per_second"]
            )
            result[f"{kind}_proxy_cpu_vs_superlink"] = (
                result[f"proxy_{kind}_hosting_cpu_ms"] / result[f"direct_{kind}_superlink_cpu_ms"]
            )
        slowest = max(result[f"proxy_new_{name}_cpu_ms"] for name in pids)
        result["members_measured"] = result["proxy_new_per_second"] / IDLE_A_SECOND
        result["members_one_processor_each"] = 1000 / slowest / IDLE_A_SECOND
        result |= {f"{name}_after_mib": _resident_mib(pid) for name, pid in pids.items()}
        result["hosting_full_mib"] = _full(host, *places["proxy"])
        return result


def _processor_ms(pid: int) -> float:
    """Processor milliseconds a process has used; a tick is ten."""
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * 1000 / _TICKS


def _full(host: Host, address: str, ca: str) -> float:
    context = ssl.create_default_context(cadata=ca)

    async def hold() -> float:
        name, _, port = address.rpartition(":")
        held = [await asyncio.open_connection(name, int(port), ssl=context) for _ in range(MOST_CONNECTIONS)]
        resident = _resident_mib(host.process.pid)
        for _, writer in held:
            writer.transport.abort()
        return resident

    return asyncio.run(hold())


def _from_another_process(address: str, ca: str, requests: list[bytes]) -> float:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_load, (address, ca, requests))


def _load(address: str, ca: str, requests: list[bytes]) -> float:
    """Send `REQUESTS` requests, `AT_ONCE` at a time; returns the seconds. AssertionError on a refusal."""
    context = ssl.create_default_context(cadata=ca)
    host, _, port = address.rpartition(":")

    async def worker(numbers: range) -> None:
        streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        for number in numbers:
            request = requests[number % len(requests)]
            if streams is None:
                streams = await asyncio.open_connection(host, int(port), ssl=context)
            reader, writer = streams
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200"):
                raise AssertionError(head)
            length = next(
                int(line.split(b":")[1])
                for line in head.split(b"\r\n")
                if line.lower().startswith(b"content-length")
            )
            await reader.readexactly(length)
            if b"connection: close" in request:
                writer.transport.abort()
                streams = None
        if streams is not None:
            streams[1].transport.abort()

    async def all_of_them() -> float:
        await worker(range(len(requests)))
        began = time.perf_counter()
        await asyncio.gather(*(worker(range(start, REQUESTS, AT_ONCE)) for start in range(AT_ONCE)))
        return time.perf_counter() - began

    return asyncio.run(all_of_them())


if __name__ == "__main__":
    print(json.dumps(run(), indent=2))
