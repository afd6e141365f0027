"""Skellam noise: the exact law, the same on every machine, and shares whose sum has the law of the sum."""

from __future__ import annotations

import itertools
from decimal import Decimal, localcontext
from fractions import Fraction

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import special, stats

from federation import noise
from federation.errors import ProtocolMisuse
from federation.masks import keystream
from federation.noise import pmf, share_variance, skellam, tail

KEY = bytes(range(32))
# Random numbers here are fixed, so a test that passes once passes always; these levels only say how far a
# correct sampler may be from its law, and how sure a wrong one is to be found.
CONFIDENCE = 1e-4


def misfit(drawn: NDArray[np.int64], variance: float) -> float:
    """Return the p-value of a chi-square test against exp(-v) I_k(v), by another formula than the draw's."""
    edge = int(np.abs(drawn).max()) + 1
    values = np.arange(-edge, edge + 1)
    expected = special.ive(np.abs(values), variance) * len(drawn)
    seen = np.bincount(drawn + edge, minlength=len(values)).astype(float)
    rare = expected < 10
    seen = np.append(seen[~rare], seen[rare].sum())
    expected = np.append(expected[~rare], len(drawn) - expected[~rare].sum())
    return float(stats.chisquare(seen, expected, sum_check=False).pvalue)


def test_shares_reach_the_declared_variance() -> None:
    assert share_variance(4, 4, 1) == Fraction(4, 3)
    assert share_variance(0, 4, 1) == 0
    for wrong in ((-1, 3, 1), (4, 3, 3), (4, 3, -1)):
        with pytest.raises(ProtocolMisuse, match="threshold may collude"):
            share_variance(*wrong)


def test_a_key_gives_the_same_noise_everywhere() -> None:
    assert skellam(Fraction(4, 3), 16, KEY).tolist() == [0, -1, 1, 0, 0, 0, -1, -2, 1, -1, 0, 0, 0, -1, 1, 1]
    assert skellam(Fraction(100_000), 8, KEY).tolist() == [-68, -178, 264, 56, 138, -86, -292, -527]
    assert skellam(Fraction(4, 3), 16, KEY).dtype == np.int64


def test_other_keys_give_other_noise() -> None:
    drawn = [skellam(Fraction(4), 10_000, bytes([key]) * 32) for key in range(6)]
    for one, other in itertools.combinations(drawn, 2):
        assert abs(np.corrcoef(one, other)[0, 1]) < 0.05


def test_no_variance_is_no_noise() -> None:
    assert skellam(Fraction(0), 5, KEY).tolist() == [0] * 5
    assert tail(Fraction(0)) == 0
    assert pmf(Fraction(0)).tolist() == [1.0]


@pytest.mark.parametrize("variance", [Fraction(-1), Fraction(noise.MAX_VARIANCE + 1)])
def test_variances_out_of_range_are_our_mistake(variance: Fraction) -> None:
    for call in (tail, pmf, lambda v: skellam(v, 1, KEY)):
        with pytest.raises(ProtocolMisuse, match="a variance lies between"):
            call(variance)
    with pytest.raises(ProtocolMisuse, match="32 bytes"):
        skellam(Fraction(1), 1, b"short")
    with pytest.raises(ProtocolMisuse, match="not negative"):
        skellam(Fraction(1), -1, KEY)


@pytest.mark.parametrize("variance", ["1/100", "4/3", "16", "400", "100000", "1000000"])
def test_the_law_is_that_of_skellam(variance: str) -> None:
    exact = Fraction(variance)
    assert misfit(skellam(exact, 1_000_000, KEY), float(exact)) > CONFIDENCE


@pytest.mark.parametrize("variance", [Fraction(4, 3), Fraction(16), Fraction(400)])
def test_the_fit_finds_a_wrong_variance_and_a_rounded_gaussian(variance: Fraction) -> None:
    for factor in (Fraction(9, 10), Fraction(11, 10)):
        assert misfit(skellam(variance * factor, 1_000_000, KEY), float(variance)) < 1e-12
    if variance < 400:  # beyond, the two laws meet
        gaussian = np.random.default_rng(1).normal(0, float(variance) ** 0.5, 1_000_000)
        assert misfit(np.rint(gaussian).astype(np.int64), float(variance)) < 1e-9


@pytest.mark.parametrize("variance", ["1/100", "4/3", "400", "10000", "1000000"])
def test_probabilities_agree_with_another_formula(variance: str) -> None:
    law = pmf(Fraction(variance))
    assert len(law) == tail(Fraction(variance)) + 1
    np.testing.assert_allclose(law, special.ive(np.arange(len(law)), float(Fraction(variance))), rtol=1e-10)
    assert law[0] + 2 * law[1:].sum() == pytest.approx(1, abs=1e-14)


@pytest.mark.parametrize("variance", [Fraction(1, 100), Fraction(4, 3), Fraction(16), Fraction(100)])
def test_the_distance_from_the_law_is_below_2_to_the_minus_100(variance: Fraction) -> None:
    law = noise._law(variance)
    edges = [0, *law.thresholds, 1 << 128]
    drawn = [after - before for before, after in itertools.pairwise(edges)]
    with localcontext(prec=90):
        exact = [bessel(abs(k), variance) for k in range(-law.tail, law.tail + 1)]
        apart = [abs(Decimal(part) / 2**128 - whole) for part, whole in zip(drawn, exact, strict=True)]
        beyond = 1 - sum(exact)
        assert 0 < beyond < Decimal(2) ** -128
        assert (sum(apart) + beyond) / 2 < Decimal(2) ** -100


def bessel(order: int, variance: Fraction) -> Decimal:
    """Return exp(-v) I_order(v) from the power series (DLMF 10.25.2)."""
    v = Decimal(variance.numerator) / variance.denominator
    term = Decimal(1)
    for k in range(1, order + 1):
        term *= v / 2 / k
    total, m = term, 0
    while term > total.scaleb(-80):
        m += 1
        term *= (v / 2) ** 2 / m / (m + order)
        total += term
    return total * (-v).exp()


def test_the_128_bits_decide_where_64_do_not() -> None:
    """A word equal to the upper half of a threshold is open; the lower halves then count."""
    law = noise._law(Fraction(4, 3))
    words = np.array([t >> 64 for t in law.thresholds], dtype=np.uint64)
    drawn = np.zeros(len(words), dtype=np.int64)
    # Where thresholds share their upper half, every one of their words is open.
    assert noise._decide(law, words, drawn) == list(range(len(words)))
    beside = np.unique(words)[1:-1]
    for step in (-1, 1):
        moved = (beside.astype(object) + step).astype(np.uint64)
        moved = moved[~np.isin(moved, words)]
        drawn = np.zeros(len(moved), dtype=np.int64)
        assert len(moved) > 20
        assert noise._decide(law, moved, drawn) == []
        assert drawn.tolist() == [sum(t <= int(w) << 64 for t in law.thresholds) - law.tail for w in moved]


@pytest.mark.parametrize("index", [0, 7, 8, 40_001])
def test_an_open_word_takes_64_more_bits(index: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The chance is 2^-60, so a law is made whose threshold is the word that a key gives."""
    first = keystream(KEY, 8 * (index + 1))[-8:]
    nonce = bytes(15) + b"\x01"  # the second stream: the last byte of the nonce is 1
    second = Cipher(ChaCha20(KEY, nonce), mode=None).encryptor().update(bytes(8 * (index + 1)))[-8:]
    uniform = int.from_bytes(first, "little") << 64 | int.from_bytes(second, "little")
    for threshold, value in ((uniform - 1, 0), (uniform, 0), (uniform + 1, -1)):
        law = noise._table([threshold, 2**128 - 1], 1)
        monkeypatch.setattr(noise, "_law", lambda _, law=law: law)
        assert skellam(Fraction(1), index + 1, KEY)[-1] == value


@given(st.integers(0, 70_000), st.integers(0, 70_000), st.sampled_from(["1/100", "4/3", "1000000"]))
def test_a_shorter_draw_is_the_beginning_of_a_longer_one(one: int, other: int, variance: str) -> None:
    short, long = sorted((one, other))
    drawn = skellam(Fraction(variance), long, KEY)
    np.testing.assert_array_equal(skellam(Fraction(variance), short, KEY), drawn[:short])
    assert len(drawn) == long
    assert not long or int(np.abs(drawn).max()) <= tail(Fraction(variance))


SURVIVORS = [survivors for size in (4, 5) for survivors in itertools.combinations(range(5), size)]


@pytest.mark.parametrize("survivors", SURVIVORS, ids=str)
@pytest.mark.parametrize("declared", [4, 400])
def test_every_survivor_set_of_five_reaches_the_declared_noise(
    survivors: tuple[int, ...], declared: int
) -> None:
    """Threshold 4, one colluder: the sum has the law that the survivors imply, and never less noise."""
    size = 500_000
    share = share_variance(declared, 4, 1)
    total = np.zeros(size, dtype=np.int64)
    for member in survivors:
        total += skellam(share, size, bytes([member, declared % 256]) * 16)
    realised = float(len(survivors) * share)
    assert misfit(total, realised) > CONFIDENCE
    assert misfit(total, realised * 0.98) < CONFIDENCE
    assert lower_bound(total) >= declared
    # Nor without the colluder's noise, which the colluder knows and takes off again.
    honest = (len(survivors) - 1) * share
    assert honest >= declared
    for known in survivors:
        others = total - skellam(share, size, bytes([known, declared % 256]) * 16)
        assert misfit(others, float(honest)) > CONFIDENCE


def lower_bound(drawn: NDArray[np.int64]) -> float:
    """Return a variance that the true one exceeds, but for one chance in 10,000."""
    squares = drawn.astype(float) ** 2
    return float(squares.mean() - stats.norm.isf(CONFIDENCE) * squares.std() / len(drawn) ** 0.5)
