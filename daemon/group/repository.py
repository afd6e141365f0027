"""The group that this instance hosts or is in, and the members it knows of.

The host's book is the group: who asked, who is a member, under which node key. A member's book holds what the
host said last, signed: nothing in it approves anybody, that is for the book of peers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

from sqlalchemy import Connection, Engine, delete, func, select
from sqlalchemy.dialects.sqlite import insert

from daemon.store.engine import reads, writes
from daemon.store.tables import GroupMemberRow, GroupRow, PeerRow
from federation.identity import PublicIdentity, parse_key

Role = Literal["host", "member"]
State = Literal["asked", "member", "refused", "ejected", "left"]
Standing = Literal["invited", "asked", "member", "refused", "ejected", "left"]
"""Of a member in the host's book; `invited`: pre-approved, and not heard of yet."""

_ONLY: Final = 1


@dataclass(frozen=True)
class Membership:
    """How this instance stands to its group; times are Unix seconds, unknown text is empty.

    Attributes:
        url: the host's endpoint for peers, below which messages are posted.
        fence: `https://...` where members reach Flower on the host, and `ca` the PEM that vouches for it
            (empty: the usual authorities).
        next_at: the announced start of the next sum, 0 while none is announced.
        poll_ms: how often a connected member asks for messages during a sum.
        polled: when the host last answered; `problem` why it did not, or what it refused.
        epoch: the host's signed epoch message, empty while there is none.
        batch: the newest published sum that was taken (hex), `published` the hash of what was published;
            `offered` the newest that the host has.
    """

    group: str
    host: str
    url: str
    role: Role
    state: State
    fence: str = ""
    ca: str = ""
    next_at: float = 0.0
    poll_ms: int = 0
    polled: float | None = None
    problem: str = ""
    epoch: bytes = b""
    batch: str = ""
    since: float = 0.0
    published: str = ""
    offered: str = ""

    @property
    def active(self) -> bool:
        """Whether this instance is a member now: no sums of its own, no proposals of peers."""
        return self.state == "member"


@dataclass(frozen=True)
class GroupMember:
    """One instance of the group, the host's own included; see `GroupMemberRow`. `key` is `ed25519:...`."""

    host: str
    key: str
    url: str = ""
    node_key: bytes = b""
    node_id: int | None = None
    state: Standing = "asked"
    since: float = 0.0
    seen: float | None = None
    delivered: str = ""
    gives: bool = True

    @property
    def identity(self) -> PublicIdentity:
        """Host and key. Raises ValueError while no key is known."""
        return PublicIdentity(self.host, parse_key(self.key))


# -- the group ----------------------------------------------------------------------------------------------


def current(engine: Engine) -> Membership | None:
    """Return the group that this instance hosts or is in, None where there is none."""
    with reads(engine) as connection:
        return current_in(connection)


def change(engine: Engine, edit: Callable[[Membership | None], Membership | None]) -> Membership | None:
    """Write what `edit` makes of the group as it is now, and return it; nobody else writes in between.

    Where `edit` returns None, the group and all that is known of its members are forgotten. What it raises
    leaves everything as it was.
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
    values = asdict(changed)
    values = {"id": _ONLY, "name": values.pop("group"), **values}
    update = {name: value for name, value in values.items() if name != "id"}
    connection.execute(
        insert(GroupRow).values(values).on_conflict_do_update(index_elements=["id"], set_=update)
    )
    return changed


def current_in(connection: Connection) -> Membership | None:
    """Return the group inside a transaction of the caller's."""
    row = connection.execute(select(GroupRow.__table__).where(GroupRow.id == _ONLY)).mappings().first()
    if row is None:
        return None
    values = {("group" if name == "name" else name): value for name, value in row.items() if name != "id"}
    return Membership(**values)


# -- its members --------------------------------------------------------------------------------------------


def members(engine: Engine) -> tuple[GroupMember, ...]:
    """Return everybody who is in the book, in any state, by host."""
    with reads(engine) as connection:
        return members_in(connection)


def members_in(connection: Connection) -> tuple[GroupMember, ...]:
    """Return everybody inside a transaction of the caller's."""
    rows = connection.execute(select(GroupMemberRow.__table__).order_by(GroupMemberRow.host)).mappings()
    return tuple(_member(dict(row)) for row in rows)


def member(engine: Engine, host: str) -> GroupMember | None:
    """Return one member in any state."""
    with reads(engine) as connection:
        return find_in(connection, host)


def change_member(
    engine: Engine, host: str, edit: Callable[[GroupMember | None], GroupMember | None]
) -> GroupMember | None:
    """Write what `edit` makes of a member as it is now (None: nothing is known of it), and return it."""
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
    """Make a member's book what the host listed, and keep since when each is in it."""
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


def pending(connection: Connection) -> int:
    """Count the rows that strangers caused: whoever asked, and was not approved as a peer."""
    approved = select(PeerRow.host).where(PeerRow.state == "approved")
    query = select(func.count()).where(
        GroupMemberRow.state.in_(("asked", "left")), GroupMemberRow.host.not_in(approved)
    )
    return int(connection.execute(query).scalar() or 0)


def standing(connection: Connection, state: Standing) -> int:
    """Count the instances in a state."""
    query = select(func.count()).where(GroupMemberRow.state == state)
    return int(connection.execute(query).scalar() or 0)


def forget_requests(connection: Connection, before: float) -> None:
    """Drop wishes to join, and those who left, from before a time; whose node is registered stays."""
    old = (GroupMemberRow.since < before) & GroupMemberRow.state.in_(("asked", "left"))
    connection.execute(delete(GroupMemberRow).where(old & GroupMemberRow.node_id.is_(None)))


def find_in(connection: Connection, host: str) -> GroupMember | None:
    """Return one member inside a transaction of the caller's."""
    query = select(GroupMemberRow.__table__).where(GroupMemberRow.host == host)
    row = connection.execute(query).mappings().first()
    return None if row is None else _member(dict(row))


def _member(row: dict[str, Any]) -> GroupMember:
    # SQLite's integers have a sign; Flower's numbers of nodes have none.
    number = row["node_id"]
    return GroupMember(**{**row, "node_id": None if number is None else int(number)})


def _save(connection: Connection, one: GroupMember) -> None:
    values = asdict(one)
    values["node_id"] = None if one.node_id is None else str(one.node_id)
    update = {name: value for name, value in values.items() if name != "host"}
    connection.execute(
        insert(GroupMemberRow).values(values).on_conflict_do_update(index_elements=["host"], set_=update)
    )
