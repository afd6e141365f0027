"""What needs the answer of other instances: looking at a group and at keys, joining, approving, leaving.

Whoever is approved is approved by a key that the admin was shown and sent back: should another one appear
meanwhile, that is refused.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final

from daemon.errors import PolicyRefusedError, RequestError, ShoalError
from daemon.serve.admin import group
from daemon.serve.admin.executor import BusyError
from daemon.serve.admin.peers import host_of
from daemon.serve.admin.requests_group import Compared, ComparedOf, Joining, Place, Recognise, Whose
from daemon.serve.admin.responses_group import Group, GroupOffer, RecognisedMembers, SeenKey
from daemon.serve.admin.routing import Call, Table

if TYPE_CHECKING:
    import aiohttp

    from daemon.group.membership.join_and_leave import Offer
    from daemon.group.membership.key_verification import Seen

table = Table()

PATIENCE: Final = 50.0
"""Seconds that a caller waits for other instances to answer; the plugin waits for a minute."""
AT_ONCE: Final = 8
"""Domains that are asked for their keys at one time."""


@table.post("/group/look", "Look at a group before joining it", GroupOffer, body=Place)
async def look(call: Call) -> dict[str, Any]:
    """Ask its host; nothing that binds is sent."""
    from daemon.peers import repository as peers

    context = call.context

    async def ask(session: aiohttp.ClientSession) -> dict[str, Any]:
        offer = await _offer(call, session)
        known = await call.work.read(peers.read, context.engine, context.config)
        return offer.as_json(known)

    return await _online(call, "look at a group", ask)


@table.post(
    "/group/join", "Ask to be let into a group, and approve its host by this key", Group, body=Joining
)
async def join(call: Call) -> dict[str, Any]:
    """Look again, compare the key, ask; where the host is away then, the daemon goes on asking."""
    from daemon.group.membership import join_and_leave

    asked: Joining = call.body
    context = call.context

    async def ask(session: aiohttp.ClientSession) -> dict[str, Any]:
        offer = await _offer(call, session)
        _require_same(offer.host, offer.seen.key, asked.key)
        await join_and_leave.join(context.config, context.engine, session, offer, context.clock)
        return await group.group(call)

    return await _online(call, "join a group", ask)


@table.post("/group/leave", "Leave the group, at once", Group)
async def leave(call: Call) -> dict[str, Any]:
    """Keep what was learnt with it; tell the host, now or later."""
    from daemon.group.membership import join_and_leave

    context = call.context

    async def ask(session: aiohttp.ClientSession) -> dict[str, Any]:
        await join_and_leave.leave(context.config, context.engine, session, context.clock)
        return await group.group(call)

    return await _online(call, "leave a group", ask)


@table.post("/group/key", "Ask an instance's own domain for its key", SeenKey, body=Whose)
async def key(call: Call) -> dict[str, Any]:
    """Show who vouches for the key of a member, of whoever asks to join, or of one to be invited."""
    asked: Whose = call.body

    async def ask(session: aiohttp.ClientSession) -> dict[str, Any]:
        return (await _seen(call, session, asked.host)).as_json()

    return await _online(call, f"key of {asked.host}", ask)


@table.post("/group/invite", "Let an instance in before it asks, by this key", Group, body=ComparedOf)
async def invite(call: Call) -> dict[str, Any]:
    """Approve it as a peer, too."""
    from daemon.group import commands

    asked: ComparedOf = call.body
    context = call.context
    await call.work.read(commands.hosted, context.engine)

    async def ask(session: aiohttp.ClientSession) -> dict[str, Any]:
        seen = await _seen(call, session, asked.host)
        _require_same(asked.host, seen.key, asked.key)
        await call.work.read(commands.invite, context.config, context.engine, seen, now=context.clock())
        return await group.group(call)

    return await _online(call, f"key of {asked.host}", ask)


@table.post("/group/members/{host}/approve", "Let an instance in by exactly this key", Group, body=Compared)
async def approve(call: Call) -> dict[str, Any]:
    """Approve it as a peer, too."""
    from daemon.group import commands

    asked: Compared = call.body
    context, host = call.context, host_of(call)
    await call.work.read(commands.wishing, context.engine, host)

    async def ask(session: aiohttp.ClientSession) -> dict[str, Any]:
        seen = await _seen(call, session, host)
        _require_same(host, seen.key, asked.key)
        await call.work.read(commands.approve, context.config, context.engine, seen, now=context.clock())
        return await group.group(call)

    return await _online(call, f"key of {host}", ask)


@table.post("/group/recognise", "Approve members as peers by these keys", RecognisedMembers, body=Recognise)
async def recognise(call: Call) -> dict[str, Any]:
    """Approve those whose key is still the one that was compared, and say of the others why not."""
    from daemon.group import commands
    from daemon.group.membership import key_verification as keys

    asked: Recognise = call.body
    context = call.context
    commands.require_speaking(context.config)
    few = asyncio.Semaphore(AT_ONCE)

    async def one(session: aiohttp.ClientSession, member: ComparedOf) -> Seen | ShoalError:
        try:
            async with few:
                seen = await _seen(call, session, member.host, of_members=True)
                _require_same(member.host, seen.key, member.key)
                await call.work.read(keys.pin, context.engine, context.config, seen, context.clock())
                return seen
        except ShoalError as error:
            return error

    async def ask(session: aiohttp.ClientSession) -> dict[str, Any]:
        found = await asyncio.gather(*(one(session, member) for member in asked.members))
        pairs = list(zip(asked.members, found, strict=True))
        return {
            "recognised": [seen.as_json() for _, seen in pairs if not isinstance(seen, ShoalError)],
            "not_recognised": [
                {"host": member.host, "sentence": f"{error.message[:1].upper()}{error.message[1:]}."}
                for member, error in pairs
                if isinstance(error, ShoalError)
            ],
        }

    return await _online(call, "recognise members", ask)


# -- what they share ----------------------------------------------------------------------------------------


async def _online(
    call: Call, kind: str, ask: Callable[[aiohttp.ClientSession], Awaitable[dict[str, Any]]]
) -> dict[str, Any]:
    """Do something that asks other instances; it goes on when the caller has left.

    Raises:
        BusyError: it takes long, or the same is being done. What `ask` raises.

    """
    from federation.http.client import new_session

    async def work(_progress: object) -> dict[str, Any]:
        async with new_session() as session:
            return await ask(session)

    running = call.work.start(kind, work)
    try:
        return await asyncio.wait_for(call.work.result_of(running), PATIENCE)
    except TimeoutError:
        raise BusyError(
            "the others take long to answer; it is still being done", advice="Look again in a minute."
        ) from None


async def _offer(call: Call, session: aiohttp.ClientSession) -> Offer:
    from daemon.group.membership import join_and_leave

    asked: Place = call.body
    context = call.context
    offer = await join_and_leave.look(
        context.config, context.engine, session, asked.url, asked.group, context.clock
    )
    await call.work.read(join_and_leave.require_free_for, context.engine, offer)
    return offer


async def _seen(call: Call, session: aiohttp.ClientSession, host: str, *, of_members: bool = False) -> Seen:
    """Ask the domain of an instance for its key: one of the group's book, or, for its host, any."""
    from daemon.group import commands, repository
    from daemon.group.membership import key_verification as keys
    from daemon.peers import cards
    from daemon.peers import repository as peers

    context = call.context
    commands.require_speaking(context.config)
    current = await call.work.read(repository.current, context.engine)
    known = await call.work.read(repository.member, context.engine, host)
    if current is None:
        raise commands.NoGroupError("this instance is in no group", advice="Join one, or begin one.")
    if known is not None and known.key and (known.state == "member" or not of_members):
        return await keys.look(context.config, context.engine, session, host, known.key, context.clock)
    if of_members or current.role != "host":
        raise commands.UnknownMemberError(f"{host} is not a member", advice="Look at the list again.")
    if host == context.config.instance.host:
        raise RequestError("that is this instance itself", advice="It is a member already.")
    peer = await call.work.read(peers.find, context.engine, context.config, host)
    url = (peer.url if peer is not None else "") or cards.base_url(host) + cards.ROUTER
    card = await cards.read_card(session, host, url, now=context.clock())
    return keys.Seen(host, card.key, "domain" if card.bound else "card", card.url)


def _require_same(host: str, shown: str, compared: str) -> None:
    if shown != compared:
        raise PolicyRefusedError(
            f"{host} shows another key now than the one that was compared",
            advice="Look at it again, and compare the words once more.",
        )
