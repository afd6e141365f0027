"""What our admin introduces to whom, and when that has to be said again.

Named are the hosts of the time of the decision: a peer that is approved later is introduced by a decision of
its own. Of those named only the ones that are still approved are listed, by the keys that are pinned now.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Final

from sqlalchemy import Connection, Engine, delete, select
from sqlalchemy.dialects.sqlite import insert

from daemon.config import Config
from daemon.errors import RequestError
from daemon.identity import open_identity
from daemon.ledger.chain import Kind, append
from daemon.peers import repository
from daemon.peers.repository import KnownPeers, Peer
from daemon.store.engine import reads, writes
from daemon.store.tables import OfferRow
from federation.identity import PublicIdentity
from federation.introduction import LIFETIME, MAX_INSTANCES

AGAIN: Final = LIFETIME / 3
"""Seconds after which a list is said again, so that two tries may fail before it expires."""


@dataclass(frozen=True)
class Offer:
    """Which hosts are introduced to one peer; none: what was said before is to be taken back.

    Attributes:
        taken: when the recipient took the list last, Unix seconds.
        digest: of that list and of our key then, in hexadecimal.
    """

    recipient: str
    hosts: tuple[str, ...]
    taken: float | None = None
    digest: str = ""

    def instances(self, known: KnownPeers) -> tuple[PublicIdentity, ...]:
        """Return whom the list names now, sorted by host."""
        listed = (peer for peer in known.vouched_for() if peer.host in self.hosts)
        return tuple(sorted(peer.identity for peer in listed))

    def due(self, known: KnownPeers, me: PublicIdentity, now: float) -> bool:
        """Tell whether the recipient has to be told: another list, by another key of ours, or once more."""
        if self.taken is None or self.digest != digest(me, self.instances(known)):
            return True
        return bool(self.hosts) and now - self.taken >= AGAIN


def digest(me: PublicIdentity, instances: Collection[PublicIdentity]) -> str:
    """Return the hash of a list and of the key that signs it, in hexadecimal."""
    parts = [me.key, *(one.host.encode() + b"\0" + one.key for one in instances)]
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()


def read(engine: Engine) -> dict[str, Offer]:
    """Return all offers by recipient."""
    with reads(engine) as connection:
        return _read(connection)


def listed(known: KnownPeers, leave_out: Collection[str] = ()) -> tuple[Peer, ...]:
    """Return the peers that can be introduced: approved on more than an introducer's word, sorted by host."""
    return tuple(peer for peer in known.vouched_for() if peer.host not in leave_out)


def introduce(
    engine: Engine,
    config: Config,
    *,
    to: str = "",
    leave_out: Collection[str] = (),
    now: float,
) -> dict[str, list[str]]:
    """Introduce our approved peers to one of them, or to one another; returns the hosts by recipient.

    The job "peers" sends the lists. `leave_out` are hosts that are neither introduced nor told.

    Raises:
        RequestError: there is nobody to introduce or to tell, or there are too many.

    """
    known = repository.read(engine, config)
    hosts = [peer.host for peer in listed(known, leave_out)]
    if to and to not in {peer.host for peer in known.approved()}:
        raise RequestError(
            f"{to} is not an approved peer", advice=f"Approve it first: shoal peers approve {to}"
        )
    recipients = [to] if to else hosts
    offers = {one: [host for host in hosts if host != one] for one in recipients}
    offers = {one: others for one, others in offers.items() if others}
    if not offers:
        raise RequestError(
            "there is nobody to introduce",
            advice="Two peers have to be approved on more than an introduction: shoal peers list",
        )
    most = max(map(len, offers.values()))
    if most > MAX_INSTANCES:
        raise RequestError(
            f"{most} instances are too many to introduce at once; the limit is {MAX_INSTANCES}",
            advice="Leave some out: --leave-out HOST",
        )
    _decide(engine, config, offers, now)
    return offers


def take_back(engine: Engine, config: Config, *, to: str = "", now: float) -> list[str]:
    """Introduce nobody any more, to one peer or to all; returns who is told so.

    Raises:
        RequestError: nothing was introduced.

    """
    offers = read(engine)
    recipients = [host for host, offer in sorted(offers.items()) if offer.hosts and to in ("", host)]
    if not recipients:
        raise RequestError(
            f"nobody is introduced{f' to {to}' if to else ''}", advice="To introduce: shoal peers introduce"
        )
    _decide(engine, config, {host: [] for host in recipients}, now)
    return recipients


def due(engine: Engine, known: KnownPeers, me: PublicIdentity, now: float) -> list[Offer]:
    """Return the offers that have to be told now, to approved peers; forget those to all others."""
    offers = read(engine)
    approved = {peer.host for peer in known.approved()}
    decided = {host for host, peer in known.peers.items() if peer.state in repository.LEARNT_FROM}
    if gone := offers.keys() - decided:
        with writes(engine) as connection:
            connection.execute(delete(OfferRow).where(OfferRow.recipient.in_(gone)))
    return [one for host, one in sorted(offers.items()) if host in approved and one.due(known, me, now)]


def taken(engine: Engine, offer: Offer, of_list: str, now: float) -> None:
    """Note that the recipient took a list, whose digest is `of_list`; an offer that is taken back is over."""
    with writes(engine) as connection:
        present = _read(connection).get(offer.recipient)
        if present is None or present.hosts != offer.hosts:
            # The admin decided anew meanwhile.
            return
        if present.hosts:
            _save(connection, replace(present, taken=now, digest=of_list))
        else:
            connection.execute(delete(OfferRow).where(OfferRow.recipient == offer.recipient))


def _decide(engine: Engine, config: Config, offers: dict[str, list[str]], now: float) -> None:
    with writes(engine) as connection:
        for recipient, hosts in offers.items():
            _save(connection, Offer(recipient, tuple(hosts)))
    identity = open_identity(config.identity_file, config.instance.host)
    for recipient, hosts in offers.items():
        append(engine, identity, Kind.PEERS_INTRODUCED, recipient, {"hosts": hosts}, now)


def _read(connection: Connection) -> dict[str, Offer]:
    rows = connection.execute(select(OfferRow.__table__)).mappings()
    return {row["recipient"]: Offer(**{**row, "hosts": tuple(row["hosts"])}) for row in rows}


def _save(connection: Connection, offer: Offer) -> None:
    values = {**vars(offer), "hosts": list(offer.hosts)}
    changed = {name: value for name, value in values.items() if name != "recipient"}
    connection.execute(
        insert(OfferRow).values(values).on_conflict_do_update(index_elements=["recipient"], set_=changed)
    )
