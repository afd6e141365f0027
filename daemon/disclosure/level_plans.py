"""What each privacy level would cost here and what it is worth, side by side: the job "level-plans"."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from typing_extensions import TypedDict

from daemon.config.schema import PrivacyLevel
from daemon.disclosure import privacy_plan, window_costs
from daemon.disclosure.cost import deviation, number
from daemon.process.job_context import JobContext
from daemon.rounds import yearly_budget
from policies.accounting import epsilon
from policies.neighbour_relations import Relation
from policies.privacy import PROTECTION, Level

Epsilon = Annotated[
    "float | str", Field(description='At delta 1e-6, for one pair of videos of one viewer; or "infinite".')
]


class MeasuredQuality(TypedDict):
    """NDCG@10 of next videos on a public data set, and what it is without noise."""

    data: str
    value: float
    without_noise: float


class PlanOfLevel(TypedDict):
    """A level with this instance's other settings."""

    level: PrivacyLevel
    noise: Annotated[float, Field(description="Standard deviation in the number of viewers of a pair.")]
    epsilon_window: Epsilon
    epsilon_year: Annotated[Epsilon, Field(description="Of the first year, own release included.")]
    audience_needed: Annotated[int, Field(description="Viewers of the most watched video that it needs.")]
    offered: Annotated[bool, Field(description="Whether it makes sense for a cohort like this one.")]
    quality: list[MeasuredQuality]


class LevelPlans(TypedDict):
    """All levels, weakest first; for `aggregators` and sums of `members`."""

    aggregators: int
    members: int
    bytes_month: Annotated[int, Field(description="Sent to all of them, whatever the level.")]
    windows: Annotated[int, Field(description="Data windows of each in the first year.")]
    levels: list[PlanOfLevel]


def run(context: JobContext) -> LevelPlans:
    """Reckon them."""
    config, engine = context.config, context.engine
    cohort, _known = privacy_plan.planned_cohort(config, engine)
    window = config.privacy.window_max
    size = window_costs.bytes_a_month(config, engine, window) * cohort.aggregators
    measured = privacy_plan.measured_quality()

    windows = yearly_budget.yearly(window, 1)

    def plan(level: Level) -> PlanOfLevel:
        # Of a pair alone: for whole histories it takes seconds, and `shoal privacy plan` says it.
        release = privacy_plan.planned_release(config, level)
        together = privacy_plan.together(release, windows, cohort.aggregators)
        offer = privacy_plan.offer(config, engine, level)
        return {
            "level": level.value,
            "noise": round(deviation(PROTECTION[level].pairs_noise), 4),
            "epsilon_window": number(epsilon([release], Relation.PAIR)),
            "epsilon_year": number(epsilon(together, Relation.PAIR)),
            "audience_needed": offer.needed,
            "offered": offer.offered,
            "quality": [
                {
                    "data": one["name"],
                    "value": one["ndcg10"][level.value],
                    "without_noise": one["ndcg10"][Level.NONE.value],
                }
                for one in measured
                if {level.value, Level.NONE.value} <= one["ndcg10"].keys()
            ],
        }

    return {
        "aggregators": cohort.aggregators,
        "members": cohort.members,
        "bytes_month": round(size),
        "windows": windows,
        "levels": [plan(level) for level in Level],
    }
