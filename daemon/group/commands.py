"""What the admin of a host decides about its group: the command line and the admin API call the same.

A decision is rows and an entry in the ledger, and holds from then on; members hear of it when they ask next.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, Engine

from daemon.config import Config
from daemon.errors import PolicyRefusedError, RequestError
from daemon.group import repository
from daemon.group.hosting import enrolment_server
from daemon.group.ledger_events import Event, note
from daemon.group.membership import key_verification, node_key_file
from daemon.group.membership.key_verification import Seen
from daemon.group.repository import GroupMember, Membership
from daemon.identity import open_identity
from daemon.peers import cards
from daemon.peers.commands import words_of
from daemon.store.engine import reads, writes
from federation.errors import Refusal
from federation.group.node_key import public_node_key
from federation.identity import format_key

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,46}[a-z0-9])?")


class NoGroupError(RequestError):
    """There is no group here, or another instance hosts it."""

    code = "no-group"
    status = 409


class UnknownMemberError(RequestError):
    """The group knows nothing of this host."""

    code = "unknown-member"
    status = 404


# -- hosting ------------------------------------------------------------------------------------------------


def host(config: Config, engine: Engine, name: str, *, url: str = "", now: float) -> dict[str, Any]:
    """Create a group with this instance as its host and first member; returns the invitation.

    `url` is this instance's endpoint for peers, where it is not behind its own PeerTube's domain.

    Raises:
        RequestError: the name cannot be used, or this instance is in a group already.
        PolicyRefusedError: the mode forbids it.

    """
    require_speaking(config)
    check_name(name)
    identity = open_identity(config.identity_file, config.instance.host)
    node_key = public_node_key(node_key_file.open_key(config))
    key = format_key(identity.public.key)
    own = url or cards.base_url(identity.host) + cards.ROUTER
    with writes(engine) as connection:
        require_free(repository.current_in(connection))
        made = Membership(name, identity.host, own, "host", "member", since=now)
        # Whatever was known of an earlier group's members is not this one's.
        repository.change_in(connection, lambda _one: None)
        repository.change_in(connection, lambda _one: made)
        me = GroupMember(identity.host, key, own, node_key, state="member", since=now)
        me = replace(me, gives=config.mode == "contribute")
        repository.change_member_in(connection, identity.host, lambda _one: me)
        note(connection, identity, "hosted", identity.host, name, now)
    return invitation(config, made)


def invitation(config: Config, group: Membership) -> dict[str, Any]:
    """Return what the host's admin tells others: the command to type, and the words to read out."""
    identity = open_identity(config.identity_file, config.instance.host)
    key = format_key(identity.public.key)
    return {
        "group": group.group,
        "host": group.host,
        "url": group.url,
        "key": key,
        "words": words_of(key),
        "command": f"shoal group join {group.url} --group {group.group}",
        "public": bool(config.group.public_url) or not _loopback(config),
    }


def hosted(engine: Engine) -> Membership:
    """Return the group that this instance hosts. Raises NoGroupError."""
    with reads(engine) as connection:
        return _hosted(connection)


def close(config: Config, engine: Engine, *, now: float) -> Membership:
    """End the group: no member can connect any more. What was learnt with it stays.

    Raises:
        NoGroupError: this instance hosts none.

    """
    identity = open_identity(config.identity_file, config.instance.host)
    with writes(engine) as connection:
        group = _hosted(connection)
        note(connection, identity, "closed", group.host, group.group, now)
        repository.change_in(connection, lambda _one: None)
    return group


# -- members ------------------------------------------------------------------------------------------------


def requests(config: Config, engine: Engine) -> list[dict[str, Any]]:
    """Return who asks to join, oldest first, with the words of the key each asks with.

    Raises:
        NoGroupError: this instance hosts none.

    """
    from daemon.peers import repository as peers

    hosted(engine)
    known = peers.read(engine, config)
    waiting = [one for one in repository.members(engine) if one.state == "asked"]
    return [
        {
            "host": one.host,
            "key": one.key,
            "words": words_of(one.key),
            "since": one.since,
            "peer": key_verification.recognised(known.find(one.host), one.key),
        }
        for one in sorted(waiting, key=lambda one: (one.since, one.host))
    ]


def wishing(engine: Engine, name: str) -> GroupMember:
    """Return an instance that can be let in: it asked, or was one before.

    Raises:
        NoGroupError: this instance hosts none. UnknownMemberError: nothing is known of the host.

    """
    group = hosted(engine)
    found = repository.member(engine, name)
    if found is None or not found.key:
        raise UnknownMemberError(
            f"{name} has not asked to join {group.group}",
            advice=f"Let it in before it asks: shoal group invite {name}",
        )
    return found


def approve(config: Config, engine: Engine, seen: Seen, *, now: float) -> GroupMember:
    """Let an instance in by the key that was looked at, and approve it as a peer by the same.

    Raises:
        NoGroupError, UnknownMemberError: as `wishing`.
        PolicyRefusedError: it asked with another key meanwhile, the group is full, or our book of
            peers says otherwise.

    """
    require_speaking(config)
    _require_wish(wishing(engine, seen.host), seen)
    key_verification.pin(engine, config, seen, now)

    def edit(one: GroupMember) -> GroupMember:
        _require_wish(one, seen)
        if one.state == "member":
            return one
        # The node of a former member is shut out for good: it says with which one it comes now.
        key = one.node_key if one.state == "asked" else b""
        return replace(one, state="member", since=now, node_key=key)

    return _decide(config, engine, seen.host, "approved", edit, now, key=seen.key)


def invite(config: Config, engine: Engine, seen: Seen, *, now: float) -> GroupMember:
    """Let an instance in before it asks: by the key of its card, which is approved as a peer's.

    Raises:
        NoGroupError: this instance hosts none. PolicyRefusedError: as `approve`.

    """
    require_speaking(config)
    group = hosted(engine)
    key_verification.pin(engine, config, seen, now)
    known = repository.member(engine, seen.host)
    if known is not None and known.key == seen.key and known.state != "left":
        return approve(config, engine, seen, now=now)
    identity = open_identity(config.identity_file, config.instance.host)
    with writes(engine) as connection:
        _require_own_key(connection, seen)
        note(connection, identity, "approved", seen.host, group.group, now, key=seen.key, invited=True)
        invited = GroupMember(seen.host, seen.key, state="invited", since=now)
        after = repository.change_member_in(connection, seen.host, lambda _one: invited)
    return after or invited


def refuse(config: Config, engine: Engine, name: str, *, now: float) -> GroupMember:
    """Do not let an instance in. Raises NoGroupError, UnknownMemberError, RequestError (a member)."""
    require_speaking(config)

    def edit(one: GroupMember) -> GroupMember:
        if one.state == "member":
            raise RequestError(f"{name} is a member", advice=f"Take it out: shoal group eject {name}")
        return replace(one, state="refused", since=now)

    return _decide(config, engine, name, "refused", edit, now)


def eject(config: Config, engine: Engine, name: str, *, now: float) -> GroupMember:
    """Take a member out, from the next sum on.

    Raises:
        NoGroupError, UnknownMemberError: as `wishing`. RequestError: it is no member, or this very instance.

    """
    require_speaking(config)
    if name == config.instance.host:
        raise RequestError("this instance hosts the group", advice="End it for all: shoal group close")

    def edit(one: GroupMember) -> GroupMember:
        if one.state not in ("member", "invited"):
            raise RequestError(f"{name} is not a member", advice="See: shoal group members")
        return replace(one, state="ejected", since=now)

    return _decide(config, engine, name, "ejected", edit, now)


# -- the next sum -------------------------------------------------------------------------------------------


def start(config: Config, engine: Engine, *, at: float, now: float) -> Membership:
    """Announce a sum at a time, Unix seconds; members connect shortly before it.

    Raises:
        NoGroupError: this instance hosts none.
        RequestError: the time is over. PolicyRefusedError: there are too few members.

    """
    require_speaking(config)
    if at < now:
        raise RequestError("that time is over", advice="Name a later one, such as: --in 2h")
    with writes(engine) as connection:
        group = _hosted(connection)
        there, needed = repository.standing(connection, "member"), enough(config)
        if there < needed:
            raise PolicyRefusedError(
                f"the group has {there} members, a sum needs {needed}",
                advice="Let in those who asked (shoal group requests), or invite more.",
            )
        announced = replace(group, next_at=at, problem="")
        repository.change_in(connection, lambda _one: announced)
    return announced


def enough(config: Config) -> int:
    """Return how many members a sum needs: what each asks for beside the host, and the host."""
    return config.cohort.min_cohort + 1


# -- what all of it shares ----------------------------------------------------------------------------------


def require_speaking(config: Config) -> None:
    """Refuse where the mode lets nothing out. Raises PolicyRefusedError."""
    if not config.federates:
        raise PolicyRefusedError(
            f'a group needs that this instance talks to others, and mode is "{config.mode}"',
            advice='Set mode = "consume" or "contribute" in shoal.toml and restart the daemon.',
        )


def check_name(name: str) -> str:
    """Return the name of a group. Raises RequestError."""
    if not _NAME.fullmatch(name):
        raise RequestError(
            f'"{name}" cannot be a group\'s name',
            advice="Use up to 48 small letters, digits, dots and hyphens, such as: video-cooperative",
        )
    return name


def require_free(group: Membership | None) -> None:
    """Refuse while this instance is in a group, or asks to be. Raises RequestError."""
    if group is not None and group.role == "host":
        raise RequestError(
            f"this instance hosts the group {group.group}", advice="End that first: shoal group close"
        )
    if group is not None and group.state in ("asked", "member"):
        raise RequestError(
            f"this instance {'is in' if group.active else 'asked to join'} the group {group.group} of "
            f"{group.host}, and can be in one at a time",
            advice="Leave that first: shoal group leave",
        )


def _hosted(connection: Connection) -> Membership:
    group = repository.current_in(connection)
    if group is None or group.role != "host":
        raise NoGroupError("this instance hosts no group", advice="Begin one: shoal group host NAME")
    return group


def _require_wish(one: GroupMember, seen: Seen) -> None:
    if one.state == "left":
        raise UnknownMemberError(
            f"{seen.host} has left the group", advice="Its admin can ask again: shoal group join"
        )
    if one.key != seen.key:
        raise PolicyRefusedError(
            f"{seen.host} asks with another key than the one that was compared",
            advice="Compare again: shoal group requests",
        )


def _require_own_key(connection: Connection, seen: Seen) -> None:
    try:
        enrolment_server.require_own_key(connection, seen.host, seen.key)
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
    wishing_here = wishing(engine, name)
    with writes(engine) as connection:
        group = _hosted(connection)
        before = repository.find_in(connection, name) or wishing_here
        after = edit(before)
        if after.state == "member" and before.state != "member":
            _require_own_key(connection, Seen(name, after.key, "book"))
            if repository.standing(connection, "member") >= config.group.max_members:
                raise PolicyRefusedError(
                    f"the group has {config.group.max_members} members already",
                    advice="Raise group.max_members, or take one out: shoal group eject HOST",
                )
        if after != before:
            note(connection, identity, event, name, group.group, now, **details)
            repository.change_member_in(connection, name, lambda _one: after)
    return after


def _loopback(config: Config) -> bool:
    return cards.loopback(config.group.listen_host)
