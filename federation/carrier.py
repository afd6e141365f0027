"""What carries messages to members and answers back: HTTP between daemons, or Flower in a group."""

from __future__ import annotations

from typing import Protocol

from federation.errors import FederationError


class PeerUnreachable(FederationError):
    """No usable answer came from a peer: no connection, no answer in time, or not as agreed."""


class PeerRefused(FederationError):
    """A peer refused our request. Code and sentence are its words, cleaned, and prove nothing."""

    def __init__(self, host: str, code: str, sentence: str) -> None:
        super().__init__(f"{host} refused: {code}: {sentence}")
        self.code = code
        self.sentence = sentence


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
