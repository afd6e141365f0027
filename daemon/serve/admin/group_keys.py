"""What needs the answer of other instances: looking at a group and at keys, joining, approving, leaving.

Approval is by a key that the admin was shown and sent back: should another one appear meanwhile, that is
refused.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import aiohttp
from typing_extensions import TypedDict

from daemon.errors import PolicyRefusedError, Problem, RequestError, ShoalError
from daemon.group import commands, repository
from daemon.group.membership import join_and_leave, key_verification
from daemon.group.membership.join_and_leave import GroupOffer, Offer
from daemon.group.membership.key_verification import KeyEvidence, SeenKey
from daemon.peers import cards
from daemon.peers import repository as peers
from daemon.serve.admin import group
from daemon.serve.admin.group import Group
from daemon.serve.admin.peers import host_of
from daemon.serve.admin.requests import (
    ComparedHostKey,
    ComparedKey,
    GroupAddress,
    JoinOrder,
    KeyQuery,
    MembersApproval,
)
from daemon.serve.admin.routing import AdminRequest, Table
from federation.http.client import new_session

T = TypeVar("T")
table = Table()

AT_ONCE: Final = 8
"""Domains that are asked for their keys at one time."""


class NotApproved(TypedDict):
    """A member that was not approved, and why."""

    host: str
    problem: Problem


class ApprovedMembers(TypedDict):
    """Members that were approved as peers, and others that were not."""

    approved: list[SeenKey]
    not_approved: list[NotApproved]


@table.post("/group/look", "Look at a group before joining it", GroupOffer, body=GroupAddress)
async def look(request: AdminRequest) -> GroupOffer:
    """Ask its host; nothing that binds is sent."""

    async def ask(session: aiohttp.ClientSession) -> GroupOffer:
        offer = await _offer(request, session)
        known = await request.work.read(peers.read, request.engine, request.config)
        return offer.shown(known)

    return await _online(request, "look at a group", ask)


@table.post("/group/join", "Ask to join a group, and approve its host by this key", Group, body=JoinOrder)
async def join(request: AdminRequest) -> Group:
    """Look again, compare the key, ask; if the host does not answer, the daemon goes on asking."""
    order: JoinOrder = request.body

    async def ask(session: aiohttp.ClientSession) -> Group:
        offer = await _offer(request, session)
        _require_same(offer.host, offer.host_key.key, order.key)
        await join_and_leave.join(request.config, request.engine, session, offer, request.context.clock)
        return await group.group(request)

    return await _online(request, "join a group", ask)


@table.post("/group/leave", "Leave the group at once", Group)
async def leave(request: AdminRequest) -> Group:
    """Keep what was learnt with it; tell the host, now or later."""

    async def ask(session: aiohttp.ClientSession) -> Group:
        await join_and_leave.leave(request.config, request.engine, session, request.context.clock)
        return await group.group(request)

    return await _online(request, "leave a group", ask)


@table.post("/group/key", "Ask an instance's own domain for its key", SeenKey, body=KeyQuery)
async def key(request: AdminRequest) -> SeenKey:
    """Show who vouches for the key of a member, of one that asks to join, or of one to be invited."""
    host = request.body.host

    async def ask(session: aiohttp.ClientSession) -> SeenKey:
        return (await _seen(request, session, host)).seen

    return await _online(request, f"key of {host}", ask)


@table.post("/group/invite", "Admit an instance before it asks, by this key", Group, body=ComparedHostKey)
async def invite(request: AdminRequest) -> Group:
    """Approve it as a peer, too."""
    await request.work.read(commands.hosted, request.engine)
    return await _admit(request, request.body.host, commands.invite)


@table.post("/group/members/{host}/admit", "Admit an instance by exactly this key", Group, body=ComparedKey)
async def admit(request: AdminRequest) -> Group:
    """Approve it as a peer, too."""
    host = host_of(request)
    await request.work.read(commands.find_request, request.engine, host)
    return await _admit(request, host, commands.admit)


@table.post("/group/approve", "Approve members as peers by these keys", ApprovedMembers, body=MembersApproval)
async def approve_members(request: AdminRequest) -> ApprovedMembers:
    """Approve those whose key is still the one that was compared, and say of the others why not."""
    approval: MembersApproval = request.body
    commands.require_speaking(request.config)
    few = asyncio.Semaphore(AT_ONCE)

    async def one(session: aiohttp.ClientSession, member: ComparedHostKey) -> KeyEvidence | ShoalError:
        try:
            async with few:
                seen = await _seen(request, session, member.host, of_members=True)
                _require_same(member.host, seen.key, member.key)
                await request.work.read(
                    key_verification.pin, request.engine, request.config, seen, request.now
                )
                return seen
        except ShoalError as error:
            return error

    async def ask(session: aiohttp.ClientSession) -> ApprovedMembers:
        found = await asyncio.gather(*(one(session, member) for member in approval.members))
        pairs = list(zip(approval.members, found, strict=True))
        return {
            "approved": [seen.seen for _, seen in pairs if not isinstance(seen, ShoalError)],
            "not_approved": [
                {"host": member.host, "problem": error.as_json()}
                for member, error in pairs
                if isinstance(error, ShoalError)
            ],
        }

    return await _online(request, "approve members", ask)


async def _online(
    request: AdminRequest, kind: str, ask: Callable[[aiohttp.ClientSession], Awaitable[T]]
) -> T:
    """Do something that asks other instances; it goes on when the caller has left.

    Raises:
        BusyError: it takes long, or the same is being done. What `ask` raises.

    """

    async def work(_progress: object) -> T:
        async with new_session() as session:
            return await ask(session)

    return await request.work.answer_of(request.work.start(kind, work))


async def _admit(request: AdminRequest, host: str, decide: Callable[..., object]) -> Group:
    async def ask(session: aiohttp.ClientSession) -> Group:
        seen = await _seen(request, session, host)
        _require_same(host, seen.key, request.body.key)
        await request.work.read(decide, request.config, request.engine, seen, now=request.now)
        return await group.group(request)

    return await _online(request, f"key of {host}", ask)


async def _offer(request: AdminRequest, session: aiohttp.ClientSession) -> Offer:
    place: GroupAddress = request.body
    offer = await join_and_leave.fetch_offer(
        request.config, request.engine, session, place.url, place.group, request.context.clock
    )
    await request.work.read(join_and_leave.require_no_other_group, request.engine, offer)
    return offer


async def _seen(
    request: AdminRequest, session: aiohttp.ClientSession, host: str, *, of_members: bool = False
) -> KeyEvidence:
    """Ask the domain of an instance for its key: one that the group knows, or, for its host, any."""
    config, engine, clock = request.config, request.engine, request.context.clock
    commands.require_speaking(config)
    current = await request.work.read(repository.current, engine)
    known = await request.work.read(repository.member, engine, host)
    if current is None:
        raise commands.NoGroupError("this instance is in no group", advice="Join a group, or create one.")
    if known is not None and known.key and (known.state == "member" or not of_members):
        return await key_verification.verify(config, engine, session, host, known.key, clock)
    if of_members or current.role != "host":
        raise commands.UnknownMemberError(f"{host} is not a member", advice="See GET /v1/admin/group.")
    if host == config.instance.host:
        raise RequestError("that is this instance itself", advice="It is a member already.")
    peer = await request.work.read(peers.find, engine, config, host)
    url = (peer.url if peer is not None else "") or cards.base_url(host) + cards.ROUTER
    card = await cards.read_named_card(session, host, url, now=clock())
    return KeyEvidence(host, card.key, "domain" if card.bound else "card", card.url)


def _require_same(host: str, shown: str, compared: str) -> None:
    if shown != compared:
        raise PolicyRefusedError(
            f"{host} now shows a different key from the one that was compared",
            advice="Look it up again, and compare the words once more.",
        )
