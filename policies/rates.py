"""Rate limits: token buckets, and how often peers and strangers may ask.

Token buckets (the leaky bucket of Turner 1986, "New directions in communications", as a meter): a bucket
holds what may be asked at once and fills evenly. Each approved peer has its own and all strangers share one,
so that a flood of strangers keeps out strangers and no peer.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import ClassVar

from federation.errors import Code, Refusal

STRANGERS = ""
BYTES_OF_A_REQUEST = 250_000
"""An answer counts as one more request for each of these: what a peer makes us send is bounded, too."""
PREPARATIONS = 60
"""Sums of one aggregator prepared within a day. Each costs a job that counts all viewers, a row and an entry
in the ledger. An aggregator that keeps to data windows needs two a week, and a few for failed sums."""

CARDS_FOR_STRANGERS = 20
"""Cards that are read at once, and within an hour, because their hosts asked to be approved. More of them
wait for the hourly look. So a flood of made-up names is no flood of requests to the hosts that bear them."""
INTRODUCTIONS = 10
"""Lists of one peer within a day; each may have the cards of a hundred hosts read. An introducer sends one
when its admin decides, and every ten days."""

_MINUTE = 60.0
_HOUR = 3600.0
_DAY = 86400.0


class TokenBuckets:
    """Token buckets by key: each begins with `burst` tokens, holds no more, and gains `per_second`.

    `clock` gives seconds that never go back. The `keys` buckets used last are remembered; one that was
    forgotten begins anew. Without `keys` the caller keeps their number small.
    """

    def __init__(
        self,
        burst: float,
        per_second: float,
        clock: Callable[[], float] = time.monotonic,
        *,
        keys: int | None = None,
    ) -> None:
        self._burst, self._per_second, self._clock, self._keys = burst, per_second, clock, keys
        self._left: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()

    def left(self, key: Hashable = "") -> float:
        """Return the tokens in a bucket, below 0 where some are owed."""
        left, at = self._left.get(key, (self._burst, 0.0))
        return min(self._burst, left + (self._clock() - at) * self._per_second)

    def wait(self, key: Hashable = "") -> float:
        """Return the seconds until there is a token."""
        return max(0.0, (1.0 - self.left(key)) / self._per_second)

    def take(self, key: Hashable = "") -> bool:
        """Take one token; False where there is none."""
        allowed = self.left(key) >= 1.0
        self.owe(1.0 if allowed else 0.0, key)
        return allowed

    def owe(self, tokens: float, key: Hashable = "") -> None:
        """Take tokens whether they are there or not: what is missing has to fill up first."""
        self._left[key] = self.left(key) - tokens, self._clock()
        self._left.move_to_end(key)
        if self._keys is not None and len(self._left) > self._keys:
            self._left.popitem(last=False)


class RatePolicy:
    """Counts requests; `clock` gives seconds that never go back. Holds a few numbers per approved peer."""

    name: ClassVar[str] = "rates"
    reason: ClassVar[str] = "Nobody asks more often than sums need, so that one peer slows down no other."

    def __init__(self, *, per_peer: int, strangers: int, clock: Callable[[], float]) -> None:
        self._most = {False: per_peer, True: strangers}
        self._requests = {
            stranger: TokenBuckets(most, most / _MINUTE, clock) for stranger, most in self._most.items()
        }
        self._sums = TokenBuckets(PREPARATIONS, PREPARATIONS / _DAY, clock)
        self._cards = TokenBuckets(CARDS_FOR_STRANGERS, CARDS_FOR_STRANGERS / _HOUR, clock)

    def check(self, host: str = STRANGERS) -> None:
        """Count one request of a sender whose signature was checked, or of a stranger.

        Raises:
            Refusal: `too-many`, when it is one too many; it is not counted then.

        """
        stranger = host == STRANGERS
        if not self._requests[stranger].take(host):
            raise Refusal(
                Code.TOO_MANY,
                f"{'strangers' if stranger else host} sent more than {self._most[stranger]} requests in a "
                "minute; try again in a minute",
                None if stranger else host,
            )

    def answered(self, host: str, size: int) -> None:
        """Count the bytes of an answer that a sender is given."""
        self._requests[host == STRANGERS].owe(size // BYTES_OF_A_REQUEST, host)

    def may_read_card(self) -> bool:
        """Tell whether a card may be read now because its host asked, and count it."""
        return self._cards.take()

    def check_preparation(self, host: str) -> None:
        """Count one sum of an aggregator that is about to be prepared.

        Raises:
            Refusal: `too-many`.

        """
        if not self._sums.take(host):
            raise Refusal(
                Code.TOO_MANY,
                f"{host} proposed more than {PREPARATIONS} sums in a day; wait for the next data window",
                host,
            )
