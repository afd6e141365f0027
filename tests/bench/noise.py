"""Noise for the largest sum of pairs: 8.4 million draws, beside numpy's generator, which keeps no secret."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from fractions import Fraction

import numpy as np

from federation import noise

DRAWS = 4096 * 4095 // 2
VARIANCE = Fraction(4, 3)


def run() -> dict[str, float]:
    """Return seconds with the table built anew, their ratio to numpy, and seconds for the largest table."""
    generator = np.random.default_rng(1)

    def drawn() -> object:
        noise._law.cache_clear()
        return noise.skellam(VARIANCE, DRAWS, bytes(32))

    def baseline() -> object:
        half = float(VARIANCE) / 2
        return generator.poisson(half, DRAWS) - generator.poisson(half, DRAWS)

    seconds = _median(drawn)
    return {
        "draws": DRAWS,
        "seconds": seconds,
        "vs_numpy_poisson_difference": seconds / _median(baseline),
        "table_seconds_variance_1e6": _median(lambda: noise._law.__wrapped__(Fraction(10**6))),
    }


def _median(work: Callable[[], object], times: int = 5) -> float:
    """Return the median of the seconds that `work` takes, in turn."""
    measured = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        measured.append(time.perf_counter() - start)
    return statistics.median(measured)
