"""Settings of privacy: how much noise, how often something is given, and when to stop."""

from datetime import timedelta
from typing import Literal

from pydantic import Field

from daemon.config.section import Section
from daemon.config.types import Duration


class Privacy(Section):
    """What a sum must keep to itself before own viewers are counted in it. See docs/privacy.md."""

    level: Literal["none", "default", "strict", "user-level"] = Field(
        default="default",
        description=(
            'Noise in every sum. "none" is unsafe with real viewers and refused for them; "default" hides '
            "single "
            'pairs; "strict" costs more quality; "user-level" hides whole histories and needs a very large '
            "cohort. What each costs: shoal privacy plan."
        ),
    )
    window: Duration = Field(
        default=timedelta(days=7),
        ge=timedelta(seconds=1),
        le=timedelta(days=365),
        description=(
            "How long an aggregator gets the same contribution, noise and all. Fresh noise more often could "
            "be averaged away."
        ),
    )
    min_changed_users: int = Field(
        default=5,
        ge=0,
        le=1_000_000,
        description=(
            "A new contribution is given only when at least so many viewers changed, so that a difference of "
            "two is not one person's doing."
        ),
    )
    min_video_age: Duration = Field(
        default=timedelta(days=7),
        ge=timedelta(0),
        le=timedelta(days=365),
        description=(
            "A video counts when it has been public and not blocked here for this long. A bait that somebody "
            "publishes to see who watches it has to wait as well."
        ),
    )
    yearly_budget_pair: float = Field(
        default=0.0,
        ge=0.0,
        description=(
            "Most privacy loss (epsilon at delta 1e-6) within a year, all aggregators together, for one pair "
            "of videos of one viewer; when it is spent, nothing more is contributed. 0 sets no limit."
        ),
    )
    yearly_budget_view: float = Field(
        default=0.0, ge=0.0, description="The same for one video in one viewer's history."
    )
    yearly_budget_user: float = Field(
        default=0.0, ge=0.0, description="The same for everything that one viewer watched."
    )
    allow_published_vectors: bool = Field(
        default=False,
        description=(
            "Whether a peer may publish vectors of videos, computed from a sum that own viewers are in, so "
            "that browsers can rank by themselves. Sums that ask for it are refused otherwise."
        ),
    )
    publish_vectors: bool = Field(
        default=False,
        description=(
            "Ask the peers to agree to it in own sums, and offer the vectors to the plugin. Peers that do "
            "not agree leave those sums."
        ),
    )
