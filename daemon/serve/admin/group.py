"""The group of this instance: how it stands, and what its host decides. Nobody else is asked here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Engine

from daemon.config import Config
from daemon.serve.admin.peers import host_of
from daemon.serve.admin.requests_group import NewGroup, Start
from daemon.serve.admin.responses_group import Group
from daemon.serve.admin.routing import Call, Table

table = Table()


@table.get("/group", "The group, its members, who asks to join, and the invitation", Group)
async def group(call: Call) -> dict[str, Any]:
    """Return what is stored; nobody is asked."""
    context = call.context
    return await call.work.read(view, context.config, context.engine, context.clock())


@table.post(
    "/group/host", "Begin a group with this instance as its host and first member", Group, body=NewGroup
)
async def host(call: Call) -> dict[str, Any]:
    """Begin to host; the listener starts by itself."""
    from daemon.group import commands

    asked: NewGroup = call.body
    return await _decide(call, commands.host, asked.name, url=str(asked.url or ""))


@table.post("/group/close", "End the group that this instance hosts", Group)
async def close(call: Call) -> dict[str, Any]:
    """End it for all; what was learnt with it stays."""
    from daemon.group import commands

    return await _decide(call, commands.close)


@table.post("/group/start", "Announce a sum; members connect shortly before it", Group, body=Start)
async def start(call: Call) -> dict[str, Any]:
    """Announce it for a time, or for as soon as members hear of it."""
    from daemon.group import commands

    asked: Start = call.body
    context = call.context
    soon = context.clock() + context.config.group.notice.total_seconds()
    return await _decide(call, commands.start, at=soon if asked.at is None else asked.at)


@table.post("/group/members/{host}/refuse", "Do not let an instance in that asked", Group)
async def refuse(call: Call) -> dict[str, Any]:
    """Decide; it hears of it when it asks again."""
    from daemon.group import commands

    return await _decide(call, commands.refuse, host_of(call))


@table.post("/group/members/{host}/eject", "Take a member out, from the next sum on", Group)
async def eject(call: Call) -> dict[str, Any]:
    """Leave it an approved peer; a revert takes out what was learnt with it."""
    from daemon.group import commands

    return await _decide(call, commands.eject, host_of(call))


async def _decide(call: Call, decide: Callable[..., object], *what: Any, **more: Any) -> dict[str, Any]:
    context = call.context
    await call.work.read(decide, context.config, context.engine, *what, now=context.clock(), **more)
    return await group(call)


def view(config: Config, engine: Engine, now: float) -> dict[str, Any]:
    """Return everything about the group as one answer."""
    # Needs the federation's keys, which a daemon that federates with nobody does not load.
    from daemon.group import commands, repository, status
    from daemon.group.membership import key_verification
    from daemon.peers import repository as peers

    found, stored = status.status(config, engine, now), repository.current(engine)
    hosts = stored is not None and stored.role == "host"
    inside = tuple(one for one in repository.members(engine) if one.state == "member" and stored is not None)
    _, against = key_verification.wanted(inside, peers.read(engine, config), config.instance.host)
    return {
        "sentence": found["sentence"],
        "membership": _membership(found, commands.enough(config), gives=config.mode == "contribute"),
        "members": status.members(config, engine),
        "against": against,
        "requests": commands.requests(config, engine) if hosts else [],
        "invitation": commands.invitation(config, stored) if stored is not None and hosts else None,
    }


_NOT_OF_MEMBERSHIP = ("sentence", "sentences", "running", "requests")


def _membership(found: Mapping[str, Any], needed: int, *, gives: bool) -> dict[str, Any] | None:
    if found["group"] is None:
        return None
    kept = {name: value for name, value in found.items() if name not in _NOT_OF_MEMBERSHIP}
    return {**kept, "members_needed": needed, "gives": gives}
