"""The group of this instance: how it stands, and what its host decides. No other instance is asked here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import Engine
from typing_extensions import TypedDict

from daemon.config import Config
from daemon.group import commands, repository, status
from daemon.group.commands import Invitation, JoinRequest
from daemon.group.membership import key_verification
from daemon.group.status import Member, Standing
from daemon.peers import repository as peers
from daemon.serve.admin.peers import host_of
from daemon.serve.admin.requests import NewGroup, SumOrder
from daemon.serve.admin.routing import AdminRequest, Table

table = Table()


class Group(TypedDict):
    """The group of this instance; `membership` is null while it is in none.

    Attributes:
        against: members that this admin once decided against.
    """

    membership: Standing | None
    members: list[Member]
    against: list[str]
    requests: list[JoinRequest]
    invitation: Invitation | None


@table.get("/group", "The group, its members, requests to join, and the invitation", Group)
async def group(request: AdminRequest) -> Group:
    """Return what is stored; nobody is asked."""
    return await request.work.read(view, request.config, request.engine, request.now)


@table.post("/group/host", "Create a group with this instance as host and first member", Group, body=NewGroup)
async def host(request: AdminRequest) -> Group:
    """Begin to host; the listener starts by itself."""
    new: NewGroup = request.body
    return await _decide(request, commands.host, new.name, url=str(new.url or ""))


@table.post("/group/close", "Close the group that this instance hosts", Group)
async def close(request: AdminRequest) -> Group:
    """End it for all; what was learnt with it stays."""
    return await _decide(request, commands.close)


@table.post("/group/start", "Announce a sum; members connect shortly before it", Group, body=SumOrder)
async def start(request: AdminRequest) -> Group:
    """Announce it for a time, or for as soon as members know of it."""
    order: SumOrder = request.body
    soon = request.now + request.config.group.notice.total_seconds()
    return await _decide(request, commands.start, at=soon if order.at is None else order.at)


@table.post("/group/members/{host}/refuse", "Refuse a request to join", Group)
async def refuse(request: AdminRequest) -> Group:
    """Decide; the instance hears of it when it asks again."""
    return await _decide(request, commands.refuse, host_of(request))


@table.post("/group/members/{host}/eject", "Eject a member, from the next sum on", Group)
async def eject(request: AdminRequest) -> Group:
    """Leave it an approved peer; a revert takes out what was learnt with it."""
    return await _decide(request, commands.eject, host_of(request))


async def _decide(request: AdminRequest, decide: Callable[..., object], *what: Any, **more: Any) -> Group:
    await request.work.read(decide, request.config, request.engine, *what, now=request.now, **more)
    return await group(request)


def view(config: Config, engine: Engine, now: float) -> Group:
    """Return everything about the group as one answer."""
    stored = repository.current(engine)
    hosts = stored is not None and stored.role == "host"
    inside = tuple(one for one in repository.members(engine) if one.state == "member" and stored is not None)
    _, against = key_verification.not_approved(inside, peers.read(engine, config), config.instance.host)
    return {
        "membership": status.status(config, engine, now)["standing"],
        "members": status.members(config, engine),
        "against": against,
        "requests": commands.requests(config, engine) if hosts else [],
        "invitation": commands.invitation(config, stored) if stored is not None and hosts else None,
    }
