"""Members join and leave, at the host: the serving process answers what hellos say about its group.

The member's side: `daemon.group.membership.join_and_leave`. `daemon.peers.ingress` has checked who says it,
and bounds how many strangers ask: each of them causes a row here that says so, for thirty days, and a ledger
entry. The admin decides who is a member, when it asks or before (`shoal group invite`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from sqlalchemy import Connection, Engine

from daemon.config import Config
from daemon.group import repository
from daemon.group.repository import GroupMember, Membership, note_in_ledger
from daemon.peers import cards, peer_state
from daemon.peers import repository as peers
from daemon.store.engine import reads, writes
from federation.errors import Code, Refusal
from federation.group.enrolment import ANY_GROUP, Admission, Enrolment
from federation.group.enrolment import GroupMember as Listed
from federation.hello import Hello
from federation.identity import Identity, format_key, parse_key

log = logging.getLogger(__name__)

_MILLISECONDS: Final = 1000
_SHORTEST_POLL: Final = 250
_POLL_PER_MEMBER: Final = 15
"""Milliseconds: one SuperLink answers about a hundred requests a second, and not all of them are polls."""


class Admissions:
    """One per process; its method blocks, and is called from several threads. `clock` gives Unix seconds."""

    def __init__(
        self, identity: Identity, engine: Engine, config: Config, clock: Callable[[], float]
    ) -> None:
        self._identity, self._engine, self._config, self._clock = identity, engine, config, clock

    def answer(self, hello: Hello) -> Admission | None:
        """Return what to answer about the group that is hosted here; None where the hello says nothing of it.

        The hello is by the key that is pinned for its host, or by a stranger, and was not said before.

        Raises:
            Refusal: `closed`, `key-mismatch` or `busy`.

        """
        wish = hello.group
        if not isinstance(wish, Enrolment):
            return None
        peer = peers.find(self._engine, self._config, hello.host)
        if peer is not None and peer_state.by_pinned_key(peer, hello):
            # A key that was handed over is pinned by now: the member is the same.
            repository.change_member(self._engine, hello.host, lambda one: _with_key(one, peer.key))
        if wish.wish == "status":
            return self._status(hello, wish)
        now = self._clock()
        with writes(self._engine) as connection:
            group = _hosted(connection, wish)
            if wish.wish == "leave":
                after = self._leave(connection, group, hello, now)
            elif peer is not None and peer.state == "reverted":
                after = GroupMember(hello.host, format_key(hello.key), state="refused")
            else:
                after = self._join(connection, group, hello, wish, now)
            return _admission(connection, group, after)

    def _status(self, hello: Hello, wish: Enrolment) -> Admission:
        with reads(self._engine) as connection:
            group = _hosted(connection, wish)
            known = repository.find_in(connection, hello.host)
            mine = known if known is not None and known.key == format_key(hello.key) else None
            answer = _admission(connection, group, mine)
        if mine is not None and mine.state == "member":
            # The admin sees when each member was last seen; for an instance that only asked nothing is saved.
            repository.change_member(self._engine, hello.host, lambda one: _after_status(one, hello, wish))
        return answer

    def _join(
        self, connection: Connection, group: Membership, hello: Hello, wish: Enrolment, now: float
    ) -> GroupMember | None:
        before = repository.find_in(connection, hello.host)
        key = format_key(hello.key)
        if before is None or before.state in ("asked", "left"):
            require_own_key(connection, hello.host, key)
            return self._ask(connection, group, before, hello, wish, now)
        if before.state in ("refused", "ejected"):
            # The admin decided about this host, whatever key it asks with.
            return replace(before, key=key)
        if before.key not in ("", key):
            raise _other_key(hello.host)
        require_own_key(connection, hello.host, key)
        # A node that it does not use any more is unregistered before the next session.
        node_id = before.node_id if before.node_key == wish.node_key else None
        after = replace(
            before, key=key, node_key=wish.node_key, node_id=node_id, seen=hello.said, gives=wish.gives
        )
        if before.state == "invited":
            self._require_room(connection)
            after = replace(after, state="member", since=now)
            note_in_ledger(connection, self._identity, "approved", hello.host, group.group, now, key=key)
        return repository.change_member_in(connection, hello.host, lambda _one: after)

    def _ask(
        self,
        connection: Connection,
        group: Membership,
        before: GroupMember | None,
        hello: Hello,
        wish: Enrolment,
        now: float,
    ) -> GroupMember | None:
        repository.forget_requests(connection, now - peer_state.KEEP_REQUEST)
        before = before and repository.find_in(connection, hello.host)
        after = GroupMember(
            hello.host,
            format_key(hello.key),
            node_key=wish.node_key,
            node_id=before.node_id if before is not None and before.node_key == wish.node_key else None,
            # A repeated request keeps its age: it is deleted when it would have been.
            since=before.since if before is not None and before.state == "asked" else now,
            seen=hello.said,
            gives=wish.gives,
        )
        if before is None:
            # At most once a month for each host: an entry stays for good.
            note_in_ledger(connection, self._identity, "asked", hello.host, group.group, now, key=after.key)
            log.info("an instance asks to join the group", extra={"peer": hello.host})
        return repository.change_member_in(connection, hello.host, lambda _one: after)

    def _leave(
        self, connection: Connection, group: Membership, hello: Hello, now: float
    ) -> GroupMember | None:
        before = repository.find_in(connection, hello.host)
        if before is None or before.state not in ("asked", "member", "invited"):
            return before
        if before.key not in ("", format_key(hello.key)):
            raise _other_key(hello.host)
        since = before.since if before.state == "asked" else now
        after = replace(before, state="left", since=since, seen=hello.said)
        if before.state == "member":
            note_in_ledger(connection, self._identity, "left", hello.host, group.group, now)
        return repository.change_member_in(connection, hello.host, lambda _one: after)

    def _require_room(self, connection: Connection) -> None:
        if repository.count(connection, "member") >= self._config.group.max_members:
            raise Refusal(Code.BUSY, "the group is full; its admin can raise group.max_members")


def _hosted(connection: Connection, wish: Enrolment) -> Membership:
    group = repository.current_in(connection)
    if group is None or group.role != "host":
        raise Refusal(Code.CLOSED, "no group is hosted here")
    if wish.group != group.group and not (wish.wish == "status" and wish.group == ANY_GROUP):
        raise Refusal(Code.CLOSED, "no group of that name is hosted here")
    return group


def _admission(connection: Connection, group: Membership, one: GroupMember | None) -> Admission:
    members = [known for known in repository.members_in(connection) if known.state == "member"]
    inside = one is not None and one.state == "member"
    out = one is not None and one.state in ("refused", "ejected")
    return Admission(
        group=group.group,
        state="left" if one is None or one.state == "invited" else one.state,
        proxy=group.proxy if inside else "",
        ca=group.ca if inside else "",
        next=int(group.next_at * _MILLISECONDS) if inside else 0,
        poll_ms=poll_ms(len(members)),
        run=bytes.fromhex(group.offered) if inside else b"",
        # An instance that considers joining may see the members; a stranger learns no more than that.
        members=() if out else tuple(_listed(known) for known in members),
    )


def poll_ms(members: int) -> int:
    """Return how often a connected member polls for messages during a sum, in milliseconds."""
    return max(_SHORTEST_POLL, _POLL_PER_MEMBER * members)


def require_own_key(connection: Connection, host: str, key: str) -> None:
    """Check that no other member has this key: it would not be clear who signed what.

    Raises:
        Refusal: `key-mismatch`.

    """
    for one in repository.members_in(connection):
        if one.key == key and one.host != host and one.state in ("member", "invited"):
            raise Refusal(Code.KEY_MISMATCH, f"that is the key of {one.host}", host)


def _listed(one: GroupMember) -> Listed:
    url = one.url or cards.base_url(one.host) + cards.ROUTER
    return Listed(one.host, parse_key(one.key), url)


def _with_key(one: GroupMember | None, key: str) -> GroupMember | None:
    return one and replace(one, key=key)


def _after_status(one: GroupMember | None, hello: Hello, wish: Enrolment) -> GroupMember | None:
    if one is None or one.key != format_key(hello.key):
        return one
    # A readmitted member sends a new node key. A member that has one changes it only by joining.
    return replace(one, seen=hello.said, gives=wish.gives, node_key=one.node_key or wish.node_key)


def _other_key(host: str) -> Refusal:
    return Refusal(
        Code.KEY_MISMATCH,
        f"{host} is known by another key here; both admins have to compare words, and approve again",
        host,
    )
