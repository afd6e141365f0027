"""Any threshold of shares gives the secret; one fewer gives nothing."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation import shamir
from federation.errors import ProtocolMisuse

secrets = st.binary(min_size=32, max_size=32)


def split(secret: bytes, shares: int, threshold: int, seed: int = 0) -> list[bytes]:
    randomness = random.Random(seed).randbytes(shamir.randomness_size(threshold))
    return shamir.split(secret, shares=shares, threshold=threshold, randomness=randomness)


def evaluate(secret: bytes, threshold: int, x: int, seed: int = 0) -> bytes:
    """Return a share straight from the definition: the polynomial's powers, one by one."""
    randomness = random.Random(seed).randbytes(shamir.randomness_size(threshold))
    size = shamir.COEFFICIENT_SIZE
    rows = [randomness[i : i + size] for i in range(0, len(randomness), size)]
    coefficients = [int.from_bytes(row, "big") for row in rows]
    powers = enumerate([*reversed(coefficients)], start=1)
    value = int.from_bytes(secret, "big") + sum(c * pow(x, k, shamir.PRIME) for k, c in powers)
    return (value % shamir.PRIME).to_bytes(shamir.SHARE_SIZE, "big")


def test_the_prime_is_the_smallest_above_two_to_the_256() -> None:
    def is_prime(n: int) -> bool:
        d, twos = n - 1, 0
        while d % 2 == 0:
            d, twos = d // 2, twos + 1
        for a in (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41):
            x = pow(a, d, n)
            if x not in (1, n - 1) and all((x := x * x % n) != n - 1 for _ in range(twos - 1)):
                return False
        return True

    assert is_prime(shamir.PRIME)
    assert not any(is_prime(n) for n in range(2**256 + 1, shamir.PRIME, 2))


@given(secrets, st.data())
def test_any_threshold_of_shares_gives_the_secret(secret: bytes, data: st.DataObject) -> None:
    shares = data.draw(st.integers(1, 12))
    threshold = data.draw(st.integers(1, shares))
    dealt = split(secret, shares, threshold, seed=shares)
    points = data.draw(st.permutations(range(1, shares + 1)))[:threshold]
    assert shamir.combine(points, [dealt[p - 1] for p in points]) == secret


@given(secrets, st.integers(1, 128), st.integers(1, 20))
def test_shares_are_points_of_the_polynomial(secret: bytes, x: int, threshold: int) -> None:
    shares = max(x, threshold)
    assert split(secret, shares, threshold)[x - 1] == evaluate(secret, threshold, x)


@pytest.mark.parametrize("secret", [bytes(32), b"\xff" * 32])
def test_the_smallest_and_the_largest_secret(secret: bytes) -> None:
    dealt = split(secret, 5, 3)
    assert shamir.combine([5, 1, 3], [dealt[4], dealt[0], dealt[2]]) == secret


def test_fewer_shares_fit_every_secret() -> None:
    """Whatever the secret, there is one polynomial through t - 1 given shares: they tell nothing."""
    dealt = split(b"s" * 32, 5, 3)
    for secret in (bytes(32), b"\xff" * 32, b"x" * 32):
        third = shamir.combine([1, 2], dealt[:2])
        assert third != b"s" * 32
        # The share at 4 that makes (1, 2, 4) give this secret exists: interpolation through 0, 1, 2.
        points = {
            0: int.from_bytes(secret, "big"),
            1: int.from_bytes(dealt[0], "big"),
            2: int.from_bytes(dealt[1], "big"),
        }
        value = sum(y * _basis(x, list(points), at=4) for x, y in points.items()) % shamir.PRIME
        share = value.to_bytes(shamir.SHARE_SIZE, "big")
        assert shamir.combine([1, 2, 4], [*dealt[:2], share]) == secret


def _basis(i: int, points: list[int], at: int) -> int:
    numerator = denominator = 1
    for j in points:
        if j != i:
            numerator = numerator * (at - j) % shamir.PRIME
            denominator = denominator * (i - j) % shamir.PRIME
    return numerator * pow(denominator, -1, shamir.PRIME)


def test_a_false_share_gives_another_secret_or_none() -> None:
    dealt = split(b"s" * 32, 5, 3)
    for false in (bytes(33), b"\xff" * 33, dealt[1]):
        assert shamir.combine([1, 2, 3], [false, *dealt[1:3]]) != b"s" * 32


def test_beyond_32_bytes_there_is_no_secret() -> None:
    assert shamir.combine([1], [(2**256).to_bytes(33, "big")]) is None
    assert shamir.combine([1], [(2**256 - 1).to_bytes(33, "big")]) == b"\xff" * 32


def test_misuse_is_named() -> None:
    with pytest.raises(ProtocolMisuse, match="32 bytes"):
        split(b"short", 3, 2)
    with pytest.raises(ProtocolMisuse, match="threshold"):
        split(bytes(32), 3, 4)
    with pytest.raises(ProtocolMisuse, match="random bytes"):
        shamir.split(bytes(32), shares=3, threshold=3, randomness=b"")
    for points, shares in (([1, 1], [bytes(33)] * 2), ([1], []), ([], [])):
        with pytest.raises(ProtocolMisuse, match="distinct points"):
            shamir.combine(points, shares)
