"""Skellam noise, exact, from a cryptographic keystream; its shares add up.

Skellam(v) is the difference of two Poisson(v/2) variables: integers, mean 0, variance v, and sums of
independent ones are Skellam again (Skellam 1946, J. R. Statist. Soc. 109, 296). Its law is
P(k) = exp(-v) I_k(v), with the modified Bessel functions I_k. Only their proportions are needed, and those
come from Miller's backward recurrence (DLMF 10.29.1, 3.6(v)), in integers:

    I_{k-1} = I_{k+1} + (2k/v) I_k,    I_0 + 2 (I_1 + I_2 + ...) = exp(v).

A draw compares a uniform number of 128 bits with the cumulative law. The first 64 bits almost always decide;
the others are only made when they do not. No floating-point number takes part, so the low bits of the noise
cannot give the value away (Mironov 2012, "On significance of the least significant bits"), and one key gives
the same noise on every machine.

**How exact.** The total variation distance between a draw and Skellam(v) is below 2^-100 for every accepted
variance: 2^-128 for the values cut off, (2 tail + 1) 2^-128 for cumulative probabilities rounded to 128 bits,
and less than 2^-200 for the recurrence (2^-256 for each rounded step, a start beyond a tail of 2^-320).
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20
from numpy.typing import NDArray

from federation.errors import ProtocolMisuse

MAX_VARIANCE = 10**8
"""Beyond it the table of a law would take seconds to build."""

_CUT_BITS = 129
_UNIFORM_BITS = 128
_START_BITS = 256
_BLOCK_WORDS = 1 << 15
_PREFIX_BITS = 16
_UNDECIDED = np.iinfo(np.int32).min
# ChaCha20 as in RFC 8439: block counter (4 bytes, little-endian), then the nonce (12 bytes).
_FIRST_WORDS = bytes(12)
_SECOND_WORDS = bytes(11) + b"\x01"


def share_variance(noise: int, threshold: int, colluders: int) -> Fraction:
    """Return the variance that each member adds, so that threshold - colluders members reach `noise`."""
    if noise < 0 or not 0 <= colluders < threshold:
        raise ProtocolMisuse("noise must not be negative, and fewer members than the threshold may collude")
    return Fraction(noise, threshold - colluders)


def skellam(variance: Fraction, size: int, key: bytes) -> NDArray[np.int64]:
    """Return `size` independent draws of Skellam(`variance`), int64, fixed by the key.

    Draw i depends on the key, the variance and i only: a shorter draw is the beginning of a longer one. A key
    must serve one draw, and nothing else that uses ChaCha20.

    Args:
        variance: 0 gives zeros.
        size: how many.
        key: 32 secret bytes.

    Raises:
        ProtocolMisuse: a variance out of range, a negative size, or a key that has not 32 bytes.

    """
    law = _law(_checked(variance))
    if size < 0 or len(key) != 32:
        raise ProtocolMisuse("a draw needs a size that is not negative and a key of 32 bytes")
    drawn = np.empty(size, dtype=np.int64)
    if law.tail == 0:
        drawn[:] = 0
        return drawn
    stream = _stream(key, 0, _FIRST_WORDS)
    zeros = bytes(8 * min(size, _BLOCK_WORDS))
    for start in range(0, size, _BLOCK_WORDS):
        part = drawn[start : start + _BLOCK_WORDS]
        words = np.frombuffer(stream.update(zeros[: part.nbytes]), dtype="<u8")
        for index in _decide(law, words, part):
            word = int(words[index]) << 64 | _second_word(key, start + index)
            part[index] = bisect_right(law.thresholds, word) - law.tail
    return drawn


def tail(variance: Fraction) -> int:
    """Return the largest absolute value that `skellam` can return: beyond it lies less than 2^-128 in all."""
    return _law(_checked(variance)).tail


def pmf(variance: Fraction) -> NDArray[np.float64]:
    """Return P(0), P(1), ... P(tail), float64, each correctly rounded; P(-k) = P(k)."""
    weights = _weights(_checked(variance))
    total = 2 * sum(weights) - weights[0]
    return np.array([weight / total for weight in weights], dtype=np.float64)


@dataclass(frozen=True)
class _Law:
    """A draw is the number of thresholds at or below 128 uniform bits, less `tail`."""

    tail: int
    thresholds: tuple[int, ...]
    high: NDArray[np.uint64]
    """Upper 64 bits of the thresholds, ascending."""
    guide: NDArray[np.int32]
    """The value for each of the 2^16 beginnings of a uniform word, or `_UNDECIDED`."""


def _checked(variance: Fraction) -> Fraction:
    if not 0 <= variance <= MAX_VARIANCE:
        raise ProtocolMisuse(f"a variance lies between 0 and {MAX_VARIANCE}, and {variance} does not")
    return Fraction(variance)


def _weights(variance: Fraction) -> list[int]:
    """Return integers in proportion to P(0), P(1), ... P(tail)."""
    if variance == 0:
        return [1]
    # Bernstein's inequality, P(X >= k) <= exp(-k^2 / (2 (v + k/3))), puts the start beyond a tail of 2^-320.
    # The ratio I_k / I_{k-1} starts wrong by less than 1; each step multiplies its error by about its square.
    start = 150 + math.isqrt(444 * math.ceil(variance))
    over, under = variance.numerator, variance.denominator
    weights = [0, 1 << _START_BITS]
    for k in range(start, 0, -1):
        weights.append(weights[-2] + 2 * k * under * weights[-1] // over)
    del weights[0]
    # Cut from the far end while what is lost, on both sides, stays below 2^-129 of the whole.
    limit, lost, cut = (2 * sum(weights) - weights[-1]) >> _CUT_BITS, 0, 0
    while lost + 2 * weights[cut] < limit:
        lost += 2 * weights[cut]
        cut += 1
    return weights[: cut - 1 if cut else None : -1]


@lru_cache(maxsize=16)
def _law(variance: Fraction) -> _Law:
    weights = _weights(variance)
    end = len(weights) - 1
    total = 2 * sum(weights) - weights[0]
    thresholds, reached = [], 0
    for value in range(-end, end):
        reached += weights[abs(value)]
        thresholds.append((reached << _UNIFORM_BITS) // total)
    return _table(thresholds, end)


def _table(thresholds: list[int], end: int) -> _Law:
    """Return the look-up of a law on -end ... end from its ascending thresholds of 128 bits."""
    high = np.array([threshold >> 64 for threshold in thresholds], dtype=np.uint64)
    first = np.arange(1 << _PREFIX_BITS, dtype=np.uint64) << np.uint64(64 - _PREFIX_BITS)
    last = first | np.uint64((1 << (64 - _PREFIX_BITS)) - 1)
    below, through = np.searchsorted(high, first, "left"), np.searchsorted(high, last, "right")
    guide = np.where(below == through, below - end, _UNDECIDED).astype(np.int32)
    return _Law(end, tuple(thresholds), high, guide)


def _decide(law: _Law, words: NDArray[np.uint64], drawn: NDArray[np.int64]) -> list[int]:
    """Write the values of uniform `words` into `drawn`; return the places where 64 bits leave it open."""
    drawn[:] = law.guide[words >> np.uint64(64 - _PREFIX_BITS)]
    places = np.flatnonzero(drawn == _UNDECIDED)
    open_words = words[places]
    passed = np.searchsorted(law.high, open_words, "right")
    drawn[places] = passed - law.tail
    ties = (passed > 0) & (law.high[passed - 1] == open_words)
    return [int(place) for place in places[ties]]


def _stream(key: bytes, block: int, nonce: bytes) -> CipherContext:
    return Cipher(ChaCha20(key, block.to_bytes(4, "little") + nonce), mode=None).encryptor()


def _second_word(key: bytes, index: int) -> int:
    """Return the lower 64 bits of draw `index`, from a stream of their own."""
    block = _stream(key, index // 8, _SECOND_WORDS).update(bytes(64))
    return int.from_bytes(block[8 * (index % 8) :][:8], "little")
