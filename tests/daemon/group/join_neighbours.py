"""Instances join and leave a group over HTTP, as their admins and daemons would have them do."""

from __future__ import annotations

from daemon.group import commands
from daemon.group.membership import host_client, join_and_leave, key_verification
from daemon.group.membership.join_and_leave import Offer
from daemon.group.repository import Membership
from federation.http.client import new_session
from tests.daemon.peer_instances import Neighbour

GROUP = "video-cooperative"


async def fetches_offer(member: Neighbour, host: Neighbour, group: str = "", url: str = "") -> Offer:
    async with new_session() as session:
        return await join_and_leave.fetch_offer(
            member.config, member.engine, session, url or host.url, group, member.clock
        )


async def asks(member: Neighbour, host: Neighbour) -> Membership:
    offer = await fetches_offer(member, host)
    async with new_session() as session:
        return await join_and_leave.join(member.config, member.engine, session, offer, member.clock)


async def polls(member: Neighbour) -> Membership | None:
    async with new_session() as session:
        return await host_client.poll(member.config, member.engine, session, member.clock)


async def leaves(member: Neighbour) -> Membership | None:
    async with new_session() as session:
        return await join_and_leave.leave(member.config, member.engine, session, member.clock)


async def admits(host: Neighbour, name: str) -> None:
    request = commands.find_request(host.engine, name)
    async with new_session() as session:
        evidence = await key_verification.verify(
            host.config, host.engine, session, name, request.key, host.clock
        )
    commands.admit(host.config, host.engine, evidence, now=host.clock())


async def joined(member: Neighbour, host: Neighbour) -> None:
    """Ask, be admitted, and hear of it."""
    await asks(member, host)
    await admits(host, member.host)
    after = await polls(member)
    assert after is not None
    assert after.state == "member"
