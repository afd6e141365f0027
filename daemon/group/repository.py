"""The group that this instance hosts or is in, its members, and the ledger entries about both.

The host's rows are the group: who asked to join, who is a member, with which node key. A member's rows hold
what the host listed last, signed: nothing in them approves anybody, that is for the rows of peers. `run` is
named as in the host's messages: the id of a run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, fields
from typing import Any, Final, Literal, get_args

from sqlalchemy import Connection, Engine, delete, func, select
from sqlalchemy.dialects.sqlite import insert

from daemon.ledger.chain import Kind, append_in
from daemon.store.engine import reads, writes
from daemon.store.ledger_rows import Row
from daemon.store.tables import GroupMemberRow, GroupRow
from federation.identity import Identity, PublicIdentity, parse_key

Role = Literal["host", "member"]
State = Literal["asked", "member", "refused", "ejected", "left"]
MemberState = Literal["invited", "asked", "member", "refused", "ejected", "left"]
"""Of a member at the host; `invited`: approved before it asked."""
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

_ONLY: Final = 1
_COLUMNS: Final = {"group": "name"}
"""Fields of a membership whose column is named otherwise."""


@dataclass(frozen=True)
class Membership:
    """The group of this instance and its state in it; times are Unix seconds, unknown text is empty.

    Attributes:
        url: the host's endpoint for peers, below which messages are posted.
        proxy: `HOST:PORT` of the host's reverse proxy, through which members reach Flower, and `ca` the PEM
            of the authority that signed its certificate (empty: the usual authorities).
        next_at: the announced start of the next sum, 0 while none is announced.
        poll_ms: how often a connected member polls for messages during a sum.
        polled: when the host last answered; `problem` why it did not, or what it refused.
        epoch: the host's signed epoch message, empty while there is none.
        run: id (hex) of the newest published run that was stored, `published` the hash of what was
            published; `offered` the id of the newest run that the host has.
    """

    group: str
    host: str
    url: str
    role: Role
    state: State
    proxy: str = ""
    ca: str = ""
    next_at: float = 0.0
    poll_ms: int = 0
    polled: float | None = None
    problem: str = ""
    epoch: bytes = b""
    run: str = ""
    since: float = 0.0
    published: str = ""
    offered: str = ""

    @property
    def active(self) -> bool:
        """Whether this instance is a member now: no sums of its own, no proposals of peers."""
        return self.state == "member"


@dataclass(frozen=True)
class GroupMember:
    """One instance of the group, the host included; see `GroupMemberRow`. `key` is `ed25519:...`."""

    host: str
    key: str
    url: str = ""
    node_key: bytes = b""
    node_id: int | None = None
    state: MemberState = "asked"
    since: float = 0.0
    seen: float | None = None
    delivered: str = ""
    gives: bool = True

    @property
    def identity(self) -> PublicIdentity:
        """Host and key. Raises ValueError while no key is known."""
        return PublicIdentity(self.host, parse_key(self.key))


def current(engine: Engine) -> Membership | None:
    """Return the group that this instance hosts or is in, None if there is none."""
    with reads(engine) as connection:
        return current_in(connection)


def change(engine: Engine, edit: Callable[[Membership | None], Membership | None]) -> Membership | None:
    """Write what `edit` makes of the present group, and return it; nobody else writes in between.

    If `edit` returns None, the group and its members are deleted. What it raises leaves everything as it was.
    """
    with writes(engine) as connection:
        return change_in(connection, edit)


def change_in(
    connection: Connection, edit: Callable[[Membership | None], Membership | None]
) -> Membership | None:
    """Change the group inside a writing transaction of the caller's."""
    known = current_in(connection)
    changed = edit(known)
    if changed == known:
        return changed
    if changed is None:
        connection.execute(delete(GroupRow))
        connection.execute(delete(GroupMemberRow))
        return None
    row = {_COLUMNS.get(name, name): value for name, value in asdict(changed).items()}
    connection.execute(
        insert(GroupRow).values(id=_ONLY, **row).on_conflict_do_update(index_elements=["id"], set_=row)
    )
    return changed


def current_in(connection: Connection) -> Membership | None:
    """Return the group inside a transaction of the caller's."""
    row = connection.execute(select(GroupRow.__table__).where(GroupRow.id == _ONLY)).mappings().first()
    if row is None:
        return None
    return Membership(
        **{field.name: row[_COLUMNS.get(field.name, field.name)] for field in fields(Membership)}
    )


def members(engine: Engine) -> tuple[GroupMember, ...]:
    """Return all known members, in any state, by host."""
    with reads(engine) as connection:
        return members_in(connection)


def members_in(connection: Connection) -> tuple[GroupMember, ...]:
    """Return all known members inside a transaction of the caller's."""
    rows = connection.execute(select(GroupMemberRow.__table__).order_by(GroupMemberRow.host)).mappings()
    return tuple(_member(dict(row)) for row in rows)


def member(engine: Engine, host: str) -> GroupMember | None:
    """Return one member in any state."""
    with reads(engine) as connection:
        return find_in(connection, host)


def change_member(
    engine: Engine, host: str, edit: Callable[[GroupMember | None], GroupMember | None]
) -> GroupMember | None:
    """Write what `edit` makes of the present member (None: not known), and return it."""
    with writes(engine) as connection:
        return change_member_in(connection, host, edit)


def change_member_in(
    connection: Connection, host: str, edit: Callable[[GroupMember | None], GroupMember | None]
) -> GroupMember | None:
    """Change a member inside a writing transaction of the caller's."""
    known = find_in(connection, host)
    changed = edit(known)
    if changed == known:
        return changed
    if changed is None:
        connection.execute(delete(GroupMemberRow).where(GroupMemberRow.host == host))
    else:
        _save(connection, changed)
    return changed


def replace_members(connection: Connection, listed: Iterable[GroupMember], now: float) -> None:
    """Replace a member's rows by what the host listed, and keep since when each member is listed."""
    known = {one.host: one for one in members_in(connection)}
    wanted = {one.host: one for one in listed}
    gone = known.keys() - wanted.keys()
    if gone:
        connection.execute(delete(GroupMemberRow).where(GroupMemberRow.host.in_(sorted(gone))))
    for host, one in wanted.items():
        before = known.get(host)
        since = before.since if before is not None and before.key == one.key else now
        fresh = GroupMember(host, one.key, one.url, state="member", since=since)
        if fresh != before:
            _save(connection, fresh)


def count(connection: Connection, state: MemberState) -> int:
    """Count the instances in a state."""
    query = select(func.count()).where(GroupMemberRow.state == state)
    return int(connection.execute(query).scalar() or 0)


def forget_requests(connection: Connection, before: float) -> None:
    """Delete requests, and members that left, from before a time, but for those with a registered node."""
    old = (GroupMemberRow.since < before) & GroupMemberRow.state.in_(("asked", "left"))
    connection.execute(delete(GroupMemberRow).where(old & GroupMemberRow.node_id.is_(None)))


def find_in(connection: Connection, host: str) -> GroupMember | None:
    """Return one member inside a transaction of the caller's."""
    query = select(GroupMemberRow.__table__).where(GroupMemberRow.host == host)
    row = connection.execute(query).mappings().first()
    return None if row is None else _member(dict(row))


def nodes_outdated(engine: Engine) -> bool:
    """Tell whether members joined or left since the SuperLink of the hosted group was last told."""
    return any(
        (one.state == "member" and bool(one.node_key)) != (one.node_id is not None) for one in members(engine)
    )


def note_in_ledger(
    connection: Connection,
    identity: Identity,
    event: Event,
    host: str,
    group: str,
    now: float,
    **details: Any,
) -> Row:
    """Append a ledger entry about `host` (the instance it concerns, or the group's host) in a transaction.

    So the entry exists if and only if the change it reports does. `details` as in
    `daemon.ledger.chain.append`; known ones are `key` (asked, approved, joined), `own` (left: this instance
    did), `invited` (approved before it asked), `sub_cohorts` and `members` (epoch), `run`, `hash` and
    `survivors` (published).
    """
    return append_in(connection, identity, Kind.GROUP, host, {"event": event, "group": group, **details}, now)


def _member(row: dict[str, Any]) -> GroupMember:
    # SQLite's integers have a sign; Flower's node ids have none.
    number = row["node_id"]
    return GroupMember(**{**row, "node_id": None if number is None else int(number)})


def _save(connection: Connection, one: GroupMember) -> None:
    values = asdict(one)
    values["node_id"] = None if one.node_id is None else str(one.node_id)
    update = {name: value for name, value in values.items() if name != "host"}
    connection.execute(
        insert(GroupMemberRow).values(values).on_conflict_do_update(index_elements=["host"], set_=update)
    )
