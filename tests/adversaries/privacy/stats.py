"""Intervals and the two figures of a membership test. All intervals are two-sided, 95 %."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_RESAMPLES = 2000
_NORMAL = 1.959964
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """An estimate with its 95 % confidence interval."""

    value: float
    low: float
    high: float

    @property
    def above_zero(self) -> bool:
        """Whether the interval lies above 0: the attack gains something."""
        return self.low > 0


def mean_interval(values: Values, seed: int = 0) -> Interval:
    """Mean of independent targets, (n,) values; percentile bootstrap over them, nan without targets.

    Where no target differs from another the bootstrap has width 0, which would be a claim of certainty. Then
    the interval is that of a proportion never seen (Wilson), for values within [-1, 1].
    """
    if not values.size:
        return Interval(np.nan, np.nan, np.nan)
    if np.ptp(values) == 0:
        width = wilson(0, values.size).high
        value = float(values[0])
        return Interval(value, max(value - width, -1.0), min(value + width, 1.0))
    draws = np.random.default_rng(seed).integers(values.size, size=(_RESAMPLES, values.size))
    low, high = np.quantile(values[draws].mean(axis=1), (0.025, 0.975))
    return Interval(float(values.mean()), float(low), float(high))


def wilson(successes: int, trials: int) -> Interval:
    """Interval of a proportion (Wilson 1927, J. Am. Statist. Assoc. 22, 209)."""
    if not trials:
        return Interval(np.nan, np.nan, np.nan)
    share, squared = successes / trials, _NORMAL**2
    centre = (share + squared / (2 * trials)) / (1 + squared / trials)
    spread = share * (1 - share) / trials + squared / (4 * trials**2)
    half = _NORMAL * np.sqrt(spread) / (1 + squared / trials)
    return Interval(share, max(float(centre - half), 0.0), min(float(centre + half), 1.0))


def auc_interval(inside: Values, outside: Values, seed: int = 0) -> Interval:
    """Probability that a member scores above a stranger, ties counting half; bootstrap over the persons.

    Row i of both (n,) samples is the same person. Nobody is compared with themselves: a resample
    holds persons several times, and would do that more often than the sample, which shifts the figure.
    """
    size = inside.size
    above = (inside[:, None] > outside) + 0.5 * (inside[:, None] == outside)
    np.fill_diagonal(above, 0)
    apart = 1.0 - np.eye(size)
    draws = np.random.default_rng(seed).multinomial(size, np.full(size, 1 / size), size=_RESAMPLES)
    weights = draws.astype(np.float64)
    figures = ((weights @ above) * weights).sum(axis=1) / ((weights @ apart) * weights).sum(axis=1)
    low, high = np.quantile(figures, (0.025, 0.975))
    value = float(above.sum() / apart.sum())
    if np.ptp(figures) == 0:
        low, high = value - wilson(0, size).high, value + wilson(0, size).high
    return Interval(value, max(float(low), 0.0), min(float(high), 1.0))


def caught(inside: Values, outside: Values, false_alarms: float) -> float:
    """Return the part of the members found by a test that accuses so large a part of the strangers."""
    threshold = np.quantile(outside, 1 - false_alarms, method="higher")
    return float((inside > threshold).mean())
