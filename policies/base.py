"""What a policy is, and how several become one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

from federation.proposal import Proposal


class Policy(Protocol):
    """Allows a proposed sum by returning, refuses it by raising `Refusal`."""

    def check(self, proposal: Proposal) -> None:
        """Raise `Refusal` if this instance must not take part."""


class Rule(Policy, Protocol):
    """A policy that an admin is shown: its name, and one sentence on why there is such a rule."""

    name: ClassVar[str]
    reason: ClassVar[str]


@dataclass(frozen=True)
class AllOf:
    """Allows what every one of its rules allows; the first refusal stands."""

    policies: tuple[Rule, ...]

    def check(self, proposal: Proposal) -> None:
        """Raise the first refusal."""
        for policy in self.policies:
            policy.check(proposal)
