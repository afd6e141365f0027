"""The process of a connected member, between a stock SuperLink and a listener as the daemon has one."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
import pytest
from aiohttp import web

from daemon.group.membership.blob_cache import BlobCache
from daemon.group.membership.fleet_client import REFUSED_STATUS, Delivery
from federation import cbor
from federation.carrier import Carrier, PeerRefused, PeerUnreachable
from federation.envelope import NO_ROUND, Stage, seal
from federation.errors import Code, Refusal
from federation.flower.grid import open_run
from federation.group.node_key import new_node_key
from federation.http import MESSAGE_PATH
from federation.identity import Identity
from tests.federation.flower.superlinks import SuperLink, running

pytestmark = pytest.mark.flower

HOST = "m000.example"
ME = Identity("host.example", bytes(32))
MOST = 70_000_000


@pytest.fixture(scope="module")
def superlink(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SuperLink]:
    with running(tmp_path_factory.mktemp("superlink")) as one:
        yield one


@dataclass
class Listener:
    """Plays the federation listener: what a request says is what happens."""

    port: int = 0
    asked: list[bytes] = field(default_factory=list)
    go: asyncio.Event = field(default_factory=asyncio.Event)

    async def message(self, request: web.Request) -> web.Response:
        body = await request.read()
        wish = body.rsplit(b":", 1)[-1]
        again = body in self.asked
        self.asked.append(body)
        if wish == b"later" and not again:
            return web.Response(status=202)
        if wish == b"busy" or (wish == b"busy once" and not again):
            refusal: dict[str, cbor.Item] = {"code": "busy", "sentence": "try again"}
            return web.Response(status=503, body=cbor.encode(refusal))
        if wish == b"wrong":
            refusal = {"code": "sharing-off", "sentence": "not today"}
            return web.Response(status=400, body=cbor.encode(refusal))
        if wish == b"proxy":
            return web.Response(status=502, text="Bad Gateway")
        if wish == b"hang":
            await self.go.wait()
        if wish.startswith(b"large"):
            return web.Response(body=bytes(int(wish[5:])))
        return web.Response(body=b"answer to " + wish)


@dataclass
class Connection:
    """A running connection; `events` fills as it speaks."""

    process: subprocess.Popen[str]
    events: list[dict[str, Any]] = field(default_factory=list)

    def read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.events.append(json.loads(line))

    async def says(self, event: str, count: int = 1) -> dict[str, Any]:
        async with asyncio.timeout(30):
            while True:
                found = [one for one in self.events if one["event"] == event]
                if len(found) >= count:
                    return found[count - 1]
                await asyncio.sleep(0.02)

    async def end(self) -> int:
        return await asyncio.to_thread(self.process.wait, 20)


Start = Callable[..., Connection]


@pytest.fixture
async def listener() -> AsyncIterator[Listener]:
    one = Listener()
    app = web.Application()
    app.add_routes([web.post(MESSAGE_PATH, one.message)])
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    one.port = runner.addresses[0][1]
    yield one
    one.go.set()
    await runner.cleanup()


@pytest.fixture
def start(superlink: SuperLink, tmp_path: Path) -> Iterator[Start]:
    connections: list[tuple[Connection, threading.Thread]] = []

    def begin(key: bytes, port: int, **changes: object) -> Connection:
        key_file = tmp_path / f"key{len(connections)}"
        key_file.write_bytes(key)
        settings = {
            "address": f"127.0.0.1:{superlink.port}",
            "ca": superlink.ca.decode(),
            "key_file": str(key_file),
            "listener": f"http://127.0.0.1:{port}",
            "blobs": str(tmp_path / "blobs"),
            "start": time.time() - 1,
            "until": time.time() + 120,
            "poll_ms": 100,
            "max_bytes": MOST,
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "daemon.group.membership.fleet_client", "--parent", str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdin is not None
        process.stdin.write(json.dumps(settings | changes))
        process.stdin.close()
        connection = Connection(process)
        reader = threading.Thread(target=connection.read, daemon=True)
        reader.start()
        connections.append((connection, reader))
        return connection

    yield begin
    for connection, reader in connections:
        connection.process.kill()
        connection.process.wait()
        reader.join()
        assert connection.process.stdout is not None
        connection.process.stdout.close()


def request_for(wish: str, stage: Stage = Stage.KEYS) -> bytes:
    return seal(ME, round_id=NO_ROUND, stage=stage, recipient="", payload=b":" + wish.encode())


async def asked(carrier: Carrier, wish: str, stage: Stage = Stage.KEYS, **limits: Any) -> bytes:
    bounds = {"max_answer": 1000, "timeout": 60.0} | limits
    return await carrier.send(HOST, request_for(wish, stage), **bounds)


async def test_requests_are_delivered_and_answers_brought_back(
    superlink: SuperLink, listener: Listener, start: Start, tmp_path: Path
) -> None:
    key, node_id = superlink.new_node()
    connection = start(key, listener.port)
    blobs = {"vocabulary": b"public" * 50_000, "small": b"s"}
    async with open_run(superlink.access, {HOST: node_id}) as run:
        await connection.says("connected")
        await connection.says("busy")
        carrier = run.carrier(blobs)
        hanging = asyncio.create_task(asked(carrier, "hang"))
        assert await asked(carrier, "ok") == b"answer to ok"
        assert await asked(carrier, "later") == b"answer to later"
        assert await asked(carrier, "busy once") == b"answer to busy once"
        for wish, code in (("busy", "busy"), ("wrong", "sharing-off"), ("proxy", "http")):
            with pytest.raises(PeerRefused) as refused:
                await asked(carrier, wish)
            assert refused.value.code == code
        assert await asked(carrier, "with blobs", Stage.PROPOSE) == b"answer to with blobs"
        with pytest.raises(Refusal) as oversized:
            await asked(carrier, "large500000")
        assert oversized.value.code is Code.OVERSIZED
        large = await asked(carrier, "large9000000", max_answer=9_000_000)
        assert large == bytes(9_000_000)
        # One request that hangs keeps nobody else waiting.
        assert not hanging.done()
        listener.go.set()
        assert await hanging == b"answer to hang"
        connection.process.send_signal(signal.SIGTERM)
        ended = await connection.says("ended")
        assert await connection.end() == 0
        assert run.online() == frozenset()
    assert ended["answered"] == 10
    cached = {path.name: path.read_bytes() for path in (tmp_path / "blobs").iterdir() if len(path.name) == 64}
    assert cached == {hashlib.sha256(blob).hexdigest(): blob for blob in blobs.values()}


async def test_a_daemon_that_is_away_is_nobody_there(superlink: SuperLink, start: Start) -> None:
    key, node_id = superlink.new_node()
    connection = start(key, 1)
    async with open_run(superlink.access, {HOST: node_id}) as run:
        await connection.says("connected")
        with pytest.raises(PeerRefused) as refused:
            await asked(run.carrier(), "ok")
    assert refused.value.code == "http"


async def test_a_connection_that_is_killed_and_started_again_goes_on(
    superlink: SuperLink, listener: Listener, start: Start
) -> None:
    key, node_id = superlink.new_node()
    connection = start(key, listener.port)
    async with open_run(superlink.access, {HOST: node_id}) as run:
        await connection.says("connected")
        connection.process.kill()
        connection.process.wait()
        again = start(key, listener.port)
        assert await asked(run.carrier(), "ok") == b"answer to ok"
    assert again.events[0]["event"] in ("connected", "busy")


async def test_a_host_that_does_not_know_the_key_ends_the_connection(
    listener: Listener, start: Start
) -> None:
    connection = start(new_node_key(), listener.port)
    refused = await connection.says("refused")
    assert await connection.end() == REFUSED_STATUS
    assert "127.0.0.1" not in refused["message"]


async def test_it_ends_at_its_time(superlink: SuperLink, listener: Listener, start: Start) -> None:
    key, _ = superlink.new_node()
    connection = start(key, listener.port, until=time.time() + 3)
    await connection.says("connected")
    assert await connection.end() == 0


def test_it_does_not_outlive_a_parent_that_is_gone() -> None:
    command = [sys.executable, "-m", "daemon.group.membership.fleet_client", "--parent", "1"]
    assert subprocess.run(command, input="{}", text=True, check=False).returncode == 1


@pytest.mark.parametrize("settings", ["", "[]", "{}", '{"address": "x"}'])
def test_wrong_settings_are_said(settings: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "daemon.group.membership.fleet_client"],
        input=settings,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert json.loads(done.stdout)["event"] == "failed"


async def test_a_connected_member_is_small(superlink: SuperLink, listener: Listener, start: Start) -> None:
    key, node_id = superlink.new_node()
    connection = start(key, listener.port)
    async with open_run(superlink.access, {HOST: node_id}) as run:
        await connection.says("connected")
        assert await asked(run.carrier(), "ok") == b"answer to ok"
        process = psutil.Process(connection.process.pid)
        assert process.memory_info().rss < 60_000_000
        loaded = {one.path for one in process.memory_maps()}
        assert not any(name in path for name in ("numpy", "grpc", "sqlalchemy") for path in loaded)


def test_the_blob_cache_is_bounded_and_the_oldest_go(tmp_path: Path) -> None:
    blobs = BlobCache(tmp_path, 250)
    (tmp_path / "node-0").write_text("1")
    for number in range(4):
        blobs.put({"a": bytes([number]) * 100})
        name = hashlib.sha256(bytes([number]) * 100).hexdigest()
        os.utime(tmp_path / name, (number, number))
    kept = sorted(path.read_bytes()[0] for path in tmp_path.iterdir() if len(path.name) == 64)
    assert kept == [2, 3]
    assert (tmp_path / "node-0").exists()
    with pytest.raises(Refusal) as refused:
        blobs.put({"a": bytes(251)})
    assert refused.value.code is Code.OVERSIZED


def test_a_connection_that_stops_waits_for_no_answer(tmp_path: Path) -> None:
    stop = threading.Event()
    stop.set()
    delivery = Delivery("http://127.0.0.1:1", BlobCache(tmp_path, 10), 10, stop)
    with pytest.raises(PeerRefused), contextlib.suppress(PeerUnreachable):
        delivery(b"x", {})
