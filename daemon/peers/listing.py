"""Peers as they are listed, on the admin page and at the command line."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Engine
from typing_extensions import TypedDict

from daemon.config import Config
from daemon.peers import messages, repository
from daemon.peers.messages import Cohort
from daemon.peers.repository import Evidence, Source, State, Theirs
from daemon.sentences import Sentence
from daemon.store import activity, source_state
from federation.identity import parse_key
from federation.key_words import words


class Peer(TypedDict):
    """A peer, or a candidate for one; times in Unix seconds, what is not known is empty or null.

    Attributes:
        words: of its key, to compare on the telephone.
        theirs: what it says of this instance.
        bound: its domain's actor signed its key.
        retry_at: no attempt to reach it before; `failures` went before that, in a row.
        max_users: the admin's cap on its viewers in a sum; `users` it has by its public NodeInfo.
        next_key: a key that it uses without proof that it may.
        introduced_by: on whose introduction it was approved; `evidence` is what stands for it beside that.
        on_word_alone: it counts as a stranger: it was only introduced.
    """

    host: str
    url: str
    key: str
    words: list[str]
    state: State
    theirs: Theirs
    source: Source
    bound: bool
    version: str
    followed: bool
    seen: float | None
    failures: int
    retry_at: float | None
    max_users: int | None
    users: int | None
    since: float
    next_key: str
    next_key_words: list[str]
    introduced_by: list[str]
    evidence: Evidence
    on_word_alone: bool
    sentences: list[Sentence]


class Followed(TypedDict):
    """How many instances this one follows, how many of them were looked at, and how many run Shoal."""

    total: int
    looked_at: int
    with_shoal: int


class Peers(TypedDict):
    """All peers and candidates."""

    peers: list[Peer]
    cohort: Cohort
    followed: Followed


def listing(engine: Engine, config: Config, now: float, in_group: Collection[Sentence] = ()) -> Peers:
    """Return all peers and candidates, and whether they are enough for a sum.

    For `in_group` see `messages.cohort`.
    """
    known = repository.read(engine, config)
    followed = set(source_state.follows(engine))
    shown = sorted(filter(_worth_showing, known.peers.values()), key=_order)
    return {
        "peers": [described(peer, now, followed=peer.host in followed) for peer in shown],
        "cohort": cohort(engine, known, config, in_group),
        "followed": {
            "total": len(followed),
            "looked_at": sum(host in followed and p.checked is not None for host, p in known.peers.items()),
            "with_shoal": sum(host in followed and bool(p.version) for host, p in known.peers.items()),
        },
    }


def cohort(
    engine: Engine, known: repository.KnownPeers, config: Config, in_group: Collection[Sentence] = ()
) -> Cohort:
    """Return whether there are enough peers for a sum; for `in_group` see `messages.cohort`."""
    return messages.cohort(known, config.cohort.min_cohort, in_group, activity.newest_survivors(engine))


def described(peer: repository.Peer, now: float, *, followed: bool) -> Peer:
    """Return one peer. The key of one that asked is shown only once it was read from its own domain."""
    card_read = bool(peer.url)
    return {
        "host": peer.host,
        "url": peer.url,
        "key": peer.key if card_read else "",
        "words": words_of(peer.key) if card_read else [],
        "state": peer.state,
        "theirs": peer.theirs,
        "source": peer.source,
        "bound": peer.bound,
        "version": peer.version,
        "followed": followed,
        "seen": peer.seen,
        "failures": peer.failures,
        "retry_at": peer.retry_at,
        "max_users": peer.max_users,
        "users": peer.users,
        "since": peer.since,
        "next_key": peer.next_key,
        "next_key_words": words_of(peer.next_key),
        "introduced_by": list(peer.introduced_by),
        "evidence": peer.evidence,
        "on_word_alone": peer.on_word_alone,
        "sentences": messages.of(peer, now),
    }


def words_of(key: str) -> list[str]:
    """Return the words of `ed25519:...`, none of an unknown key."""
    return list(words(parse_key(key))) if key else []


def _worth_showing(peer: repository.Peer) -> bool:
    """Tell whether to list a peer.

    Followed instances without Shoal are only kept so as not to ask again. Those that are only introduced have
    a list of their own, and a request that was not by the key on the host's card was none.
    """
    if peer.state != "candidate":
        return True
    if peer.source in ("asked", "circle") and peer.theirs == "unknown":
        return False
    return bool(peer.key) or bool(peer.version)


def _order(peer: repository.Peer) -> tuple[int, str]:
    """Sort those that wait for the admin first, then by the decision."""
    waits = peer.state == "candidate" and peer.theirs == "asked"
    states = ("approved", "paused", "candidate", "reverted", "removed")
    return (-1 if waits or peer.next_key else states.index(peer.state), peer.host)
