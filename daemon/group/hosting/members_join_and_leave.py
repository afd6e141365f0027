"""Members join and leave, at the host: the serving process takes enrolments, and answers with admissions.

The member's side: `daemon.group.membership.join_and_leave`. A stranger, whose requests `daemon.peers.ingress`
counts, can cause two checked signatures here, a row that says that it asked, at most
`group.max_requests_pending` of them and for thirty days, and a ledger entry for each. The admin decides who
is a member, when it asks or before (`shoal group invite`).
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
from federation.envelope import Envelope
from federation.errors import Code, Refusal
from federation.group.enrolment import ANY_GROUP, Admission, Enrolment
from federation.group.enrolment import GroupMember as Listed
from federation.identity import Identity, format_key, parse_key
from federation.limits import Limits

log = logging.getLogger(__name__)

_MILLISECONDS: Final = 1000
_SHORTEST_POLL: Final = 250
_POLL_PER_MEMBER: Final = 15
"""Milliseconds: one SuperLink answers about a hundred requests a second, and not all of them are polls."""


class EnrolmentServer:
    """One per process; its methods block, and are called from several threads. `clock` gives Unix seconds."""

    def __init__(
        self,
        identity: Identity,
        engine: Engine,
        config: Config,
        clock: Callable[[], float],
        *,
        limits: Limits | None = None,
    ) -> None:
        self._identity = identity
        self._engine = engine
        self._config = config
        self._clock = clock
        self._limits = limits or Limits()

    def take(self, message: Envelope) -> bytes:
        """Take an enrolment and return the signed admission that answers it.

        Raises:
            Refusal: what reading an enrolment raises; `closed`, `key-mismatch`, `replayed` or `busy`.

        """
        now = self._clock()
        wish = Enrolment.read(message, self._identity.host, now, self._limits)
        if wish.host == self._identity.host:
            raise Refusal(Code.WRONG_SENDER, "that is the host of the group itself", wish.host)
        peer = peers.find(self._engine, self._config, wish.host)
        # Only a domain or its admin vouches for a key: anybody can use a name.
        vouched = peer is not None and peer.key and (peer_state.pinned(peer) or peer.url)
        if peer is not None and vouched and peer.key != format_key(wish.key):
            raise peer_state.other_key(peer)
        if wish.wish == "status":
            return self._status(wish, now)
        with writes(self._engine) as connection:
            group = self._hosted(connection, wish)
            if wish.wish == "join":
                blocked = peer is not None and peer.state == "reverted"
                after = _blocked(wish) if blocked else self._join(connection, group, wish, now)
            else:
                after = self._leave(connection, group, wish, now)
            return self._answer(connection, group, after, wish, now)

    def _status(self, wish: Enrolment, now: float) -> bytes:
        with reads(self._engine) as connection:
            group = self._hosted(connection, wish)
            known = repository.find_in(connection, wish.host)
            mine = known if known is not None and known.key == format_key(wish.key) else None
            answer = self._answer(connection, group, mine, wish, now)
        if mine is not None and mine.state == "member":
            # The admin sees when each member was last seen; for an instance that only asked nothing is saved.
            repository.change_member(self._engine, wish.host, lambda one: _after_status(one, wish))
        return answer

    def _hosted(self, connection: Connection, wish: Enrolment) -> Membership:
        group = repository.current_in(connection)
        if group is None or group.role != "host":
            raise Refusal(Code.CLOSED, "no group is hosted here")
        if wish.group != group.group and not (wish.wish == "status" and wish.group == ANY_GROUP):
            raise Refusal(Code.CLOSED, "no group of that name is hosted here")
        return group

    def _join(
        self, connection: Connection, group: Membership, wish: Enrolment, now: float
    ) -> GroupMember | None:
        before = repository.find_in(connection, wish.host)
        key = format_key(wish.key)
        if before is None or before.state in ("asked", "left"):
            require_own_key(connection, wish.host, key)
            return self._ask(connection, group, before, wish, now)
        if before.state in ("refused", "ejected"):
            # The admin decided about this host, whatever key it asks with.
            return replace(before, key=key)
        if before.key not in ("", key):
            raise _other_key(wish.host)
        _require_newer(before, wish)
        require_own_key(connection, wish.host, key)
        state = before.state
        if state == "invited":
            self._require_room(connection)
            state = "member"
            note_in_ledger(connection, self._identity, "approved", wish.host, group.group, now, key=key)
        # A node that it does not use any more is unregistered before the next session.
        node_id = before.node_id if before.node_key == wish.node_key else None
        after = replace(
            before,
            key=key,
            node_key=wish.node_key,
            node_id=node_id,
            state=state,
            seen=wish.said,
            gives=wish.gives,
        )
        if state != before.state:
            after = replace(after, since=now)
        return repository.change_member_in(connection, wish.host, lambda _one: after)

    def _ask(
        self,
        connection: Connection,
        group: Membership,
        before: GroupMember | None,
        wish: Enrolment,
        now: float,
    ) -> GroupMember | None:
        repository.forget_requests(connection, now - peer_state.KEEP_REQUEST)
        before = before and repository.find_in(connection, wish.host)
        if before is None:
            self._require_few_requests(connection, wish.host)
        elif before.key == format_key(wish.key):
            _require_newer(before, wish)
        after = GroupMember(
            wish.host,
            format_key(wish.key),
            node_key=wish.node_key,
            node_id=before.node_id if before is not None and before.node_key == wish.node_key else None,
            # A repeated request keeps its age: it is deleted when it would have been.
            since=before.since if before is not None and before.state == "asked" else now,
            seen=wish.said,
            gives=wish.gives,
        )
        if before is None:
            # At most once a month for each host: an entry stays for good.
            note_in_ledger(connection, self._identity, "asked", wish.host, group.group, now, key=after.key)
            log.info("an instance asks to join the group", extra={"peer": wish.host})
        return repository.change_member_in(connection, wish.host, lambda _one: after)

    def _leave(
        self, connection: Connection, group: Membership, wish: Enrolment, now: float
    ) -> GroupMember | None:
        before = repository.find_in(connection, wish.host)
        if before is None or before.state not in ("asked", "member", "invited"):
            return before
        if before.key not in ("", format_key(wish.key)):
            raise _other_key(wish.host)
        _require_newer(before, wish)
        since = before.since if before.state == "asked" else now
        after = replace(before, state="left", since=since, seen=wish.said)
        if before.state == "member":
            note_in_ledger(connection, self._identity, "left", wish.host, group.group, now)
        return repository.change_member_in(connection, wish.host, lambda _one: after)

    def _require_few_requests(self, connection: Connection, host: str) -> None:
        peer = peers.find(self._engine, self._config, host)
        if peer is not None and peer.approved:
            return
        if repository.count_strangers(connection) >= self._config.group.max_requests_pending:
            raise Refusal(
                Code.BUSY,
                "too many requests to join wait for the admin of this group; try again in some days",
            )

    def _require_room(self, connection: Connection) -> None:
        if repository.count(connection, "member") >= self._config.group.max_members:
            raise Refusal(Code.BUSY, "the group is full; its admin can raise group.max_members")

    def _answer(
        self,
        connection: Connection,
        group: Membership,
        one: GroupMember | None,
        wish: Enrolment,
        now: float,
    ) -> bytes:
        members = [known for known in repository.members_in(connection) if known.state == "member"]
        inside = one is not None and one.state == "member"
        out = one is not None and one.state in ("refused", "ejected")
        state = "left" if one is None or one.state == "invited" else one.state
        return Admission(
            group=group.group,
            host=wish.host,
            state=state,
            proxy=group.proxy if inside else "",
            ca=group.ca if inside else "",
            next=int(group.next_at * _MILLISECONDS) if inside else 0,
            poll_ms=poll_ms(len(members)),
            batch=bytes.fromhex(group.offered) if inside else b"",
            # An instance that considers joining may see the members; a stranger learns no more than that.
            members=() if out else tuple(_listed(known) for known in members),
            date=int(now * _MILLISECONDS),
        ).seal(self._identity, wish.host)


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


def _blocked(wish: Enrolment) -> GroupMember:
    return GroupMember(wish.host, format_key(wish.key), state="refused")


def _after_status(one: GroupMember | None, wish: Enrolment) -> GroupMember | None:
    if one is None or one.key != format_key(wish.key):
        return one
    if wish.said < (one.seen or 0.0):
        return one
    # A readmitted member sends a new node key. A member that has one changes it only by joining, since an
    # admin that looks at an offer sends a throw-away key.
    return replace(one, seen=wish.said, gives=wish.gives, node_key=one.node_key or wish.node_key)


def _require_newer(before: GroupMember, wish: Enrolment) -> None:
    # The very same message again is a retry, and changes nothing.
    if before.seen is not None and wish.said < before.seen:
        raise Refusal(Code.REPLAYED, "this enrolment, or a later one, arrived before", wish.host)


def _other_key(host: str) -> Refusal:
    return Refusal(
        Code.KEY_MISMATCH,
        f"{host} is known by another key here; both admins have to compare words, and approve again",
        host,
    )
