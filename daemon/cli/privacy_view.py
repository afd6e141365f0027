"""The pages of `shoal privacy`: what outsiders could learn, and two settings side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from daemon.cli.terminal import ago, count, heading, out, paragraph, table, utc
from daemon.config import Config
from daemon.disclosure import formatting
from daemon.disclosure.cost import Cost, Costs
from daemon.disclosure.formatting import NAMES
from daemon.disclosure.privacy_plan import LevelPlan, Offer, PlannedCohort
from daemon.disclosure.privacy_report import PrivacyReport, VectorNoise, WindowNoise
from federation.proposal import least_threshold
from policies.neighbour_relations import Relation
from policies.privacy import Level

Pair = tuple[LevelPlan, LevelPlan]
Row = tuple[str, Callable[[LevelPlan], str]]


# What others could learn today: `shoal privacy show`.


def show_report(report: PrivacyReport) -> None:
    """Print it."""
    heading(f"{report.host}: level {report.level.value}, mode {report.mode}")
    paragraph(formatting.LEVELS[report.level])
    if report.mode == "contribute":
        paragraph(
            "Only sums leave this instance, never a viewer's list: how many viewers engaged with each video, "
            "and with each pair of the most watched ones. Noise is added and the result masked before it is "
            "sent."
        )
    else:
        paragraph(f'With mode = "{report.mode}" nothing about your viewers leaves this instance.')
    _viewers(report)
    _windows(report)
    heading("What others could learn today")
    if report.together.windows:
        _guesses(report)
        _parties(report)
        _accounts(report)
    else:
        paragraph(
            "Nothing was given to anybody in the past 365 days, so there is no sum from which anybody could "
            "learn about your viewers."
        )
    _never(report)


def _viewers(report: PrivacyReport) -> None:
    v = report.viewers
    age = report.min_video_age_seconds
    heading("Who counts")
    paragraph(
        f"{v.counted:,} of {count(v.stored, 'viewer')} who take part, each with at most "
        f"{count(v.limit, 'video')}, the latest ones. {v.settled:,} of {count(v.videos, 'video')} are old "
        f"enough to count{f': public and not blocked here for {formatting.span(age)}' if age else ''}."
    )
    if v.left_out:
        paragraph(
            f"The limit leaves out {count(v.left_out, 'older engagement')} of {count(v.too_long, 'viewer')} "
            "with longer histories."
        )
    if report.mode != "contribute":
        paragraph(f'With mode = "{report.mode}" none of them is in any new sum.')


def _windows(report: PrivacyReport) -> None:
    if report.served_until is not None:
        heading("A backup was restored")
        paragraph(
            "What was given since that backup is not known here, so everything counts as given: nobody gets "
            f"anything new before {utc(report.served_until)}."
        )
    if not report.windows:
        return
    heading("Data windows: what each aggregator has now")
    for window in report.windows:
        title = f"{window.view.aggregator} (this instance; members of your own sums see the counts)"
        paragraph(title if window.ours else window.view.aggregator, bold=True)
        for text in (_given(report, window), _noise(window.pairs or window.counts), _ends(report, window)):
            if text:
                paragraph(text, indent=4)


def _given(report: PrivacyReport, window: WindowNoise) -> str:
    opened = f"Opened {ago(report.now - window.view.opened)}, on {utc(window.view.opened)}."
    if window.view.state == "served":
        return f"{opened} Gets nothing: since a backup was restored, it counts as served."
    got = []
    if window.counts is not None:
        got.append(f"how many viewers engaged with each of {count(window.counts.videos, 'video')}")
    if window.pairs is not None:
        head = window.pairs.videos
        got.append(
            f"with each of {count(head * (head - 1) // 2, 'pair')} of a head of {count(head, 'video')}"
        )
    if got:
        given = f"Given: {', and '.join(got)}."
    elif window.view.vectors:
        given = "Prepared, but in no opened sum so far."
    else:
        given = "Given: nothing."
    if window.view.state == "void":
        given += " VOID: a viewer who was counted withdrew, so nothing more is given in this window."
    return f"{opened} {given}"


def _noise(vector: VectorNoise | None) -> str:
    if vector is None:
        return ""
    if not vector.declared:
        return "No noise: every number in the sum is exact."
    return (
        f"A number in the sum is off by about {formatting.off(vector.realised)} if no member is lost. In the "
        "worst case, with members lost and one of the others an accomplice, "
        f"{formatting.off(vector.declared)} is left."
    )


def _ends(report: PrivacyReport, window: WindowNoise) -> str:
    enough = window.changed >= window.needed
    changed = f"{count(window.changed, 'viewer')} changed since, {window.needed} are needed"
    if report.now < window.view.ends:
        earliest = utc(window.view.ends)
        return f"Ends on {earliest} at the earliest. Until then, it gets only the same again: {changed}."
    if not enough:
        return f"Its time is over, but it stays open: {changed}."
    return f"It is over ({changed}); the next sum opens a new one."


def _guesses(report: PrivacyReport) -> None:
    worst = _knows_most(report)
    parties: dict[str, Costs] = {}
    if worst:
        parties = {worst: report.alone[worst].costs, "ALL TOGETHER": report.together.costs}
    parties["MEMBERS"] = report.members
    paragraph("How often the best guess is right. A coin is right in 50 of 100 cases.")
    out.print()
    table(
        ["  WHAT IS GUESSED", *parties],
        [
            (f"  {NAMES[relation]}", *(formatting.guesses(costs[relation]) for costs in parties.values()))
            for relation in Relation
        ],
        right=tuple(parties),
    )
    out.print()
    for relation in Relation:
        paragraph(f"{NAMES[relation]}: {formatting.QUESTIONS[relation]}", hanging=2)
    pair = report.together.costs[Relation.PAIR]
    if worst and pair.guess < 0.9995:
        paragraph(
            "With all sums of the past year, somebody who knows everything except whether one of your "
            f"viewers watched both of two videos guesses right in {formatting.of_100(pair.guess)} cases "
            f"instead of 50. Accusing 5 of 100 innocent pairs, they find {formatting.found(pair)} true ones."
        )


def _parties(report: PrivacyReport) -> None:
    out.print()
    worst = _knows_most(report)
    others = [host for host in report.alone if host != report.host]
    if worst:
        years = count(report.alone[worst].windows, "data window")
        paragraph(
            f"- {worst}, the aggregator that knows most ({years} in the past year), sees sums over all "
            "members. It sees no list, and not whose viewers are in a number.",
            hanging=2,
        )
        paragraph(
            f"- All {count(len(others), 'aggregator')} together average out part of the noise, since each "
            "got another draw.",
            hanging=2,
        )
    paragraph(
        f"- Any two members see the counts of each cohort, and no pairs.{_two_members(report)}", hanging=2
    )
    public = "- The public sees no sum. "
    if report.publishes:
        public += "Vectors of videos may be published, as your settings allow; they tell less than the sums. "
    public += (
        "Suggestions come from a model with your own viewers in it exactly: a pair that only they have "
        f"enters it from {count(report.min_users, 'viewer')} on."
    )
    paragraph(public, hanging=2)
    paragraph(
        "- Nobody sees a viewer's list, times, dislikes, how much of a video was watched, names or "
        "pseudonyms: none of that is in a sum.",
        hanging=2,
    )


def _two_members(report: PrivacyReport) -> str:
    noisy = [w for w in report.windows if w.counts is not None and w.counts.declared]
    found = [(w.counts, w.counts.members - w.ours) for w in noisy if w.counts is not None]
    if not found:
        return ""
    vector, roster = min(found, key=lambda one: (one[0].members - 2) * one[0].share)
    left = max(vector.members - 2, 1) * vector.share
    # Two views of who survived, or everybody else's vectors: whichever takes fewer (docs/threat-model.md).
    needed = min(2 * least_threshold(roster) - roster, roster - 1)
    return (
        f" Without their own noise, {formatting.off(left)} is left. Only {needed} of "
        f"{count(roster, 'member')} together with the aggregator could lift a mask; then your own part of "
        f"the noise, {formatting.off(vector.share)}, is all that hides your viewers."
    )


def _accounts(report: PrivacyReport) -> None:
    heading(f"The past 365 days: {count(report.together.windows, 'data window')}, everybody together")
    rows = []
    for relation, cost in report.together.costs.items():
        limit, left = report.budgets.get(relation), report.left(relation)
        rows.append(
            (
                f"  {NAMES[relation]}",
                formatting.epsilon(cost.epsilon),
                formatting.found(cost),
                "no limit" if limit is None else f"{limit:g}",
                "" if left is None else formatting.epsilon(left) if left else "spent",
            )
        )
    columns = ("EPSILON", "FOUND", "YEARLY BUDGET", "LEFT")
    table(["  ACCOUNT", *columns], rows, right=columns)
    out.print()
    paragraph(
        "EPSILON is the mathematical measure, at delta 1e-6: under 1 is strong, over 10 is weak. FOUND is "
        "how many of the true ones are found if 5 of 100 false ones are claimed as well. When a yearly "
        "budget is spent, nothing more is contributed."
    )


def _never(report: PrivacyReport) -> None:
    heading("What is not protected")
    texts = ["Likes: PeerTube shows them to everybody anyway."]
    if report.level is not Level.USER_LEVEL:
        texts.append(
            f'Whole viewers, at level "{report.level.value}": whoever knows a whole history can test whether '
            "it is in a sum."
        )
    texts += [
        "What stays the same for long: each window has fresh noise, which averages out over a year.",
        "Past sums: a viewer who withdraws is in no further sum, but sums that others hold stay.",
        "This machine: whoever reads the data folder reads the histories.",
    ]
    for text in texts:
        paragraph(f"- {text}", hanging=2)


def _knows_most(report: PrivacyReport) -> str:
    others = {host: year for host, year in report.alone.items() if host != report.host}
    return max(others, key=lambda host: others[host].costs[Relation.PAIR].epsilon, default="")


# What a level would change: `shoal privacy plan`.


def show_plan(
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
    paragraph(f"{_cohort(now.cohort, peers)} Nothing is changed by this command.")
    if peers < config.cohort.min_cohort:
        whom = "other members" if now.cohort.group else "peers"
        paragraph(f"With fewer than {config.cohort.min_cohort} {whom} nothing is summed at all.")
    out.print()
    _side_by_side(both, _number_rows(now))
    for title, costs in (
        ("Guesses after one sum (a coin is right in 50 of 100 cases)", lambda s: s.one_sum),
        ("After a year of one aggregator's sums", lambda s: s.one_aggregator),
        ("After a year, all aggregators together", lambda s: s.everybody),
    ):
        heading(title)
        _side_by_side(both, _cost_rows(costs))
    out.print()
    for relation in Relation:
        paragraph(f"{NAMES[relation]}: {formatting.QUESTIONS[relation]}", hanging=2)
    paragraph(
        "Everything else is taken to be known: the worst case. ε (at delta 1e-6): under 1 is strong, over "
        f"10 weak. An aggregator that asks as soon as it may gets up to {then.most_windows:,} windows a year."
    )
    _quality(both, sets, own)


def _cohort(cohort: PlannedCohort, peers: int) -> str:
    members = count(cohort.members, "member")
    if cohort.group and cohort.aggregators == 1:
        return f"For {members} in a sum of the group {cohort.group}, which its host takes once per window."
    return (
        f"For {members} in a sum, and {count(cohort.aggregators, 'aggregator')} that each take a sum per "
        f"window; {count(peers, 'peer')} approved now."
    )


def _number_rows(now: LevelPlan) -> list[Row]:
    rows: list[Row] = [
        ("noise, everybody alive", lambda s: formatting.off(s.realised[1])),
        ("noise counted on, worst case", lambda s: formatting.off(s.declared[1])),
        ("videos that count, per viewer", lambda s: f"{s.limit}"),
        ("pairs of videos counted so often", lambda s: f"{s.head_minimum} times"),
        ("windows a year, per aggregator", lambda s: f"{s.windows:,}"),
    ]
    return rows + [(f"budget lasts, {NAMES[relation]}", _lasts(relation)) for relation in now.until_spent]


def _lasts(relation: Relation) -> Callable[[LevelPlan], str]:
    return lambda setting: count(setting.until_spent[relation], "window")


def _cost_rows(of: Callable[[LevelPlan], Costs]) -> list[Row]:
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
