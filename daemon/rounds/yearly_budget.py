"""What was released within a year, as the accounting sees it; contributing stops when a budget is spent."""

from __future__ import annotations

from collections import defaultdict
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta

from filelock import FileLock
from sqlalchemy import Engine

from daemon.config import Config
from daemon.process.job_context import JobContext
from daemon.rounds.data_windows import DataWindows
from daemon.store import releases
from daemon.store.releases import ReleaseRecord
from federation.errors import Code, Refusal
from federation.proposal import Proposal
from policies.accounting import would_exceed
from policies.neighbour_relations import YEAR, Relation, Release

NAME = "budget"
REASON = "Noise averages out over many sums: what a year of them tells stays under the limit you set."


def past_year(engine: Engine, now: float) -> list[Release]:
    """Return one release per data window of the last 365 days."""
    return [release_of(rounds) for rounds in _windows(engine, now).values()]


def _windows(engine: Engine, now: float) -> dict[str, dict[int, ReleaseRecord]]:
    windows: dict[str, dict[int, ReleaseRecord]] = defaultdict(dict)
    for record in releases.since(engine, now - YEAR):
        windows[record.window][record.round] = record
    return windows


def budgets(config: Config) -> dict[Relation, float]:
    """Return the admin's limits; a relation without one is not in it."""
    settings = config.privacy
    limits = {
        Relation.PAIR: settings.yearly_budget_pair,
        Relation.VIEW: settings.yearly_budget_view,
        Relation.USER: settings.yearly_budget_user,
    }
    return {relation: limit for relation, limit in limits.items() if limit}


def turn(config: Config) -> AbstractContextManager[object]:
    """Hold this while a budget is looked at and spent: of two at once, one must see what the other took."""
    return FileLock(config.windows_dir / "budget.lock") if budgets(config) else nullcontext()


def require(context: JobContext, proposal: Proposal, windows: DataWindows) -> None:
    """Check that the budgets have room for both sums of a session, before the first of them is answered.

    What was given and may still be opened counts as if it were on record already, with its pairs.

    Raises:
        Refusal: `budget-spent`.

    """
    limits = budgets(context.config)
    if proposal.round > 0 or not limits:
        # Pairs were paid for together with the counts that they follow.
        return
    terms, now = proposal.parameters, context.clock()
    new = Release(
        terms["counts_noise"], terms["pairs_noise"], terms["max_videos_per_user"], terms["max_head"]
    )
    known = _windows(context.engine, now)
    waiting = {kept.id for kept in windows.all() if kept.window.given}
    finished = [
        release_of(rounds) for name, rounds in known.items() if name not in waiting or len(rounds) > 1
    ]
    pending = len(waiting - {name for name, rounds in known.items() if len(rounds) > 1})
    over = would_exceed(limits, [*finished, *[new] * pending], new)
    if over:
        raise Refusal(
            Code.BUDGET_SPENT,
            f"the yearly privacy budget of this instance is spent ({', '.join(over)}); its admin sees the "
            "numbers with `shoal privacy show`",
        )


def release_of(rounds: dict[int, ReleaseRecord]) -> Release:
    """Return what the accounting counts for a data window, from its rounds on record."""
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
