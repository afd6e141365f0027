"""What carries messages to members and answers back: HTTP between daemons, or Flower in a group."""

from __future__ import annotations

from typing import Protocol

from federation.errors import FederationError


class PeerUnreachable(FederationError):
    """No usable answer came from a peer: no connection, no answer in time, or not as agreed."""

    def __init__(self, message: str, *, advice: str = "Try again later: its daemon is away.") -> None:
        super().__init__(message)
        self.advice = advice


BY_PROXY = "http"
"""The code of a refusal that no daemon wrote: a proxy answered, so the daemon behind it is away."""


class PeerRefused(FederationError):
    """A peer refused our request. Code and sentence are as it sent them, checked for form only."""

    def __init__(self, host: str, code: str, sentence: str) -> None:
        super().__init__(f"{host} refused: {code}: {sentence}")
        self.code = code
        self.sentence = sentence

    @property
    def by_proxy(self) -> bool:
        """Whether a proxy answered in the daemon's place: the peer counts as unreachable."""
        return self.code == BY_PROXY


class Carrier(Protocol):
    """Brings one request to one member. The same bytes, sent again, get the same answer."""

    async def send(self, host: str, request: bytes, *, max_answer: int, timeout: float) -> bytes:  # noqa: ASYNC109
        """Return what `host` answers within `timeout` seconds.

        Raises:
            PeerUnreachable: nothing usable came in time, retries included.
            PeerRefused: it refused.
            Refusal: `oversized`, when the answer exceeds `max_answer` bytes.

        """
        ...
