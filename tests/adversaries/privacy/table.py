"""Prints what the attacks found: one table, and one sentence for each attack that still wins."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from policies.privacy import Level
from tests.adversaries.privacy.quality import INSTANCES, Quality
from tests.adversaries.privacy.release import COLLUDERS, MEMBERS, REALISED, THRESHOLD
from tests.adversaries.privacy.runner import Outcome
from tests.adversaries.privacy.settings import Setting

_MEANING = {
    1: "from the sum alone, sets of videos fit a person better than if the person were not in it",
    2: "who knows some of a viewer's videos guesses more of them because the viewer is in the sum",
    3: "who knows a whole history can tell whether that person took part",
    4: "what is in one sum and not in another shows the missing people's videos",
    5: "sums of user factors give short histories away: a trainer made of them must not exist",
    6: "who gets a viewer to watch the attacker's own videos learns what else the viewer watched",
    7: "public related lists show what changed between two trainings",
    8: "who registers accounts that like a rare video of a viewer reads others off public related lists",
    9: "an aggregator that asks for rare videos, and knows some of a viewer's, finds others",
}
_NO_GOALS = (Level.NONE.value, Level.USER_LEVEL.value)
_GOAL_USERS, _GOAL_ACCOUNTS, _GOAL_COST = 600, 4, 0.10
_GOAL_COMPLETED, _GOAL_OWN_LISTS, _GOAL_PUPPETS = 0.05, 0.15, 0.05
_SMALL = 0.02
_FEW = 10


@dataclass(frozen=True)
class Head:
    """What stands above the table.

    Attributes:
        data: name of the set.
        real: users that it has.
        mixed: sizes of cohorts that are made of mixed users.
        sizes: of all cohorts.
        settings: the columns.
        quality: of each, by name.
        draws: that quality is a mean of.
    """

    data: str
    real: int
    mixed: tuple[int, ...]
    sizes: tuple[int, ...]
    settings: tuple[Setting, ...]
    quality: Mapping[str, Quality]
    draws: int


def show(outcomes: Sequence[Outcome], head: Head) -> None:
    """Print to standard output."""
    console = Console()
    width = console.width if console.is_terminal else 200
    console = Console(width=max(width, 120))
    for size in head.sizes:
        here = [outcome for outcome in outcomes if outcome.users == size]
        console.print(_table(here, head, size))
    for line in _notes(head):
        console.print(line, highlight=False)
    console.print()
    for line in (*_goals(outcomes, head), *_winners(outcomes, head), *_thresholds(outcomes, head)):
        console.print(line, highlight=False)


def _table(outcomes: Sequence[Outcome], head: Head, size: int) -> Table:
    kind = "mixed" if size in head.mixed else "real"
    table = Table(
        title=f"{head.data}, {size:,} {kind} users: gain of the attacker (95 % interval), baseline, n"
    )
    table.add_column("attack")
    table.add_column("against")
    for setting in head.settings:
        chosen = setting.protection
        table.add_column(
            f"{setting.name}\n"
            f"noise {chosen.counts_noise}, {chosen.pairs_noise}; {chosen.max_videos_per_user} videos\n"
            f"next {_quality(head, setting, lambda found: found.next_videos)}\n"
            f"related {_quality(head, setting, lambda found: found.related)}"
        )
    found: dict[tuple[int, str], dict[str, Outcome]] = {}
    for outcome in outcomes:
        found.setdefault((outcome.attack, outcome.name), {})[outcome.level] = outcome
    for (number, name), by_level in sorted(found.items(), key=lambda item: item[0][0]):
        against = " or ".join(sorted({outcome.against for outcome in by_level.values()}))
        cells = [_cell(by_level[one.name]) if one.name in by_level else "" for one in head.settings]
        table.add_row(f"{number} {name}", against, *cells)
    return table


def _cell(outcome: Outcome) -> str:
    if not outcome.targets:
        return f"[dim]{outcome.note}[/dim]"
    gain = outcome.gain
    colour = "red" if _wins(outcome) else "yellow" if gain.above_zero else "green"
    if outcome.targets < _FEW:
        colour = "dim"
    return (
        f"[{colour}]{gain.value:+.3f}[/{colour}] ({gain.low:+.3f} to {gain.high:+.3f})\n"
        f"[dim]{outcome.reached:.3f} / {outcome.baseline:.3f}, n {outcome.targets}[/dim]"
    )


def _wins(outcome: Outcome) -> bool:
    """Say whether the attack gains more than a trifle, for sure, over enough targets to say so."""
    return outcome.targets >= _FEW and outcome.gain.above_zero and outcome.gain.value > _SMALL


def _quality(head: Head, setting: Setting, figure: Callable[[Quality], float]) -> str:
    if setting.name not in head.quality:
        return "-"
    value, plain = figure(head.quality[setting.name]), head.quality.get(Level.NONE.value)
    change = ""
    if plain is not None and setting.name != Level.NONE.value:
        change = f" ({value / figure(plain) - 1:+.1%})"
    return f"{value:.3f}{change}"


def _notes(head: Head) -> list[str]:
    notes = [
        (
            "Noise: variance per count and per pair, in viewers squared. Next and related: NDCG@10 of a "
            "viewer's next videos, and of related lists for viewers outside the fit."
        ),
        "Gain: the attacker's figure less the baseline's; below it both figures and the number of targets.",
        "Green: the interval holds 0. Yellow: above 0, by 0.02 at most. Red: more. Dim: under 10 targets.",
        (
            "The attacker sees sums at the declared noise, the least that is promised. Attacks 7 and 8 read "
            "lists of an instance whose viewers are a fifth of the cohort."
        ),
        (
            f"Quality is that of one of {INSTANCES} equal instances, from its own release at the declared "
            f"noise and the others' sum at {REALISED:.2f} times that, the noise of {MEMBERS} members all "
            f"alive (threshold {THRESHOLD}, colluders {COLLUDERS}), over all {head.real:,} users: a mean of "
            f"{head.draws} draws."
        ),
    ]
    notes += [
        f"Of {size:,} users each is mixed from two of the set's {head.real:,} and has half twins there: a "
        "real cohort of that size hides its members somewhat less."
        for size in head.mixed
    ]
    return notes


def _goals(outcomes: Sequence[Outcome], head: Head) -> list[str]:
    """Say of each goal for the default level whether a setting reaches it."""
    lines = []
    for setting in head.settings:
        if setting.name in _NO_GOALS:
            continue
        goals = [
            goal
            for one in outcomes
            if (one.level, one.users) == (setting.name, _GOAL_USERS) and not math.isnan(one.gain.value)
            for goal in _attack_goals(one)
        ]
        plain, noisy = head.quality.get(Level.NONE.value), head.quality.get(setting.name)
        if plain is not None and noisy is not None:
            cost = 1 - noisy.next_videos / plain.next_videos
            goals.append((f"NDCG@10 of next videos falls by {_GOAL_COST:.0%} at most", cost <= _GOAL_COST))
        told = {True: "reached", False: "MISSED"}
        lines += [f"{setting.name}: goal {told[reached]}: {goal}." for goal, reached in goals]
    return lines


def _attack_goals(one: Outcome) -> Iterator[tuple[str, bool]]:
    high = f"{one.gain.high:+.2f} at the upper end"
    if one.attack == 1:
        yield f"the interval of attack 1 holds 0 ({one.name})", not one.gain.above_zero
    if one.attack == 2:
        yield f"attack 2 gains {_GOAL_COMPLETED} at most ({one.name})", one.gain.value <= _GOAL_COMPLETED
    if one.attack == 7 and "own" in one.name:
        yield (
            f"attack 7 surely gains {_GOAL_OWN_LISTS} at most on own viewers ({high})",
            one.gain.high <= _GOAL_OWN_LISTS,
        )
    if (one.attack, one.accounts, one.lists) == (8, _GOAL_ACCOUNTS, 1):
        yield (
            f"attack 8 surely gains {_GOAL_PUPPETS} at most ({one.name}: {high})",
            one.gain.high <= _GOAL_PUPPETS,
        )


def _winners(outcomes: Sequence[Outcome], head: Head) -> list[str]:
    lines = []
    for setting in head.settings:
        for number, meaning in _MEANING.items():
            here = [one for one in outcomes if (one.attack, one.level) == (number, setting.name)]
            cells = [one for one in here if _wins(one)]
            if not cells:
                continue
            most = max(cells, key=lambda one: one.gain.value)
            sizes = ", ".join(f"{size:,}" for size in sorted({one.users for one in cells}))
            lines.append(
                f"{setting.name}: attack {number} wins ({sizes} users): {meaning}; at most "
                f"{most.gain.value:+.2f} over {most.against} ({most.name}, {most.users:,} users)."
            )
    return lines


def _thresholds(outcomes: Sequence[Outcome], head: Head) -> list[str]:
    """Say from how many made-up accounts attack 8 wins, by the number of lists read."""
    lines = []
    for setting in head.settings:
        for size in head.sizes:
            cells = [one for one in outcomes if (one.attack, one.level, one.users) == (8, setting.name, size)]
            told = []
            for lists in sorted({one.lists for one in cells if one.lists}):
                winning = [one.accounts for one in cells if one.lists == lists and _wins(one)]
                from_ = f"from {min(winning)} accounts" if winning else "with none of the numbers tried"
                told.append(f"{lists} list{'s' * (lists > 1)} {from_}")
            if told:
                lines.append(f"{setting.name}, {size:,} users: attack 8 wins by {', by '.join(told)}.")
    return lines
