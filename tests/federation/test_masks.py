"""Masks are ChaCha20 keystreams; what is added comes off again, in either ring."""

from __future__ import annotations

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20
from hypothesis import given
from hypothesis import strategies as st

from federation import masks
from federation.errors import ProtocolMisuse

KEY = b"k" * 32


def whole(key: bytes, length: int, ring: int) -> masks.Vector:
    """Return a mask made in one piece."""
    size = length * ring // 8
    stream = Cipher(ChaCha20(key, bytes(16)), mode=None).encryptor().update(bytes(size))
    return np.frombuffer(stream, dtype=masks.dtype_of(ring))


@pytest.mark.parametrize("ring", [32, 64])
@pytest.mark.parametrize("length", [0, 1, 15, 16, 17, 16_383, 16_384, 16_385, 32_768, 70_001])
def test_blocks_make_no_difference(ring: int, length: int) -> None:
    vector = np.zeros(length, dtype=masks.dtype_of(ring))
    masks.apply(vector, [(KEY, True)])
    np.testing.assert_array_equal(vector, whole(KEY, length, ring))


@pytest.mark.parametrize("ring", [32, 64])
def test_signs_cancel_and_sums_wrap(ring: int) -> None:
    other = b"o" * 32
    vector = np.full(40_000, -1, dtype=np.int64).astype(masks.dtype_of(ring))
    before = vector.copy()
    masks.apply(vector, [(KEY, True), (other, False)])
    np.testing.assert_array_equal(vector, before + whole(KEY, 40_000, ring) - whole(other, 40_000, ring))
    masks.apply(vector, [(other, True), (KEY, False)])
    np.testing.assert_array_equal(vector, before)


@given(st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1, max_size=20))
def test_signed_values_come_back(values: list[int]) -> None:
    given_values = np.array(values, dtype=np.int64)
    for ring in (32, 64):
        vector = masks.to_ring(given_values, ring)
        assert vector.dtype == masks.dtype_of(ring)
        np.testing.assert_array_equal(masks.from_ring(vector), given_values)


@pytest.mark.parametrize("value", [2**31, -(2**31) - 1, 2**63 - 1, -(2**63)])
def test_what_does_not_fit_is_our_mistake(value: int) -> None:
    with pytest.raises(ProtocolMisuse, match="32 signed bits"):
        masks.to_ring(np.array([value]), 32)
    assert masks.from_ring(masks.to_ring(np.array([value]), 64))[0] == value


def test_there_are_two_rings() -> None:
    for ring in (0, 16, 31, 128):
        with pytest.raises(ProtocolMisuse, match=f"not Z/2\\^{ring}"):
            masks.dtype_of(ring)


def test_bytes_are_little_endian_on_every_machine() -> None:
    assert masks.to_ring(np.array([1]), 32).tobytes() == b"\x01\x00\x00\x00"
    assert masks.to_ring(np.array([-2]), 64).tobytes() == b"\xfe" + b"\xff" * 7


def test_a_short_keystream_is_the_start_of_a_long_one() -> None:
    assert masks.keystream(KEY, 200)[:70] == masks.keystream(KEY, 70)
