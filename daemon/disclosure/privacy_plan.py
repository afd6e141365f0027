"""What a privacy level would mean here, before switching to it: noise, limits, cost, quality."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
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
from models.weights import UNIT
from policies.accounting import releases_within
from policies.neighbour_relations import Relation, Release
from policies.privacy import PROTECTION, Level, head_minimum
from policies.window_length import releases_in

FEWEST_MEMBERS = 3
MEASURED = Path(__file__).with_name("measured")
"""What recommendations are worth at each level on public data sets, for five members, all alive: one file per
set, as `make privacy` writes it with --json."""


@dataclass(frozen=True)
class PlannedCohort:
    """Who takes part: members of one sum, and aggregators that each take one sum per window.

    `colluders` are those that the noise is chosen for; `group` is the name of the one whose sum it is.
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
    """One level and longest window, in numbers.

    Noise is a variance in viewers squared: `declared` what a sum carries at least, `realised` what it carries
    with everybody alive. `windows` is how many an aggregator gets in this instance's first year as a
    contributor, which the costs of a year are for; `later_windows` in a later one; `most_windows` in the
    first, when it asks as soon as it can. `everybody` is all aggregators and our own release. For the budget
    of a pair to last, windows become longer by `stretch`, and only `admitted` aggregators get any.
    """

    level: Level
    window: timedelta
    cohort: PlannedCohort
    declared: tuple[int, int]
    realised: tuple[float, float]
    limit: int
    head_minimum: int
    windows: int
    later_windows: int
    most_windows: int
    one_sum: Costs
    one_aggregator: Costs
    everybody: Costs
    until_spent: Mapping[Relation, int]
    budget_pair: float | None
    stretch: float
    admitted: int
    least_audience: int

    def as_json(self) -> dict[str, Any]:
        """Return plain values; of noise, the standard deviations."""
        return {
            "level": self.level.value,
            "window_max_days": round(self.window.total_seconds() / 86400, 3),
            "members": self.cohort.members,
            "aggregators": self.cohort.aggregators,
            "counts_noise_declared": round(deviation(self.declared[0]), 4),
            "counts_noise_realised": round(deviation(self.realised[0]), 4),
            "pairs_noise_declared": round(deviation(self.declared[1]), 4),
            "pairs_noise_realised": round(deviation(self.realised[1]), 4),
            "max_videos_per_user": self.limit,
            "head_minimum": self.head_minimum,
            "windows_in_first_year": self.windows,
            "windows_in_later_year": self.later_windows,
            "most_windows_in_first_year": self.most_windows,
            "one_sum": costs_as_json(self.one_sum),
            "year_of_one_aggregator": costs_as_json(self.one_aggregator),
            "year_of_all": costs_as_json(self.everybody),
            "windows_until_budget_is_spent": {r.value: n for r, n in self.until_spent.items()},
            "windows_stretched_by": round(self.stretch, 2),
            "aggregators_within_budget": self.admitted,
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
    release = planned_release(config, level)
    windows = yearly_budget.yearly(window, 1)
    budgets = yearly_budget.budgets(config, level)
    budget = budgets.get(Relation.PAIR)
    admitted, stretch = cohort.aggregators, 1.0
    if budget is not None:
        streams, stretch = yearly_budget.planned(budget, release, window, cohort.aggregators + 1)
        admitted = streams - 1
    return LevelPlan(
        level=level,
        window=window,
        cohort=cohort,
        declared=(asked.counts_noise, asked.pairs_noise),
        realised=(float(members * shares[0]), float(members * shares[1])),
        limit=limit,
        head_minimum=head_minimum(config.sharing.min_users, asked.counts_noise),
        windows=windows,
        later_windows=yearly_budget.yearly(window, 1, later=True),
        most_windows=releases_in(365, window.total_seconds(), part=PARTS[0]),
        one_sum=costs([release]),
        one_aggregator=costs([release] * windows),
        everybody=costs(together(release, windows, cohort.aggregators)),
        until_spent={
            relation: releases_within(most, release, relation) for relation, most in budgets.items()
        },
        budget_pair=budget,
        stretch=stretch,
        admitted=admitted,
        least_audience=asked.least_audience,
    )


def planned_release(config: Config, level: Level) -> Release:
    """Return what one window gives at a level, with the other settings as they are."""
    asked = PROTECTION[level]
    limit = min(config.sharing.max_videos_per_user, asked.max_videos_per_user)
    return Release(asked.counts_noise, asked.pairs_noise, limit, config.model.max_head)


def together(release: Release, windows: int, aggregators: int) -> list[Release]:
    """Return what all aggregators are given in so many windows each, and what our own release tells."""
    return [release] * (windows * aggregators) + [replace(release, viewers=True)] * windows


def offer(config: Config, engine: Engine, level: Level) -> Offer:
    """Compare what a level needs with the newest stored sum, whose counts carry noise themselves."""
    needed = PROTECTION[level].least_audience
    if not needed:
        return Offer(offered=True, audience=None, needed=0)
    stored = sums.newest(engine, config.sums_dir)
    if stored is None or not stored.counts.size:
        return Offer(offered=False, audience=None, needed=needed)
    audience = int(stored.counts.max()) // UNIT
    return Offer(offered=audience >= needed, audience=audience, needed=needed)


def measured_quality(folder: Path = MEASURED) -> list[dict[str, Any]]:
    """Return the name and the NDCG@10 of next videos by level of each public data set that was measured."""
    found = []
    for file in sorted(folder.glob("*.json")):
        content = json.loads(file.read_text("utf-8"))
        values = {
            level: one["next_videos"]
            for level, one in content["ndcg10"].items()
            if one["next_videos"] is not None
        }
        found.append({"name": content["data"], "ndcg10": values})
    return found
