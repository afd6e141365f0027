"""Bytes by direction and peer: what a session costs, shown to the admin."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Traffic:
    """Running totals in bytes of message bodies."""

    sent: int = 0
    received: int = 0
    by_peer: Counter[str] = field(default_factory=Counter)

    def add(self, host: str, sent: int, received: int) -> None:
        """Count one exchange with a peer."""
        self.sent += sent
        self.received += received
        self.by_peer[host] += sent + received
