"""The one public listener of a group's host: a door in front of the SuperLink for what members need.

Flower's SuperLink answers its Fleet, Control and Runtime API on one port and asks nobody on the Control API
who they are, so nothing of it may be public but a few methods of the Fleet API. The fence reads whole heads,
lets pass what `daemon.group.hosting.proxy_http` understood, and says 404 to the rest without telling why.
Nobody can
hold much here: connections, bodies, requests under way and the time of each are bounded, and whom the
SuperLink never let in gets little of it.
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

from daemon.group.hosting.proxy_http import Asked, Known, bare, read_request
from daemon.group.hosting.proxy_upstream import CHUNK, Answer, SuperLinkGoneError, Upstream
from federation.errors import Refusal
from federation.http.load_limits import Shares, Turns
from policies.rates import TokenBuckets

logger = logging.getLogger(__name__)

_BACKLOG: Final = 128
_CLOSE_SECONDS: Final = 1.0


@dataclass(frozen=True)
class Bounds:
    """Times in seconds, sizes in bytes."""

    connections: int = 320
    """1000 members that ask every 20 seconds and beat every 30, each over one that stays for two: 170."""
    per_address: int = 32
    """Connections of one IPv4 address or IPv6 /64."""
    spare_loopback: bool = True
    """What holds for one address does not for loopback: all visitors of a proxy in front come from there."""
    visits: float = 10.0
    """New connections a second of one address: a handshake is the dearest thing that is free to ask for."""
    visits_at_once: float = 60.0
    handshake: float = 10.0
    head: float = 10.0
    """Until a whole head is there."""
    idle: float = 2.0
    """The same, after an answer. A member in a session asks again sooner, an idle one much later."""
    small: int = 65_536
    """A body of so much is read before the SuperLink hears of it; only objects are larger."""
    large: int = 9_437_184
    """One object on its way up or down: members and host split what is larger than 8 MiB."""
    slowest: float = 50_000.0
    """Bytes a second; large bodies and answers get as long as they take at this speed, and `head` more."""
    answer: float = 60.0
    """Until the SuperLink's answer begins."""
    listed: int = 1_048_576
    """Answers other than objects."""
    requests: float = 50.0
    """A second, of one address. A member in a session asks ten times a second."""
    requests_at_once: float = 200.0
    strangers: float = 20.0
    """Requests a second of all together whom the SuperLink never let in: a tenth of what it can do."""
    strangers_at_once: float = 100.0
    stranger_body: int = 8_192
    uploads: int = 268_435_456
    """Bytes of large bodies on their way at one time: the SuperLink holds each as a whole."""
    uploads_each: int = 75_497_472
    downloads: int = 8
    """Objects on their way to one member."""
    turn: float = 20.0
    """So long a request waits for its turn."""
    known: int = 4_096


@dataclass
class _Visit:
    """One connection. It is `working` from a whole small request on, until the answer is sent."""

    connection: socket.socket
    address: str
    spared: bool
    begun: bool = False
    answered: bool = False
    working: bool = False


class _TurnedAwayError(Exception):
    def __init__(self, reason: str, status: HTTPStatus) -> None:
        super().__init__(reason)
        self.reason, self.status = reason, status


class ReverseProxy:
    """The listener. `counts` says how many requests passed, and why others did not."""

    def __init__(
        self,
        context: ssl.SSLContext,
        upstream: Callable[[], Upstream | None],
        bounds: Bounds | None = None,
    ) -> None:
        self.counts: Counter[str] = Counter()
        self._context, self._upstream, self._bounds = context, upstream, bounds or Bounds()
        b = self._bounds
        self._visits: dict[asyncio.Task[None], _Visit] = {}
        self._known = Known(b.known)
        self._per_address = TokenBuckets(b.requests_at_once, b.requests, keys=b.known)
        self._visitors = TokenBuckets(b.visits_at_once, b.visits, keys=b.known)
        self._strangers = TokenBuckets(b.strangers_at_once, b.strangers)
        self._turns, self._down = Turns(), Turns()
        self._uploads = Shares(each=b.uploads_each, total=b.uploads)
        self._downloads = Shares(each=b.downloads, total=b.known)
        self._listener: socket.socket | None = None
        self._accepting: asyncio.Task[None] | None = None

    def bind(self, host: str, port: int) -> str:
        """Take the port and return `HOST:PORT`; nobody is answered yet. Raises OSError."""
        family, _, _, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        both = host == "::" and socket.has_dualstack_ipv6()
        self._listener = socket.create_server(where[:2], family=family, backlog=_BACKLOG, dualstack_ipv6=both)
        self._listener.settimeout(0)
        name, number = self._listener.getsockname()[:2]
        return f"[{name}]:{number}" if ":" in name else f"{name}:{number}"

    def open(self) -> None:
        """Begin to answer."""
        if self._listener is None:
            raise ValueError("the fence has no port yet")
        self._accepting = asyncio.create_task(self._accept(self._listener))

    async def close(self) -> None:
        """Stop answering, drop every connection and free the port."""
        tasks = [*self._visits, *([self._accepting] if self._accepting else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._listener is not None:
            self._listener.close()

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, there = await loop.sock_accept(listener)
            except OSError:
                # No file descriptor is left, or the visitor has gone already.
                await asyncio.sleep(0.05)
                continue
            address, loopback = _address(there[0])
            visit = _Visit(connection, address, spared=loopback and self._bounds.spare_loopback)
            if not self._makes_room(visit):
                self.counts["crowded"] += 1
                connection.close()
                continue
            task = asyncio.create_task(self._receive(visit))
            self._visits[task] = visit
            task.add_done_callback(functools.partial(self._forget, visit))

    def _forget(self, visit: _Visit, task: asyncio.Task[None]) -> None:
        self._visits.pop(task, None)
        if not visit.begun:
            visit.connection.close()
        if not task.cancelled() and task.exception() is not None:
            self.counts["bug"] += 1
            logger.error("a connection ended with an error", extra={"kind": type(task.exception()).__name__})

    def _makes_room(self, visit: _Visit) -> bool:
        """Let in, in the place of the connection that has been idle longest where there are too many."""
        if not visit.spared:
            if not self._visitors.take(visit.address):
                return False
            here = sum(known.address == visit.address for known in self._visits.values())
            if here >= self._bounds.per_address:
                return False
        if len(self._visits) < self._bounds.connections:
            return True
        idle = next((task for task, known in self._visits.items() if not known.working), None)
        if idle is None:
            return False
        self.counts["gave way"] += 1
        del self._visits[idle]
        idle.cancel()
        return True

    async def _receive(self, visit: _Visit) -> None:
        visit.begun = True
        loop, transport = asyncio.get_running_loop(), None
        reader = asyncio.StreamReader(limit=CHUNK)
        protocol = asyncio.StreamReaderProtocol(reader)
        try:
            # asyncio does it for its own sockets only: without it every second small record waits for 40 ms.
            visit.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            transport, _ = await loop.connect_accepted_socket(
                lambda: protocol,
                visit.connection,
                ssl=self._context,
                ssl_handshake_timeout=self._bounds.handshake,
                ssl_shutdown_timeout=_CLOSE_SECONDS,
            )
            writer = asyncio.StreamWriter(transport, protocol, reader, loop)
            while await self._request(reader, writer, visit):
                visit.working, visit.answered = False, True
            writer.close()
            async with asyncio.timeout(2 * _CLOSE_SECONDS):
                await writer.wait_closed()
        except (OSError, EOFError, SuperLinkGoneError):
            # Whoever has an answer and leaves has done nothing wrong.
            if visit.working or not visit.answered:
                self.counts["broken off"] += 1
        finally:
            if transport is None:
                visit.connection.close()
            else:
                transport.abort()

    async def _request(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, visit: _Visit
    ) -> bool:
        """Read a request and answer it; say whether the connection stays."""
        asked = None
        async with asyncio.timeout(self._bounds.idle if visit.answered else self._bounds.head):
            with contextlib.suppress(asyncio.LimitOverrunError):
                asked = read_request(await reader.readuntil(b"\r\n\r\n"))
        sent = False
        try:
            if asked is None:
                raise _TurnedAwayError("not for here", HTTPStatus.NOT_FOUND)
            upstream = self._upstream()
            if not asked.method:
                status = HTTPStatus.OK if upstream is not None else HTTPStatus.SERVICE_UNAVAILABLE
                return await self._say(writer, bare(status, keep=asked.keep), keep=asked.keep)
            self._check(asked, visit)
            if upstream is None:
                raise _TurnedAwayError("no SuperLink", HTTPStatus.SERVICE_UNAVAILABLE)
            async with self._passed(asked, reader, visit, upstream) as answer:
                sent = True
                await self._hand_over(answer, writer, keep=asked.keep)
            return asked.keep
        except _TurnedAwayError as away:
            reason, status = away.reason, away.status
        except Refusal:
            reason, status = "busy", HTTPStatus.SERVICE_UNAVAILABLE
        except SuperLinkGoneError:
            reason, status = "no SuperLink", HTTPStatus.SERVICE_UNAVAILABLE
        except TimeoutError:
            reason, status = "too slow", HTTPStatus.GATEWAY_TIMEOUT
        self.counts[reason] += 1
        # In the middle of an answer nothing can be said but that it broke off.
        return False if sent else await self._say(writer, bare(status), keep=False)

    def _check(self, asked: Asked, visit: _Visit) -> None:
        if not visit.spared and not self._per_address.take(visit.address):
            raise _TurnedAwayError("too many", HTTPStatus.SERVICE_UNAVAILABLE)
        if not asked.who:
            raise _TurnedAwayError("unsigned", HTTPStatus.UNAUTHORIZED)
        stranger = (visit.address, asked.who) not in self._known
        if stranger and not self._strangers.take():
            raise _TurnedAwayError("too many strangers", HTTPStatus.SERVICE_UNAVAILABLE)
        if stranger and asked.length > self._bounds.stranger_body:
            # A member whom this fence has not seen yet: what it asks for all the time is small.
            raise _TurnedAwayError("not known yet", HTTPStatus.SERVICE_UNAVAILABLE)
        if asked.length > (self._bounds.large if asked.method == "push-object" else self._bounds.small):
            raise _TurnedAwayError("oversized", HTTPStatus.REQUEST_ENTITY_TOO_LARGE)

    @contextlib.asynccontextmanager
    async def _passed(
        self, asked: Asked, reader: asyncio.StreamReader, visit: _Visit, upstream: Upstream
    ) -> AsyncIterator[Answer | bytes]:
        """Send a request on. Yields the answer: whole, or to be read on where it is an object."""
        b, head, who = self._bounds, asked.head(upstream.address), asked.who.hex()
        async with contextlib.AsyncExitStack() as held:
            if asked.length > b.small:
                held.enter_context(self._uploads.taken(who, asked.length))
                visit.working = True
                body, rest = b"", _parts(reader, asked.length)
                await held.enter_async_context(asyncio.timeout(self._time_for(asked.length) + b.answer))
            else:
                async with asyncio.timeout(b.head):
                    body, rest = await reader.readexactly(asked.length), None
                # Before this it may have to give way: whoever sends half a request holds no place.
                visit.working = True
                if asked.method == "pull-object":
                    held.enter_context(self._downloads.taken(who))
                await self._turn(held, self._down if asked.method == "pull-object" else self._turns)
            answer = await held.enter_async_context(upstream.asked(head, body, rest))
            self._learn(asked, visit, answer)
            self.counts["passed"] += 1
            if answer.head.length > (b.large if asked.method == "pull-object" else b.listed):
                raise _TurnedAwayError("endless answer", HTTPStatus.BAD_GATEWAY)
            if asked.method == "pull-object":
                yield answer
                return
            async with asyncio.timeout(b.answer):
                whole = answer.head.head(keep=asked.keep) + b"".join([part async for part in answer.body()])
        yield whole

    async def _turn(self, held: contextlib.AsyncExitStack, turns: Turns) -> None:
        try:
            async with asyncio.timeout(self._bounds.turn):
                await held.enter_async_context(turns.one())
        except TimeoutError:
            raise _TurnedAwayError("busy", HTTPStatus.SERVICE_UNAVAILABLE) from None

    def _learn(self, asked: Asked, visit: _Visit, answer: Answer) -> None:
        # The SuperLink says yes to nobody whose signature by this key it has not checked.
        if answer.head.status == HTTPStatus.OK:
            self._known.add((visit.address, asked.who))
        elif answer.head.status == HTTPStatus.UNAUTHORIZED:
            self._known.discard((visit.address, asked.who))

    async def _hand_over(self, answer: Answer | bytes, writer: asyncio.StreamWriter, *, keep: bool) -> None:
        size = len(answer) if isinstance(answer, bytes) else answer.head.length
        async with asyncio.timeout(self._time_for(size)):
            if isinstance(answer, bytes):
                writer.write(answer)
            else:
                writer.write(answer.head.head(keep=keep))
                async for part in answer.body():
                    writer.write(part)
                    await writer.drain()
            await writer.drain()

    async def _say(self, writer: asyncio.StreamWriter, answer: bytes, *, keep: bool) -> bool:
        async with asyncio.timeout(self._bounds.head):
            writer.write(answer)
            await writer.drain()
        return keep

    def _time_for(self, size: int) -> float:
        return self._bounds.head + size / self._bounds.slowest


async def _parts(reader: asyncio.StreamReader, length: int) -> AsyncIterator[bytes]:
    while length:
        part = await reader.read(min(length, CHUNK))
        if not part:
            raise asyncio.IncompleteReadError(b"", length)
        length -= len(part)
        yield part


def _address(there: str) -> tuple[str, bool]:
    """Return what counts as one visitor, and whether it is this machine."""
    found = ipaddress.ip_address(there.partition("%")[0])
    found = getattr(found, "ipv4_mapped", None) or found
    if found.version == 6:
        return str(ipaddress.ip_network((found, 64), strict=False)), found.is_loopback
    return str(found), found.is_loopback
