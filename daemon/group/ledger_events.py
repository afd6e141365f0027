"""What the ledger keeps of groups: one kind of entry, whose `event` says what happened."""

from __future__ import annotations

from typing import Any, Final, Literal, get_args

from sqlalchemy import Connection

from daemon.ledger.chain import Kind, append_in
from daemon.store.ledger_rows import Row
from federation.identity import Identity

Event = Literal[
    "hosted",
    "asked",
    "approved",
    "refused",
    "ejected",
    "joined",
    "left",
    "closed",
    "epoch",
    "published",
]
EVENTS: Final[tuple[Event, ...]] = get_args(Event)


def note(
    connection: Connection,
    identity: Identity,
    event: Event,
    host: str,
    group: str,
    now: float,
    **details: Any,
) -> Row:
    """Append an entry about `host` (the instance it concerns, or the group's host) in a transaction.

    So it stands if and only if what it tells of does. `details` as in `daemon.ledger.chain.append`; known
    ones are `key` (asked, approved, joined), `own` (left: this instance did), `invited` (approved before it
    asked), `parts` and `members` (epoch), `batch`, `hash` and `survivors` (published).
    """
    return append_in(connection, identity, Kind.GROUP, host, {"event": event, "group": group, **details}, now)
