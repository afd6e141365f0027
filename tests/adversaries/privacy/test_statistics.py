"""The intervals hold what they promise, and the evidence follows the law of the noise."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import ive
from scipy.stats import norm, poisson

from tests.adversaries.privacy.law import evidence
from tests.adversaries.privacy.release import noise
from tests.adversaries.privacy.stats import auc_interval, caught, mean_interval, wilson

pytestmark = pytest.mark.slow


def test_the_interval_of_a_mean_covers_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    hits = 0
    for number in range(200):
        found = mean_interval(rng.binomial(10, 0.3, size=60) / 10 - 0.1, seed=number)
        hits += found.low <= 0.2 <= found.high
    # 95 % of 200 with the error of 200 trials; the percentile bootstrap is a little narrow at 60 values.
    assert 178 <= hits <= 200


def test_the_interval_of_a_proportion_covers_the_truth() -> None:
    rng = np.random.default_rng(2)
    found = [wilson(int(rng.binomial(40, 0.05)), 40) for _ in range(1000)]
    assert 0.92 <= np.mean([one.low <= 0.05 <= one.high for one in found]) <= 0.99


def test_equal_targets_are_no_certainty() -> None:
    found = mean_interval(np.zeros(20))
    assert found.value == 0
    assert found.low < 0 < found.high
    assert np.isnan(mean_interval(np.zeros(0)).value)


def test_auc_covers_the_truth_and_knows_chance_from_certainty() -> None:
    rng = np.random.default_rng(3)
    hits = 0
    for number in range(100):
        scale = rng.normal(size=50)
        found = auc_interval(scale + rng.normal(size=50), scale + rng.normal(size=50), seed=number)
        hits += found.low <= 0.5 <= found.high
    assert hits >= 90
    certain = auc_interval(np.arange(30.0) + 100, np.arange(30.0))
    assert certain.value == 1
    assert certain.low > 0.8


def test_few_false_alarms_are_few() -> None:
    outside = np.arange(100.0)
    assert caught(outside + 0.5, outside, 0.05) == pytest.approx(0.05, abs=0.011)
    assert caught(outside + 200, outside, 0.01) == 1


@pytest.mark.parametrize(("weight", "variance"), [(1.0, 4.0), (0.5, 4.0), (0.25, 8.0), (1 / 32, 16.0)])
def test_evidence_is_the_log_likelihood_ratio(weight: float, variance: float) -> None:
    unit = 32

    def log_law(entries: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.log(ive(np.abs(entries).astype(np.float64), variance * unit**2))

    entries = np.arange(-6 * unit, 6 * unit, 7)
    exact = log_law(entries - round(weight * unit)) - log_law(entries)
    values = (entries / unit).astype(np.float32)
    found = evidence(values, np.zeros_like(values), variance, weight)
    np.testing.assert_allclose(found, exact, atol=0.001)


def test_evidence_takes_the_others_into_account() -> None:
    mean, variance = 5.0, 16.0
    others = np.arange(60)
    share = poisson.pmf(others, mean)

    def log_law(value: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.log(norm.pdf(value[:, None], others, np.sqrt(variance)) @ share)

    values = np.arange(-4.0, 15.0)
    exact = log_law(values - 1) - log_law(values)
    found = evidence(values.astype(np.float32), np.full(values.size, mean, np.float32), variance)
    np.testing.assert_allclose(found, exact, atol=0.06)


def test_without_noise_less_than_the_weight_rules_a_person_out() -> None:
    values, expected = np.array([0, 0.25, 1], np.float32), np.full(3, 0.1, np.float32)
    found = evidence(values, expected, 0.0)
    assert found[:2].tolist() == [-12, -12]
    assert found[2] > 2
    light = evidence(values, expected, 0.0, 0.25)
    assert light[0] == -12
    assert 0 < light[1] < light[2]


def test_the_noise_of_the_attacks_has_the_declared_variance() -> None:
    drawn = noise(16, 40_000, (1, 2))
    assert np.array_equal(drawn * 32, np.rint(drawn * 32))
    assert not np.array_equal(drawn, np.rint(drawn))
    # Var of a sample variance is about (kurtosis - 1 + ...) v^2 / n; five standard errors.
    assert drawn.var() == pytest.approx(16, abs=5 * 16 * np.sqrt(2.1 / 40_000))
    assert not np.array_equal(drawn, noise(16, 40_000, (1, 3)))
