"""How often others may ask: each approved peer on its own, everybody else together.

A bucket of one minute's requests that fills evenly: after a pause a peer may send a minute's worth at once.
That strangers share one bucket means that a flood of them keeps out strangers, and no peer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from federation.errors import Code, Refusal

_MINUTE = 60.0
STRANGERS = ""


class RatePolicy:
    """Counts requests; `clock` gives seconds that never go back. Holds one number per peer."""

    name: ClassVar[str] = "rate"
    reason: ClassVar[str] = "No peer may cost this instance more than a bounded amount of work."

    def __init__(self, *, per_peer: int, strangers: int, clock: Callable[[], float]) -> None:
        self._per_peer, self._strangers = per_peer, strangers
        self._clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}

    def check(self, host: str = STRANGERS) -> None:
        """Count one request of an approved peer, or of a stranger.

        Raises:
            Refusal: `busy`, when it is one too many; it is not counted then.

        """
        most = self._strangers if host == STRANGERS else self._per_peer
        now = self._clock()
        left, at = self._buckets.get(host, (float(most), now))
        left = min(most, left + (now - at) * most / _MINUTE)
        if left < 1:
            self._buckets[host] = left, now
            who = "strangers" if host == STRANGERS else host
            raise Refusal(
                Code.BUSY,
                f"{who} sent more than {most} requests in a minute; try again in a minute",
                None if host == STRANGERS else host,
            )
        self._buckets[host] = left - 1, now
