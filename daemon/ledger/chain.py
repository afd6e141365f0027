"""The ledger: what happened, entry by entry, each chained to the one before by its hash and signed.

Whoever changes the file without the instance's key cannot change, insert or take out an entry unseen. Taking
off the newest entries can be seen only by whoever noted a later head: an admin, or the manifest of a model.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Connection, Engine

from daemon.errors import StoreError
from daemon.ledger import second_copy
from daemon.ledger.canonical import as_json, canonical, plain, printable, signed_part
from daemon.store import ledger_rows as rows
from daemon.store.engine import reads, writes
from daemon.store.ledger_rows import Row as Entry
from federation.identity import Identity, PublicIdentity, Purpose, format_key, parse_key

BEGINNING: Final = bytes(32)
"""Stands for the hash before the first entry."""
FORMAT: Final = 1
"""Of an exported file, see docs/ledger.md."""
_MAX_SUBJECT = 300


class Kind(StrEnum):
    """What an entry is about; its `subject` is a host, or the id of a round or of a model."""

    OPENED = "opened"
    ROUND = "round"
    REFUSED = "refused"
    SUM = "sum"
    MODEL = "model"
    ACCEPTANCE = "acceptance"
    SERVED = "served"
    PEER_ADDED = "peer-added"
    PEER_ASKED = "peer-asked"
    PEER_APPROVED = "peer-approved"
    PEER_VOUCHED_FOR = "peer-vouched-for"
    PEERS_INTRODUCED = "peers-introduced"
    PEER_PAUSED = "peer-paused"
    PEER_REMOVED = "peer-removed"
    PEER_REVERTED = "peer-reverted"
    KEY_ROTATED = "key-rotated"
    KEY_CHANGED = "key-changed"
    REVERT = "revert"
    WITHDRAWAL = "withdrawal"
    STOPPED = "stopped"
    SETTINGS = "settings"
    GROUP = "group"
    PASSED_ON = "passed-on"
    DATABASE_LOST = "database-lost"


@dataclass(frozen=True)
class Head:
    """An entry by its place and its hash (32 bytes): all up to it follows from the hash."""

    seq: int
    hash: bytes


@dataclass(frozen=True)
class Verification:
    """What a check found.

    Attributes:
        entries: how many were found in order; the next one is broken where there is a `problem`.
        problem: one sentence, empty where everything is in order.
        broken: the number of the first broken entry, None where there is none.
        head: the newest entry that is in order; before the first it is 0 and `BEGINNING`.
        keys: whose signatures the entries carry, oldest first: the keys that the instance has had; none
            while there is no entry.
    """

    entries: int
    problem: str
    broken: int | None
    head: Head
    keys: tuple[bytes, ...]

    @property
    def ok(self) -> bool:
        """Tell whether everything is in order."""
        return not self.problem


def append(
    engine: Engine, identity: Identity, kind: Kind, subject: str, details: dict[str, Any], now: float
) -> Entry:
    """Append an entry and return it; writers of several processes take turns.

    `details` are plain values: no viewers, titles, addresses or secrets, see `canonical.plain`. `now` is in
    Unix seconds, of which an entry keeps whole ones. In a transaction of one's own, use `append_in`.

    Raises:
        StoreError: the key was handed over since; this process still holds the old one.
        ValueError, TypeError: the details are not plain, or a rotation was not written with `rotate`.

    """
    with writes(engine) as connection:
        return append_in(connection, identity, kind, subject, details, now)


def append_in(
    connection: Connection, identity: Identity, kind: Kind, subject: str, details: dict[str, Any], now: float
) -> Entry:
    """Append inside a writing transaction of the caller's: the entry stands if and only if the rest does."""
    if kind in (Kind.OPENED, Kind.KEY_ROTATED):
        raise ValueError("a rotation is written with `rotate`, since the new key has to agree")
    _begin(connection, identity, now)
    return _append(connection, identity, kind, subject, details, now)


def rotate(engine: Engine, old: Identity, new: Identity, now: float) -> Entry:
    """Hand the ledger over to the next key: signed by the old one, with the consent of the new one.

    Without the consent, which is bound to the chain before, anybody could put a history of their own, signed
    by a key of their own, in front of a handover to our key.

    Raises:
        StoreError: the key was handed over before.

    """
    with writes(engine) as connection:
        previous = _begin(connection, old, now).hash
        details = {
            "old": format_key(old.public.key),
            "new": format_key(new.public.key),
            "consent": new.sign(previous + old.public.key, Purpose.HANDOVER).hex(),
        }
        return _append(connection, old, Kind.KEY_ROTATED, old.host, details, now)


def entries(engine: Engine, after: int = 0, limit: int = rows.PAGE) -> list[Entry]:
    """Return entries that follow a number, oldest first."""
    return rows.after(engine, after, limit=limit)


def newest(engine: Engine, limit: int, before: int | None = None, kind: str = "") -> list[Entry]:
    """Return entries newest first: those before a number, and of a kind, where given."""
    return rows.newest(engine, limit=limit, before=before, kinds=(kind,) if kind else ())


def head(engine: Engine) -> Head:
    """Return the newest entry's place and hash; 0 and `BEGINNING` while there is none."""
    with reads(engine) as connection:
        newest = rows.last(connection)
    return Head(0, BEGINNING) if newest is None else Head(newest.seq, newest.hash)


def hash_of(entry: Entry) -> bytes:
    """Return the hash that an entry must have: SHA-256 of the canonical text of `signed_part`, 32 bytes."""
    return hashlib.sha256(canonical(signed_part(entry))).digest()


def export(engine: Engine, host: str) -> Iterator[bytes]:
    """Yield JSON lines that can be checked without Shoal: whose ledger it is, then its entries in order."""
    yield canonical({"format": FORMAT, "ledger": host}) + b"\n"
    for entry in _all(engine, 0):
        yield canonical(as_json(entry)) + b"\n"


def verify(engine: Engine, public: PublicIdentity, known: Verification | None = None) -> Verification:
    """Check every entry: number, chain, hash, signature, and that keys were handed over properly.

    `known` is what an earlier check of the same ledger found; then only what follows its head is read, as
    long as the entry at its head is still the same.
    """
    done = known if known is not None and known.ok and holds(engine, known.head) else None
    if done is None:
        done = Verification(0, "", None, Head(0, BEGINNING), ())
    done = follow(done, _all(engine, done.head.seq), public.host)
    if done.ok and done.keys and done.keys[-1] != public.key:
        problem = "the newest entries are signed by another key, which never handed over to the current one"
        return replace(done, problem=problem)
    return done


def follow(done: Verification, entries: Iterable[Entry], host: str) -> Verification:
    """Check entries that follow what was checked already; ends at the first that is not in order."""
    for entry in entries:
        if not done.keys:
            # Whose it is follows at the end: only a chain of handovers can lead from this key to ours.
            done = replace(done, keys=(_key(entry.details.get("key")),))
        problem = _problem(entry, done, host)
        if problem:
            return replace(done, problem=f"entry {done.head.seq + 1}: {problem}", broken=done.head.seq + 1)
        keys = done.keys
        if entry.kind == Kind.KEY_ROTATED:
            keys = (*keys, _key(entry.details["new"]))
        done = Verification(done.entries + 1, "", None, Head(entry.seq, entry.hash), keys)
    return done


def contains(engine: Engine, wanted: bytes) -> int | None:
    """Return the number of the entry with this hash, None where there is none."""
    return next((entry.seq for entry in _all(engine, 0) if entry.hash == wanted), None)


def holds(engine: Engine, wanted: Head) -> bool:
    """Tell whether the ledger has this entry at this place; every ledger has the beginning."""
    if wanted.seq == 0:
        return wanted.hash == BEGINNING
    found = rows.after(engine, wanted.seq - 1, limit=1)
    return bool(found) and Head(found[0].seq, found[0].hash) == wanted


def _begin(connection: Connection, identity: Identity, now: float) -> Entry:
    """Return the newest entry; the first one of all says by whose key the ledger begins."""
    newest = rows.last(connection)
    if newest is not None:
        return newest
    details = {"key": format_key(identity.public.key)}
    return _append(connection, identity, Kind.OPENED, identity.host, details, now)


def _append(
    connection: Connection, identity: Identity, kind: Kind, subject: str, details: dict[str, Any], now: float
) -> Entry:
    handed = rows.last(connection, Kind.KEY_ROTATED.value)
    if handed is not None and handed.details.get("old") == format_key(identity.public.key):
        raise StoreError(
            "the key of this instance was replaced, and this process still uses the old one",
            advice="Restart the daemon: shoal run.",
        )
    newest = rows.last(connection)
    entry = Entry(
        seq=1 if newest is None else newest.seq + 1,
        at=float(int(now)),
        kind=kind.value,
        subject=printable(subject)[:_MAX_SUBJECT],
        details=plain(details),
        previous=BEGINNING if newest is None else newest.hash,
        hash=b"",
        signature=b"",
    )
    digest = hash_of(entry)
    entry = replace(entry, hash=digest, signature=identity.sign(digest, Purpose.LEDGER))
    rows.add(connection, entry)
    second_copy.keep_up(connection)
    return entry


def _all(engine: Engine, after: int) -> Iterator[Entry]:
    """Read page by page: a ledger of many years is not held in memory."""
    while page := rows.after(engine, after):
        yield from page
        after = page[-1].seq


def _problem(entry: Entry, before: Verification, host: str) -> str:
    """Return what is wrong with the entry after `before`, empty where nothing is."""
    if entry.seq != before.head.seq + 1:
        return f"it is missing; entry {entry.seq} comes next"
    if (entry.seq == 1) != (entry.kind == Kind.OPENED):
        return "the first entry opens a ledger, and no other one may"
    if entry.previous != before.head.hash:
        return "it does not follow the entry before it: one was changed, inserted or removed"
    try:
        digest = hash_of(entry)
    except (ValueError, TypeError, AttributeError, OverflowError):
        return "its content was changed: it cannot be read as an entry"
    if digest != entry.hash:
        return "its content was changed: it does not match its hash"
    if not PublicIdentity(host, before.keys[-1]).verify(entry.hash, entry.signature, Purpose.LEDGER):
        return "its signature was not made with the key of this instance"
    if entry.kind == Kind.KEY_ROTATED and not _handed_over(entry, before.keys[-1], host):
        return "it hands over to a key that did not agree"
    return ""


def _handed_over(entry: Entry, old: bytes, host: str) -> bool:
    new = PublicIdentity(host, _key(entry.details.get("new")))
    try:
        consent = bytes.fromhex(str(entry.details.get("consent")))
    except ValueError:
        return False
    return _key(entry.details.get("old")) == old and new.verify(
        entry.previous + old, consent, Purpose.HANDOVER
    )


def _key(text: object) -> bytes:
    """Return a key, or bytes that no signature fits where the text is none."""
    try:
        return parse_key(str(text))
    except ValueError:
        return b""
