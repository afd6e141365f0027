"""What membership in a group means for sums: who may propose one, and over which members."""

from __future__ import annotations

from functools import lru_cache

from sqlalchemy import Engine

from daemon.config import Config
from daemon.errors import PolicyRefusedError
from daemon.group import repository
from daemon.group.repository import Membership
from daemon.peers import repository as peers
from daemon.process.job_context import JobContext
from federation import envelope
from federation.group.epoch_document import MAX_EPOCH, EpochDocument, read_epoch
from federation.identity import PublicIdentity
from policies.group import GroupPolicy


def host_of(engine: Engine, config: Config, me: PublicIdentity, group: Membership) -> PublicIdentity | None:
    """Return who signs for a group: its host by its pinned key, or this instance; None if not approved."""
    if group.host == me.host:
        return me
    peer = peers.find(engine, config, group.host)
    return peer.identity if peer is not None and peer.approved else None


def epoch_of(group: Membership, host: PublicIdentity) -> EpochDocument | None:
    """Return the epoch document that this instance accepted last. Raises Refusal if it is no longer valid."""
    if not group.epoch:
        return None
    return _read(group.epoch, host)


@lru_cache(maxsize=2)
def _read(raw: bytes, host: PublicIdentity) -> EpochDocument:
    # Needed for every proposal; with a thousand members it takes a tenth of a second.
    return read_epoch(envelope.parse(raw, max_size=MAX_EPOCH), host)


def policy(engine: Engine, config: Config, me: PublicIdentity) -> GroupPolicy:
    """Return the policy for proposals now."""
    group = repository.current(engine)
    if group is None or not group.active:
        return GroupPolicy(me.host, None, "")
    host = host_of(engine, config, me, group)
    document = None if host is None else epoch_of(group, host)
    expected = None if document is None else document.roster_of(me.host)
    return GroupPolicy(me.host, expected, group.host)


def require_no_group(context: JobContext) -> None:
    """Check before a sum with peers that this instance is in no group. Raises PolicyRefusedError."""
    group = repository.current(context.engine)
    if group is not None and group.active:
        raise PolicyRefusedError(
            f"this instance learns through the group {group.group} of {group.host}",
            advice="Its host takes the sums: shoal group status. To take sums with peers: shoal group leave",
        )
