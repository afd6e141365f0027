"""Introductions that arrive: the newest list of each approved peer, of instances that its admin approved.

A list is taken from a peer that is approved here on more than an introducer's word, so that somebody who was
only introduced cannot introduce further ones. What a list counts for: `daemon.peers.circle`.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, delete, select, update
from sqlalchemy.dialects.sqlite import insert

from daemon.config import Config
from daemon.config.types import check_host
from daemon.peers import repository
from daemon.peers.repository import Peer
from daemon.store import traffic
from daemon.store.engine import reads, writes
from daemon.store.tables import IntroductionRow
from federation import introduction
from federation.cbor_fields import malformed
from federation.envelope import Envelope
from federation.errors import Code, Refusal
from federation.identity import Identity, format_key
from federation.introduction import Introduction
from federation.limits import Limits
from policies.rates import INTRODUCTIONS, TokenBuckets

log = logging.getLogger(__name__)

_DAY = 86400.0


@dataclass(frozen=True)
class StoredIntroduction:
    """A list as it was taken; times in Unix seconds.

    Attributes:
        instances: keys (`ed25519:...`) by host.
        answered: the hosts that our admin has looked at and decided about, or decided to leave.
    """

    introducer: str
    said: float
    until: float
    instances: Mapping[str, str]
    answered: tuple[str, ...] = ()


class IntroductionServer:
    """Takes introductions; its one method blocks, and is called from several threads.

    `clock` gives Unix seconds; `on_taken` is called with the introducer: the cards of those it introduces are
    to be read.
    """

    def __init__(
        self,
        identity: Identity,
        engine: Engine,
        config: Config,
        *,
        limits: Limits,
        clock: Callable[[], float],
        on_taken: Callable[[str], None] = lambda _host: None,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self._identity = identity
        self._engine = engine
        self._config = config
        self._limits = limits
        self._clock = clock
        self._on_taken = on_taken
        self._taken = TokenBuckets(INTRODUCTIONS, INTRODUCTIONS / _DAY, ticks)
        self._lock = threading.Lock()

    def take(self, message: Envelope) -> bytes:
        """Take a list and return the signed answer.

        Raises:
            Refusal: `unknown-peer`, `too-many`, or what `federation.introduction.read` raises.

        """
        now = self._clock()
        peer = _introducer(repository.find(self._engine, self._config, message.sender), message.sender)
        # One at a time: of two lists the later one has to be kept.
        with self._lock:
            before = find(self._engine, peer.host)
            found = introduction.read(
                message,
                peer.identity,
                self._identity.public,
                now,
                self._limits,
                newest=None if before is None else before.said,
            )
            _check_hosts(found)
            if not self._taken.take(peer.host):
                raise Refusal(
                    Code.TOO_MANY,
                    f"{peer.host} sent more than {INTRODUCTIONS} lists of instances within a day",
                    peer.host,
                )
            _save(self._engine, found, before)
        log.info("a peer introduces instances", extra={"peer": peer.host, "instances": len(found.instances)})
        if found.instances:
            self._on_taken(peer.host)
        answer = introduction.acknowledge(self._identity, found)
        traffic.add(self._engine, traffic.month_of(now), peer.host, len(answer), len(message.raw))
        return answer


def find(engine: Engine, introducer: str) -> StoredIntroduction | None:
    """Return the newest list of a peer, expired or not."""
    with reads(engine) as connection:
        return _read(connection).get(introducer)


def holding(engine: Engine, now: float) -> dict[str, StoredIntroduction]:
    """Return every list that has not expired, by its introducer."""
    with reads(engine) as connection:
        return {host: one for host, one in _read(connection).items() if one.until > now}


def forget_expired(engine: Engine, now: float) -> None:
    """Delete the lists that have expired; they are too old to be sent again."""
    with writes(engine) as connection:
        connection.execute(delete(IntroductionRow).where(IntroductionRow.until <= now))


def note_answered(connection: Connection, hosts: Iterable[str]) -> None:
    """Note that the admin decided about hosts, in every list that names them."""
    wanted = set(hosts)
    for one in _read(connection).values():
        answered = sorted({*one.answered, *(wanted & one.instances.keys())})
        connection.execute(
            update(IntroductionRow)
            .where(IntroductionRow.introducer == one.introducer)
            .values(answered=answered)
        )


def _read(connection: Connection) -> dict[str, StoredIntroduction]:
    rows = connection.execute(select(IntroductionRow.__table__)).mappings()
    return {
        row["introducer"]: StoredIntroduction(**{**row, "answered": tuple(row["answered"])}) for row in rows
    }


def _introducer(peer: Peer | None, sender: str) -> Peer:
    if peer is None or not peer.approved:
        raise Refusal(Code.UNKNOWN_PEER, f"{sender} is not an approved peer here", sender)
    if peer.on_word_alone:
        raise Refusal(
            Code.UNKNOWN_PEER,
            f"{sender} was only introduced here itself; once its words are compared, it can introduce others",
            sender,
        )
    return peer


def _check_hosts(found: Introduction) -> None:
    for one in found.instances:
        try:
            good = check_host(one.host) == one.host
        except ValueError:
            good = False
        if not good:
            raise malformed("the list names something that is no host")


def _save(engine: Engine, found: Introduction, before: StoredIntroduction | None) -> None:
    instances = {one.host: format_key(one.key) for one in found.instances}
    old = {} if before is None else before.instances
    answered = () if before is None else before.answered
    values = {
        "introducer": found.introducer,
        "said": found.said,
        "until": found.until,
        "instances": instances,
        # With another key it is another instance to decide about.
        "answered": [host for host in answered if host in instances and instances[host] == old.get(host)],
    }
    changed = {name: value for name, value in values.items() if name != "introducer"}
    with writes(engine) as connection:
        connection.execute(
            insert(IntroductionRow)
            .values(values)
            .on_conflict_do_update(index_elements=["introducer"], set_=changed)
        )
