"""What being connected costs a member of a group while nothing happens: memory, requests a minute.

Two daemons of the demo: one hosts, the other joins and is connected long before an announced sum. Between it
and the host's listener stands a proxy that counts connections; an idle member makes one for each request.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from daemon.config import load
from daemon.group import repository, status
from daemon.lab.demo.group import DemoGroup
from daemon.lab.demo.instances import build
from daemon.lab.demo.processes import Daemon, every, require
from daemon.process import daemon_lock
from daemon.store.engine import open_checked

IDLE_SECONDS = 150.0
_MIB = 1 << 20
_WITHIN = 120.0


class _Proxy:
    """Passes connections on and counts them."""

    def __init__(self) -> None:
        self.connections = 0
        self.port = 0
        self.upstream = 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        server = await asyncio.start_server(self._pass, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        async with server:
            yield

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with contextlib.suppress(ConnectionError):
            there = await asyncio.open_connection("127.0.0.1", self.upstream)
            await asyncio.gather(_copy(reader, there[1]), _copy(there[0], writer))


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.close()


def run() -> dict[str, float]:
    """Measure.

    Returns:
        resident memory of the member's serving process and of its link while connected, alone and together,
        MiB; requests a minute.
    """
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(_measure(Path(folder)))


async def _measure(folder: Path) -> dict[str, float]:
    proxy = _Proxy()
    async with proxy.running():
        os.environ["SHOAL_GROUP__LEAD"] = "1h"
        os.environ["SHOAL_GROUP__PUBLIC_URL"] = f"https://127.0.0.1:{proxy.port}"
        world = build(folder, None, 5, in_group=True)
        daemons = [Daemon(instance) for instance in world.instances[:2]]
        try:
            require(await every(daemons, "sync"))
            for daemon in daemons:
                await daemon.start()
            return await _idle(daemons, proxy)
        finally:
            await asyncio.gather(*(daemon.stop() for daemon in daemons))
            for name in ("SHOAL_GROUP__LEAD", "SHOAL_GROUP__PUBLIC_URL"):
                del os.environ[name]


async def _idle(daemons: list[Daemon], proxy: _Proxy) -> dict[str, float]:
    host, member = (load(daemon.instance.config_file) for daemon in daemons)
    proxy.upstream = host.group.listen_port
    await DemoGroup(daemons, lambda _line: None).form()
    engine = open_checked(host.database)
    repository.change(engine, lambda known: known and replace(known, next_at=time.time() + 1800))
    engine.dispose()
    await _until(lambda: (live := status.live(member)) is not None and live.link == "connected")
    # Flower's heartbeat and the first look are over, and what start-up needed is given back.
    await asyncio.sleep(20)
    before = proxy.connections
    await asyncio.sleep(IDLE_SECONDS)
    requests = proxy.connections - before
    found = daemon_lock.find(member.data_dir)
    if found is None:
        raise RuntimeError("the member's daemon has ended")
    serving = psutil.Process(found.pid)
    (link,) = [
        one
        for one in serving.children(recursive=True)
        if "daemon.group.membership.fleet_client" in one.cmdline()
    ]
    parts = {"serving": serving.memory_info().rss / _MIB, "link": link.memory_info().rss / _MIB}
    return {
        "serving_mib": parts["serving"],
        "link_mib": parts["link"],
        "together_mib": sum(parts.values()),
        "requests_a_minute": requests / (IDLE_SECONDS / 60),
    }


async def _until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _WITHIN
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError("the member did not connect")
        await asyncio.sleep(0.2)
