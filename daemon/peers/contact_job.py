"""The job "peers": says hello to peers, reads their cards, and looks for candidates among followed instances.

Arguments: `add=HOST` (with `url=URL`) reads the card of one instance, `candidates=1` looks for candidates,
`host=HOST` says hello to one peer at once; without any, it says hello to all peers that are due.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

import aiohttp
from sqlalchemy import delete

from daemon.errors import RequestError, ShoalError
from daemon.identity import open_identity
from daemon.ledger.chain import Kind, append
from daemon.peers import candidates, cards, peer_state, repository, rotation
from daemon.peers.cards import Card
from daemon.peers.ingress import VERSION
from daemon.peers.repository import Peer, Theirs
from daemon.process.job_context import JobContext
from daemon.store import traffic
from daemon.store.engine import writes
from daemon.store.tables import PeerRow
from daemon.store.traffic import TrafficCounter
from federation import envelope
from federation import hello as hellos
from federation.carrier import PeerRefused, PeerUnreachable
from federation.errors import Code, Refusal
from federation.hello import MAX_HELLO, Hello
from federation.http.client import PeerClient, Retry, new_session
from federation.identity import format_key, parse_key
from federation.limits import Limits

log = logging.getLogger(__name__)

DAILY: Final = 23 * 3600.0
"""Seconds after which a card is read again; under a day, so that an hourly job reads it once a day."""
AT_ONCE: Final = 8
HELLO_WITHIN: Final = 15.0
_ONCE_MORE: Final = Retry(attempts=2, first_pause=0.5)


def run(context: JobContext) -> dict[str, Any]:
    """Do what the arguments say, and return the outcome.

    Raises:
        RequestError: an argument cannot be used.
        PeerAnswerError: the instance to add could not be asked, or its card is not valid.

    """
    return asyncio.run(_run(context))


async def _run(context: JobContext) -> dict[str, Any]:
    arguments = context.arguments
    async with new_session() as session:
        contact = Contact(context, session)
        if host := arguments.get("add"):
            return await contact.add(host, arguments.get("url", ""))
        if arguments.get("candidates"):
            return await candidates.find(context, session)
        if host := arguments.get("host"):
            return await contact.say_hello([host])
        _forget_requests(context)
        return await contact.say_hello(None)


@dataclass(frozen=True)
class _Answer:
    """What a peer answered to a hello, or why it did not (a code)."""

    hello: Hello | None
    problem: str = ""


class Contact:
    """Talks to peers, a few at once, and saves what it learns about each immediately."""

    def __init__(self, context: JobContext, session: aiohttp.ClientSession) -> None:
        self._context = context
        self._config = context.config
        self._engine = context.engine
        self._clock = context.clock
        self._session = session
        self._traffic = TrafficCounter()
        self._client = PeerClient(session, retry=_ONCE_MORE, on_traffic=self._traffic.add)
        self._identity = open_identity(self._config.identity_file, self._config.instance.host)
        self._gate = asyncio.Semaphore(AT_ONCE)
        self._rng = random.Random()  # noqa: S311 (spreads load; nothing secret depends on it)

    async def add(self, host: str, url: str) -> dict[str, Any]:
        """Read the card of an instance, at its own domain or at `url`, and remember it as a candidate."""
        if host == self._config.instance.host:
            raise RequestError("that is this instance itself", advice="Name another one.")
        known = repository.find(self._engine, self._config, host)
        where = url or (known.url if known else "") or cards.base_url(host) + cards.ROUTER
        now = self._clock()
        card = await cards.read_card(self._session, host, where, now=now)
        users = await self._users(host, card)

        def edit(peer: Peer) -> Peer:
            if peer_state.pinned(peer) and peer.key != card.key:
                # The admin compares words and approves it, or does not.
                return replace(peer, next_key=card.key, checked=now, seen=now)
            theirs = peer.theirs if peer.key in ("", card.key) else "unknown"
            bound = card.bound or (peer.bound and peer.key == card.key)
            known = replace(peer, url=card.url, key=card.key, bound=bound, theirs=theirs, next_key="")
            if peer.state == "removed":
                known = replace(known, state="candidate")
            known = replace(known, users=users if users is not None else peer.users, checked=now, seen=now)
            return replace(known, failures=0, retry_at=None, since=peer.since or now)

        after = repository.change(self._engine, self._config, host, edit)
        if known is None:
            details = {"key": after.key, "bound": after.bound}
            append(self._engine, self._identity, Kind.PEER_ADDED, host, details, now)
        return {"host": host, "key": card.key, "bound": card.bound, "new": known is None}

    async def _users(self, host: str, card: Card) -> int | None:
        if not card.url.startswith(cards.base_url(host) + "/"):
            # Reached elsewhere than on its own domain: there is no PeerTube to ask.
            return None
        try:
            return await cards.users(self._session, host)
        except cards.PeerAnswerError:
            return None

    async def say_hello(self, hosts: list[str] | None) -> dict[str, Any]:
        """Say hello to these hosts, or to all approved peers that are due; read the cards that are due."""
        known = repository.read(self._engine, self._config)
        if hosts is None:
            now = self._clock()
            chosen = [peer for peer in known.approved() if peer.retry_at is None or peer.retry_at <= now]
        else:
            chosen = [peer for host in hosts if (peer := known.find(host)) is not None]
        if not self._config.federates:
            chosen = []
        know_our_key: set[str] = set()
        found = await asyncio.gather(*(self._one(peer, know_our_key) for peer in chosen if peer.url))
        traffic.add_all(self._engine, traffic.month_of(self._clock()), self._traffic.by_peer())
        approved = {peer.host for peer in known.approved()}
        waiting = rotation.acknowledge(self._config, self._identity.public, know_our_key, approved)
        return {
            "greeted": len(found),
            "unreachable": sorted(host for host, problem in found if problem == "unreachable"),
            "refused": {host: p for host, p in sorted(found) if p not in ("", "unreachable")},
            "not_told_of_new_key": sorted(waiting),
        }

    async def _one(self, peer: Peer, know_our_key: set[str]) -> tuple[str, str]:
        async with self._gate:
            answer = await self._exchange(peer)
            now = self._clock()
            if answer.problem == "unreachable":
                self._change(peer.host, lambda known: peer_state.after_failure(known, now, self._rng))
                return peer.host, answer.problem
            self._change(peer.host, lambda known: _after(known, answer, now))
            if answer.hello is not None and answer.hello.yours == self._identity.public.key:
                know_our_key.add(peer.host)
            if peer_state.pinned(peer):
                await self._read_card(peer.host, answer.hello)
            return peer.host, answer.problem

    async def _exchange(self, peer: Peer) -> _Answer:
        now = self._clock()
        pinned = peer_state.pinned(peer)
        raw = hellos.say(
            self._identity,
            peer.host,
            now,
            approves=peer.state == "approved",
            version=VERSION,
            yours=parse_key(peer.key) if pinned else b"",
            rotations=rotation.pending(self._config, self._identity.public),
        )
        try:
            answer = await self._client.send(
                peer.host, peer.url, raw, max_answer=MAX_HELLO, timeout=HELLO_WITHIN
            )
            message = envelope.parse(answer, max_size=MAX_HELLO)
            if message.sender != peer.host:
                raise Refusal(Code.WRONG_SENDER, "another host answered", peer.host)
            return _Answer(hellos.read(message, self._identity.host, self._clock(), Limits()))
        except PeerUnreachable:
            return _Answer(None, "unreachable")
        except PeerRefused as refused:
            return _Answer(None, "unreachable" if refused.by_proxy else refused.code)
        except Refusal as refusal:
            log.info("a peer's hello is not valid", extra={"peer": peer.host, "code": refusal.code.value})
            return _Answer(None, refusal.code.value)

    async def _read_card(self, host: str, hello: Hello | None) -> None:
        """Read a peer's card if that is due: once a day, or when it uses a key that is not pinned."""
        peer = repository.find(self._engine, self._config, host)
        now = self._clock()
        if peer is None or not peer_state.pinned(peer):
            return
        other = hello is not None and not peer_state.by_pinned_key(peer, hello)
        fresh = peer.checked is not None and now - peer.checked < DAILY
        if fresh and not other and not peer.next_key:
            return
        try:
            card = await cards.read_card(self._session, host, peer.url, now=now)
        except ShoalError as error:
            log.info("a peer's card cannot be read", extra={"peer": host, "code": error.code})
            return
        users = await self._users(host, card)
        before = peer

        def edit(peer: Peer) -> Peer:
            seen = replace(peer, checked=now, users=users if users is not None else peer.users)
            return _carded(seen, card, hello)

        self._note_key(before, self._change(host, edit), now)

    def _note_key(self, before: Peer, after: Peer, now: float) -> None:
        proven = after.key != before.key
        if not proven and after.next_key in ("", before.next_key):
            return
        details = {"old": before.key, "new": after.key if proven else after.next_key, "proven": proven}
        append(self._engine, self._identity, Kind.KEY_CHANGED, after.host, details, now)
        log.warning("a peer uses another key", extra={"peer": after.host, "proven": proven})

    def _change(self, host: str, edit: Callable[[Peer], Peer]) -> Peer:
        return repository.change(self._engine, self._config, host, edit)


def _after(peer: Peer, answer: _Answer, now: float) -> Peer:
    """Return a peer after its answer: what it says counts only if signed by the pinned key."""
    if answer.hello is not None and peer_state.by_pinned_key(peer, answer.hello):
        return peer_state.after_hello(peer, answer.hello, now)
    if answer.problem == Code.KEY_MISMATCH and peer_state.pinned(peer):
        # It knows another key of ours, and takes part in nothing until its admin approves the present one.
        return replace(peer_state.after_contact(peer, now), theirs="declined")
    return peer_state.after_contact(peer, now)


def _carded(peer: Peer, card: Card, hello: Hello | None) -> Peer:
    """Return a peer whose card was read: a new key has to be handed over by the old one, and on the card."""
    if card.key == peer.key:
        return replace(peer, bound=peer.bound or card.bound, next_key="")
    proven = hello is not None and format_key(hello.key) == card.key and peer_state.handed_over(peer, hello)
    if not proven or hello is None or (peer.bound and not card.bound):
        return replace(peer, next_key=card.key)
    # The file may still name the old key: the hello is newer.
    source = "admin" if peer.source == "file" else peer.source
    theirs: Theirs = "approved" if hello.approves else "declined"
    after = replace(peer, key=card.key, bound=card.bound, next_key="", source=source, theirs=theirs)
    return replace(after, said=max(hello.said, peer.said or 0.0))


def _forget_requests(context: JobContext) -> None:
    """Delete requests to be approved that were neither renewed nor decided for a month."""
    before = context.clock() - peer_state.KEEP_REQUEST
    old = (PeerRow.source == "asked") & (PeerRow.state == "candidate") & (PeerRow.seen < before)
    with writes(context.engine) as connection:
        connection.execute(delete(PeerRow).where(old))
