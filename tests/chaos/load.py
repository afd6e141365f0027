"""Load on daemons that are killed meanwhile: lists and orders are asked for, and every answer is judged."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp
from sqlalchemy import select

from daemon.errors import NotRunningError
from daemon.identity import open_identity
from daemon.lab.demo.processes import Daemon
from daemon.ledger import chain
from daemon.ledger.chain import Kind
from daemon.peers import repository
from daemon.peers.repository import Peer
from daemon.serve.admin import access, token
from daemon.store.engine import reads
from daemon.store.ledger_rows import newest
from daemon.store.tables import Video
from federation.identity import Identity, format_key

GUEST: Final = Identity("guest.example", b"g" * 32)
"""A peer whom the admin pauses and resumes all the time, and who is in no round: it does not answer."""
WITHIN: Final = 10.0
PAUSE: Final = 0.02
ORDER_EVERY: Final = 15.0
_AWAY: Final = (aiohttp.ClientError, OSError, TimeoutError)


@dataclass
class Answers:
    """What came of the requests; those that found nobody are no failure, while somebody is killed."""

    answered: int = 0
    away: int = 0
    orders: int = 0
    wrong: list[str] = field(default_factory=list)


async def prepare(daemons: Sequence[Daemon]) -> None:
    """Let every admin know the guest."""
    key = format_key(GUEST.public.key)
    for daemon in daemons:
        guest = Peer(GUEST.host, "http://127.0.0.1:9", key, state="approved", since=1.0)
        await asyncio.to_thread(repository.save, daemon.engine, guest)


@contextlib.asynccontextmanager
async def load(daemons: Sequence[Daemon], rng: random.Random) -> AsyncIterator[dict[str, Answers]]:
    """Ask all daemons without end, as long as the block runs; yields what came of it, by host."""
    found = {daemon.host: Answers() for daemon in daemons}
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=WITHIN)) as session:
        work = [_lists, _orders]
        tasks = [
            asyncio.create_task(one(daemon, session, random.Random(rng.random()), found[daemon.host]))
            for daemon in daemons
            for one in work
        ]
        try:
            yield found
        finally:
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
            for error in ended:
                if isinstance(error, Exception):
                    raise error


def lost_entries(daemon: Daemon, answers: Answers) -> list[str]:
    """Return in words what a daemon has lost: orders that it answered, and entries of its ledger."""
    kinds = (Kind.PEER_PAUSED.value, Kind.PEER_APPROVED.value)
    noted = newest(daemon.engine, limit=100_000, kinds=kinds, subject=GUEST.host)
    found = []
    if len(noted) < answers.orders:
        found.append(f"{daemon.host} answered {answers.orders} orders, and noted {len(noted)}")
    identity = open_identity(daemon.config.identity_file, daemon.host)
    if not (checked := chain.verify(daemon.engine, identity.public)).ok:
        found.append(f"{daemon.host}: {checked.problem}")
    return found


async def _lists(daemon: Daemon, session: aiohttp.ClientSession, rng: random.Random, found: Answers) -> None:
    with reads(daemon.engine) as connection:
        known = dict(connection.execute(select(Video.uuid, Video.url)).tuples().all())
    uuids = sorted(known)
    while True:
        asked = rng.choice(uuids)
        try:
            async with session.get(
                f"http://{daemon.api}/v1/related", params={"video": asked, "limit": "8"}
            ) as answer:
                body = await answer.json()
        except _AWAY:
            found.away += 1
            await asyncio.sleep(10 * PAUSE)
            continue
        if answer.status == 503 and body.get("code") in {"no-model", "busy"}:
            found.away += 1
        elif problem := _wrong(asked, answer.status, body, known):
            found.wrong.append(f"{daemon.host}: {problem}")
        else:
            found.answered += 1
        await asyncio.sleep(PAUSE)


def _wrong(asked: str, status: int, body: Any, known: dict[str, str]) -> str:
    if status != 200:
        return f"status {status}: {body}"
    given = [item["uuid"] for item in body["videos"]]
    if asked in given or len(set(given)) != len(given):
        return f"a list beside {asked} has it, or another one twice"
    strange = [item for item in body["videos"] if known.get(item["uuid"]) != item["url"]]
    return f"unknown videos: {strange}" if strange else ""


async def _orders(daemon: Daemon, session: aiohttp.ClientSession, rng: random.Random, found: Answers) -> None:
    order = "pause"
    while True:
        await asyncio.sleep(rng.uniform(0.5, 2 * ORDER_EVERY))
        url = f"http://{daemon.api}/v1/admin/peers/{GUEST.host}/{order}"
        try:
            proof = {access.HEADER: token.read(daemon.instance.folder)}
            async with session.post(url, json={}, headers=proof) as answer:
                body = await answer.json()
        except (*_AWAY, NotRunningError):
            found.away += 1
            # Whether it was done is not known.
            order = "resume" if await asyncio.to_thread(_paused, daemon) else "pause"
            continue
        if answer.status == 200:
            found.answered += 1
            found.orders += 1
            order = "resume" if order == "pause" else "pause"
        elif answer.status in {401, 403}:
            # By the token of the daemon before.
            found.away += 1
        else:
            found.wrong.append(f"{daemon.host}: {order} was answered {answer.status}: {body}")


def _paused(daemon: Daemon) -> bool:
    peer = repository.find(daemon.engine, daemon.config, GUEST.host)
    return peer is not None and peer.state == "paused"
