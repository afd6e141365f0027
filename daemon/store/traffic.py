"""How many bytes were exchanged with whom, by month: what taking part costs an instance and its peers.

Bytes are those of message bodies; headers, encryption and retries below them come on top.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from sqlalchemy import Engine, delete, desc, select
from sqlalchemy.dialects.sqlite import insert

from daemon.store.engine import reads, writes
from daemon.store.tables import Traffic


@dataclass(frozen=True)
class PeerTraffic:
    """Bytes sent to and received from a peer in a month, such as "2026-11" (UTC)."""

    month: str
    peer: str
    sent: int
    received: int


@dataclass
class TrafficCounter:
    """Running totals of what a round exchanges with each peer, in bytes of message bodies."""

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


def month_of(now: float) -> str:
    """Return the month of a moment (Unix seconds), UTC."""
    return f"{datetime.fromtimestamp(now, UTC):%Y-%m}"


def add(engine: Engine, month: str, peer: str, sent: int, received: int) -> None:
    """Count bytes; nothing is written where there are none."""
    add_all(engine, month, {peer: (sent, received)})


def add_all(engine: Engine, month: str, peers: Mapping[str, tuple[int, int]]) -> None:
    """Count bytes sent to and received from several peers, in one transaction."""
    rows = [
        {"month": month, "peer": peer, "sent": sent, "received": received}
        for peer, (sent, received) in peers.items()
        if sent or received
    ]
    if not rows:
        return
    statement = insert(Traffic)
    changed = {
        "sent": Traffic.sent + statement.excluded.sent,
        "received": Traffic.received + statement.excluded.received,
    }
    statement = statement.on_conflict_do_update(index_elements=["month", "peer"], set_=changed)
    with writes(engine) as connection:
        connection.execute(statement, rows)


def months(engine: Engine, *, since: str = "") -> list[PeerTraffic]:
    """Return all, from a month on where one is given; the newest month first, then the most bytes."""
    query = (
        select(Traffic.__table__)
        .where(Traffic.month >= since)
        .order_by(desc(Traffic.month), desc(Traffic.sent + Traffic.received), Traffic.peer)
    )
    with reads(engine) as connection:
        return [PeerTraffic(**row) for row in connection.execute(query).mappings()]


def prune(engine: Engine, *, before: str) -> int:
    """Forget months before that one; returns how many rows."""
    with writes(engine) as connection:
        return connection.execute(delete(Traffic).where(Traffic.month < before)).rowcount
