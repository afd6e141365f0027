"""`shoal privacy`: what outsiders could learn of this instance's viewers, and what a level would change."""

from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from daemon.cli.terminal import (
    DEFAULT_CONFIG,
    ConfigOption,
    Output,
    OutputOption,
    progress_bar,
    result,
)
from daemon.errors import RequestError

if TYPE_CHECKING:
    from pathlib import Path

    from daemon.config import Config
    from daemon.disclosure.privacy_plan import LevelPlan


class LevelName(StrEnum):
    """The names of `policies.privacy.Level`, which takes longer to import than help may take."""

    NONE = "none"
    DEFAULT = "default"
    STRICT = "strict"
    USER_LEVEL = "user-level"


app = typer.Typer(help="What leaves, what it tells others, what a level costs.", no_args_is_help=True)


@app.command("show")
def show_(config: ConfigOption = DEFAULT_CONFIG, *, output: OutputOption = Output.HUMAN) -> None:
    """Show what somebody outside could and could not learn about your viewers today."""
    import time

    from daemon.cli import privacy_view
    from daemon.config import load
    from daemon.disclosure.privacy_report import gather
    from daemon.store.engine import open_checked

    settings = load(config)
    report = gather(settings, open_checked(settings.database), time.time())
    result(output, report.as_json(), lambda: privacy_view.show(report))


@app.command("plan")
def plan_(
    config: ConfigOption = DEFAULT_CONFIG,
    *,
    level: Annotated[
        LevelName | None, typer.Option(help="The level to look at; unset keeps the present one.")
    ] = None,
    window: Annotated[
        str | None, typer.Option(metavar="TIME", help='Length of a data window, such as "7d" or "12h".')
    ] = None,
    aggregators: Annotated[
        int | None,
        typer.Option(
            min=1, max=1000, help="Instances that take sums; unset: the approved peers, in a group its host."
        ),
    ] = None,
    members: Annotated[
        int | None,
        typer.Option(min=1, max=1000, help="Members of one sum; unset: the approved peers, or the group."),
    ] = None,
    measure: Annotated[
        bool, typer.Option("--measure", help="Try it on your own viewers; takes minutes, nothing leaves.")
    ] = False,
    output: OutputOption = Output.HUMAN,
) -> None:
    """Show what a level would protect and cost here, beside the present one; changes nothing."""
    from daemon.cli import privacy_plan_view
    from daemon.config import load
    from daemon.disclosure import privacy_plan
    from daemon.store.engine import open_checked
    from policies.privacy import Level

    settings = load(config)
    present = Level(settings.privacy.level)
    wanted, length = Level(level or present), _length(settings, window)
    store = open_checked(settings.database)
    cohort, known = privacy_plan.planned_cohort(settings, store, members=members, aggregators=aggregators)
    now = privacy_plan.plan_level(settings, present, settings.privacy.window, cohort)
    then = privacy_plan.plan_level(settings, wanted, length, cohort)
    offer = privacy_plan.offer(settings, store, wanted)
    sets = privacy_plan.measured_quality()
    found: dict[str, object] = {
        "now": now.as_json(),
        "plan": then.as_json(),
        "offered": offer.offered,
        "audience": offer.audience,
        "audience_needed": offer.needed,
        "quality": sets,
    }
    own = _measured(config, settings, now, then) if measure else None
    if own is not None:
        found["measured"] = own
    result(
        output, found, lambda: privacy_plan_view.show(settings, (now, then), offer, sets, own, peers=known)
    )


def _length(settings: "Config", text: str | None) -> timedelta:
    """Read a length of time as the configuration does."""
    from pydantic import TypeAdapter, ValidationError

    from daemon.config.types import Duration

    if text is None:
        return settings.privacy.window
    try:
        found = TypeAdapter(Duration).validate_python(text)
    except ValidationError:
        found = timedelta(0)
    if not timedelta(seconds=1) <= found <= timedelta(days=365):
        raise RequestError(f'"{text}" is no length of a window', advice='Write it like "7d" or "12h".')
    return found


def _measured(
    config_file: "Path", settings: "Config", now: "LevelPlan", then: "LevelPlan"
) -> dict[str, object]:
    """Train without noise, as now and as planned; NDCG@10 of each by name."""
    from daemon.lab.measure import SumSettings, measured

    tried = {
        "none": SumSettings(0.0, 0.0, settings.sharing.max_videos_per_user),
        "now": SumSettings(*now.realised, now.limit),
        "plan": SumSettings(*then.realised, then.limit),
    }
    distinct = list(dict.fromkeys(tried.values()))
    limit = settings.limits.job_time.total_seconds()
    with progress_bar("trying it on your own viewers") as progress:
        viewers, values = measured(
            config_file, distinct, now.cohort.members, time_limit=limit, progress=progress
        )
    found = dict(zip(distinct, values, strict=True))
    return {"viewers": viewers, "ndcg10": {name: found[one] for name, one in tried.items()}}
