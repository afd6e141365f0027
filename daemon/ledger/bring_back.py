"""What the second copy of the ledger has and the database has not: found, checked, and put back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from sqlalchemy import Connection, Engine

from daemon.ledger import chain, second_copy
from daemon.ledger.chain import BEGINNING, Head, Kind, Verification
from daemon.store import ledger_rows
from daemon.store.ledger_rows import Row
from federation.identity import PublicIdentity, Purpose

AGAINST: Final = frozenset({Kind.PEER_PAUSED, Kind.PEER_REMOVED, Kind.PEER_REVERTED})
"""What an admin decides against a peer."""
_ABOUT_PEERS: Final = AGAINST | {Kind.PEER_APPROVED}


@dataclass(frozen=True)
class Lacking:
    """Entries that the database lacks.

    Attributes:
        entries: those that follow its newest one, in order: they can be put back.
        apart: those that do not, since the database went on without them, or the file has gaps.
    """

    entries: Sequence[Row] = ()
    apart: Sequence[Row] = ()

    @property
    def any(self) -> bool:
        """Tell whether something is lacking."""
        return bool(self.entries or self.apart)

    @property
    def decided(self) -> Mapping[str, Kind]:
        """What was decided last about each peer, in the entries that are lacking."""
        about = [entry for entry in (*self.entries, *self.apart) if entry.kind in _ABOUT_PEERS]
        return {entry.subject: Kind(entry.kind) for entry in sorted(about, key=lambda entry: entry.seq)}


def lacking(engine: Engine, public: PublicIdentity) -> Lacking:
    """Return what the database lacks; the newest entry of both tells where nothing does.

    Only what a key of this instance signed counts.
    """
    path = second_copy.path_of(engine)
    last = second_copy.newest(path)
    if last is None or chain.holds(engine, Head(last.seq, last.hash)):
        return Lacking()
    copied, _gaps = second_copy.read(path)
    known = chain.verify(engine, public)
    there = known.head.seq
    if there <= len(copied) and (not there or copied[there - 1].hash == known.head.hash):
        # The database has nothing of its own: what follows is put back as far as it is in order.
        done = chain.follow(replace(known, problem="", broken=None), copied[there:], public.host)
        return Lacking(copied[there : done.head.seq], ())
    return Lacking((), _signed(engine, copied, public))


def put_back(connection: Connection, found: Lacking) -> None:
    """Put back what follows, inside the caller's transaction."""
    for entry in found.entries:
        ledger_rows.add(connection, entry)


def _signed(engine: Engine, copied: Iterable[Row], public: PublicIdentity) -> list[Row]:
    """Return the copied entries that the database lacks, and that a key of this instance signed."""
    copied = list(copied)
    begun = Verification(0, "", None, Head(0, BEGINNING), ())
    keys = {public.key, *chain.follow(begun, copied, public.host).keys}
    identities = [PublicIdentity(public.host, key) for key in keys]
    here = {row.hash for row in _all(engine)}
    return [
        entry
        for entry in copied
        if entry.hash not in here
        and chain.hash_of(entry) == entry.hash
        and any(one.verify(entry.hash, entry.signature, Purpose.LEDGER) for one in identities)
    ]


def _all(engine: Engine) -> Iterable[Row]:
    after = 0
    while page := ledger_rows.after(engine, after):
        yield from page
        after = page[-1].seq
