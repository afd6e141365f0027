"""Stops contributing when the admin's yearly budget of privacy is spent."""

from __future__ import annotations

from daemon.jobs.registry import JobContext
from federation.proposal import Proposal


def require(context: JobContext, proposal: Proposal) -> None:
    """Raise `Refusal` (`budget-spent`)."""
