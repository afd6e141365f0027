"""What has been released: the only numbers about viewers from which anything that others see is made.

Training, related lists, scores, reasons and public vectors take this type and nothing else that comes from
viewers. Exact numbers become it in one way: noise is added to them when they are released. A secure sum is
released with its members' noise, an instance's own numbers with a draw of its own. The one exception is a
closed instance with `serve.exact_own`: there nobody but its members sees what is made of them.
"""

from __future__ import annotations

from dataclasses import dataclass

from models.noise import NO_NOISE, SumNoise
from models.statistics import Statistic
from models.weights import UNIT


@dataclass(frozen=True)
class Released:
    """A statistic with its noise; without any it is safe only where nobody's privacy is at stake."""

    statistic: Statistic
    noise: SumNoise = NO_NOISE
    viewers: float = 0.0
    """Noisy number of the viewers behind it; 0 where it was not released."""

    @property
    def most(self) -> float:
        """Viewers behind it, at least: the number released, or else those of its most watched video."""
        watched = float(self.statistic.counts.max(initial=0)) / UNIT
        return max(self.viewers, watched)
