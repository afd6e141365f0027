from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import ive

from models.noise import NO_NOISE, SumNoise, slack

LIMIT = 2.0**-86


@given(st.floats(0.05, 2000.0))
def test_honest_noise_passes_the_slack_less_often_than_promised_and_the_slack_is_no_wider(v: float) -> None:
    """The probability of a Skellam number n is exp(-v) I_n(v) (Skellam, J. R. Stat. Soc. 109, 1946)."""
    least = slack(v)
    tail = [float(ive(np.arange(first, first + 400.0), v).sum()) for first in (least, int(0.93 * least) - 1)]
    assert tail[0] <= LIMIT
    assert tail[1] > LIMIT


def test_without_noise_there_is_no_slack() -> None:
    assert slack(0.0) == 0
    assert not NO_NOISE
    assert SumNoise(pairs=1.0)
    assert SumNoise(counts=1.0)


@given(st.floats(0.0, 1e6), st.floats(0.0, 1e6))
def test_more_noise_never_has_less_slack(first: float, second: float) -> None:
    assert slack(min(first, second)) <= slack(max(first, second))


@pytest.mark.parametrize("variance", [-1.0, float("nan"), float("inf")])
def test_a_variance_is_a_number_from_zero_up(variance: float) -> None:
    with pytest.raises(ValueError, match="variances"):
        SumNoise(counts=variance)
    with pytest.raises(ValueError, match="variances"):
        SumNoise(pairs=variance)
