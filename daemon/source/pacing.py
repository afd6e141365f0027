"""How fast another server is asked: a token bucket that also keeps the pauses it is told to make."""

import time
from collections.abc import Callable
from typing import Final

MOST_PER_SECOND: Final = 40
CAPACITY: Final = 2.0
"""Tokens saved up at most: two requests may follow each other where the one before came late."""


class TokenBucket:
    """Lets at most `rate` requests per second through, and never more than 40 in any second.

    The clock is monotonic, in seconds; `sleep` waits that many of them.
    """

    def __init__(
        self,
        rate: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if not 0 < rate <= MOST_PER_SECOND:
            raise ValueError(f"a rate is more than 0 and at most {MOST_PER_SECOND}")
        # In any second pass at most the refill and the capacity.
        self._rate = min(rate, MOST_PER_SECOND - CAPACITY)
        self._clock, self._sleep = clock, sleep
        self._tokens = 1.0
        self._at = clock()
        self._closed_until = self._at

    def take(self) -> None:
        """Wait until the next request may be sent."""
        while (wait := self._wait()) > 0:
            self._sleep(wait)
        self._tokens -= 1.0

    def pause(self, seconds: float) -> None:
        """Let nothing through for that long, and nothing saved up afterwards."""
        self._closed_until = max(self._closed_until, self._clock() + seconds)
        self._tokens = min(self._tokens, 1.0)
        self._at = max(self._at, self._closed_until)

    def _wait(self) -> float:
        now = self._clock()
        if now < self._closed_until:
            return self._closed_until - now
        self._tokens = min(CAPACITY, self._tokens + max(0.0, now - self._at) * self._rate)
        self._at = max(self._at, now)
        # A hair more than needed: rounding must not make this a busy loop.
        return 0.0 if self._tokens >= 1.0 else (1.0 - self._tokens) / self._rate + 1e-6
