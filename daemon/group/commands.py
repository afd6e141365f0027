"""What a host's admin decides about its group; the command line and the admin API call the same functions.

A decision is rows and an entry in the ledger, and holds immediately; members learn of it when they next poll.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, Engine
from typing_extensions import TypedDict

from daemon.config import Config
from daemon.errors import PolicyRefusedError, RequestError
from daemon.group import flower_installed, repository
from daemon.group.hosting.members_join_and_leave import require_own_key
from daemon.group.membership import key_verification
from daemon.group.membership.host_client import open_node_key
from daemon.group.membership.key_verification import Approval, KeyEvidence
from daemon.group.repository import Event, GroupMember, Membership, note_in_ledger
from daemon.identity import open_identity
from daemon.peers import cards
from daemon.peers import repository as peers
from daemon.peers.listing import words_of
from daemon.store.engine import reads, writes
from federation.errors import Refusal
from federation.group.node_key import public_node_key
from federation.identity import format_key

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,46}[a-z0-9])?")


class NoGroupError(RequestError):
    """There is no group that this instance is in, or hosts."""

    code = "no-group"
    status = 409


class UnknownMemberError(RequestError):
    """The group knows nothing of this host."""

    code = "unknown-member"
    status = 404


class JoinRequest(TypedDict):
    """An instance that asks to join, since when, and whether it is approved as a peer by this key."""

    host: str
    key: str
    words: list[str]
    since: float
    peer: Approval


class Invitation(TypedDict):
    """What the host's admin sends to others; `public`: members on other machines can reach the listener."""

    group: str
    host: str
    url: str
    key: str
    words: list[str]
    command: str
    public: bool


def host(config: Config, engine: Engine, name: str, *, url: str = "", now: float) -> Invitation:
    """Create a group with this instance as its host and first member; returns the invitation.

    `url` is this instance's endpoint for peers, where it is not behind its own PeerTube's domain.

    Raises:
        RequestError: the name cannot be used, or this instance is in a group already.
        PolicyRefusedError: the mode forbids it. FlowerMissingError: it is not installed.

    """
    require_speaking(config)
    check_name(name)
    flower_installed.require()
    identity = open_identity(config.identity_file, config.instance.host)
    node_key = public_node_key(open_node_key(config))
    key = format_key(identity.public.key)
    own = url or cards.base_url(identity.host) + cards.ROUTER
    with writes(engine) as connection:
        require_in_no_group(repository.current_in(connection))
        made = Membership(name, identity.host, own, "host", "member", since=now)
        # Deletes the members of an earlier group as well.
        repository.change_in(connection, lambda _one: None)
        repository.change_in(connection, lambda _one: made)
        me = GroupMember(identity.host, key, own, node_key, state="member", since=now)
        me = replace(me, gives=config.mode == "contribute")
        repository.change_member_in(connection, identity.host, lambda _one: me)
        note_in_ledger(connection, identity, "hosted", identity.host, name, now)
    return invitation(config, made)


def invitation(config: Config, group: Membership) -> Invitation:
    """Return what the host's admin sends to others: the command to type, and the words to read out."""
    identity = open_identity(config.identity_file, config.instance.host)
    key = format_key(identity.public.key)
    return {
        "group": group.group,
        "host": group.host,
        "url": group.url,
        "key": key,
        "words": words_of(key),
        "command": f"shoal group join {group.url} --group {group.group}",
        "public": bool(config.group.public_url) or not cards.loopback(config.group.listen_host),
    }


def hosted(engine: Engine) -> Membership:
    """Return the group that this instance hosts. Raises NoGroupError."""
    with reads(engine) as connection:
        return _hosted(connection)


def close(config: Config, engine: Engine, *, now: float) -> Membership:
    """End the group: members can no longer connect. What was learnt with it stays.

    Raises:
        NoGroupError: this instance hosts none.

    """
    identity = open_identity(config.identity_file, config.instance.host)
    with writes(engine) as connection:
        group = _hosted(connection)
        note_in_ledger(connection, identity, "closed", group.host, group.group, now)
        repository.change_in(connection, lambda _one: None)
    return group


def requests(config: Config, engine: Engine) -> list[JoinRequest]:
    """Return the requests to join, oldest first, with the words of the key that each was signed with.

    Raises:
        NoGroupError: this instance hosts none.

    """
    hosted(engine)
    known = peers.read(engine, config)
    waiting = [one for one in repository.members(engine) if one.state == "asked"]
    return [
        {
            "host": one.host,
            "key": one.key,
            "words": words_of(one.key),
            "since": one.since,
            "peer": key_verification.approval(known.find(one.host), one.key),
        }
        for one in sorted(waiting, key=lambda one: (one.since, one.host))
    ]


def find_request(engine: Engine, name: str) -> GroupMember:
    """Return an instance that can be admitted: it asked to join, or was a member before.

    Raises:
        NoGroupError: this instance hosts none. UnknownMemberError: nothing is known of the host.

    """
    group = hosted(engine)
    found = repository.member(engine, name)
    if found is None or not found.key:
        raise UnknownMemberError(
            f"{name} has not asked to join {group.group}",
            advice=f"Invite it instead: shoal group invite {name}",
        )
    return found


def admit(config: Config, engine: Engine, evidence: KeyEvidence, *, now: float) -> GroupMember:
    """Admit an instance that asked, by the key that was verified, and approve it as a peer by the same key.

    Raises:
        NoGroupError, UnknownMemberError: as `find_request`.
        PolicyRefusedError: it has asked with another key since, the group is full, or it is known as a peer
            by another key, or was reverted.

    """
    require_speaking(config)
    _require_request(find_request(engine, evidence.host), evidence)
    key_verification.pin(engine, config, evidence, now)

    def edit(one: GroupMember) -> GroupMember:
        _require_request(one, evidence)
        if one.state == "member":
            return one
        # Flower never accepts the node key of a former member again: it sends a new one when it joins.
        key = one.node_key if one.state == "asked" else b""
        return replace(one, state="member", since=now, node_key=key)

    return _decide(config, engine, evidence.host, "approved", edit, now, key=evidence.key)


def invite(config: Config, engine: Engine, evidence: KeyEvidence, *, now: float) -> GroupMember:
    """Admit an instance before it asks: by the key of its card, by which it is also approved as a peer.

    Raises:
        NoGroupError: this instance hosts none. PolicyRefusedError: as `admit`.

    """
    require_speaking(config)
    group = hosted(engine)
    key_verification.pin(engine, config, evidence, now)
    host, key = evidence.host, evidence.key
    known = repository.member(engine, host)
    if known is not None and known.key == key and known.state != "left":
        return admit(config, engine, evidence, now=now)
    identity = open_identity(config.identity_file, config.instance.host)
    with writes(engine) as connection:
        _require_own_key(connection, host, key)
        note_in_ledger(connection, identity, "approved", host, group.group, now, key=key, invited=True)
        invited = GroupMember(host, key, state="invited", since=now)
        after = repository.change_member_in(connection, host, lambda _one: invited)
    return after or invited


def refuse(config: Config, engine: Engine, name: str, *, now: float) -> GroupMember:
    """Refuse a request to join. Raises NoGroupError, UnknownMemberError, RequestError (a member)."""
    require_speaking(config)

    def edit(one: GroupMember) -> GroupMember:
        if one.state == "member":
            raise RequestError(f"{name} is a member", advice=f"Eject it: shoal group eject {name}")
        return replace(one, state="refused", since=now)

    return _decide(config, engine, name, "refused", edit, now)


def eject(config: Config, engine: Engine, name: str, *, now: float) -> GroupMember:
    """Remove a member from the group, from the next sum on.

    Raises:
        NoGroupError, UnknownMemberError: as `find_request`.
        RequestError: it is no member, or this instance.

    """
    require_speaking(config)
    if name == config.instance.host:
        raise RequestError("this instance hosts the group", advice="Close the group: shoal group close")

    def edit(one: GroupMember) -> GroupMember:
        if one.state not in ("member", "invited"):
            raise RequestError(f"{name} is not a member", advice="See: shoal group members")
        return replace(one, state="ejected", since=now)

    return _decide(config, engine, name, "ejected", edit, now)


def start(config: Config, engine: Engine, *, at: float, now: float) -> Membership:
    """Announce a sum for a time, Unix seconds; members connect shortly before it.

    Raises:
        NoGroupError: this instance hosts none.
        RequestError: the time has passed. PolicyRefusedError: there are too few members.
        FlowerMissingError: it is not installed.

    """
    require_speaking(config)
    flower_installed.require()
    if at < now:
        raise RequestError("that time has passed", advice="Give a later one, such as: --in 2h")
    with writes(engine) as connection:
        group = _hosted(connection)
        count, needed = repository.count(connection, "member"), members_needed(config)
        if count < needed:
            raise PolicyRefusedError(
                f"the group has {count} members, a sum needs {needed}",
                advice="Approve requests to join (shoal group requests), or invite more instances.",
            )
        announced = replace(group, next_at=at, problem="")
        repository.change_in(connection, lambda _one: announced)
    return announced


def members_needed(config: Config) -> int:
    """Return how many members a sum needs: the host, and `min_cohort` others."""
    return config.cohort.min_cohort + 1


def require_speaking(config: Config) -> None:
    """Check that the mode allows messages to others. Raises PolicyRefusedError."""
    if not config.federates:
        raise PolicyRefusedError(
            f'a group needs mode "consume" or "contribute", and mode is "{config.mode}"',
            advice='Set mode = "consume" or "contribute" in shoal.toml and restart the daemon.',
        )


def check_name(name: str) -> str:
    """Return a valid name of a group. Raises RequestError."""
    if not _NAME.fullmatch(name):
        raise RequestError(
            f'"{name}" cannot be the name of a group',
            advice="Use up to 48 small letters, digits, dots and hyphens, such as: video-cooperative",
        )
    return name


def require_in_no_group(group: Membership | None) -> None:
    """Check that this instance is in no group, and has not asked to join one. Raises RequestError."""
    if group is not None and group.role == "host":
        raise RequestError(
            f"this instance hosts the group {group.group}", advice="Close it first: shoal group close"
        )
    if group is not None and group.state in ("asked", "member"):
        raise RequestError(
            f"this instance {'is in' if group.active else 'has asked to join'} the group {group.group} of "
            f"{group.host}, and can be in one group at a time",
            advice="Leave it first: shoal group leave",
        )


def _hosted(connection: Connection) -> Membership:
    group = repository.current_in(connection)
    if group is None or group.role != "host":
        raise NoGroupError("this instance hosts no group", advice="Host one: shoal group host NAME")
    return group


def _require_request(one: GroupMember, evidence: KeyEvidence) -> None:
    if one.state == "left":
        raise UnknownMemberError(
            f"{evidence.host} has left the group", advice="Its admin can ask again: shoal group join"
        )
    if one.key != evidence.key:
        raise PolicyRefusedError(
            f"{evidence.host} asked with another key than the one that was compared",
            advice="Compare the words again: shoal group requests",
        )


def _require_own_key(connection: Connection, host: str, key: str) -> None:
    try:
        require_own_key(connection, host, key)
    except Refusal as refusal:
        raise PolicyRefusedError(refusal.sentence, advice="Two instances cannot share a key.") from None


def _decide(
    config: Config,
    engine: Engine,
    name: str,
    event: Event,
    edit: Callable[[GroupMember], GroupMember],
    now: float,
    **details: Any,
) -> GroupMember:
    identity = open_identity(config.identity_file, config.instance.host)
    request = find_request(engine, name)
    with writes(engine) as connection:
        group = _hosted(connection)
        before = repository.find_in(connection, name) or request
        after = edit(before)
        if after.state == "member" and before.state != "member":
            _require_own_key(connection, name, after.key)
            if repository.count(connection, "member") >= config.group.max_members:
                raise PolicyRefusedError(
                    f"the group already has {config.group.max_members} members",
                    advice="Raise group.max_members, or eject a member: shoal group eject HOST",
                )
        if after != before:
            note_in_ledger(connection, identity, event, name, group.group, now, **details)
            repository.change_member_in(connection, name, lambda _one: after)
    return after
