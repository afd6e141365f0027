"""What an instance has given to whom, as far as a member has to ask: it outlives a sum, and may end one."""

from __future__ import annotations

from typing import Protocol

from federation.envelope import Stage
from federation.proposal import Proposal


class Contributions(Protocol):
    """The record of what was given; kept by the caller, who knows the data behind it."""

    def check(self, sum_id: bytes, proposal: Proposal, stage: Stage) -> None:
        """Take note of a request; raise `Refusal` when what was given must not be used any more.

        From the answer to `Stage.SURVIVORS` on, others can open the sum without this instance.
        """

    def release(self, proposal: Proposal, survivors: tuple[str, ...]) -> None:
        """Note, durably, that a sum over these survivors is about to be opened; raise `Refusal` to forbid it.

        Called again for the same sum after a crash.
        """


class Unlimited:
    """No record: everything that the protocol allows may be given again."""

    def check(self, sum_id: bytes, proposal: Proposal, stage: Stage) -> None:
        """Allow."""

    def release(self, proposal: Proposal, survivors: tuple[str, ...]) -> None:
        """Allow."""
