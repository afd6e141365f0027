"""A member's word to the host of its group, and what the host's answer changes here.

The host is believed in what it is there for, and only under its pinned key: whether this instance is a
member, who else is, where its fence stands and when the next sum is. Nothing that it says approves anybody.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import aiohttp
from sqlalchemy import Engine

from daemon.config import Config
from daemon.errors import ShoalError
from daemon.group import repository
from daemon.group.ledger_events import note
from daemon.group.membership import node_key_file
from daemon.group.repository import GroupMember, Membership
from daemon.identity import open_identity
from daemon.peers import repository as peers
from daemon.store import traffic
from daemon.store.engine import writes
from daemon.store.traffic import TrafficCounter
from federation import envelope
from federation.carrier import PeerRefused, PeerUnreachable
from federation.errors import Code, Refusal
from federation.group.enrolment import MAX_ADMISSION, Admission, Enrolment, Wish, read_admission
from federation.http.client import PeerClient, Retry
from federation.identity import Identity, PublicIdentity, format_key
from federation.limits import Limits

ANSWER_WITHIN: Final = 15.0
FARTHEST: Final = 60 * 86400.0
"""Seconds: a sum that is announced for later than this is not waited for."""
_ONCE_MORE: Final = Retry(attempts=2, first_pause=0.5)


class HostSilentError(ShoalError):
    """The host of the group did not answer."""

    code = "group-host-silent"
    status = 502
    exit_code = 5


class HostRefusedError(ShoalError):
    """The host of the group refused, or its answer does not hold."""

    code = "group-host-refused"
    status = 502
    exit_code = 5


@dataclass(frozen=True)
class HostClient:
    """What it takes to talk to a host: who we are, by which node key (PEM), and now in Unix seconds.

    `gives` tells whether this instance is to be counted in sums.
    """

    identity: Identity
    node_key: bytes
    session: aiohttp.ClientSession
    clock: Callable[[], float] = time.time
    traffic: TrafficCounter | None = None
    gives: bool = True

    async def ask(
        self, host: PublicIdentity, url: str, group: str, wish: Wish, epoch: bytes = b""
    ) -> Admission:
        """Send an enrolment and return the admission that answers it, signed by the key of `host`.

        Raises:
            HostSilentError: it cannot be reached.
            HostRefusedError: it refuses, or what it answers is not usable.

        """
        noted = self.traffic.add if self.traffic is not None else _not_counted
        client = PeerClient(self.session, retry=_ONCE_MORE, on_traffic=noted)
        me, now = self.identity, self.clock()
        raw = Enrolment.say(me, self.node_key, group, host.host, now, wish, epoch, gives=self.gives)
        try:
            answer = await client.send(host.host, url, raw, max_answer=MAX_ADMISSION, timeout=ANSWER_WITHIN)
            message = envelope.parse(answer, max_size=MAX_ADMISSION)
            if message.sender != host.host:
                raise Refusal(Code.WRONG_SENDER, "another host answered", host.host)
            return read_admission(message, host, me.host, self.clock(), Limits())
        except PeerUnreachable as error:
            raise HostSilentError(
                str(error), advice="Try again later: its daemon is away, or has too much to do."
            ) from None
        except PeerRefused as refused:
            if refused.code == "http":
                # Without a code of ours it was a proxy: the daemon behind it is away.
                raise HostSilentError(
                    f"the Shoal of {host.host} does not answer", advice="Try again later."
                ) from None
            raise HostRefusedError(
                f"{host.host} refused ({refused.code}): {refused.sentence}", advice=_advice(refused.code)
            ) from None
        except Refusal as refusal:
            raise HostRefusedError(
                f"the answer of {host.host} cannot be believed ({refusal.code.value}): {refusal.sentence}",
                advice="Compare the words of its key with its admin; see also that both clocks are right.",
            ) from None


def _not_counted(_host: str, _sent: int, _received: int) -> None:
    """Before a group is joined there is no peer to count for."""


def _advice(code: str) -> str:
    if code == Code.CLOSED:
        return "Ask its admin for the invitation again; the group may have been closed."
    if code == Code.KEY_MISMATCH:
        return "It knows this instance by another key: its admin has to compare words and approve it again."
    if code in (Code.BUSY, Code.TOO_MANY):
        return "Try again later, or tell its admin that many ask."
    return "Ask its admin; both logs say more."


async def poll(
    config: Config,
    engine: Engine,
    session: aiohttp.ClientSession,
    clock: Callable[[], float],
) -> Membership | None:
    """Tell the host what we want, hear how things stand, and write it down; returns the membership after.

    What goes wrong is in its `problem`, and nothing else changes then.

    Raises:
        StoreError: this instance's key cannot be read.

    """
    known, host = await asyncio.to_thread(_whom, config, engine)
    if known is None or host is None:
        return known
    identity = open_identity(config.identity_file, config.instance.host)
    node_key = await asyncio.to_thread(node_key_file.open_key, config)
    said = TrafficCounter()
    speaker = HostClient(identity, node_key, session, clock, said, gives=config.mode == "contribute")
    try:
        admission = await speaker.ask(host, known.url, known.group, wish_of(known), epoch_hash(known))
    except ShoalError as error:
        return await asyncio.to_thread(_problem, engine, known, error.message)
    finally:
        month = traffic.month_of(clock())
        await asyncio.to_thread(traffic.add_all, engine, month, said.by_peer())
    after = await asyncio.to_thread(apply, engine, identity, known, admission, clock())
    if after is None or after.state not in ("asked", "member"):
        await asyncio.to_thread(node_key_file.forget, config)
    return after


def wish_of(known: Membership) -> Wish:
    """Return what there is to say to the host: what the admin here wants, until it was heard."""
    if known.state == "left":
        return "leave"
    return "join" if known.state == "asked" and known.polled is None else "status"


def _whom(config: Config, engine: Engine) -> tuple[Membership | None, PublicIdentity | None]:
    """Return the membership, and by which key its host answers; None where nobody is to be asked."""
    known = repository.current(engine)
    if known is None or known.role != "member":
        return known, None
    peer = peers.find(engine, config, known.host)
    if peer is None or not peer.approved:
        sentence = f"{known.host} is not an approved peer here (any more), so nothing is asked of it"
        return _problem(engine, known, sentence), None
    return known, peer.identity


def epoch_hash(known: Membership) -> bytes:
    """Return the SHA-256 of the payload of the epoch document that is held, empty where there is none."""
    if not known.epoch:
        return b""
    return hashlib.sha256(envelope.parse(known.epoch, max_size=len(known.epoch)).payload).digest()


def _problem(engine: Engine, asked: Membership, sentence: str) -> Membership | None:
    def edit(now: Membership | None) -> Membership | None:
        return replace(now, problem=sentence) if now is not None and _same(now, asked) else now

    return repository.change(engine, edit)


def _same(now: Membership, asked: Membership) -> bool:
    """Tell whether the membership is still the one that was asked for: an admin may have left meanwhile."""
    return (now.group, now.host, now.since) == (asked.group, asked.host, asked.since)


def apply(
    engine: Engine, identity: Identity, asked: Membership, admission: Admission, now: float
) -> Membership | None:
    """Write down what the host answered to an instance that stood as `asked`; returns how it stands now."""
    with writes(engine) as connection:
        before = repository.current_in(connection)
        if before is None or not _same(before, asked):
            return before
        if admission.group != before.group:
            sentence = f"{before.host} answers for another group, {admission.group}"
            return repository.change_in(connection, lambda _one: replace(before, problem=sentence))
        if before.state == "left":
            if admission.state in ("left", "refused", "ejected"):
                # It knows; nothing is left to be told.
                return repository.change_in(connection, lambda _one: None)
            return repository.change_in(connection, lambda _one: replace(before, polled=now))
        after = _after(before, admission, now)
        if after.state == "member":
            listed = [GroupMember(one.host, format_key(one.key), one.url) for one in admission.members]
            repository.replace_members(connection, listed, now)
        if after.state != before.state:
            key = format_key(identity.public.key)
            if after.state == "member":
                note(connection, identity, "joined", before.host, before.group, now, key=key)
            elif after.state == "refused":
                note(connection, identity, "refused", identity.host, before.group, now)
            elif after.state == "ejected":
                note(connection, identity, "ejected", identity.host, before.group, now, reason="by its host")
        return repository.change_in(connection, lambda _one: after)


def _after(before: Membership, said: Admission, now: float) -> Membership:
    """Return how this instance stands after an answer of its host: pure."""
    heard = replace(before, polled=now, problem="")
    if said.state == "member":
        if not said.fence:
            problem = "the host is not ready for sums yet"
            return replace(heard, state="member", next_at=0.0, problem=problem, offered=said.batch.hex())
        announced = said.next_at if said.next_at <= now + FARTHEST else 0.0
        return replace(
            heard,
            state="member",
            fence=said.fence,
            ca=said.ca,
            next_at=announced,
            poll_ms=said.poll_ms,
            offered=said.batch.hex(),
        )
    if said.state == "asked":
        if before.state == "asked":
            return heard
        # Once a member, always asked again by an admin: the host forgot us, or closed the group in between.
        return replace(heard, state="asked", next_at=0.0)
    if said.state == "left" and before.state == "asked":
        sentence = "the host does not know of the request any more; ask again with: shoal group join"
        return replace(heard, problem=sentence)
    if before.state in ("refused", "ejected"):
        return heard
    # Whoever is not let in was refused, whatever the host calls it; a member that is none any more is out.
    return replace(heard, state="refused" if before.state == "asked" else "ejected", next_at=0.0)
