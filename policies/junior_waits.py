"""Of two members that do not both approve each other, the one that joined later waits. Pure.

No member takes part in a sum with somebody its admin did not approve. Without a rule, one newcomer that a
single member has not looked at yet would shut that member out, and two that disagree would shut out both. By
this rule a member can never lose its place to one that came after it, and a newcomer can harm nobody that was
there before.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass

MOST_REJECTED = 3
"""Whoever rejects more than one part in three of a roster waits itself: it would cost too many others."""


@dataclass(frozen=True)
class Waits:
    """Why a member is left out of a window.

    Attributes:
        rejected_by: members, longer there than it, that do not approve it; sorted.
        rejects: members, longer there than it, that it does not approve; sorted.
        too_many: it approves too few of the roster, whoever is there for longer; `rejects` is empty then.

    """

    rejected_by: tuple[str, ...] = ()
    rejects: tuple[str, ...] = ()
    too_many: bool = False


def junior_waits(
    joined: Mapping[str, float], rejections: Mapping[str, Collection[str]], *, salt: bytes
) -> dict[str, Waits]:
    """Return who of a proposed roster waits, and why; everybody else can be summed together.

    Members are looked at from the oldest on, and one that waits costs nobody anything.

    Args:
        joined: when each member of the roster joined, Unix seconds, by host.
        rejections: by host, whom of the roster it does not approve; who did not answer is missing.
        salt: orders those that joined at the same time; nobody may be able to choose its name for it.

    """
    roster = joined.keys()
    rejected = {host: {*rejections.get(host, ())} & roster - {host} for host in roster}
    waits = {
        host: Waits(too_many=True)
        for host, others in rejected.items()
        if MOST_REJECTED * len(others) > len(roster)
    }
    kept: list[str] = []
    for host in sorted(roster - waits.keys(), key=lambda host: (joined[host], _tie(salt, host))):
        rejected_by = tuple(sorted(other for other in kept if host in rejected[other]))
        rejects = tuple(sorted(rejected[host].intersection(kept)))
        if rejected_by or rejects:
            waits[host] = Waits(rejected_by, rejects)
        else:
            kept.append(host)
    return waits


def _tie(salt: bytes, host: str) -> bytes:
    return hashlib.sha256(salt + host.encode()).digest()
