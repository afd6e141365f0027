"""The peers in the database and in shoal.toml: whom the admin approved, and what is known of the others.

Decisions made by command or on the admin page are rows. `[[peers]]` in shoal.toml is a second way to approve:
an entry without a row is an approved peer, and a row that says otherwise (paused, reverted) takes precedence.
Where the database was lost, nobody knows what such a row said: an entry without one is paused then.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Literal

from sqlalchemy import Connection, Engine, select
from sqlalchemy.dialects.sqlite import insert

from daemon.config import Config
from daemon.store import loss
from daemon.store.engine import reads, writes
from daemon.store.tables import PeerRow
from federation.identity import PublicIdentity, parse_key
from policies.allowlist import Allowlist

State = Literal["candidate", "approved", "paused", "removed", "reverted"]
Theirs = Literal["unknown", "asked", "approved", "declined"]
Source = Literal["file", "follow", "asked", "circle", "admin"]
Evidence = Literal["", "admin", "followed", "vouched"]

LEARNT_FROM: frozenset[State] = frozenset({"approved", "paused"})
"""States in which what a peer contributed before is still used."""


@dataclass(frozen=True)
class Peer:
    """One instance; times are Unix seconds, unknown text is empty.

    Attributes:
        key: `ed25519:...`, empty while it is not known.
        theirs: whether it approves this instance.
        bound: its domain's ActivityPub actor signed its key.
        max_users: the admin's cap on its viewers in a sum; `users` what its NodeInfo says.
        seen: when it last sent something; `checked` when its card, users and version were last read.
        retry_at: no attempt before; cleared when it sends something.
        said: the date of its newest hello.
        next_key: a key that it uses without proof that it may.
        introduced_by: the peers on whose introduction it was approved, sorted; none if the admin did so
            without.
        evidence: what stands for an introduced peer beside their word: the admin, who compared its words or
            said so; or see `policies.introductions`.
        sum_asked: when it was last asked for a sum that it may pass on.
        sum_refused: why that was not taken, one sentence.
    """

    host: str
    url: str = ""
    key: str = ""
    state: State = "candidate"
    theirs: Theirs = "unknown"
    source: Source = "admin"
    bound: bool = False
    version: str = ""
    max_users: int | None = None
    users: int | None = None
    since: float = 0.0
    seen: float | None = None
    checked: float | None = None
    failures: int = 0
    retry_at: float | None = None
    said: float | None = None
    next_key: str = ""
    introduced_by: tuple[str, ...] = ()
    evidence: Evidence = ""
    sum_asked: float | None = None
    sum_refused: str = ""

    @property
    def on_word_alone(self) -> bool:
        """Tell whether it is approved because it was introduced, and nothing else stands for it."""
        return self.state in LEARNT_FROM and bool(self.introduced_by) and not self.evidence

    @property
    def approved(self) -> bool:
        """Tell whether the admin approved it, by a known key."""
        return self.state == "approved" and bool(self.key)

    @property
    def identity(self) -> PublicIdentity:
        """Host and pinned key. Raises ValueError while no key is known."""
        return PublicIdentity(self.host, parse_key(self.key))

    def cap(self, config: Config) -> int:
        """Return how many viewers it may have in a sum: the smallest of all known limits."""
        limits = [config.guards.max_users_per_peer, self.max_users, self.users]
        return min(limit for limit in limits if limit is not None)


@dataclass(frozen=True)
class KnownPeers:
    """All peers by host, as they were when they were read."""

    peers: Mapping[str, Peer]

    def find(self, host: str) -> Peer | None:
        """Return a peer in any state."""
        return self.peers.get(host)

    def approved(self) -> tuple[Peer, ...]:
        """Return the approved ones, sorted by host."""
        return tuple(peer for _, peer in sorted(self.peers.items()) if peer.approved)

    def vouched_for(self) -> tuple[Peer, ...]:
        """Return the approved ones that count as such: not those on an introducer's word alone."""
        return tuple(peer for peer in self.approved() if not peer.on_word_alone)

    def allowlist(self) -> Allowlist:
        """Return the approved peers with their pinned keys."""
        approved = self.approved()
        on_word_alone = {peer.host for peer in approved if peer.on_word_alone}
        return Allowlist((peer.identity for peer in approved), on_word_alone)

    def unusable(self, hosts: tuple[str, ...]) -> tuple[str, ...]:
        """Return those of some hosts whose contributions must not be used any more."""
        return tuple(
            host for host in hosts if (peer := self.find(host)) is None or peer.state not in LEARNT_FROM
        )


def read(engine: Engine, config: Config) -> KnownPeers:
    """Return every peer: rows, and entries of the file that have no row."""
    with reads(engine) as connection:
        return KnownPeers(read_in(connection, config))


def find(engine: Engine, config: Config, host: str) -> Peer | None:
    """Return one peer in any state, without reading the others."""
    with reads(engine) as connection:
        return read_in(connection, config, host).get(host)


def read_in(connection: Connection, config: Config, host: str | None = None) -> dict[str, Peer]:
    """Return all peers, or only the one of that name."""
    query = select(PeerRow.__table__)
    if host is not None:
        query = query.where(PeerRow.host == host)
    rows = connection.execute(query).mappings()
    peers = {row["host"]: Peer(**{**row, "introduced_by": tuple(row["introduced_by"])}) for row in rows}
    unsaid = {entry.host for entry in config.peers if host in (None, entry.host)} - peers.keys()
    lost = bool(unsaid) and loss.newest(connection, undecided=True) is not None
    return _merged(peers, config, host, unsaid="paused" if lost else "approved")


def _merged(
    peers: dict[str, Peer], config: Config, host: str | None = None, *, unsaid: State
) -> dict[str, Peer]:
    """Add what the file names; an entry without a row has the state `unsaid`."""
    named = {entry.host: entry for entry in config.peers if host in (None, entry.host)}
    for host, peer in list(peers.items()):
        if peer.source == "file" and host not in named and peer.state in LEARNT_FROM:
            peers[host] = replace(peer, state="removed")
    for host, entry in named.items():
        known = peers.get(host, Peer(host, state=unsaid, source="file"))
        if known.source == "file":
            # The file pins key and address; whether the peer is approved may have been decided since.
            known = replace(known, key=entry.key, url=str(entry.url))
        peers[host] = known
    return peers


def undecided(engine: Engine, config: Config) -> tuple[str, ...]:
    """Return the hosts of the file that are paused because the database was lost, sorted."""
    with reads(engine) as connection:
        if loss.newest(connection, undecided=True) is None:
            return ()
        decided = set(connection.execute(select(PeerRow.host)).scalars())
    return tuple(sorted({entry.host for entry in config.peers} - decided))


def save(engine: Engine, peer: Peer) -> None:
    """Insert a peer, or overwrite what was known of it."""
    with writes(engine) as connection:
        save_in(connection, peer)


def change(engine: Engine, config: Config, host: str, edit: Callable[[Peer], Peer]) -> Peer:
    """Write what `edit` makes of the present peer, and return it; nobody else writes in between.

    A host that was not known is a candidate. What `edit` raises leaves everything as it was.
    """
    with writes(engine) as connection:
        known = read_in(connection, config, host).get(host, Peer(host))
        changed = edit(known)
        if changed != known:
            save_in(connection, changed)
        return changed


def save_in(connection: Connection, peer: Peer) -> None:
    """Insert a peer, or overwrite what was known of it, inside the caller's transaction."""
    values = {**asdict(peer), "introduced_by": list(peer.introduced_by)}
    changed = {name: value for name, value in values.items() if name != "host"}
    connection.execute(
        insert(PeerRow).values(values).on_conflict_do_update(index_elements=["host"], set_=changed)
    )
