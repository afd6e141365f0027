"""Approving an instance of the group as a peer: recognised is whom this admin approved, by a key they saw.

A key comes from a list that the host signed, or from a request. Before it is pinned, the instance's own
domain is asked, where it can be: what it shows decides. Nothing here runs unless an admin asks for it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import aiohttp
from sqlalchemy import Engine

from daemon.config import Config
from daemon.errors import PolicyRefusedError
from daemon.group.repository import GroupMember
from daemon.identity import open_identity
from daemon.ledger.chain import Kind, append
from daemon.peers import cards, commands
from daemon.peers import repository as peers
from daemon.peers.repository import Peer

Voucher = Literal["domain", "card", "book", "unread"]
"""Who says that the key is the host's: its domain's actor, a card at its domain without one, our book of
peers (approved before), or nobody but whoever listed it."""
Recognised = Literal["yes", "no", "other-key"]


@dataclass(frozen=True)
class Seen:
    """What is known of a key before it is pinned; `url` is where a card was read, `why` it was not."""

    host: str
    key: str
    voucher: Voucher
    url: str = ""
    why: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return it with the key's eight words."""
        return {**asdict(self), "words": commands.words_of(self.key)}


def recognised(peer: Peer | None, key: str) -> Recognised:
    """Tell whether an instance is approved here by exactly this key."""
    if peer is None or not peer.approved:
        return "no"
    return "yes" if peer.key == key else "other-key"


async def look(
    config: Config,
    engine: Engine,
    session: aiohttp.ClientSession,
    host: str,
    key: str,
    clock: Callable[[], float],
) -> Seen:
    """Ask an instance's own domain for its card, and compare; approves nothing.

    Raises:
        PolicyRefusedError: its domain, or our book, shows another key.

    """
    peer = peers.find(engine, config, host)
    if recognised(peer, key) == "yes":
        return Seen(host, key, "book", peer.url if peer is not None else "")
    url = (peer.url if peer is not None else "") or cards.base_url(host) + cards.ROUTER
    try:
        card = await cards.read_card(session, host, url, now=clock())
    except cards.PeerAnswerError as error:
        if peer is not None and peer.url and peer.key and peer.key != key:
            raise _other_key(host) from None
        return Seen(host, key, "unread", why=error.message)
    if card.key != key:
        raise _other_key(host)
    return Seen(host, key, "domain" if card.bound else "card", url)


def pin(engine: Engine, config: Config, seen: Seen, now: float) -> Peer:
    """Approve an instance as a peer by the key that was looked at.

    Raises:
        PolicyRefusedError: our book knows it by another key, or it was reverted here.

    """
    if seen.voucher == "book":
        known = peers.find(engine, config, seen.host)
        if known is not None and recognised(known, seen.key) == "yes":
            return known
    before = peers.find(engine, config, seen.host)
    if before is not None and before.state == "reverted":
        raise PolicyRefusedError(
            f"what was learnt from {seen.host} was taken out here, and it is blocked",
            advice=f"Should it count again, decide that first: shoal peers approve {seen.host}",
        )

    def edit(peer: Peer) -> Peer:
        if peer.url and peer.key and peer.key != seen.key:
            raise _other_key(seen.host)
        url = peer.url or seen.url
        theirs = peer.theirs if peer.key in ("", seen.key) else "unknown"
        theirs = "approved" if theirs == "asked" else theirs
        known = replace(peer, url=url, key=seen.key, state="approved", theirs=theirs, next_key="")
        known = replace(known, bound=known.bound or seen.voucher == "domain", failures=0, retry_at=None)
        return replace(known, since=peer.since if peer.state == "approved" else now)

    after = peers.change(engine, config, seen.host, edit)
    identity = open_identity(config.identity_file, config.instance.host)
    details = {"key": after.key, "bound": after.bound, "max_users": after.max_users}
    append(engine, identity, Kind.PEER_APPROVED, seen.host, details, now)
    return after


def wanted(
    listed: tuple[GroupMember, ...], known: peers.KnownPeers, me: str
) -> tuple[list[GroupMember], list[str]]:
    """Return the members that are not recognised here, and those of them that our admin decided against."""
    strangers, against = [], []
    for one in listed:
        peer = known.find(one.host)
        if one.host == me or recognised(peer, one.key) == "yes":
            continue
        if peer is not None and peer.state in ("paused", "removed", "reverted"):
            against.append(one.host)
        else:
            strangers.append(one)
    return strangers, against


def _other_key(host: str) -> PolicyRefusedError:
    return PolicyRefusedError(
        f"{host} is listed with another key than it shows itself, or than is known of it here",
        advice="Compare the words with its admin: somebody may be in between, or it has a new key.",
    )
