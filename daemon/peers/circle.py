"""The circle: instances that approved peers introduce, what stands for each, and one decision about all.

What is approved is always the key that the domain's own card shows. An introducer's word makes an instance
known here and lets its admin be asked; it counts for nothing more until something else stands for it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from sqlalchemy import Engine

from daemon.config import Config
from daemon.errors import PolicyRefusedError
from daemon.identity import open_identity
from daemon.ledger.chain import Kind, append
from daemon.peers import introductions, repository
from daemon.peers.introductions import StoredIntroduction
from daemon.peers.repository import KnownPeers, Peer, State
from daemon.sentences import Sentence, english, sentence
from daemon.store import source_state, videos
from daemon.store.engine import writes
from federation.identity import parse_key
from federation.key_words import words
from policies.introductions import Evidence, evidence


@dataclass(frozen=True)
class Introduced:
    """One instance of the circle; times in Unix seconds.

    Attributes:
        key: as its own card shows it, empty until that was read; `words` are the same.
        bound: its domain's ActivityPub actor signed the key.
        vouchers: the peers that name it with this key; before its card was read, all that name it.
        contradicted_by: the peers that name it with another key than its card shows.
        videos: how many of it are in this catalogue, `videos_since` when.
        evidence: what stands for it beside the introduction.
        open: it can be approved here.
        ticked: that is proposed to the admin.
        answered: the admin saw it before and left it.
    """

    host: str
    key: str
    words: tuple[str, ...]
    state: State
    bound: bool
    vouchers: tuple[str, ...]
    contradicted_by: tuple[str, ...]
    followed: bool
    followed_since: float | None
    videos: int
    videos_since: float | None
    evidence: Evidence
    open: bool
    ticked: bool
    answered: bool
    sentence: Sentence

    @property
    def waits(self) -> bool:
        """Whether it can be approved and the admin has not seen it."""
        return self.open and not self.answered


@dataclass(frozen=True)
class Introducer:
    """A peer that introduces instances: when it said so, and until when that holds."""

    host: str
    said: float
    until: float
    instances: int


@dataclass(frozen=True)
class Circle:
    """Everybody who is introduced here by peers that may, and these peers; both sorted by host."""

    introducers: tuple[Introducer, ...]
    instances: tuple[Introduced, ...]


def read(engine: Engine, config: Config, now: float, *, introducer: str = "") -> Circle:
    """Return the circle, or only those that one peer introduces. What stands for them counts every list."""
    known = repository.read(engine, config)
    lists = named(engine, known, now)
    shown = {host: one for host, one in lists.items() if introducer in ("", host)}
    hosts = {host for one in shown.values() for host in one.instances}
    found = _judged(engine, known, now, hosts, videos.by_host(engine, hosts))
    return Circle(_introducers(shown), tuple(found))


def waiting(engine: Engine, config: Config, now: float) -> Circle:
    """Return those that can be approved and that the admin has not seen; their videos are not counted."""
    known = repository.read(engine, config)
    lists = named(engine, known, now)
    hosts = {host for one in lists.values() for host in one.instances}
    found = _judged(engine, known, now, hosts)
    return Circle(_introducers(lists), tuple(one for one in found if one.waits))


def _introducers(lists: Mapping[str, StoredIntroduction]) -> tuple[Introducer, ...]:
    return tuple(
        Introducer(host, one.said, one.until, len(one.instances)) for host, one in sorted(lists.items())
    )


def named(engine: Engine, known: KnownPeers, now: float) -> dict[str, StoredIntroduction]:
    """Return the lists that hold now, of peers that may introduce others, by introducer."""
    may = {peer.host for peer in known.vouched_for()}
    return {host: one for host, one in introductions.holding(engine, now).items() if host in may}


def decide(
    engine: Engine,
    config: Config,
    ticked: Mapping[str, str],
    *,
    left: Collection[str] = (),
    now: float,
) -> list[Introduced]:
    """Approve instances, each by the key that the admin saw, or none of them where one cannot be.

    `left` were shown and not ticked: nothing says again that they wait. The job "peers" tells those approved.

    Raises:
        PolicyRefusedError: one is not introduced here, cannot be approved, or shows another key by now.

    """
    with writes(engine) as connection:
        known = KnownPeers(repository.read_in(connection, config))
        found = {one.host: one for one in _judged(engine, known, now, ticked)}
        chosen = [_approvable(found[host], host, key) for host, key in sorted(ticked.items())]
        for one in chosen:
            peer = known.peers[one.host]
            theirs = "approved" if peer.theirs == "asked" else peer.theirs
            after = replace(peer, state="approved", theirs=theirs, since=now, failures=0, retry_at=None)
            after = replace(after, introduced_by=one.vouchers, evidence=one.evidence)
            repository.save_in(connection, after)
        introductions.note_answered(connection, {*left, *ticked})
    identity = open_identity(config.identity_file, config.instance.host)
    for one in chosen:
        details = {"key": one.key, "bound": one.bound, "max_users": None}
        details |= {"introduced_by": list(one.vouchers), "evidence": one.evidence}
        append(engine, identity, Kind.PEER_APPROVED, one.host, details, now)
    return chosen


def look_for_evidence(engine: Engine, config: Config, now: float) -> list[str]:
    """Let peers count as approved for which more than an introduction stands by now; returns their hosts."""
    known = repository.read(engine, config)
    alone = {host for host, peer in known.peers.items() if peer.on_word_alone}
    if not alone:
        return []
    found = [one for one in _judged(engine, known, now, alone) if one.evidence]
    identity = open_identity(config.identity_file, config.instance.host)
    for one in found:

        def edit(peer: Peer, one: Introduced = one) -> Peer:
            # Decided on what was read: with another key, or after another decision, it says nothing.
            same = peer.on_word_alone and peer.key == one.key
            return replace(peer, evidence=one.evidence) if same else peer

        if repository.change(engine, config, one.host, edit).evidence == one.evidence:
            details = {"key": one.key, "evidence": one.evidence, "vouchers": list(one.vouchers)}
            append(engine, identity, Kind.PEER_VOUCHED_FOR, one.host, details, now)
    return [one.host for one in found]


def _judged(
    engine: Engine,
    known: KnownPeers,
    now: float,
    hosts: Collection[str],
    catalogue: Mapping[str, tuple[int, float | None]] = MappingProxyType({}),
) -> Iterator[Introduced]:
    lists = named(engine, known, now)
    follows = source_state.followed_since(engine)
    introduced_by = {host: peer.introduced_by for host, peer in known.peers.items()}
    for host in sorted(hosts):
        peer = known.find(host) or Peer(host)
        keys = {name: one.instances[host] for name, one in lists.items() if host in one.instances}
        # Only the domain can say which key is the host's: one that came with a request is not looked at.
        key = peer.key if peer.url else ""
        vouchers = tuple(sorted(name for name, named in keys.items() if key in ("", named)))
        others = tuple(sorted(keys.keys() - set(vouchers)))
        stands = evidence(
            bound=bool(key) and peer.bound,
            followed_since=follows.get(host),
            vouchers=vouchers,
            introduced_by=introduced_by,
            now=now,
        )
        can = peer.state == "candidate" and bool(key) and bool(vouchers) and not others
        count, since = catalogue.get(host, (0, None))
        yield Introduced(
            host=host,
            key=key,
            words=tuple(words(parse_key(key))) if key else (),
            state=peer.state,
            bound=peer.bound,
            vouchers=vouchers,
            contradicted_by=others,
            followed=host in follows,
            followed_since=follows.get(host),
            videos=count,
            videos_since=since,
            evidence=stands,
            open=can,
            ticked=can and bool(stands),
            answered=any(host in one.answered for one in lists.values()),
            sentence=_sentence(peer, key, others, stands),
        )


def _sentence(peer: Peer, key: str, others: Collection[str], stands: Evidence) -> Sentence:
    if peer.state == "approved":
        return sentence("circleApproved")
    if peer.state != "candidate":
        return sentence("circleDecidedAgainst")
    if not key:
        return sentence("circleWithoutCard") if peer.failures else sentence("circleCardRead")
    if others:
        return sentence("circleOtherKey")
    if not peer.bound:
        return sentence("circleUnbound")
    match stands:
        case "followed":
            return sentence("circleFollowed")
        case "vouched":
            return sentence("circleVouched")
        case _:
            return sentence("circleOnWordAlone")


def _approvable(found: Introduced, host: str, key: str) -> Introduced:
    if not (found.vouchers or found.contradicted_by):
        raise PolicyRefusedError(
            f"none of your peers introduces {host}", advice="See who is introduced: shoal peers circle"
        )
    if not found.open:
        raise PolicyRefusedError(
            f"{host} cannot be approved with the circle. {english(found.sentence)}", advice="Leave it out."
        )
    if found.key != key:
        raise PolicyRefusedError(
            f"{host} shows another key than a moment ago", advice="Look at the circle again."
        )
    return found
