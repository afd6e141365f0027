"""The admin's decisions about peers; the command line and the admin API call the same functions.

A decision is a row and an entry in the ledger, and holds from the next request on. The job "peers" tells the
peer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from sqlalchemy import Engine

from daemon.config import Config
from daemon.errors import PolicyRefusedError, RequestError
from daemon.identity import open_identity
from daemon.ledger.chain import Kind, append
from daemon.peers import repository
from daemon.peers.repository import Peer

Holds = Callable[[Engine, Config, str], object]


class UnknownPeerError(RequestError):
    """Nothing is known of this host."""

    code = "unknown-peer"
    status = 404


def approve(
    engine: Engine,
    config: Config,
    host: str,
    *,
    key: str | None,
    max_users: int | None,
    now: float,
    holds: Holds,
) -> Peer:
    """Approve a peer with the key that the admin compared; None stands for the only one known.

    `holds` tells whether something learnt from a reverted peer is still stored: approved, it would be used
    again. (`daemon.revert.artifacts.artifacts_of`)

    Raises:
        UnknownPeerError: nothing is known of the host.
        RequestError: its card was not read yet, or it is not clear which key is meant.
        PolicyRefusedError: the compared key is not the known one, or the peer is still being reverted.

    """
    found = _known(engine, config, host)
    if found.state == "reverted" and holds(engine, config, host):
        raise PolicyRefusedError(
            f"what was learnt from {host} is not deleted yet",
            advice=f"Finish that first: shoal peers revert {host}",
        )

    def edit(peer: Peer) -> Peer:
        if not peer.url or not peer.key:
            raise RequestError(
                f"the card of {host} has not been read from its own domain yet",
                advice=f"Read it first: shoal peers add {host}",
            )
        chosen = _chosen(peer, key)
        known = replace(peer, theirs="approved") if peer.theirs == "asked" else peer
        if chosen != peer.key:
            # What the old key said of us, the new one has not said.
            source = "admin" if peer.source == "file" else peer.source
            known = replace(peer, key=chosen, source=source, theirs="unknown", checked=None)
        known = replace(known, state="approved", next_key="", failures=0, retry_at=None)
        # It is the admin who says so now, whoever introduced it.
        known = replace(known, evidence="admin" if known.introduced_by else "")
        known = replace(known, since=peer.since if peer.state == "approved" else now)
        return known if max_users is None else replace(known, max_users=max_users)

    after = repository.change(engine, config, host, edit)
    details = {"key": after.key, "bound": after.bound, "max_users": after.max_users}
    if found.key and found.key != after.key:
        details["old"] = found.key
    _append(engine, config, Kind.PEER_APPROVED, host, details, now)
    return after


def resume(engine: Engine, config: Config, host: str, *, now: float) -> Peer:
    """Learn from a paused peer again, on the same terms as before.

    Raises:
        UnknownPeerError: nothing is known of the host. RequestError: it is not paused.

    """
    found = _known(engine, config, host)

    def edit(peer: Peer) -> Peer:
        if peer.state != "paused" or not peer.key:
            raise RequestError(f"{host} is not paused", advice=f"To approve it: shoal peers approve {host}")
        return replace(peer, state="approved", since=now, failures=0, retry_at=None)

    after = repository.change(engine, config, host, edit)
    details = {"key": after.key, "bound": after.bound, "max_users": after.max_users, "resumed": True}
    if found.introduced_by:
        details |= {"introduced_by": list(after.introduced_by), "evidence": after.evidence}
    _append(engine, config, Kind.PEER_APPROVED, host, details, now)
    return after


def pause(engine: Engine, config: Config, host: str, *, now: float) -> Peer:
    """Learn nothing new with a peer; what was learnt stays.

    Raises:
        UnknownPeerError: nothing is known of the host. RequestError: it is not approved.

    """
    _known(engine, config, host)

    def edit(peer: Peer) -> Peer:
        if peer.state not in {"approved", "paused"}:
            raise RequestError(f"{host} is not approved", advice="Only an approved peer can be paused.")
        return replace(peer, state="paused", since=now)

    return _decided(engine, config, Kind.PEER_PAUSED, host, edit, now)


def remove(engine: Engine, config: Config, host: str, *, now: float) -> Peer:
    """Exchange nothing with a host any more; sums that include it are not used from the next training on.

    Raises:
        UnknownPeerError: nothing is known of the host.

    """
    _known(engine, config, host)

    def edit(peer: Peer) -> Peer:
        # Only `approve` ends a revert.
        state = peer.state if peer.state == "reverted" else "removed"
        after = replace(peer, state=state, since=now, failures=0, retry_at=None)
        return replace(after, introduced_by=(), evidence="")

    return _decided(engine, config, Kind.PEER_REMOVED, host, edit, now)


def _decided(
    engine: Engine, config: Config, kind: Kind, host: str, edit: Callable[[Peer], Peer], now: float
) -> Peer:
    after = repository.change(engine, config, host, edit)
    _append(engine, config, kind, host, {"key": after.key}, now)
    return after


def _append(
    engine: Engine, config: Config, kind: Kind, host: str, details: dict[str, Any], now: float
) -> None:
    identity = open_identity(config.identity_file, config.instance.host)
    append(engine, identity, kind, host, details, now)


def _known(engine: Engine, config: Config, host: str) -> Peer:
    peer = repository.find(engine, config, host)
    if peer is None:
        raise UnknownPeerError(
            f"nothing is known of {host}", advice=f"Read its card first: shoal peers add {host}"
        )
    return peer


def _chosen(peer: Peer, key: str | None) -> str:
    if key is None:
        if peer.next_key:
            raise RequestError(
                f"two keys of {peer.host} are known", advice="Say which one you compared: --key or --words."
            )
        return peer.key
    if key not in (peer.key, peer.next_key):
        raise PolicyRefusedError(
            f"that is not the key of {peer.host}",
            advice="Compare the words with its admin again; `shoal peers list` shows them.",
        )
    return key
