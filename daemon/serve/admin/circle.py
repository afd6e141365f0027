"""Circles: whom our peers introduce, one decision about all of them, and whom we introduce."""

from __future__ import annotations

import contextlib

from typing_extensions import TypedDict

from daemon.peers import circle, offers, repository
from daemon.peers.circle import Circle
from daemon.serve.admin.executor import BusyError
from daemon.serve.admin.peers import CONTACT
from daemon.serve.admin.requests import CircleDecision, IntroductionOrder
from daemon.serve.admin.routing import AdminRequest, Table

table = Table()


class Offer(TypedDict):
    """Whom a peer is told about, and when it took the list last."""

    recipient: str
    hosts: list[str]
    taken: float | None


class Introducing(TypedDict):
    """What we introduce, and the peers that can be introduced."""

    introduced: list[Offer]
    possible: list[str]


@table.get("/circle", "The instances that peers introduce, and what stands for each", Circle)
async def shown(request: AdminRequest) -> Circle:
    """Return what is stored; nobody is asked."""
    return await request.work.read(circle.read, request.engine, request.config, request.now)


@table.post("/circle/look", "Read the cards of all that peers introduce", Circle)
async def look(request: AdminRequest) -> Circle:
    """Ask each of them for its card."""
    await request.work.answer_of(request.work.start_job(CONTACT, {"circle": "1"}))
    return await shown(request)


@table.post(
    "/circle/approve",
    "Approve those that are ticked, each by exactly this key",
    Circle,
    body=CircleDecision,
)
async def approve(request: AdminRequest) -> Circle:
    """Approve all of them or none, and note which were seen and left."""
    by: CircleDecision = request.body
    await request.work.read(
        circle.decide,
        request.engine,
        request.config,
        {one.host: one.key for one in by.ticked},
        left=by.left,
        now=request.now,
    )
    _contact_all(request)
    return await shown(request)


@table.get("/introductions", "Whom we introduce to which peer, and who could be", Introducing)
async def introducing(request: AdminRequest) -> Introducing:
    """Return what the admin decided."""
    engine, config = request.engine, request.config

    def read() -> Introducing:
        known = repository.read(engine, config)
        given = [one for _, one in sorted(offers.read(engine).items()) if one.hosts]
        return {
            "introduced": [
                {"recipient": one.recipient, "hosts": list(one.hosts), "taken": one.taken} for one in given
            ],
            "possible": [peer.host for peer in offers.listed(known)],
        }

    return await request.work.read(read)


@table.post(
    "/introductions",
    "Introduce approved peers to one another, or take it back",
    Introducing,
    body=IntroductionOrder,
)
async def introduce(request: AdminRequest) -> Introducing:
    """Decide it; the lists are sent in the background, and again until they are taken."""
    by: IntroductionOrder = request.body
    if by.stop:
        await request.work.read(
            offers.take_back, request.engine, request.config, to=by.to or "", now=request.now
        )
    else:
        await request.work.read(
            offers.introduce,
            request.engine,
            request.config,
            to=by.to or "",
            leave_out=by.leave_out,
            now=request.now,
        )
    _contact_all(request)
    return await introducing(request)


def _contact_all(request: AdminRequest) -> None:
    """Say hello to all and send what is due, in the background; if that fails, it is done within the hour."""
    with contextlib.suppress(BusyError):
        request.work.start_job(CONTACT, {}, kind="message to all peers")
