"""The pages of `shoal privacy`: what outsiders could learn, and two settings side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from daemon.cli.terminal import ago, bytes_of, count, heading, out, paragraph, table, utc
from daemon.config import Config
from daemon.disclosure import formatting
from daemon.disclosure.cost import Cost, Costs
from daemon.disclosure.formatting import NAMES
from daemon.disclosure.privacy_plan import LevelPlan, Offer, PlannedCohort
from daemon.disclosure.privacy_report import PrivacyReport, SegmentNoise, WindowNoise
from daemon.disclosure.window_costs import WindowCost, WindowCosts
from daemon.store.releases import OWN
from federation.proposal import least_threshold
from models.head import LEAST_VIEWS
from policies.neighbour_relations import Relation
from policies.privacy import Level

Pair = tuple[LevelPlan, LevelPlan]
Row = tuple[str, Callable[[LevelPlan], str]]
_NEAR = (
    "Before the budget for a pair is spent, data windows last longer, and then the newest aggregators get "
    "nothing; your own release and the oldest ones come last."
)


# What others could learn today: `shoal privacy show`.


def show_report(report: PrivacyReport) -> None:
    """Print it."""
    heading(f"{report.host}: level {report.level.value}, mode {report.mode}")
    paragraph(formatting.LEVELS[report.level])
    if report.mode == "contribute":
        paragraph(
            "Only sums leave this instance, never a viewer's list: how many viewers engaged with each video, "
            "and with both videos of each pair of those that a round names. Noise is added and the result "
            "masked before it is sent."
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
    old = f" and are public and not blocked here for {formatting.span(age)}" if age else ""
    heading("Who counts")
    paragraph(
        f"{v.counted:,} of {count(v.stored, 'viewer')} who take part, each with at most "
        f"{count(v.limit, 'video')}, the latest ones. {v.settled:,} of {count(v.videos, 'video')} count: "
        f"they have at least {LEAST_VIEWS} views{old}."
    )
    paragraph(formatting.WEIGHTS)
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
        own = window.view.aggregator == OWN
        title = (
            "your own release (for what others may see of your own viewers)"
            if own
            else window.view.aggregator
        )
        paragraph(title, bold=True)
        noise = _noise(window.given, own=own)
        for text in (_given(report, window), noise, _ends(report, window)):
            if text:
                paragraph(text, indent=4)


def _given(report: PrivacyReport, window: WindowNoise) -> str:
    opened = f"Opened {ago(report.now - window.view.opened)}, on {utc(window.view.opened)}."
    state, given = window.view.state, window.given
    if state == "served":
        return f"{opened} Gets nothing: since a backup was restored, it counts as served."
    if not given:
        return f"{opened} Nothing has left in it so far."
    got = [f"how many viewers engaged with each of {count(given['counts'].videos, 'video')}"]
    if "pairs" in given:
        head = given["pairs"].videos
        pairs = count(head * (head - 1) // 2, "pair")
        got.append(f"with both videos of each of {pairs} of a head of {count(head, 'video')}")
    told = f"{opened} Given: {', and '.join(got)}."
    if state == "void":
        told += " VOID: a viewer who was counted withdrew, so nothing more is given in this window."
    return told


def _noise(given: Mapping[str, SegmentNoise], *, own: bool) -> str:
    counts, pairs = given.get("counts"), given.get("pairs")
    if counts is None:
        return ""
    if not counts.declared:
        return f"No noise: every number in {'it' if own else 'the sum'} is exact."
    least = formatting.off(counts.declared), None if pairs is None else formatting.off(pairs.declared)
    if own:
        return f"A count in it is off by about {least[0]}{f', a pair by about {least[1]}' if pairs else ''}."
    usual = f"A count in the sum is off by about {formatting.off(counts.realised)}"
    if pairs is not None:
        usual += f", a pair by about {formatting.off(pairs.realised)}"
    left = " and ".join(filter(None, least))
    return (
        f"{usual} if no member is lost. In the worst case, with members lost and as many accomplices as the "
        f"noise is chosen for, {left} {'is' if pairs is None else 'are'} left."
    )


def _ends(report: PrivacyReport, window: WindowNoise) -> str:
    state, ends = window.view.state, utc(window.view.ends)
    if state == "prepared":
        return "As long as nothing has left, the next request may get a fresh vector."
    if window.view.aggregator == OWN:
        if report.now >= window.view.ends:
            return "It is over. The next training draws it anew."
        if state in ("void", "served"):
            return f"Ends on {ends}."
        return f"Ends on {ends}; until then, the same numbers are used again."
    changed = f"{count(window.changed, 'viewer')} changed since, and about {report.min_changed} must"
    if report.now < window.view.ends:
        until = "it gets only the same again" if state == "open" else "it gets nothing more"
        return f"Ends on {ends} at the earliest; until then, {until}. {changed}, give or take some noise."
    if not window.enough:
        return (
            f"Its time is over, but it stays open: {changed}. Whether they did is looked up at most once a "
            "day, with noise, so that it does not show single people."
        )
    return "It is over, since enough viewers changed. The next round opens a new one."


def _guesses(report: PrivacyReport) -> None:
    worst = _knows_most(report)
    parties: dict[str, Costs] = {}
    if worst:
        parties[worst] = report.alone[worst].costs
    parties["ALL TOGETHER"] = report.together.costs
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
    others = [host for host in report.alone if host != OWN]
    if worst:
        years = count(report.alone[worst].windows, "data window")
        paragraph(
            f"- {worst}, the aggregator that knows most ({years} in the past year), sees sums over all "
            "members. It sees no list, and not whose viewers are in a number.",
            hanging=2,
        )
    if len(others) > 1:
        paragraph(
            f"- All {count(len(others), 'aggregator')} together average out part of the noise, since each "
            "got another draw.",
            hanging=2,
        )
    if OWN in report.alone:
        paragraph(
            "- Your own release, noisy numbers about your own viewers, is what your models learn about them "
            "from. The head of your first rounds is chosen from it, and their members see which videos these "
            "are.",
            hanging=2,
        )
    paragraph(f"- The members of a round see nothing of its sum.{_members(report)}", hanging=2)
    public = "- The public sees no sum. "
    if report.publishes:
        public += "Vectors of videos may be published, as your settings allow; they tell less than the sums. "
    if report.exact_own:
        public += (
            "Where serve.exact_own has an effect, suggestions rest on exact numbers of your viewers: a "
            "member who compares many can find out what single other members watched."
        )
    else:
        public += (
            "Suggestions come from models that are made of such sums and of your own release, so nobody "
            "learns more from them than these numbers tell."
        )
    paragraph(public, hanging=2)
    paragraph(
        "- Nobody sees a viewer's list, times, dislikes, how much of a video was watched, names or "
        "pseudonyms: none of that is in a sum.",
        hanging=2,
    )


def _members(report: PrivacyReport) -> str:
    given = [w.given["counts"] for w in report.windows if w.given and w.view.aggregator != OWN]
    # Of a round whose record is gone it is not known how many there were.
    given = [one for one in given if one.members > 1]
    if not given:
        return ""
    fewest = min(given, key=lambda one: one.members)
    # Two views of who survived, or everybody else's vectors: whichever takes fewer (docs/threat-model.md).
    roster = fewest.members
    needed = min(2 * least_threshold(roster) - roster, roster - 1)
    said = f" Only {needed} of {count(roster, 'member')} together with the aggregator could lift a mask"
    if not fewest.declared:
        return f"{said}."
    hides = formatting.off(fewest.share)
    return f"{said}; then your own share of the noise, {hides}, is all that hides your viewers."


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
        f"budget is spent, nothing more is contributed.{_pace(report)}"
    )


def _pace(report: PrivacyReport) -> str:
    if Relation.PAIR not in report.budgets:
        return ""
    now = ""
    if report.pace.stretch > 1:
        now = f" One that opens now lasts {report.pace.stretch:.1f} times as long as usual."
    if report.pace.refused:
        now += f" {', '.join(report.pace.refused)}: nothing new at present."
    return f" {_NEAR}{now}"


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
    others = {host: year for host, year in report.alone.items() if host != OWN}
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
    heading(f"Level {then.level.value}, with windows of up to {formatting.span(then.window.total_seconds())}")
    paragraph(formatting.LEVELS[then.level])
    if not offer.offered:
        paragraph(f"NOT OFFERED HERE. {_too_small(then.level, offer)}")
    paragraph(f"{_cohort(now.cohort, peers)} Nothing is changed by this command.")
    if peers < config.cohort.min_cohort:
        whom = "other members" if now.cohort.group else "peers"
        paragraph(f"With fewer than {config.cohort.min_cohort} {whom} nothing is summed at all.")
    out.print()
    _side_by_side(both, _number_rows(both))
    for title, costs in (
        ("Guesses after one sum (a coin is right in 50 of 100 cases)", lambda s: s.one_sum),
        ("After the first year of one aggregator's sums", lambda s: s.one_aggregator),
        ("After the first year, all aggregators and your own release together", lambda s: s.everybody),
    ):
        heading(title)
        _side_by_side(both, _cost_rows(costs))
    out.print()
    for relation in Relation:
        paragraph(f"{NAMES[relation]}: {formatting.QUESTIONS[relation]}", hanging=2)
    paragraph(
        "Everything else is taken to be known: the worst case. ε (at delta 1e-6): under 1 is strong, over "
        f"10 weak. An aggregator that asks as soon as it may gets up to {then.most_windows:,} windows in the "
        "first year."
    )
    for setting in (now,) if now == then else both:
        if setting.budget_pair is not None:
            paragraph(_within(setting))
    if now.budget_pair is not None or then.budget_pair is not None:
        paragraph(_NEAR)
    _quality(both, sets, own)


def _within(setting: LevelPlan) -> str:
    """Say what the budget for a pair makes of the windows."""
    those = f"{count(setting.cohort.aggregators, 'aggregator')} and your own release"
    level = f'At level "{setting.level.value}" the yearly budget for a pair, ε {setting.budget_pair:g},'
    if setting.stretch == 1 and setting.admitted == setting.cohort.aggregators:
        return f"{level} has room for {those} in the first year."
    longer = f"{level} makes windows last up to {setting.stretch:.1f} times as long"
    if setting.admitted == setting.cohort.aggregators:
        return f"{longer}, so that it lasts for {those}."
    return f"{longer}, and has room for {setting.admitted} of {those}."


def show_windows(found: WindowCosts) -> None:
    """Print what each longest window would cost, side by side."""
    heading("What the longest window costs (privacy.window_max)")
    names = [formatting.span(one.length.total_seconds()) for one in found.found]

    def row(name: str, of: Callable[[WindowCost], str]) -> tuple[str, ...]:
        return (f"  {name}", *(of(one) for one in found.found))

    table(
        [" " * 42, *names],
        [
            row("windows of one aggregator, first year", lambda one: f"{one.windows[0]:,}"),
            row("in a later year", lambda one: f"{one.windows[1]:,}"),
            row("a pair, one aggregator: ε, first year", lambda one: formatting.epsilon(one.pair[0])),
            row("in a later year", lambda one: formatting.epsilon(one.pair[1])),
            row("a pair, all together: ε, first year", lambda one: formatting.epsilon(one.pair_together[0])),
            row("in a later year", lambda one: formatting.epsilon(one.pair_together[1])),
            row("sent to each of them in a month", lambda one: bytes_of(round(one.bytes))),
            row("plays of videos too new for pairs", lambda one: f"{100 * one.too_new:.1f} of 100"),
        ],
        right=names,
    )
    whose = f'those of the data set "{found.measured_on}"' if found.measured_on else "your viewers'"
    paragraph(
        f"All together are {count(found.aggregators, 'aggregator')} and your own release. Windows begin with "
        f"a day and grow. The plays are {whose}. Until its pairs are counted, a video is suggested for its "
        "tags and title."
    )


def _cohort(cohort: PlannedCohort, peers: int) -> str:
    members = count(cohort.members, "member")
    if cohort.group and cohort.aggregators == 1:
        return f"For {members} in a sum of the group {cohort.group}, which its host takes once per window."
    return (
        f"For {members} in a sum, and {count(cohort.aggregators, 'aggregator')} that each take a sum per "
        f"window; {count(peers, 'peer')} approved now."
    )


def _number_rows(both: Pair) -> list[Row]:
    limited = [relation for relation in Relation if any(relation in one.until_spent for one in both)]
    rows: list[Row] = [
        ("noise, everybody alive", lambda s: formatting.off(s.realised[1])),
        ("noise counted on, worst case", lambda s: formatting.off(s.declared[1])),
        ("videos that count, per viewer", lambda s: f"{s.limit}"),
        ("pairs of videos counted so often", lambda s: f"{s.head_minimum} times"),
        ("windows, first year and later", lambda s: f"{s.windows:,} and {s.later_windows:,}"),
    ]
    return rows + [(f"budget lasts, {NAMES[relation]}", _lasts(relation)) for relation in limited]


def _lasts(relation: Relation) -> Callable[[LevelPlan], str]:
    def lasts(setting: LevelPlan) -> str:
        windows = setting.until_spent.get(relation)
        return "no limit" if windows is None else count(windows, "window")

    return lasts


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
