"""A member's hellos to the host of its group, what the host's answers change here, and its node key.

The host's answers, signed with its pinned key, decide whether this instance is a member, who else is, where
the reverse proxy is and when the next sum is. Nothing in them approves anybody.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sqlalchemy import Engine

from daemon.config import Config
from daemon.errors import ShoalError, StoreError
from daemon.group import repository
from daemon.group.repository import GroupMember, Membership, note_in_ledger
from daemon.identity import open_identity
from daemon.peers import peer_state, rotation
from daemon.peers import repository as peers
from daemon.peers.ingress import VERSION
from daemon.peers.repository import Peer
from daemon.process.daemon_lock import replace_file
from daemon.store import traffic
from daemon.store.engine import writes
from daemon.store.traffic import TrafficCounter
from federation import envelope
from federation import hello as hellos
from federation.carrier import PeerRefused, PeerUnreachable
from federation.errors import Code, FederationError, Refusal
from federation.group.enrolment import MAX_ADMISSION, Admission, Enrolment, Wish
from federation.group.node_key import new_node_key, public_node_key
from federation.hello import Hello, Rotation
from federation.identity import Identity, PublicIdentity, format_key
from federation.limits import Limits

if TYPE_CHECKING:
    import aiohttp

NODE_KEY_NAME: Final = "node.key"
ANSWER_WITHIN: Final = 15.0
MAX_AHEAD: Final = 60 * 86400.0
"""Seconds: a sum that is announced for later than this is ignored."""


class HostSilentError(ShoalError):
    """The host of the group did not answer."""

    code = "group-host-silent"
    status = 502
    exit_code = 5


class HostRefusedError(ShoalError):
    """The host of the group refused, or its answer is not valid."""

    code = "group-host-refused"
    status = 502
    exit_code = 5


@dataclass(frozen=True)
class HostClient:
    """Says hello to a host about its group; `clock` in Unix seconds.

    Attributes:
        node_key: the private node key (PEM), empty where this instance only looks at a group.
        approves: whether our admin approved the host.
        rotations: from earlier keys of this instance, as in every hello.
        gives: whether this instance is to be counted in sums.

    """

    identity: Identity
    node_key: bytes
    session: aiohttp.ClientSession
    clock: Callable[[], float] = time.time
    traffic: TrafficCounter | None = None
    approves: bool = True
    rotations: tuple[Rotation, ...] = ()
    gives: bool = True

    async def ask(self, host: PublicIdentity, url: str, group: str, wish: Wish) -> tuple[Hello, Admission]:
        """Say hello with an enrolment and return the answer, signed by the key of `host`.

        Raises:
            HostSilentError: it cannot be reached.
            HostRefusedError: it refuses, or its answer is not valid.

        """
        try:
            try:
                answer = await self._exchange(host, url, group, wish)
            except PeerRefused as refused:
                if refused.code != Code.REPLAYED:
                    raise
                # Our answer was lost on the way, or another hello overtook this one.
                answer = await self._exchange(host, url, group, wish)
            if PublicIdentity(answer.host, answer.key) != host:
                raise Refusal(Code.KEY_MISMATCH, "another host or key answered", host.host)
            if not isinstance(answer.group, Admission):
                raise Refusal(Code.CLOSED, "it says nothing about a group", host.host)
            return answer, answer.group
        except PeerUnreachable as error:
            raise HostSilentError(str(error), advice=error.advice) from None
        except PeerRefused as refused:
            if refused.by_proxy:
                raise HostSilentError(
                    f"the Shoal of {host.host} does not answer", advice="Try again later."
                ) from None
            raise HostRefusedError(
                f"{host.host} refused ({refused.code}): {refused.sentence}", advice=_advice(refused.code)
            ) from None
        except Refusal as refusal:
            raise HostRefusedError(
                f"the answer of {host.host} is not valid ({refusal.code.value}): {refusal.sentence}",
                advice="Compare the words of its key with its admin, and check the clocks of both instances.",
            ) from None

    async def _exchange(self, host: PublicIdentity, url: str, group: str, wish: Wish) -> Hello:
        # Loads aiohttp, which whoever only looks at a group does without.
        from federation.http.client import PeerClient, Retry

        on_traffic = self.traffic.add if self.traffic is not None else _not_counted
        client = PeerClient(self.session, retry=Retry(attempts=2, first_pause=0.5), on_traffic=on_traffic)
        me, now = self.identity, self.clock()
        raw = hellos.say(
            me,
            host.host,
            now,
            approves=self.approves,
            version=VERSION if self.approves else "",
            yours=host.key if self.approves else b"",
            rotations=self.rotations,
            group=Enrolment.of(me.public, self.node_key, group, wish, now, gives=self.gives),
        )
        answer = await client.send(host.host, url, raw, max_answer=MAX_ADMISSION, timeout=ANSWER_WITHIN)
        message = envelope.parse(answer, max_size=MAX_ADMISSION)
        if message.sender != host.host:
            raise Refusal(Code.WRONG_SENDER, "another host answered", host.host)
        return hellos.read(message, me.host, self.clock(), Limits(), at_most=MAX_ADMISSION)


def client_of(
    config: Config,
    identity: Identity,
    node_key: bytes,
    session: aiohttp.ClientSession,
    clock: Callable[[], float],
    traffic: TrafficCounter | None = None,
) -> HostClient:
    """Return a client to the host of the group that this instance is in, or joins."""
    gives, rotations = config.mode == "contribute", rotation.pending(config, identity.public)
    return HostClient(identity, node_key, session, clock, traffic, rotations=rotations, gives=gives)


def _not_counted(_host: str, _sent: int, _received: int) -> None:
    """Count nothing: before a group is joined there is no peer to count for."""


def _advice(code: str) -> str:
    if code == Code.CLOSED:
        return "Ask its admin for the invitation again; the group may have been closed."
    if code == Code.KEY_MISMATCH:
        return "It knows this instance by another key: its admin has to compare words and approve it again."
    if code in (Code.BUSY, Code.TOO_MANY):
        return "Try again later, or tell its admin that too many requests are waiting."
    return "Ask its admin; the logs of both instances have the details."


async def poll(
    config: Config,
    engine: Engine,
    session: aiohttp.ClientSession,
    clock: Callable[[], float],
) -> Membership | None:
    """Send the host what is due, save what it answers, and return the membership after it.

    What goes wrong is in its `problem`, and nothing else changes then.

    Raises:
        StoreError: this instance's key cannot be read.

    """
    known, host = await asyncio.to_thread(_host_to_ask, config, engine)
    if known is None or host is None:
        return known
    identity = open_identity(config.identity_file, config.instance.host)
    node_key = await asyncio.to_thread(open_node_key, config)
    exchanged = TrafficCounter()
    client = client_of(config, identity, node_key, session, clock, exchanged)
    try:
        hello, admission = await client.ask(host, known.url, known.group, wish_of(known))
    except ShoalError as error:
        return await asyncio.to_thread(_note_problem, engine, known, error.message)
    finally:
        month = traffic.month_of(clock())
        await asyncio.to_thread(traffic.add_all, engine, month, exchanged.by_peer())
    now = clock()
    await asyncio.to_thread(_note_hello, engine, config, hello, now)
    after = await asyncio.to_thread(apply, engine, identity, known, admission, now)
    if after is None or after.state not in ("asked", "member"):
        # The next key is a new one: Flower never accepts a key again that was unregistered.
        await asyncio.to_thread(node_key_file(config).unlink, missing_ok=True)
    return after


def wish_of(known: Membership) -> Wish:
    """Return what to tell the host: what the admin here wants, until the host answered it."""
    if known.state == "left":
        return "leave"
    return "join" if known.state == "asked" and known.polled is None else "status"


def _host_to_ask(config: Config, engine: Engine) -> tuple[Membership | None, PublicIdentity | None]:
    """Return the membership, and the host with its pinned key, None if no host is to be asked."""
    known = repository.current(engine)
    if known is None or known.role != "member":
        return known, None
    peer = peers.find(engine, config, known.host)
    if peer is None or not peer.approved:
        sentence = f"{known.host} is not an approved peer here, so nothing is sent to it"
        return _note_problem(engine, known, sentence), None
    return known, peer.identity


def _note_hello(engine: Engine, config: Config, hello: Hello, now: float) -> None:
    """Save what the host's hello says, as that of any peer: whether it approves this instance."""

    def edit(peer: Peer) -> Peer:
        return peer_state.after_hello(peer, hello, now) if peer_state.by_pinned_key(peer, hello) else peer

    peers.change(engine, config, hello.host, edit)


def _note_problem(engine: Engine, asked: Membership, sentence: str) -> Membership | None:
    def edit(now: Membership | None) -> Membership | None:
        return replace(now, problem=sentence) if now is not None and _same(now, asked) else now

    return repository.change(engine, edit)


def _same(now: Membership, asked: Membership) -> bool:
    """Tell whether the membership is still the one that was asked for: the admin may have left since."""
    return (now.group, now.host, now.since) == (asked.group, asked.host, asked.since)


def apply(
    engine: Engine, identity: Identity, asked: Membership, admission: Admission, now: float
) -> Membership | None:
    """Save what the host answered when the membership was `asked`, and return the membership after it."""
    with writes(engine) as connection:
        before = repository.current_in(connection)
        if before is None or not _same(before, asked):
            return before
        if admission.group != before.group:
            sentence = f"{before.host} answers for another group, {admission.group}"
            return repository.change_in(connection, lambda _one: replace(before, problem=sentence))
        if before.state == "left":
            if admission.state in ("left", "refused", "ejected"):
                # The host knows that this instance left.
                return repository.change_in(connection, lambda _one: None)
            return repository.change_in(connection, lambda _one: replace(before, polled=now))
        after = _after(before, admission, now)
        if after.state == "member":
            listed = [GroupMember(one.host, format_key(one.key), one.url) for one in admission.members]
            repository.replace_members(connection, listed, now)
        if after.state != before.state:
            key = format_key(identity.public.key)
            if after.state == "member":
                note_in_ledger(connection, identity, "joined", before.host, before.group, now, key=key)
            elif after.state == "refused":
                note_in_ledger(connection, identity, "refused", identity.host, before.group, now)
            elif after.state == "ejected":
                note_in_ledger(
                    connection, identity, "ejected", identity.host, before.group, now, reason="by its host"
                )
        return repository.change_in(connection, lambda _one: after)


def _after(before: Membership, answer: Admission, now: float) -> Membership:
    """Return the membership after an answer of its host: pure."""
    after = replace(before, polled=now, problem="")
    if answer.state == "member":
        if not answer.proxy:
            problem = "the host is not ready for sums yet"
            return replace(after, state="member", next_at=0.0, problem=problem, offered=answer.run.hex())
        announced = answer.next_at if answer.next_at <= now + MAX_AHEAD else 0.0
        return replace(
            after,
            state="member",
            proxy=answer.proxy,
            ca=answer.ca,
            next_at=announced,
            poll_ms=answer.poll_ms,
            offered=answer.run.hex(),
        )
    if answer.state == "asked":
        if before.state == "asked":
            return after
        # A member again has to be admitted by the host's admin: the host lost its data, or closed the group.
        return replace(after, state="asked", next_at=0.0)
    if answer.state == "left" and before.state == "asked":
        sentence = "the host does not know the request any more; ask again with: shoal group join"
        return replace(after, problem=sentence)
    if before.state in ("refused", "ejected"):
        return after
    # A request that was not admitted was refused, and a member that is none any more was ejected.
    return replace(after, state="refused" if before.state == "asked" else "ejected", next_at=0.0)


def node_key_file(config: Config) -> Path:
    """Return the file of this instance's private node key (PEM)."""
    return config.group_dir / NODE_KEY_NAME


def open_node_key(config: Config) -> bytes:
    """Return the private node key (PEM), made if there is none.

    Raises:
        StoreError: it is damaged, or others may read it.

    """
    file = node_key_file(config)
    config.group_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        mode, pem = file.stat().st_mode, file.read_bytes()
    except FileNotFoundError:
        # Written whole or not at all, and with the rights of a temporary file: 0600.
        replace_file(file, new_node_key())
        return file.read_bytes()
    except OSError as error:
        raise StoreError(
            f"node.key cannot be read ({os.strerror(error.errno or 0)})", advice="Check who owns the file."
        ) from None
    if mode & 0o077:
        raise StoreError(
            "node.key can be read by other users of this machine",
            advice=f"Delete it and join the group again: rm {file}",
        )
    try:
        public_node_key(pem)
    except FederationError as error:
        raise StoreError("node.key is damaged", advice=str(error)) from None
    return pem
