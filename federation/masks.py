"""Masks: ChaCha20 keystreams (RFC 8439) added to a vector in Z/2^32 or Z/2^64.

A keystream is read as little-endian unsigned integers. Work goes in blocks that stay in the second-level
cache: generating a mask and adding it then costs little more than generating it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20
from numpy.typing import NDArray

from federation.errors import ProtocolMisuse

RING = 32
"""Bits of the ring that this version proposes. Members take part in a ring of 64 bits as well."""

_BLOCK_BYTES = 1 << 17
_ZERO_NONCE = bytes(16)
_DTYPES: dict[int, np.dtype[np.unsignedinteger]] = {32: np.dtype("<u4"), 64: np.dtype("<u8")}

Vector: TypeAlias = NDArray[np.unsignedinteger]


def dtype_of(ring: int) -> np.dtype[np.unsignedinteger]:
    """Return the little-endian unsigned type of Z/2^`ring`, for 32 or 64."""
    try:
        return _DTYPES[ring]
    except KeyError:
        raise ProtocolMisuse(f"the ring is Z/2^32 or Z/2^64, not Z/2^{ring}") from None


def keystream(key: bytes, size: int) -> bytes:
    """Return the first `size` bytes of the ChaCha20 keystream of a key that is used once."""
    return Cipher(ChaCha20(key, _ZERO_NONCE), mode=None).encryptor().update(bytes(size))


def apply(vector: Vector, masks: Iterable[tuple[bytes, bool]]) -> None:
    """Add to `vector`, in place, the mask of each key, or subtract it where the flag is False.

    `vector` has the type of `dtype_of`; keys have 32 bytes.
    """
    streams = [
        (Cipher(ChaCha20(key, _ZERO_NONCE), mode=None).encryptor(), positive) for key, positive in masks
    ]
    entries = _BLOCK_BYTES // vector.dtype.itemsize
    zeros = bytes(_BLOCK_BYTES)
    # The cipher may write up to one of its blocks beyond what it was given.
    scratch = bytearray(_BLOCK_BYTES + 63)
    mask = np.frombuffer(scratch, dtype=vector.dtype, count=entries)
    for start in range(0, len(vector), entries):
        block = vector[start : start + entries]
        block_mask = mask[: len(block)]
        plain = zeros if block.nbytes == _BLOCK_BYTES else zeros[: block.nbytes]
        for stream, positive in streams:
            stream.update_into(plain, scratch)
            if positive:
                np.add(block, block_mask, out=block)
            else:
                np.subtract(block, block_mask, out=block)


def to_ring(values: NDArray[np.int64], ring: int) -> Vector:
    """Return signed `values` as elements of Z/2^`ring`, in a new array.

    Raises:
        ProtocolMisuse: a value does not fit into the signed range of the ring.

    """
    half = 1 << (ring - 1)
    if values.size and (int(values.min()) < -half or int(values.max()) >= half):
        raise ProtocolMisuse(f"a value does not fit into {ring} signed bits")
    return values.astype(dtype_of(ring))


def from_ring(vector: Vector) -> NDArray[np.int64]:
    """Return elements of the ring read as signed integers."""
    signed = np.dtype(f"<i{vector.dtype.itemsize}")
    return vector.view(signed).astype(np.int64)
