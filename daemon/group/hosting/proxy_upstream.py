"""The fence's side towards the SuperLink: few connections, used again while they are as expected."""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from daemon.group.hosting.proxy_http import Answered, read_answer

CHUNK: Final = 65_536
_KEPT: Final = 32
_KEPT_SECONDS: Final = 3.0
"""Uvicorn closes after five."""
_CONNECT_SECONDS: Final = 5.0


class SuperLinkGoneError(Exception):
    """The SuperLink does not answer, or not in a form that can be passed on."""


@dataclass
class _Line:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    fresh: bool
    since: float

    def drop(self) -> None:
        self.writer.transport.abort()


@dataclass
class Answer:
    """An answer whose body is still to come."""

    head: Answered
    _line: _Line
    left: int

    async def body(self) -> AsyncIterator[bytes]:
        """Yield the body, at most `CHUNK` bytes at a time. Raises SuperLinkGoneError where it breaks off."""
        while self.left:
            part = await self._line.reader.read(min(self.left, CHUNK))
            if not part:
                raise SuperLinkGoneError("the answer broke off")
            self.left -= len(part)
            yield part


class Upstream:
    """Connections to the SuperLink at `127.0.0.1:PORT`, which shows a certificate of our own authority."""

    def __init__(self, address: str, ca: str, *, answer_within: float) -> None:
        host, _, port = address.rpartition(":")
        self.address, self._host, self._port = address, host, int(port)
        self._context = ssl.create_default_context(cafile=ca)
        self._within = answer_within
        self._idle: deque[_Line] = deque()

    @asynccontextmanager
    async def asked(
        self, head: bytes, body: bytes = b"", rest: AsyncIterator[bytes] | None = None
    ) -> AsyncIterator[Answer]:
        """Send a request, its body or the stream of it, and give the answer.

        Raises:
            SuperLinkGoneError: no answer, or none that can be passed on.
            TimeoutError: no answer in time.
        """
        line, raw = await self._sent(head, body, rest)
        found = read_answer(raw)
        if found is None:
            line.drop()
            raise SuperLinkGoneError("the answer makes no sense")
        answer = Answer(found, line, found.length)
        try:
            yield answer
        finally:
            if answer.left == 0 and found.keep and len(self._idle) < _KEPT:
                line.fresh, line.since = False, asyncio.get_running_loop().time()
                self._idle.append(line)
            else:
                line.drop()

    async def healthy(self, within: float) -> bool:
        """Say whether it answers within so many seconds."""
        try:
            head = f"GET /health HTTP/1.1\r\nhost: {self.address}\r\n\r\n".encode("ascii")
            async with asyncio.timeout(within), self.asked(head) as answer:
                return answer.head.status == 200 and answer.head.length == 0
        except (SuperLinkGoneError, TimeoutError):
            return False

    def close(self) -> None:
        """Drop the connections that wait."""
        while self._idle:
            self._idle.pop().drop()

    async def _sent(self, head: bytes, body: bytes, rest: AsyncIterator[bytes] | None) -> tuple[_Line, bytes]:
        while True:
            line = await self._line()
            try:
                line.writer.write(head + body)
                if rest is not None:
                    async for part in rest:
                        line.writer.write(part)
                        await line.writer.drain()
                async with asyncio.timeout(self._within):
                    await line.writer.drain()
                    return line, await line.reader.readuntil(b"\r\n\r\n")
            except TimeoutError:
                line.drop()
                raise
            except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
                line.drop()
                # A connection that was kept may have been closed just now; a stream cannot be sent again.
                if line.fresh or rest is not None:
                    raise SuperLinkGoneError("no answer") from error
            except BaseException:
                line.drop()
                raise

    async def _line(self) -> _Line:
        now = asyncio.get_running_loop().time()
        while self._idle:
            line = self._idle.pop()
            if now - line.since < _KEPT_SECONDS and await _quiet(line):
                return line
            line.drop()
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                reader, writer = await asyncio.open_connection(
                    self._host, self._port, ssl=self._context, limit=CHUNK
                )
        except OSError as error:
            raise SuperLinkGoneError("no connection") from error
        return _Line(reader, writer, fresh=True, since=now)


async def _quiet(line: _Line) -> bool:
    """Say whether a kept connection is open and nothing came on it that nobody asked for."""
    try:
        async with asyncio.timeout(0):
            await line.reader.read(1)
    except TimeoutError:
        return True
    except OSError:
        pass
    return False
