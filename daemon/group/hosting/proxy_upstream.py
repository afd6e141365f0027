"""The reverse proxy's connections to the SuperLink: few, and reused."""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from daemon.group.hosting.proxy_http import AnswerHead, read_answer

CHUNK: Final = 65_536
_KEPT: Final = 32
_KEPT_SECONDS: Final = 3.0
"""Uvicorn closes after five."""
_CONNECT_SECONDS: Final = 5.0


class SuperLinkGoneError(Exception):
    """The SuperLink does not answer, or not in a form that can be forwarded."""


@dataclass
class _Connection:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    new: bool
    since: float

    def drop(self) -> None:
        self.writer.transport.abort()


@dataclass
class Answer:
    """An answer whose body is still to come."""

    head: AnswerHead
    _connection: _Connection
    left: int

    async def body(self) -> AsyncIterator[bytes]:
        """Yield the body, at most `CHUNK` bytes at a time. Raises SuperLinkGoneError if it breaks off."""
        while self.left:
            chunk = await self._connection.reader.read(min(self.left, CHUNK))
            if not chunk:
                raise SuperLinkGoneError("the answer broke off")
            self.left -= len(chunk)
            yield chunk


class Upstream:
    """Connections to the SuperLink at `127.0.0.1:PORT`, whose certificate is signed by our own authority."""

    def __init__(self, address: str, ca: str, *, answer_within: float) -> None:
        host, _, port = address.rpartition(":")
        self.address, self._host, self._port = address, host, int(port)
        self._context = ssl.create_default_context(cafile=ca)
        self._within = answer_within
        self._idle: deque[_Connection] = deque()

    @asynccontextmanager
    async def request(
        self, head: bytes, body: bytes = b"", rest: AsyncIterator[bytes] | None = None
    ) -> AsyncIterator[Answer]:
        """Send a request with its body, whole or as a stream, and yield the answer.

        Raises:
            SuperLinkGoneError: no answer, or none that can be forwarded.
            TimeoutError: no answer in time.
        """
        connection, raw = await self._send(head, body, rest)
        found = read_answer(raw)
        if found is None:
            connection.drop()
            raise SuperLinkGoneError("the answer is malformed")
        answer = Answer(found, connection, found.length)
        try:
            yield answer
        finally:
            if answer.left == 0 and found.keep_alive and len(self._idle) < _KEPT:
                connection.new, connection.since = False, asyncio.get_running_loop().time()
                self._idle.append(connection)
            else:
                connection.drop()

    async def healthy(self, within: float) -> bool:
        """Tell whether it answers within `within` seconds."""
        try:
            head = f"GET /health HTTP/1.1\r\nhost: {self.address}\r\n\r\n".encode("ascii")
            async with asyncio.timeout(within), self.request(head) as answer:
                return answer.head.status == 200 and answer.head.length == 0
        except (SuperLinkGoneError, TimeoutError):
            return False

    def close(self) -> None:
        """Drop the idle connections."""
        while self._idle:
            self._idle.pop().drop()

    async def _send(
        self, head: bytes, body: bytes, rest: AsyncIterator[bytes] | None
    ) -> tuple[_Connection, bytes]:
        while True:
            connection = await self._connection()
            try:
                connection.writer.write(head + body)
                if rest is not None:
                    async for chunk in rest:
                        connection.writer.write(chunk)
                        await connection.writer.drain()
                async with asyncio.timeout(self._within):
                    await connection.writer.drain()
                    return connection, await connection.reader.readuntil(b"\r\n\r\n")
            except TimeoutError:
                connection.drop()
                raise
            except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
                connection.drop()
                # An idle connection may just have been closed; a stream cannot be sent again.
                if connection.new or rest is not None:
                    raise SuperLinkGoneError("no answer") from error
            except BaseException:
                connection.drop()
                raise

    async def _connection(self) -> _Connection:
        now = asyncio.get_running_loop().time()
        while self._idle:
            connection = self._idle.pop()
            if now - connection.since < _KEPT_SECONDS and await _is_quiet(connection):
                return connection
            connection.drop()
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                reader, writer = await asyncio.open_connection(
                    self._host, self._port, ssl=self._context, limit=CHUNK
                )
        except OSError as error:
            raise SuperLinkGoneError("no connection") from error
        return _Connection(reader, writer, new=True, since=now)


async def _is_quiet(connection: _Connection) -> bool:
    """Tell whether an idle connection is open, with nothing on it that was not requested."""
    try:
        async with asyncio.timeout(0):
            await connection.reader.read(1)
    except TimeoutError:
        return True
    except OSError:
        pass
    return False
