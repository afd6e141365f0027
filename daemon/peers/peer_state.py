"""What a hello changes in the book, whichever side began: pure, from a peer to the peer after it."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Final

from daemon.peers.repository import LEARNT_FROM, Peer, Theirs
from federation.errors import Code, Refusal
from federation.hello import Hello
from federation.identity import format_key, parse_key

FIRST_PAUSE: Final = 60.0
KEEP_REQUEST: Final = 30 * 86400.0
"""Seconds after which a request that nobody answered is forgotten: for approval, or to join a group."""
LONGEST_PAUSE: Final = 86400.0
_JITTER: Final = 0.2


def pinned(peer: Peer) -> bool:
    """Tell whether the admin approved this peer's key, and did not take that back."""
    return peer.state in LEARNT_FROM and bool(peer.key)


def by_pinned_key(peer: Peer, hello: Hello) -> bool:
    """Tell whether a hello is by the key that is pinned for its host."""
    return pinned(peer) and format_key(hello.key) == peer.key


def handed_over(peer: Peer, hello: Hello) -> bool:
    """Tell whether the pinned key, or one after it, signed that the key of this hello takes its place."""
    return pinned(peer) and hello.succeeds(parse_key(peer.key))


def reached(peer: Peer, now: float) -> Peer:
    """Return a peer that was heard of: nothing is waited for any more."""
    return replace(peer, seen=now, failures=0, retry_at=None)


def missed(peer: Peer, now: float, rng: random.Random) -> Peer:
    """Return a peer that did not answer: the next try is a minute later, then twice as long, up to a day."""
    pause = min(FIRST_PAUSE * 2 ** min(peer.failures, 16), LONGEST_PAUSE)
    pause *= 1 + rng.uniform(-_JITTER, _JITTER)
    return replace(peer, failures=peer.failures + 1, retry_at=now + min(pause, LONGEST_PAUSE))


def heard(peer: Peer, hello: Hello, now: float) -> Peer:
    """Return a peer after a hello by its pinned key; one older than the newest only shows that it lives."""
    after = reached(peer, now)
    if peer.said is not None and hello.said <= peer.said:
        return after
    theirs: Theirs = "approved" if hello.approves else "declined"
    return replace(after, theirs=theirs, version=hello.version or peer.version, said=hello.said)


def from_pinned(peer: Peer, hello: Hello, now: float) -> Peer:
    """Return an approved or paused peer after a hello that came from somebody who speaks for its host.

    A key that the pinned one handed over to is not believed yet: its domain has to show it, too.

    Raises:
        Refusal: `replayed`, or `key-mismatch`. Anybody can say a hello with another key, so nothing is noted
            of it; if the peer's domain shows that key, the next reading of its card finds it.

    """
    require_newer(peer, hello)
    if by_pinned_key(peer, hello):
        return heard(peer, hello, now)
    if handed_over(peer, hello):
        return replace(peer, said=hello.said)
    raise other_key(peer)


def asked(peer: Peer, hello: Hello, now: float) -> Peer:
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
        raise Refusal(Code.REPLAYED, "this hello, or a later one, was heard before", hello.host)


def other_key(peer: Peer) -> Refusal:
    """Return the refusal for a key that is not the known one."""
    return Refusal(
        Code.KEY_MISMATCH,
        f"{peer.host} is known with another key here; its admin and ours compare words and approve again",
        peer.host,
    )
