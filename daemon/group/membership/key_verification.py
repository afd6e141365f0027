"""Verifying the key of an instance of the group with its own domain, and approving the instance by that key.

A key comes from a list that the host signed, or from a request to join. Before it is pinned, the instance's
own
domain is asked for its card, if it can be reached: the key on the card decides. Nothing here runs unless an
admin asks for it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from sqlalchemy import Engine
from typing_extensions import TypedDict

from daemon.config import Config
from daemon.errors import PolicyRefusedError
from daemon.group.repository import GroupMember
from daemon.identity import open_identity
from daemon.ledger.chain import Kind, append
from daemon.peers import cards
from daemon.peers import repository as peers
from daemon.peers.listing import words_of
from daemon.peers.repository import Peer

if TYPE_CHECKING:
    import aiohttp

Voucher = Literal["domain", "card", "book", "unread"]
"""Who confirms that the key is the host's: `domain` its domain's actor, `card` a card at its domain without
an actor, `book` our peers (approved before), `unread` nobody but who listed it."""
Approval = Literal["yes", "no", "other-key"]


class SeenKey(TypedDict):
    """A key before it is approved, and who says that it is the host's.

    That is its domain's actor, a card at its domain without one, this instance's own peers, or only the host
    that listed it; `why` says why nothing more vouches for it.
    """

    host: str
    key: str
    voucher: Voucher
    url: str
    why: str
    words: list[str]


@dataclass(frozen=True)
class KeyEvidence:
    """What is known of a key before it is pinned; `url` is where a card was read, `why` says why not."""

    host: str
    key: str
    voucher: Voucher
    url: str = ""
    why: str = ""

    @property
    def seen(self) -> SeenKey:
        """It with the key's eight words, as an admin compares them."""
        return {
            "host": self.host,
            "key": self.key,
            "voucher": self.voucher,
            "url": self.url,
            "why": self.why,
            "words": words_of(self.key),
        }


def approval(peer: Peer | None, key: str) -> Approval:
    """Tell whether an instance is approved here, by exactly this key."""
    if peer is None or not peer.approved:
        return "no"
    return "yes" if peer.key == key else "other-key"


async def verify(
    config: Config,
    engine: Engine,
    session: aiohttp.ClientSession,
    host: str,
    key: str,
    clock: Callable[[], float],
) -> KeyEvidence:
    """Ask an instance's own domain for its card, and compare the keys; approves nothing.

    Raises:
        PolicyRefusedError: its domain shows another key, or it is known by another one.

    """
    peer = peers.find(engine, config, host)
    if approval(peer, key) == "yes":
        return KeyEvidence(host, key, "book", peer.url if peer is not None else "")
    url = (peer.url if peer is not None else "") or cards.base_url(host) + cards.ROUTER
    try:
        card = await cards.read_card(session, host, url, now=clock())
    except cards.PeerAnswerError as error:
        if peer is not None and peer.url and peer.key and peer.key != key:
            raise _other_key(host) from None
        return KeyEvidence(host, key, "unread", why=error.message)
    if card.key != key:
        raise _other_key(host)
    return KeyEvidence(host, key, "domain" if card.bound else "card", url)


def pin(engine: Engine, config: Config, evidence: KeyEvidence, now: float) -> Peer:
    """Approve an instance as a peer by the key that was verified.

    Raises:
        PolicyRefusedError: it is known by another key, or it was reverted here.

    """
    before = peers.find(engine, config, evidence.host)
    known = before is not None and approval(before, evidence.key) == "yes" and not before.on_word_alone
    if before is not None and known and evidence.voucher == "book":
        return before
    if before is not None and before.state == "reverted":
        raise PolicyRefusedError(
            f"{evidence.host} was reverted here, and is blocked",
            advice=f"To learn from it again, approve it first: shoal peers approve {evidence.host}",
        )

    def edit(peer: Peer) -> Peer:
        if peer.url and peer.key and peer.key != evidence.key:
            raise _other_key(evidence.host)
        url = peer.url or evidence.url
        theirs = peer.theirs if peer.key in ("", evidence.key) else "unknown"
        theirs = "approved" if theirs == "asked" else theirs
        known = replace(peer, url=url, key=evidence.key, state="approved", theirs=theirs, next_key="")
        known = replace(known, bound=known.bound or evidence.voucher == "domain", failures=0, retry_at=None)
        known = replace(known, evidence="admin" if known.introduced_by else "")
        return replace(known, since=peer.since if peer.state == "approved" else now)

    after = peers.change(engine, config, evidence.host, edit)
    identity = open_identity(config.identity_file, config.instance.host)
    details = {"key": after.key, "bound": after.bound, "max_users": after.max_users}
    append(engine, identity, Kind.PEER_APPROVED, evidence.host, details, now)
    return after


def not_approved(
    listed: tuple[GroupMember, ...], known: peers.KnownPeers, me: str
) -> tuple[list[GroupMember], list[str]]:
    """Return the members that are not approved here yet, and the hosts of those decided against."""
    strangers, against = [], []
    for one in listed:
        peer = known.find(one.host)
        if one.host == me or approval(peer, one.key) == "yes":
            continue
        if peer is not None and peer.state in ("paused", "removed", "reverted"):
            against.append(one.host)
        else:
            strangers.append(one)
    return strangers, against


def _other_key(host: str) -> PolicyRefusedError:
    return PolicyRefusedError(
        f"{host} is listed with another key than the one it shows, or the one known here",
        advice="Compare the words with its admin: it may have a new key, or somebody may pose as it.",
    )
