"""Checks of what peers meet: this instance's card at its own domain, and the peers' cards."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

import aiohttp

from daemon.config import Config, PeerTubeSource
from daemon.doctor.check import Result, failure, ok, sentence, unchecked, warning
from daemon.doctor.serving import START
from daemon.peers import cards
from daemon.peers.cards import Card, PeerAnswerError, PeerSilentError
from daemon.peers.repository import Peer
from daemon.process.daemon_lock import Running
from federation.http import CARD_PATH
from federation.identity import format_key

AT_ONCE: Final = 8
WITHIN: Final = 5.0
"""Seconds for an answer from this machine or its PeerTube."""

ReadCard = Callable[[str, str], Awaitable[Card]]
"""Reads the card of a host at an address of its Shoal; see `daemon.peers.cards.read_card`."""
Reaches = Callable[[str], Awaitable[bool]]
"""Tells whether an address answers with status 200."""


@dataclass(frozen=True)
class Network:
    """How others are asked."""

    read_card: ReadCard
    reaches: Reaches


def network(session: aiohttp.ClientSession, now: float) -> Network:
    """Return a network that asks through a session."""

    async def read_card(host: str, url: str) -> Card:
        return await cards.read_card(session, host, url, now=now)

    async def reaches(url: str) -> bool:
        try:
            async with (
                asyncio.timeout(WITHIN),
                session.get(url, headers={"Accept-Encoding": "identity"}, allow_redirects=False) as answer,
            ):
                return answer.status == 200
        except (aiohttp.ClientError, OSError, TimeoutError):
            return False

    return Network(read_card, reaches)


async def own_card(config: Config, key: bytes, running: Running | None, net: Network) -> Sequence[Result]:
    """Check that the listener for peers is reached through PeerTube, and that the domain shows `key`."""
    host = config.instance.host
    if not config.federates:
        return [ok("listener", f'Nothing comes in from peers: mode is "{config.mode}".')]
    if running is None or not running.federation:
        return [
            unchecked("listener", "Without a daemon there is no listener for peers.", START),
            unchecked("key", "Without a daemon the domain shows no card.", START),
        ]
    here = running.federation.replace("0.0.0.0", "127.0.0.1").replace("[::]", "[::1]")  # noqa: S104
    if not await net.reaches(f"http://{here}{CARD_PATH}"):
        return [
            failure(
                "listener", f"The listener for peers does not answer on {here}.", "See the daemon's log."
            ),
            unchecked("key", "The card was not read.", "Make the listener answer first."),
        ]
    if not isinstance(config.source, PeerTubeSource):
        return [ok("listener", f"Peers are answered on {here}; with a data set no PeerTube is in front.")]
    url = cards.base_url(host) + cards.ROUTER
    try:
        card = await net.read_card(host, url)
    except PeerSilentError:
        return await _unreached(config.source.url, host, url, net)
    except PeerAnswerError as error:
        return [
            ok("listener", f"Peers reach this instance at {url}."),
            failure("key", sentence(error.message), error.advice),
        ]
    return [ok("listener", f"Peers reach this instance at {url}."), _key(card, key)]


def _key(card: Card, key: bytes) -> Result:
    if card.key != format_key(key):
        return failure(
            "key",
            f"{card.host} shows another key than the one in this data_dir.",
            "Another daemon answers for this domain: correct the daemon's address in the plugin's settings.",
        )
    if not card.bound:
        return warning(
            "key",
            f"{card.host} shows this key, but its PeerTube has not signed it.",
            "Open the plugin's settings in PeerTube and save them; the plugin then signs the key.",
        )
    return ok("key", f"{card.host} shows this instance's key, signed by its PeerTube.")


async def _unreached(source: str, host: str, url: str, net: Network) -> Sequence[Result]:
    unread = unchecked("key", "The card was not read.", "Make the listener reachable first.")
    if await net.reaches(source + cards.ROUTER + CARD_PATH):
        step = f"Ask another machine: curl {url}{CARD_PATH} must show a card. If it does, all is well."
        told = f"From here {host} cannot be reached by its name, though PeerTube passes peers on."
        return [warning("listener", told, step), unread]
    return [
        failure(
            "listener",
            f"Peers do not reach this instance at {url}.",
            "Set the daemon's address for peers in the plugin's settings, and save them. Then look at the "
            "plugin's diagnostics.",
        ),
        unread,
    ]


async def peers(config: Config, approved: Sequence[Peer], net: Network) -> Sequence[Result]:
    """Check that each approved peer answers, with the key that was approved."""
    if not config.federates:
        return [ok("peers", f'No peer is asked: mode is "{config.mode}".')]
    if not approved:
        return [
            warning("peers", "No peer is approved.", "Find some: shoal peers candidates; or join a group.")
        ]
    gate = asyncio.Semaphore(AT_ONCE)

    async def ask(peer: Peer) -> Result | None:
        async with gate:
            return await _peer(peer, net)

    found = [result for result in await asyncio.gather(*map(ask, approved)) if result is not None]
    good = len(approved) - len(found)
    if good:
        of = "" if not found else f" of {len(approved)}"
        plural = len(approved) != 1
        answer = "answer" if good != 1 else "answers"
        found.insert(0, ok("peers", f"{good}{of} approved peer{'s' if plural else ''} {answer}."))
    return found


async def _peer(peer: Peer, net: Network) -> Result | None:
    """Return what is wrong with one peer, None if nothing is."""
    step = "The daemon keeps trying, and sums leave it out meanwhile. Ask its admin if it lasts."
    try:
        card = await net.read_card(peer.host, peer.url)
    except PeerSilentError as error:
        return failure("peers", sentence(error.message), step)
    except PeerAnswerError as error:
        return failure("peers", sentence(error.message), error.advice)
    if card.key != peer.key:
        return failure(
            "peers",
            f"{peer.host} shows another key than the one that you approved.",
            f"Ask its admin. If the key is theirs, approve it again: shoal peers approve {peer.host}",
        )
    return None
