"""Joining a group and leaving it, at the member.

The host's side: `daemon.group.hosting.members_join_and_leave`. The admin sees the offer of a group before
anything binds; fetching it shows the host our name and key, and creates nothing there. The host is told at
once that this instance joins or leaves if it answers, otherwise later by the daemon.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from sqlalchemy import Engine
from typing_extensions import TypedDict

from daemon.config import Config
from daemon.config.pasted_host import NoHostError, pasted_host
from daemon.config.types import check_host, check_peer_url
from daemon.errors import PolicyRefusedError, RequestError
from daemon.group import flower_installed, repository
from daemon.group.commands import NoGroupError, require_in_no_group, require_speaking
from daemon.group.membership import host_client, key_verification
from daemon.group.membership.host_client import HostClient, HostRefusedError
from daemon.group.membership.key_verification import Approval, KeyEvidence, SeenKey
from daemon.group.repository import Membership, note_in_ledger
from daemon.identity import open_identity
from daemon.peers import cards
from daemon.peers import repository as peers
from daemon.peers.cards import Card, NoCardError, PeerAnswerError, PeerSilentError
from daemon.peers.listing import words_of
from daemon.store.engine import writes
from federation.group.enrolment import ANY_GROUP
from federation.http import CARD_PATH
from federation.identity import PublicIdentity, format_key, parse_key

if TYPE_CHECKING:
    import aiohttp

_CARD_WITHIN: Final = 10.0
_MAX_CARD: Final = 8_000


class OfferedMember(TypedDict):
    """A member, as the host of a group shows it before one joins."""

    host: str
    key: str
    words: list[str]
    approved: Approval


class GroupOffer(TypedDict):
    """A group as its host shows it, and the state of this instance there, `left` where it is not known."""

    group: str
    url: str
    host: SeenKey
    state: str
    members: list[OfferedMember]


@dataclass(frozen=True)
class Offer:
    """A group as its host shows it; `host_key` is the host's key and who vouches for it."""

    group: str
    url: str
    host_key: KeyEvidence
    members: tuple[PublicIdentity, ...]
    state: str

    @property
    def host(self) -> str:
        """The group's host."""
        return self.host_key.host

    def shown(self, known: peers.KnownPeers) -> GroupOffer:
        """Return it with the words of keys, and which members our admin approved."""
        return {
            "group": self.group,
            "url": self.url,
            "host": self.host_key.seen,
            "state": self.state,
            "members": [
                {
                    "host": one.host,
                    "key": format_key(one.key),
                    "words": words_of(format_key(one.key)),
                    "approved": key_verification.approval(known.find(one.host), format_key(one.key)),
                }
                for one in self.members
            ],
        }


async def fetch_offer(
    config: Config,
    engine: Engine,
    session: aiohttp.ClientSession,
    url: str,
    group: str,
    clock: Callable[[], float],
) -> Offer:
    """Read the host's card and ask for its group; nothing that binds is sent.

    Raises:
        PolicyRefusedError: the mode forbids it, or the host is known by another key.
        RequestError: that is no address, or this instance's own.
        PeerAnswerError: there is no card, or it is not valid.
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
            f"{card.host} shows another key than the one known here",
            advice=f"Compare the words with its admin, then: shoal peers approve {card.host}",
        )
    host = PublicIdentity(card.host, parse_key(card.key))
    approved = key_verification.approval(known, card.key) == "yes"
    client = HostClient(identity, b"", session, clock, approves=approved)
    _, answer = await client.ask(host, url, group or ANY_GROUP, "status")
    if group and answer.group != group:
        raise HostRefusedError(
            f"{card.host} hosts another group", advice="Ask its admin for the invitation again."
        )
    evidence = KeyEvidence(card.host, card.key, "domain" if card.bound else "card", url)
    if approved:
        evidence = replace(evidence, voucher="book")
    members = tuple(PublicIdentity(one.host, one.key) for one in answer.members)
    return Offer(answer.group, url, evidence, members, answer.state)


async def join(
    config: Config,
    engine: Engine,
    session: aiohttp.ClientSession,
    offer: Offer,
    clock: Callable[[], float],
) -> Membership:
    """Ask to join a group, and approve its host as a peer, since it takes the sums.

    An instance that asked this host before asks again. If the host is away now, the daemon asks again later.

    Raises:
        PolicyRefusedError: the mode forbids it, or the host is known by another key, or was reverted.
        RequestError: this instance is in another group. FlowerMissingError: it is not installed.

    """
    require_speaking(config)
    flower_installed.require()
    now = clock()

    def begin(before: Membership | None) -> Membership:
        same = before is not None and (before.group, before.host) == (offer.group, offer.host)
        if before is not None and same and before.role == "member" and before.state in ("asked", "member"):
            return replace(before, url=offer.url, polled=None, problem="")
        require_in_no_group(before)
        if before is not None and same and before.role == "member":
            # The last epoch and run stay known: neither may come again too early.
            again = replace(before, url=offer.url, state="asked", polled=None, problem="", since=now)
            return replace(again, proxy="", ca="", next_at=0.0)
        return Membership(offer.group, offer.host, offer.url, "member", "asked", since=now)

    await asyncio.to_thread(require_no_other_group, engine, offer)
    await asyncio.to_thread(key_verification.pin, engine, config, offer.host_key, now)

    def write() -> Membership:
        with writes(engine) as connection:
            before = repository.current_in(connection)
            after = begin(before)
            if before is None or (before.group, before.host) != (after.group, after.host):
                # Deletes the members of another group as well.
                repository.change_in(connection, lambda _one: None)
            repository.change_in(connection, lambda _one: after)
            return after

    known = await asyncio.to_thread(repository.current, engine)
    asked = await asyncio.to_thread(write)
    if known is None or known.since != asked.since:
        # Not the key of an earlier membership: Flower never accepts a key again that was unregistered.
        await asyncio.to_thread(host_client.node_key_file(config).unlink, missing_ok=True)
    node_key = await asyncio.to_thread(host_client.open_node_key, config)
    if asked.state == "member":
        # The node key may be a new one: the host is told, and nothing else changes.
        identity = open_identity(config.identity_file, config.instance.host)
        host = PublicIdentity(offer.host, parse_key(offer.host_key.key))
        client = host_client.client_of(config, identity, node_key, session, clock)
        _, answer = await client.ask(host, asked.url, asked.group, "join")
        return await asyncio.to_thread(host_client.apply, engine, identity, asked, answer, clock()) or asked
    return await host_client.poll(config, engine, session, clock) or asked


def require_no_other_group(engine: Engine, offer: Offer) -> None:
    """Check, before anything is pinned, that this instance is in no other group. Raises RequestError."""
    before = repository.current(engine)
    if before is None or (before.group, before.host, before.role) != (offer.group, offer.host, "member"):
        require_in_no_group(before)


async def leave(
    config: Config, engine: Engine, session: aiohttp.ClientSession, clock: Callable[[], float]
) -> Membership | None:
    """Leave the group, at once and whatever the host answers; returns the membership until the host knows.

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
                raise NoGroupError("this instance is in no group", advice="See: shoal group status")
            if before.role == "host":
                raise RequestError(
                    f"this instance hosts the group {before.group}", advice="End it: shoal group close"
                )
            if before.state != "left":
                note_in_ledger(connection, identity, "left", before.host, before.group, clock(), own=True)
            after = replace(before, state="left", next_at=0.0, proxy="", ca="", problem="")
            repository.change_in(connection, lambda _one: after)
            return after

    before = await asyncio.to_thread(write)
    peer = await asyncio.to_thread(peers.find, engine, config, before.host)
    if peer is None or not peer.approved:
        # Nothing is sent to a host that is not approved: it cannot be told.
        return await asyncio.to_thread(repository.change, engine, lambda _one: None)
    return await host_client.poll(config, engine, session, clock)


async def _card(session: aiohttp.ClientSession, address: str, clock: Callable[[], float]) -> tuple[str, Card]:
    """Find the card below an address as people type it: with or without https:// and the plugin's path."""
    problem: PeerAnswerError | None = None
    for url in _urls(address):
        try:
            host = await _host_at(session, url)
            return url, await cards.read_card(session, host, url, now=clock())
        except PeerSilentError as error:
            problem = problem or error
        except PeerAnswerError as error:
            problem = error
    if problem is None or isinstance(problem, NoCardError):
        raise await cards.why_no_card(session, pasted_host(address))
    raise problem


def _urls(address: str) -> list[str]:
    """Return where to look for a card: at the address itself, if it is one, and at its instance."""
    try:
        home = cards.base_url(pasted_host(address))
    except NoHostError as error:
        raise RequestError(
            f'"{address[:100]}" {error}', advice="Copy the whole line of the invitation."
        ) from None
    try:
        url = check_peer_url(address.strip())
    except ValueError:
        return [home + cards.ROUTER, home]
    # On this machine either scheme may be meant.
    parts = urlsplit(url)
    home = f"{parts.scheme}://{parts.netloc}"
    return (
        list(dict.fromkeys([url, home + cards.ROUTER, home])) if parts.path else [home + cards.ROUTER, home]
    )


async def _host_at(session: aiohttp.ClientSession, url: str) -> str:
    """Return the host that a card names, unchecked: `read_card` checks it. Raises PeerAnswerError."""
    from aiohttp import ClientError

    name = urlsplit(url).netloc
    try:
        async with (
            asyncio.timeout(_CARD_WITHIN),
            session.get(url + CARD_PATH, allow_redirects=False) as answer,
        ):
            body = await answer.content.read(_MAX_CARD)
    except (ClientError, OSError, TimeoutError, UnicodeError) as error:
        raise cards.silent(name, error) from None
    try:
        card = json.loads(body) if answer.status == 200 else None
        return check_host(str(card["host"])) if isinstance(card, dict) else name
    except (ValueError, KeyError, RecursionError):
        raise NoCardError(f"{name} does not show a card of Shoal", advice="Check the invitation.") from None
