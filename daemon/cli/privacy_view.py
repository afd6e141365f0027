"""The page of `shoal privacy show`: what is in a report, in plain words."""

from daemon.cli.prose import heading, paragraph
from daemon.cli.terminal import ago, out, table
from daemon.disclosure import formatting
from daemon.disclosure.cost import Costs
from daemon.disclosure.formatting import NAMES, plural
from daemon.disclosure.privacy_report import PrivacyReport, VectorNoise, WindowNoise
from federation.proposal import least_threshold
from policies.accounting import Relation
from policies.privacy import Level


def show(report: PrivacyReport) -> None:
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
            "learn something about your viewers."
        )
    _never(report)


def _viewers(report: PrivacyReport) -> None:
    v = report.viewers
    age = report.min_video_age_seconds
    heading("Who counts")
    paragraph(
        f"{v.counted:,} of {plural(v.stored, 'viewer')} who take part, each with at most "
        f"{plural(v.limit, 'video')}, the latest ones. {v.settled:,} of {plural(v.videos, 'video')} are old "
        f"enough to count{f': public and not blocked here for {formatting.span(age)}' if age else ''}."
    )
    if v.left_out:
        paragraph(
            f"The limit leaves out {plural(v.left_out, 'older engagement')} of "
            f"{plural(v.too_long, 'viewer')} with longer histories."
        )
    if report.mode != "contribute":
        paragraph(f'With mode = "{report.mode}" none of them is in any new sum.')


def _windows(report: PrivacyReport) -> None:
    if report.served_until is not None:
        heading("A backup was restored")
        paragraph(
            "What was given since that backup is not known here, so everything counts as given: nobody gets "
            f"anything new before {formatting.day(report.served_until)}."
        )
    if not report.windows:
        return
    heading("Data windows: what each aggregator has now")
    for window in report.windows:
        title = f"{window.view.aggregator} (this instance: members of your own sums are shown the counts)"
        paragraph(title if window.ours else window.view.aggregator, bold=True)
        for text in (_given(report, window), _noise(window.pairs or window.counts), _ends(report, window)):
            if text:
                paragraph(text, indent=4)


def _given(report: PrivacyReport, window: WindowNoise) -> str:
    opened = f"Opened {ago(report.now - window.view.opened)}, on {formatting.day(window.view.opened)}."
    if window.view.state == "served":
        return f"{opened} Gives nothing: it counts as served since a backup was restored."
    got = []
    if window.counts is not None:
        got.append(f"how many viewers engaged with each of {plural(window.counts.videos, 'video')}")
    if window.pairs is not None:
        head = window.pairs.videos
        got.append(
            f"with each of {plural(head * (head - 1) // 2, 'pair')} of a head of {plural(head, 'video')}"
        )
    if got:
        given = f"Given: {', and '.join(got)}."
    elif window.view.vectors:
        given = "Made ready, and in no opened sum so far."
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
        f"A number in the sum is off by about {formatting.off(vector.realised)}, with everybody alive; in "
        "the worst case, with members lost and one of the others an accomplice, we still count on "
        f"{formatting.off(vector.declared)}."
    )


def _ends(report: PrivacyReport, window: WindowNoise) -> str:
    enough = window.changed >= window.needed
    changed = f"{plural(window.changed, 'viewer')} changed since, {window.needed} are needed"
    if report.now < window.view.ends:
        earliest = formatting.day(window.view.ends)
        return f"Ends on {earliest} at the earliest; until then only the same again. {changed}."
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
            "So with all sums of the past year, somebody who knows everything except whether one of your "
            f"viewers watched both of two videos guesses right in {formatting.of_100(pair.guess)} cases "
            f"instead of 50. Accusing 5 of 100 innocent pairs, they find {formatting.found(pair)} true ones."
        )


def _parties(report: PrivacyReport) -> None:
    out.print()
    worst = _knows_most(report)
    others = [host for host in report.alone if host != report.host]
    if worst:
        years = plural(report.alone[worst].windows, "data window")
        paragraph(
            f"- {worst}, the aggregator that knows most ({years} in the past year), sees sums over all "
            "members. It sees no list, and not whose viewers are in a number.",
            hanging=2,
        )
        paragraph(
            f"- All {plural(len(others), 'aggregator')} together average out part of the noise, since each "
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
        f"enters it from {plural(report.min_users, 'viewer')} on."
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
        f"{plural(roster, 'member')} together with the aggregator could lift a mask; then your own part of "
        f"the noise, {formatting.off(vector.share)}, is all that hides your viewers."
    )


def _accounts(report: PrivacyReport) -> None:
    heading(f"The past 365 days: {plural(report.together.windows, 'data window')}, everybody together")
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
        "EPSILON (at delta 1e-6): what mathematicians call it; under 1 is strong, over 10 weak. FOUND: how "
        "many of the true ones are found when 5 of 100 false ones are claimed as well. When a yearly budget "
        "is spent, nothing more is contributed."
    )


def _never(report: PrivacyReport) -> None:
    heading("What is not protected")
    texts = ["Likes: PeerTube shows them to everybody anyway."]
    if report.level is not Level.USER_LEVEL:
        texts.append(
            f'Whole viewers, at level "{report.level.value}": whoever knows a whole history can test '
            "whether it "
            "is in a sum."
        )
    texts += [
        "What stays the same for long: each window has fresh noise, which averages out over a year.",
        "What was given: who withdraws is in no further sum, but sums that others hold stay as they are.",
        "This machine: whoever reads the data folder reads the histories.",
    ]
    for text in texts:
        paragraph(f"- {text}", hanging=2)


def _knows_most(report: PrivacyReport) -> str:
    others = {host: year for host, year in report.alone.items() if host != report.host}
    return max(others, key=lambda host: others[host].costs[Relation.PAIR].epsilon, default="")
