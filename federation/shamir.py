"""Shamir's secret sharing (Communications of the ACM 22, 1979) of 32-byte secrets over GF(2^256 + 297).

The prime is the smallest above 2^256, so every 32-byte secret is a field element; a share has 33 bytes.
Member number i (from 1) holds the value of the polynomial at i.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from federation.errors import ProtocolMisuse

PRIME = 2**256 + 297
SECRET_SIZE = 32
SHARE_SIZE = 33
COEFFICIENT_SIZE = 48
"""Bytes reduced to one coefficient: 128 bits more than the prime, so that the bias is under 2^-127."""


def randomness_size(threshold: int) -> int:
    """Return how many random bytes `split` consumes for `threshold`."""
    return (threshold - 1) * COEFFICIENT_SIZE


def split(secret: bytes, *, shares: int, threshold: int, randomness: bytes) -> list[bytes]:
    """Return `shares` shares of 33 bytes, any `threshold` of which give `secret` (32 bytes).

    `randomness` has `randomness_size(threshold)` uniform bytes; fewer than `threshold` shares are then
    independent of the secret.
    """
    if len(secret) != SECRET_SIZE or not 0 < threshold <= shares:
        raise ProtocolMisuse("a secret has 32 bytes and a threshold lies between 1 and the number of shares")
    if len(randomness) != randomness_size(threshold):
        raise ProtocolMisuse(f"expected {randomness_size(threshold)} random bytes, got {len(randomness)}")
    highest_first = [
        int.from_bytes(randomness[i : i + COEFFICIENT_SIZE], "big") % PRIME
        for i in range(0, len(randomness), COEFFICIENT_SIZE)
    ]
    constant = int.from_bytes(secret, "big")
    result = []
    for x in range(1, shares + 1):
        # Horner's rule, reduced once at the end: x has 7 bits, so growing costs less than dividing.
        value = 0
        for coefficient in highest_first:
            value = value * x + coefficient
        result.append(((value * x + constant) % PRIME).to_bytes(SHARE_SIZE, "big"))
    return result


@lru_cache(maxsize=64)
def _lagrange_at_zero(points: tuple[int, ...]) -> tuple[int, ...]:
    coefficients = []
    for i in points:
        numerator = denominator = 1
        for j in points:
            if j != i:
                numerator = numerator * j % PRIME
                denominator = denominator * (j - i) % PRIME
        coefficients.append(numerator * pow(denominator, -1, PRIME) % PRIME)
    return tuple(coefficients)


def combine(points: Sequence[int], shares: Sequence[bytes]) -> bytes | None:
    """Return the secret that the shares at `points` (member numbers from 1) determine.

    None where they determine no 32-byte secret, hence at least one of them is false. Whether the secret is
    the right one is for the caller to check against a commitment.
    """
    if len(points) != len(shares) or len(set(points)) != len(points) or not points:
        raise ProtocolMisuse("expected as many distinct points as shares")
    total = 0
    for coefficient, share in zip(_lagrange_at_zero(tuple(points)), shares, strict=True):
        total += coefficient * int.from_bytes(share, "big")
    total %= PRIME
    return total.to_bytes(SECRET_SIZE, "big") if total < 2**256 else None
