"""Who knocks, in the serving process: how often anybody may ask, and the answers to hellos.

What a stranger can cause here: a signature check, at most `strangers_per_minute` times, and a row that says
that it asked, at most `max_requests_pending` of them beside the hosts that are followed anyway. Never a
request to anybody.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from typing import Final

from sqlalchemy import Engine, func, select

from daemon.config import Config
from daemon.ledger.chain import Kind, append
from daemon.peers import peer_state, repository, rotation
from daemon.peers.repository import Peer
from daemon.store import traffic
from daemon.store.engine import reads
from daemon.store.tables import FollowedHost, PeerRow
from federation import hello as hellos
from federation.envelope import Envelope, Stage
from federation.errors import Code, Refusal
from federation.hello import Hello
from federation.identity import Identity, PublicIdentity, format_key, parse_key
from federation.limits import Limits
from policies.rates import STRANGERS, RatePolicy

log = logging.getLogger(__name__)

VERSION: Final = version("shoal")
_WRITE_AGAIN: Final = 60.0
_TELL_AGAIN: Final = 30 * 86400.0


class Ingress:
    """One per process; its methods block, and are called from several threads.

    `clock` gives Unix seconds. `on_proven` is called with a peer whose pinned key handed over to another: its
    domain has to be asked before that is believed.
    """

    def __init__(
        self,
        identity: Identity,
        engine: Engine,
        config: Config,
        *,
        limits: Limits,
        clock: Callable[[], float],
        on_proven: Callable[[str], None] = lambda _host: None,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self._identity = identity
        self._engine = engine
        self._config = config
        self._limits = limits
        self._clock = clock
        self._on_proven = on_proven
        guards = config.guards
        self._rates = RatePolicy(
            per_peer=guards.requests_per_minute, strangers=guards.strangers_per_minute, clock=ticks
        )
        self._turn = threading.Lock()
        self._strangers = threading.Lock()
        self._written: dict[str, float] = {}

    # -- every message --------------------------------------------------------------------------------------

    def admit(self, message: Envelope) -> str:
        """Count a message, and note that its sender lives if it is a peer's.

        Returns the name under which the sender counts: its host, or that of all strangers.

        Raises:
            Refusal: `too-many`, when the sender asks too often.

        """
        peer = repository.find(self._engine, self._config, message.sender)
        known = peer is not None and peer_state.pinned(peer) and _signed(message, peer.identity)
        if message.sender == self._identity.host:
            # The host of a group asks its own instance, too.
            known = _signed(message, self._identity.public)
        # Only a good signature counts for a peer: nobody else can use up what it may ask.
        name = message.sender if known else STRANGERS
        with self._turn:
            self._rates.check(name)
        if peer is not None and known and message.stage is not Stage.HELLO:
            self._contact(peer)
        return name

    def answered(self, name: str, size: int) -> None:
        """Count the bytes of an answer."""
        with self._turn:
            self._rates.answered(name, size)

    def admit_sum(self, aggregator: str) -> None:
        """Count a sum that is about to be prepared. Raises Refusal (`too-many`)."""
        with self._turn:
            self._rates.check_preparation(aggregator)

    def _contact(self, peer: Peer) -> None:
        now = self._clock()
        with self._turn:
            if now - self._written.get(peer.host, float("-inf")) < _WRITE_AGAIN:
                return
            self._written[peer.host] = now
        repository.change(self._engine, self._config, peer.host, lambda known: peer_state.reached(known, now))

    # -- hello ----------------------------------------------------------------------------------------------

    def hello(self, message: Envelope) -> bytes:
        """Take a hello and return the signed answer, which is one, too.

        Raises:
            Refusal: what `federation.hello.read` raises; `replayed`, `key-mismatch` or `busy`.

        """
        now = self._clock()
        hello = hellos.read(message, self._identity.host, now, self._limits)
        before = repository.find(self._engine, self._config, hello.host)
        if before is None or not peer_state.pinned(before):
            # One after the other: each has to see the rows of those before it.
            with self._strangers:
                return self._stranger(hello, before, now)
        after = repository.change(
            self._engine, self._config, hello.host, lambda peer: peer_state.from_pinned(peer, hello, now)
        )
        if not peer_state.by_pinned_key(after, hello):
            self._on_proven(hello.host)
        answer = self._answer(after, now)
        traffic.add(self._engine, traffic.month_of(now), hello.host, len(answer), len(message.raw))
        return answer

    def _answer(self, peer: Peer, now: float) -> bytes:
        return hellos.say(
            self._identity,
            peer.host,
            now,
            approves=peer.state == "approved",
            version=VERSION,
            yours=parse_key(peer.key),
            rotations=rotation.pending(self._config, self._identity.public),
        )

    def _stranger(self, hello: Hello, before: Peer | None, now: float) -> bytes:
        if before is None and hello.approves:
            self._require_room(hello.host)
        if before is not None or hello.approves:
            new = before is None

            def edit(peer: Peer) -> Peer:
                peer_state.require_newer(peer, hello)
                return peer_state.asked(replace(peer, source="asked") if new else peer, hello, now)

            repository.change(self._engine, self._config, hello.host, edit)
        told = None if before is None else before.said
        if hello.approves and (told is None or now - told > _TELL_AGAIN):
            # At most once a month and host: an entry stays for good.
            details = {"key": format_key(hello.key)}
            append(self._engine, self._identity, Kind.PEER_ASKED, hello.host, details, now)
            log.info("a peer asks to be approved", extra={"peer": hello.host})
        return hellos.say(self._identity, hello.host, now, approves=False)

    def _require_room(self, host: str) -> None:
        asking = (PeerRow.source == "asked") & (PeerRow.state == "candidate")
        with reads(self._engine) as connection:
            if connection.execute(select(FollowedHost.host).where(FollowedHost.host == host)).first():
                return
            pending = connection.execute(select(func.count()).select_from(PeerRow).where(asking)).scalar()
        if (pending or 0) >= self._config.guards.max_requests_pending:
            raise Refusal(
                Code.BUSY, "too many instances asked to be approved here; its admin has to see to them first"
            )


def _signed(message: Envelope, sender: PublicIdentity) -> bool:
    try:
        message.verify(sender)
    except Refusal:
        return False
    return True
