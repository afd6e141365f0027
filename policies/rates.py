"""How often others may ask: each approved peer on its own, everybody else together.

Token buckets (the leaky bucket of Turner 1986, "New directions in communications", as a meter): a bucket
holds what may be asked at once and fills evenly. That strangers share one bucket means that a flood of them
keeps out strangers, and no peer.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import ClassVar

from federation.errors import Code, Refusal

STRANGERS = ""
BYTES_OF_A_REQUEST = 250_000
"""So many bytes of an answer count as one more request: what a peer may make us send is bounded, too."""
PREPARATIONS = 60
"""Sums of one aggregator that are prepared within a day: each costs a job that counts all viewers, a row and
an entry of the ledger. One that keeps to data windows needs two of them a week, and some for failed sums."""

_MINUTE = 60.0
_DAY = 86400.0


class Buckets:
    """Token buckets by key; `clock` gives seconds that never go back.

    Whoever calls keeps the number of keys bounded: approved peers are few, made-up names are not.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._left: dict[Hashable, tuple[float, float]] = {}

    def take(self, key: Hashable, *, most: float, seconds: float) -> bool:
        """Take one token where there is one; a bucket of `most` fills up within `seconds`."""
        left = self._filled(key, most, seconds)
        if left < 1:
            return False
        self._keep(key, left - 1)
        return True

    def owe(self, key: Hashable, tokens: float, *, most: float, seconds: float) -> None:
        """Take tokens whether they are there or not: what is owed has to fill up first."""
        self._keep(key, self._filled(key, most, seconds) - tokens)

    def _filled(self, key: Hashable, most: float, seconds: float) -> float:
        now = self._clock()
        left, at = self._left.get(key, (most, now))
        return min(most, left + (now - at) * most / seconds)

    def _keep(self, key: Hashable, left: float) -> None:
        self._left[key] = left, self._clock()


class RatePolicy:
    """Counts requests; `clock` gives seconds that never go back. Holds two numbers per approved peer."""

    name: ClassVar[str] = "rates"
    reason: ClassVar[str] = "Nobody asks more often than sums need, so that one peer slows down no other."

    def __init__(self, *, per_peer: int, strangers: int, clock: Callable[[], float]) -> None:
        self._per_peer, self._strangers = per_peer, strangers
        self._requests, self._sums = Buckets(clock), Buckets(clock)

    def check(self, host: str = STRANGERS) -> None:
        """Count one request of a sender whose signature was checked, or of a stranger.

        Raises:
            Refusal: `too-many`, when it is one too many; it is not counted then.

        """
        most = self._most(host)
        if not self._requests.take(host, most=most, seconds=_MINUTE):
            who = "strangers" if host == STRANGERS else host
            raise Refusal(
                Code.TOO_MANY,
                f"{who} sent more than {most} requests in a minute; try again in a minute",
                None if host == STRANGERS else host,
            )

    def answered(self, host: str, size: int) -> None:
        """Count the bytes of an answer that a sender is given."""
        self._requests.owe(host, size // BYTES_OF_A_REQUEST, most=self._most(host), seconds=_MINUTE)

    def check_preparation(self, host: str) -> None:
        """Count one sum of an aggregator that is about to be prepared.

        Raises:
            Refusal: `too-many`.

        """
        if not self._sums.take(host, most=PREPARATIONS, seconds=_DAY):
            raise Refusal(
                Code.TOO_MANY,
                f"{host} proposed more than {PREPARATIONS} sums in a day; wait for the next data window",
                host,
            )

    def _most(self, host: str) -> int:
        return self._strangers if host == STRANGERS else self._per_peer
