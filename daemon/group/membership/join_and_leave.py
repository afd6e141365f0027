"""Joining a group and leaving it: looked at before anything binds, told to the host at once if it answers.

What is asked before the admin said yes shows the host our name and key, and creates nothing there.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
from sqlalchemy import Engine

from daemon.config import Config
from daemon.config.types import check_host, check_peer_url
from daemon.errors import PolicyRefusedError, RequestError
from daemon.group import repository
from daemon.group.commands import NoGroupError, require_free, require_speaking
from daemon.group.hosting.enrolment_server import ANY
from daemon.group.ledger_events import note
from daemon.group.membership import host_client, key_verification, node_key_file
from daemon.group.membership.host_client import HostClient, HostRefusedError
from daemon.group.membership.key_verification import Seen
from daemon.group.repository import Membership
from daemon.identity import open_identity
from daemon.peers import cards
from daemon.peers import repository as peers
from daemon.peers.cards import Card, PeerAnswerError, PeerSilentError
from daemon.peers.commands import words_of
from daemon.store.engine import writes
from federation.group.enrolment import Admission
from federation.group.node_key import new_node_key
from federation.http import CARD_PATH
from federation.identity import PublicIdentity, format_key, parse_key

_CARD_WITHIN: Final = 10.0
_MAX_CARD: Final = 8_000


@dataclass(frozen=True)
class Offer:
    """A group as its host shows it; `seen` is the host's key and who vouches for it."""

    group: str
    url: str
    seen: Seen
    members: tuple[PublicIdentity, ...]
    state: str

    @property
    def host(self) -> str:
        """The group's host."""
        return self.seen.host

    def as_json(self, known: peers.KnownPeers) -> dict[str, Any]:
        """Return it with words, and whom of the members our admin recognises."""
        return {
            "group": self.group,
            "url": self.url,
            "host": self.seen.as_json(),
            "state": self.state,
            "members": [
                {
                    "host": one.host,
                    "key": format_key(one.key),
                    "words": words_of(format_key(one.key)),
                    "recognised": key_verification.recognised(known.find(one.host), format_key(one.key)),
                }
                for one in self.members
            ],
        }


async def look(
    config: Config,
    engine: Engine,
    session: aiohttp.ClientSession,
    url: str,
    group: str,
    clock: Callable[[], float],
) -> Offer:
    """Read the host's card and ask for its group; nothing that binds is sent.

    Raises:
        PolicyRefusedError: the mode forbids it, or our book knows the host by another key.
        RequestError: that is no address, or this instance's own.
        PeerAnswerError: nobody shows a card there, or it does not hold.
        HostSilentError, HostRefusedError: the host does not say which group it has.

    """
    require_speaking(config)
    url, card = await _card(session, url, clock)
    identity = open_identity(config.identity_file, config.instance.host)
    if card.host == identity.host:
        raise RequestError("that is this instance itself", advice="The invitation is for others.")
    known = peers.find(engine, config, card.host)
    if known is not None and known.key and known.url and known.key != card.key:
        raise PolicyRefusedError(
            f"{card.host} shows another key than is known of it here",
            advice=f"Compare the words with its admin, then: shoal peers approve {card.host}",
        )
    host = PublicIdentity(card.host, parse_key(card.key))
    # A key of the moment: nothing here is for keeps, and the host keeps none of it.
    speaker = HostClient(identity, await asyncio.to_thread(new_node_key), session, clock)
    said = await speaker.ask(host, url, group or ANY, "status")
    if group and said.group != group:
        raise HostRefusedError(f"{card.host} answers for another group", advice="Ask its admin.")
    seen = Seen(card.host, card.key, "domain" if card.bound else "card", url)
    if key_verification.recognised(known, card.key) == "yes":
        seen = replace(seen, voucher="book")
    members = tuple(PublicIdentity(one.host, one.key) for one in said.members)
    return Offer(said.group, url, seen, members, said.state)


async def join(
    config: Config,
    engine: Engine,
    session: aiohttp.ClientSession,
    offer: Offer,
    clock: Callable[[], float],
) -> Membership:
    """Ask to be let in, and pin the host's key as a peer's: a member recognises whoever does the sums.

    An instance that asked this host before asks again. Where the host is away now, the daemon goes on asking.

    Raises:
        PolicyRefusedError: the mode forbids it, or our book says otherwise.
        RequestError: this instance is in another group.

    """
    require_speaking(config)
    now = clock()

    def begin(before: Membership | None) -> Membership:
        same = before is not None and (before.group, before.host) == (offer.group, offer.host)
        if before is not None and same and before.role == "member" and before.state in ("asked", "member"):
            return replace(before, url=offer.url, polled=None, problem="")
        require_free(before)
        if before is not None and same and before.role == "member":
            # The epoch and the sum that were taken last are remembered: neither may come again too early.
            again = replace(before, url=offer.url, state="asked", polled=None, problem="", since=now)
            return replace(again, fence="", ca="", next_at=0.0)
        return Membership(offer.group, offer.host, offer.url, "member", "asked", since=now)

    await asyncio.to_thread(require_free_for, engine, offer)
    await asyncio.to_thread(key_verification.pin, engine, config, offer.seen, now)

    def write() -> Membership:
        with writes(engine) as connection:
            before = repository.current_in(connection)
            after = begin(before)
            if before is None or (before.group, before.host) != (after.group, after.host):
                # The members of another group are nobody's here.
                repository.change_in(connection, lambda _one: None)
            repository.change_in(connection, lambda _one: after)
            return after

    known = await asyncio.to_thread(repository.current, engine)
    asked = await asyncio.to_thread(write)
    if known is None or known.since != asked.since:
        # Not the key of an earlier membership, which Flower would not let in again.
        await asyncio.to_thread(node_key_file.forget, config)
    node_key = await asyncio.to_thread(node_key_file.open_key, config)
    if asked.state == "member":
        # The node key may be a new one: the host hears of it, and nothing else changes.
        identity = open_identity(config.identity_file, config.instance.host)
        host = PublicIdentity(offer.host, parse_key(offer.seen.key))
        gives = config.mode == "contribute"
        said: Admission = await HostClient(identity, node_key, session, clock, gives=gives).ask(
            host, asked.url, asked.group, "join"
        )
        return await asyncio.to_thread(host_client.apply, engine, identity, asked, said, clock()) or asked
    return await host_client.poll(config, engine, session, clock) or asked


def require_free_for(engine: Engine, offer: Offer) -> None:
    """Refuse before anything is pinned, where this instance is in another group. Raises RequestError."""
    before = repository.current(engine)
    if before is None or (before.group, before.host, before.role) != (offer.group, offer.host, "member"):
        require_free(before)


async def leave(
    config: Config, engine: Engine, session: aiohttp.ClientSession, clock: Callable[[], float]
) -> Membership | None:
    """Leave the group, at once and whatever the host says; returns what is left to be told, None: nothing.

    Raises:
        NoGroupError: this instance is in none. RequestError: it hosts one.
        PolicyRefusedError: the mode forbids it.

    """
    require_speaking(config)
    identity = open_identity(config.identity_file, config.instance.host)

    def write() -> Membership:
        with writes(engine) as connection:
            before = repository.current_in(connection)
            if before is None:
                raise NoGroupError("this instance is in no group", advice="There is nothing to leave.")
            if before.role == "host":
                raise RequestError(
                    f"this instance hosts the group {before.group}", advice="End it: shoal group close"
                )
            if before.state != "left":
                note(connection, identity, "left", before.host, before.group, clock(), own=True)
            after = replace(before, state="left", next_at=0.0, fence="", ca="", problem="")
            repository.change_in(connection, lambda _one: after)
            return after

    before = await asyncio.to_thread(write)
    if before.state == "left" and await asyncio.to_thread(_needs_no_word, engine, config, before):
        return await asyncio.to_thread(repository.change, engine, lambda _one: None)
    return await host_client.poll(config, engine, session, clock)


def _needs_no_word(engine: Engine, config: Config, left: Membership) -> bool:
    """Tell whether the host cannot be told: our admin does not approve it any more."""
    peer = peers.find(engine, config, left.host)
    return peer is None or not peer.approved


# -- the host's card ----------------------------------------------------------------------------------------


async def _card(session: aiohttp.ClientSession, given: str, clock: Callable[[], float]) -> tuple[str, Card]:
    """Find the card below an address as people type it: with or without https:// and the plugin's path."""
    silent: PeerAnswerError | None = None
    for url in _addresses(given):
        try:
            host = await _host_at(session, url)
            return url, await cards.read_card(session, host, url, now=clock())
        except PeerSilentError as error:
            silent = silent or error
        except PeerAnswerError as error:
            silent = error
    raise silent or PeerSilentError("nobody answers there", advice="Check the invitation.")


def _addresses(given: str) -> list[str]:
    text = given.strip().rstrip("/")
    try:
        url = check_peer_url(text if "://" in text else cards.base_url(check_host(text)))
    except ValueError as error:
        raise RequestError(f'"{given}" {error}', advice="Copy the whole line of the invitation.") from None
    return [url] if urlsplit(url).path else [url + cards.ROUTER, url]


async def _host_at(session: aiohttp.ClientSession, url: str) -> str:
    """Return which host a card is of; `read_card` checks it then. Raises PeerAnswerError."""
    name = urlsplit(url).netloc
    try:
        async with (
            asyncio.timeout(_CARD_WITHIN),
            session.get(url + CARD_PATH, allow_redirects=False) as answer,
        ):
            body = await answer.content.read(_MAX_CARD)
    except (aiohttp.ClientError, OSError, TimeoutError, UnicodeError) as error:
        raise PeerSilentError(
            f"{name} cannot be reached ({type(error).__name__})", advice="Check the invitation."
        ) from None
    try:
        card = json.loads(body) if answer.status == 200 else None
        return check_host(str(card["host"])) if isinstance(card, dict) else name
    except (ValueError, KeyError, RecursionError):
        raise PeerAnswerError(
            f"what {name} shows is no card of Shoal", advice="Check the invitation."
        ) from None
