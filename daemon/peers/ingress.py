"""What arrives from peers and strangers, in the serving process: rate limits, and the answers to hellos.

A stranger can cause two signature checks here, at most `strangers_per_minute` times, and a row that says that
it asked, at most `max_requests_pending` of them beside the hosts that are followed anyway. For each row the
card of that host is read until it shows one, so that the admin sees its words; how often at once:
`policies.rates`.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Final

from sqlalchemy import Engine, func, select

from daemon.config import Config
from daemon.ledger.chain import Kind, append
from daemon.peers import peer_state, repository, rotation
from daemon.peers.repository import Peer
from daemon.process.job_context import RunJob
from daemon.store import traffic
from daemon.store.engine import reads
from daemon.store.tables import FollowedHost, PeerRow
from federation import hello as hellos
from federation.envelope import Envelope, Stage
from federation.errors import Code, Refusal
from federation.group.enrolment import Admission
from federation.hello import Hello
from federation.identity import Identity, PublicIdentity, format_key, parse_key
from federation.limits import Limits
from policies.rates import STRANGERS, RatePolicy

log = logging.getLogger(__name__)

VERSION: Final = version("shoal")
SEEN_EVERY: Final = 60.0
"""Seconds between two writes of when a peer was last seen."""
LEDGER_EVERY: Final = 30 * 86400.0
"""Seconds between two ledger entries about requests of one host: an entry stays for good."""
CONTACT_EVERY: Final = 60.0
CONTACT_WITHIN: Final = 120.0


class Ingress:
    """One per process; its methods block, and are called from several threads.

    `clock` gives Unix seconds. `look_at` is called with a host whose domain has to be asked: that of a peer
    whose pinned key handed over to another, before that is believed, and that of a stranger who asks to be
    approved. `admit` answers what a hello says about a group that is hosted here; whoever may have said it
    was checked before.
    """

    def __init__(
        self,
        identity: Identity,
        engine: Engine,
        config: Config,
        *,
        limits: Limits,
        clock: Callable[[], float],
        look_at: Callable[[str], None] = lambda _host: None,
        admit: Callable[[Hello], Admission | None] = lambda _hello: None,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self._identity = identity
        self._engine = engine
        self._config = config
        self._limits = limits
        self._clock = clock
        self._look_at = look_at
        self._admit = admit
        guards = config.guards
        self._rates = RatePolicy(
            per_peer=guards.requests_per_minute, strangers=guards.strangers_per_minute, clock=ticks
        )
        self._lock = threading.Lock()
        self._strangers = threading.Lock()
        self._written: dict[str, float] = {}

    def check_sender(self, message: Envelope) -> str:
        """Count a message, and note that its sender is alive if it is a peer.

        Returns the name under which the sender is counted: its host, or that of all strangers.

        Raises:
            Refusal: `too-many`, when the sender asks too often.

        """
        peer = repository.find(self._engine, self._config, message.sender)
        known = peer is not None and peer_state.pinned(peer) and _signed(message, peer.identity)
        if message.sender == self._identity.host:
            # The host of a group sends requests to its own instance, too.
            known = _signed(message, self._identity.public)
        # Only a good signature counts for a peer: nobody else can use up its requests.
        name = message.sender if known else STRANGERS
        with self._lock:
            self._rates.check(name)
        if peer is not None and known and message.stage is not Stage.HELLO:
            self._note_seen(peer)
        return name

    def count_answer(self, name: str, size: int) -> None:
        """Count the bytes of an answer."""
        with self._lock:
            self._rates.answered(name, size)

    def check_preparation(self, aggregator: str) -> None:
        """Count a sum that is about to be prepared. Raises Refusal (`too-many`)."""
        with self._lock:
            self._rates.check_preparation(aggregator)

    def answer_hello(self, message: Envelope) -> bytes:
        """Take a hello and return the signed answer, which is a hello, too.

        Raises:
            Refusal: what `federation.hello.read` and `admit` raise; `replayed`, `key-mismatch` or `busy`.

        """
        now = self._clock()
        hello = hellos.read(message, self._identity.host, now, self._limits)
        before = repository.find(self._engine, self._config, hello.host)
        if before is None or not peer_state.pinned(before):
            # One at a time: each has to see the rows of those before it.
            with self._strangers:
                return self._answer_stranger(hello, before, now)
        after = repository.change(
            self._engine,
            self._config,
            hello.host,
            lambda peer: peer_state.after_hello_of_pinned(peer, hello, now),
        )
        if peer_state.by_pinned_key(after, hello):
            admission = self._admit(hello)
        else:
            self._look_at(hello.host)
            admission = None
        answer = self._answer(after, now, admission)
        traffic.add(self._engine, traffic.month_of(now), hello.host, len(answer), len(message.raw))
        return answer

    def _note_seen(self, peer: Peer) -> None:
        now = self._clock()
        with self._lock:
            if now - self._written.get(peer.host, float("-inf")) < SEEN_EVERY:
                return
            self._written[peer.host] = now
        repository.change(
            self._engine, self._config, peer.host, lambda known: peer_state.after_contact(known, now)
        )

    def _answer(self, peer: Peer, now: float, admission: Admission | None) -> bytes:
        return hellos.say(
            self._identity,
            peer.host,
            now,
            approves=peer.state == "approved",
            version=VERSION,
            yours=parse_key(peer.key),
            rotations=rotation.pending(self._config, self._identity.public),
            group=admission,
        )

    def _answer_stranger(self, hello: Hello, before: Peer | None, now: float) -> bytes:
        if before is None and hello.approves:
            self._require_room(hello.host)
        if before is not None or hello.approves:
            new = before is None

            def edit(peer: Peer) -> Peer:
                peer_state.require_newer(peer, hello)
                known = replace(peer, source="asked") if new else peer
                return peer_state.after_hello_of_stranger(known, hello, now)

            after = repository.change(self._engine, self._config, hello.host, edit)
            self._look_at_stranger(after, now)
        last = None if before is None else before.said
        if hello.approves and (last is None or now - last > LEDGER_EVERY):
            details = {"key": format_key(hello.key)}
            append(self._engine, self._identity, Kind.PEER_ASKED, hello.host, details, now)
            log.info("a peer asks to be approved", extra={"peer": hello.host})
        return hellos.say(self._identity, hello.host, now, approves=False, group=self._admit(hello))

    def _look_at_stranger(self, peer: Peer, now: float) -> None:
        if not peer_state.unread_request(peer) or not peer_state.card_due(peer, now):
            return
        with self._lock:
            soon = self._rates.may_read_card()
        if soon:
            self._look_at(peer.host)

    def _require_room(self, host: str) -> None:
        asking = (PeerRow.source == "asked") & (PeerRow.state == "candidate")
        with reads(self._engine) as connection:
            if connection.execute(select(FollowedHost.host).where(FollowedHost.host == host)).first():
                return
            pending = connection.execute(select(func.count()).select_from(PeerRow).where(asking)).scalar()
        if (pending or 0) >= self._config.guards.max_requests_pending:
            raise Refusal(
                Code.BUSY, "too many requests wait for the admin of this instance; try again in some days"
            )


def _signed(message: Envelope, sender: PublicIdentity) -> bool:
    try:
        message.verify(sender)
    except Refusal:
        return False
    return True


class ContactTrigger:
    """Starts the job "peers" for a host that said something to look into; made inside its event loop.

    One job runs at a time, and for one host once a minute. What is dropped is not lost: the same job looks
    after all peers every hour.
    """

    def __init__(
        self, config_file: Path, run: RunJob, *, ticks: Callable[[], float] = time.monotonic
    ) -> None:
        self._config_file = config_file
        self._run_job = run
        self._ticks = ticks
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[None] | None = None
        self._last: dict[str, float] = {}

    def start(self, host: str) -> None:
        """Start the job for a host, from any thread."""
        self._loop.call_soon_threadsafe(self._begin, host)

    async def close(self) -> None:
        """Cancel the job that runs."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _begin(self, host: str) -> None:
        running = self._task is not None and not self._task.done()
        if running or self._ticks() - self._last.get(host, float("-inf")) < CONTACT_EVERY:
            return
        self._last[host] = self._ticks()
        self._task = asyncio.create_task(self._run(host))

    async def _run(self, host: str) -> None:
        outcome = await self._run_job(
            "peers", self._config_file, time_limit=CONTACT_WITHIN, arguments={"host": host}
        )
        if not outcome.ok:
            log.warning("job failed", extra={"job": "peers", "code": outcome.code})
