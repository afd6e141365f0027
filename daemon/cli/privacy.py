"""`shoal privacy`: what outsiders could learn of this instance's viewers, and what a level would change."""

import time
from datetime import timedelta
from typing import Annotated

import typer

from daemon.cli import privacy_view
from daemon.cli.command import Commands
from daemon.cli.instance import HERE, Instance, InstanceOption
from daemon.cli.terminal import PROGRESS_SECONDS, out, progress_bar, prose, result
from daemon.config.types import parse_duration
from daemon.disclosure import privacy_plan, waiting, window_costs
from daemon.disclosure.privacy_report import gather
from daemon.errors import RequestError
from policies.privacy import Level

app = Commands()

_SHORTEST, _LONGEST = timedelta(seconds=1), timedelta(days=365)


@app.command()
def show(instance: InstanceOption = HERE) -> None:
    """Show what others could and could not learn about your viewers today."""
    report = gather(instance.config, instance.store, time.time())
    missing = waiting.gather(instance.config, instance.store, time.time())

    def show() -> None:
        privacy_view.show_report(report)
        out.print()
        prose(missing.english)

    result({**report.as_json(), "waiting": missing}, show)


@app.command()
def plan(
    instance: InstanceOption = HERE,
    *,
    level: Annotated[
        Level | None, typer.Option(help="Level to compare; without it, the present one.")
    ] = None,
    window: Annotated[
        str | None, typer.Option(metavar="TIME", help='Longest data window, such as "28d" or "12h".')
    ] = None,
    aggregators: Annotated[
        int | None,
        typer.Option(
            min=1, max=1000, help="Instances that take sums; without it, the approved peers or the host."
        ),
    ] = None,
    members: Annotated[
        int | None,
        typer.Option(
            min=1, max=1000, help="Members of one sum; without it, the approved peers or the group."
        ),
    ] = None,
    measure: Annotated[
        bool, typer.Option("--measure", help="Train on your own viewers: takes minutes, nothing leaves.")
    ] = False,
) -> None:
    """Compare a privacy level with the present one. Nothing is changed."""
    length = None if window is None else _length(window)
    config, store = instance.config, instance.store
    present = Level(config.privacy.level)
    cohort, known = privacy_plan.planned_cohort(config, store, members=members, aggregators=aggregators)
    now = privacy_plan.plan_level(config, present, config.privacy.window_max, cohort)
    then = privacy_plan.plan_level(config, level or present, length or config.privacy.window_max, cohort)
    offer = privacy_plan.offer(config, store, level or present)
    sets = privacy_plan.measured_quality()
    release = privacy_plan.planned_release(config, level or present)
    lengths = window_costs.gather(config, store, release, cohort.aggregators)
    found: dict[str, object] = {
        "now": now.as_json(),
        "plan": then.as_json(),
        "offered": offer.offered,
        "audience": offer.audience,
        "audience_needed": offer.needed,
        "quality": sets,
        "windows": lengths.as_json(),
    }
    own = _measured(instance, now, then) if measure else None
    if own is not None:
        found["measured"] = own

    def show() -> None:
        privacy_view.show_plan(config, (now, then), offer, sets, own, peers=known)
        privacy_view.show_windows(lengths)

    result(found, show)


def _length(text: str) -> timedelta:
    """Read a length of time as the configuration does."""
    try:
        found = parse_duration(text)
    except ValueError:
        found = None
    if not isinstance(found, timedelta) or not _SHORTEST <= found <= _LONGEST:
        raise RequestError(f'"{text}" is not a length of a window', advice='Write it like "7d" or "12h".')
    return found


def _measured(
    instance: Instance, now: privacy_plan.LevelPlan, then: privacy_plan.LevelPlan
) -> dict[str, object]:
    """Train without noise, as now and as planned; NDCG@10 of each by name."""
    # Loads PyTorch.
    from daemon.lab.measure import SumSettings, measured

    config = instance.config
    tried = {
        "none": SumSettings(0.0, 0.0, 0.0, 0.0, config.sharing.max_videos_per_user),
        "now": SumSettings(*now.realised, *now.declared, now.limit),
        "plan": SumSettings(*then.realised, *then.declared, then.limit),
    }
    distinct = list(dict.fromkeys(tried.values()))
    limit = config.limits.job_time.total_seconds()
    with progress_bar("training on your own viewers", every=PROGRESS_SECONDS) as progress:
        viewers, values = measured(
            instance.config_file, distinct, now.cohort.members, time_limit=limit, progress=progress
        )
    found = dict(zip(distinct, values, strict=True))
    return {"viewers": viewers, "ndcg10": {name: found[one] for name, one in tried.items()}}
