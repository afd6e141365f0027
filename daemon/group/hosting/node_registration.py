"""The job "group-nodes": registers the nodes of members with the hosted group's SuperLink; see `sync`."""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import partial
from typing import Any

from sqlalchemy import Engine

from daemon.errors import NotRunningError
from daemon.group import repository
from daemon.group.hosting import host_process
from daemon.group.repository import GroupMember
from daemon.process.job_context import JobContext
from federation.flower import control
from federation.flower.superlink import SuperLinkAccess

log = logging.getLogger(__name__)


def run(context: JobContext) -> dict[str, Any]:
    """Register the nodes of members, and unregister all others.

    Raises:
        NotRunningError: the SuperLink does not run.

    """
    return {"nodes": len(sync(context.engine, access_to(context)))}


def access_to(context: JobContext) -> SuperLinkAccess:
    """Return how to reach this host's SuperLink. Raises NotRunningError."""
    found = host_process.running(context.config)
    if found is None:
        raise NotRunningError("the group's SuperLink is not running", advice="Start the daemon: shoal run")
    return found.access


def sync(engine: Engine, access: SuperLinkAccess) -> dict[str, int]:
    """Register the nodes of members and unregister all others; return the members' node ids by host."""
    found: dict[str, int] = {}
    members = repository.members(engine)
    for member in members:
        if member.state == "member" and member.node_key:
            try:
                found[member.host] = control.register(access, member.node_key)
            except control.NodeKeyRefusedError as error:
                log.warning("a node cannot be registered", extra={"peer": member.host, "reason": str(error)})
                # This key will never be accepted: the member has to send another one.
                repository.change_member(engine, member.host, partial(_without, member.node_key))
    # Nodes of former members, and of keys that a member does not use any more.
    for node_id in control.nodes(access).keys() - set(found.values()):
        control.unregister(access, node_id)
    # Last: what is saved is not done again.
    for member in members:
        _save_node_id(engine, member, found.get(member.host))
    return found


def _without(bad: bytes, known: GroupMember | None) -> GroupMember | None:
    return replace(known, node_key=b"") if known is not None and known.node_key == bad else known


def _save_node_id(engine: Engine, member: GroupMember, node_id: int | None) -> None:
    def edit(known: GroupMember | None) -> GroupMember | None:
        # A member that has enrolled with another key since is registered next time.
        same = known is not None and known.node_key == member.node_key
        return replace(known, node_id=node_id) if known is not None and same else known

    if member.node_id != node_id:
        repository.change_member(engine, member.host, edit)
