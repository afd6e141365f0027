"""`shoal run` says within five seconds what is wrong; what can be repaired meanwhile stops no daemon."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import queue
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp import web

from daemon.errors import StoreError
from daemon.process import preflight
from daemon.process.child import python_module
from daemon.process.daemon_lock import find
from daemon.store.migrate import migrate
from tests.daemon import fake_peertube as pt
from tests.daemon.fake_peertube import PeerTube, configure, peertube, small_world
from tests.daemon.running_daemon import until
from tests.daemon.shoal_command import shoal

pytestmark = pytest.mark.daemon

WITHIN = 10.0
"""Seconds; five are the aim, and a busy machine gets twice that."""


@pytest.fixture
def server() -> Iterator[PeerTube]:
    with peertube(small_world()) as running:
        yield running


@pytest.fixture
def config(tmp_path: Path, server: PeerTube) -> Path:
    path = configure(tmp_path / "one", server.url)
    migrate(path.parent / "shoal.db")
    return path


class Run:
    """`shoal run` in a process of its own, and what it says."""

    def __init__(self, config: Path) -> None:
        command, environment = python_module("daemon.cli.main", "run", "-c", str(config))
        self.began = time.monotonic()
        self.process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
        self.said = ""
        self._lines: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self._lines.put(line)

    def close(self) -> None:
        self._reader.join(5)
        assert self.process.stderr is not None
        self.process.stderr.close()

    def says(self, text: str) -> float:
        """Return after how many seconds it said that; fails if it does not."""
        while text not in self.said:
            left = 30.0 - (time.monotonic() - self.began)
            assert left > 0, self.said
            with contextlib.suppress(queue.Empty):
                self.said += self._lines.get(timeout=min(left, 0.2))
            if self.process.poll() is not None and self._lines.empty() and not self._reader.is_alive():
                assert text in self.said, self.said
        return time.monotonic() - self.began


@contextlib.contextmanager
def running(config: Path) -> Iterator[Run]:
    run = Run(config)
    try:
        yield run
    finally:
        if run.process.poll() is None:
            run.process.send_signal(signal.SIGTERM)
        run.process.wait(15)
        run.close()


def test_where_all_is_well_it_says_only_that_it_serves(config: Path) -> None:
    with running(config) as run:
        run.says("Serving one.example")
        assert run.said.startswith("Serving one.example")
        until(lambda: find(config.parent) is not None)
    assert pt.SECRET not in run.said


@pytest.mark.parametrize(
    ("what", "said", "advice"),
    [
        ("wrong secret", "The plugin does not accept this daemon's secret.", "source.secret"),
        ("wrong address", "What answers at", "is not PeerTube"),
        ("plugin missing", "has no Shoal plugin.", "Install peertube-plugin-shoal"),
        ("plugin old", "older than this daemon", "Update the plugin"),
        ("PeerTube down", "Nothing answers at http://127.0.0.1:1.", "Start PeerTube"),
        ("PeerTube silent", "does not answer in time.", "Check its load"),
        ("another PeerTube", "is one.example, but this instance is two.example.", "Correct source.url"),
        ("clock", "PeerTube's clock is 1 day ahead of", "NTP"),
    ],
)
def test_what_is_wrong_with_peertube_is_said_and_the_daemon_serves(
    server: PeerTube, config: Path, what: str, said: str, advice: str
) -> None:
    async def elsewhere(_request: web.Request) -> web.StreamResponse:
        return web.Response(text="hello")

    async def silent(_request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(30)
        return web.Response()

    async def tomorrow(_request: web.Request) -> web.StreamResponse:
        date = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 86_400))
        return web.json_response(server.config(), headers={"Date": date})

    text = config.read_text()
    if what == "wrong secret":
        config.write_text(text.replace(pt.SECRET, "another-secret-0123456789"))
    elif what == "plugin missing":
        server.plugin = None
    elif what == "plugin old":
        server.plugin = "0.0.1"
    elif what == "PeerTube down":
        config.write_text(text.replace(server.url, "http://127.0.0.1:1"))
    elif what == "another PeerTube":
        config.write_text(text.replace('host = "one.example"', 'host = "two.example"'))
    else:
        faults = {"wrong address": elsewhere, "PeerTube silent": silent, "clock": tomorrow}
        server.faults["config"] = faults[what]
    with running(config) as run:
        seconds = run.says(said)
        run.says(advice)
        assert seconds < WITHIN, run.said
        run.says("Serving ")
        until(lambda: find(config.parent) is not None)
    assert pt.SECRET not in run.said
    assert "another-secret" not in run.said


@pytest.mark.parametrize("name", ["api", "federation"])
def test_a_port_that_is_taken_is_named_with_its_setting(config: Path, name: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        text = config.read_text().replace(f"{name}_port = 0", f"{name}_port = {port}")
        config.write_text(f'mode = "consume"\n{text}')
        with running(config) as run:
            assert run.says(f"port {port} is taken") < WITHIN
            run.says(f"listen.{name}_port")
            assert run.process.wait(10) == 2
    # What nobody listens on any more can be used at once.
    preflight.require_free_port(name, "127.0.0.1", port)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "0.0.0.0"])
def test_free_ports_are_free_on_every_kind_of_address(host: str) -> None:
    preflight.require_free_port("api", host, 0)


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-name.invalid"])
def test_an_address_of_another_machine_is_no_address_to_listen_on(host: str) -> None:
    with pytest.raises(preflight.ListenError) as caught:
        preflight.require_free_port("api", host, 0)
    assert host in caught.value.message
    assert "listen.api_host" in caught.value.advice


def test_a_full_disk_is_called_one(
    config: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    done = shoal("run", "-c", config)
    assert done.returncode == 6
    assert "the disk is full" in " ".join(done.stderr.split())
    assert "Free some space" in done.stderr
    assert capfd.readouterr().out == ""


def test_a_really_full_disk_is_called_one(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "none", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("only root may mount a small disk")
    try:
        with pytest.raises(StoreError, match="is full"):
            preflight.require_writable(disk)
        assert list(disk.iterdir()) == []
        assert preflight.nearly_full(disk).startswith("Only 0 MiB are free")
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_folder_that_cannot_be_written_is_no_full_disk(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot be written"):
        preflight.require_writable(tmp_path / "file" / "below")
    preflight.require_writable(tmp_path / "new")
    assert list((tmp_path / "new").iterdir()) == []
