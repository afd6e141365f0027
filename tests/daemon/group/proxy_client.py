"""A reverse proxy in a thread of its own before any upstream, and clients that may send it any bytes."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from daemon.group.hosting.proxy_upstream import Answer, Upstream
from daemon.group.hosting.reverse_proxy import Bounds, ReverseProxy
from federation.flower import certificates
from tests.federation.flower import running_superlink

NOT_FOUND = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
SECONDS = 10.0


class Counting(Upstream):
    """Knows what was asked of the SuperLink."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.heads: list[bytes] = []

    @contextlib.asynccontextmanager
    async def request(
        self, head: bytes, body: bytes = b"", rest: AsyncIterator[bytes] | None = None
    ) -> AsyncIterator[Answer]:
        self.heads.append(head)
        async with super().request(head, body, rest) as answer:
            yield answer


@dataclass
class RunningProxy:
    """A reverse proxy that is open."""

    address: str
    ca: Path
    server: ReverseProxy
    upstream: Counting
    up: bool = True

    def connect(self, context: ssl.SSLContext | None = None, source: str = "127.0.0.1") -> ssl.SSLSocket:
        context = context or ssl.create_default_context(cafile=str(self.ca))
        host, _, port = self.address.rpartition(":")
        plain = socket.create_connection((host, int(port)), timeout=SECONDS, source_address=(source, 0))
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            return context.wrap_socket(plain, server_hostname=host)
        except BaseException:
            plain.close()
            raise

    def answer(
        self, request: bytes, context: ssl.SSLContext | None = None, source: str = "127.0.0.1"
    ) -> bytes:
        """Send bytes, say that no more come, and return everything that comes back."""
        with self.connect(context, source) as connection:
            connection.sendall(request)
            return rest_of(connection)


def rest_of(connection: ssl.SSLSocket) -> bytes:
    """Return what comes until the other side closes."""
    found = b""
    with contextlib.suppress(ConnectionResetError, ssl.SSLEOFError):
        while part := connection.recv(65_536):
            found += part
    return found


def one_answer(connection: ssl.SSLSocket) -> tuple[int, bytes]:
    """Return status and body of the next answer on a connection that stays open."""
    found = b""
    while b"\r\n\r\n" not in found:
        part = connection.recv(65_536)
        if not part:
            raise EOFError("the connection was closed")
        found += part
    head, _, body = found.partition(b"\r\n\r\n")
    length = next(
        int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")
    )
    while len(body) < length:
        body += connection.recv(65_536)
    return int(head.split(b" ")[1]), body


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ")[1])


def signed(key: ec.EllipticCurvePrivateKey) -> dict[str, str]:
    """The three header fields by which a node shows its key (`node_auth_http_interceptor.py` of flwr)."""
    moment = datetime.now(UTC).isoformat()
    signature = key.sign(moment.encode(), ec.ECDSA(hashes.SHA256()))
    return {
        "flwr-public-key": base64.b64encode(running_superlink.public_pem(key)).decode(),
        "flwr-timestamp": moment,
        "flwr-signature": base64.b64encode(signature).decode(),
    }


def request(
    method: str,
    body: bytes = b"",
    key: ec.EllipticCurvePrivateKey | None = None,
    *,
    length: int | None = None,
    more: dict[str, str] | None = None,
) -> bytes:
    """A request as Flower's client writes it, apart from what is asked for."""
    fields = {
        "host": "group.example:9743",
        "accept": "application/protobuf",
        "accept-encoding": "gzip, deflate",
        "connection": "keep-alive",
        "user-agent": "python-httpx/0.28",
        "content-type": "application/protobuf",
        **(signed(key) if key else {}),
        "content-length": str(len(body) if length is None else length),
        **(more or {}),
    }
    lines = [f"POST /v1/fleet/{method} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


@contextlib.contextmanager
def opened(folder: Path, address: str, ca: Path, bounds: Bounds | None = None) -> Iterator[RunningProxy]:
    """A reverse proxy before the server at `address`, whose certificate `ca` has signed."""
    bounds = bounds or Bounds()
    material = certificates.ensure(folder / "proxy", ("127.0.0.1",), datetime.now(UTC))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(material.server)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    upstream = Counting(address, str(ca), answer_within=bounds.answer)
    server = ReverseProxy(context, lambda: upstream if proxy.up else None, bounds)
    proxy = RunningProxy(server.bind("127.0.0.1", 0), material.ca, server, upstream)

    async def begin() -> None:
        server.open()

    async def end() -> None:
        await server.close()
        upstream.close()
        # Sockets that were just aborted close in the next round.
        await asyncio.sleep(0.05)

    try:
        asyncio.run_coroutine_threadsafe(begin(), loop).result(SECONDS)
        yield proxy
    finally:
        asyncio.run_coroutine_threadsafe(end(), loop).result(SECONDS)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(SECONDS)
        loop.close()
