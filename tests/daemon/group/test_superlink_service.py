"""The SuperLink as a service of its own: the host uses it, notices when it is away, and goes on after."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from daemon.config import load
from daemon.group.hosting import host_process, superlink_service
from daemon.group.hosting.superlink_process import HostingError
from daemon.group.hosting.superlink_service import SuperLinkService
from daemon.process.child import python_module
from federation.flower import control
from tests.daemon.group.running_host import settings, started
from tests.daemon.running_daemon import until
from tests.daemon.shoal_command import shoal
from tests.federation.flower import running_superlink
from tests.ports import free_port

pytestmark = pytest.mark.flower

SECONDS = 240.0


@contextmanager
def service(path: Path) -> Iterator[subprocess.Popen[bytes]]:
    command, environment = python_module("daemon.cli.main", "group", "superlink", "-c", str(path))
    with (path.parent / "superlink.log").open("ab") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        yield process
    finally:
        # As Docker does: Flower waits for connections that are open.
        process.terminate()
        try:
            process.wait(5.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def test_a_host_uses_it_and_leaves_it_running(tmp_path: Path) -> None:
    address = f"127.0.0.1:{free_port()}"
    path = settings(tmp_path, superlink_service=address)
    with started(path) as host, service(path):
        ready = host.event()
        assert (ready["event"], ready["superlink"]) == ("ready", address)
        found = host_process.running(host.config)
        assert found is not None
        assert found.access.address == address
        with running_superlink.node(found.address, host_process.authority(host.config)) as node:
            node_id = control.register(found.access, node.public)
            assert node.activate() == node_id
        host.process.terminate()
        assert host.process.wait(20.0) == 0
        # It is not the host's to end.
        assert node_id in control.nodes(found.access)
    assert "Traceback" not in (tmp_path / "hosting.log").read_text("utf-8")


async def test_when_it_was_away_the_host_goes_on(tmp_path: Path) -> None:
    address = f"127.0.0.1:{free_port()}"
    path = settings(tmp_path, superlink_service=address)
    link = SuperLinkService(host_process.folder_of(load(path)), address, check=0.5)
    ready, first = asyncio.Event(), asyncio.Event()
    task = asyncio.create_task(link.keep(ready.set, first.set))
    try:
        for _ in range(2):
            with service(path):
                async with asyncio.timeout(SECONDS):
                    await ready.wait()
                assert first.is_set()
                assert link.upstream is not None
                ready.clear()
            await asyncio.to_thread(until, lambda: link.upstream is None, SECONDS)
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_one_that_does_not_run_is_said_with_what_to_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(superlink_service, "START_SECONDS", 1.0)
    link = SuperLinkService(tmp_path, f"127.0.0.1:{free_port()}")
    with pytest.raises(HostingError, match="no SuperLink answers") as found:
        await link.keep(lambda: None, lambda: None)
    assert "shoal group superlink" in found.value.advice


def test_the_command_needs_the_setting(tmp_path: Path) -> None:
    done = shoal("group", "superlink", "-c", settings(tmp_path))
    assert done.returncode == 2
    assert "group.superlink_service" in done.stderr
