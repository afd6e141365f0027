"""Whether a cohort is large enough and enough of its members are approved here, and how it is divided."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from federation.errors import Code, Refusal
from federation.limits import Limits
from federation.proposal import Proposal, least_threshold
from policies.allowlist import Allowlist

LEAST_COHORT = 3
"""No setting goes below: of two members, each can subtract its own vector and has the other's."""

_FEW_SUB_COHORTS = 3
"""At least, where the members suffice: when one is taken out, two thirds are left."""
_MOST_SUB_COHORTS = Limits().max_sub_cohorts


def sub_cohorts_for(members: int, *, divided_from: int, least: int, size: int) -> int:
    """Return into how many sub-cohorts a cohort of this many members is divided, at most 16.

    None has fewer than `least` members, which comes first: eight members in three sub-cohorts would be two
    or three in each, and of two members each has the other's vector. So `divided_from` members are in two
    sub-cohorts if there cannot be three, and from 3 `least` on in three. More only where one would otherwise
    have more than `size` members, since each carries the noise of a whole sum.
    """
    if members < divided_from:
        return 1
    wanted = max(_FEW_SUB_COHORTS, math.ceil(members / size))
    return max(1, min(wanted, members // least, _MOST_SUB_COHORTS))


def strangers(proposal: Proposal, me: str, allowlist: Allowlist) -> int:
    """Return how many might work together: the aggregator and every member that nothing vouches for.

    Those are the members that `me` did not approve, and those that it approved on an introducer's word alone:
    whoever introduces can make up as many as it likes.

    Raises:
        Refusal: `key-mismatch`.

    """
    known = sum(member.host == me or allowlist.vouched_for(member) for member in proposal.roster)
    return 1 + len(proposal.roster) - known


def needed_threshold(members: int, unknown: int) -> int:
    """Return the least threshold of so many members that outvotes `unknown` who might work together.

    It is more than there are members where the strangers are too many for any.
    """
    return max(least_threshold(members), (members + unknown) // 2 + 1)


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
                "approve more of them, by their words where they were only introduced, or ask for a larger "
                "cohort",
            )
        if proposal.threshold < needed_threshold(members, unknown):
            raise Refusal(
                Code.THRESHOLD_TOO_LOW,
                f"the threshold {proposal.threshold} is too low for {members} members of whom "
                f"{unknown - 1} are strangers here, or were only introduced; approve them by their words, or "
                "ask for a higher threshold",
            )
