"""What a privacy level would mean here, before switching to it: noise, limits, cost, quality."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from math import isfinite
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from daemon.config import Config
from daemon.disclosure.cost import Costs, costs, costs_as_json, deviation
from daemon.disclosure.next_sum import next_sum
from daemon.errors import RequestError
from daemon.peers import repository
from daemon.rounds import round_config, yearly_budget
from daemon.rounds.data_windows import PARTS
from daemon.store import sums
from federation.noise import share_variance
from federation.proposal import least_threshold
from policies.accounting import epsilon
from policies.neighbour_relations import YEAR, Relation, Release
from policies.privacy import PROTECTION, Level, head_minimum

FEWEST_MEMBERS = 3
MEASURED = Path(__file__).with_name("measured")
"""What recommendations are worth at each level on public data sets, for five members, all alive: one file per
set, as `make privacy` writes it with --json."""


@dataclass(frozen=True)
class PlannedCohort:
    """Who takes part: members of one sum, and aggregators that each take one sum per window.

    `colluders` are those that the noise is laid out for; `group` is the name of the one whose sum it is.
    """

    members: int
    aggregators: int
    colluders: int = round_config.COLLUDERS
    group: str = ""

    def __post_init__(self) -> None:
        """Check that there can be a sum at all."""
        if self.members < FEWEST_MEMBERS:
            raise RequestError(
                f"a sum needs at least {FEWEST_MEMBERS} members besides its aggregator",
                advice=f"Give --members {FEWEST_MEMBERS} or more, or approve more peers.",
            )


@dataclass(frozen=True)
class LevelPlan:
    """One level and length of window, in numbers.

    Noise is a variance: `declared` what a sum carries at least, `realised` what it carries with everybody
    alive. `most_windows` is how many windows an aggregator gets in a year that asks as soon as it can.
    """

    level: Level
    window: timedelta
    cohort: PlannedCohort
    declared: tuple[int, int]
    realised: tuple[float, float]
    limit: int
    head_minimum: int
    windows: int
    most_windows: int
    one_sum: Costs
    one_aggregator: Costs
    everybody: Costs
    until_spent: Mapping[Relation, int]
    least_audience: int

    def as_json(self) -> dict[str, Any]:
        """Return plain values; of noise, the standard deviations."""
        return {
            "level": self.level.value,
            "window_days": round(self.window.total_seconds() / 86400, 3),
            "members": self.cohort.members,
            "aggregators": self.cohort.aggregators,
            "counts_noise_declared": round(deviation(self.declared[0]), 4),
            "counts_noise_realised": round(deviation(self.realised[0]), 4),
            "pairs_noise_declared": round(deviation(self.declared[1]), 4),
            "pairs_noise_realised": round(deviation(self.realised[1]), 4),
            "max_videos_per_user": self.limit,
            "head_minimum": self.head_minimum,
            "windows_per_year": self.windows,
            "most_windows_per_year": self.most_windows,
            "one_sum": costs_as_json(self.one_sum),
            "year_of_one_aggregator": costs_as_json(self.one_aggregator),
            "year_of_all": costs_as_json(self.everybody),
            "windows_until_budget_is_spent": {r.value: n for r, n in self.until_spent.items()},
        }


@dataclass(frozen=True)
class Offer:
    """Whether a level makes sense for the cohort: `audience` is that of the most watched video known of."""

    offered: bool
    audience: int | None
    needed: int


def planned_cohort(
    config: Config, engine: Engine, *, members: int | None = None, aggregators: int | None = None
) -> tuple[PlannedCohort, int]:
    """Return who takes part as things are, and how many peers of one sum are known; what is given goes first.

    Where there are too few, the smallest cohort that this instance would join stands for them. In a group one
    instance takes the sums, its host.
    """
    known = repository.read(engine, config)
    least = config.cohort.min_cohort
    planned = next_sum(config, engine, known)
    if planned.group:
        there = len(planned.roster)
        # Beside the host, which is in the roster.
        size = members or max(there, least + 1)
        return PlannedCohort(size, aggregators or 1, planned.colluders, planned.group), there - 1
    approved = len(known.approved())
    peers = max(approved, least)
    return PlannedCohort(members or peers, aggregators or approved or peers), approved


def plan_level(config: Config, level: Level, window: timedelta, cohort: PlannedCohort) -> LevelPlan:
    """Return the numbers of a level for a cohort, with the other settings as they are."""
    asked = PROTECTION[level]
    members, threshold = cohort.members, least_threshold(cohort.members)
    shares = [
        share_variance(noise, threshold, cohort.colluders)
        for noise in (asked.counts_noise, asked.pairs_noise)
    ]
    limit = min(config.sharing.max_videos_per_user, asked.max_videos_per_user)
    release = Release(asked.counts_noise, asked.pairs_noise, limit, config.model.max_head)
    windows = yearly_budget.yearly(window, 1)
    return LevelPlan(
        level=level,
        window=window,
        cohort=cohort,
        declared=(asked.counts_noise, asked.pairs_noise),
        realised=(float(members * shares[0]), float(members * shares[1])),
        limit=limit,
        head_minimum=head_minimum(config.sharing.min_users, asked.counts_noise),
        windows=windows,
        most_windows=max(windows, int(YEAR / (PARTS[0] * window.total_seconds())) + 1),
        one_sum=costs([release]),
        one_aggregator=costs([release] * windows),
        everybody=costs([release] * (windows * cohort.aggregators)),
        until_spent={
            relation: _until_spent(release, relation, most)
            for relation, most in yearly_budget.budgets(config).items()
        },
        least_audience=asked.least_audience,
    )


def offer(config: Config, engine: Engine, level: Level) -> Offer:
    """Compare what a level needs with the newest stored sum, whose counts carry noise themselves."""
    needed = PROTECTION[level].least_audience
    if not needed:
        return Offer(offered=True, audience=None, needed=0)
    stored = sums.newest(engine, config.sums_dir)
    if stored is None or not stored.counts.size:
        return Offer(offered=False, audience=None, needed=needed)
    audience = int(stored.counts.max())
    return Offer(offered=audience >= needed, audience=audience, needed=needed)


def measured_quality(folder: Path = MEASURED) -> list[dict[str, Any]]:
    """Return the name and the NDCG@10 by level of each public data set that was measured."""
    found = []
    for file in sorted(folder.glob("*.json")):
        content = json.loads(file.read_text("utf-8"))
        values = {level: value for level, value in content["ndcg10"].items() if isfinite(value)}
        found.append({"name": content["data"], "ndcg10": values})
    return found


def _until_spent(release: Release, relation: Relation, most: float) -> int:
    """Return how many such releases a budget allows."""

    def fits(number: int) -> bool:
        return epsilon([release] * number, relation) <= most

    high = 1
    while fits(high) and high < 100_000:
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low if fits(low) else 0
