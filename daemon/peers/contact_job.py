"""The job "peers": says hello to peers, introduces them, reads cards, and looks for candidates.

Arguments: `add=HOST` (with `url=URL`) reads the card of one instance, `candidates=1` looks for candidates
among followed instances, `circle=1` reads the cards of those that peers introduce, `host=HOST` does at once
what there is to do about one host, or about several after commas; without any, that is done about all that
are due.
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
from daemon.peers import candidates, cards, circle, introductions, offers, peer_state, repository, rotation
from daemon.peers.cards import Card
from daemon.peers.ingress import VERSION
from daemon.peers.offers import Offer
from daemon.peers.repository import KnownPeers, Peer, Theirs
from daemon.process.job_context import JobContext
from daemon.store import traffic
from daemon.store.engine import writes
from daemon.store.tables import PeerRow
from daemon.store.traffic import TrafficCounter
from federation import envelope, introduction
from federation import hello as hellos
from federation.carrier import PeerRefused, PeerUnreachable
from federation.errors import Code, Refusal
from federation.hello import MAX_HELLO, Hello
from federation.http.client import PeerClient, Retry, new_session
from federation.identity import format_key, parse_key
from federation.limits import Limits

log = logging.getLogger(__name__)

AT_ONCE: Final = 8
MOST_CARDS: Final = 200
"""Cards of candidates that one job reads: two full introductions, a few seconds where all answer."""
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
        if arguments.get("circle"):
            return {"read": await contact.read_cards(again=contact.introduced())}
        if named := arguments.get("host"):
            hosts = named.split(",")
            found = await contact.say_hello(hosts)
            introduced = {one for host in hosts for one in contact.introduced(by=host)}
            found["cards"] = await contact.read_cards(only={*hosts, *introduced})
            return found
        _forget(context)
        found = await contact.say_hello(None)
        found["cards"] = await contact.read_cards()
        found["vouched_for"] = circle.look_for_evidence(context.engine, context.config, context.clock())
        return found


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
        card = await cards.read_named_card(self._session, host, where, now=now)
        users = await self._users(host, card)

        def edit(peer: Peer) -> Peer:
            if peer_state.pinned(peer) and peer.key != card.key:
                # The admin compares words and approves it, or does not.
                return replace(peer, next_key=card.key, checked=now, seen=now)
            known = replace(peer, state="candidate") if peer.state == "removed" else peer
            # The admin asked for it: from now on it is listed, whoever else named it.
            known = replace(known, source="admin") if peer.source == "circle" else known
            return peer_state.after_card(known, card, users, now)

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

    def introduced(self, by: str = "") -> set[str]:
        """Return the hosts that peers introduce, or that one of them does."""
        known = repository.read(self._engine, self._config)
        lists = circle.named(self._engine, known, self._clock())
        return {host for name, one in lists.items() if by in ("", name) for host in one.instances}

    async def read_cards(self, only: set[str] | None = None, again: set[str] | None = None) -> int:
        """Read cards that nobody asked for by name; returns how many were read.

        They are those of instances that asked to be approved, once, and of those that peers introduce, once a
        day; of these `only`, and of those in `again` whatever was read before. What was not read longest
        comes first, and what is left over the next time.
        """
        if not self._config.federates:
            return 0
        known = repository.read(self._engine, self._config)
        introduced, now = self.introduced(), self._clock()
        hosts = {host for host, peer in known.peers.items() if peer_state.unread_request(peer)} | introduced
        peers = [known.find(host) or Peer(host, source="circle") for host in sorted(hosts)]
        due = [
            peer
            for peer in peers
            if (only is None or peer.host in only)
            and cards.may_be_asked(peer.host, self._config.instance.host)
            and peer_state.card_due(peer, now, again=again is not None and peer.host in again)
        ]
        due.sort(key=lambda peer: peer.checked or 0.0)
        read = await asyncio.gather(*(self._read_candidate(peer) for peer in due[:MOST_CARDS]))
        return sum(read)

    async def _read_candidate(self, peer: Peer) -> bool:
        async with self._gate:
            host, now = peer.host, self._clock()
            where = peer.url or cards.base_url(host) + cards.ROUTER
            try:
                card = await cards.read_card(self._session, host, where, now=now)
            except ShoalError as error:
                log.info("a card cannot be read", extra={"peer": host, "code": error.code})
                self._changed_candidate(peer, lambda one: peer_state.after_failure(one, now, self._rng))
                return False
            users = await self._users(host, card)
            self._changed_candidate(peer, lambda one: peer_state.after_card(one, card, users, now))
            return True

    def _changed_candidate(self, before: Peer, edit: Callable[[Peer], Peer]) -> None:
        def candidate(peer: Peer) -> Peer:
            if peer.state != "candidate":
                # Its admin decided meanwhile; from then on it is said hello to.
                return peer
            new = not peer.since
            known = replace(peer, source=before.source, since=self._clock()) if new else peer
            return edit(known)

        self._change(before.host, candidate)

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
        introduced = await self._introduce({peer.host for peer in chosen}) if chosen else 0
        traffic.add_all(self._engine, traffic.month_of(self._clock()), self._traffic.by_peer())
        approved = {peer.host for peer in known.approved()}
        waiting = rotation.acknowledge(self._config, self._identity.public, know_our_key, approved)
        return {
            "greeted": len(found),
            "unreachable": sorted(host for host, problem in found if problem == "unreachable"),
            "refused": {host: p for host, p in sorted(found) if p not in ("", "unreachable")},
            "not_told_of_new_key": sorted(waiting),
            "introduced": introduced,
        }

    async def _introduce(self, hosts: set[str]) -> int:
        """Send those of our introductions that are due, to these hosts; returns how many were taken."""
        known = repository.read(self._engine, self._config)
        now, me = self._clock(), self._identity.public
        due = [one for one in offers.due(self._engine, known, me, now) if one.recipient in hosts]
        peers = {peer.host: peer for peer in known.approved()}
        taken = await asyncio.gather(*(self._send_offer(one, peers[one.recipient], known) for one in due))
        return sum(taken)

    async def _send_offer(self, offer: Offer, peer: Peer, known: KnownPeers) -> bool:
        listed, me = offer.instances(known), self._identity.public
        raw = introduction.introduce(self._identity, peer.identity, listed, self._clock())
        async with self._gate:
            try:
                answer = await self._client.send(
                    peer.host, peer.url, raw, max_answer=MAX_HELLO, timeout=HELLO_WITHIN
                )
                introduction.check_acknowledgement(answer, peer.identity, me, raw)
            except PeerUnreachable:
                return False
            except (PeerRefused, Refusal) as refused:
                # It does not approve us yet, or has not heard of our new key. It is tried again with the next
                # hello.
                log.info("a peer took no introduction", extra={"peer": peer.host, "code": str(refused.code)})
                return False
        offers.taken(self._engine, offer, offers.digest(me, listed), self._clock())
        return True

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
        fresh = peer.checked is not None and now - peer.checked < peer_state.DAILY
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


def _forget(context: JobContext) -> None:
    """Delete requests that nobody renewed or decided about for a month, and whom nobody introduces now."""
    now = context.clock()
    introductions.forget_expired(context.engine, now)
    known = repository.read(context.engine, context.config)
    named = {host for one in circle.named(context.engine, known, now).values() for host in one.instances}
    candidate = PeerRow.state == "candidate"
    requests = (PeerRow.source == "asked") & candidate & (PeerRow.said < now - peer_state.KEEP_REQUEST)
    # Whoever asked by itself meanwhile is kept like others that did.
    introduced = (PeerRow.source == "circle") & candidate & (PeerRow.theirs == "unknown")
    gone = introduced & PeerRow.host.not_in(named)
    with writes(context.engine) as connection:
        connection.execute(delete(PeerRow).where(requests | gone))
