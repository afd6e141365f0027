"""How much noise a sum carries, and how far it can push an entry: plain numbers, no dense algebra.

Members add Skellam noise, the difference of two Poisson numbers, to every entry of their part; the noise of
the sum is Skellam again, and its variance is the sum of theirs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

_LOG_FAILURE = -86 * math.log(2.0)
"""2^-60 over 2^26 comparisons: two signs, two kinds, and the 8.4 million pairs of the largest head."""


@dataclass(frozen=True)
class SumNoise:
    """Variance per entry that was really added to a sum, in users squared; 0 where there is none.

    It depends on who survived the round: with shares of variance v, s survivors make s * v. Raises
    ValueError for a negative or infinite variance.
    """

    counts: float = 0.0
    pairs: float = 0.0

    def __post_init__(self) -> None:
        """Check the range."""
        if not (0 <= self.counts < math.inf and 0 <= self.pairs < math.inf):
            raise ValueError("variances must be finite and not negative")

    def __bool__(self) -> bool:
        """Say whether there is any noise."""
        return self.counts > 0 or self.pairs > 0


NO_NOISE = SumNoise()


def slack(variance: float, *, log_choices: float = 0.0) -> int:
    """Return the least distance that Skellam noise of this variance exceeds less often than 2^-86.

    So honest noise fails a test of plausibility less often than once in 2^60 sums. Where the test looks for
    the worst among more than 2^26 numbers, `log_choices` is the natural logarithm of how many times more.
    Chernoff's bound with the exact cumulants, log P(X >= x) <= sqrt(v^2 + x^2) - v - x asinh(x / v), is
    within a few per cent of the truth here. Source: S. Boucheron, G. Lugosi, P. Massart, "Concentration
    Inequalities", OUP 2013, ch. 2.
    """
    if variance <= 0:
        return 0
    failure = _LOG_FAILURE - log_choices
    high = 1
    while _log_tail(high, variance) > failure:
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _log_tail(middle, variance) <= failure else (middle, high)
    return high


def _log_tail(x: int, variance: float) -> float:
    # sqrt(v^2 + x^2) - v without its cancellation where x is far below v.
    root = math.hypot(variance, x)
    return x * (x / (root + variance)) - x * math.asinh(x / variance)
