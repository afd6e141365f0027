"""systemd hears when the daemon is ready, lives and stops; the health check of an image is answered."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.process.daemon_lock import find
from daemon.serve import ready
from daemon.serve.service_manager import ServiceManager
from tests.daemon.running_daemon import daemon, instance, put_model, until

SECONDS = 30.0


@pytest.fixture
def heard(tmp_path: Path) -> Iterator[socket.socket]:
    """The socket of a service manager."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(str(tmp_path / "notify"))
        channel.settimeout(SECONDS)
        yield channel


@pytest.mark.daemon
def test_it_hears_that_the_daemon_is_ready_lives_and_stops(tmp_path: Path, heard: socket.socket) -> None:
    config = instance(tmp_path / "one")
    variables = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "500000"}
    command = [sys.executable, "-m", "daemon.cli.main", "run", "-c", str(config)]
    with subprocess.Popen(command, env={**os.environ, **variables}, stderr=subprocess.DEVNULL) as process:
        try:
            told = [heard.recv(100)]
            while told[-1] != b"READY=1":
                told.append(heard.recv(100))
            # Whoever is told "ready" can be sent to it.
            running = find(config.parent)
            assert running is not None
            # `shoal run` became the daemon: the signs of life are those of the process that was started.
            assert running.pid == process.pid
            assert [heard.recv(100) for _ in range(3)] == [b"WATCHDOG=1"] * 3
        finally:
            process.terminate()
        while (last := heard.recv(100)) == b"WATCHDOG=1":
            pass
        assert last == b"STOPPING=1"
        assert process.wait(SECONDS) == 0


async def test_signs_of_life_come_well_within_the_time_of_the_watchdog(
    tmp_path: Path, heard: socket.socket
) -> None:
    manager = ServiceManager({"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "200000"})
    living = asyncio.create_task(manager.live())
    # The kernel keeps ten that nobody has read.
    await asyncio.sleep(0.5)
    living.cancel()
    manager.stopping()
    signs = 0
    while heard.recv(100) == b"WATCHDOG=1":
        signs += 1
    assert 2 <= signs <= 7


async def test_names_in_no_folder_are_understood() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(f"\0shoal-test-{os.getpid()}")
        channel.settimeout(SECONDS)
        ServiceManager({"NOTIFY_SOCKET": f"@shoal-test-{os.getpid()}"}).ready()
        assert channel.recv(100) == b"READY=1"


@pytest.mark.parametrize("variables", [{}, {"NOTIFY_SOCKET": "/nowhere/at/all", "WATCHDOG_USEC": "x"}])
async def test_without_anybody_who_listens_the_daemon_goes_on(variables: dict[str, str]) -> None:
    manager = ServiceManager(variables)
    manager.ready()
    await manager.live()
    manager.stopping()


@pytest.mark.daemon
def test_the_health_check_says_yes_with_a_model_and_why_not_without(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = instance(tmp_path)
    assert ready.main(["--config", str(config)]) == 1
    assert "no daemon is running" in capsys.readouterr().err
    with daemon(config):
        assert ready.main(["--config", str(tmp_path)]) == 1
        assert "no model" in capsys.readouterr().err
        put_model(tmp_path, "made")
        until(lambda: ready.main(["--config", str(config)]) == 0)
