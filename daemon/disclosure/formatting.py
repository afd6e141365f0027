"""Numbers in words, for people who do not calculate with them."""

from __future__ import annotations

import math
from datetime import UTC, datetime

from daemon.disclosure.cost import Cost, deviation
from models.weights import FULL_WEIGHT, UNIT
from policies.neighbour_relations import Relation
from policies.privacy import Level

LEVELS = {
    Level.NONE: (
        "UNSAFE with real viewers: sums carry no noise, so a 1 in them is one person. Set privacy.level = "
        '"default" or higher in shoal.toml.'
    ),
    Level.DEFAULT: (
        "Made against single pairs of videos in one sum. It does not hide them from somebody who collects "
        "many sums, and it does not hide whole histories."
    ),
    Level.STRICT: (
        "Stronger than the default for single pairs and videos. It does not hide whole histories, nor a pair "
        "from somebody who collects many sums."
    ),
    Level.USER_LEVEL: (
        "One sum hardly shows whether a viewer is in it. A year of sums does, to somebody who knows the "
        "whole history."
    ),
}

NAMES = {
    Relation.PAIR: "a pair of videos",
    Relation.VIEW: "one video more",
    Relation.USER: "a whole viewer",
}
QUESTIONS = {
    Relation.PAIR: "did one of your viewers watch both of two given videos?",
    Relation.VIEW: "did a viewer with a full history watch one given video more?",
    Relation.USER: "is a viewer, whose full history is known, in the sums at all?",
}
"""What is guessed. Everything else, all other viewers included, is taken to be known: the worst case."""

WEIGHTS = (
    f"A viewer with more than {FULL_WEIGHT} of the videos whose pairs are asked for counts less, in steps of "
    f"1/{UNIT} of a viewer; nobody counts for more than one."
)


def epsilon(value: float) -> str:
    """Write an epsilon with as many digits as mean something."""
    if not math.isfinite(value):
        return "∞"
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def guesses(cost: Cost) -> str:
    """Say how often the best guess is right, where a coin is right 50 times of 100."""
    return "a coin" if cost.guess < 0.505 else of_100(cost.guess, "always")


def found(cost: Cost) -> str:
    """Say how many of the true ones are found at five false alarms in a hundred."""
    return of_100(cost.detection, "all")


def off(variance: float) -> str:
    """Say by how much a number in a sum is usually off."""
    return f"±{deviation(variance):.1f}" if variance else "exact"


def day(moment: float) -> str:
    """Write a moment in UTC, to the minute."""
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M} UTC"


def span(seconds: float) -> str:
    """Write a length of time in days, or in what is smaller."""
    for size, unit in ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second")):
        if seconds >= size:
            return plural(round(seconds / size), unit)
    return "no time"


def plural(number: int, noun: str) -> str:
    """Write a number with its noun, in the plural where there is not one."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def of_100(part: float, everything: str = "practically 100 of 100") -> str:
    """Write a part of one hundred; what is hardly less than all is `everything`."""
    if part >= 0.9995:
        return everything
    return f"{100 * part:.{int(part >= 0.995)}f} of 100"
