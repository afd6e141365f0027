"""Bytes by direction and peer: what a session costs, shown to the admin."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Traffic:
    """Running totals in bytes of message bodies."""

    sent_to: Counter[str] = field(default_factory=Counter)
    received_from: Counter[str] = field(default_factory=Counter)

    @property
    def sent(self) -> int:
        """What went out to all peers."""
        return self.sent_to.total()

    @property
    def received(self) -> int:
        """What came in from all peers."""
        return self.received_from.total()

    def add(self, host: str, sent: int, received: int) -> None:
        """Count one exchange with a peer."""
        self.sent_to[host] += sent
        self.received_from[host] += received

    def by_peer(self) -> dict[str, tuple[int, int]]:
        """Return what was sent to and received from each peer."""
        hosts = self.sent_to.keys() | self.received_from.keys()
        return {host: (self.sent_to[host], self.received_from[host]) for host in hosts}
