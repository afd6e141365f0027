"""The question whom of a roster this instance approves, and the answer: both sides, before a roster is fixed.

In a group the epoch's document asks (`daemon.group.hosting.roster_settlement`); what is here besides the
messages of peers is telling a member that it waits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from sqlalchemy import Engine

from daemon.config import Config
from daemon.peers import repository as peers
from daemon.rounds.broadcast import ask_all
from daemon.store import waits
from daemon.store.waits import WaitRecord
from federation import envelope
from federation.carrier import Carrier
from federation.envelope import Envelope, Stage
from federation.errors import Code, Refusal
from federation.identity import Identity, PublicIdentity
from federation.keys import derive
from federation.limits import Limits
from federation.rosters import (
    MAX_ROSTER_MESSAGE,
    Accepted,
    ProposedRoster,
    Wait,
    read_accepted,
    read_roster,
    read_wait,
)
from policies.junior_waits import Waits, junior_waits

_MILLISECONDS: Final = 1_000
LONGEST_WAIT: Final = 60 * 86400.0
"""Seconds: what an aggregator says about a later time is not believed, and not shown."""
TELL_WITHIN: Final = 15.0
MOST_QUESTIONS: Final = 4
"""Each merge may find members that do not approve each other; whoever is left then refuses the sum itself."""

Roster: TypeAlias = tuple[PublicIdentity, ...]


class RosterAnswers:
    """One per process; its methods block, and are called from several threads. `clock` gives Unix seconds.

    `in_group` tells whether this instance gives to its group alone now.
    """

    STAGES: Final = (Stage.ROSTER, Stage.WAIT)

    def __init__(
        self,
        identity: Identity,
        engine: Engine,
        config: Config,
        limits: Limits,
        clock: Callable[[], float],
        in_group: Callable[[], bool],
    ) -> None:
        self._identity, self._engine, self._config = identity, engine, config
        self._limits, self._clock, self._in_group = limits, clock, in_group

    def take(self, message: Envelope) -> bytes:
        """Take one message of an approved aggregator and return the signed answer.

        Raises:
            Refusal: `unknown-peer`; `sharing-off` for a roster where this instance gives nothing to peers;
                what `read_roster` and `read_wait` raise.

        """
        known = peers.read(self._engine, self._config)
        peer = known.find(message.sender)
        if peer is None or not peer.approved:
            raise Refusal(Code.UNKNOWN_PEER, f"{message.sender} is no approved peer", message.sender)
        now, me = self._clock(), self._identity.public
        if message.stage is Stage.WAIT:
            wait = read_wait(message, peer.identity, me.host)
            self._keep(peer.host, wait, now)
            return Accepted(wait.hash).seal(self._identity, peer.host)
        asked = read_roster(message, peer.identity, me, now, self._limits)
        if self._config.mode != "contribute" or self._in_group():
            raise Refusal(Code.SHARING_OFF, "this instance gives nothing to its peers now")
        waits.forget(self._engine, peer.host)
        rejected = known.allowlist().rejected(asked.roster, me.host)
        return Accepted(asked.hash, rejected).seal(self._identity, peer.host)

    def _keep(self, aggregator: str, wait: Wait, now: float) -> None:
        until = min(wait.until_at, now + LONGEST_WAIT)
        record = WaitRecord(
            aggregator, now, until, list(wait.rejected_by), list(wait.rejects), too_many=wait.too_many
        )
        waits.save(self._engine, record)


@dataclass(frozen=True)
class SettledRosters:
    """Who is summed together, each sorted; who waits; and why others did not answer, by host."""

    rosters: tuple[Roster, ...]
    waits: Mapping[str, Waits]
    problems: Mapping[str, str]


async def settle(
    identity: Identity,
    carrier: Carrier,
    divide: Callable[[frozenset[str]], tuple[Roster, ...]],
    joined: Mapping[str, float],
    *,
    now: float,
    until: float,
) -> SettledRosters:
    """Ask peers whom of their roster they do not approve, and leave out and tell those that wait.

    Whoever does not answer rejects nobody, and stays.

    Args:
        identity: of the aggregator, as which this instance asks.
        carrier: to the peers.
        divide: the rosters, each sorted, when these hosts are left out.
        joined: since when each is our peer, Unix seconds.
        now: Unix seconds.
        until: when the next rosters are made, Unix seconds.

    """
    # A secret, so that nobody can choose a name that comes first.
    salt = derive(identity.seed, bytes(32), "seniority")
    rejections: dict[str, set[str]] = {}
    asked: dict[PublicIdentity, set[PublicIdentity]] = {}
    waits: dict[str, Waits] = {}
    problems: dict[str, str] = {}
    for _ in range(MOST_QUESTIONS):
        rosters = divide(frozenset(waits))
        # Where so many wait that two rosters become one, its members are asked about each other.
        new = [
            roster for roster in rosters if any(not set(roster) <= asked.get(one, set()) for one in roster)
        ]
        for roster in new:
            problems |= await _ask(identity, carrier, roster, now, rejections)
            asked |= {one: {*asked.get(one, ()), *roster} for one in roster}
        more: dict[str, Waits] = {}
        for roster in rosters:
            more |= junior_waits({one.host: joined[one.host] for one in roster}, rejections, salt=salt)
        if not more:
            break
        waits |= more
    else:
        rosters = divide(frozenset(waits))
    by_host = {one.host: one for one in asked}
    await tell(identity, carrier, {by_host[host]: why for host, why in waits.items()}, until=until)
    return SettledRosters(rosters, waits, problems)


async def _ask(
    identity: Identity, carrier: Carrier, roster: Roster, now: float, rejections: dict[str, set[str]]
) -> Mapping[str, str]:
    """Ask the members of a roster about it; add to `rejections`, and return why others did not answer."""
    question = ProposedRoster(roster, int(now * _MILLISECONDS))
    by_host = {member.host: member for member in roster}

    def read(host: str, raw: bytes) -> None:
        message = envelope.parse(raw, max_size=MAX_ROSTER_MESSAGE)
        answer = read_accepted(message, by_host[host], identity.host)
        if answer.hash != question.hash:
            raise Refusal(Code.ROSTER_INVALID, f"{host} answered about another roster", host)
        rejections.setdefault(host, set()).update(answer.rejects)

    requests = {host: question.seal(identity, host) for host in by_host}
    return (await ask_all(carrier, requests, max_answer=MAX_ROSTER_MESSAGE, read=read)).problems


async def tell(
    identity: Identity, carrier: Carrier, waiting: Mapping[PublicIdentity, Waits], *, until: float
) -> None:
    """Tell each member that waits why, and until when (Unix seconds); who cannot be reached is not told."""
    messages = {
        member: Wait(int(until * _MILLISECONDS), why.rejected_by, why.rejects, why.too_many)
        for member, why in waiting.items()
    }
    by_host = {member.host: member for member in messages}

    def read(host: str, raw: bytes) -> None:
        message = envelope.parse(raw, max_size=MAX_ROSTER_MESSAGE)
        read_accepted(message, by_host[host], identity.host)

    requests = {member.host: wait.seal(identity, member.host) for member, wait in messages.items()}
    await ask_all(carrier, requests, max_answer=MAX_ROSTER_MESSAGE, read=read, within=TELL_WITHIN)
