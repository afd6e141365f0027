"""Whether this instance is a newcomer, and which peers it may ask to pass on a sum."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Engine

from daemon.config import Config
from daemon.peers import repository
from daemon.peers.repository import KnownPeers, Peer
from daemon.store import sums

ASK_EVERY: Final = 86400.0
"""Seconds between two requests to one peer: its sums are at least a day apart."""


def to_ask(config: Config, engine: Engine, now: float) -> list[Peer]:
    """Return the peers to ask, at `now` in Unix seconds; nobody as soon as there is a sum of our own."""
    known = repository.read(engine, config)
    if not config.federates or has_sum(engine, known):
        return []
    # Another approval may be the one that was missing.
    approved = max((peer.since for peer in known.approved()), default=0.0)
    return [
        peer
        for peer in known.approved()
        if peer.theirs == "approved"
        and peer.url
        and (peer.retry_at is None or peer.retry_at <= now)
        and (peer.sum_asked is None or peer.sum_asked < max(approved, now - ASK_EVERY))
    ]


def has_sum(engine: Engine, known: KnownPeers) -> bool:
    """Tell whether there is a sum of our own, or of our group, that may be learnt from or is to be judged."""
    return any(
        not one.passed_on_by and one.verdict != "quarantined" and not known.unusable(one.sources)
        for one in sums.records(engine)
    )
