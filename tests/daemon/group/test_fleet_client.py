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

from daemon.group.membership.fleet_client import REFUSED_STATUS, BlobFolder, Delivery
from federation import cbor
from federation.carrier import Carrier, PeerRefused, PeerUnreachable
from federation.envelope import NO_SUM, Stage, seal
from federation.errors import Code, Refusal
from federation.flower.grid import open_run
from federation.group.node_key import new_node_key
from federation.http import MESSAGE_PATH
from federation.identity import Identity
from tests.federation.flower.superlinks import SuperLink, running

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
class Link:
    """A running link; `events` fills as it speaks."""

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


Start = Callable[..., Link]


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
    links: list[tuple[Link, threading.Thread]] = []

    def begin(key: bytes, port: int, **changes: object) -> Link:
        key_file = tmp_path / f"key{len(links)}"
        key_file.write_bytes(key)
        settings = {
            "fence": f"127.0.0.1:{superlink.port}",
            "ca": superlink.ca.decode(),
            "key_file": str(key_file),
            "deliver_to": f"http://127.0.0.1:{port}",
            "spool": str(tmp_path / "spool"),
            "start": time.time() - 1,
            "until": time.time() + 120,
            "poll_ms": 100,
            "most": MOST,
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
        link = Link(process)
        reader = threading.Thread(target=link.read, daemon=True)
        reader.start()
        links.append((link, reader))
        return link

    yield begin
    for link, reader in links:
        link.process.kill()
        link.process.wait()
        reader.join()
        assert link.process.stdout is not None
        link.process.stdout.close()


def request_for(wish: str, stage: Stage = Stage.KEYS) -> bytes:
    return seal(ME, sum_id=NO_SUM, stage=stage, recipient="", payload=b":" + wish.encode())


async def asked(carrier: Carrier, wish: str, stage: Stage = Stage.KEYS, **limits: Any) -> bytes:
    bounds = {"max_answer": 1000, "timeout": 20.0} | limits
    return await carrier.send(HOST, request_for(wish, stage), **bounds)


async def test_requests_are_delivered_and_answers_brought_back(
    superlink: SuperLink, listener: Listener, start: Start, tmp_path: Path
) -> None:
    key, node_id = superlink.new_node()
    link = start(key, listener.port)
    blobs = {"vocabulary": b"public" * 50_000, "small": b"s"}
    async with open_run(superlink.access, {HOST: node_id}) as run:
        await link.says("connected")
        await link.says("busy")
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
        link.process.send_signal(signal.SIGTERM)
        ended = await link.says("ended")
        assert await link.end() == 0
        assert run.online() == frozenset()
    assert ended["answered"] == 10
    spool = {path.name: path.read_bytes() for path in (tmp_path / "spool").iterdir() if len(path.name) == 64}
    assert spool == {hashlib.sha256(blob).hexdigest(): blob for blob in blobs.values()}


async def test_a_daemon_that_is_away_is_nobody_there(superlink: SuperLink, start: Start) -> None:
    key, node_id = superlink.new_node()
    link = start(key, 1)
    async with open_run(superlink.access, {HOST: node_id}) as run:
        await link.says("connected")
        with pytest.raises(PeerRefused) as refused:
            await asked(run.carrier(), "ok")
    assert refused.value.code == "http"


async def test_a_link_that_is_killed_and_started_again_goes_on(
    superlink: SuperLink, listener: Listener, start: Start
) -> None:
    key, node_id = superlink.new_node()
    link = start(key, listener.port)
    async with open_run(superlink.access, {HOST: node_id}) as run:
        await link.says("connected")
        link.process.kill()
        link.process.wait()
        again = start(key, listener.port)
        assert await asked(run.carrier(), "ok") == b"answer to ok"
    assert again.events[0]["event"] in ("connected", "busy")


async def test_a_host_that_does_not_know_the_key_ends_the_link(listener: Listener, start: Start) -> None:
    link = start(new_node_key(), listener.port)
    refused = await link.says("refused")
    assert await link.end() == REFUSED_STATUS
    assert "127.0.0.1" not in refused["message"]


async def test_it_ends_at_its_time(superlink: SuperLink, listener: Listener, start: Start) -> None:
    key, _ = superlink.new_node()
    link = start(key, listener.port, until=time.time() + 3)
    await link.says("connected")
    assert await link.end() == 0


def test_it_does_not_outlive_a_parent_that_is_gone() -> None:
    command = [sys.executable, "-m", "daemon.group.membership.fleet_client", "--parent", "1"]
    assert subprocess.run(command, input="{}", text=True, check=False).returncode == 1


@pytest.mark.parametrize("settings", ["", "[]", "{}", '{"fence": "x"}'])
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
    link = start(key, listener.port)
    async with open_run(superlink.access, {HOST: node_id}) as run:
        await link.says("connected")
        assert await asked(run.carrier(), "ok") == b"answer to ok"
        process = psutil.Process(link.process.pid)
        assert process.memory_info().rss < 60_000_000
        loaded = {one.path for one in process.memory_maps()}
        assert not any(name in path for name in ("numpy", "grpc", "sqlalchemy") for path in loaded)


def test_the_spool_is_bounded_and_the_oldest_go(tmp_path: Path) -> None:
    spool = BlobFolder(tmp_path, 250)
    (tmp_path / "node-0").write_text("1")
    for number in range(4):
        spool.put({"a": bytes([number]) * 100})
        name = hashlib.sha256(bytes([number]) * 100).hexdigest()
        os.utime(tmp_path / name, (number, number))
    kept = sorted(path.read_bytes()[0] for path in tmp_path.iterdir() if len(path.name) == 64)
    assert kept == [2, 3]
    assert (tmp_path / "node-0").exists()
    with pytest.raises(Refusal) as refused:
        spool.put({"a": bytes(251)})
    assert refused.value.code is Code.OVERSIZED


def test_a_link_that_stops_waits_for_no_answer(tmp_path: Path) -> None:
    stop = threading.Event()
    stop.set()
    delivery = Delivery("http://127.0.0.1:1", BlobFolder(tmp_path, 10), 10, stop)
    with pytest.raises(PeerRefused), contextlib.suppress(PeerUnreachable):
        delivery(b"x", {})
