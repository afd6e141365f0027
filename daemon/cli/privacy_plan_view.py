"""The page of `shoal privacy plan`: two settings side by side."""

from collections.abc import Callable, Sequence
from typing import Any

from daemon.cli.prose import heading, paragraph
from daemon.cli.terminal import out, table
from daemon.config import Config
from daemon.disclosure import formatting
from daemon.disclosure.cost import Cost, Costs
from daemon.disclosure.formatting import NAMES, plural
from daemon.disclosure.privacy_plan import LevelPlan, Offer, PlannedCohort
from policies.accounting import Relation
from policies.privacy import Level

Pair = tuple[LevelPlan, LevelPlan]
Row = tuple[str, Callable[[LevelPlan], str]]


def show(
    config: Config,
    both: Pair,
    offer: Offer,
    sets: Sequence[dict[str, Any]],
    own: dict[str, Any] | None,
    *,
    peers: int,
) -> None:
    """Print what is set now, and what was asked about; `peers` are approved."""
    now, then = both
    heading(f"Level {then.level.value}, with windows of {formatting.span(then.window.total_seconds())}")
    paragraph(formatting.LEVELS[then.level])
    if not offer.offered:
        paragraph(f"NOT OFFERED HERE. {_too_small(then.level, offer)}")
    paragraph(f"{_who(now.cohort, peers)} Nothing is changed by this command.")
    if peers < config.cohort.min_cohort:
        whom = "other members" if now.cohort.group else "peers"
        paragraph(f"With fewer than {config.cohort.min_cohort} {whom} nothing is summed at all.")
    out.print()
    _side_by_side(both, _numbers(now))
    for title, costs in (
        ("Guesses after one sum (a coin is right in 50 of 100 cases)", lambda s: s.one_sum),
        ("After a year of one aggregator's sums", lambda s: s.one_aggregator),
        ("After a year, all aggregators together", lambda s: s.everybody),
    ):
        heading(title)
        _side_by_side(both, _costs(costs))
    out.print()
    for relation in Relation:
        paragraph(f"{NAMES[relation]}: {formatting.QUESTIONS[relation]}", hanging=2)
    paragraph(
        "Everything else is taken to be known: the worst case. ε (at delta 1e-6): under 1 is strong, over "
        f"10 weak. An aggregator that asks as soon as it may gets up to {then.most_windows:,} windows a year."
    )
    _quality(both, sets, own)


def _who(cohort: PlannedCohort, peers: int) -> str:
    members = plural(cohort.members, "member")
    if cohort.group and cohort.aggregators == 1:
        return f"For {members} in a sum of the group {cohort.group}, which its host takes once per window."
    return (
        f"For {members} in a sum, and {plural(cohort.aggregators, 'aggregator')} that each take a sum per "
        f"window; {plural(peers, 'peer')} approved now."
    )


def _numbers(now: LevelPlan) -> list[Row]:
    rows: list[Row] = [
        ("noise, everybody alive", lambda s: formatting.off(s.realised[1])),
        ("noise counted on, worst case", lambda s: formatting.off(s.declared[1])),
        ("videos that count, per viewer", lambda s: f"{s.limit}"),
        ("pairs of videos counted so often", lambda s: f"{s.head_minimum} times"),
        ("windows a year, per aggregator", lambda s: f"{s.windows:,}"),
    ]
    return rows + [(f"budget lasts, {NAMES[relation]}", _lasts(relation)) for relation in now.until_spent]


def _lasts(relation: Relation) -> Callable[[LevelPlan], str]:
    return lambda setting: plural(setting.until_spent[relation], "window")


def _costs(of: Callable[[LevelPlan], Costs]) -> list[Row]:
    def cell(relation: Relation) -> Callable[[LevelPlan], str]:
        return lambda setting: _cost(of(setting)[relation])

    return [(NAMES[relation], cell(relation)) for relation in Relation]


def _cost(cost: Cost) -> str:
    return f"{formatting.guesses(cost)}, ε {formatting.epsilon(cost.epsilon)}"


def _side_by_side(both: Pair, rows: Sequence[Row]) -> None:
    now, then = both
    shown = [("NOW", now)] if now == then else [("NOW", now), ("PLAN", then)]
    # As wide in each table, so that columns stand below one another.
    names = [f"{name}: {setting.level.value}".rjust(20) for name, setting in shown]
    table(
        [" " * 34, *names],
        [(f"  {name}", *(value(setting) for _, setting in shown)) for name, value in rows],
        right=names,
    )


def _too_small(level: Level, offer: Offer) -> str:
    need = (
        f'Level "{level.value}" adds so much noise that it makes sense only where the most watched video has '
        f"{offer.needed:,} viewers in the cohort. "
    )
    if offer.audience is None:
        return f"{need}How many it has here is not known: no sum is stored. Smaller cohorts would be refused."
    return (
        need + f"In the newest sum it has {offer.audience:,}, so pairs would be refused and nothing learnt."
    )


def _quality(both: Pair, sets: Sequence[dict[str, Any]], own: dict[str, Any] | None) -> None:
    heading("What recommendations are worth (NDCG@10, higher is better)")
    levels = list(dict.fromkeys((Level.NONE, *(setting.level for setting in both))))
    names = [level.value for level in levels]
    if sets:
        rows = [(f"  {one['name']}", *(_worth(one["ndcg10"], name) for name in names)) for one in sets]
        table(["  MEASURED ON", *names], rows, right=names)
    if own is not None:
        tried = ("none", "now", "plan")
        cells = [_worth(own["ndcg10"], name) for name in tried]
        columns = ("WITHOUT NOISE", "NOW", "PLAN")
        table(["  MEASURED ON", *columns], [(f"  your {own['viewers']:,} viewers", *cells)], right=columns)
        paragraph(
            "Your viewers alone played the whole cohort. A real one has more viewers, and noise costs it "
            "less."
        )
    elif sets:
        paragraph("Measured with the noise of five members, all alive.")
        paragraph("On your own viewers: add --measure. It takes minutes, and nothing leaves.")
    else:
        paragraph("Not known here yet. Try it on your own viewers with --measure; it takes minutes.")


def _worth(values: dict[str, float], name: str) -> str:
    value, without = values.get(name), values.get("none")
    if value is None:
        return ""
    if name == "none" or not without:
        return f"{value:.3f}"
    return f"{value:.3f} ({100 * (value / without - 1):+.0f} %)"
