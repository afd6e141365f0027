"""In a group: into how many parts it is divided, and that its sums are over exactly the part I am in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from federation.errors import Code, Refusal
from federation.identity import PublicIdentity
from federation.proposal import Proposal
from policies.sharing import MOST_PARTS

_FEW_PARTS = 3
"""A group of any size is worth so many: one bad part can then be left out."""


def parts_for(members: int, *, subcohorts_from: int, least: int, per_part: int) -> int:
    """Return into how many parts a group of so many members is divided, none below `least`.

    `subcohorts_from` counts the others, as it does between peers; in a group the host is a member too.
    """
    if members < subcohorts_from + 1:
        return 1
    most = min(MOST_PARTS, members // least)
    return max(1, min(most, max(_FEW_PARTS, members // per_part)))


@dataclass(frozen=True)
class GroupPolicy:
    """Holds a host to the partition, and keeps sums out that have no part in it.

    A sum over some of my part, on data that hardly changes, would give the others away by its difference.
    `host` is that of the group that I am in, empty where I am in none; `expected` the part of its epoch that
    I am in, sorted, None where I am in none.
    """

    name: ClassVar[str] = "group"
    reason: ClassVar[str] = (
        "In a group you are only ever added up with the same part of it; in two overlapping sums your part "
        "could be worked out."
    )

    me: str
    expected: tuple[PublicIdentity, ...] | None
    host: str

    def check(self, proposal: Proposal) -> None:
        """Raise `roster-invalid` or `sharing-off`."""
        if proposal.aggregator == self.host:
            if proposal.roster != self.expected or self.me not in proposal.hosts:
                raise Refusal(
                    Code.ROSTER_INVALID,
                    "the roster is not the part of the group's epoch that this instance is in",
                    proposal.aggregator,
                )
        elif proposal.aggregator in proposal.hosts:
            raise Refusal(
                Code.ROSTER_INVALID,
                "only the host of this instance's group may be in the roster of its own sum",
                proposal.aggregator,
            )
        elif self.host:
            raise Refusal(
                Code.SHARING_OFF,
                f"this instance is in the group of {self.host} and gives to nobody else; its admin can leave",
            )
