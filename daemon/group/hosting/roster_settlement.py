"""Who of a hosted group waits in a window: members get the epoch's document and answer whom they reject.

The answers are about each member's own sub-cohort. Where so many wait that it is merged with another one, its
members are asked again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import Final

from daemon.group.hosting.epochs import Epochs, Opened
from daemon.rounds.broadcast import ask_all
from daemon.rounds.roster_questions import tell
from federation import envelope
from federation.carrier import Carrier
from federation.errors import Code, Refusal
from federation.group.epoch_document import EpochDocument
from federation.identity import Identity, PublicIdentity
from federation.rosters import MAX_ROSTER_MESSAGE, read_accepted
from policies.junior_waits import Waits, junior_waits

MOST_EDITIONS: Final = 4
"""Each merge may find members that do not approve each other; whoever is left then refuses the sum itself."""


@dataclass(frozen=True)
class Settlement:
    """The epoch as members hold it, who waits, and who does not accept the document and why, by host."""

    opened: Opened
    waits: Mapping[str, Waits]
    problems: Mapping[str, str]


def waiting_in(
    document: EpochDocument, joined: Mapping[str, float], rejections: Mapping[str, tuple[str, ...]]
) -> dict[str, Waits]:
    """Return who of an epoch waits, given what members answered; pure.

    `joined` in Unix seconds. Whoever waits in its own sub-cohort is not summed in another.
    """
    waits: dict[str, Waits] = {}
    rosters = document.rosters_without(())
    while True:
        more: dict[str, Waits] = {}
        for roster in rosters:
            since = {member.host: joined.get(member.host, inf) for member in roster}
            more |= junior_waits(since, rejections, salt=document.seed)
        if not more:
            return waits
        waits |= more
        rosters = document.rosters_without(waits)


async def settle(
    epochs: Epochs,
    opened: Opened,
    identity: Identity,
    members: Mapping[str, PublicIdentity],
    joined: Mapping[str, float],
    carrier: Carrier,
    *,
    until: float,
) -> Settlement:
    """Send the epoch's document, and editions of it, until nobody in a sub-cohort rejects another member.

    `members` are those connected, also those in no sub-cohort, who learn from the sums. `joined` says since
    when each member is one, `until` when the next window may begin: so long those that wait do. Unix seconds.
    """
    rejections: dict[str, tuple[str, ...]] = {}
    waits: dict[str, Waits] = {}
    problems: Mapping[str, str] = {}
    for edition in range(MOST_EDITIONS):
        problems = await send(opened, identity, members, carrier, rejections)
        waits = waiting_in(opened.document, joined, rejections)
        if tuple(sorted(waits)) == opened.document.waiting or edition == MOST_EDITIONS - 1:
            break
        opened = epochs.wait(opened, waits)
    told = {members[host]: why for host, why in waits.items() if host in members}
    await tell(identity, carrier, told, until=until)
    return Settlement(opened, waits, problems)


async def send(
    opened: Opened,
    identity: Identity,
    members: Mapping[str, PublicIdentity],
    carrier: Carrier,
    rejections: dict[str, tuple[str, ...]],
) -> Mapping[str, str]:
    """Send the epoch's document; add to `rejections`, and return who does not accept it and why, by host."""

    def read(host: str, raw: bytes) -> None:
        message = envelope.parse(raw, max_size=MAX_ROSTER_MESSAGE)
        answer = read_accepted(message, members[host], identity.host)
        if answer.hash != opened.document.hash:
            raise Refusal(Code.ROSTER_INVALID, f"{host} accepted another epoch", host)
        # Of an earlier edition, too: who waits in this one may be in a sub-cohort that it does not name.
        rejections[host] = tuple(sorted({*rejections.get(host, ()), *answer.rejects}))

    requests = dict.fromkeys(members, opened.raw)
    return (await ask_all(carrier, requests, max_answer=MAX_ROSTER_MESSAGE, read=read)).problems
