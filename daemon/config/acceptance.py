"""Settings of acceptance: what a new sum must pass before viewers see anything of it."""

from pydantic import Field

from daemon.config.section import Section


class Acceptance(Section):
    """What a new sum must pass before viewers see anything of it; otherwise the model before stays."""

    confirm_first: bool = Field(
        default=True,
        description=(
            "The first model learnt with others waits until the admin has looked at it: shoal models accept."
        ),
    )
    quality_margin: float = Field(
        default=0.05,
        ge=0.0,
        le=1.0,
        description="By which part the quality on own held-out likes may be lower than with the own model.",
    )
    max_exposure_gain: float = Field(
        default=0.03,
        gt=0.0,
        le=1.0,
        description=(
            "A video, channel or instance may gain at most this share of top-10 lists over what the model "
            "before gave it. Honest newcomers move none by more than about 0.01, spam its targets by more."
        ),
    )
    warn_exposure_gain: float = Field(
        default=0.015, gt=0.0, le=1.0, description="From this gain on the admin is told, without a refusal."
    )
    profiles: int = Field(
        default=1_000,
        ge=100,
        le=100_000,
        description="Made-up viewers that the gains are measured on; fewer make them less certain.",
    )
