"""Which of the instances that PeerTube follows run Shoal, so that they could become peers."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from typing import Any, Final

import aiohttp

from daemon.peers import cards, peer_state, repository
from daemon.peers.cards import Card, PeerAnswerError, PeerSilentError
from daemon.peers.repository import Peer
from daemon.process.job_context import JobContext
from daemon.store import source_state

AT_ONCE: Final = 4
MOST: Final = 500
"""Instances asked in one job; those not asked for longest come first, so that the next job continues."""
AGAIN: Final = 3600.0
"""Seconds in which an instance that answered is not asked again."""


async def find(context: JobContext, session: aiohttp.ClientSession) -> dict[str, Any]:
    """Ask followed instances which plugins they have, and for the card of Shoal where that is one of them."""
    config, engine = context.config, context.engine
    followed = [
        host for host in source_state.follows(engine) if cards.may_be_asked(host, config.instance.host)
    ]
    known = repository.read(engine, config)
    now = context.clock()
    due = [host for host in followed if _due(known.find(host), now)]
    due.sort(key=lambda host: (peer.checked or 0.0) if (peer := known.find(host)) else 0.0)
    gate = asyncio.Semaphore(AT_ONCE)
    rng = random.Random()  # noqa: S311 (spreads load; nothing secret depends on it)
    done = 0

    async def one(host: str) -> str:
        nonlocal done
        async with gate:
            found = await _ask(session, host, now)
        repository.change(engine, config, host, lambda peer: _after(peer, found, context.clock(), rng))
        done += 1
        context.progress("asking followed instances", done / len(asked))
        return "silent" if found is None else "shoal" if found[0] else "without"

    asked = due[:MOST]
    outcomes = await asyncio.gather(*map(one, asked))
    return {
        "followed": len(followed),
        "asked": len(asked),
        "with_shoal": outcomes.count("shoal"),
        "silent": outcomes.count("silent"),
        "left": len(due) - len(asked),
    }


async def _ask(session: aiohttp.ClientSession, host: str, now: float) -> tuple[str, Card | None] | None:
    """Return the plugin's version, empty without the plugin, and the card; None if there is no answer."""
    try:
        version = await cards.plugin_version(session, host)
    except PeerSilentError:
        return None
    except PeerAnswerError:
        # Not a PeerTube, or one that keeps its settings to itself.
        return "", None
    if not version:
        return "", None
    try:
        card = await cards.read_card(session, host, cards.base_url(host) + cards.ROUTER, now=now)
    except PeerAnswerError:
        return version, None
    return version, card


def _after(peer: Peer, found: tuple[str, Card | None] | None, now: float, rng: random.Random) -> Peer:
    if peer.state != "candidate":
        # Its admin decided in the meantime; from then on the contact job says hello to it.
        return peer
    peer = replace(peer, source="follow" if peer.source == "admin" and not peer.since else peer.source)
    peer = replace(peer, since=peer.since or now)
    if found is None:
        return peer_state.after_failure(peer, now, rng)
    version, card = found
    peer = replace(peer_state.after_contact(peer, now), checked=now, version=version)
    if card is None:
        return peer
    theirs = peer.theirs if peer.key in ("", card.key) else "unknown"
    return replace(peer, url=card.url, key=card.key, bound=card.bound, theirs=theirs)


def _due(peer: Peer | None, now: float) -> bool:
    if peer is None:
        return True
    if peer.state != "candidate" or (peer.retry_at is not None and peer.retry_at > now):
        return False
    return peer.checked is None or now - peer.checked >= AGAIN
