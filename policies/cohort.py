"""Whether the cohort is large enough, and enough of its members are approved by this instance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from federation.errors import Code, Refusal
from federation.proposal import Proposal
from policies.allowlist import Allowlist

LEAST_COHORT = 3
"""No setting goes below: of two members, each can subtract its own vector and has the other's."""


def strangers(proposal: Proposal, me: str, allowlist: Allowlist) -> int:
    """Return how many might work together: the aggregator and every member that `me` did not approve.

    Raises:
        Refusal: `key-mismatch`.

    """
    known = sum(member.host == me or allowlist.approves(member) for member in proposal.roster)
    return 1 + len(proposal.roster) - known


@dataclass(frozen=True)
class CohortPolicy:
    """Requires enough approved members, this instance among them, and a threshold that outvotes strangers.

    The aggregator and all strangers in the roster might work together. They could get two sets of survivors
    confirmed at once unless 2t > n + c (docs/decisions/0004-threshold.md).
    """

    name: ClassVar[str] = "cohort"
    reason: ClassVar[str] = (
        "In a small sum, or with strangers who may work together, your contribution could be worked out."
    )

    me: str
    allowlist: Allowlist
    min_cohort: int = 4

    def __post_init__(self) -> None:
        """Refuse a configuration below the floor. Raises: ValueError."""
        if self.min_cohort < LEAST_COHORT:
            raise ValueError(f"min_cohort is at least {LEAST_COHORT}")

    def check(self, proposal: Proposal) -> None:
        """Raise `cohort-too-small`, `threshold-too-low` or `key-mismatch`."""
        unknown = strangers(proposal, self.me, self.allowlist)
        members = len(proposal.roster)
        # A group's host is a member of its own sum, but no protection against itself.
        approved = members - (unknown - 1) - proposal.of_group
        if approved < self.min_cohort:
            raise Refusal(
                Code.COHORT_TOO_SMALL,
                f"{approved} of the {members} members are approved "
                f"here{', the host not counted' if proposal.of_group else ''}, {self.min_cohort} are needed; "
                "approve more of them or ask for a larger cohort",
            )
        if 2 * proposal.threshold <= members + unknown:
            raise Refusal(
                Code.THRESHOLD_TOO_LOW,
                f"the threshold {proposal.threshold} is too low for {members} members of whom "
                f"{unknown - 1} are strangers here; approve them or ask for a higher threshold",
            )
