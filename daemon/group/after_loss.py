"""The group, made what the ledger knows of it, where the database is older than that or was lost.

As with peers, what was decided against members holds, and nobody is admitted: a member that was let in since
asks again. What this instance itself joined, or left, is its own decision: it stands. A group that was hosted
since is not put back, since whom it had is not known by their nodes' keys: its admin hosts it again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

from sqlalchemy import Connection

from daemon.group import repository
from daemon.group.repository import GroupMember, Membership, MemberState, State
from daemon.ledger.chain import Kind
from daemon.peers import cards
from daemon.peers.repository import Peer
from daemon.store.ledger_rows import Row

AGAINST: Final[Mapping[str, MemberState]] = {"ejected": "ejected", "refused": "refused", "left": "left"}
_OF_OURS: Final[Mapping[str, State]] = {"ejected": "ejected", "refused": "refused"}


@dataclass(frozen=True)
class GroupAsDecided:
    """The group of this instance, and what was decided against which of its members, with the time of it."""

    group: Membership | None
    against: Mapping[str, tuple[MemberState, float]] = field(default_factory=dict)


def put_back(connection: Connection, entries: Iterable[Row], me: str, peers: Mapping[str, Peer]) -> None:
    """Change group and members as these entries of the ledger say, in a transaction of the caller's.

    The host of a group is asked where it is known as one of the `peers`, otherwise at its own domain.
    """
    known = repository.current_in(connection)
    found = follow(known, entries, me)
    if found.group is not None and not found.group.url:
        host = found.group.host
        url = peers[host].url if host in peers else ""
        found = replace(found, group=replace(found.group, url=url or cards.base_url(host) + cards.ROUTER))
    if found.group is None or known is None or _of(found.group) != _of(known):
        # Deletes the members of another group as well.
        repository.change_in(connection, lambda _one: None)
    repository.change_in(connection, lambda _one: found.group)
    if found.group is None:
        return
    for host, (state, at) in found.against.items():
        repository.change_member_in(connection, host, partial(_decided, host, state, at))


def follow(group: Membership | None, entries: Iterable[Row], me: str) -> GroupAsDecided:
    """Return what becomes of a group by these entries, in their order; `me` is this instance.

    Where the host of a group that was joined since can be reached is left empty: the ledger keeps no address.
    """
    found = GroupAsDecided(group)
    for entry in sorted(entries, key=lambda entry: entry.seq):
        if entry.kind == Kind.GROUP:
            found = _after(found, entry, me)
    return found


def _after(found: GroupAsDecided, entry: Row, me: str) -> GroupAsDecided:
    event, name = (str(entry.details.get(key)) for key in ("event", "group"))
    group = found.group
    if event == "hosted":
        return GroupAsDecided(None)
    if event == "joined":
        return GroupAsDecided(_joined(group, entry.subject, name, entry.at))
    if group is None or group.group != name:
        return found
    if group.role == "member":
        return replace(found, group=_of_ours(group, entry, me))
    if event == "closed":
        return GroupAsDecided(None)
    against = {host: state for host, state in found.against.items() if host != entry.subject}
    if event in AGAINST:
        against[entry.subject] = AGAINST[event], entry.at
    elif event != "approved":
        return found
    return replace(found, against=against)


def _joined(group: Membership | None, host: str, name: str, at: float) -> Membership:
    if group is not None and _of(group) == (name, host, "member"):
        return replace(group, state="member")
    return Membership(name, host, "", "member", "member", since=at)


def _of_ours(group: Membership, entry: Row, me: str) -> Membership:
    event = str(entry.details.get("event"))
    if event == "left" and entry.details.get("own") and entry.subject == group.host:
        return replace(group, state="left", next_at=0.0, proxy="", ca="", problem="")
    if event in _OF_OURS and entry.subject == me:
        return replace(group, state=_OF_OURS[event], next_at=0.0)
    return group


def _decided(host: str, state: MemberState, at: float, one: GroupMember | None) -> GroupMember:
    return replace(one or GroupMember(host, ""), state=state, since=at)


def _of(group: Membership) -> tuple[str, str, str]:
    return group.group, group.host, group.role
