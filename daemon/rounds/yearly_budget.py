"""What was released within a year, as the accounting sees it, and what a budget for it still allows.

For pairs there is a budget by default. When it gets near, windows lengthen first, then the newest aggregators
get nothing (`policies.budget_pace`); when one is spent, nothing more is contributed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from math import isfinite

from filelock import FileLock
from sqlalchemy import Engine

from daemon.config import Config
from daemon.process.job_context import JobContext
from daemon.rounds.data_windows import PARTS, DataWindows, StoredWindow
from daemon.store import releases
from daemon.store.releases import OWN, ReleaseRecord
from federation.errors import Code, Refusal
from federation.proposal import Proposal
from policies.accounting import releases_within, would_exceed
from policies.budget_pace import YearlyBudget
from policies.neighbour_relations import YEAR, Relation, Release
from policies.privacy import Level, noise_of
from policies.window_length import releases_in

NAME = "budget"
REASON = "Noise averages out over many sums: what a year of them tells stays under the limit you set."
_DAY = 24 * 3600.0


def past_year(engine: Engine, now: float) -> list[Release]:
    """Return one release per data window of the last 365 days."""
    return [release_of(record) for record in releases.since(engine, now - YEAR)]


def budgets(config: Config, level: Level | None = None) -> dict[Relation, float]:
    """Return the admin's limits, at the present level or another; a relation without one is not in it.

    At level "none" there are none: real viewers are not in such sums, and without noise every limit is spent.
    """
    settings = config.privacy
    if (level or Level(settings.level)) is Level.NONE:
        return {}
    limits = {
        Relation.PAIR: settings.yearly_budget_pair,
        Relation.VIEW: settings.yearly_budget_view,
        Relation.USER: settings.yearly_budget_user,
    }
    return {relation: limit for relation, limit in limits.items() if limit}


def turn(config: Config) -> AbstractContextManager[object]:
    """Hold this while a budget is looked at and spent: of two at once, one must see what the other took."""
    return FileLock(config.windows_dir / "budget.lock") if budgets(config) else nullcontext()


def of_proposal(proposal: Proposal) -> Release:
    """Return what a contribution to a proposed round would release."""
    terms, (counts, pairs) = proposal.parameters, proposal.segments
    return Release(noise_of(counts), noise_of(pairs), terms["max_videos_per_user"], terms["head"])


@dataclass(frozen=True)
class Pace:
    """Who goes on when the budget for pairs gets near.

    Attributes:
        stretch: how much longer a window is that opens now than without the budget, at least 1.
        admitted: the streams that go on, by the name of their aggregator; our own release, then the oldest.
        refused: the newest ones, whose releases the others need.
    """

    stretch: float = 1.0
    admitted: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()


def pace(
    config: Config,
    engine: Engine,
    now: float,
    window_of: Callable[[str], StoredWindow | None],
    new: tuple[str, Release] | None = None,
) -> Pace:
    """Return the pace at which the budget for pairs lasts, with who asks now, and for what, as one stream.

    `window_of` reads an aggregator's window.
    """
    known = releases.since(engine, 0.0)
    streams = _streams(config, known, now, window_of)
    if new is not None:
        streams[new[0]] = new[1]
    hosts = sorted(streams, key=lambda host: host != OWN)
    limit = budgets(config).get(Relation.PAIR)
    loads = [streams[host].load(Relation.PAIR) for host in hosts]
    spent = tuple(
        ((one.at + YEAR - now) / _DAY, release_of(one).load(Relation.PAIR))
        for one in known
        if one.at >= now - YEAR
    )
    most = max(loads, default=0.0)
    # Without noise no length is enough.
    if limit is None or not most or not all(map(isfinite, (most, *(load for _, load in spent)))):
        return Pace(admitted=tuple(hosts))
    release = streams[hosts[loads.index(most)]]
    budget = YearlyBudget(
        load=releases_within(limit, release, Relation.PAIR) * most,
        spent=spent,
        age_seconds=now - known[0].at if known else 0.0,
        window_max_seconds=config.privacy.window_max.total_seconds(),
        part=PARTS[0],
    )
    number, stretch = budget.admitted(loads)
    return Pace(stretch, tuple(hosts[:number]), tuple(hosts[number:]))


def planned(limit: float, release: Release, window_max: timedelta, streams: int) -> tuple[int, float]:
    """Return how many of so many streams a budget has room for, and how much longer their windows are.

    `limit` is that for a pair; the year is the first of a contributor.
    """
    load = release.load(Relation.PAIR)
    room = releases_within(limit, release, Relation.PAIR) * load
    return YearlyBudget(room, (), 0.0, window_max.total_seconds(), PARTS[0]).admitted([load] * streams)


def _streams(
    config: Config,
    known: Sequence[ReleaseRecord],
    now: float,
    window_of: Callable[[str], StoredWindow | None],
) -> dict[str, Release]:
    """Return the newest release of each aggregator that goes on asking, by the first one on record.

    Whoever did not come back within the longest window after its last one was over has stopped.
    """
    longest = config.privacy.window_max.total_seconds()
    streams = {}
    for host, newest in {one.aggregator: one for one in known if one.numbers}.items():
        window = window_of(host)
        ends = newest.at if window is None else window.window.ends
        if now < ends + longest:
            streams[host] = release_of(newest)
    return streams


def stretch(context: JobContext, new: Release, aggregator: str, windows: DataWindows) -> Callable[[], float]:
    """Return what tells how much longer than usual a window is that opens now."""
    return lambda: (
        pace(context.config, context.engine, context.clock(), windows.read, (aggregator, new)).stretch
    )


def require(context: JobContext, new: Release, aggregator: str, windows: DataWindows) -> None:
    """Check that the budgets have room for one more release to an aggregator, before anything is counted.

    What is frozen and may still leave counts as if it were on record already.

    Raises:
        Refusal: `budget-spent`.

    """
    limits = budgets(context.config)
    if not limits:
        return
    now = context.clock()
    known = {record.window: release_of(record) for record in releases.since(context.engine, now - YEAR)}
    # What is frozen for this very aggregator is what would be given now, and takes no second place.
    waiting = {kept.id for kept in windows.waiting(but=aggregator)} - known.keys()
    over = would_exceed(limits, [*known.values(), *[new] * len(waiting)], new)
    if over:
        raise Refusal(
            Code.BUDGET_SPENT,
            f"the yearly privacy budget of this instance is spent ({', '.join(over)}); its admin sees the "
            "numbers with `shoal privacy show`",
        )
    if aggregator in pace(context.config, context.engine, now, windows.read, (aggregator, new)).refused:
        raise Refusal(
            Code.BUDGET_SPENT,
            "the yearly privacy budget of this instance has room only for the aggregators that it gave to "
            "before; its admin sees the numbers with `shoal privacy show`",
        )


def release_of(record: ReleaseRecord) -> Release:
    """Return what the accounting counts for a release on record."""
    return Release(
        record.counts_noise,
        record.pairs_noise,
        record.max_videos_per_user,
        record.head,
        record.viewers,
        record.decision,
    )


def yearly(window_max: timedelta, aggregators: int, *, later: bool = False) -> int:
    """Return how many windows the first year of a contributor has, or a later one, for all aggregators."""
    age = YEAR if later else 0.0
    return releases_in(365, window_max.total_seconds(), age_seconds=age) * aggregators
