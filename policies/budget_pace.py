"""How a yearly budget is made to last: windows lengthen first, then the newest aggregators get nothing.

A stream is what one aggregator is given, or our own release, window after window. Loads add up: that of one
release is its squared shift in standard deviations of the noise (`policies.neighbour_relations`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from policies.window_length import releases_in

LONGEST = 12 * 7 * 24 * 3600.0
"""Seconds that windows may grow to for a budget, where the longest one is set shorter: in longer ones hardly
any video would be counted before it is old."""
_DAYS = 365.0
_PRECISION = 0.01


@dataclass(frozen=True)
class YearlyBudget:
    """A year's budget and what is spent of it.

    Attributes:
        load: what there is room for in any 365 days.
        spent: how many days from now each release of the past 365 days goes on counting, and its load.
        age_seconds: how long this instance has contributed.
        window_max_seconds: the longest window that is not stretched.
        part: the least part of its length that a window lasts.
    """

    load: float
    spent: tuple[tuple[float, float], ...]
    age_seconds: float
    window_max_seconds: float
    part: float

    @property
    def most_stretch(self) -> float:
        """Return by how much windows may be longer at most."""
        return max(LONGEST / self.window_max_seconds, 1.0)

    def stretch(self, streams: Sequence[float]) -> float | None:
        """Return by how much windows must be longer for the budget to last; None if no length is enough.

        `streams` are the loads of a release in each present stream. That each opens its next window now is
        the most they can spend. The factor is from 1 to `most_stretch`.
        """
        if self._lasts(streams, 1.0):
            return 1.0
        if not self._lasts(streams, self.most_stretch):
            return None
        short, long = 1.0, self.most_stretch
        while long - short > _PRECISION * short:
            middle = (short + long) / 2
            short, long = (short, middle) if self._lasts(streams, middle) else (middle, long)
        return long

    def admitted(self, streams: Sequence[float]) -> tuple[int, float]:
        """Return how many of these streams, oldest first, go on, and how much longer their windows are.

        The oldest always goes on: whether one more release has room is for the accounting to say.
        """
        for number in range(len(streams), 0, -1):
            factor = self.stretch(streams[:number])
            if factor is not None:
                return number, factor
        return min(len(streams), 1), self.most_stretch

    def _lasts(self, streams: Sequence[float], stretch: float) -> bool:
        """Tell whether no 365 days from now on cost more than the budget, with windows so much longer."""
        pace, spent = sum(streams), sum(load for _, load in self.spent)
        # The budget is tightest just before something that was spent no longer counts, and in a year.
        for days, load in (*sorted(self.spent), (_DAYS, 0.0)):
            windows = releases_in(
                min(max(days, 0.0), _DAYS),
                self.window_max_seconds,
                age_seconds=self.age_seconds,
                part=self.part * stretch,
            )
            if spent + pace * windows > self.load * (1 + 1e-9):
                return False
            spent -= load
        return True
