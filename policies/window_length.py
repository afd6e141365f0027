"""How long data windows are: a day at first, half as long again each time, at most `window_max`.

Noise averages out over many windows, and statistics of pairs of videos hardly change in a week. So the first
sums come soon, where they are worth most, and a year of them costs a pair about half of what weekly ones do.
What counts is how long this instance has contributed, whatever an aggregator says of itself.
"""

from __future__ import annotations

import math

SHORTEST = 24 * 3600.0
"""Seconds of the first window."""


def length(age_seconds: float, window_max_seconds: float) -> float:
    """Return the seconds that a window lasts which opens at that age of a contributor, before jitter.

    A negative age is one of a clock that was set back: nothing is known, so the window is as long as any.

    Raises:
        ValueError: an age that is no number, or a longest window that is not positive and finite.

    """
    if math.isnan(age_seconds) or not 0 < window_max_seconds < math.inf:
        raise ValueError("an age is a number, and the longest window is positive and finite")
    if age_seconds < 0:
        return window_max_seconds
    return min(window_max_seconds, SHORTEST + age_seconds / 2)


def releases_in(
    days: float, window_max_seconds: float, *, age_seconds: float = 0.0, part: float = 1.0
) -> int:
    """Return how many windows one aggregator gets in that many days, from this age of the contributor on.

    It asks anew as soon as a window ends, so the first is at once. Windows last `part` of their `length`:
    with the least part that jitter leaves, this is the most that there can be; a part above 1 is that of
    windows which are stretched (`policies.budget_pace`).

    Raises:
        ValueError: as `length`, and for days that are negative or infinite, or a part that is not positive
            and finite.

    """
    if not 0 <= days < math.inf or not 0 < part < math.inf:
        raise ValueError("days are finite and not negative, and a part is finite and positive")
    end, age, windows = age_seconds + days * SHORTEST, age_seconds, 0
    while age < end and (lasts := length(age, window_max_seconds)) < window_max_seconds:
        age += part * lasts
        windows += 1
    # From here on all are as long as any.
    return windows + max(0, math.ceil((end - age) / (part * window_max_seconds)))
