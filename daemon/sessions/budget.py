"""What was released within a year, as the accounting sees it; contributing stops when a budget is spent."""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta

from sqlalchemy import Engine

from daemon.config import Config
from daemon.jobs.registry import JobContext
from daemon.store import releases
from daemon.store.releases import ReleaseRecord
from federation.errors import Code, Refusal
from federation.proposal import Proposal
from policies.accounting import YEAR, Relation, Release, would_exceed


def past_year(engine: Engine, now: float, *, window: str = "") -> list[Release]:
    """Return one release per data window of the last 365 days; the window of that name is left out."""
    windows: dict[str, dict[int, ReleaseRecord]] = defaultdict(dict)
    for record in releases.since(engine, now - YEAR):
        if record.window != window:
            windows[record.window][record.round] = record
    return [_release(rounds) for rounds in windows.values()]


def budgets(config: Config) -> dict[Relation, float]:
    """Return the admin's limits; a relation without one is not in it."""
    settings = config.privacy
    limits = {
        Relation.PAIR: settings.yearly_budget_pair,
        Relation.VIEW: settings.yearly_budget_view,
        Relation.USER: settings.yearly_budget_user,
    }
    return {relation: limit for relation, limit in limits.items() if limit}


def require(context: JobContext, proposal: Proposal) -> None:
    """Check that the budgets have room for both sums of a session, before the first of them is answered.

    Raises:
        Refusal: `budget-spent`.

    """
    limits = budgets(context.config)
    if proposal.round > 0 or not limits:
        # Pairs were paid for together with the counts that they follow.
        return
    terms = proposal.parameters
    new = Release(
        terms["counts_noise"], terms["pairs_noise"], terms["max_videos_per_user"], terms["max_head"]
    )
    over = would_exceed(limits, past_year(context.engine, context.clock()), new)
    if over:
        raise Refusal(
            Code.BUDGET_SPENT,
            f"the yearly privacy budget of this instance is spent ({', '.join(over)}); its admin sees the "
            "numbers with `shoal privacy show`",
        )


def _release(rounds: dict[int, ReleaseRecord]) -> Release:
    counts, pairs = rounds.get(0), rounds.get(1)
    known = pairs or counts
    if known is None:
        raise ValueError("a window without a round is none")
    return Release(
        counts_noise=(counts or known).noise,
        pairs_noise=known.noise,
        max_videos_per_user=known.max_videos_per_user,
        head=known.videos,
        with_pairs=pairs is not None,
    )


def yearly(window: timedelta, aggregators: int) -> int:
    """Return how many windows a year has, for that many aggregators together."""
    return max(1, round(YEAR / window.total_seconds())) * aggregators
