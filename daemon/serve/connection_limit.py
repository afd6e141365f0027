"""Bounds the connections of each listener: above its limit, the oldest idle one gives way.

aiohttp waits for a first request for as long as it takes, so that without this a few thousand silent
connections to one listener would use up the file descriptors, those of the other included.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

MAX_CONNECTIONS: Final = 512
"""From peers: more than `federation.http.load_limits` lets be read, worked on and answered at one time."""
MAX_LOCAL: Final = 256
"""To the local API: more than PeerTube's processes and some commands open. Both limits, a job's pipes and the
database stay below the 1,024 files that a process may have open where nobody raised that."""


class ConnectionLimit:
    """Knows which connections have a request under way; `most` may be open at a time."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._working: set[asyncio.BaseTransport | None] = set()

    @web.middleware
    async def middleware(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Keep the connection for as long as its request is handled."""
        transport = request.transport
        self._working.add(transport)
        try:
            return await handler(request)
        finally:
            self._working.discard(transport)

    def bounded(self, server: web.Server) -> Callable[[], asyncio.BaseProtocol]:
        """Return what makes a protocol for each new connection of the listener."""

        def make() -> asyncio.BaseProtocol:
            # A connection that was closed stays among them for a moment.
            open_ = (known.transport for known in server.connections)
            there = [transport for transport in open_ if transport and not transport.is_closing()]
            # Those accepted in one go are not among them yet: there may be more than one too many.
            surplus = len(there) - self._most + 1
            idle = [transport for transport in there if transport not in self._working]
            if surplus > len(idle):
                return _Closed()
            for transport in idle[: max(surplus, 0)]:
                transport.abort()
            return server()

        return make


class LimitedSite(web.BaseSite):
    """A listener on `host` and `port` whose connections are limited."""

    def __init__(self, runner: web.AppRunner, limit: ConnectionLimit, host: str, port: int) -> None:
        super().__init__(runner)
        self._limit, self._address = limit, (host, port)

    @property
    def name(self) -> str:
        """Where it listens."""
        return f"{self._address[0]}:{self._address[1]}"

    async def start(self) -> None:
        """Listen. Raises OSError where that cannot be."""
        await super().start()
        server = self._runner.server
        if server is None:
            raise ValueError("the runner must be set up first")
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._limit.bounded(server), *self._address)


class _Closed(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.Transport):
            transport.abort()
