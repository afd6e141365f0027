"""In a group a member is only added up with its own sub-cohort."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from federation.errors import Code, Refusal
from federation.identity import PublicIdentity
from federation.proposal import Proposal


@dataclass(frozen=True)
class GroupPolicy:
    """Holds a host to the division into sub-cohorts, and refuses sums outside the group.

    The difference between a sum over a sub-cohort and one over most of it would show the members left out.

    Attributes:
        me: this instance.
        expected: its sub-cohort in the group's present epoch, sorted; None where it has none.
        host: the host of its group; empty where it is in none.

    """

    name: ClassVar[str] = "group"
    reason: ClassVar[str] = (
        "In a group you are always added up with the same sub-cohort; from two overlapping sums your "
        "contribution could be worked out."
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
                    "the roster is not this instance's sub-cohort of the group's present epoch",
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
                f"this instance is in the group of {self.host} and contributes to nobody else; its admin can "
                "leave the group",
            )
