"""Peers: who there is, and what the admin decides about each."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from typing import Any, Final

from sqlalchemy import Engine

from daemon.config import Config
from daemon.config.types import check_host
from daemon.errors import RequestError
from daemon.serve.admin.executor import BusyError, Executor
from daemon.serve.admin.requests import Approval, NewPeer
from daemon.serve.admin.responses import Peer, Peers
from daemon.serve.admin.routing import Call, Table
from daemon.store import source_state

table = Table()

PATIENCE: Final = 50.0
"""Seconds that a caller waits for other instances to answer; the plugin waits for a minute."""
CONTACT: Final = "peers"


@table.get("/peers", "All peers and candidates, and whether they suffice for a sum", Peers)
async def listing(call: Call) -> dict[str, Any]:
    """Return what is stored; nobody is asked."""
    return await call.work.read(_listing, call.context.engine, call.context.config, call.context.clock())


@table.post("/peers", "Get to know an instance: ask for its key and tell it ours", Peer, body=NewPeer)
async def add(call: Call) -> dict[str, Any]:
    """Contact a host, approving nothing."""
    asked: NewPeer = call.body
    await contact(call, {"add": asked.host} | ({"url": str(asked.url)} if asked.url else {}))
    return await _peer(call, asked.host)


@table.post("/peers/candidates", "Look which followed instances run Shoal", Peers)
async def candidates(call: Call) -> dict[str, Any]:
    """Contact the instances that this one follows."""
    await contact(call, {"candidates": "1"})
    return await listing(call)


@table.post("/peers/{host}/approve", "Approve a peer with exactly this key", Peer, body=Approval)
async def approve(call: Call) -> dict[str, Any]:
    """Pin the key; what it needs beyond that, the peer's approval, is theirs to give."""
    from daemon.peers import commands
    from daemon.revert.artifacts import artifacts_of

    asked: Approval = call.body
    return await _decide(call, commands.approve, key=asked.key, max_users=asked.max_users, holds=artifacts_of)


@table.post("/peers/{host}/pause", "Go without a peer until it is approved again", Peer)
async def pause(call: Call) -> dict[str, Any]:
    """Keep what was learnt."""
    from daemon.peers import commands

    return await _decide(call, commands.pause)


@table.post("/peers/{host}/remove", "Have nothing to do with a host any more", Peer)
async def remove(call: Call) -> dict[str, Any]:
    """Use nothing of it from the next training on; a revert takes out at once what it is in."""
    from daemon.peers import commands

    return await _decide(call, commands.remove)


async def contact(call: Call, arguments: Mapping[str, str]) -> None:
    """Have other instances asked, which is a job.

    Raises:
        BusyError: others are being asked, or these take long. JobFailedError: it failed.
    """
    running = call.work.start_job(CONTACT, arguments)
    try:
        await asyncio.wait_for(call.work.result_of(running), PATIENCE)
    except TimeoutError:
        raise BusyError(
            "the others take long to answer; they are still being asked",
            advice="Look at the list of peers in a minute.",
        ) from None


def host_of(call: Call) -> str:
    """Return the host that the path names.

    Raises:
        RequestError: it is none.
    """
    try:
        return check_host(call.path["host"])
    except ValueError as error:
        raise RequestError(f"the path names no host: it {error}", advice="Percent-encode it.") from None


async def _decide(call: Call, decide: Callable[..., object], **more: Any) -> dict[str, Any]:
    context, host = call.context, host_of(call)
    await call.work.read(decide, context.engine, context.config, host, now=context.clock(), **more)
    tell(call.work, host)
    return await _peer(call, host)


def tell(work: Executor, host: str) -> None:
    """Let a peer know in the background what was decided; should that fail, it hears within the hour."""
    with contextlib.suppress(BusyError):
        work.start_job(CONTACT, {"host": host}, kind=f"word to {host}")


async def _peer(call: Call, host: str) -> dict[str, Any]:
    context = call.context
    return await call.work.read(_described, context.engine, context.config, host, context.clock())


def _listing(engine: Engine, config: Config, now: float) -> dict[str, Any]:
    # Needs the federation's keys, which a daemon that federates with nobody does not load.
    from daemon.group import messages, repository
    from daemon.peers import commands

    return commands.listing(engine, config, now, messages.through(repository.current(engine)))


def _described(engine: Engine, config: Config, host: str, now: float) -> dict[str, Any]:
    from daemon.peers import commands, repository

    peer = repository.find(engine, config, host)
    if peer is None:
        raise commands.UnknownPeerError("nothing is known of this host", advice="See GET /v1/admin/peers.")
    return commands.described(peer, now, followed=host in source_state.follows(engine))
