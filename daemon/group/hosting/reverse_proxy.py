"""The public listener of a group's host: a reverse proxy in front of the SuperLink for what members need.

Flower's SuperLink has its Fleet, Control and Runtime API on one port, and its Control API authenticates
nobody, so only a few methods of the Fleet API may be public. The proxy reads a whole head, forwards what
`daemon.group.hosting.proxy_http` understands, and answers 404 to everything else without giving a reason.
Connections, bodies, requests in progress and the time for each are bounded, and clients that the SuperLink
never accepted get little of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import ipaddress
import logging
import socket
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from daemon.group.hosting.proxy_http import RecentClients, Request, empty_answer, read_request
from daemon.group.hosting.proxy_upstream import CHUNK, Answer, SuperLinkGoneError, Upstream
from federation.errors import Refusal
from federation.http.load_limits import Quotas, Slots
from policies.rates import TokenBuckets

logger = logging.getLogger(__name__)

_BACKLOG: Final = 128
_CLOSE_SECONDS: Final = 1.0


@dataclass(frozen=True)
class Bounds:
    """Times in seconds, sizes in bytes."""

    connections: int = 320
    """1,000 members that poll every 20 seconds and send a heartbeat every 30, each over a connection that
    stays open for two seconds, have 170."""
    per_address: int = 32
    """Connections of one IPv4 address or IPv6 /64."""
    exempt_loopback: bool = True
    """Limits for one address do not hold for loopback: behind another proxy all clients come from there."""
    new_connections: float = 10.0
    """New connections a second of one address: the handshake is the most expensive thing anybody can ask."""
    new_connections_burst: float = 60.0
    handshake: float = 10.0
    head: float = 10.0
    """Until a complete head has arrived."""
    idle: float = 2.0
    """The same, after an answer. In a round members send the next request sooner, idle ones much later."""
    small: int = 65_536
    """A body up to this size is read before the SuperLink is contacted; only objects are larger."""
    large: int = 9_437_184
    """One object, up or down: members and host split what is larger than 8 MiB."""
    slowest: float = 50_000.0
    """Bytes a second; large bodies and answers get as long as they take at this speed, and `head` more."""
    answer: float = 60.0
    """Until the SuperLink's answer begins."""
    small_answer: int = 1_048_576
    """Answers other than objects."""
    requests: float = 50.0
    """A second, of one address. A member in a round sends ten a second."""
    requests_burst: float = 200.0
    strangers: float = 20.0
    """Requests a second of all clients that the SuperLink never accepted: a tenth of its capacity."""
    strangers_burst: float = 100.0
    stranger_body: int = 8_192
    uploads: int = 268_435_456
    """Bytes of large bodies at one time: the SuperLink holds each of them in memory."""
    uploads_each: int = 75_497_472
    downloads: int = 8
    """Objects sent to one member at one time."""
    slot_wait: float = 20.0
    """Until a request gets a slot."""
    recent_clients: int = 4_096
    """Clients and addresses that are remembered."""


@dataclass
class _Connection:
    """One connection. It is `working` from when a small request is complete until the answer is sent."""

    sock: socket.socket
    address: str
    exempt: bool
    begun: bool = False
    answered: bool = False
    working: bool = False


class _RejectedError(Exception):
    def __init__(self, reason: str, status: HTTPStatus) -> None:
        super().__init__(reason)
        self.reason, self.status = reason, status


class ReverseProxy:
    """The listener. `counts` holds how many requests were forwarded, and why others were not."""

    def __init__(
        self,
        context: ssl.SSLContext,
        upstream: Callable[[], Upstream | None],
        bounds: Bounds | None = None,
    ) -> None:
        self.counts: Counter[str] = Counter()
        self._context, self._upstream, self._bounds = context, upstream, bounds or Bounds()
        b = self._bounds
        self._connections: dict[asyncio.Task[None], _Connection] = {}
        self._recent = RecentClients(b.recent_clients)
        self._per_address = TokenBuckets(b.requests_burst, b.requests, keys=b.recent_clients)
        self._new_connections = TokenBuckets(
            b.new_connections_burst, b.new_connections, keys=b.recent_clients
        )
        self._strangers = TokenBuckets(b.strangers_burst, b.strangers)
        self._slots, self._download_slots = Slots(), Slots()
        self._uploads = Quotas(each=b.uploads_each, total=b.uploads)
        self._downloads = Quotas(each=b.downloads, total=b.recent_clients)
        self._listener: socket.socket | None = None
        self._accepting: asyncio.Task[None] | None = None

    def bind(self, host: str, port: int) -> str:
        """Take the port and return `HOST:PORT`; nobody is answered yet. Raises OSError."""
        family, _, _, _, bind_address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        dual_stack = host == "::" and socket.has_dualstack_ipv6()
        self._listener = socket.create_server(
            bind_address[:2], family=family, backlog=_BACKLOG, dualstack_ipv6=dual_stack
        )
        self._listener.settimeout(0)
        name, number = self._listener.getsockname()[:2]
        return f"[{name}]:{number}" if ":" in name else f"{name}:{number}"

    def open(self) -> None:
        """Begin to answer."""
        if self._listener is None:
            raise ValueError("the reverse proxy has no port yet")
        self._accepting = asyncio.create_task(self._accept(self._listener))

    async def close(self) -> None:
        """Stop answering, drop every connection and free the port."""
        tasks = [*self._connections, *([self._accepting] if self._accepting else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._listener is not None:
            self._listener.close()

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                sock, peer = await loop.sock_accept(listener)
            except OSError:
                # No file descriptor is left, or the client is gone already.
                await asyncio.sleep(0.05)
                continue
            address, loopback = _address(peer[0])
            connection = _Connection(sock, address, exempt=loopback and self._bounds.exempt_loopback)
            if not self._make_room(connection):
                self.counts["too many connections"] += 1
                sock.close()
                continue
            task = asyncio.create_task(self._serve(connection))
            self._connections[task] = connection
            task.add_done_callback(functools.partial(self._release, connection))

    def _release(self, connection: _Connection, task: asyncio.Task[None]) -> None:
        self._connections.pop(task, None)
        if not connection.begun:
            connection.sock.close()
        if not task.cancelled() and task.exception() is not None:
            self.counts["bug"] += 1
            logger.error("a connection ended with an error", extra={"kind": type(task.exception()).__name__})

    def _make_room(self, connection: _Connection) -> bool:
        """Tell whether a new connection may stay; the one that has been idle longest is closed if need be."""
        if not connection.exempt:
            if not self._new_connections.take(connection.address):
                return False
            here = sum(known.address == connection.address for known in self._connections.values())
            if here >= self._bounds.per_address:
                return False
        if len(self._connections) < self._bounds.connections:
            return True
        idle = next((task for task, known in self._connections.items() if not known.working), None)
        if idle is None:
            return False
        self.counts["closed for a new one"] += 1
        del self._connections[idle]
        idle.cancel()
        return True

    async def _serve(self, connection: _Connection) -> None:
        connection.begun = True
        loop, transport = asyncio.get_running_loop(), None
        reader = asyncio.StreamReader(limit=CHUNK)
        protocol = asyncio.StreamReaderProtocol(reader)
        try:
            # asyncio sets it for its own sockets only: without it every second small record waits for 40 ms.
            connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            transport, _ = await loop.connect_accepted_socket(
                lambda: protocol,
                connection.sock,
                ssl=self._context,
                ssl_handshake_timeout=self._bounds.handshake,
                ssl_shutdown_timeout=_CLOSE_SECONDS,
            )
            writer = asyncio.StreamWriter(transport, protocol, reader, loop)
            while await self._request(reader, writer, connection):
                connection.working, connection.answered = False, True
            writer.close()
            async with asyncio.timeout(2 * _CLOSE_SECONDS):
                await writer.wait_closed()
        except (OSError, EOFError, SuperLinkGoneError):
            # A client that closes the connection after an answer did nothing wrong.
            if connection.working or not connection.answered:
                self.counts["broken off"] += 1
        finally:
            if transport is None:
                connection.sock.close()
            else:
                transport.abort()

    async def _request(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: _Connection
    ) -> bool:
        """Read a request and answer it; tell whether the connection stays open."""
        request = None
        async with asyncio.timeout(self._bounds.idle if connection.answered else self._bounds.head):
            with contextlib.suppress(asyncio.LimitOverrunError):
                request = read_request(await reader.readuntil(b"\r\n\r\n"))
        sent = False
        try:
            if request is None:
                raise _RejectedError("not found", HTTPStatus.NOT_FOUND)
            upstream = self._upstream()
            if not request.method:
                status = HTTPStatus.OK if upstream is not None else HTTPStatus.SERVICE_UNAVAILABLE
                return await self._send(
                    writer, empty_answer(status, keep_alive=request.keep_alive), keep_alive=request.keep_alive
                )
            self._check(request, connection)
            if upstream is None:
                raise _RejectedError("no SuperLink", HTTPStatus.SERVICE_UNAVAILABLE)
            async with self._forward(request, reader, connection, upstream) as answer:
                sent = True
                await self._send_answer(answer, writer, keep_alive=request.keep_alive)
            return request.keep_alive
        except _RejectedError as rejected:
            reason, status = rejected.reason, rejected.status
        except Refusal:
            reason, status = "busy", HTTPStatus.SERVICE_UNAVAILABLE
        except SuperLinkGoneError:
            reason, status = "no SuperLink", HTTPStatus.SERVICE_UNAVAILABLE
        except TimeoutError:
            reason, status = "too slow", HTTPStatus.GATEWAY_TIMEOUT
        self.counts[reason] += 1
        # In the middle of an answer the connection can only be closed.
        return False if sent else await self._send(writer, empty_answer(status), keep_alive=False)

    def _check(self, request: Request, connection: _Connection) -> None:
        if not connection.exempt and not self._per_address.take(connection.address):
            raise _RejectedError("too many requests", HTTPStatus.SERVICE_UNAVAILABLE)
        if not request.client:
            raise _RejectedError("unsigned", HTTPStatus.UNAUTHORIZED)
        stranger = (connection.address, request.client) not in self._recent
        if stranger and not self._strangers.take():
            raise _RejectedError("too many strangers", HTTPStatus.SERVICE_UNAVAILABLE)
        if stranger and request.length > self._bounds.stranger_body:
            # A member that this proxy does not know yet: its regular requests are small.
            raise _RejectedError("unknown client", HTTPStatus.SERVICE_UNAVAILABLE)
        if request.length > (self._bounds.large if request.method == "push-object" else self._bounds.small):
            raise _RejectedError("oversized", HTTPStatus.REQUEST_ENTITY_TOO_LARGE)

    @contextlib.asynccontextmanager
    async def _forward(
        self, request: Request, reader: asyncio.StreamReader, connection: _Connection, upstream: Upstream
    ) -> AsyncIterator[Answer | bytes]:
        """Forward a request. Yields the answer: complete, or an object with its body still to be read."""
        b, head, client = self._bounds, request.head(upstream.address), request.client.hex()
        async with contextlib.AsyncExitStack() as held:
            if request.length > b.small:
                held.enter_context(self._uploads.hold(client, request.length))
                connection.working = True
                body, rest = b"", _chunks(reader, request.length)
                await held.enter_async_context(asyncio.timeout(self._time_for(request.length) + b.answer))
            else:
                async with asyncio.timeout(b.head):
                    body, rest = await reader.readexactly(request.length), None
                # Before this it may be closed for a new one: half a request keeps no connection.
                connection.working = True
                if request.method == "pull-object":
                    held.enter_context(self._downloads.hold(client))
                await self._wait_for_slot(
                    held, self._download_slots if request.method == "pull-object" else self._slots
                )
            answer = await held.enter_async_context(upstream.request(head, body, rest))
            self._remember(request, connection, answer)
            self.counts["forwarded"] += 1
            if answer.head.length > (b.large if request.method == "pull-object" else b.small_answer):
                raise _RejectedError("oversized answer", HTTPStatus.BAD_GATEWAY)
            if request.method == "pull-object":
                yield answer
                return
            async with asyncio.timeout(b.answer):
                whole = answer.head.head(keep_alive=request.keep_alive) + b"".join(
                    [chunk async for chunk in answer.body()]
                )
        yield whole

    async def _wait_for_slot(self, held: contextlib.AsyncExitStack, slots: Slots) -> None:
        try:
            async with asyncio.timeout(self._bounds.slot_wait):
                await held.enter_async_context(slots.slot())
        except TimeoutError:
            raise _RejectedError("busy", HTTPStatus.SERVICE_UNAVAILABLE) from None

    def _remember(self, request: Request, connection: _Connection, answer: Answer) -> None:
        # The SuperLink accepts a request only after it has checked the signature with this key.
        if answer.head.status == HTTPStatus.OK:
            self._recent.add((connection.address, request.client))
        elif answer.head.status == HTTPStatus.UNAUTHORIZED:
            self._recent.discard((connection.address, request.client))

    async def _send_answer(
        self, answer: Answer | bytes, writer: asyncio.StreamWriter, *, keep_alive: bool
    ) -> None:
        size = len(answer) if isinstance(answer, bytes) else answer.head.length
        async with asyncio.timeout(self._time_for(size)):
            if isinstance(answer, bytes):
                writer.write(answer)
            else:
                writer.write(answer.head.head(keep_alive=keep_alive))
                async for chunk in answer.body():
                    writer.write(chunk)
                    await writer.drain()
            await writer.drain()

    async def _send(self, writer: asyncio.StreamWriter, answer: bytes, *, keep_alive: bool) -> bool:
        async with asyncio.timeout(self._bounds.head):
            writer.write(answer)
            await writer.drain()
        return keep_alive

    def _time_for(self, size: int) -> float:
        return self._bounds.head + size / self._bounds.slowest


async def _chunks(reader: asyncio.StreamReader, length: int) -> AsyncIterator[bytes]:
    while length:
        chunk = await reader.read(min(length, CHUNK))
        if not chunk:
            raise asyncio.IncompleteReadError(b"", length)
        length -= len(chunk)
        yield chunk


def _address(peer: str) -> tuple[str, bool]:
    """Return what is counted as one address, and whether it is this machine."""
    found = ipaddress.ip_address(peer.partition("%")[0])
    found = getattr(found, "ipv4_mapped", None) or found
    if found.version == 6:
        return str(ipaddress.ip_network((found, 64), strict=False)), found.is_loopback
    return str(found), found.is_loopback
