"""What the listener for peers holds at one time, and for how long; beyond that it says `busy`.

A peer's own requests never fill what others need: each has few slots, and strangers share the slots of one.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from federation.errors import Code, Refusal

MAX_READING = 256
"""Bodies that are being read. When a further one comes, the one that has taken longest is given up."""
MAX_WAITING = 64
"""Whole requests that wait for their turn."""
MAX_AT_ONCE = 16
"""Requests that are worked on."""
MAX_PER_SENDER = 4
"""Requests of one peer, or of all strangers together, from their check until their answer is sent."""
MAX_SENDING = 268_435_456
"""Bytes of large answers on their way: four of the largest there are."""
MAX_SENDING_EACH = 201_326_592
MAX_PREPARING = 4
"""Sums being prepared, one per aggregator."""
BODY_WITHIN = 10.0
ANSWER_WITHIN = 20.0
"""Until a sum that is being prepared is answered with "ask again"."""
SEND_WITHIN = 180.0
"""A masked vector of 33 MB over a line of 1.5 Mbit/s."""
FETCH_WITHIN = 120.0


class Readers:
    """Bounds how many bodies are read, and how long each may take; who sends slowly gives way."""

    def __init__(self) -> None:
        self._timeouts: dict[object, asyncio.Timeout] = {}

    @asynccontextmanager
    async def one(self) -> AsyncIterator[None]:
        """Read within this block. Raises Refusal (`malformed`) when it takes too long."""
        if len(self._timeouts) >= MAX_READING:
            slowest = next(iter(self._timeouts))
            self._timeouts.pop(slowest).reschedule(asyncio.get_running_loop().time())
        mine = object()
        try:
            async with asyncio.timeout(BODY_WITHIN) as timeout:
                self._timeouts[mine] = timeout
                yield
        except TimeoutError:
            raise Refusal(Code.MALFORMED, "the request did not arrive in time") from None
        finally:
            self._timeouts.pop(mine, None)


class Turns:
    """A bounded number of blocks at once, and a bounded queue of those that wait, in order."""

    def __init__(self) -> None:
        self._turns = asyncio.Semaphore(MAX_AT_ONCE)
        self._waiting = 0

    @asynccontextmanager
    async def one(self) -> AsyncIterator[None]:
        """Wait for a turn. Raises Refusal (`busy`) when too many wait already."""
        if self._turns.locked():
            if self._waiting >= MAX_WAITING:
                raise _busy()
            self._waiting += 1
            try:
                await self._turns.acquire()
            finally:
                self._waiting -= 1
        else:
            await self._turns.acquire()
        try:
            yield
        finally:
            self._turns.release()


class Shares:
    """Bounds the total of an amount, and each name's part of it."""

    def __init__(self, *, each: int, total: int) -> None:
        self._each, self._total = each, total
        self._taken: Counter[str] = Counter()

    @contextmanager
    def taken(self, name: str, amount: int = 1) -> Iterator[None]:
        """Hold an amount within this block. Raises Refusal (`busy`) when there is not so much left."""
        if self._taken[name] + amount > self._each or self._taken.total() + amount > self._total:
            raise _busy()
        self._taken[name] += amount
        try:
            yield
        finally:
            self._taken[name] -= amount
            if not self._taken[name]:
                del self._taken[name]


def _busy() -> Refusal:
    return Refusal(Code.BUSY, "too many requests at once; try again")
