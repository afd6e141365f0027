"""Peers: who there is, and what the admin decides about each."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import Any, Final

from daemon.config.pasted_host import NoHostError, pasted_host
from daemon.errors import RequestError
from daemon.group import messages
from daemon.group import repository as groups
from daemon.peers import commands, listing, repository
from daemon.peers.listing import Peer, Peers
from daemon.revert.artifacts import artifacts_of
from daemon.serve.admin.executor import BusyError, Executor
from daemon.serve.admin.requests import Approval, NewPeer
from daemon.serve.admin.routing import AdminRequest, Table
from daemon.status import network
from daemon.status.network import Network
from daemon.store import source_state

table = Table()

CONTACT: Final = "peers"


@table.get("/peers", "All peers and candidates, and whether there are enough for a sum", Peers)
async def all_peers(request: AdminRequest) -> Peers:
    """Return what is stored; nobody is asked."""
    engine, config, now = request.engine, request.config, request.now

    def read() -> Peers:
        return listing.listing(engine, config, now, messages.learns_in_group(groups.current(engine)))

    return await request.work.read(read)


@table.get("/network", "Who learns with whom, and what each peer has to do with this instance", Network)
async def who(request: AdminRequest) -> Network:
    """Read what this instance knows of it."""
    return await request.work.read(network.read, request.engine, request.config, request.now)


@table.post("/peers", "Contact an instance: ask for its key and send ours", Peer, body=NewPeer)
async def add(request: AdminRequest) -> Peer:
    """Contact a host, approving nothing."""
    new: NewPeer = request.body
    await _contact(request, {"add": new.host} | ({"url": str(new.url)} if new.url else {}))
    return await _peer(request, new.host)


@table.post("/peers/candidates", "Find out which followed instances run Shoal", Peers)
async def candidates(request: AdminRequest) -> Peers:
    """Contact the instances that this one follows."""
    await _contact(request, {"candidates": "1"})
    return await all_peers(request)


@table.post("/peers/{host}/approve", "Approve a peer by exactly this key", Peer, body=Approval)
async def approve(request: AdminRequest) -> Peer:
    """Pin the key; what it needs beyond that, the peer's approval, is theirs to give."""
    by: Approval = request.body
    return await _decide(request, commands.approve, key=by.key, max_users=by.max_users, holds=artifacts_of)


@table.post("/peers/{host}/pause", "Pause a peer until it is approved again", Peer)
async def pause(request: AdminRequest) -> Peer:
    """Keep what was learnt."""
    return await _decide(request, commands.pause)


@table.post("/peers/{host}/resume", "Learn from a paused peer again, on the same terms as before", Peer)
async def resume(request: AdminRequest) -> Peer:
    """Take the pause back, and decide nothing else."""
    return await _decide(request, commands.resume)


@table.post("/peers/{host}/remove", "Remove a peer: exchange nothing more with it", Peer)
async def remove(request: AdminRequest) -> Peer:
    """Use nothing of it from the next training on; a revert takes out at once what it is in."""
    return await _decide(request, commands.remove)


def host_of(request: AdminRequest) -> str:
    """Return the host that the path names.

    Raises:
        RequestError: it is none.
    """
    try:
        return pasted_host(request.path["host"])
    except NoHostError as error:
        raise RequestError(f"the host in the path {error}", advice="Percent-encode the host.") from None


def tell(work: Executor, host: str) -> None:
    """Tell a peer in the background what was decided; if that fails, it hears within the hour."""
    with contextlib.suppress(BusyError):
        work.start_job(CONTACT, {"host": host}, kind=f"message to {host}")


async def _contact(request: AdminRequest, arguments: Mapping[str, str]) -> None:
    await request.work.answer_of(request.work.start_job(CONTACT, arguments))


async def _decide(request: AdminRequest, decide: Callable[..., object], **more: Any) -> Peer:
    host = host_of(request)
    await request.work.read(decide, request.engine, request.config, host, now=request.now, **more)
    tell(request.work, host)
    return await _peer(request, host)


async def _peer(request: AdminRequest, host: str) -> Peer:
    engine, config, now = request.engine, request.config, request.now

    def read() -> Peer:
        peer = repository.find(engine, config, host)
        if peer is None:
            raise commands.UnknownPeerError(f"nothing is known of {host}", advice="See GET /v1/admin/peers.")
        return listing.described(peer, now, followed=host in source_state.follows(engine))

    return await request.work.read(read)
