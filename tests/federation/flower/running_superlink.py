"""The real SuperLink for tests, and a node that speaks to it as Flower's own SuperNode does."""

from __future__ import annotations

import contextlib
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from flwr.proto.fleet_pb2 import ActivateNodeRequest, PullMessagesRequest
from flwr.proto.node_pb2 import Node as NodeProto
from flwr.supernode.fleet_http_client import FleetHttpClient
from flwr.supernode.node_auth_http_interceptor import NodeAuthHttpInterceptor

from federation.flower import superlink
from federation.flower.superlink import SuperLinkAccess
from tests.ports import free_port

START_SECONDS = 60.0


@dataclass
class Link:
    """A running SuperLink."""

    process: subprocess.Popen[bytes]
    access: SuperLinkAccess
    arguments: list[str]
    environment: dict[str, str]


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Link]:
    """A SuperLink whose files are in `folder`; again in the same folder it has the same nodes."""
    superlink.prepare(folder)
    port = free_port()
    arguments, environment = superlink.command(folder, port)
    with (folder / "superlink.log").open("ab") as log:
        process = subprocess.Popen(arguments, env=environment, stdout=log, stderr=log)
    link = Link(process, superlink.access(folder, port), arguments, environment)
    try:
        wait_for(link)
        yield link
    finally:
        process.terminate()
        process.wait(10.0)


def wait_for(link: Link) -> None:
    context = ssl.create_default_context(cafile=str(link.access.ca))
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            urllib.request.urlopen(
                f"https://{link.access.address}/health", context=context, timeout=5
            ).close()
            return
        except OSError:
            if link.process.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.02)


Place = tuple[str, int]
_LISTEN = "0A"


def connections(pid: int) -> set[tuple[Place, Place, bool]]:
    """Every TCP socket of a process: its own end, the other end, whether it listens (Linux only)."""
    inodes = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            inodes.add(str(descriptor.readlink()).removeprefix("socket:[").removesuffix("]"))
    found = set()
    for table, family in (("tcp", socket.AF_INET), ("tcp6", socket.AF_INET6)):
        for line in Path(f"/proc/{pid}/net/{table}").read_text("ascii").splitlines()[1:]:
            parts = line.split()
            if parts[9] in inodes:
                found.add((_place(parts[1], family), _place(parts[2], family), parts[3] == _LISTEN))
    return found


def _place(text: str, family: int) -> Place:
    raw, _, port = text.partition(":")
    # Words of 32 bits in the machine's own order.
    words = bytes.fromhex(raw)
    packed = b"".join(words[at : at + 4][::-1] for at in range(0, len(words), 4))
    return socket.inet_ntop(family, packed), int(port, 16)


@dataclass
class Node:
    """A node with a key of its own. Errors are Flower's: `httpx.HTTPStatusError` and its relatives."""

    key: ec.EllipticCurvePrivateKey
    client: Any

    @property
    def public(self) -> bytes:
        return public_pem(self.key)

    def activate(self) -> int:
        answer = self.client.ActivateNode(
            ActivateNodeRequest(public_key=self.public, heartbeat_interval=30.0)
        )
        return int(answer.node_id)

    def pull(self, node_id: int) -> Any:
        return self.client.PullMessages(PullMessagesRequest(node=NodeProto(node_id=node_id)))


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP384R1())


def public_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


@contextlib.contextmanager
def node(address: str, ca: bytes, key: ec.EllipticCurvePrivateKey | None = None) -> Iterator[Node]:
    """A node by Flower's own client, at `HOST:PORT`."""
    key = key or new_key()
    interceptors = [NodeAuthHttpInterceptor(key, key.public_key())]
    with FleetHttpClient.from_server_address(address, False, ca, interceptors) as client:
        yield Node(key, client)
