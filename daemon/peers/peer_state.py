"""How a peer's row changes after a hello or a failed attempt, whichever side began: pure."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Final

from daemon.peers.cards import Card
from daemon.peers.repository import LEARNT_FROM, Peer, Theirs
from federation.errors import Code, Refusal
from federation.hello import Hello
from federation.identity import format_key, parse_key

DAILY: Final = 23 * 3600.0
"""Seconds after which a card is read again; under a day, so that an hourly job reads it once a day."""
FIRST_PAUSE: Final = 60.0
KEEP_REQUEST: Final = 30 * 86400.0
"""Seconds after which a request that nobody answered is forgotten: for approval, or to join a group."""
LONGEST_PAUSE: Final = 86400.0
_JITTER: Final = 0.2


def pinned(peer: Peer) -> bool:
    """Tell whether the admin approved this peer's key, and did not take that back."""
    return peer.state in LEARNT_FROM and bool(peer.key)


def by_pinned_key(peer: Peer, hello: Hello) -> bool:
    """Tell whether a hello is signed by the key that is pinned for its host."""
    return pinned(peer) and format_key(hello.key) == peer.key


def handed_over(peer: Peer, hello: Hello) -> bool:
    """Tell whether the pinned key handed over to the key of this hello, directly or through others."""
    return pinned(peer) and hello.succeeds(parse_key(peer.key))


def after_contact(peer: Peer, now: float) -> Peer:
    """Return a peer that answered or sent something: its back-off ends."""
    return replace(peer, seen=now, failures=0, retry_at=None)


def after_failure(peer: Peer, now: float, rng: random.Random) -> Peer:
    """Return a peer that did not answer: the next attempt follows after a minute, doubled up to a day."""
    pause = min(FIRST_PAUSE * 2 ** min(peer.failures, 16), LONGEST_PAUSE)
    pause *= 1 + rng.uniform(-_JITTER, _JITTER)
    return replace(peer, failures=peer.failures + 1, retry_at=now + min(pause, LONGEST_PAUSE))


def unread_request(peer: Peer) -> bool:
    """Tell whether a candidate asked to be approved, and its card was not read from its domain yet."""
    return peer.state == "candidate" and peer.theirs == "asked" and not peer.url


def card_due(peer: Peer, now: float, *, again: bool = False) -> bool:
    """Tell whether to read a candidate's card: once a day, after failures more rarely, or `again` now."""
    if peer.state != "candidate":
        return False
    if again:
        return True
    if peer.retry_at is not None and peer.retry_at > now:
        return False
    return not peer.url or peer.checked is None or now - peer.checked >= DAILY


def after_card(peer: Peer, card: Card, users: int | None, now: float) -> Peer:
    """Return a peer whose card was read, and shows no other key than a pinned one.

    What was said by another key than the card shows, the host has not said.
    """
    theirs = peer.theirs if peer.key in ("", card.key) else "unknown"
    bound = card.bound or (peer.bound and peer.key == card.key)
    known = replace(peer, url=card.url, key=card.key, bound=bound, theirs=theirs, next_key="")
    known = replace(known, users=users if users is not None else peer.users, checked=now)
    return replace(after_contact(known, now), since=peer.since or now)


def after_hello(peer: Peer, hello: Hello, now: float) -> Peer:
    """Return a peer after a hello by its pinned key; an older one than the newest only shows it is alive."""
    after = after_contact(peer, now)
    if peer.said is not None and hello.said <= peer.said:
        return after
    theirs: Theirs = "approved" if hello.approves else "declined"
    return replace(after, theirs=theirs, version=hello.version or peer.version, said=hello.said)


def after_hello_of_pinned(peer: Peer, hello: Hello, now: float) -> Peer:
    """Return an approved or paused peer after a hello that it sent, by its pinned key or a later one.

    A key that the pinned one handed over to is not believed yet: its domain has to show it, too.

    Raises:
        Refusal: `replayed`, or `key-mismatch`. Anybody can send a hello with another key, so it changes
            nothing; if the peer's domain shows that key, the next reading of its card finds it.

    """
    require_newer(peer, hello)
    if by_pinned_key(peer, hello):
        return after_hello(peer, hello, now)
    if handed_over(peer, hello):
        return replace(peer, said=hello.said)
    raise other_key(peer)


def after_hello_of_stranger(peer: Peer, hello: Hello, now: float) -> Peer:
    """Return a peer that is not approved after a hello that only its own key vouches for.

    Raises:
        Refusal: `key-mismatch`, when its domain showed another key.

    """
    key = format_key(hello.key)
    if peer.url and key != peer.key:
        raise other_key(peer)
    return replace(
        peer,
        key=key,
        theirs="asked" if hello.approves else "unknown",
        version=hello.version or peer.version,
        said=hello.said,
        seen=now,
        since=peer.since or now,
    )


def require_newer(peer: Peer, hello: Hello) -> None:
    """Raise Refusal (`replayed`) for a hello that is not newer than the newest of its host."""
    if peer.said is not None and hello.said <= peer.said:
        raise Refusal(Code.REPLAYED, "this hello, or a later one, arrived before", hello.host)


def other_key(peer: Peer) -> Refusal:
    """Return the refusal for a key that is not the known one."""
    return Refusal(
        Code.KEY_MISMATCH,
        f"{peer.host} is known by another key here; both admins have to compare words, and approve again",
        peer.host,
    )
