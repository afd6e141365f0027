"""The hosting process as it is: real SuperLink, real reverse proxy, killed in every way."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from daemon.config import load
from daemon.errors import ConfigError
from daemon.group.hosting import host_process
from daemon.process.child import python_module
from federation.flower import certificates, control
from tests.daemon.group.running_host import SOON, settings, started
from tests.federation.flower import running_superlink

pytestmark = pytest.mark.flower

SECONDS = 60.0


def gone(pid: int) -> bool:
    """Wait until a process is no more, or a zombie that only waits for its parent."""
    deadline = time.monotonic() + SOON
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":
            return True
        time.sleep(0.02)
    return False


def free(address: str) -> bool:
    """Wait until a port can be taken: threads of a killed process may hold it for a moment longer."""
    host, _, port = address.rpartition(":")
    deadline = time.monotonic() + SOON
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_server((host, int(port))):
            return True
        time.sleep(0.02)
    return False


def test_it_says_ready_lets_members_in_and_leaves_nothing_behind(tmp_path: Path) -> None:
    path = settings(tmp_path)
    with started(path) as host:
        ready = host.event()
        assert ready["event"] == "ready"
        found = host_process.running(host.config)
        assert found is not None
        assert (found.address, found.access.address) == (ready["address"], ready["superlink"])
        child = host.superlink
        assert {where for where, _, listens in running_superlink.connections(child) if listens} == {
            ("127.0.0.1", int(ready["superlink"].rpartition(":")[2]))
        }
        with running_superlink.node(found.address, host_process.authority(host.config)) as node:
            node_id = control.register(found.access, node.public)
            assert node.activate() == node_id
        host.process.terminate()
        assert host.process.wait(SOON) == 0
        assert gone(child)
        assert free(ready["address"])
        assert free(ready["superlink"])
        assert host_process.running(host.config) is None
        assert not (host.config.group_dir / "host" / host_process.STATE_NAME).exists()
    log = (tmp_path / "hosting.log").read_text("utf-8")
    assert "Traceback" not in log


def test_a_killed_superlink_is_started_again_with_its_members(tmp_path: Path) -> None:
    with started(settings(tmp_path)) as host:
        host.event()
        found = host_process.running(host.config)
        assert found is not None
        with running_superlink.node(found.address, host_process.authority(host.config)) as node:
            node_id = control.register(found.access, node.public)
            os.kill(host.superlink, signal.SIGKILL)
            again = host.event()
            assert again == {"event": "ready", "address": found.address, "superlink": found.access.address}
            assert node.activate() == node_id


def test_killed_itself_it_leaves_nothing_behind(tmp_path: Path) -> None:
    path = settings(tmp_path)
    with started(path) as host:
        ready = host.event()
        child = host.superlink
        host.process.kill()
        host.process.wait(SOON)
        assert gone(child)
        assert free(ready["address"])
        assert free(ready["superlink"])
        assert host_process.running(host.config) is None
    with started(path) as host:
        assert host.event()["event"] == "ready"


PARENT = """
import os, subprocess, sys
module = [sys.executable, "-m", "daemon.group.hosting.host_process"]
command = [*module, "--config", sys.argv[1], "--parent", str(os.getpid())]
process = subprocess.Popen(command, stdout=subprocess.PIPE)
print(process.pid, process.stdout.readline().decode(), end="", flush=True)
process.wait()
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_it_ends_with_its_parent_however_that_ends(tmp_path: Path, number: int) -> None:
    path = settings(tmp_path)
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(path)], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        pid, _, line = parent.stdout.readline().partition(" ")
        ready = json.loads(line)
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()
        parent.send_signal(number)
        parent.wait(SOON)
    for each in (pid, *children):
        assert gone(int(each))
    assert len(children) == 1
    assert free(ready["address"])
    assert free(ready["superlink"])


def test_one_data_directory_has_one_host(tmp_path: Path) -> None:
    path = settings(tmp_path)
    with started(path) as first:
        assert first.event()["event"] == "ready"
        with started(path) as second:
            failed = second.event()
        assert failed["event"] == "failed"
        assert "already hosts" in failed["message"]
        assert host_process.running(first.config) is not None


@pytest.mark.parametrize("name", ["listen_port", "superlink_port"])
def test_a_taken_port_is_said_clearly(tmp_path: Path, name: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        path = settings(tmp_path, **{name: taken.getsockname()[1]})
        with started(path) as host:
            failed = host.event()
            assert failed["event"] == "failed"
            assert str(taken.getsockname()[1]) in failed["message"]
            assert f"group.{name}" in failed["advice"]
            assert host.process.wait(SOON) != 0


def own_certificate(folder: Path, name: str = "own") -> tuple[Path, Path, Path]:
    """Return the authority, chain and key, as an admin would get them elsewhere."""
    made = certificates.ensure(folder / name, ("127.0.0.1",), datetime.now(UTC))
    pem = made.server.read_bytes()
    at = pem.index(b"-----BEGIN CERTIFICATE")
    chain, key = folder / f"{name}-chain.pem", folder / f"{name}-key.pem"
    chain.write_bytes(pem[at:])
    key.write_bytes(pem[:at])
    return made.ca, chain, key


def test_a_certificate_of_the_admin_is_used(tmp_path: Path) -> None:
    ca, chain, key = own_certificate(tmp_path)
    with started(settings(tmp_path, certificate=str(chain), certificate_key=str(key))) as host:
        ready = host.event()
        assert ready["event"] == "ready"
        assert host_process.authority(host.config) == b""
        found = host_process.running(host.config)
        assert found is not None
        with running_superlink.node(found.address, ca.read_bytes()) as node:
            node_id = control.register(found.access, node.public)
            assert node.activate() == node_id


@pytest.mark.parametrize("kind", ["missing", "garbage", "another key", "a password"])
def test_a_certificate_that_cannot_be_used_is_said_clearly(tmp_path: Path, kind: str) -> None:
    _, chain, key = own_certificate(tmp_path)
    if kind == "missing":
        chain.unlink()
    elif kind == "garbage":
        chain.write_bytes(b"garbage")
    elif kind == "another key":
        key = own_certificate(tmp_path, "another")[2]
    else:
        secret = load_pem_private_key(key.read_bytes(), None)
        sealed = BestAvailableEncryption(b"secret")
        key.write_bytes(secret.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, sealed))
    with started(settings(tmp_path, certificate=str(chain), certificate_key=str(key))) as host:
        failed = host.event()
        assert failed["event"] == "failed"
        assert "certificate" in failed["message"]
        assert "group.certificate" in failed["advice"]


def test_a_configuration_that_cannot_be_read_is_said_clearly(tmp_path: Path) -> None:
    path = settings(tmp_path)
    good = path.read_text("utf-8")
    path.write_text(good + "\n[nonsense]\n", encoding="utf-8")
    command, environment = python_module("daemon.group.hosting.host_process", "--config", str(path))
    done = subprocess.run(command, env=environment, capture_output=True, timeout=SECONDS, check=False)
    failed = json.loads(done.stdout)
    assert failed["event"] == "failed"
    assert failed["code"] == "bad-configuration"
    assert done.returncode == 2


def test_members_pin_what_stays_the_same(tmp_path: Path) -> None:
    first = host_process.authority(load(settings(tmp_path)))
    assert first.startswith(b"-----BEGIN CERTIFICATE")
    assert b"PRIVATE" not in first
    moved = load(settings(tmp_path, public_url="https://video.example.org:9743", listen_host="0.0.0.0"))
    assert host_process.authority(moved) == first
    assert host_process.running(moved) is None


def handshake(context: ssl.SSLContext, ca: Path) -> None:
    """Shake hands with a server of these settings. Raises ssl.SSLError where `ca` did not sign."""
    client = ssl.create_default_context(cafile=str(ca))
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    there = client.wrap_bio(to_client, to_server, server_hostname="127.0.0.1")
    here = context.wrap_bio(to_server, to_client, server_side=True)
    for side in (there, here, there, here):
        with contextlib.suppress(ssl.SSLWantReadError):
            side.do_handshake()


def test_a_renewed_certificate_is_taken_up_and_a_broken_one_is_not(tmp_path: Path) -> None:
    ca, chain, key = own_certificate(tmp_path)
    other_ca, other_chain, other_key = own_certificate(tmp_path, "other")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)
    renewal = host_process.Renewal(context, (chain, key))
    assert renewal.check() is False
    chain.write_bytes(b"garbage")
    assert renewal.check() is False
    handshake(context, ca)
    chain.write_bytes(other_chain.read_bytes())
    key.write_bytes(other_key.read_bytes())
    assert renewal.check() is True
    handshake(context, other_ca)
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(context, ca)
    chain.unlink()
    assert renewal.check() is False


def test_names_that_are_no_names_are_refused(tmp_path: Path) -> None:
    config = load(settings(tmp_path))
    bad = config.model_copy(update={"group": config.group.model_copy(update={"public_url": "https://[::1"})})
    with pytest.raises(ConfigError, match="public_url"):
        host_process.authority(bad)
