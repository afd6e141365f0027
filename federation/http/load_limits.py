"""How much the listener for peers holds at one time, and for how long; beyond that it answers `busy`.

No peer can use up what others need: each has few slots, and all strangers together have those of one peer.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from federation.errors import Code, Refusal, silence

MAX_CACHED = 2_000_000
"""Bytes of a request that came to this machine before: the largest document of a group has 1.8 MB."""
MAX_READING = 256
"""Bodies being read. When one more arrives, the one that has taken longest is dropped."""
MAX_WAITING = 64
"""Complete requests that wait for a slot."""
MAX_AT_ONCE = 16
"""Requests being handled."""
MAX_PER_SENDER = 4
"""Requests of one peer, or of all strangers together, from their check until their answer is sent."""
MAX_SENDING = 268_435_456
"""Bytes of large answers being sent: four of the largest there are."""
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
    """Bounds how many bodies are read, and how long each may take; slow senders give way."""

    def __init__(self) -> None:
        self._timeouts: dict[object, asyncio.Timeout] = {}

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[None]:
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


class Slots:
    """Bounds how many requests are handled at once, and how many wait, in order."""

    def __init__(self) -> None:
        self._free = asyncio.Semaphore(MAX_AT_ONCE)
        self._waiting = 0

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Wait for a slot and hold it within this block. Raises Refusal (`busy`) when too many wait."""
        if self._free.locked():
            if self._waiting >= MAX_WAITING:
                raise silence()
            self._waiting += 1
            try:
                await self._free.acquire()
            finally:
                self._waiting -= 1
        else:
            await self._free.acquire()
        try:
            yield
        finally:
            self._free.release()


class Quotas:
    """Bounds an amount in total and for each name."""

    def __init__(self, *, each: int, total: int) -> None:
        self._each, self._total = each, total
        self._held: Counter[str] = Counter()

    @contextmanager
    def hold(self, name: str, amount: int = 1) -> Iterator[None]:
        """Hold an amount within this block. Raises Refusal (`busy`) when less than that is left."""
        if self._held[name] + amount > self._each or self._held.total() + amount > self._total:
            raise silence()
        self._held[name] += amount
        try:
            yield
        finally:
            self._held[name] -= amount
            if not self._held[name]:
                del self._held[name]
