"""Prints what the attacks found: one table, and one sentence for each attack that still wins."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from policies.privacy import Level
from tests.adversaries.privacy.jobs import draws
from tests.adversaries.privacy.release import COLLUDERS, MEMBERS, REALISED, THRESHOLD
from tests.adversaries.privacy.runner import Outcome
from tests.adversaries.privacy.settings import LEVELS

_MEANING = {
    1: "from the sum alone, sets of videos fit a person better than if the person were not in it",
    2: "who knows some of a viewer's videos guesses more of them because the viewer is in the sum",
    3: "who knows a whole history can tell whether that person took part",
    4: "what is in one sum and not in another shows the missing people's videos",
    5: "sums of user factors give short histories away: a trainer made of them must not exist",
    6: "who gets a viewer to watch the attacker's own videos learns what else the viewer watched",
    7: "public related lists show what changed between two trainings",
}
_GOAL_USERS, _GOAL_GAIN, _GOAL_COST = 600, 0.05, 0.10
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
        quality: NDCG@10 by level.
    """

    data: str
    real: int
    mixed: tuple[int, ...]
    sizes: tuple[int, ...]
    quality: Mapping[Level, float]


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
    for line in (*_goals(outcomes, head), *_winners(outcomes)):
        console.print(line, highlight=False)


def _table(outcomes: Sequence[Outcome], head: Head, size: int) -> Table:
    levels = [level for level in Level if any(outcome.level == level for outcome in outcomes)]
    kind = "mixed" if size in head.mixed else "real"
    table = Table(
        title=f"{head.data}, {size:,} {kind} users: gain of the attacker (95 % interval), baseline, n"
    )
    table.add_column("attack")
    table.add_column("against")
    for level in levels:
        chosen = LEVELS[level]
        table.add_column(
            f"{level.value}\n"
            f"noise {chosen.counts_noise}, {chosen.pairs_noise}; {chosen.max_videos_per_user} videos\n"
            f"NDCG@10 {_quality(head, level)}"
        )
    found: dict[tuple[int, str], dict[Level, Outcome]] = {}
    for outcome in outcomes:
        found.setdefault((outcome.attack, outcome.name), {})[outcome.level] = outcome
    for (number, name), by_level in sorted(found.items(), key=lambda item: item[0][0]):
        against = next(iter(by_level.values())).against
        cells = [_cell(by_level[level]) if level in by_level else "" for level in levels]
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


def _quality(head: Head, level: Level) -> str:
    value, plain = head.quality.get(level, math.nan), head.quality.get(Level.NONE, math.nan)
    if math.isnan(value):
        return "-"
    change = "" if level == Level.NONE or math.isnan(plain) else f" ({value / plain - 1:+.1%})"
    return f"{value:.3f}{change}"


def _notes(head: Head) -> list[str]:
    notes = [
        "Gain: the attacker's figure less the baseline's; below it both figures and the number of targets.",
        "Green: the interval holds 0. Yellow: above 0, by 0.02 at most. Red: more. Dim: under 10 targets.",
        "The attacker sees sums at the declared noise, the least that is promised.",
        (
            f"Quality is measured at {REALISED:.2f} times that, the noise of {MEMBERS} members all alive "
            f"(threshold {THRESHOLD}, colluders {COLLUDERS}), over all {head.real:,} users: a mean of "
            f"{draws(head.real)} draws."
        ),
    ]
    notes += [
        f"Of {size:,} users each is mixed from two of the set's {head.real:,} and has half twins there: a "
        "real cohort of that size hides its members somewhat less."
        for size in head.mixed
    ]
    return notes


def _goals(outcomes: Sequence[Outcome], head: Head) -> list[str]:
    """Say of each goal for the default level whether that level reaches it, and whether the next one does."""
    lines = []
    for level in (Level.DEFAULT, Level.STRICT):
        goals = []
        for one in outcomes:
            if (one.level, one.users) != (level, _GOAL_USERS) or math.isnan(one.gain.value):
                continue
            if one.attack == 1:
                goals.append((f"the interval of attack 1 holds 0 ({one.name})", not one.gain.above_zero))
            if one.attack == 2:
                goals.append(
                    (f"attack 2 gains {_GOAL_GAIN} at most ({one.name})", one.gain.value <= _GOAL_GAIN)
                )
        plain, noisy = (head.quality.get(which, math.nan) for which in (Level.NONE, level))
        if not math.isnan(plain + noisy):
            goals.append((f"NDCG@10 falls by {_GOAL_COST:.0%} at most", noisy >= (1 - _GOAL_COST) * plain))
        told = {True: "reached", False: "MISSED"}
        lines += [f"{level.value}: goal {told[reached]}: {goal}." for goal, reached in goals]
    return lines


def _winners(outcomes: Sequence[Outcome]) -> list[str]:
    lines = []
    for level in Level:
        for number, meaning in _MEANING.items():
            cells = [one for one in outcomes if one.attack == number and one.level == level and _wins(one)]
            if not cells:
                continue
            most = max(cells, key=lambda one: one.gain.value)
            sizes = ", ".join(f"{size:,}" for size in sorted({one.users for one in cells}))
            lines.append(
                f"{level.value}: attack {number} wins ({sizes} users): {meaning}; at most "
                f"{most.gain.value:+.2f} over {most.against} ({most.name}, {most.users:,} users)."
            )
    return lines
